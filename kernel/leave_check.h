/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Can this state be continued natively at all? Each answer is a reason for people; transient ones are worth
   another look after the guest has run on a little. */
#ifndef SOJOURN_KERNEL_LEAVE_CHECK_H
#define SOJOURN_KERNEL_LEAVE_CHECK_H

#include "err.h"
#include "kernel/gateway_slot.h"
#include "vcpu_state.h"

/* E_OK, E_MODE, E_LA57, E_CET, E_BLOCKED, E_GDT, E_VMXBUSY. Segments against the GDT: guest_check_segments(). */
enum err leave_check_state(const struct vcpu_state *s) MUST_USE;
/* May the same guest be leavable a moment later? */
bool leave_is_transient(enum err why);
/* How the guest translates addresses; PAGING_NONE cannot be left. */
enum paging_format leave_format(uint64_t cr0, uint64_t cr4, uint64_t efer);
/* Ring 0, 4 GiB from 0, 32-bit: writable data, or readable code. */
bool leave_flat(const struct segment *s, bool code);
/* After leave_check_state(), in 32-bit modes: what the NMI's way in and the IRET back rely on. E_SEGMENT. */
enum err leave_check_32(const struct vcpu_state *s) MUST_USE;

#endif
