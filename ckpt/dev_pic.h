/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The two 8259A interrupt controllers and their edge/level registers as a checkpoint holds them, and the write
   sequence that brings them back. Initialisation words come from kernel/iowatch; without an observation they are what
   Linux writes. ISR and latched edges have no write port: they are recorded, not restored (a repeated EOI of an empty
   ISR does nothing, and the level or the next edge raises the request again). */
#ifndef SOJOURN_CKPT_DEV_PIC_H
#define SOJOURN_CKPT_DEV_PIC_H

#include "ckpt/dev_common.h"
#include "kernel/iowatch.h"

#define DEV_PIC_VERSION 1
#define DEV_PIC_CHIPS 2
#define DEV_PIC_PLAN_MAX 32

#define PIC_PORT_COMMAND(chip) ((chip) ? 0xA0u : 0x20u)
#define PIC_PORT_DATA(chip) ((chip) ? 0xA1u : 0x21u)
#define PIC_PORT_ELCR(chip) ((chip) ? 0x4D1u : 0x4D0u)
#define PIC_OCW3_READ_IRR 0x0Au
#define PIC_OCW3_READ_ISR 0x0Bu
#define PIC_MASK_ALL 0xFFu

struct dev_pic_chip {
    uint8_t imr, irr, isr, elcr; /* as read */
    struct iowatch_pic watch;    /* as observed, or normalised when watch.seen is 0 */
};

struct dev_pic_state {
    struct dev_head head;
    struct dev_pic_chip chip[DEV_PIC_CHIPS];
};

_Static_assert(sizeof(struct dev_pic_state) == 48, "saved layout");

enum err dev_pic_check(const struct dev_pic_state *s, char *why, size_t why_len) MUST_USE;
/* Returns the number of writes, at most DEV_PIC_PLAN_MAX. */
size_t dev_pic_plan(const struct dev_pic_state *s, struct port_write *out);
void dev_pic_show(const struct dev_pic_state *s, char *text, size_t len);

#endif
