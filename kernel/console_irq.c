/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Console bytes; see the header. The line's I/O APIC entry: delivery mode NMI, edge, physical destination
 * (82093AA data sheet 3.2.4 "I/O Redirection Table Registers"). The guest's own value is lent to drivers/ioapic.c, so
 * that a checkpoint holds that one.
 *
 * An NMI whose cause is gone by the time it is looked at would be taken for the guest's. So while bytes are moved, all
 * of the UART's causes are switched off, which ends the line's level; switched on again, they make an edge only if there
 * still is a cause, and nothing touches that until its NMI has come. */
#include "kernel/console_irq.h"

#include "bits.h"
#include "clock.h"
#include "cpu.h"
#include "drivers/ioapic.h"
#include "drivers/lapic.h"
#include "drivers/uart.h"
#include "io.h"
#include "kernel/console.h"
#include "kernel/cpus.h"
#include "kernel/digest.h"
#include "kernel/gateway_data.h"
#include "kernel/guest.h"
#include "kernel/host_timer.h"
#include "kernel/options.h"
#include "kernel/traps.h"
#include "log.h"

#include <string.h>

#define RTE_DELIVERY_NMI (4ull << 8)
#define RTE_DELIVERY_MASK MASK(10, 8)
#define RTE_STATUS BIT(12)
#define RTE_MASKED BIT(16)
#define RTE_DESTINATION_SHIFT 56
#define XAPIC_ID_SHIFT 24
#define EMERGENCY_TIMEOUT_US 200000u
#define BOOT_LINE_TIMEOUT_US 50000u
#define PUMP_ROUNDS 64u
#define FORGIVE_US 5000u
#define ENTER_BYTES 6u
#define ENTER_LINE 0x0d7265746e65ull /* "enter\r" */

static struct uart uart;
static uint32_t line_gsi = OPTIONS_GSI_UNKNOWN;
static bool armed, taken;
/* The host touched the UART since the last exit, with its causes on. What it did may have raised an edge whose cause is
   gone by the time the NMI is looked at: such an NMI comes at once, before the guest has run an instruction, and is not
   the guest's. A guest without exits may run for long, so how long ago it was counts, too. */
static bool serviced;
static uint64_t serviced_us;

enum err console_irq_init(uint16_t port, uint32_t gsi)
{
    enum err e = uart_init(&uart, port);
    if (e)
        return e;
    line_gsi = gsi;
    gateway.uart_port = port;
    gateway.cpu[0].has_console = 1;
    gateway.echo = 1;
    return E_OK;
}

static void note_service(void)
{
    serviced = true;
    serviced_us = clock_us();
}

/* gateway.uart_ier is the record of what the IER holds: the gateway changes it while the guest is native. */
static void set_causes(bool rx, bool tx)
{
    uart_interrupts(&uart, rx, tx);
    gateway.uart_ier = uart.ier;
}

uint64_t console_irq_nmi_entry(void)
{
    /* The register holds an xAPIC's id in its top byte. */
    uint64_t id = lapic_mode() == LAPIC_MODE_X2APIC ? lapic_id() : lapic_id() >> XAPIC_ID_SHIFT;
    return RTE_DELIVERY_NMI | id << RTE_DESTINATION_SHIFT;
}

void console_irq_rearm(void)
{
    uint64_t entry;
    if (!uart.port || line_gsi == OPTIONS_GSI_UNKNOWN || ioapic_read_entry(line_gsi, &entry))
        return;
    entry &= ~RTE_STATUS;
    if (entry == console_irq_nmi_entry()) {
        armed = true;
        return;
    }
    bool guests = !(entry & RTE_MASKED);
    if (guests && !taken)
        log_line("console", "the guest uses the console's interrupt line itself: gsi=%u", line_gsi);
    taken = guests;
    armed = false;
    if (guests)
        return;
    if (ioapic_set_override(line_gsi, (uint32_t)entry, (uint32_t)(entry >> 32)) ||
        ioapic_write_entry(line_gsi, console_irq_nmi_entry()))
        return;
    armed = true;
    set_causes(true, false);
}

bool console_irq_armed(void)
{
    return armed;
}

bool console_irq_taken_by_guest(void)
{
    return taken;
}

