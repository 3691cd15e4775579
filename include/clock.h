/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Host time: 64-bit, monotonic since the host's first instruction, from the calibrated TSC. */
#ifndef SOJOURN_CLOCK_H
#define SOJOURN_CLOCK_H

#include "types.h"

uint64_t clock_us(void);
/* Spin for at least us microseconds. */
void clock_delay_us(uint64_t us);

/* A deadline: every wait has one.
 *     uint64_t end = deadline_in_us(500000);
 *     while (!ready()) if (deadline_passed(end)) return E_TIMEOUT; */
static inline uint64_t deadline_in_us(uint64_t us)
{
    return clock_us() + us;
}

static inline bool deadline_passed(uint64_t deadline_us)
{
    return clock_us() >= deadline_us;
}

#endif
