/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_many.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mutant.h"

#define JOBS_MAX 64
#define SAID_MAX 4096

#ifdef TERN_MUTANTS
enum mutant mutant_on;
enum mutant mutant_too;

void sim_plant(struct sim_mutants mutants)
{
    mutant_on = (enum mutant)mutants.on;
    mutant_too = (enum mutant)mutants.too;
}
#else
void sim_plant(struct sim_mutants mutants)
{
    (void)mutants;
}
#endif

struct job {
    pid_t pid; /* 0: free */
    uint64_t seed;
    FILE *result;
    FILE *said;
};

double sim_real_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void sim_limit_cpu(unsigned seconds)
{
    struct rlimit limit = {seconds, seconds + 1};

    (void)setrlimit(RLIMIT_CPU, &limit);
}

/* In the child. */
static void run(const struct sim_plan *plan, const struct job *job)
{
    struct sim_result result;
    struct rusage usage;

    (void)dup2(fileno(job->said), STDOUT_FILENO);
    (void)dup2(fileno(job->said), STDERR_FILENO);
    (void)signal(SIGABRT, SIG_DFL);
    (void)signal(SIGXCPU, SIG_DFL);
    sim_limit_cpu(plan->limit_s);
    /* Memory that was freed is used again, not given back. */
    (void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
    (void)mallopt(M_TOP_PAD, 8 << 20);
    sim_plant(plan->mutants);
    sim_run_seed(job->seed, plan->shape, 0, &result);
    (void)getrusage(RUSAGE_SELF, &usage);
    result.real_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (fwrite(&result, sizeof result, 1, job->result) != 1 || fflush(job->result) != 0) {
        _exit(2);
    }
    _exit(0);
}

static void begin(const struct sim_plan *plan, struct job *job, uint64_t seed)
{
    job->seed = seed;
    job->result = tmpfile();
    job->said = tmpfile();
    CHECK(job->result != NULL && job->said != NULL);
    (void)fflush(stdout);
    job->pid = fork();
    CHECK(job->pid >= 0);
    if (job->pid == 0) {
        run(plan, job);
    }
}

/* What a process said before it ended, and why it did. */
static void explain(struct job *job, int status, struct sim_result *result, char said[SAID_MAX])
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    (void)snprintf(result->failure, sizeof result->failure, "%s",
                   number == SIGXCPU   ? "it took too much of the processor"
                   : number == SIGSEGV ? "segmentation fault"
                   : number == SIGABRT ? "a CHECK failed"
                                       : "it ended without a word");
    (void)fseek(job->said, 0, SEEK_END);
    long size = ftell(job->said);
    (void)fseek(job->said, size > SAID_MAX - 1 ? size - (SAID_MAX - 1) : 0, SEEK_SET);
    said[fread(said, 1, SAID_MAX - 1, job->said)] = '\0';
    const char *check = strstr(said, "CHECK failed");
    if (check != NULL) {
        (void)snprintf(result->failure, sizeof result->failure, "a %.*s", (int)strcspn(check, "\n"),
                       check);
    }
}

static void finish(struct job *job, int status, struct sim_result *result, char said[SAID_MAX])
{
    memset(result, 0, sizeof *result);
    said[0] = '\0';
    rewind(job->result);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
        fread(result, sizeof *result, 1, job->result) != 1) {
        explain(job, status, result, said);
    }
    (void)fclose(job->result);
    (void)fclose(job->said);
    job->pid = 0;
}

static struct job *job_of(struct job *jobs, unsigned count, pid_t pid)
{
    for (unsigned i = 0; i < count; i++) {
        if (jobs[i].pid == pid) {
            return &jobs[i];
        }
    }
    return NULL;
}

/* Waits for one of these, and for no child of anybody else: sim_one may be called in between. */
static struct job *any_ended(struct job *jobs, unsigned count, int *out_status)
{
    siginfo_t info;

    while (true) {
        for (unsigned i = 0; i < count; i++) {
            if (jobs[i].pid != 0 && waitpid(jobs[i].pid, out_status, WNOHANG) > 0) {
                return &jobs[i];
            }
        }
        CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);
        if (job_of(jobs, count, info.si_pid) == NULL) {
            (void)usleep(1000); /* another's; these are still running */
        }
    }
}

uint64_t sim_many(const struct sim_plan *plan, uint64_t first, uint64_t count, double stop_at,
                  sim_ended *ended, void *ctx)
{
    struct job jobs[JOBS_MAX] = {{0}};
    unsigned most = plan->jobs < JOBS_MAX ? plan->jobs : JOBS_MAX;
    uint64_t next = 0;
    unsigned running = 0;

    while (true) {
        bool more = next < count && (stop_at <= 0 || sim_real_s() < stop_at);
        struct job *idle = more && running < most ? job_of(jobs, most, 0) : NULL;
        if (idle != NULL) {
            begin(plan, idle, first + next++);
            running++;
            continue;
        }
        if (running == 0) {
            return next;
        }
        int status = 0;
        struct job *job = any_ended(jobs, most, &status);
        struct sim_result result;
        char said[SAID_MAX];
        finish(job, status, &result, said);
        running--;
        if (!ended(ctx, job->seed, &result, said)) {
            count = next;
        }
    }
}

struct only {
    struct sim_result *out;
};

static bool only_ended(void *ctx, uint64_t seed, const struct sim_result *result, const char *said)
{
    (void)seed;
    (void)said;
    *((struct only *)ctx)->out = *result;
    return true;
}

bool sim_one(const struct sim_plan *plan, uint64_t seed, struct sim_result *out)
{
    struct only only = {out};

    (void)sim_many(plan, seed, 1, 0, only_ended, &only);
    return out->failure[0] == '\0';
}
