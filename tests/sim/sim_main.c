/* SPDX-License-Identifier: Apache-2.0 */
/* One run, many runs, or the hunt for a planted bug; `usage` tells how. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mutant.h"
#include "tests/sim/sim_many.h"
#include "tests/sim/sim_story.h"

static uint64_t seed_now;

static const char usage[] =
    "usage: sim [-v]... [-s SHAPE] [-m MUTANT] SEED\n"
    "         one run; the last line is `sim: seed S ok` or `sim: seed S FAIL reason`\n"
    "       sim -n COUNT [-j JOBS] [-t SECONDS] [-o RESULTS -c COMMIT] [-s SHAPE] [-m MUTANT] "
    "SEED\n"
    "         COUNT seeds from SEED on, for at most so long; a line for each that fails, and the "
    "sum\n"
    "       sim [-v]... -f STORY\n"
    "         one story; the last line is `story: NAME ok` or `story: NAME FAIL reason`\n"
    "       sim -x -m MUTANT [-n COUNT] [-j JOBS] [-s SHAPE] [SEED]...\n"
    "         these seeds, then 1 to COUNT, until one fails that is good without the mutant\n"
    "       MUTANT: a name of src/base/mutant.h, or two of them, NAME+NAME\n";

struct options {
    const struct sim_shape *shape;
    const char *mutant_name;
    const char *results;
    const char *commit;
    struct sim_mutants mutants;
    int verbose;
    uint64_t count;
    unsigned jobs;
    unsigned seconds;
    bool hunt;
    const char *story;
};

static uint64_t limit_s(void)
{
    const char *limit = getenv("SIM_SECONDS");

    return limit != NULL ? strtoull(limit, NULL, 10) : 10;
}

/* ---- planted bugs: only in the build of `make sim-mutants` ----------------------------------- */

static int mutant_of(const char *name)
{
#ifdef TERN_MUTANTS
#define MUTANT_NAME(name, what) #name,
    static const char *const all[] = {"none", MUTANTS(MUTANT_NAME)};

    for (int i = 1; i < (int)MUTANT_count; i++) {
        if (strcmp(all[i], name) == 0) {
            return i;
        }
    }
#endif
    (void)fprintf(stderr, "sim: no mutant %s in this build\n", name);
    exit(2);
}

/* `one`, or `one+other`. */
static struct sim_mutants mutants_of(const char *names)
{
    const char *plus = strchr(names, '+');
    char first[64];

    if (plus == NULL) {
        return (struct sim_mutants){.on = mutant_of(names)};
    }
    (void)snprintf(first, sizeof first, "%.*s", (int)(plus - names), names);
    return (struct sim_mutants){mutant_of(first), mutant_of(plus + 1)};
}

/* ---- one ------------------------------------------------------------------------------------- */

/* A failed CHECK or a sanitizer ends the process: say so in the form that is promised. */
static void on_abort(int number)
{
    char line[96];
    int len = snprintf(line, sizeof line, "sim: seed %llu FAIL %s\n", (unsigned long long)seed_now,
                       number == SIGXCPU   ? "it took too much of the processor"
                       : number == SIGSEGV ? "segmentation fault"
                                           : "a CHECK failed");

    (void)fflush(stdout);
    ssize_t written = write(STDOUT_FILENO, line, (size_t)len);
    _exit(written > 0 ? 1 : 2);
}

static int run_one(const struct options *o, uint64_t seed)
{
    struct sim_result result;

    seed_now = seed;
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGXCPU, on_abort);
    sim_limit_cpu((unsigned)limit_s());
    sim_plant(o->mutants);
    sim_run_seed(seed, o->shape, o->verbose, &result);
    printf("sim: seed %llu ran %.1f s in %llu steps, trace %016llx: %llu faults, %llu sent, %llu "
           "acknowledged in %llu batches, %llu reads\n",
           (unsigned long long)seed, result.seconds, (unsigned long long)result.steps,
           (unsigned long long)result.hash, (unsigned long long)result.faults,
           (unsigned long long)result.counts.sent, (unsigned long long)result.counts.acked,
           (unsigned long long)result.batches, (unsigned long long)result.counts.reads);
    if (result.failure[0] != '\0') {
        printf("sim: seed %llu FAIL %s\n", (unsigned long long)seed, result.failure);
        return 1;
    }
    printf("sim: seed %llu ok\n", (unsigned long long)seed);
    return 0;
}

