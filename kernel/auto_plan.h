/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Checkpoints by the clock: when, and which kind. Which ones go is ckpt/store.h's store_oldest_automatic(). */
#ifndef SOJOURN_KERNEL_AUTO_PLAN_H
#define SOJOURN_KERNEL_AUTO_PLAN_H

#include "types.h"

/* The first moment after now that is a multiple of every_us (not 0) away from due, which has passed or is now: one that
   took longer than the period, or could not be taken, makes none pile up. */
uint64_t auto_plan_next(uint64_t due_us, uint64_t now_us, uint64_t every_us);
/* chain: how many checkpoints the newest one needs for a restore. A chain goes as a whole (it ends with what builds on
   the others), so it is no longer than `keep`; then there are never more than 2 * keep - 1. */
bool auto_plan_full(uint32_t chain, uint64_t keep);

#endif
