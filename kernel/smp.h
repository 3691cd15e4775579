/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Orders between CPUs. One CPU leads: the one with the console. It stops the others, has each carry out a
 * function, and lets them go again; nothing else ever waits for another CPU.
 *
 *     leader                                     every other CPU that is present
 *     smp_stop()      -- call flag, NMI -->      from the guest (gateway, or a VM exit) or from hlt into the host:
 *                     <-- all have come --       smp_follow(): waits for orders
 *     smp_each(fn)    -- order -->               fn(cpu)
 *       fn(self)      <-- all results --
 *     smp_release()   -- go -->                  smp_follow() returns; the CPU's struct says where it goes on
 *
 * Two barriers, both with a deadline. If a CPU does not come, those that have are released again and nothing has
 * happened. A CPU that has come cannot fail to carry out an order in time unless the host is broken: panic. */
#ifndef SOJOURN_KERNEL_SMP_H
#define SOJOURN_KERNEL_SMP_H

#include "err.h"
#include "kernel/cpus.h"

/* Leader. Returns with every present CPU in the host, waiting. E_CPU: one did not come in time (its index is logged and
   kept for smp_missing()); the others go on as if nothing had been. Nested stops are counted. */
enum err smp_stop(void) MUST_USE;
void smp_release(void);
/* For good: our own bug was found here, and no CPU may go on. Any CPU; never waits. */
void smp_freeze(void);
bool smp_stopped(void);
/* The CPU that did not come to the last stop. */
uint32_t smp_missing(void);
/* Leader, all stopped: fn on every present CPU at once, on this one too. Returns the first failure by index, after all
   have finished; *who (may be NULL): whose it was. */
enum err smp_each(enum err (*fn)(struct cpu *c), uint32_t *who) MUST_USE;

/* Any other CPU, in the host, between two entries or in a visit: does the leader want it? Then follow. */
static inline bool smp_called(const struct cpu *c)
{
    return c->gate->called != 0;
}
void smp_follow(struct cpu *c);

/* Make a CPU come into the host, look at its flags and go on. Any CPU; never waits. */
void smp_kick(struct cpu *c);
/* Last thing before a CPU leaves the host, by VM entry or gateway: from now on a call needs an NMI. False: somebody
   has called meanwhile, so do not go. */
bool smp_leave_host(struct cpu *c) MUST_USE;
/* The same when there is no way to stay: a call that came meanwhile is turned into an NMI, which comes once NMIs are
   no longer blocked. */
void smp_leave_host_for_good(struct cpu *c);
static inline void smp_in_host(struct cpu *c)
{
    c->gate->in_host = 1;
}
/* An NMI came to this CPU while virtual, or in the host: is it one that another CPU sent? */
bool smp_explains_nmi(struct cpu *c) MUST_USE;

#endif
