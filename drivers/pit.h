/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The 8254 and system port B: reads by the read-back command, writes what ckpt/dev_pit plans. */
#ifndef SOJOURN_DRIVERS_PIT_H
#define SOJOURN_DRIVERS_PIT_H

#include "ckpt/dev_pit.h"

bool pit_present(void);
enum err pit_capture(struct dev_pit_state *s) MUST_USE;
enum err pit_quiesce(void) MUST_USE;
enum err pit_restore(const struct dev_pit_state *s) MUST_USE;

#endif