void console_irq_disarm(void)
{
    uint32_t lo, hi;
    if (armed && ioapic_get_override(line_gsi, &lo, &hi)) {
        if (ioapic_write_entry(line_gsi, lo | (uint64_t)hi << 32))
            log_line("console", "interrupt line cannot be given back: gsi=%u", line_gsi);
        ioapic_clear_override(line_gsi);
    }
    armed = false;
    if (uart.port)
        set_causes(false, false);
}

static uint32_t rx_used(void)
{
    uint32_t used = gateway.rx_head - gateway.rx_tail;
    if (used <= GATEWAY_RX_BYTES)
        return used;
    gateway.rx_tail = gateway.rx_head; /* the page was writable for anybody who looked while native */
    return 0;
}

static uint32_t tx_used(void)
{
    uint32_t used = gateway.tx_head - gateway.tx_tail;
    if (used <= GATEWAY_TX_BYTES)
        return used;
    gateway.tx_tail = gateway.tx_head;
    return 0;
}

/* Bytes in the ring came through the gateway, which has echoed the printable ones if it was to. */
static void receive(void)
{
    uint8_t byte;
    for (unsigned i = 0; i < GATEWAY_RX_BYTES; i++) {
        uint32_t used = rx_used(), at = gateway.rx_tail & (GATEWAY_RX_BYTES - 1);
        if (!used)
            break;
        if (gateway.echo) {
            gateway.rx_tail += (uint32_t)console_rx_echoed(&gateway.rx[at], min_u64(used, GATEWAY_RX_BYTES - at));
        } else {
            gateway.rx_tail++;
            console_rx(gateway.rx[at]);
        }
    }
    for (unsigned i = 0; i < PUMP_ROUNDS && uart_rx(&uart, &byte); i++)
        console_rx(byte);
}

static void refill(void)
{
    uint32_t room = GATEWAY_TX_BYTES - tx_used();
    while (room) {
        uint32_t at = gateway.tx_head & (GATEWAY_TX_BYTES - 1);
        uint32_t upto_end = (uint32_t)min_u64(room, GATEWAY_TX_BYTES - at);
        uint32_t n = (uint32_t)console_tx_next(&gateway.tx[at], upto_end);
        gateway.tx_head += n;
        if (n < upto_end)
            break; /* that was all */
        room -= n;
    }
}

static void transmit(void)
{
    for (unsigned round = 0; round < PUMP_ROUNDS; round++) {
        uint32_t used = tx_used(), at = gateway.tx_tail & (GATEWAY_TX_BYTES - 1);
        size_t sent = used ? uart_tx(&uart, &gateway.tx[at], min_u64(used, GATEWAY_TX_BYTES - at)) : 0;
        gateway.tx_tail += (uint32_t)sent;
        if (!sent)
            return;
    }
}

void console_irq_hush(void)
{
    if (!uart.port)
        return;
    set_causes(false, false);
    note_service();
}

/* The transmit interrupt makes the run loop look at the console, whether there is output or not. */
void console_irq_unhush(void)
{
    if (uart.port && armed)
        set_causes(true, true);
}

void console_irq_send(void)
{
    refill();
    transmit();
    note_service();
}

void console_irq_drain(uint64_t timeout_us)
{
    uint64_t end = deadline_in_us(timeout_us);
    while (uart.port && !deadline_passed(end)) {
        transmit();
        if (!tx_used() && (io_in8((uint16_t)(uart.port + UART_LSR)) & UART_LSR_TEMT))
            return;
    }
}

static void quiet(void)
{
    if (gateway.uart_ier)
        set_causes(false, false);
}

bool console_irq_enter_typed(void)
{
    uint32_t at = gateway.rx_tail & (GATEWAY_RX_BYTES - 1);
    /* Where the ring is empty the next line begins at its beginning. */
    if (rx_used() != ENTER_BYTES || at > GATEWAY_RX_BYTES - sizeof(uint64_t) ||
        (load64((const void *)&gateway.rx[at]) & MASK(ENTER_BYTES * 8 - 1, 0)) != ENTER_LINE || !console_at_prompt())
        return false;
    quiet();
    return true;
}

static void poll(void)
{
    quiet();
    receive();
    console_poll();
    refill();
    transmit();
}

void console_irq_poll(void)
{
    if (uart.port)
        poll();
}

