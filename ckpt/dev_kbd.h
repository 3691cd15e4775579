/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The i8042 keyboard controller's command byte (port enables, interrupts, translation), a byte the guest has not
   fetched yet, and system port A (92h). What the keyboard and mouse themselves hold (LEDs, rates, protocol) cannot be
   read without a dialogue with them; after a power cut they have their power-on defaults. */
#ifndef SOJOURN_CKPT_DEV_KBD_H
#define SOJOURN_CKPT_DEV_KBD_H

#include "ckpt/dev_common.h"

#define DEV_KBD_VERSION 1
#define PORT92_INIT_NOW 0x01u
#define PORT92_A20 0x02u

struct dev_kbd_state {
    struct dev_head head;
    uint8_t present;      /* a controller answered */
    uint8_t command_seen; /* command holds */
    uint8_t command;
    uint8_t held, held_aux, held_byte; /* a byte in the output buffer, from the mouse if held_aux */
    uint8_t port92;
    uint8_t zero;
};

_Static_assert(sizeof(struct dev_kbd_state) == 16, "saved layout");

enum err dev_kbd_check(const struct dev_kbd_state *s, bool machine_has, char *why, size_t why_len) MUST_USE;
void dev_kbd_show(const struct dev_kbd_state *s, char *text, size_t len);

#endif
