/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See rtc.h. The index register cannot be read, so the guest's is written back from the observation. While the
   host uses the pair, the NMI mask bit keeps the value the guest gave it. */
#include "drivers/rtc.h"

#include "io.h"
#include "kernel/iowatch.h"

static uint8_t guest_index(void)
{
    return iowatch_state()->rtc_seen ? iowatch_state()->rtc_index : CMOS_INDEX_USUAL;
}

static void select_reg(uint8_t reg)
{
    io_out8(CMOS_PORT_INDEX, (uint8_t)(reg | (guest_index() & ~CMOS_INDEX_MASK)));
}

static uint8_t cmos_read(uint8_t reg)
{
    select_reg(reg);
    return io_in8(CMOS_PORT_DATA);
}

static void cmos_write(uint8_t reg, uint8_t value)
{
    select_reg(reg);
    io_out8(CMOS_PORT_DATA, value);
}

bool rtc_present(void)
{
    bool there = cmos_read(CMOS_REG_D) != 0xFF;
    io_out8(CMOS_PORT_INDEX, guest_index());
    return there;
}

enum err rtc_capture(struct dev_rtc_state *s)
{
    s->head = DEV_HEAD(DEV_RTC_VERSION, struct dev_rtc_state);
    for (uint8_t reg = 0; reg < CMOS_BYTES; reg++)
        if (dev_rtc_captures(reg))
            s->cmos[reg] = cmos_read(reg);
    s->cmos[CMOS_REG_A] &= (uint8_t)~CMOS_REG_A_UIP;
    s->index = guest_index();
    s->index_seen = iowatch_state()->rtc_seen;
    io_out8(CMOS_PORT_INDEX, s->index);
    return E_OK;
}

enum err rtc_quiesce(void)
{
    uint8_t b = cmos_read(CMOS_REG_B);
    cmos_write(CMOS_REG_B, (uint8_t)(b & ~CMOS_REG_B_INTERRUPTS));
    io_out8(CMOS_PORT_INDEX, guest_index());
    return E_OK;
}

enum err rtc_restore(const struct dev_rtc_state *s)
{
    /* Only what differs is written: configuration bytes of the firmware are in there, too. */
    for (uint8_t reg = 0; reg < CMOS_BYTES; reg++)
        if (dev_rtc_restores(reg) && reg != CMOS_REG_B && cmos_read(reg) != s->cmos[reg])
            cmos_write(reg, s->cmos[reg]);
    /* A flag that stayed set while nobody listened would keep IRQ 8 from ever rising again: read C to clear it. */
    (void)cmos_read(CMOS_REG_C);
    cmos_write(CMOS_REG_B, s->cmos[CMOS_REG_B]);
    io_out8(CMOS_PORT_INDEX, s->index);
    return E_OK;
}
