/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The clock plan: what TSC and HPET must read after a restore so that no clock jumps backwards and all of them
   agree. Linux compares its clocks with each other twice a second and throws the TSC out if they moved by different
   amounts. The ACPI PM timer cannot be set, so it leads:
     at the cut  the guest goes on there; TSC and HPET are set to their value at the cut plus the time the PM timer
                 appears to have moved, in the 24 bits that every one has, and Linux reads: 4.7 s at most;
     run on      all three kept counting: the TSC is left alone, and the HPET only set if it did not keep step with it, or
                 if so much time has passed that a clock made of 32 bits of it would stand still. If
                 the TSC is behind the cut (it was set in between, or the power was off), they continue at the cut.
   No division wider than 64 bits: results are exact to a tick, times to a picosecond. */
#ifndef SOJOURN_CKPT_DEV_CLOCK_H
#define SOJOURN_CKPT_DEV_CLOCK_H

#include "ckpt/dev_common.h"

#define DEV_CLOCK_VERSION 1
#define PM_TIMER_HZ 3579545u          /* ACPI 4.8.2.1 "Power Management Timer" */
#define HPET_PERIOD_FS_MAX 100000000u /* HPET 1.0a 2.3.4 "General Capabilities": 05F5E100h */
#define HPET_PERIOD_FS_MIN 100000u    /* ten times the fastest one built */
#define CLOCK_TSC_HZ_MIN 1000000ull
#define CLOCK_TSC_HZ_MAX 16000000000ull

/* All clocks of the machine as of one instant. */
struct dev_clock_sample {
    uint64_t tsc, tsc_hz;
    uint64_t hpet;           /* main counter; 0 without HPET */
    uint64_t wall_us;        /* UTC since 1970, 0: not known. For people only */
    uint32_t hpet_period_fs; /* 0: no HPET */
    uint32_t pm;
    uint8_t pm_bits;   /* 24, 32; 0: no PM timer */
    uint8_t hpet_bits; /* 32, 64 */
    uint8_t hpet_running;
    uint8_t zero[5];
};

struct dev_clock_state {
    struct dev_head head;
    struct dev_clock_sample cut;
};

_Static_assert(sizeof(struct dev_clock_sample) == 48, "saved layout");
_Static_assert(sizeof(struct dev_clock_state) == 56, "saved layout");

struct dev_clock_plan {
    bool valid;
    bool set_tsc; /* else it runs on */
    bool hpet_runs;
    bool set_hpet;    /* the HPET does not simply run on */
    uint64_t raw_tsc; /* TSC when the plan was made: values below are as of that instant */
    uint64_t tsc, hpet;
    uint64_t tsc_hz, hpet_mask;
    uint32_t hpet_period_fs;
    uint64_t advance_us; /* guest-visible time since the cut */
};

enum err dev_clock_check(const struct dev_clock_state *s, char *why, size_t why_len) MUST_USE;
/* now: the same machine's clocks, E_LAYOUT if they are not the kind they were at the cut. */
enum err dev_clock_plan(const struct dev_clock_sample *cut, const struct dev_clock_sample *now, bool run_on,
                        struct dev_clock_plan *plan, char *why, size_t why_len) MUST_USE;
/* The values to write at the moment when the (not yet written) TSC reads raw_tsc. */
uint64_t dev_clock_tsc_at(const struct dev_clock_plan *plan, uint64_t raw_tsc);
uint64_t dev_clock_hpet_at(const struct dev_clock_plan *plan, uint64_t raw_tsc);
/* From here on the TSC reads what the plan gave it. */
void dev_clock_tsc_written(struct dev_clock_plan *plan);
void dev_clock_show(const struct dev_clock_state *s, char *text, size_t len);

#endif
