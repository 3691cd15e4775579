/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. A call that an exception handler can end, as longjmp() would: what runs into code that turns out to be changed
 * (kernel/digest.h) fails with that, instead of leaving its caller in the middle. */
#ifndef SOJOURN_KERNEL_GUARDED_H
#define SOJOURN_KERNEL_GUARDED_H

#include "err.h"

#include <stdint.h>

struct cpu;

/* What fn says. Meanwhile *stack is not 0, and going on at guarded_end with that stack pointer and an error in EAX ends the
   call with that error. Any CPU; not nested. */
enum err guarded(struct cpu *c, enum err (*fn)(struct cpu *c), uint64_t *stack) MUST_USE;
extern const uint8_t guarded_end[];

#endif
