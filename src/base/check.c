/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stdio.h>
#include <string.h>

#include "base/trace.h"

_Noreturn void check_failed(const char *expression, const char *file, int line, const char *where)
{
    (void)fprintf(stderr, "CHECK failed: %s at %s:%d in %s\n", expression, file, line, where);
    trace_dump_tail();
    abort();
}

void *mem_new(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    CHECK(memory != NULL);
    return memory;
}

void *mem_grow(void *array, size_t count, size_t size)
{
    void *memory = reallocarray(array, count > 0 ? count : 1, size);
    CHECK(memory != NULL);
    return memory;
}

char *mem_string(const char *text)
{
    char *copy = strdup(text);
    CHECK(copy != NULL);
    return copy;
}
