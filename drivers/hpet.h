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

/* The host's own use of the last timer, while the guest leaves it alone. Not between a capture and its restore.
   spare: false: the guest uses it, there are fewer than three, or the counter stands still; else the interrupt lines of
   the I/O APIC that it can be routed to, a bit each. begin: until end, that edge-triggered line. arm: one interrupt in
   about so long, at least 20 us, or earlier, if it cannot be that late: returns in how many us. off: none any more. due: has
   its time come? intact: is the timer as it was left here? */
bool hpet_spare_timer(uint32_t *lines);
void hpet_spare_begin(uint32_t line);
uint64_t hpet_spare_arm(uint64_t us);
void hpet_spare_off(void);
bool hpet_spare_due(void);
bool hpet_spare_intact(void);
void hpet_spare_end(void);

enum err hpet_capture(struct dev_hpet_state *s) MUST_USE;
/* Timer interrupts off; the main counter runs on, because the clock plan reads it. */
enum err hpet_quiesce(void) MUST_USE;
/* plan NULL or not valid: the counter continues at its captured value. raw_tsc reads the TSC. */
enum err hpet_restore(const struct dev_hpet_state *s, const struct dev_clock_plan *plan,
                      uint64_t (*raw_tsc)(void)) MUST_USE;

#endif
