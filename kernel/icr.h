/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What a write of the local APIC's interrupt command register asks for, as far as the host has to know: INIT and
   start-up IPIs. SDM 3A 10.6.1 "Interrupt Command Register (ICR)", figures 10-12 and 10-28. */
#ifndef SOJOURN_KERNEL_ICR_H
#define SOJOURN_KERNEL_ICR_H

#include "types.h"

enum icr_kind {
    ICR_OTHER,    /* for the hardware to carry out */
    ICR_INIT,     /* reset the target */
    ICR_DEASSERT, /* INIT level de-assert: nothing happens on any CPU with an xAPIC */
    ICR_STARTUP,
};

enum icr_target {
    ICR_TARGET_ONE, /* by APIC id */
    ICR_TARGET_SELF,
    ICR_TARGET_ALL,    /* itself included */
    ICR_TARGET_OTHERS, /* all but itself */
    ICR_TARGET_LOGICAL,
};

struct icr_command {
    enum icr_kind kind;
    enum icr_target target;
    uint32_t apic_id; /* TARGET_ONE */
    uint8_t vector;
};

/* low, high: both halves as written. x2apic: the destination is all of high; else its top byte. */
struct icr_command icr_decode(uint32_t low, uint32_t high, bool x2apic);

#endif
