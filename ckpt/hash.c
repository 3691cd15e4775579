/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. XXH3 (xxHash 0.8, whose output is frozen) as scalar code: the image has no SSE. Everything of the library
   is inlined here, so that nothing compiled for the hosted ABI is linked. */
#include "ckpt/hash.h"

#define XXH_INLINE_ALL
#define XXH_NO_STDLIB
#define XXH_NO_STREAM
#define XXH_VECTOR 0              /* XXH_SCALAR */
#define XXH_FORCE_MEMORY_ACCESS 1 /* packed loads: -ffreestanding turns every memcpy of 8 bytes into a call */
#include <xxhash.h>

uint64_t hash64(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

struct hash128 hash128(const void *data, size_t bytes)
{
    XXH128_hash_t h = XXH3_128bits(data, bytes);
    return (struct hash128){h.low64, h.high64};
}

_Static_assert(HASH_SECRET_BYTES == XXH_SECRET_DEFAULT_SIZE && HASH_LANES == XXH_ACC_NB, "as the library has them");

void hash_key_init(struct hash_key *key, uint64_t seed)
{
    XXH3_initCustomSecret_scalar(key->secret, seed);
}

void hash_fold(uint64_t lanes[HASH_LANES], const void *page, const uint8_t *secret)
{
    XXH3_hashLong_internal_loop(lanes, page, PAGE_BYTES, secret, HASH_SECRET_BYTES, XXH3_accumulate_512_scalar,
                                XXH3_scrambleAcc_scalar);
}

struct hash128 hash_page(const void *page, const struct hash_key *key, hash_fold_fn *fold)
{
    uint64_t lanes[HASH_LANES] __attribute__((aligned(XXH_ACC_ALIGN))) = XXH3_INIT_ACC;
    const uint8_t *end = key->secret + HASH_SECRET_BYTES - sizeof lanes;
    fold(lanes, page, key->secret);
    return (struct hash128){XXH3_mergeAccs(lanes, key->secret + XXH_SECRET_MERGEACCS_START, PAGE_BYTES * XXH_PRIME64_1),
                            XXH3_mergeAccs(lanes, end - XXH_SECRET_MERGEACCS_START, ~(PAGE_BYTES * XXH_PRIME64_2))};
}
