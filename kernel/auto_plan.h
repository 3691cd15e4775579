/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Checkpoints by the clock: when, which kind, and which ones go. One chain is kept by taking out its oldest ones once
 * it has grown by half, so that its full one is written again that seldom; where that would be longer than a chain may be,
 * chains go as a whole (ckpt/store.h's store_oldest_automatic()). */
#ifndef SOJOURN_KERNEL_AUTO_PLAN_H
#define SOJOURN_KERNEL_AUTO_PLAN_H

#include "ckpt/store.h"
#include "types.h"

/* Is one to be taken now? armed: the timer's NMI has not been seen. It is on its way, or was lost in another one: a virtual
   guest's is given up for lost after a while; a native guest's is sent again on the way out of a visit, and is what the
   checkpoint is taken in. */
bool auto_plan_due(uint64_t due_us, uint64_t now_us, bool armed, bool native);
/* The first moment after now that is a multiple of every_us (not 0) away from due, which has passed or is now: one that
   took longer than the period, or could not be taken, makes none pile up. */
uint64_t auto_plan_next(uint64_t due_us, uint64_t now_us, uint64_t every_us);

/* How many automatic checkpoints a chain may have before all but `keep` are taken out; 0: so many that it is not done. */
uint64_t auto_plan_most(uint64_t keep);
/* chain: how many checkpoints the newest one needs for a restore. Is the next one to begin a chain? One that goes as a whole
   (it ends with what builds on the others) is no longer than `keep`; then there are never more than 2 * keep - 1. */
bool auto_plan_full(uint32_t chain, uint64_t keep);
/* Of the newest checkpoint's chain, if it has `most` automatic ones: the youngest but the newest `keep` that can be taken
   out; 0: none. Those by hand and pinned ones stay. */
uint64_t auto_plan_surplus(const struct store *s, uint64_t keep, uint64_t most);

#endif
