/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets share. Each is one function over bytes; libFuzzer calls it with bytes of its own making, and
   replay.c with those of test/fuzz/corpus/NAME, so that what was found once is looked at by every make unit. */
#ifndef SOJOURN_TEST_FUZZ_H
#define SOJOURN_TEST_FUZZ_H

#include "types.h"

#include <stdio.h>
#include <stdlib.h>

/* Returns 0, whatever the bytes are; what must not happen ends the program. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stays in every build, as assert does not. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
