/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Boot and panic messages on the text screen, if there is one. Never used once the guest has the machine. */
#ifndef SOJOURN_KERNEL_SCREEN_H
#define SOJOURN_KERNEL_SCREEN_H

#include "boot/multiboot2.h"
#include "types.h"

void screen_init(const struct boot_framebuffer *fb);
void screen_print(const char *line);
/* The guest owns the screen from now on. */
void screen_release(void);

#endif
