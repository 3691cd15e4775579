/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. A CPU whose time-stamp counter ignores writes (QEMU's TCG), and a guest restored from a time when the counter
   was higher: while virtual the backend adds the difference, the debt; before such a guest can be native again the
   counter must have caught up. On a CPU whose TSC can be written there is never a debt. */
#ifndef SOJOURN_KERNEL_TSC_DEBT_H
#define SOJOURN_KERNEL_TSC_DEBT_H

#include "err.h"
#include "types.h"
#include "vcpu_state.h"

/* Once at boot: can the TSC be written? */
void tsc_debt_probe(void);
bool tsc_writable(void);
/* Make RDTSC read value, at least for the guest: E_OK: written; E_TSC: not, the rest is owed (or nothing, if the counter
   is ahead). On every CPU by the same step; all are stopped. For the restore of the clocks. */
enum err tsc_debt_set(uint64_t value);
/* The first step of a restore's clocks, all CPUs stopped: IA32_TSC_ADJUST as it was at the cut, on every CPU (index i: of
   CPU i; one that was held then is given the first one's). What a counter has counted since reset cannot be written, and
   RDTSC reads that plus the adjustment (SDM 3B 18.17.3 "Time-Stamp Counter Adjustment"). So after this, in place, each
   counter reads what it would if the guest had gone on; cold, they differ from each other as they did, and
   tsc_debt_set() moves all of them, and the adjustments with them, by one step. Does nothing on a CPU without the register. */
void tsc_debt_put_adjust(const struct vcpu_state *of);
/* The control structure was loaded: put the debt into it. */
void tsc_debt_apply(void);
/* Cycles owed; 0: the guest may be native. */
uint64_t tsc_debt_left(void);
/* Can it be paid at all, in reasonable time? */
bool tsc_debt_payable(void);
/* Pay it, in one piece: the guest is held, all CPUs stopped, until the counter has caught up, the HPET with it, so that both
   clocks agree and neither goes back. In small pieces Linux would find the clocks out of step. Called again and again between
   two entries while the guest waits to be left; does nothing until the restored guest has had its settling time to be of use
   at once. True: nothing is owed any more. While it says guest.held, the guest is not to be entered, and the console works. */
bool tsc_debt_pay(void);
/* Whoever needs the guest or its devices running: it is held no longer, if it was; what is not paid is still owed. */
void tsc_debt_let_go(void);

#endif
