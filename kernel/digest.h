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
/* Before a visit ends that has not opened the rest. False: the way out was changed, and was put back. So it stays until
   digest_told(). */
bool digest_mend_way_out(void);
/* The way out, the constants and all other code: checked once after each native interval, then it may run. False: one of
   them was changed; the way out was put back, as above. */
bool digest_open_rest(void) MUST_USE;
/* The same for a fetch that has faulted although it may be noted as open: by a CPU that was slow on its way out, while the
   leader closed it. */
bool digest_found_closed(void) MUST_USE;
/* A line was answered with E_DIGEST: the next is judged by what is there then. */
void digest_told(void);
bool digest_rest_is_open(void);
/* For virt_env.exited: the rest is opened, or at least the way out is as it was. Else it does not return. */
void digest_after_exit(void);
/* Right before the guest gets the CPU: from now on it may not run unchecked. */
void digest_close_rest(void);
/* Is this the address of code that digest_open_rest() is about? */
bool digest_is_rest(uint64_t rip);

#endif
