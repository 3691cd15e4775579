/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Calibration of the host's clock; reading it is in include/clock.h. */
#ifndef SOJOURN_KERNEL_TIMEBASE_H
#define SOJOURN_KERNEL_TIMEBASE_H

#include "types.h"

/* Once, as early as possible: measures the TSC against the PIT's channel 2 (nothing else is known to exist yet). */
void clock_init(void);
uint64_t clock_tsc_hz(void);
/* The TSC was written: keep host time continuous. */
void clock_tsc_moved(uint64_t before, uint64_t after);

#endif
