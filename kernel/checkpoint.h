/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The checkpoint activities of this machine: where its store is, saving the stopped guest, restoring one. */
#ifndef SOJOURN_KERNEL_CHECKPOINT_H
#define SOJOURN_KERNEL_CHECKPOINT_H

#include "ckpt/save.h"
#include "ckpt/store.h"
#include "err.h"
#include "types.h"

enum store_condition { STORE_ABSENT, STORE_BAD, STORE_READY };

/* At boot, after the disk was looked for (found: its result) and the devices are known. */
void checkpoint_init(enum err found, const struct block_part *part);
enum store_condition checkpoint_condition(void);
/* Why there is no store, or it cannot be used; E_OK when ready. text: more words. */
enum err checkpoint_trouble(char *text, size_t len);
/* The open store, or NULL. */
struct store *checkpoint_store(void);
/* Working memory: a bit for each page number of the machine. Nobody holds it from one call to the next. */
uint8_t *checkpoint_seen(size_t *bytes);
/* Is the disk still there and ours? Before every use after the guest had the machine. */
enum err checkpoint_reopen(void) MUST_USE;
/* kernel/saving.c. In any mode; a native guest is virtual afterwards, and left when it can be. full: on no other. flags:
   ENTRY_FLAG_*. */
enum err checkpoint_save(const char *label, bool full, uint64_t flags, struct ckpt_result *result, char *text,
                         size_t len) MUST_USE;
/* Reads and checks everything, changes nothing. id or STORE_LATEST. */
enum err checkpoint_restore_check(uint64_t id, char *text, size_t len) MUST_USE;
/* What was checked last becomes the guest, virtual. */
enum err checkpoint_restore(char *text, size_t len) MUST_USE;
/* The id of the checkpoint that was restored last; 0: none in this power cycle. */
uint64_t checkpoint_restored_id(void);
/* A restore failed after it had begun to write guest memory: nothing is left to run. */
bool checkpoint_memory_touched(void);
enum err checkpoint_format(void) MUST_USE;
/* Sections of a checkpoint for show: one line each. E_NOTFOUND. */
enum err checkpoint_describe(uint64_t id, struct disk_meta *meta) MUST_USE;
/* Where the time of the last checkpoint went: devices and CPU; looking at all pages for what has changed, and what is the same; all writing;
   waiting for the disk in it; the commit. */
struct checkpoint_times {
    uint64_t bytes, capture_us, look_us, write_us, wait_us, commit_us;
};
const struct checkpoint_times *checkpoint_last_times(void);
/* The layout a checkpoint must match. */
const struct ckpt_layout *checkpoint_layout(void);

#endif
