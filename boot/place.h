/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Placement: where the guest's pieces go, and in which order they are moved there so that none is overwritten
   before it was moved. */
#ifndef SOJOURN_BOOT_PLACE_H
#define SOJOURN_BOOT_PLACE_H

#include "boot/memmap.h"
#include "err.h"
#include "types.h"

#define PLACE_PIECES_MAX 64
#define PLACE_RANGES_MAX 256

struct place_range {
    uint64_t base, end;
};

struct place_free {
    uint32_t count;
    struct place_range range[PLACE_RANGES_MAX]; /* disjoint, ascending */
};

/* FIXED: at to and nowhere else. LOW / HIGH: the lowest / highest aligned place in [min, max). */
enum place_mode { PLACE_FIXED, PLACE_LOW, PLACE_HIGH };

struct place_piece {
    const char *name; /* for the message */
    enum place_mode mode;
    uint64_t from;     /* where its bytes are now */
    uint64_t bytes;    /* to move; 0: only room is needed */
    uint64_t reserve;  /* room at the target, >= bytes */
    uint64_t align;    /* power of two */
    uint64_t min, max; /* LOW and HIGH */
    uint64_t to;       /* in for FIXED, else out */
};

struct place_op {
    uint64_t from, to, bytes; /* a memmove: source and target may overlap */
};

struct place_ops {
    uint32_t count;
    struct place_op op[2 * PLACE_PIECES_MAX];
};

/* The RAM of map below 4 GiB. The first page (real-mode vectors and BIOS data) is left out. */
void place_free_from_map(struct place_free *f, const struct memmap *map);
void place_free_remove(struct place_free *f, uint64_t base, uint64_t end);
/* Choose every piece's target, in the order given: put the fixed ones first. E_OVERLAP, E_NOMEM with the piece. */
enum err place_choose(struct place_piece *pieces, size_t count, const struct place_free *f, char *why,
                      size_t why_bytes) MUST_USE;
/* Order the moves. A cycle is broken by moving one piece out of the way first, to a place in f that neither holds a
   source nor is a target. E_NOMEM: no such place. */
enum err place_order(const struct place_piece *pieces, size_t count, const struct place_free *f, struct place_ops *out,
                     char *why, size_t why_bytes) MUST_USE;

#endif
