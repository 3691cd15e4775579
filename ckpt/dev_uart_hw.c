/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Serial port registers for ckpt/dev_uart. Two reads have side effects that are made good: IIR drops a transmit
   interrupt (raised again by turning its enable off and on), the divisor needs DLAB for a moment. */
#include "ckpt/dev_uart.h"
#include "io.h"
#include "kernel/iowatch.h"

#define UART_FLOATING 0xFFu

static uint16_t console;

static uint8_t rd(const struct dev_uart_port *p, unsigned reg)
{
    return io_in8((uint16_t)(p->base + reg));
}

static void wr(const struct dev_uart_port *p, unsigned reg, unsigned value)
{
    io_out8((uint16_t)(p->base + reg), (uint8_t)value);
}

void uart_state_init(uint16_t console_port)
{
    console = console_port;
}

static bool there(unsigned i)
{
    uint16_t base = dev_uart_base[i];
    return base != console && io_in8((uint16_t)(base + UART_LCR)) != UART_FLOATING &&
           (io_in8((uint16_t)(base + UART_MCR)) & ~UART_MCR_VALID) == 0;
}

unsigned uart_state_ports(void)
{
    unsigned ports = 0;
    for (unsigned i = 0; i < DEV_UART_PORTS; i++)
        ports |= there(i) ? 1u << i : 0;
    return ports;
}

static void capture(unsigned i, struct dev_uart_port *p)
{
    const struct iowatch *w = iowatch_state();
    p->present = 1;
    p->lcr = rd(p, UART_LCR);
    p->mcr = rd(p, UART_MCR);
    p->scr = rd(p, UART_SCR);
    wr(p, UART_LCR, p->lcr | UART_LCR_DLAB);
    p->dll = rd(p, UART_DATA);
    p->dlm = rd(p, UART_IER);
    wr(p, UART_LCR, p->lcr & ~UART_LCR_DLAB);
    p->ier = rd(p, UART_IER) & UART_IER_VALID;
    bool fifo_on = (rd(p, UART_IIR) & UART_IIR_FIFO_ON) == UART_IIR_FIFO_ON;
    p->fcr_seen = w->fcr_seen[i];
    p->fcr = w->fcr_seen[i] ? w->fcr[i] & (uint8_t)~UART_FCR_CLEAR : fifo_on ? UART_FCR_USUAL : 0;
    if (p->ier & UART_IER_THRE) {
        wr(p, UART_IER, p->ier & ~UART_IER_THRE);
        wr(p, UART_IER, p->ier);
    }
    if (p->lcr & UART_LCR_DLAB)
        wr(p, UART_LCR, p->lcr);
}

enum err uart_state_capture(struct dev_uart_state *s)
{
    s->head = DEV_HEAD(DEV_UART_VERSION, struct dev_uart_state);
    for (unsigned i = 0; i < DEV_UART_PORTS; i++) {
        s->port[i].base = dev_uart_base[i];
        if (there(i))
            capture(i, &s->port[i]);
    }
    return E_OK;
}

enum err uart_state_quiesce(void)
{
    for (unsigned i = 0; i < DEV_UART_PORTS; i++)
        if (there(i)) {
            struct dev_uart_port p = {.base = dev_uart_base[i]};
            wr(&p, UART_LCR, rd(&p, UART_LCR) & ~UART_LCR_DLAB);
            wr(&p, UART_IER, 0);
        }
    return E_OK;
}

enum err uart_state_restore(const struct dev_uart_state *s)
{
    for (unsigned i = 0; i < DEV_UART_PORTS; i++) {
        const struct dev_uart_port *p = &s->port[i];
        if (!p->present || !there(i))
            continue;
        struct port_write plan[DEV_UART_PLAN_MAX];
        bool fifo_on = (rd(p, UART_IIR) & UART_IIR_FIFO_ON) == UART_IIR_FIFO_ON;
        size_t n = dev_uart_plan(p, fifo_on, plan);
        for (size_t k = 0; k < n; k++)
            io_out8(plan[k].port, plan[k].value);
        if (p->lcr & UART_LCR_DLAB)
            wr(p, UART_LCR, p->lcr);
    }
    return E_OK;
}
