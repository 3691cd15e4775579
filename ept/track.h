/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Which pages the guest has written since an instant: write permission is withdrawn from everything below an
 * address at once, high up in the tree, where it costs an entry per GiB; a write then faults, and pushes what was
 * withdrawn one level down at a time until it concerns one page of 4 KiB. Table pages come from a reserve that the
 * caller fills beforehand, so that this never fails for want of one.
 *
 * Where the CPU has dirty bits, what is withdrawn can be opened again as soon as nobody needs the fault any more: then
 * they tell what is written until the next instant. The flush that withdrawing owes covers the bits that are cleared: since
 * then no CPU can have remembered the page as one to write to.
 *
 * The caller keeps two CPUs from editing the tree at once. Withdrawing owes a flush (second_level.flush_epoch), giving
 * back does not: a CPU that remembers the old entry faults once more. */
#ifndef SOJOURN_EPT_TRACK_H
#define SOJOURN_EPT_TRACK_H

#include "ept/second_level.h"

/* Software bit of an entry, leaf or table: the write permission that it or all below it had is withdrawn. */
#define SL_TRACKED (1ull << 53)

struct sl_reserve {
    void **page; /* zeroed pages; page[0] .. page[left-1] are there */
    uint32_t left;
};

/* Table pages that splitting all of [0, end) into pages of 4 KiB can take. */
uint64_t sl_track_tables(uint64_t end);

/* Withdraw write permission from everything mapped in [0, end), end rounded up to 1 GiB. Pages that were never writable
   stay so. Callers: all CPUs stopped. */
void sl_track_start(struct second_level *sl, uint64_t end);

enum sl_track {
    SL_TRACK_OTHER, /* not mapped, or not writable for another reason: the fault is about something else */
    SL_TRACK_CLEAN, /* not written since sl_track_start: the caller does what it wants first, then sl_track_allow() */
    SL_TRACK_OPEN,  /* writable: this CPU remembered an old entry */
    SL_TRACK_NOMEM, /* the reserve is empty; nothing has changed */
};

/* A write to gpa is wanted. Leaves the page with an entry of its own. Cost: at most two tables of 512 entries. */
enum sl_track sl_track_write(struct second_level *sl, struct sl_reserve *reserve, gpa_t gpa);
/* After SL_TRACK_CLEAN for the same page: it may be written from now on. */
void sl_track_allow(struct second_level *sl, gpa_t gpa);
/* All CPUs are stopped: withdraw it from this page alone. False: it is not mapped or not writable, or tables ran out. */
bool sl_track_page(struct second_level *sl, struct sl_reserve *reserve, gpa_t gpa) MUST_USE;
/* Does the CPU's dirty bit say that the page was written before sl_track_start? Of a page that nobody could write to since;
   of another: no. A bit that nobody has cleared since the page was mapped says so, too. */
bool sl_track_dirty(const struct second_level *sl, gpa_t gpa);
/* The 2 MiB at gpa may be written again: in pages of 4 KiB, with dirty bits that begin anew where they were still
   withdrawn. E_NOMEM: the reserve is empty; some of it may have been split. */
enum err sl_track_open(struct second_level *sl, struct sl_reserve *reserve, gpa_t gpa) MUST_USE;
/* Has the page been written since sl_track_start? Pages that are not mapped or never writable: no. */
bool sl_track_written(const struct second_level *sl, gpa_t gpa);

#endif
