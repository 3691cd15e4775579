/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Writing one checkpoint: begin, sections, pages, commit. The stream goes out in blocks of up to 1 MiB, one in
   flight while the next is filled, into the largest free runs; nothing points to it before ckpt_commit. After the
   first error every call returns it; ckpt_abort (or a power cut) leaves the store as it was. */
#ifndef SOJOURN_CKPT_STORE_WRITE_H
#define SOJOURN_CKPT_STORE_WRITE_H

#include "ckpt/pages.h"
#include "ckpt/store.h"

struct ckpt_meta {
    const char *label; /* cut at 63 bytes; what is not printable ASCII becomes '?'; NULL: none */
    int64_t time;      /* of the cut, seconds since 1970 UTC */
    enum ckpt_kind kind;
    enum ckpt_disk disk;
    const struct ckpt_layout *layout;
    uint64_t parent; /* what an incremental one builds on, taken with the same layout; 0 for a full one */
    uint64_t flags;  /* ENTRY_FLAG_* */
};

struct ckpt_writer {
    struct store *store;
    struct disk_entry entry; /* what the table will say */
    struct extent extent;
    struct zero_runs zeros; /* of an incremental one */
    uint64_t next_page;     /* behind the page put last */
    struct disk_end totals;
    const struct ckpt_layout *layout;
    uint64_t run_room;     /* blocks of the last run that are not written yet */
    uint32_t buffer, fill; /* io[buffer] holds fill bytes */
    uint32_t sequence;
    bool in_flight;
    bool appends;     /* and leaves io[0] to whom it gets its pages from */
    uint64_t wait_us; /* spent waiting for the disk */
    enum err failed;
};

/* The host's view of one guest page, for reading; NULL: cannot be had (E_INTERNAL). */
typedef const void *(*ckpt_page_reader)(void *ctx, gpa_t gpa);

/* done, total in bytes; called every 256 KiB or so. NULL where it is taken: nobody asks. */
struct ckpt_progress {
    void (*step)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

/* w: caller's, valid until commit or abort, as is meta->layout. E_BUSY: another one is being written; E_LAYOUT: the
   layout makes no sense; E_NOTFOUND: no such parent; E_KEY: the store is locked; E_FULL: 64 checkpoints, no free block, or a parent whose chain is
   STORE_CHAIN_MAX long (take a full one); E_INTERNAL: kind and parent do not fit together; E_IO; E_STOREVERSION: the
   store is read-only here. That the parent has the same layout is the caller's to know; ckpt_verify checks it. */
enum err ckpt_begin(struct ckpt_writer *w, struct store *s, const struct ckpt_meta *meta) MUST_USE;
/* name: up to 8 bytes, 0-terminated when shorter; bytes <= SECTION_BYTES_MAX (E_INTERNAL). All sections before the
 * first page. */
enum err ckpt_put_section(struct ckpt_writer *w, const char *name, uint16_t version, const void *data,
                          size_t bytes) MUST_USE;
/* Each RAM page of the layout outside its hidden range goes into exactly one of the two that follow, in any order; the
   ascending one packs best, and any other makes a checkpoint that programs without ENTRY_FEATURE_ANY_ORDER
   and ENTRY_FEATURE_MIXED refuse. Pages of the same content, one behind the other, cost a few bytes each. */
/* page: its number. content: 8-byte aligned, not looked at any more after the return; NULL: zeros. A zero page is left out of a full
   checkpoint and named in an incremental one. E_INTERNAL: no such page, or the one before it again; E_FULL, E_IO. */
enum err ckpt_put_page(struct ckpt_writer *w, uint64_t page, const void *content) MUST_USE;
/* Incremental only: the page is as it is in the parent. E_INTERNAL: no such page, or a full checkpoint. */
enum err ckpt_skip_page(struct ckpt_writer *w, uint64_t page) MUST_USE;
/* ckpt_put_page for all of them, ascending. Once. */
enum err ckpt_put_ram(struct ckpt_writer *w, ckpt_page_reader page, void *ctx,
                      const struct ckpt_progress *progress) MUST_USE;
/* The rest out, flush, table, flush, superblock, flush. E_OK: *id is committed. Any error: the store is as it was.
   E_INTERNAL: not all pages were put or skipped. */
enum err ckpt_commit(struct ckpt_writer *w, uint64_t *id) MUST_USE;
/* Give up; waits for the write in flight. Harmless after commit or a failed begin. */
void ckpt_abort(struct ckpt_writer *w);

/* ---- for store_merge.c: more pages for a checkpoint that is there, which its parent had ---- */

/* entry: of an incremental checkpoint; layout, totals and the next record's sequence are what a walk over it has found.
   Then pages and zero pages that it has not, gathered before the stage is used for something else. After end w->entry is
   what the table is to say, and the store is as it was; an error of end has given up, like ckpt_abort(). */
void ckpt_append_begin(struct ckpt_writer *w, struct store *s, const struct disk_entry *entry,
                       const struct ckpt_layout *layout, const struct disk_end *totals, uint32_t sequence);
enum err ckpt_append_page(struct ckpt_writer *w, uint64_t page, const void *content) MUST_USE;
enum err ckpt_append_zero(struct ckpt_writer *w, uint64_t page) MUST_USE;
enum err ckpt_append_gathered(struct ckpt_writer *w) MUST_USE;
enum err ckpt_append_end(struct ckpt_writer *w) MUST_USE;

/* ---- for sojstore copy: a checkpoint of another store, record by record, sealed as this one is ---- */

/* entry: the other store's. Then the records a walk gives, whose payload has room to be sealed; segment_ends: behind it
   another segment begins. After end w->entry is what the table is to say; an error of end has given up. */
void ckpt_copy_begin(struct ckpt_writer *w, struct store *s, const struct disk_entry *entry);
enum err ckpt_copy_record(struct ckpt_writer *w, const struct disk_record *record, void *payload,
                          bool segment_ends) MUST_USE;
enum err ckpt_copy_end(struct ckpt_writer *w) MUST_USE;

#endif
