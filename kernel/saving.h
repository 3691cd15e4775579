/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Taking a checkpoint of the guest, in any mode; see saving.c. Callers: kernel/checkpoint.c, console commands. */
#ifndef SOJOURN_KERNEL_SAVING_H
#define SOJOURN_KERNEL_SAVING_H

#include "ckpt/save.h"

/* Boot: buffers for what is captured at a cut. E_NOMEM. */
enum err saving_init(const struct ckpt_layout *layout) MUST_USE;

/* For so long a guest that computes loses a tenth of its progress at most to a checkpoint that begins, then half of this CPU's. By
   hand somebody waits. */
#define SAVING_PATIENCE_US 10000000u
extern uint64_t saving_patience_us;

/* Around a long work on the store: the guest, if it is virtual, has turns on this CPU, whenever the returned progress is told or the
   disk is waited for. If there is no timer to come back by, it has none. */
const struct ckpt_progress *saving_turns_begin(void);
void saving_turns_end(void);

#endif
