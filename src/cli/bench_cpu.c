/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_cpu.h"

#include <sys/resource.h>

double bench_cpu_now(void)
{
    struct rusage usage;

    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void bench_cpu_init(struct bench_cpu *cpu)
{
    *cpu = (struct bench_cpu){.began_s = -1};
}

void bench_cpu_begin(struct bench_cpu *cpu, uint64_t now_us)
{
    if (cpu->began_s < 0) {
        cpu->began_s = bench_cpu_now();
        cpu->began_us = now_us;
    }
}

void bench_cpu_end(struct bench_cpu *cpu, uint64_t now_us)
{
    if (cpu->began_s >= 0 && cpu->seconds <= 0) {
        cpu->used_s = bench_cpu_now() - cpu->began_s;
        cpu->seconds = (double)(now_us - cpu->began_us) / 1e6;
    }
}

double bench_cpu_share(const struct bench_cpu *cpu)
{
    return cpu->seconds > 0 ? cpu->used_s / cpu->seconds : 0;
}
