/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Guest pages to extents and back: the zero test, gathering of up to 64 pages into runs, LZ4, and the checks
   an extent passes before a page of it is used; and runs of zero pages, which have no content. */
#ifndef SOJOURN_CKPT_PAGES_H
#define SOJOURN_CKPT_PAGES_H

#include "ckpt/format.h"
#include "err.h"
#include "types.h"

/* Is this page, 8-byte aligned, all zero? */
bool page_is_zero(const void *page);

/* Both 8-byte aligned. Through the caches, for what is copied is read next: the C library's goes past them (MOVNTI) with so much. */
void page_copy(void *to, const void *from);

/* Bytes of state that pages_pack needs, 8-byte aligned. */
size_t pages_lz4_state_bytes(void);

/* Pages that wait to become one extent. stage holds EXTENT_RAW_MAX bytes. */
struct extent {
    uint8_t *stage;
    struct disk_page_run runs[EXTENT_PAGES_MAX];
    uint32_t run_count, pages;
    int acceleration; /* LZ4's: 1 packs best, and what is more is faster */
};

/* Copy one page in, unless it lies where it is to be. true: the extent is full now and must be packed before the next one. */
bool extent_add(struct extent *x, uint64_t page, const void *content);

/* Number of the page behind the last one added; 0 when it is empty. */
uint64_t extent_end(const struct extent *x);

/* Build the payload (runs, then pages) in out, RECORD_PAYLOAD_MAX bytes, and set record's pages, runs, flags and
   payload_bytes. Stored raw when LZ4 does not make it smaller. Empties the extent. */
void extent_pack(struct extent *x, struct disk_record *record, uint8_t *out, void *lz4_state);

/* Where a reader is in the guest's RAM: pages below have been seen. */
struct page_cursor {
    const struct ckpt_layout *layout;
    uint32_t range;
    uint64_t next; /* page number; valid while range < layout->ram_count */
};

void page_cursor_start(struct page_cursor *c, const struct ckpt_layout *layout);
/* The next RAM page outside the hidden range; false when there is none. */
bool page_cursor_step(struct page_cursor *c, uint64_t *page);

/* Run number i at the start of a payload that has as many. */
struct disk_page_run pages_run_at(const uint8_t *payload, uint32_t i);

/* Check an extent's runs: counts add up, pages ascend from *floor on (NULL: in any order, none twice), each in RAM and not
   hidden. Moves *floor behind the last page. Then unpack its pages to out, EXTENT_RAW_MAX bytes. E_OK, or E_CHECKSUM: not what a writer writes. */
enum err extent_unpack(const struct ckpt_layout *layout, const struct disk_record *record, const uint8_t *payload,
                       uint64_t *floor, uint8_t *out) MUST_USE;

/* Pages that are zero, gathered into ascending runs whatever order they come in. */
struct zero_runs {
    struct disk_page_run run[EXTENT_PAGES_MAX];
    uint8_t seal_room[SEAL_BYTES]; /* they are sealed where they are */
    uint32_t count;
};

/* false: no room, it must be written and emptied first. Each page once. */
bool zero_runs_add(struct zero_runs *z, uint64_t page) MUST_USE;

/* Check a record of zero runs as extent_unpack does; *pages: how many it names. E_OK or E_CHECKSUM. */
enum err zero_runs_check(const struct ckpt_layout *layout, const struct disk_record *record, const uint8_t *payload,
                         uint64_t *floor, uint64_t *pages) MUST_USE;

#endif
