/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Which vendor carries the guest. */
#ifndef SOJOURN_KERNEL_BACKEND_CHOICE_H
#define SOJOURN_KERNEL_BACKEND_CHOICE_H

#include "err.h"
#include "kernel/options.h"

/* Sets guest.backend. E_NOCPU, E_LOCKED, E_NOEPT, E_NOFEATURE with words for people. */
enum err backend_choose(enum option_backend choice, char *why, size_t why_len) MUST_USE;

#endif
