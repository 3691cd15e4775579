/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure: registers of the guest's 8254x and 82574 network cards, and in which order they come back. dev_e1000_hw.c is the shell. The
   rings lie in memory and come back with it; a packet that was on its way is lost or repeated, as packets are. */
#ifndef SOJOURN_CKPT_DEV_E1000_H
#define SOJOURN_CKPT_DEV_E1000_H

#include "ckpt/dev_common.h"
#include "drivers/e1000.h"

#define DEV_E1000_VERSION 1
#define DEV_E1000_CARDS 4u
#define DEV_E1000_REGISTERS 416u

struct dev_e1000_card {
    uint16_t bdf, device;
    uint32_t mapped;                   /* 0: the guest does not use it, and there are no registers */
    uint32_t reg[DEV_E1000_REGISTERS]; /* in the order of dev_e1000_register() */
};

struct dev_e1000_state {
    struct dev_head head;
    uint32_t cards, zero;
    struct dev_e1000_card card[DEV_E1000_CARDS];
};

_Static_assert(sizeof(struct dev_e1000_card) == 8 + 416 * 4, "saved layout");
_Static_assert(sizeof(struct dev_e1000_state) == 16 + 4 * 1672, "saved layout");

/* How many registers of such a card are kept, and the offset of register i, in the order in which they are restored. */
uint32_t dev_e1000_registers(uint16_t device);
uint32_t dev_e1000_register(uint16_t device, uint32_t i);
bool dev_e1000_known(uint16_t vendor, uint16_t device);
enum err dev_e1000_check(const struct dev_e1000_state *s, const struct dev_e1000_state *machine, char *why,
                         size_t why_len) MUST_USE;
void dev_e1000_show(const struct dev_e1000_state *s, char *text, size_t len);

/* Shell, dev_e1000_hw.c. */
void e1000_state_list(struct dev_e1000_state *s); /* cards, bdf, device */
bool e1000_state_present(void);
enum err e1000_state_capture(struct dev_e1000_state *s) MUST_USE;
enum err e1000_state_quiesce(void) MUST_USE;
/* Bus mastering is on again: packets go out and come in. */
enum err e1000_state_restore(const struct dev_e1000_state *s) MUST_USE;

#endif
