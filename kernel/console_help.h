/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The answers of the console's help command, written from command_helps[]. */
#ifndef SOJOURN_CONSOLE_HELP_H
#define SOJOURN_CONSOLE_HELP_H

#include "kernel/command.h"
#include "kernel/sink.h"

/* All commands, one line each. Lines end in \n. */
void console_help_all(const struct sink *out);
/* One command in full. */
void console_help_one(const struct sink *out, enum command_id id);

#endif
