/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. How fast the store's disk takes plain writes: the measure for a checkpoint's speed. */
#ifndef SOJOURN_CKPT_STORE_SPEED_H
#define SOJOURN_CKPT_STORE_SPEED_H

#include "ckpt/store.h"

struct store_speed {
    uint64_t bytes;
    uint64_t write_us, flush_us; /* all writes; the flush behind them */
};

/* Write up to max_bytes into the store's largest run of free blocks, as a checkpoint would: the same commands, two
   buffers in turn, one command in flight, one flush at the end. What they hold means nothing to the store, whose
   checkpoints stay as they are. E_FULL: no free block; E_BUSY; E_IO. */
enum err store_measure_write(struct store *s, uint64_t max_bytes, struct store_speed *out) MUST_USE;

#endif
