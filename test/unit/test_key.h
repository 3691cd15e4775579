/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A key for tests, with nonces by the rule of the host: count and time. */
#ifndef SOJOURN_TEST_KEY_H
#define SOJOURN_TEST_KEY_H

#include "ckpt/seal.h"

static void test_nonce(uint8_t nonce[SEAL_NONCE_BYTES], uint64_t generation)
{
    static uint64_t count;
    seal_count_nonce(nonce, &count, 0, 1700000000, generation);
}

__attribute__((unused)) static const struct seal_key test_key = {.bytes = "one key for tests, of 32 bytes !",
                                                                 test_nonce};
__attribute__((unused)) static const struct seal_key other_key = {.bytes = "two key for tests, of 32 bytes !",
                                                                  test_nonce};

#endif
