/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The local APICs of all CPUs as a checkpoint holds them: one section, in the order of the firmware's list. */
#ifndef SOJOURN_CKPT_DEV_LAPICS_H
#define SOJOURN_CKPT_DEV_LAPICS_H

#include "ckpt/dev_lapic.h"
#include "layout.h"

#define DEV_LAPICS_VERSION 2 /* 1 held one CPU */

struct dev_lapics_state {
    struct dev_head head;
    uint32_t count, zero;
    struct dev_lapic_state cpu[CPUS_MAX]; /* all zero: a CPU that the host never got up */
};

_Static_assert(sizeof(struct dev_lapics_state) == 16 + CPUS_MAX * sizeof(struct dev_lapic_state), "saved layout");

/* What a machine's APICs are now. */
struct dev_lapics_machine {
    uint32_t count;
    struct {
        bool present;
        uint32_t id; /* as the register reads; 0 if off */
        enum lapic_mode mode;
    } cpu[CPUS_MAX];
};

bool dev_lapics_has(const struct dev_lapics_state *s, uint32_t cpu);
enum err dev_lapics_check(const struct dev_lapics_state *s, const struct dev_lapics_machine *m, char *why,
                          size_t why_len) MUST_USE;
void dev_lapics_show(const struct dev_lapics_state *s, char *text, size_t len);

#endif
