/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The i8042 keyboard controller and port 92h. Every wait is bounded; an absent controller is a normal case. */
#ifndef SOJOURN_DRIVERS_KBD_H
#define SOJOURN_DRIVERS_KBD_H

#include "ckpt/dev_kbd.h"

bool kbd_present(void);
enum err kbd_capture(struct dev_kbd_state *s) MUST_USE;
enum err kbd_restore(const struct dev_kbd_state *s) MUST_USE;

#endif
