/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. When has a guest settled, so that it can be left? Left too early, a guest that still looks for its devices would
   find what is hidden from it while it is virtual: the console's UART, the store's controller. */
#ifndef SOJOURN_KERNEL_SETTLE_H
#define SOJOURN_KERNEL_SETTLE_H

#include "types.h"

/* A guest that never showed user mode (it may have none) is given this many periods. */
#define SETTLE_KERNEL_ONLY_PERIODS 4u

struct settle {
    uint64_t since_us; /* nothing of what follows has changed since */
    uint64_t idt_base;
    bool paging, user_seen;
    volatile bool user_elsewhere; /* user mode was seen on another CPU; for the next look */
};

/* What was seen of the guest at now_us. True: settled, that is for period_us with paging and the same IDT, user mode
   seen before that, and no search for devices. */
bool settle_look(struct settle *s, uint64_t now_us, uint64_t period_us, bool paging, uint64_t idt_base, bool user);
/* The guest looks for devices: the period begins anew. */
void settle_disturb(struct settle *s, uint64_t now_us);

#endif
