/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The console's UART and its interrupt line, which is the way back in: its I/O APIC entry is in NMI mode. Moves
   bytes between UART, gateway page and console engine, in both modes, without ever waiting. */
#ifndef SOJOURN_KERNEL_CONSOLE_IRQ_H
#define SOJOURN_KERNEL_CONSOLE_IRQ_H

#include "err.h"
#include "types.h"

/* At boot. gsi OPTIONS_GSI_UNKNOWN: polled only, and leaving is refused. E_NOCONSOLE: no UART there. */
enum err console_irq_init(uint16_t port, uint32_t gsi);
/* Take the line if the guest does not use it: at boot, and again later, because a guest that sets up its I/O APIC
   masks every entry. */
void console_irq_rearm(void);
bool console_irq_armed(void);
/* Give the line back as the guest left it: before a restore, and for a guest that runs native for good. */
void console_irq_disarm(void);
/* The I/O APIC entry that makes an edge of its line an NMI of this CPU. */
uint64_t console_irq_nmi_entry(void);
/* Does the guest use the line itself? */
bool console_irq_taken_by_guest(void);
/* An NMI came: did the console cause it, or the host's own handling of the console just before? */
bool console_irq_take(void);
/* All that came through the gateway is the line "enter", and the console would carry it out next. Then the UART is quiet
   until the next pump. */
bool console_irq_enter_typed(void);
/* The same question as console_irq_take()'s, but nothing is moved, no command carried out: before leaving. Follow it by
   console_irq_pump() or console_irq_prepare_native(). */
bool console_irq_explains_nmi(void);
/* The guest has run: from now on an NMI without a cause is not forgiven. */
void console_irq_exited(void);
/* Everything received goes to the console engine, what it says goes to the UART as far as it takes it. Where an
   interrupt of the UART is still to come, only what needs to be begun is begun. */
void console_irq_pump(void);
/* The same without interrupts, which stay off until the next pump or prepare_native: while no guest runs. */
void console_irq_poll(void);
/* No interrupt from the UART until console_irq_prepare_native() or console_irq_pump(): a leave is about to use an NMI. */
void console_irq_hush(void);
/* The guest was not left after all. */
void console_irq_unhush(void);
/* Output only: as much as ring and UART take now. */
void console_irq_send(void);
/* Wait until the UART has sent what it was given. */
void console_irq_drain(uint64_t timeout_us);
/* The answer to the line that came through the gateway, when the image is not to be trusted with more: the gateway sends
   it. Without a line nothing is said. A 32-bit guest's bytes come and go here, each in a visit. */
void console_irq_refuse(enum err e);
/* Last thing before the guest runs native: output that waits goes to the gateway's ring. */
void console_irq_prepare_native(void);
/* Panic: text out by polling, bounded. */
void console_irq_emergency(const char *text);
/* Boot messages: out by polling, bounded, line by line. */
void console_irq_boot_line(const char *line, size_t length);

#endif
