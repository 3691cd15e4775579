/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A byte ring for one producer and one consumer over the caller's buffer. The gateway's data page holds one, and
   the gateway's assembly writes it, so the layout is fixed and holds no pointer: the bytes are passed separately.

     head   counts bytes ever put, modulo 2^32: written by the producer only, after the byte itself
     tail   counts bytes ever taken: written by the consumer only, after the byte was read
     mask   size - 1, size a power of two: written by ring_init only
     zero   always 0

   used = head - tail; the byte number n lies at data[n & mask]. x86 keeps stores in order (SDM 3A 9.2.2 "Memory
   Ordering in P6 and More Recent Processor Families"), so volatile accesses and compiler barriers are enough. */
#ifndef SOJOURN_RING_H
#define SOJOURN_RING_H

#include "types.h"

struct byte_ring {
    volatile uint32_t head;
    volatile uint32_t tail;
    uint32_t mask;
    uint32_t zero;
};

_Static_assert(sizeof(struct byte_ring) == 16, "the gateway's assembly reads it");
_Static_assert(offsetof(struct byte_ring, head) == 0, "the gateway's assembly reads it");
_Static_assert(offsetof(struct byte_ring, tail) == 4, "the gateway's assembly reads it");
_Static_assert(offsetof(struct byte_ring, mask) == 8, "the gateway's assembly reads it");

#define RING_BARRIER() __asm__ volatile("" ::: "memory")

/* size_bytes: a power of two, at most 2^31. */
static inline void ring_init(struct byte_ring *ring, uint32_t size_bytes)
{
    ring->head = 0;
    ring->tail = 0;
    ring->mask = size_bytes - 1;
    ring->zero = 0;
}

static inline uint32_t ring_size(const struct byte_ring *ring)
{
    return ring->mask + 1;
}

/* Bytes that wait. While native the data page is merely unlisted: counters that make no sense count as empty. */
static inline uint32_t ring_used(const struct byte_ring *ring)
{
    uint32_t used = ring->head - ring->tail;
    return used <= ring_size(ring) ? used : 0;
}

static inline uint32_t ring_free(const struct byte_ring *ring)
{
    return ring_size(ring) - ring_used(ring);
}

/* Producer. False: full, nothing was put. */
static inline bool ring_put(struct byte_ring *ring, uint8_t *data, uint8_t byte)
{
    uint32_t head = ring->head;
    if (ring_free(ring) == 0)
        return false;
    data[head & ring->mask] = byte;
    RING_BARRIER();
    ring->head = head + 1;
    return true;
}

/* Consumer. False: empty. */
static inline bool ring_get(struct byte_ring *ring, const uint8_t *data, uint8_t *byte)
{
    uint32_t tail = ring->tail;
    if (ring_used(ring) == 0)
        return false;
    *byte = data[tail & ring->mask];
    RING_BARRIER();
    ring->tail = tail + 1;
    return true;
}

/* Producer: all of it, or false and nothing. */
static inline bool ring_put_all(struct byte_ring *ring, uint8_t *data, const void *bytes, uint32_t n)
{
    uint32_t head = ring->head, at = head & ring->mask, upto_end = ring_size(ring) - at;
    if (ring_free(ring) < n)
        return false;
    if (n <= upto_end) {
        __builtin_memcpy(data + at, bytes, n);
    } else {
        __builtin_memcpy(data + at, bytes, upto_end);
        __builtin_memcpy(data, (const uint8_t *)bytes + upto_end, n - upto_end);
    }
    RING_BARRIER();
    ring->head = head + n;
    return true;
}

/* Consumer: as many as wait and fit; how many. */
static inline uint32_t ring_get_all(struct byte_ring *ring, const uint8_t *data, uint8_t *out, uint32_t max)
{
    uint32_t tail = ring->tail, at = tail & ring->mask, upto_end = ring_size(ring) - at, used = ring_used(ring);
    uint32_t n = used < max ? used : max;
    if (n <= upto_end) {
        __builtin_memcpy(out, data + at, n);
    } else {
        __builtin_memcpy(out, data + at, upto_end);
        __builtin_memcpy(out + upto_end, data, n - upto_end);
    }
    RING_BARRIER();
    ring->tail = tail + n;
    return n;
}

/* Consumer. Forget what waits; also what brings counters that make no sense back into order. */
static inline void ring_clear(struct byte_ring *ring)
{
    ring->tail = ring->head;
}

#endif
