/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. What each console command does: the functions behind struct console_ops. */
#ifndef SOJOURN_KERNEL_COMMANDS_H
#define SOJOURN_KERNEL_COMMANDS_H

#include "kernel/console.h"

extern const struct console_ops commands;

/* Which devices may write memory past the host, for status. Of a native guest with several CPUs, which CF8 belongs to, what is known
   is from before it was left, or from its last checkpoint. */
void commands_look_at_masters(void);
/* Something the user should know for as long as the machine runs; shown by status. */
void commands_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A leave was given up: count it, log it, and tell the console, which may wait for it. */
void commands_leave_refused(enum err e);
/* Reset the machine: ACPI reset register, port CF9h, keyboard controller. Returns if nothing worked. */
void machine_reset(void);

#endif
