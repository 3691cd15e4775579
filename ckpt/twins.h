/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Pages that are the same. A system in use holds many a page twice or more: a file in the page cache and where it was
 * unpacked from, tables that begin alike. One behind the other in an extent, each further one costs LZ4 a few bytes. So
 * before a full checkpoint is written all pages are looked at once, and those of one hash are linked; whoever writes one
 * takes the next of its link behind it, if a comparison says that it is the same. A wrong hash does no harm. */
#ifndef SOJOURN_CKPT_TWINS_H
#define SOJOURN_CKPT_TWINS_H

#include "ckpt/hash.h"
#include "types.h"

struct twins {
    struct hash128 *link; /* by page number: hash, and the next page of the same one; 0: none */
    uint64_t end;         /* what is there and above was not looked at */
    uint32_t *head;       /* the page looked at last, by the hash's low bits, of a power of two of them */
    uint64_t heads;
};

/* link: of as many pages as will be looked at; lost. head: head_bytes of scratch memory, 8-byte aligned, needed while pages
   are looked at. Where it is small, some twins are not found. */
void twins_begin(struct twins *t, struct hash128 *link, void *head, size_t head_bytes);
/* Page numbers below 2^32 ascend. content: PAGE_BYTES, 8-byte aligned; NULL: it is not to be linked. */
void twins_look(struct twins *t, uint64_t page, const void *content);
/* The next page that was linked to this one; 0: none. */
uint64_t twins_next(const struct twins *t, uint64_t page);

#endif
