/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK: assertions about our own thinking, on in every build.
 *
 * A failed CHECK prints the expression, the place and the trace tail, then aborts: a node that no
 * longer understands its own state must not acknowledge anything. Never CHECK bytes that came
 * from disk or network; those are decoded and refused. */
#pragma once

#include <stdlib.h>

#define TERN_MUST_USE                   __attribute__((warn_unused_result))
#define TERN_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define TERN_UNUSED                     __attribute__((unused))

/* Tests of CHECK itself define their own check_failed and do not link check.c. */
_Noreturn void check_failed(const char *expression, const char *file, int line, const char *where);

#define CHECK(expression)                                                                          \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            check_failed(#expression, __FILE__, __LINE__, __func__);                               \
        }                                                                                          \
    } while (0)

/* Whole-structure scans: on in tests and in the simulator. */
#ifdef TERN_CHECK_SLOW
#define CHECK_SLOW(expression) CHECK(expression)
#else
#define CHECK_SLOW(expression) ((void)0)
#endif

/* The struct that embeds `member`, from a pointer to that member. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Memory for small things of ours. Running out of it is a failed CHECK: sizes that a peer chooses
 * are bounded before they get here. Zeroed; free with free(). */
void *mem_new(size_t size) __attribute__((malloc, alloc_size(1)));
/* Grows an array to hold `count` items of `size` bytes; the added part is not zeroed. */
void *mem_grow(void *array, size_t count, size_t size) TERN_MUST_USE;
/* At a page bound, as disks want it; from MEM_HUGE on at that bound, in huge pages if the system gives
 * them: a disk's request of so much is one run of memory then, not hundreds. `size` is a multiple of a
 * page, and above MEM_HUGE of that. Not zeroed. */
#define MEM_PAGE 4096u
#define MEM_HUGE (2u << 20)
void *mem_pages(size_t size) __attribute__((malloc, alloc_size(1)));
char *mem_string(const char *text) __attribute__((malloc));
