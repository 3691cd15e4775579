/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Checkpoints that are to go although others build on them: ckpt/store_merge.h, in turns with the guest. */
#ifndef SOJOURN_KERNEL_MERGING_H
#define SOJOURN_KERNEL_MERGING_H

#include "err.h"
#include "types.h"

/* The one that builds on the checkpoint takes over what it needs of it. There is a store. The errors are those of
   ckpt_merge_begin() and ckpt_merge_step(); E_BUSY above all: several build on it. Callers: delete, auto. */
enum err merging_take_out(uint64_t id) MUST_USE;

/* A chain of automatic checkpoints: fewer than `most` of them, and nothing happens; else all but the newest `keep` are
   taken out. What an interrupted merge has left goes first. The guest is virtual, else nothing happens either. */
void merging_shorten(uint64_t keep, uint64_t most);

#endif
