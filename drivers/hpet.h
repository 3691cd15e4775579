/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The High Precision Event Timer's registers: reads and writes as ckpt/dev_hpet and the clock plan say. */
#ifndef SOJOURN_DRIVERS_HPET_H
#define SOJOURN_DRIVERS_HPET_H

#include "ckpt/dev_clock.h"
#include "ckpt/dev_hpet.h"

void hpet_init(hpa_t base); /* base 0: none */
bool hpet_present(void);
uint64_t hpet_capabilities(void);
uint64_t hpet_counter(void);
bool hpet_running(void);
enum err hpet_capture(struct dev_hpet_state *s) MUST_USE;
/* Timer interrupts off; the main counter runs on, because the clock plan reads it. */
enum err hpet_quiesce(void) MUST_USE;
/* plan NULL or not valid: the counter continues at its captured value. raw_tsc reads the TSC. */
enum err hpet_restore(const struct dev_hpet_state *s, const struct dev_clock_plan *plan,
                      uint64_t (*raw_tsc)(void)) MUST_USE;

#endif
