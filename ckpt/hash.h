/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The hashes of the store format: XXH3-64 with a seed (records, superblocks) and XXH3-128 (the table); and XXH3-128 of a page
   under a key, which tells whether it has changed and is never stored. Only hash.c sees xxhash.h. They detect damage; they are no defence
   against someone who forges a store. */
#ifndef SOJOURN_CKPT_HASH_H
#define SOJOURN_CKPT_HASH_H

#include "types.h"

#define HASH_SECRET_BYTES 192
#define HASH_LANES 8

struct hash128 {
    uint64_t low, high;
};

uint64_t hash64(const void *data, size_t bytes, uint64_t seed);
struct hash128 hash128(const void *data, size_t bytes);

/* What the library makes of a seed, once instead of for each page. */
struct hash_key {
    uint8_t secret[HASH_SECRET_BYTES];
};
void hash_key_init(struct hash_key *key, uint64_t seed);

/* Nearly all of the work: a page into the lanes. Each of them gives the same. */
typedef void hash_fold_fn(uint64_t lanes[HASH_LANES], const void *page, const uint8_t *secret);
hash_fold_fn hash_fold;

/* XXH3_128bits_withSeed() of a page. */
struct hash128 hash_page(const void *page, const struct hash_key *key, hash_fold_fn *fold);

#endif
