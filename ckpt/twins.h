/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Pages that are the same. A system in use holds many a page twice or more: a file in the page cache and where it was
 * unpacked from, tables that begin alike. One behind the other in an extent, each further one costs LZ4 a few bytes. So
 * before a checkpoint is written the pages that will be in it are looked at once, and those of one hash are linked; whoever
 * writes one takes the next of its link behind it, if a comparison says that it is the same. A wrong hash does no harm. */
#ifndef SOJOURN_CKPT_TWINS_H
#define SOJOURN_CKPT_TWINS_H

#include "ckpt/hash.h"
#include "types.h"

struct twins {
    const struct hash128 *hash; /* by page number */
    uint32_t *next;             /* the next page of the same hash; 0: none */
    uint64_t pages;
    uint32_t *head; /* the page looked at last, by the hash's low bits, of a power of two of them */
    uint64_t heads;
};

/* hash and next: of as many pages. head: head_bytes of scratch memory, 8-byte aligned, needed while pages are looked at.
   Where it is small, some twins are not found. */
void twins_begin(struct twins *t, const struct hash128 *hash, uint32_t *next, uint64_t pages, void *head,
                 size_t head_bytes);
/* This page's hash is known now; pages ascend. One whose hash is 0 is nobody's twin. */
void twins_look(struct twins *t, uint64_t page);
/* The next page that was linked to this one; 0: none. */
uint64_t twins_next(const struct twins *t, uint64_t page);

#endif
