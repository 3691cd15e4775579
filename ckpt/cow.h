/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Copy-on-first-write: memory as of a cut, while its owner goes on writing to it. A page is either still as it was
 * at the cut (nobody may write to it), or kept in a bounded pool (copied right before the first write), or taken: its
 * content as of the cut is where it is wanted.
 *
 *     still as it was --- cow_keep, before a write ---> kept --- cow_take ---> taken
 *             \------------------------ cow_take ------------------------------^
 *
 * What is kept is taken first, so that the pool empties as fast as pages are taken. The caller makes sure that nobody
 * writes to a page before cow_keep has said so, and that the functions exclude each other. */
#ifndef SOJOURN_CKPT_COW_H
#define SOJOURN_CKPT_COW_H

#include "ckpt/pages.h"

struct cow {
    /* from the caller, once */
    uint8_t *settled;    /* a bit per page number, of pages: kept or taken */
    uint64_t pages;      /* page numbers below can be handled */
    uint8_t *pool;       /* slots * PAGE_BYTES */
    uint64_t *pool_page; /* of each slot: which page it holds */
    uint32_t slots;

    uint32_t used; /* slots 0 .. used-1 are in use */
    struct page_cursor cursor;
    uint64_t kept;     /* since cow_begin */
    uint64_t was_full; /* how often a writer had to wait */
};

/* The host's view of one page; NULL: cannot be had; cow_unchanged: nobody needs it; cow_zeros: it is known to be nothing else. */
typedef const void *(*cow_reader)(void *ctx, uint64_t page);
extern const char cow_unchanged[], cow_zeros[];

/* The cut: every RAM page of the layout outside its hidden range is as it was. Nobody may write from now on. */
void cow_begin(struct cow *c, const struct ckpt_layout *layout);

enum cow_keep {
    COW_KEPT,    /* it has been copied, or had been: it may be written */
    COW_FULL,    /* no room: it may not be written yet; take some, and ask again */
    COW_FOREIGN, /* none of the layout's: it may be written */
};
/* A write to this page, whose content is given, is about to happen. */
enum cow_keep cow_keep(struct cow *c, uint64_t page, const void *content);

/* Take the next page: its number, and its content as of the cut, which is in to (PAGE_BYTES); NULL: zeros, said the reader.
   E_ALREADY: it said cow_unchanged, there is only the number. E_NOTFOUND: all are taken. E_INTERNAL: the reader failed. */
enum err cow_take(struct cow *c, cow_reader read, void *ctx, uint64_t *page, void *to, const void **content) MUST_USE;

/* Take this page, if nobody has yet, it lies in the layout, and its content now is the one given. */
bool cow_take_same(struct cow *c, uint64_t page, const void *now, const void *content) MUST_USE;
/* Has the page neither been taken nor been written since the cut? */
bool cow_untouched(const struct cow *c, uint64_t page) MUST_USE;

#endif
