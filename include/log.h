/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. The log: one event, one line, key=value, ASCII. Lines go to the ring in hidden memory (and, while
   booting, to screen and console); they never block. */
#ifndef SOJOURN_LOG_H
#define SOJOURN_LOG_H

#include "types.h"

/* module: "vmx", "ahci" ...; the line is cut at LOG_LINE_MAX. Any context, NMI handlers excepted. */
#define LOG_LINE_MAX 200
void log_line(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3) SELDOM;

/* Our own bug: dump what is known, stop everything. Never for guest or environment errors. */
_Noreturn void panic(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
