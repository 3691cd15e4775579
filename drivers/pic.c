/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See pic.h. The only register state a capture touches is OCW3's choice of IRR or ISR, which is put back. */
#include "drivers/pic.h"

#include "io.h"

bool pic_present(void)
{
    return io_in8(PIC_PORT_DATA(0)) != 0xFF || io_in8(PIC_PORT_COMMAND(0)) != 0xFF;
}

static uint8_t read_selected(size_t chip, uint8_t ocw3)
{
    io_out8((uint16_t)PIC_PORT_COMMAND(chip), ocw3);
    return io_in8((uint16_t)PIC_PORT_COMMAND(chip));
}

static void select_again(size_t chip)
{
    io_out8((uint16_t)PIC_PORT_COMMAND(chip),
            iowatch_state()->pic[chip].read_isr ? PIC_OCW3_READ_ISR : PIC_OCW3_READ_IRR);
}

enum err pic_capture(struct dev_pic_state *s)
{
    s->head = DEV_HEAD(DEV_PIC_VERSION, struct dev_pic_state);
    for (size_t i = 0; i < DEV_PIC_CHIPS; i++) {
        struct dev_pic_chip *chip = &s->chip[i];
        chip->watch = iowatch_state()->pic[i];
        chip->imr = io_in8((uint16_t)PIC_PORT_DATA(i));
        chip->elcr = io_in8((uint16_t)PIC_PORT_ELCR(i));
        if (chip->elcr == 0xFF) /* no ELCR on this board: all edge */
            chip->elcr = 0;
        chip->irr = read_selected(i, PIC_OCW3_READ_IRR);
        chip->isr = read_selected(i, PIC_OCW3_READ_ISR);
        select_again(i);
    }
    return E_OK;
}

bool pic_in_service(void)
{
    uint8_t isr = 0;
    for (size_t i = 0; i < DEV_PIC_CHIPS; i++) {
        isr |= read_selected(i, PIC_OCW3_READ_ISR);
        select_again(i);
    }
    return isr != 0;
}

enum err pic_quiesce(void)
{
    io_out8(PIC_PORT_DATA(1), PIC_MASK_ALL);
    io_out8(PIC_PORT_DATA(0), PIC_MASK_ALL);
    return E_OK;
}

enum err pic_restore(const struct dev_pic_state *s)
{
    struct port_write plan[DEV_PIC_PLAN_MAX];
    size_t n = dev_pic_plan(s, plan);
    for (size_t i = 0; i < n; i++)
        io_out8(plan[i].port, plan[i].value);
    return E_OK;
}
