/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The two hashes of the store format: XXH3-64 with a seed (records, superblocks) and XXH3-128 (the table).
   Only hash.c sees xxhash.h. They detect damage; they are no defence against someone who forges a store. */
#ifndef SOJOURN_CKPT_HASH_H
#define SOJOURN_CKPT_HASH_H

#include "types.h"

struct hash128 {
    uint64_t low, high;
};

uint64_t hash64(const void *data, size_t bytes, uint64_t seed);
struct hash128 hash128(const void *data, size_t bytes);
/* For telling whether a page has changed: never stored, and the key is different in every run. */
struct hash128 hash128_keyed(const void *data, size_t bytes, uint64_t key);

#endif
