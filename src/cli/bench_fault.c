/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_fault.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench_run.h"

#define RECOVER_US   60000000u /* after so long without acks on a partition it has failed */
#define LEFTOVERS_US 300000u   /* acks right after a fault may have been on their way */

/* stdout belongs to the result, so commands write to stderr. */
static pid_t start(const char *command)
{
    char shell[] = "/bin/sh";
    char flag[] = "-c";
    char *copy = mem_string(command);
    char *argv[] = {shell, flag, copy, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;

    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO) == 0);
    int error = posix_spawn(&pid, shell, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(copy);
    return error == 0 ? pid : -1;
}

static void enter(struct bench_fault_script *script, enum bench_fault_phase phase, uint64_t now_us)
{
    script->phase = phase;
    script->since_us = now_us;
}

static enum bench_fault_step failed(struct bench_fault_script *script, const char *why)
{
    (void)snprintf(script->why, sizeof script->why, "%s", why);
    return BENCH_FAULT_FAILED;
}

static bool begin(struct bench_fault_script *script, const char *command,
                  enum bench_fault_phase phase, uint64_t now_us)
{
    script->ops->begin(script->ctx);
    script->child = start(command);
    enter(script, phase, now_us);
    return script->child > 0;
}

/* True once the command has ended. */
static bool ended(struct bench_fault_script *script, int *out_status)
{
    int status;

    pid_t got = waitpid(script->child, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) {
        return false;
    }
    script->child = 0;
    *out_status = got > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return true;
}

static bool passed(const struct bench_fault_script *script, uint64_t now_us, uint32_t ms)
{
    return now_us - script->since_us >= (uint64_t)ms * 1000;
}

static enum bench_fault_step steady(struct bench_fault_script *script, uint64_t now_us,
                                    struct bench_fault *fault)
{
    if (script->since_us == 0) {
        memset(fault, 0, sizeof *fault);
        script->ops->begin(script->ctx);
        enter(script, FAULT_STEADY, now_us);
    } else if (passed(script, now_us, script->plan->steady_ms)) {
        if (script->ops->acked_since(script->ctx, script->since_us)) {
            if (!begin(script, script->plan->fault, FAULT_STRIKE, now_us)) {
                return failed(script, "the fault's command could not be started");
            }
        } else if (now_us - script->since_us > RECOVER_US) {
            return failed(script, "a partition is not acknowledged before the fault");
        }
    }
    return BENCH_FAULT_GOES_ON;
}

static enum bench_fault_step watch(struct bench_fault_script *script, uint64_t now_us,
                                   struct bench_fault *fault)
{
    if (!passed(script, now_us, script->plan->settle_ms)) {
        return BENCH_FAULT_GOES_ON;
    }
    fault->recovered = script->ops->acked_since(script->ctx, script->since_us + LEFTOVERS_US);
    if (!fault->recovered && now_us - script->since_us < RECOVER_US) {
        return BENCH_FAULT_GOES_ON;
    }
    script->ops->gap(script->ctx, &fault->gap);
    if (script->plan->heal == NULL) {
        enter(script, FAULT_STEADY, 0);
        return BENCH_FAULT_DONE;
    }
    if (!begin(script, script->plan->heal, FAULT_HEAL, now_us)) {
        return failed(script, "the healing command could not be started");
    }
    return BENCH_FAULT_GOES_ON;
}

static enum bench_fault_step watch_heal(struct bench_fault_script *script, uint64_t now_us,
                                        struct bench_fault *fault)
{
    if (!passed(script, now_us, script->plan->settle_ms)) {
        return BENCH_FAULT_GOES_ON;
    }
    script->ops->gap(script->ctx, &fault->heal);
    enter(script, FAULT_STEADY, 0);
    return BENCH_FAULT_DONE;
}

enum bench_fault_step bench_fault_step(struct bench_fault_script *script, uint64_t now_us,
                                       struct bench_fault *fault)
{
    switch (script->phase) {
    case FAULT_STEADY:
        return steady(script, now_us, fault);
    case FAULT_STRIKE:
        if (ended(script, &fault->status)) {
            fault->command_s = (double)(now_us - script->since_us) / 1e6;
            if (fault->status != 0) {
                return failed(script, "the fault's command failed");
            }
            enter(script, FAULT_WATCH, now_us);
        }
        break;
    case FAULT_WATCH:
        return watch(script, now_us, fault);
    case FAULT_HEAL:
        if (ended(script, &fault->heal_status)) {
            if (fault->heal_status != 0) {
                return failed(script, "the healing command failed");
            }
            enter(script, FAULT_WATCH_HEAL, now_us);
        }
        break;
    case FAULT_WATCH_HEAL:
        return watch_heal(script, now_us, fault);
    }
    return BENCH_FAULT_GOES_ON;
}

void bench_fault_init(struct bench_fault_script *script, const struct bench_plan *plan,
                      const struct bench_window_ops *ops, void *ctx)
{
    *script = (struct bench_fault_script){.plan = plan, .ops = ops, .ctx = ctx};
}

void bench_fault_fini(struct bench_fault_script *script)
{
    if (script->child > 0) {
        (void)waitpid(script->child, NULL, 0);
        script->child = 0;
    }
}