static int run_story(const struct options *o)
{
    struct sim_story *story = sim_story_read(o->story);
    const char *slash = strrchr(o->story, '/');
    const char *name = slash != NULL ? slash + 1 : o->story;
    struct sim_result result;

    if (story == NULL) {
        return 2;
    }
    (void)signal(SIGABRT, on_abort);
    sim_plant(o->mutants);
    sim_run_story(story, o->verbose, &result);
    sim_story_free(story);
    if (result.failure[0] != '\0') {
        printf("story: %s FAIL %s\n", name, result.failure);
        return 1;
    }
    printf("story: %s ok: %.1f s, %llu acknowledged\n", name, result.seconds,
           (unsigned long long)result.counts.acked);
    return 0;
}

/* ---- many ------------------------------------------------------------------------------------ */

static void add_up(struct sim_sum *sum, const struct sim_result *r)
{
    sum->runs++;
    sum->failed += r->failure[0] != '\0';
    sum->full += r->seconds >= 30 && r->faults >= 3 && r->batches >= 1000;
    sum->seconds += r->seconds;
    sum->real += r->real_s;
    sum->faults += r->faults;
    sum->batches += r->batches;
    sum->records += r->counts.acked;
    sum->reads += r->counts.reads;
    sum->cut += r->counts.cut;
    sum->hash ^= r->hash;
}

static bool one_ended(void *ctx, uint64_t seed, const struct sim_result *result, const char *said)
{
    add_up(ctx, result);
    if (result->failure[0] != '\0') {
        printf("sim: seed %llu FAIL %s\n", (unsigned long long)seed, result->failure);
        if (said[0] != '\0') {
            printf("%s\n", said);
        }
        (void)fflush(stdout);
    }
    return true;
}

/* A line of the results file. */
static int append(const struct options *o, uint64_t first, uint64_t last, const struct sim_sum *sum)
{
    FILE *file = fopen(o->results, "a");

    if (file == NULL) {
        perror(o->results);
        return 2;
    }
    (void)fprintf(
        file,
        "{\"commit\":\"%s\",\"shape\":\"%s\",\"first\":%llu,\"last\":%llu,\"seeds\":%llu,"
        "\"full\":%llu,\"failed\":%llu,\"sim_s\":%.0f,\"cpu_s\":%.1f,\"rate\":%.0f,"
        "\"faults\":%llu,\"acked_batches\":%llu,\"acked_records\":%llu,\"cut_records\":%llu,"
        "\"reads\":%llu,\"trace\":\"%016llx\"}\n",
        o->commit != NULL ? o->commit : "", o->shape->name, (unsigned long long)first,
        (unsigned long long)last, (unsigned long long)sum->runs, (unsigned long long)sum->full,
        (unsigned long long)sum->failed, sum->seconds, sum->real,
        sum->real > 0 ? sum->seconds / sum->real : 0, (unsigned long long)sum->faults,
        (unsigned long long)sum->batches, (unsigned long long)sum->records,
        (unsigned long long)sum->cut, (unsigned long long)sum->reads,
        (unsigned long long)sum->hash);
    return fclose(file) == 0 ? 0 : 2;
}

static struct sim_plan plan_of(const struct options *o)
{
    return (struct sim_plan){
        .shape = o->shape, .jobs = o->jobs, .limit_s = (unsigned)limit_s(), .mutants = o->mutants};
}

static int run_many(const struct options *o, uint64_t first)
{
    struct sim_plan plan = plan_of(o);
    struct sim_sum sum = {0};
    double stop_at = o->seconds > 0 ? sim_real_s() + o->seconds : 0;
    uint64_t begun = sim_many(&plan, first, o->count, stop_at, one_ended, &sum);

    if (o->results != NULL && append(o, first, first + begun - 1, &sum) != 0) {
        return 2;
    }
    printf("sim: %llu runs, %.1f simulated hours at %.0f simulated seconds per second, %llu "
           "faults, %llu acknowledged batches, trace %016llx\n",
           (unsigned long long)sum.runs, sum.seconds / 3600,
           sum.real > 0 ? sum.seconds / sum.real : 0, (unsigned long long)sum.faults,
           (unsigned long long)sum.batches, (unsigned long long)sum.hash);
    printf("sim: %llu of %llu seeds ok\n", (unsigned long long)(sum.runs - sum.failed),
           (unsigned long long)sum.runs);
    return sum.failed == 0 ? 0 : 1;
}

