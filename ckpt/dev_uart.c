/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_uart.h. */
#include "ckpt/dev_uart.h"

#include "str.h"

const uint16_t dev_uart_base[DEV_UART_PORTS] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};

enum err dev_uart_check(const struct dev_uart_state *s, unsigned machine_ports, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_UART_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    for (unsigned i = 0; i < DEV_UART_PORTS; i++) {
        const struct dev_uart_port *p = &s->port[i];
        if (p->present > 1 || p->base != dev_uart_base[i] || p->ier & ~UART_IER_VALID || p->fcr_seen > 1)
            return dev_refuse(E_DEVICE, why, why_len, "com%u: impossible state", i + 1);
        if (p->present != ((machine_ports >> i) & 1u))
            return dev_refuse(E_LAYOUT, why, why_len, "com%u: %s at the cut, %s here", i + 1,
                              p->present ? "the guest's" : "not the guest's",
                              p->present ? "absent or the console" : "the guest's");
    }
    return E_OK;
}

static size_t put(struct port_write *out, size_t n, unsigned port, unsigned value)
{
    out[n] = (struct port_write){(uint16_t)port, (uint8_t)value};
    return n + 1;
}

size_t dev_uart_plan(const struct dev_uart_port *p, bool fifo_on_now, struct port_write *out)
{
    size_t n = 0;
    uint8_t fcr = p->fcr & (uint8_t)~UART_FCR_CLEAR;
    bool on = fcr & UART_FCR_ENABLE;
    n = put(out, n, p->base + UART_LCR, p->lcr & ~UART_LCR_DLAB);
    n = put(out, n, p->base + UART_IER, 0);
    n = put(out, n, p->base + UART_IIR, on && !fifo_on_now ? fcr | UART_FCR_CLEAR : fcr);
    n = put(out, n, p->base + UART_LCR, p->lcr | UART_LCR_DLAB);
    n = put(out, n, p->base + UART_DATA, p->dll);
    n = put(out, n, p->base + UART_IER, p->dlm);
    n = put(out, n, p->base + UART_LCR, p->lcr & ~UART_LCR_DLAB);
    n = put(out, n, p->base + UART_SCR, p->scr);
    n = put(out, n, p->base + UART_MCR, p->mcr);
    /* Raising THRE in IER makes a new transmit interrupt: one that was lost on the way comes again. */
    n = put(out, n, p->base + UART_IER, p->ier);
    return n;
}

void dev_uart_show(const struct dev_uart_state *s, char *text, size_t len)
{
    size_t used = 0;
    if (len > 0)
        text[0] = 0;
    for (unsigned i = 0; i < DEV_UART_PORTS && used < len; i++) {
        const struct dev_uart_port *p = &s->port[i];
        if (p->present)
            used += (size_t)str_format(text + used, len - used, "%scom%u divisor %u lcr %02x ier %02x fcr %02x (%s)",
                                       used ? "; " : "", i + 1, (unsigned)(p->dlm << 8 | p->dll), p->lcr, p->ier,
                                       p->fcr, p->fcr_seen ? "observed" : "normalised");
    }
}
