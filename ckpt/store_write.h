/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Writing one checkpoint: begin, sections, RAM, commit. The stream goes out in blocks of up to 1 MiB, one in
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
};

struct ckpt_writer {
    struct store *store;
    struct disk_entry entry; /* what the table will say */
    struct extent extent;
    struct disk_end totals;
    const struct ckpt_layout *layout;
    uint64_t run_room;     /* blocks of the last run that are not written yet */
    uint32_t buffer, fill; /* io[buffer] holds fill bytes */
    uint32_t sequence;
    bool in_flight;
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
   layout makes no sense; E_FULL: 64 checkpoints, or no free block; E_IO; E_STOREVERSION: the store is read-only here.
 */
enum err ckpt_begin(struct ckpt_writer *w, struct store *s, const struct ckpt_meta *meta) MUST_USE;
/* name: up to 8 bytes, 0-terminated when shorter; bytes <= SECTION_BYTES_MAX (E_INTERNAL). All sections before the
 * first page. */
enum err ckpt_put_section(struct ckpt_writer *w, const char *name, uint16_t version, const void *data,
                          size_t bytes) MUST_USE;
/* Every RAM page of the layout outside its hidden range, ascending. Zero pages are left out. Once. */
enum err ckpt_put_ram(struct ckpt_writer *w, ckpt_page_reader page, void *ctx,
                      const struct ckpt_progress *progress) MUST_USE;
/* The rest out, flush, table, flush, superblock, flush. E_OK: *id is committed. Any error: the store is as it was. */
enum err ckpt_commit(struct ckpt_writer *w, uint64_t *id) MUST_USE;
/* Give up; waits for the write in flight. Harmless after commit or a failed begin. */
void ckpt_abort(struct ckpt_writer *w);

#endif
