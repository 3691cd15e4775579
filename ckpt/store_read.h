/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Reading a checkpoint: one walk over its records that checks each one, with a visitor for whoever wants the
   content. Verify is the walk with nobody listening; loading is the walk with pages going to memory, and it never
   starts before the same checkpoint has been verified as a whole. */
#ifndef SOJOURN_CKPT_STORE_READ_H
#define SOJOURN_CKPT_STORE_READ_H

#include "ckpt/pages.h"
#include "ckpt/store.h"
#include "ckpt/store_write.h"

/* What a walk finds, in this order. A visitor's error ends the walk and is what it returns. */
struct ckpt_visitor {
    enum err (*meta)(void *ctx, const struct disk_meta *meta);
    enum err (*section)(void *ctx, const struct disk_record *record, const void *data);
    /* count pages from the page number first on, at pages */
    enum err (*pages)(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages);
    void *ctx;
};

/* Read and check everything. E_CHECKSUM: a record is not what was written; E_TRUNCATED: it ends too early;
   E_STOREVERSION: made by another version; E_IO. progress in bytes of the stream; NULL allowed. */
enum err ckpt_walk(struct store *s, const struct disk_entry *e, const struct ckpt_visitor *visitor,
                   const struct ckpt_progress *progress) MUST_USE;

/* The same for an id or STORE_LATEST; E_NOTFOUND. Remembers success for ckpt_load_ram. */
enum err ckpt_verify(struct store *s, uint64_t id, const struct ckpt_progress *progress) MUST_USE;

/* The meta record alone: machine layout, label, time. */
enum err ckpt_read_meta(struct store *s, uint64_t id, struct disk_meta *meta) MUST_USE;

/* One section by name. bytes: how long it is, version: its own. E_NOTFOUND: not in this checkpoint; E_NOMEM: longer
   than room. Reads no further than it has to. */
enum err ckpt_read_section(struct store *s, uint64_t id, const char *name, void *data, size_t room, size_t *bytes,
                           uint16_t *version) MUST_USE;

/* May a checkpoint of layout there run on this machine? E_OK, or E_LAYOUT and in why what differs, first thing first.
 */
enum err ckpt_check_layout(const struct ckpt_layout *there, const struct ckpt_layout *here, char *why,
                           size_t why_len) MUST_USE;

/* The host's view of one guest page, for writing; NULL: cannot be had (E_INTERNAL). */
typedef void *(*ckpt_page_writer)(void *ctx, gpa_t gpa);

/* Fill every RAM page of the checkpoint's layout outside the hidden range exactly once, ascending; zeros where the
   checkpoint has none. Verifies first unless ckpt_verify just did. An error before the first page is touched leaves
   memory alone; *touched says which it was. */
enum err ckpt_load_ram(struct store *s, uint64_t id, ckpt_page_writer page, void *ctx, bool *touched,
                       const struct ckpt_progress *progress) MUST_USE;

#endif
