/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Checkpoints by the clock, without the guest's help: `auto every=SECONDS keep=N`. See auto.c. */
#ifndef SOJOURN_KERNEL_AUTO_H
#define SOJOURN_KERNEL_AUTO_H

#include "kernel/command.h"
#include "kernel/report.h"

/* The console's command. */
enum err auto_command(const struct command *c, char *text, size_t len) MUST_USE;
/* Leader, the guest running, between two entries, once clock_us() has reached host_timer_look_us. */
void auto_look(void);
/* Leader, in each visit while host_timer_look_us is not HOST_TIMER_NO_LOOK. */
void auto_visit(void);
/* A restore is done: a period begins. */
void auto_restart(void);
void auto_report(struct auto_report *r);

#endif
