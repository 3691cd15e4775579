/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. VGA registers and text memory for ckpt/dev_vga. */
#ifndef SOJOURN_DRIVERS_VGA_STATE_H
#define SOJOURN_DRIVERS_VGA_STATE_H

#include "ckpt/dev_vga.h"

bool vga_present(void);
/* Registers; palette and memory are for vga_capture_more(). */
enum err vga_capture(struct dev_vga_state *s) MUST_USE;
/* A piece of the palette, the text and the fonts, each access of which takes a real card most of a microsecond. The guest is stopped,
   and has written neither to VGA_MEMORY nor to the VGA's ports since vga_capture(). E_NOTYET: there is more; E_DEVICE: it has left text
   mode all the same, by registers elsewhere, and its card may have cleared the memory. */
enum err vga_capture_more(struct dev_vga_state *s) MUST_USE;
enum err vga_restore(const struct dev_vga_state *s) MUST_USE;

#endif
