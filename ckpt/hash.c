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

struct hash128 hash128_keyed(const void *data, size_t bytes, uint64_t key)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(data, bytes, key);
    return (struct hash128){h.low64, h.high64};
}

struct hash128 hash128(const void *data, size_t bytes)
{
    return hash128_keyed(data, bytes, 0); /* the library's own for it would be the same once more */
}
