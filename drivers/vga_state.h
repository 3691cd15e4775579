/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. VGA registers and text memory for ckpt/dev_vga. */
#ifndef SOJOURN_DRIVERS_VGA_STATE_H
#define SOJOURN_DRIVERS_VGA_STATE_H

#include "ckpt/dev_vga.h"

bool vga_present(void);
enum err vga_capture(struct dev_vga_state *s) MUST_USE;
enum err vga_restore(const struct dev_vga_state *s) MUST_USE;

#endif
