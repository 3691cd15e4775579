/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands of sojstore share: the command line, the open store, messages and progress. */
#ifndef SOJOURN_TOOLS_SOJSTORE_H
#define SOJOURN_TOOLS_SOJSTORE_H

#include "ckpt/store_read.h"

#define SECTOR_BYTES 512u

/* Where in a file or device a store is; all zero: the partition of Sojourn's type, else the whole file. */
struct where {
    uint64_t offset, size, partition; /* bytes, bytes, number */
    bool has_offset, has_size, has_partition;
};

struct options {
    const char *command, *path, *id_text;
    const char *to; /* extract: the core file; copy: the other store's file or device */
    struct where where, to_where;
    bool json, force, drop_damaged, decrypt;
    const char *key_file, *to_key_file; /* NULL: none */
};

extern struct options opt;
extern struct store store; /* of opt.path; open in every command but format */

/* The key in a file, "-" for standard input. false after a message. */
bool read_key_file(const char *path, struct seal_key *key);

/* One line on stderr. */
void say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The checkpoint opt.id_text names; NULL after a message. */
const struct disk_entry *find_checkpoint(void);

/* A progress that shows what on stderr, when that is a terminal and it takes over a second. One at a time; the text
   must stay valid until progress_end, which takes the line away. */
const struct ckpt_progress *progress_begin(const char *what);
void progress_end(void);

/* The region of dev (opened from path) that where means. *ours: it is no partition, or one of our type or name. false
   after a message. */
bool find_region(struct block_dev *dev, const char *path, const struct where *where, struct block_part *part,
                 bool *ours);
/* May a new store take this region? With --force always; else there must be no checkpoint, no store that cannot be
   read, no partition of another type and no partition table in it. false after a message. Uses s and work,
   STORE_WORK_BYTES of it. */
bool may_overwrite(struct block_part part, bool ours, const char *path, const struct where *where, struct store *s,
                   void *work);

/* Verify one checkpoint and all it builds on, with progress. */
enum err verify_checkpoint(struct store *s, uint64_t id) MUST_USE;
/* Of one that did not verify: is it whole in itself, so that the fault lies in what it builds on? Reads it again. */
bool fault_is_below(struct store *s, const struct disk_entry *e);

/* ckpt_seen_bytes() of the checkpoint's layout; NULL after a message. The caller frees it. */
uint8_t *seen_alloc(const struct ckpt_layout *layout, uint64_t id, size_t *bytes);

/* The commands in files of their own; each returns the program's exit code. */
int do_show(void);
int do_delete(void);
int do_extract(void);
int do_copy(void);
/* Every checkpoint of the open store into an empty one, sealed as that one is; its table is filled, not yet written. false
   after a message. */
bool reseal_checkpoints(struct store *to);
int do_repair(void);

#endif
