/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See pit.h. Reading a latched count completely leaves the low/high flip-flop where it was. */
#include "drivers/pit.h"

#include "io.h"

bool pit_present(void)
{
    io_out8(PIT_PORT_CONTROL_WORD, PIT_READ_BACK(0) | 0x20u); /* status only: count latch bit (active low) off */
    return io_in8(PIT_PORT_COUNTER(0)) != 0xFF;
}

enum err pit_capture(struct dev_pit_state *s)
{
    s->head = DEV_HEAD(DEV_PIT_VERSION, struct dev_pit_state);
    for (size_t i = 0; i < DEV_PIT_CHANNELS; i++) {
        struct dev_pit_channel *c = &s->channel[i];
        uint16_t port = (uint16_t)PIT_PORT_COUNTER(i);
        io_out8(PIT_PORT_CONTROL_WORD, (uint8_t)PIT_READ_BACK(i));
        c->status = io_in8(port);
        unsigned rw = PIT_STATUS_RW(c->status);
        if (rw != PIT_RW_NEVER && rw != PIT_RW_HIGH_ONLY)
            c->count = io_in8(port);
        if (rw != PIT_RW_NEVER && rw != PIT_RW_LOW_ONLY)
            c->count = (uint16_t)(c->count | io_in8(port) << 8);
        c->watch = iowatch_state()->pit[i];
    }
    s->system_b = io_in8(PIT_PORT_SYSTEM_B) & PIT_SYSTEM_B_WRITABLE;
    return E_OK;
}

enum err pit_quiesce(void)
{
    return E_OK; /* its only way to the CPU is IRQ 0, which the interrupt controllers mask */
}

enum err pit_restore(const struct dev_pit_state *s)
{
    struct port_write plan[DEV_PIT_PLAN_MAX];
    size_t n = dev_pit_plan(s, plan);
    for (size_t i = 0; i < n; i++)
        io_out8(plan[i].port, plan[i].value);
    return E_OK;
}
