/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Bits and bit ranges as the manuals write them: BIT(n), MASK(hi, lo). */
#ifndef SOJOURN_BITS_H
#define SOJOURN_BITS_H

#include "types.h"

#define BIT(n) (1ull << (n))
#define BIT32(n) (1u << (n))
/* All bits from hi down to lo, both included: MASK(51, 12). */
#define MASK(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

static inline uint64_t bits_get(uint64_t value, unsigned hi, unsigned lo)
{
    return (value & MASK(hi, lo)) >> lo;
}

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t power_of_two)
{
    return value & ~(power_of_two - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Bits set; the compiler's own would call a library that the image does not have. */
static inline unsigned count_ones(uint64_t value)
{
    unsigned n = 0;
    for (; value; value &= value - 1)
        n++;
    return n;
}

/* Loads and stores at any alignment, little endian as everything on this machine. */
static inline uint16_t load16(const void *p)
{
    uint16_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load32(const void *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t load64(const void *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static inline void store16(void *p, uint16_t v)
{
    __builtin_memcpy(p, &v, sizeof v);
}

static inline void store32(void *p, uint32_t v)
{
    __builtin_memcpy(p, &v, sizeof v);
}

static inline void store64(void *p, uint64_t v)
{
    __builtin_memcpy(p, &v, sizeof v);
}

#endif
