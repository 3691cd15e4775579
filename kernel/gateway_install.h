/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The gateway in the guest's memory: finding its place ahead of time, putting it there and taking it out. */
#ifndef SOJOURN_KERNEL_GATEWAY_INSTALL_H
#define SOJOURN_KERNEL_GATEWAY_INSTALL_H

#include "err.h"
#include "kernel/cpus.h"

/* At boot: the tables for gateways one or two levels up. */
void gateway_install_init(void);
/* Between two entries, leader: look for a place now if none is known, so that leaving need not. Cheap otherwise. */
void gateway_install_ahead(struct cpu *c);
/* Any CPU, its state captured: does its address space reach the gateway's place, and the ones it used lately? Finds its
   NMI gate. E_NOIDT, E_GATE, E_NOSLOT. */
enum err gateway_install_check(struct cpu *c) MUST_USE;
/* Leader, all CPUs stopped and captured: is the place still free and beside the IDT? If not, look for another; then
   every CPU has to be checked. E_NOIDT, E_GATE, E_NOSLOT, E_NOMEM. */
enum err gateway_install_plan(struct cpu *c) MUST_USE;
/* Leader, all CPUs stopped: map the gateway in the host, write entries and gates. E_NOSLOT: the address is the host's. */
enum err gateway_install_show(void) MUST_USE;
/* Take it out of the guest's memory again; what the guest put there meanwhile stays. The host keeps its mapping. */
void gateway_install_hide(void);
/* Back, as it was before the last hide. */
void gateway_install_show_again(void);
/* Is all of it still where it was put: entries, gates, IDT of this (captured, native) CPU? E_GATEWAY: the guest moved or
   overwrote it. */
enum err gateway_install_intact(const struct cpu *c) MUST_USE;

#endif
