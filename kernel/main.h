/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The two entry points of the host; boot/entry.asm calls the first. */
#ifndef SOJOURN_KERNEL_MAIN_H
#define SOJOURN_KERNEL_MAIN_H

#include "types.h"

_Noreturn void main_early(uint32_t magic, uint32_t info);
_Noreturn void main_hidden(void);

#endif
