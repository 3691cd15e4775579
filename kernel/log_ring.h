/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The log's ring of text lines in a fixed area of hidden memory, laid out so that it outlives a warm reset. Two
   checksummed headers are written one after the other, so a reset between two stores leaves at least one whole. At the
   next boot log_ring_recover() copies out what is there; nothing found in the area is trusted beyond being text. */
#ifndef SOJOURN_LOG_RING_H
#define SOJOURN_LOG_RING_H

#include "types.h"

#define LOG_RING_AREA_BYTES 65536u
#define LOG_RING_MAGIC 0x474f4c4e524a4f53ull /* "SOJRNLOG" */
#define LOG_RING_VERSION 1u

struct log_ring_header {
    uint64_t magic;
    uint32_t version;
    uint32_t data_bytes;
    uint64_t written; /* bytes ever; the next one goes to data[written % data_bytes] */
    uint64_t checksum;
};

struct log_ring_area {
    struct log_ring_header header[2];
    char data[];
};

_Static_assert(sizeof(struct log_ring_header) == 32, "layout outlives a reset");
_Static_assert(offsetof(struct log_ring_area, data) == 64, "layout outlives a reset");

struct log_ring {
    struct log_ring_area *area;
    uint32_t data_bytes;
    uint64_t written;
};

enum log_ring_found {
    LOG_RING_NONE,    /* no log here */
    LOG_RING_DAMAGED, /* both headers broken: text in the order it lies there */
    LOG_RING_GOOD,    /* a header is whole: oldest line first */
};

/* Before log_ring_init on the same memory: copy the last boot's text to previous, oldest first, at most max bytes (the
   newest are kept). Bytes that are not printable become '?'. */
enum log_ring_found log_ring_recover(const void *memory, size_t area_bytes, char *previous, size_t max, size_t *length);

/* Start an empty ring. area: 8-byte aligned, at least 4 KiB. */
void log_ring_init(struct log_ring *ring, void *area, size_t area_bytes);

/* One line, without its end. Control characters become '?'. */
void log_ring_append(struct log_ring *ring, const char *line, size_t length);

/* The next piece of text from *position (0: the oldest line) on; moves *position. 0: no more. If lines were overwritten
   since the last call, reading goes on at the oldest whole line. */
size_t log_ring_read(const struct log_ring *ring, uint64_t *position, char *out, size_t max);

#endif