void console_irq_pump(void)
{
    if (!uart.port)
        return;
    if (armed && gateway.uart_ier) {
        /* Its interrupts will tell; only what has to be begun is begun here. */
        if (console_typed_ahead())
            console_poll();
        if ((gateway.uart_ier & UART_IER_ETBEI) || !(tx_used() || console_tx_pending()))
            return;
        refill();
        set_causes(true, true);
        return;
    }
    poll();
    if (armed)
        set_causes(true, tx_used() != 0);
}

bool console_irq_explains_nmi(void)
{
    if (!uart.port)
        return false;
    if (serviced && clock_us() - serviced_us < FORGIVE_US)
        return true;
    if (io_in8((uint16_t)(uart.port + UART_IIR)) & UART_IIR_NONE)
        return false;
    set_causes(false, false); /* asking may have taken the cause back: the next pump looks for itself */
    return true;
}

bool console_irq_take(void)
{
    if (!uart.port)
        return false;
    bool forgiven = serviced && clock_us() - serviced_us < FORGIVE_US;
    serviced = false;
    uint8_t iir = io_in8((uint16_t)(uart.port + UART_IIR));
    if (iir & UART_IIR_NONE)
        return forgiven;
    set_causes(false, false);
    traps_take_nmi(); /* another byte's, of before: some machines make an edge for each although the line is high */
    cpus[0]->vcpu.host_nmi = 0;
    console_irq_pump();
    return true;
}

void console_irq_exited(void)
{
    serviced = false;
}

static void send_byte(uint8_t byte)
{
    if (tx_used() < GATEWAY_TX_BYTES)
        gateway.tx[gateway.tx_head++ & (GATEWAY_TX_BYTES - 1)] = byte;
}

void console_irq_refuse(enum err e)
{
    const char *const parts[] = {"\r\nerror ", err_name(e), ": ", err_text(e), "\r\nsojourn> "};
    bool line = gateway.rx_head != gateway.rx_tail;
    gateway.rx_tail = gateway.rx_head;
    /* For a 32-bit guest the gateway takes no bytes in, echoes none and sends none. */
    uint8_t byte;
    for (unsigned i = 0; i < PUMP_ROUNDS && uart.port && uart_rx(&uart, &byte); i++)
        if (byte == '\r')
            line = true;
        else
            send_byte(byte);
    for (size_t i = 0; line && i < ARRAY_LEN(parts); i++)
        for (const char *p = parts[i]; *p; p++)
            send_byte((uint8_t)*p);
    if (line)
        digest_told();
    if (uart.port)
        transmit();
}

void console_irq_prepare_native(void)
{
    if (!uart.port)
        return;
    gateway.tx_more = 0;
    if (digest_open_rest()) { /* another CPU may have closed it; or it was changed, and console_irq_refuse() has said so */
        refill();
        gateway.tx_more = console_tx_pending() || console_typed_ahead();
    }
    if (!rx_used()) {
        gateway.rx_head = gateway.rx_tail = 0;
        gateway.echo = !gateway.tx_more; /* else an echo would come in the middle of what is still to be sent */
    }
    set_causes(true, tx_used() != 0 || gateway.tx_more);
    if (gateway.timer_tsc && digest_open_rest())
        host_timer_prepare_native();
    if (gateway.timer_tsc >> GATEWAY_TIMER_PASS)
        return; /* the NMI that is sent again is judged as it would have been the first time */
    gateway.forgive = !lapic_counter_nmi(); /* then the next one is the guest's */
    gateway.forgive_rip = cpus[0]->gate->frame.rip;
    gateway.forgive_tsc = cpu_rdtsc();
}

void console_irq_emergency(const char *text)
{
    enum err e = uart_write(&uart, (const uint8_t *)text, strlen(text), EMERGENCY_TIMEOUT_US);
    (void)e; /* nowhere left to report it */
}

void console_irq_boot_line(const char *line, size_t length)
{
    enum err e = uart_write(&uart, (const uint8_t *)line, length, BOOT_LINE_TIMEOUT_US);
    if (!e)
        e = uart_write(&uart, (const uint8_t *)"\r\n", 2, BOOT_LINE_TIMEOUT_US);
    if (e)
        uart.line_errors++;
}
