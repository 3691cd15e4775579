/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The store on a partition: two copies of superblock and table, and which blocks are free. A commit writes the
   copy that is not in force (table, flush, superblock, flush): that superblock is the commit record. Then the other
   copy is brought up to date. Two rules keep invariant I3:
     - a block is written only when both copies agree that it is free (store_sync before anything is allocated), so
       that the loss of either superblock never shows a checkpoint whose blocks were used again;
     - when a commit fails half way, nobody can know whether its superblock arrived; the store writes the old state
       over it, with a higher generation, before it allocates again.
   Writing checkpoints is in store_write.h, reading them in store_read.h. One operation at a time; no locking. */
#ifndef SOJOURN_CKPT_STORE_H
#define SOJOURN_CKPT_STORE_H

#include "block.h"
#include "ckpt/format.h"
#include "err.h"
#include "types.h"

/* Working memory for one store: 4 KiB aligned, physically contiguous (the disk reads and writes it), given once. */
#define STORE_IO_BYTES (1024u * 1024u)
#define STORE_PAYLOAD_ROOM (EXTENT_RAW_MAX + 8192u)
#define STORE_TABLE_ROOM 32768u
#define STORE_LZ4_ROOM 32768u
#define STORE_WORK_BYTES (2u * STORE_IO_BYTES + EXTENT_RAW_MAX + STORE_PAYLOAD_ROOM + STORE_TABLE_ROOM + STORE_LZ4_ROOM)
_Static_assert(RECORD_PAYLOAD_MAX + SEAL_BYTES <= STORE_PAYLOAD_ROOM, "a payload fits");

struct store {
    struct block_part part;
    uint8_t *io[2];     /* STORE_IO_BYTES each */
    uint32_t io_blocks; /* used at a time: what one disk command may carry */
    uint8_t *stage;     /* EXTENT_RAW_MAX */
    uint8_t *payload;   /* RECORD_PAYLOAD_MAX, and room to seal it */
    void *lz4;
    struct disk_entry *table; /* STORE_TABLE_MAX, ascending ids */
    uint32_t count;

    uint32_t slot;       /* the copy in force */
    uint64_t generation; /* the highest one written or tried */
    bool stale;          /* the other copy is not the same: store_sync */
    bool writing;        /* a checkpoint is being written */
    bool read_only;      /* a write feature this version does not know */
    uint64_t total_blocks, next_id;
    uint64_t opened_at;                         /* next_id when it was opened or made */
    uint64_t features_write, features_optional; /* kept as they were found */
    int64_t created;
    uint8_t uuid[16];
    bool sealed; /* encrypted */
    uint8_t key_check[SEAL_BYTES];
    const struct seal_key *key; /* the owner's; NULL: locked, or not encrypted */
    uint64_t attempts;          /* makes every checkpoint's seed different */
    uint64_t verified_seed;     /* of the checkpoint that was read and found whole last; 0 none */
};

#define STORE_LATEST 0ull /* as an id: the newest */

struct store_usage {
    uint64_t bytes; /* of the store, superblocks and tables included */
    uint64_t used;  /* all of it that is not free */
    uint32_t checkpoints;
};

/* Find the store in a partition. work: STORE_WORK_BYTES (less: E_NOMEM). E_NOSTORE, E_BADSTORE (neither copy is
   whole), E_STOREVERSION, E_TRUNCATED, E_IO. why, when not NULL, gets a static text. s is unusable after an error.
   Callers: boot, console, sojstore. Writes nothing. */
enum err store_open(struct store *s, struct block_part part, void *work, size_t work_bytes, const char **why) MUST_USE;

/* Give an open store the key, which stays the caller's. Of an encrypted one only what the table and META say can be read
   before, and what is in it be deleted and pinned; the rest answers E_KEY. E_KEY: NULL or another key, of an encrypted
   store. A store that is not encrypted takes any, and has no use for it. Callers: boot, console, sojstore. */
enum err store_unlock(struct store *s, const struct seal_key *key) MUST_USE;
static inline bool store_locked(const struct store *s)
{
    return s->sealed && !s->key;
}

/* Make an empty store, whatever was there. uuid: as random as the caller can; time: seconds since 1970; key: encrypt it,
   NULL: do not. E_TOOSMALL (less than 4 MiB), E_IO. s is open, and unlocked, afterwards. */
enum err store_format(struct store *s, struct block_part part, void *work, size_t work_bytes, const uint8_t uuid[16],
                      int64_t time, const struct seal_key *key) MUST_USE;

uint32_t store_count(const struct store *s);
/* i < store_count, oldest first; the entry is valid until the store changes. */
const struct disk_entry *store_entry(const struct store *s, uint32_t i);
/* By id or STORE_LATEST; NULL: no such checkpoint. */
const struct disk_entry *store_find(const struct store *s, uint64_t id);
struct store_usage store_usage(const struct store *s);
uint64_t store_entry_bytes(const struct disk_entry *e); /* what it takes in the store */

/* Remove a checkpoint. E_NOTFOUND; E_PINNED; E_BUSY: another one builds on it, or one is being written; E_IO: not
   removed. */
enum err store_delete(struct store *s, uint64_t id) MUST_USE;

/* Protect a checkpoint from deletion, or no longer; a commit, unless it is so already. E_NOTFOUND; E_BUSY: one is being
   written; E_STOREVERSION: the store is read-only here; E_IO: unchanged. Callers: console. */
enum err store_pin(struct store *s, uint64_t id, bool pinned) MUST_USE;

/* How many checkpoints a restore of this one reads: 1 for a full one; 0: no such checkpoint. Above STORE_CHAIN_MAX, for
   a table no writer makes, it gives STORE_CHAIN_MAX + 1. */
uint32_t store_chain_length(const struct store *s, uint64_t id);

/* The one checkpoint that builds on this one; NULL: none or several do. */
const struct disk_entry *store_heir(const struct store *s, uint64_t id);
/* Was it committed since this program opened the store, or made it? Numbers only go up. */
static inline bool store_made_since_open(const struct store *s, uint64_t id)
{
    return id >= s->opened_at;
}
/* The oldest rest that an interrupted merge has left (store_merge.h); 0: none. */
uint64_t store_rest(const struct store *s);

/* What may go first when room is needed: the oldest checkpoint that is not pinned, that nothing builds on, and that is
   not one of the newest two. 0: none. Callers delete it and ask again, until they have what their rule wants. */
uint64_t store_oldest_removable(const struct store *s);
/* The same among the automatic ones, and not one of the newest `keep` of those. So a chain goes as a whole, youngest
   first, once `keep` younger ones are there: at most `keep` and one chain less one stay. */
uint64_t store_oldest_automatic(const struct store *s, uint64_t keep);

/* ---- for store_write.c and store_read.c ---- */

/* Make both copies equal; nothing to do most of the time. E_IO; E_STOREVERSION (read only); E_BADSTORE: its numbers are
   at their end, so that it may be read and not changed. */
enum err store_sync(struct store *s) MUST_USE;
/* The largest run of free blocks that table and extra (runs of the checkpoint being written) leave; count 0: none. */
struct disk_run store_largest_gap(const struct store *s, const struct disk_entry *extra);
/* Add the entry (id next_id) to the table and commit. On failure the store is as it was. */
enum err store_commit_entry(struct store *s, const struct disk_entry *entry) MUST_USE;
/* One commit that changes two entries: the heir's, and the victim's or, if it is gone, that it is not there any more. On
   failure the store is as it was. */
enum err store_commit_merge(struct store *s, const struct disk_entry *heir, const struct disk_entry *victim,
                            bool gone) MUST_USE;

#endif
