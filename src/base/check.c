/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/trace.h"

_Noreturn void check_failed(const char *expression, const char *file, int line, const char *where)
{
    (void)fprintf(stderr, "CHECK failed: %s at %s:%d in %s\n", expression, file, line, where);
    trace_dump_tail();
    abort();
}

/* Up to this size glibc has a cache per thread, which its calloc passes by (before 2.41). */
#define CACHED_MAX 1024

void *mem_new(size_t size)
{
    size = size > 0 ? size : 1;
    void *memory = size <= CACHED_MAX ? malloc(size) : calloc(1, size);
    CHECK(memory != NULL);
    return size <= CACHED_MAX ? memset(memory, 0, size) : memory;
}

void *mem_grow(void *array, size_t count, size_t size)
{
    void *memory = reallocarray(array, count > 0 ? count : 1, size);
    CHECK(memory != NULL);
    return memory;
}

void *mem_pages(size_t size)
{
    bool huge = size >= MEM_HUGE;
    void *memory = aligned_alloc(huge ? MEM_HUGE : MEM_PAGE, size);

    CHECK(memory != NULL);
    if (huge) {
        (void)madvise(memory, size, MADV_HUGEPAGE); /* it is as good without, only slower */
    }
    return memory;
}

char *mem_string(const char *text)
{
    char *copy = strdup(text);
    CHECK(copy != NULL);
    return copy;
}
