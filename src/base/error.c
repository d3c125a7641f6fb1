/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stddef.h>

#include "base/check.h"

struct error_row {
    int error;
    int16_t kafka;
    const char *name;
    const char *sentence;
};

static const struct error_row rows[] = {{0, 0, "OK", "no error"},
#define TERN_ERROR_ROW(number, name, kafka, sentence) {-(number), kafka, #name, sentence},
                                        TERN_ERRORS(TERN_ERROR_ROW)
#undef TERN_ERROR_ROW
};

static const struct error_row *row_of(int error)
{
    static const struct error_row unknown = {0, -1, "E?", "unknown error"};

    /* Row n describes error -n: the table has no holes. */
    if (error > 0 || (size_t)(-(long)error) >= ARRAY_COUNT(rows)) {
        return &unknown;
    }
    CHECK(rows[-error].error == error);
    return &rows[-error];
}

const char *error_name(int error)
{
    return row_of(error)->name;
}

const char *error_sentence(int error)
{
    return row_of(error)->sentence;
}

int16_t error_kafka(int error)
{
    return row_of(error)->kafka;
}
