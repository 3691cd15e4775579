/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure: state, check and plan of the guest's serial ports (the host's console port is not among them). dev_uart_hw.c is
   the shell. FIFO control is write-only: taken from kernel/iowatch where that port is trapped, else whether the FIFO is
   on is read from IIR and the trigger level normalised to what Linux uses. Bytes in the FIFOs are not captured: reading
   them would take them from the guest; in place they stay where they are. */
#ifndef SOJOURN_CKPT_DEV_UART_H
#define SOJOURN_CKPT_DEV_UART_H

#include "ckpt/dev_common.h"

#define DEV_UART_VERSION 1
#define DEV_UART_PORTS 4
#define DEV_UART_PLAN_MAX 10

/* Offsets: National PC16550D data sheet, table "Summary of Registers". */
#define UART_DATA 0u /* DLL with DLAB */
#define UART_IER 1u  /* DLM with DLAB */
#define UART_IIR 2u  /* FCR on write */
#define UART_LCR 3u
#define UART_MCR 4u
#define UART_LSR 5u
#define UART_MSR 6u
#define UART_SCR 7u
#define UART_IER_VALID 0x0Fu
#define UART_IER_THRE 0x02u
#define UART_IIR_FIFO_ON 0xC0u
#define UART_FCR_ENABLE 0x01u
#define UART_FCR_CLEAR 0x06u
#define UART_FCR_USUAL 0x81u /* Linux, 16550A: FIFO on, trigger at 8 */
#define UART_LCR_DLAB 0x80u
#define UART_MCR_VALID 0x1Fu

struct dev_uart_port {
    uint16_t base;
    uint8_t present, fcr_seen;
    uint8_t lcr, ier, mcr, scr, dll, dlm, fcr;
    uint8_t zero[5];
};

struct dev_uart_state {
    struct dev_head head;
    struct dev_uart_port port[DEV_UART_PORTS];
};

_Static_assert(sizeof(struct dev_uart_state) == 8 + 4 * 16, "saved layout");

/* The ports of this machine: bit i for COMi+1. */
enum err dev_uart_check(const struct dev_uart_state *s, unsigned machine_ports, char *why, size_t why_len) MUST_USE;
/* fifo_on_now: the FIFO is already on, so its content must survive. */
size_t dev_uart_plan(const struct dev_uart_port *p, bool fifo_on_now, struct port_write *out);
void dev_uart_show(const struct dev_uart_state *s, char *text, size_t len);

extern const uint16_t dev_uart_base[DEV_UART_PORTS];

/* Shell, dev_uart_hw.c. console_port: the host's own, left out; 0: none. */
void uart_state_init(uint16_t console_port);
unsigned uart_state_ports(void);
enum err uart_state_capture(struct dev_uart_state *s) MUST_USE;
enum err uart_state_quiesce(void) MUST_USE;
enum err uart_state_restore(const struct dev_uart_state *s) MUST_USE;

#endif
