/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Reading a checkpoint: one walk over its records that checks each one, with a visitor for whoever wants the
   content. Verify is the walk with nobody listening, over the checkpoint and all it builds on; loading is the same with
   pages going to memory, and it never starts before the same checkpoints have been verified as a whole.
   store_read.c has the walk over one checkpoint, store_load.c what goes along a chain. */
#ifndef SOJOURN_CKPT_STORE_READ_H
#define SOJOURN_CKPT_STORE_READ_H

#include "ckpt/pages.h"
#include "ckpt/store.h"
#include "ckpt/store_write.h"

/* What a walk finds, in this order (pages and zeros as they come). Members may be NULL. A visitor's error ends the walk and is what it returns. */
struct ckpt_visitor {
    enum err (*meta)(void *ctx, const struct disk_meta *meta);
    enum err (*section)(void *ctx, const struct disk_record *record, const void *data);
    /* count pages from the page number first on, at pages */
    enum err (*pages)(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages);
    /* count pages from first on are zero, which they may not be in the parent: incremental checkpoints only */
    enum err (*zeros)(void *ctx, uint64_t first, uint32_t count);
    /* a record of either is done with: until the return the store's stage and payload are the visitor's */
    enum err (*record_done)(void *ctx);
    /* every record as in a store that is not encrypted, after the others have seen it; until the return its payload is the
       visitor's. at: behind it in the stream. */
    enum err (*record)(void *ctx, const struct disk_record *record, uint8_t *payload, uint64_t at);
    bool beside_writer; /* who walks has a writer that uses nothing but io[1] and the two (store_merge.c) */
    void *ctx;
};

/* Where a walk has come to; also when a visitor has stopped it. */
struct ckpt_walked {
    struct disk_meta meta;
    struct disk_end totals; /* after E_OK */
    uint64_t at;            /* in the stream, behind the last record */
    uint32_t sequence;      /* of the next record */
};

/* Read and check everything that this one entry has. E_KEY: the store is locked; nothing was found damaged, and the
   visitor has seen META alone. E_CHECKSUM: a record is not what was written; E_TRUNCATED: it ends too early;
   E_STOREVERSION: made by another version; E_IO. progress in bytes of the stream; NULL allowed. */
enum err ckpt_walk(struct store *s, const struct disk_entry *e, const struct ckpt_visitor *visitor,
                   const struct ckpt_progress *progress) MUST_USE;

/* The same, and what it found stays with the caller, who goes down a chain with it: a rest (ENTRY_FEATURE_REST) has no
   meta record and is read with that of its child, which is left in *walked. Without such a caller it is E_NOTFOUND. */
enum err ckpt_walk_on(struct store *s, const struct disk_entry *e, const struct ckpt_visitor *visitor,
                      const struct ckpt_progress *progress, struct ckpt_walked *walked) MUST_USE;

/* The walk over e, with the visitor, then over all that it builds on. E_CHECKSUM also: a parent is missing, is not
   older or has another layout, or the chain is longer than STORE_CHAIN_MAX. progress counts the bytes of all of them.
   Remembers success for ckpt_load_ram. Callers: ckpt_verify, ckpt_restore_check. */
enum err ckpt_verify_chain(struct store *s, const struct disk_entry *e, const struct ckpt_visitor *visitor,
                           const struct ckpt_progress *progress) MUST_USE;

/* The same for an id or STORE_LATEST, nobody listening; E_NOTFOUND. */
enum err ckpt_verify(struct store *s, uint64_t id, const struct ckpt_progress *progress) MUST_USE;

/* The meta record alone: machine layout, label, time; of a locked store, too. */
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

/* Bytes of the bitmap that ckpt_load_ram needs: a bit for each page number up to the end of the highest RAM range. */
size_t ckpt_seen_bytes(const struct ckpt_layout *layout);

/* Fill every RAM page of the checkpoint's layout outside the hidden range exactly once: those of the checkpoint, then
   of each parent those that no newer one has, then zeros where none has any. seen: memory for that, ckpt_seen_bytes of
   the layout (less: E_NOMEM). Verifies first unless ckpt_verify_chain just did. An error before the first page is
   touched leaves memory alone; *touched says which it was. */
enum err ckpt_load_ram(struct store *s, uint64_t id, ckpt_page_writer page, void *ctx, uint8_t *seen, size_t seen_bytes,
                       bool *touched, const struct ckpt_progress *progress) MUST_USE;

#endif
