/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. A 16550 serial port: 115200 baud, 8 data bits, no parity, one stop bit, FIFOs on. It moves bytes and nothing
   else; an absent port reads FF everywhere, and every loop here is bounded, so that it costs time and never a hang. */
#ifndef SOJOURN_UART_H
#define SOJOURN_UART_H

#include "err.h"
#include "types.h"

/* Register offsets and bits, named as in the PC16550D data sheet; DLAB in parentheses. */
#define UART_RBR 0 /* read (0): receiver buffer */
#define UART_THR 0 /* write (0): transmitter holding */
#define UART_DLL 0 /* (1): divisor, low byte */
#define UART_IER 1 /* (0): interrupt enable */
#define UART_DLM 1 /* (1): divisor, high byte */
#define UART_IIR 2 /* read: interrupt identification */
#define UART_FCR 2 /* write: FIFO control */
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7
#define UART_PORTS 8u

#define UART_IER_ERBFI 0x01 /* received data */
#define UART_IER_ETBEI 0x02 /* transmitter holding register empty */
#define UART_IER_ALL 0x0f
#define UART_IIR_NONE 0x01 /* no interrupt pending */
#define UART_FCR_ENABLE 0x01
#define UART_FCR_CLEAR_RX 0x02
#define UART_FCR_CLEAR_TX 0x04
#define UART_LCR_8N1 0x03
#define UART_LCR_DLAB 0x80
#define UART_MCR_DTR 0x01
#define UART_MCR_RTS 0x02
#define UART_MCR_OUT2 0x08 /* lets the interrupt out of the chip on a PC */
#define UART_LSR_DR 0x01
#define UART_LSR_OE 0x02
#define UART_LSR_PE 0x04
#define UART_LSR_FE 0x08
#define UART_LSR_BI 0x10
#define UART_LSR_THRE 0x20
#define UART_LSR_TEMT 0x40
#define UART_ABSENT 0xff
#define UART_DIVISOR_115200 1u
#define UART_FIFO_BYTES 16u

struct uart {
    uint16_t port; /* 0: none */
    uint8_t ier;   /* as last written */
    uint64_t overruns, line_errors;
};

/* Is a UART at port? Writes IER and puts it back. */
bool uart_present(uint16_t port) MUST_USE;
/* E_NOCONSOLE: none there (uart->port is then 0, and all calls below do nothing). Interrupts are left off. */
enum err uart_init(struct uart *uart, uint16_t port) MUST_USE;
/* A received byte, if there is one. Breaks are swallowed. */
bool uart_rx(struct uart *uart, uint8_t *byte) MUST_USE;
/* Put as many bytes as the transmitter takes now, without waiting: 0 to UART_FIFO_BYTES. */
size_t uart_tx(struct uart *uart, const uint8_t *bytes, size_t count) MUST_USE;
/* Everything, waiting at most timeout_us in all. E_TIMEOUT: the rest is dropped. Boot, panic and flush only. */
enum err uart_write(struct uart *uart, const uint8_t *bytes, size_t count, uint64_t timeout_us) MUST_USE;
/* Interrupts: receive, and transmitter empty. Causes go off first, so an edge-triggered line sees a new edge. */
void uart_interrupts(struct uart *uart, bool rx, bool tx);
/* Take whatever interrupt causes are pending, so that the line goes low; received bytes stay for uart_rx(). */
void uart_quiet(struct uart *uart);

#endif
