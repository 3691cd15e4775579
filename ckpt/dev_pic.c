/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_pic.h. Intel data sheet 231468 "8259A", "Initialization Command Words" and "Operation Command Words";
   ELCR: Intel 82371SB (PIIX3) data sheet 2.5.3.7 "Edge/Level Control Registers". */
#include "ckpt/dev_pic.h"

#include "bits.h"
#include "str.h"

#define ICW1_INIT BIT32(4)
#define ICW1_IC4 BIT32(0)
#define ICW1_SNGL BIT32(1)
#define ICW4_AEOI BIT32(1)
#define OCW2_ROTATE_AEOI_SET 0x80u
#define OCW2_ROTATE_AEOI_CLEAR 0x00u
#define OCW2_SET_PRIORITY 0xC0u
#define OCW3_SMM_SET 0x68u
#define OCW3_SMM_CLEAR 0x48u
#define PIC_LOWEST_DEFAULT 7u

/* IRQ 0, 1, 2 of the master and 8, 13 of the slave are edge inputs by wiring: their ELCR bits are reserved. */
static const uint8_t elcr_reserved[DEV_PIC_CHIPS] = {0x07, 0x21};

/* What Linux writes (arch/x86/kernel/i8259.c, init_8259A): vectors 30h and 38h, cascade on input 2, 8086 mode. */
static const uint8_t usual_icw[DEV_PIC_CHIPS][4] = {{0x11, 0x30, 0x04, 0x01}, {0x11, 0x38, 0x02, 0x01}};

static const uint8_t *icw_of(const struct dev_pic_state *s, size_t chip)
{
    return s->chip[chip].watch.seen ? s->chip[chip].watch.icw : usual_icw[chip];
}

enum err dev_pic_check(const struct dev_pic_state *s, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_PIC_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    for (size_t i = 0; i < DEV_PIC_CHIPS; i++) {
        const struct iowatch_pic *w = &s->chip[i].watch;
        if (w->seen > 1 || w->step == 1 || w->step > 4 || (w->seen && !(w->icw[0] & ICW1_INIT)))
            return dev_refuse(E_DEVICE, why, why_len, "pic %u: impossible initialisation state", (unsigned)i);
        if (s->chip[i].elcr & elcr_reserved[i])
            return dev_refuse(E_DEVICE, why, why_len, "pic %u: level mode on an edge-only input", (unsigned)i);
    }
    return E_OK;
}

static size_t put(struct port_write *out, size_t n, unsigned port, unsigned value)
{
    out[n] = (struct port_write){(uint16_t)port, (uint8_t)value};
    return n + 1;
}

size_t dev_pic_plan(const struct dev_pic_state *s, struct port_write *out)
{
    size_t n = 0;
    for (size_t i = 0; i < DEV_PIC_CHIPS; i++) {
        const struct iowatch_pic *w = &s->chip[i].watch;
        const uint8_t *icw = icw_of(s, i);
        n = put(out, n, PIC_PORT_COMMAND(i), icw[0]); /* also clears ISR, latched edges and the mask */
        n = put(out, n, PIC_PORT_DATA(i), icw[1]);
        if (!(icw[0] & ICW1_SNGL))
            n = put(out, n, PIC_PORT_DATA(i), icw[2]);
        if (icw[0] & ICW1_IC4)
            n = put(out, n, PIC_PORT_DATA(i), icw[3]);
        n = put(out, n, PIC_PORT_DATA(i), PIC_MASK_ALL);
        n = put(out, n, PIC_PORT_ELCR(i), s->chip[i].elcr);
        if (w->rotate_aeoi)
            n = put(out, n, PIC_PORT_COMMAND(i), OCW2_ROTATE_AEOI_SET);
        if (w->seen && w->lowest < PIC_LOWEST_DEFAULT)
            n = put(out, n, PIC_PORT_COMMAND(i), OCW2_SET_PRIORITY | w->lowest);
        if (w->special_mask)
            n = put(out, n, PIC_PORT_COMMAND(i), OCW3_SMM_SET);
        n = put(out, n, PIC_PORT_COMMAND(i), w->read_isr ? PIC_OCW3_READ_ISR : PIC_OCW3_READ_IRR);
    }
    /* Masks last, when both chips are whole. A sequence that the guest had begun is begun again: it goes on with the
       ICW that is due. */
    for (size_t i = 0; i < DEV_PIC_CHIPS; i++) {
        const struct iowatch_pic *w = &s->chip[i].watch;
        n = put(out, n, PIC_PORT_DATA(i), s->chip[i].imr);
        if (w->step)
            n = put(out, n, PIC_PORT_COMMAND(i), w->pending[0]);
        for (unsigned k = 1; w->step && k + 1 < w->step; k++)
            if (k != 2 || !(w->pending[0] & ICW1_SNGL))
                n = put(out, n, PIC_PORT_DATA(i), w->pending[k]);
    }
    return n;
}

void dev_pic_show(const struct dev_pic_state *s, char *text, size_t len)
{
    str_format(text, len, "mask %02x %02x vectors %02x %02x elcr %02x %02x in-service %02x %02x; icw %s%s",
               s->chip[0].imr, s->chip[1].imr, icw_of(s, 0)[1], icw_of(s, 1)[1], s->chip[0].elcr, s->chip[1].elcr,
               s->chip[0].isr, s->chip[1].isr,
               s->chip[0].watch.seen && s->chip[1].watch.seen ? "observed" : "normalised to the usual",
               s->chip[0].isr | s->chip[1].isr ? "; in-service not restored" : "");
}
