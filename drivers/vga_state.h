/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. VGA registers and text memory for ckpt/dev_vga. */
#ifndef SOJOURN_DRIVERS_VGA_STATE_H
#define SOJOURN_DRIVERS_VGA_STATE_H

#include "ckpt/dev_vga.h"

bool vga_present(void);
/* Registers; what of the memory is in the state vga_capture_more() fills in. */
enum err vga_capture(struct dev_vga_state *s) MUST_USE;
/* A piece of the text and the fonts, each access of which takes a real card most of a microsecond. The guest is stopped, and has
   not written to VGA_MEMORY since vga_capture(); its registers may be different meanwhile, and are put back.
   E_NOTYET: there is more; E_DEVICE: it has left text mode, and its card may have cleared the memory. */
enum err vga_capture_more(struct dev_vga_state *s) MUST_USE;
enum err vga_restore(const struct dev_vga_state *s) MUST_USE;

#endif
