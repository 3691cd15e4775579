/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The HPET as a checkpoint holds it, and what its comparators must be when the main counter has moved on. The
   period of a periodic timer can only be written, not read: the shell measures it from two readings of the comparator.
 */
#ifndef SOJOURN_CKPT_DEV_HPET_H
#define SOJOURN_CKPT_DEV_HPET_H

#include "bits.h"
#include "ckpt/dev_common.h"

#define DEV_HPET_VERSION 1
#define HPET_TIMERS_MAX 32u

/* HPET 1.0a 2.3 "Memory Mapped Registers" */
#define HPET_REG_CAPABILITIES 0x000u
#define HPET_REG_CONFIG 0x010u
#define HPET_REG_STATUS 0x020u
#define HPET_REG_COUNTER 0x0F0u
#define HPET_REG_TIMER_CONFIG(n) (0x100u + 0x20u * (n))
#define HPET_REG_TIMER_COMPARATOR(n) (0x108u + 0x20u * (n))
#define HPET_REG_TIMER_FSB(n) (0x110u + 0x20u * (n))
#define HPET_CAP_TIMERS(cap) ((uint32_t)bits_get((cap), 12, 8) + 1)
#define HPET_CAP_COUNTER_64 BIT(13)
#define HPET_CAP_PERIOD_FS(cap) ((uint32_t)((cap) >> 32))
#define HPET_CONFIG_ENABLE BIT(0)
#define HPET_TN_INT_LEVEL BIT(1)
#define HPET_TN_INT_ENABLE BIT(2)
#define HPET_TN_PERIODIC BIT(3)
#define HPET_TN_SIZE_64 BIT(5)
#define HPET_TN_VAL_SET BIT(6)
#define HPET_TN_32_MODE BIT(8)
#define HPET_TN_ROUTE_SHIFT 9
#define HPET_TN_FSB_CAPABLE BIT(15)

struct dev_hpet_timer {
    uint64_t config, comparator, fsb;
    uint64_t period; /* ticks; 0: not periodic, or not known */
};

struct dev_hpet_state {
    struct dev_head head;
    uint64_t capabilities, config, status, counter;
    struct dev_hpet_timer timer[HPET_TIMERS_MAX]; /* those beyond HPET_CAP_TIMERS are zero */
};

_Static_assert(sizeof(struct dev_hpet_timer) == 32, "saved layout");
_Static_assert(sizeof(struct dev_hpet_state) == 40 + 32 * 32, "saved layout");

enum err dev_hpet_check(const struct dev_hpet_state *s, uint64_t machine_capabilities, char *why,
                        size_t why_len) MUST_USE;
bool dev_hpet_wants_period(const struct dev_hpet_state *s, uint32_t timer);
/* Comparator to write for timer n when the main counter restarts at counter. One that fell into the skipped interval
   fires at once rather than never: a timer a guest waits for must not be lost. */
uint64_t dev_hpet_comparator(const struct dev_hpet_state *s, uint32_t n, uint64_t counter);
uint64_t dev_hpet_period(const struct dev_hpet_state *s, uint32_t n);
void dev_hpet_show(const struct dev_hpet_state *s, char *text, size_t len);

#endif
