/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Can this state be continued natively at all? Each answer is a reason for people; transient ones are worth
   another look after the guest has run on a little. */
#ifndef SOJOURN_KERNEL_LEAVE_CHECK_H
#define SOJOURN_KERNEL_LEAVE_CHECK_H

#include "err.h"
#include "vcpu_state.h"

/* E_OK, E_MODE, E_LA57, E_CET, E_BLOCKED, E_GDT, E_VMXBUSY. Segments against the GDT: guest_check_segments(). */
enum err leave_check_state(const struct vcpu_state *s) MUST_USE;
/* May the same guest be leavable a moment later? */
bool leave_is_transient(enum err why);
/* Is the guest in long mode with paging: the mode that can be left? */
bool leave_long_mode(uint64_t cr0, uint64_t efer);

#endif
