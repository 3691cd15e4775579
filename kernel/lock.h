/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. A spin lock for the few places where CPUs share something while they run: held for a bounded number of
   instructions, never across a wait, never taken in an NMI handler. Not recursive. Always a part of its users: some are in the door (kernel/door.ld). */
#ifndef SOJOURN_KERNEL_LOCK_H
#define SOJOURN_KERNEL_LOCK_H

#include "cpu.h"
#include "types.h"

struct lock {
    volatile uint32_t taken;
};

static inline __attribute__((always_inline)) void lock_take(struct lock *l)
{
    while (__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE)) /* its holder cannot wait: see above */
        cpu_pause();
}

static inline __attribute__((always_inline)) bool lock_try(struct lock *l)
{
    return !__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE);
}

static inline __attribute__((always_inline)) void lock_release(struct lock *l)
{
    __atomic_store_n(&l->taken, 0, __ATOMIC_RELEASE);
}

#endif