/* ---- the hunt -------------------------------------------------------------------------------- */

#define BETTER_WITHIN                                                                              \
    200 /* that something stands still is a poorer reason: so long look for more */

struct hunt {
    const struct options *options;
    bool found;
    bool safety; /* the reason is that something was wrong, not that something stood still */
    uint64_t seed;
    uint64_t tried;
    uint64_t until;
    char reason[512];
};

static bool prey(void *ctx, uint64_t seed, const struct sim_result *result, const char *said)
{
    struct hunt *hunt = ctx;
    bool safety = strncmp(result->failure, "liveness", 8) != 0;

    (void)said;
    hunt->tried++;
    if (result->failure[0] != '\0' && (!hunt->found || (safety && !hunt->safety))) {
        struct sim_result right;
        struct sim_plan plan = plan_of(hunt->options);
        plan.mutants = (struct sim_mutants){0};
        if (sim_one(&plan, seed, &right)) {
            hunt->found = true;
            hunt->safety = safety;
            hunt->seed = seed;
            hunt->until = hunt->tried + BETTER_WITHIN;
            (void)snprintf(hunt->reason, sizeof hunt->reason, "%s", result->failure);
        }
    }
    return !hunt->found || (!hunt->safety && hunt->tried < hunt->until);
}

static int run_hunt(const struct options *o, char **known)
{
    struct sim_plan plan = plan_of(o);
    struct hunt hunt = {.options = o};

    for (; *known != NULL && !hunt.found; known++) {
        struct sim_result result;
        uint64_t seed = strtoull(*known, NULL, 10);
        (void)sim_one(&plan, seed, &result);
        (void)prey(&hunt, seed, &result, "");
    }
    if (!hunt.found) {
        (void)sim_many(&plan, 1, o->count, 0, prey, &hunt);
    }
    if (!hunt.found) {
        printf("MISSED %s by %llu seeds of shape %s\n", o->mutant_name,
               (unsigned long long)hunt.tried, o->shape->name);
        return 1;
    }
    printf("caught %s %s %llu %s\n", o->mutant_name, o->shape->name, (unsigned long long)hunt.seed,
           hunt.reason);
    return 0;
}

/* ---- options --------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    struct options o = {.jobs = 2, .shape = sim_shape_named(NULL)};
    int option;

    while ((option = getopt(argc, argv, "vxs:m:n:j:t:o:c:f:")) != -1) {
        switch (option) {
        case 'v':
            o.verbose++;
            break;
        case 'x':
            o.hunt = true;
            break;
        case 's':
            o.shape = sim_shape_named(optarg);
            break;
        case 'm':
            o.mutant_name = optarg;
            o.mutants = mutants_of(optarg);
            break;
        case 'n':
            o.count = strtoull(optarg, NULL, 10);
            break;
        case 'j':
            o.jobs = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            o.seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'o':
            o.results = optarg;
            break;
        case 'f':
            o.story = optarg;
            break;
        case 'c':
            o.commit = optarg;
            break;
        default:
            o.shape = NULL;
            break;
        }
    }
    if (o.story != NULL) {
        return run_story(&o);
    }
    if (o.shape == NULL || (o.hunt ? o.mutants.on == 0 : optind + 1 != argc) || o.jobs == 0) {
        (void)fputs(usage, stderr);
        for (unsigned i = 0; sim_shape_at(i) != NULL; i++) {
            (void)fprintf(stderr, "shape %-10s %s\n", sim_shape_at(i)->name, sim_shape_at(i)->what);
        }
        return 2;
    }
    if (o.hunt) {
        return run_hunt(&o, argv + optind);
    }
    uint64_t seed = strtoull(argv[optind], NULL, 10);
    return o.count > 0 ? run_many(&o, seed) : run_one(&o, seed);
}
