/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Is the resident code still what it was when the guest was given the machine? While native, hidden memory is
   merely unlisted: a stray DMA or a curious driver may have written to it. */
#ifndef SOJOURN_KERNEL_DIGEST_H
#define SOJOURN_KERNEL_DIGEST_H

#include "types.h"

/* Once at boot, after relocation: all of the image may run from here on. */
void digest_seal_image(void);
/* At each way in, before anything else: what is needed to answer the door; from a 32-bit guest, the bridge, too. */
bool digest_check_door(bool bridge_too) MUST_USE;
/* Once digest_open_rest() has failed: may the guest be left? */
bool digest_check_way_out(void) MUST_USE;
/* The way out, all other code, and the constants: checked once after each native interval, then it may run. False: it changed. */
bool digest_open_rest(void) MUST_USE;
bool digest_rest_is_open(void);
/* For virt_env.exited: the rest is opened, or if it was changed, the way out is intact. Else it does not return. */
void digest_after_exit(void);
/* Right before the guest gets the CPU: from now on it may not run unchecked. */
void digest_close_rest(void);
/* Is this the address of code that digest_open_rest() is about? */
bool digest_is_rest(uint64_t rip);

#endif
