/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The 16550's registers (National PC16550D data sheet, 8 "Registers"). */
#include "drivers/uart.h"

#include "clock.h"
#include "io.h"

#define DRAIN_MAX 64 /* bytes thrown away at start: the FIFO four times over */
#define QUIET_MAX 16 /* causes: four kinds, with room for new ones meanwhile */

static uint8_t in(uint16_t port, unsigned reg)
{
    return io_in8((uint16_t)(port + reg));
}

static void out(uint16_t port, unsigned reg, unsigned value)
{
    io_out8((uint16_t)(port + reg), (uint8_t)value);
}

/* IER's upper half is always 0 and its lower half holds what was written; no other chip or empty bus does both. */
bool uart_present(uint16_t port)
{
    if (port == 0)
        return false;
    uint8_t lcr = in(port, UART_LCR);
    out(port, UART_LCR, UART_LCR_8N1); /* DLAB 0: offset 1 is IER */
    uint8_t ier = in(port, UART_IER);
    out(port, UART_IER, 0);
    uint8_t zeros = in(port, UART_IER);
    out(port, UART_IER, UART_IER_ALL);
    uint8_t ones = in(port, UART_IER);
    out(port, UART_IER, ier);
    out(port, UART_LCR, lcr);
    return zeros == 0 && ones == UART_IER_ALL;
}

enum err uart_init(struct uart *uart, uint16_t port)
{
    *uart = (struct uart){0};
    if (!uart_present(port))
        return E_NOCONSOLE;
    uart->port = port;
    out(port, UART_LCR, UART_LCR_8N1);
    out(port, UART_IER, 0);
    out(port, UART_LCR, UART_LCR_8N1 | UART_LCR_DLAB);
    out(port, UART_DLL, UART_DIVISOR_115200 & 0xff);
    out(port, UART_DLM, UART_DIVISOR_115200 >> 8);
    out(port, UART_LCR, UART_LCR_8N1);
    /* Trigger level 1 (bits 7:6 zero): every byte is told at once. */
    out(port, UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
    out(port, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
    for (int i = 0; i < DRAIN_MAX && (in(port, UART_LSR) & UART_LSR_DR); i++)
        (void)in(port, UART_RBR);
    uart_quiet(uart);
    return E_OK;
}

bool uart_rx(struct uart *uart, uint8_t *byte)
{
    if (uart->port == 0)
        return false;
    for (unsigned i = 0; i < UART_FIFO_BYTES; i++) {
        uint8_t lsr = in(uart->port, UART_LSR);
        if (lsr == UART_ABSENT || !(lsr & UART_LSR_DR))
            return false;
        *byte = in(uart->port, UART_RBR);
        uart->overruns += (lsr & UART_LSR_OE) != 0;
        uart->line_errors += (lsr & (UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)) != 0;
        if (!(lsr & UART_LSR_BI))
            return true;
    }
    return false;
}

size_t uart_tx(struct uart *uart, const uint8_t *bytes, size_t count)
{
    if (uart->port == 0)
        return 0;
    uint8_t lsr = in(uart->port, UART_LSR);
    if (lsr == UART_ABSENT || !(lsr & UART_LSR_THRE))
        return 0;
    /* THRE with FIFOs on: the transmit FIFO is empty and takes all of its bytes. */
    size_t n = count < UART_FIFO_BYTES ? count : UART_FIFO_BYTES;
    io_out8_all((uint16_t)(uart->port + UART_THR), bytes, n);
    return n;
}

enum err uart_write(struct uart *uart, const uint8_t *bytes, size_t count, uint64_t timeout_us)
{
    uint64_t end = deadline_in_us(timeout_us);
    if (uart->port == 0)
        return E_NOCONSOLE;
    while (count > 0) {
        size_t n = uart_tx(uart, bytes, count);
        bytes += n;
        count -= n;
        if (n == 0 && deadline_passed(end))
            return E_TIMEOUT;
    }
    return E_OK;
}

void uart_interrupts(struct uart *uart, bool rx, bool tx)
{
    if (uart->port == 0)
        return;
    uart->ier = (uint8_t)((rx ? UART_IER_ERBFI : 0) | (tx ? UART_IER_ETBEI : 0));
    out(uart->port, UART_IER, 0);
    out(uart->port, UART_IER, uart->ier);
}

void uart_quiet(struct uart *uart)
{
    if (uart->port == 0)
        return;
    for (int i = 0; i < QUIET_MAX && !(in(uart->port, UART_IIR) & UART_IIR_NONE); i++) {
        (void)in(uart->port, UART_LSR);
        (void)in(uart->port, UART_MSR);
    }
}
