/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The one guest and what the core knows about it as a whole; what belongs to one of its CPUs is in struct cpu.
   Written by the leading CPU, unless a member says otherwise. */
#ifndef SOJOURN_KERNEL_GUEST_H
#define SOJOURN_KERNEL_GUEST_H

#include "backend.h"
#include "ept/second_level.h"
#include "kernel/gateway_slot.h"
#include "kernel/settle.h"
#include "types.h"
#include "vcpu_state.h"

/* Of all CPUs together: a transition takes all of them or none. */
enum guest_mode { MODE_VIRTUAL, MODE_NATIVE };
/* CRASHED: the policy for it (on-crash=) has not been carried out yet. */
enum guest_run { GUEST_NONE, GUEST_RUNNING, GUEST_CRASHED, GUEST_PARKED };

struct guest {
    volatile enum guest_run run;   /* any CPU may park it or see it crash; guest_end() */
    volatile enum guest_mode mode; /* where its CPUs are now */
    enum guest_mode want;          /* where they shall rest */
    const struct backend *backend;
    struct second_level second_level;

    struct gateway_plan plan;
    bool gateway_installed;

    uint64_t settle_us; /* 0: never */
    struct settle settle;
    bool settled;
    bool held;                 /* not to be entered now (kernel/tsc_debt.h) */
    bool leave_asked;          /* by the console, which waits for the outcome */
    bool entered_ahead;        /* for a line that the console has not been given yet; it will be told "ok" */
    uint64_t leave_give_up_us; /* 0: no attempt under way */

    uint64_t enters, leaves, refused;
    enum err last_refusal;
    uint32_t refusal_cpu;           /* whose fault the last attempt's failure was */
    uint32_t last_refusal_cpu;      /* the same of last_refusal; not for E_DIGEST: the image is everybody's */
    uint64_t hidden_writes_dropped; /* any CPU; atomic */
    uint64_t stop_last_us, stop_max_us;
    uint64_t stop_cycles;    /* of the TSC: the last one */
    uint64_t first_entry_us; /* when a guest ran first; 0: not yet */
    char park_reason[96];
    bool park_told; /* on the console */
};

extern struct guest guest;

#endif
