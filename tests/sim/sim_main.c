/* SPDX-License-Identifier: Apache-2.0 */
/* sim [-v]... [-m MUTANT] SEED: one run. The last line is `sim: seed S ok` or `sim: seed S FAIL
 * reason`. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mutant.h"
#include "tests/sim/sim_run.h"

static uint64_t seed_now;

/* ---- planted bugs: only in the build of `make sim-mutants` ----------------------------------- */

#ifdef TERN_MUTANTS
enum mutant mutant_on;

static bool plant(const char *name)
{
#define MUTANT_NAME(name, what) #name,
    static const char *const all[] = {"none", MUTANTS(MUTANT_NAME)};

    for (int i = 0; i < (int)MUTANT_count; i++) {
        if (strcmp(all[i], name) == 0) {
            mutant_on = (enum mutant)i;
            return true;
        }
    }
    return false;
}
#else
static bool plant(const char *name)
{
    (void)name;
    return false;
}
#endif

/* A failed CHECK or a sanitizer ends the process: say so in the form that is promised. */
static void on_abort(int number)
{
    char line[96];
    int len = snprintf(line, sizeof line, "sim: seed %llu FAIL %s\n", (unsigned long long)seed_now,
                       number == SIGALRM   ? "it took too long in real time"
                       : number == SIGSEGV ? "segmentation fault"
                                           : "a CHECK failed");

    (void)fflush(stdout);
    ssize_t written = write(STDOUT_FILENO, line, (size_t)len);
    _exit(written > 0 ? 1 : 2);
}

int main(int argc, char **argv)
{
    struct sim_result result;
    int verbose = 0;
    int at = 1;
    const char *limit = getenv("SIM_SECONDS");

    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "-m") == 0 && at + 1 < argc && plant(argv[at + 1])) {
            at++;
        } else if (strcmp(argv[at], "-v") == 0) {
            verbose++;
        } else {
            break;
        }
    }
    if (at + 1 != argc) {
        (void)fprintf(stderr, "usage: sim [-v]... [-m MUTANT] SEED\n");
        return 2;
    }
    seed_now = strtoull(argv[at], NULL, 10);
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGALRM, on_abort);
    (void)alarm(limit != NULL ? (unsigned)atoi(limit) : 10);
    sim_run_seed(seed_now, verbose, &result);
    printf("sim: seed %llu ran %.1f s in %llu steps, trace %016llx: %llu sent, %llu acknowledged, "
           "%llu reads\n",
           (unsigned long long)seed_now, result.seconds, (unsigned long long)result.steps,
           (unsigned long long)result.hash, (unsigned long long)result.counts.sent,
           (unsigned long long)result.counts.acked, (unsigned long long)result.counts.reads);
    if (result.failure[0] != '\0') {
        printf("sim: seed %llu FAIL %s\n", (unsigned long long)seed_now, result.failure);
        return 1;
    }
    printf("sim: seed %llu ok\n", (unsigned long long)seed_now);
    return 0;
}
