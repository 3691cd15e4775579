/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The time of day, for people: read from the CMOS clock once at boot, then counted by the host's clock. */
#ifndef SOJOURN_KERNEL_WALLCLOCK_H
#define SOJOURN_KERNEL_WALLCLOCK_H

#include "types.h"

/* Before the guest runs: CMOS index register and port are used. */
void wallclock_init(void);
/* Seconds since 1970 UTC, taking the CMOS clock as UTC; 0 when the clock made no sense. */
uint64_t wallclock_unix_s(void);

#endif
