/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The log ring; layout and guarantees are in the header. Text goes in first, headers after it: a reset in between
   loses the last line and nothing else. */
#include "kernel/log_ring.h"

#include <string.h>

#define FNV_OFFSET 0xcbf29ce484222325ull /* FNV-1a, 64 bit */
#define FNV_PRIME 0x100000001b3ull
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

static uint64_t checksum(const struct log_ring_header *h)
{
    unsigned char bytes[offsetof(struct log_ring_header, checksum)];
    memcpy(bytes, h, sizeof bytes);
    uint64_t sum = FNV_OFFSET;
    for (size_t i = 0; i < sizeof bytes; i++)
        sum = (sum ^ bytes[i]) * FNV_PRIME;
    return sum;
}

static void write_headers(const struct log_ring *ring)
{
    struct log_ring_header h = {LOG_RING_MAGIC, LOG_RING_VERSION, ring->data_bytes, ring->written, 0};
    h.checksum = checksum(&h);
    COMPILER_BARRIER();
    ring->area->header[0] = h;
    COMPILER_BARRIER();
    ring->area->header[1] = h;
    COMPILER_BARRIER();
}

static bool header_whole(const struct log_ring_header *h, uint32_t data_bytes)
{
    return h->magic == LOG_RING_MAGIC && h->version == LOG_RING_VERSION && h->data_bytes == data_bytes &&
           h->checksum == checksum(h);
}

static char printable(char c)
{
    return c == '\n' || (c >= ' ' && c <= '~') ? c : '?';
}

static uint64_t oldest_byte(uint64_t written, uint32_t data_bytes)
{
    return written > data_bytes ? written - data_bytes : 0;
}

enum log_ring_found log_ring_recover(const void *memory, size_t area_bytes, char *previous, size_t max, size_t *length)
{
    const struct log_ring_area *area = memory;
    *length = 0;
    if (area_bytes <= sizeof *area)
        return LOG_RING_NONE;
    uint32_t data_bytes = (uint32_t)(area_bytes - sizeof *area);
    uint64_t written = 0;
    bool whole = false;
    for (int i = 0; i < 2; i++) {
        if (!header_whole(&area->header[i], data_bytes))
            continue;
        whole = true;
        written = area->header[i].written > written ? area->header[i].written : written;
    }
    if (!whole && area->header[0].magic != LOG_RING_MAGIC && area->header[1].magic != LOG_RING_MAGIC)
        return LOG_RING_NONE;

    /* Without a header the fill level is unknown: everything up to the last byte that is not zero. */
    uint64_t from = oldest_byte(written, data_bytes), to = written;
    if (!whole)
        for (from = 0, to = data_bytes; to > 0 && !area->data[to - 1];)
            to--;
    bool cut = from > 0;
    if (to - from > max) {
        from = to - max;
        cut = true;
    }
    for (; from < to; from++) {
        char c = printable(area->data[from % data_bytes]);
        /* A first line without its beginning is dropped. */
        if (!cut)
            previous[(*length)++] = c;
        else if (c == '\n')
            cut = false;
    }
    return whole ? LOG_RING_GOOD : LOG_RING_DAMAGED;
}

void log_ring_init(struct log_ring *ring, void *area, size_t area_bytes)
{
    memset(area, 0, area_bytes);
    ring->area = area;
    ring->data_bytes = (uint32_t)(area_bytes - sizeof *ring->area);
    ring->written = 0;
    write_headers(ring);
}

static void put(struct log_ring *ring, char c)
{
    ring->area->data[ring->written % ring->data_bytes] = c;
    ring->written++;
}

void log_ring_append(struct log_ring *ring, const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        put(ring, line[i] == '\n' ? '?' : printable(line[i]));
    put(ring, '\n');
    write_headers(ring);
}

size_t log_ring_read(const struct log_ring *ring, uint64_t *position, char *out, size_t max)
{
    uint64_t oldest = oldest_byte(ring->written, ring->data_bytes);
    size_t n = 0;
    if (*position > ring->written)
        *position = ring->written;
    if (*position < oldest) {
        *position = oldest;
        while (*position < ring->written && ring->area->data[*position % ring->data_bytes] != '\n')
            ++*position;
        if (*position < ring->written)
            ++*position;
    }
    while (n < max && *position < ring->written)
        out[n++] = ring->area->data[(*position)++ % ring->data_bytes];
    return n;
}
