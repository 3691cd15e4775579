/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Offsets and sizes for NASM, taken from the C structs so that the two can never disagree. Compiled to
   assembly text only; the build turns every "->NAME value" line into an equ of build/gen/offsets.inc. */
#include "gateway_data.h"
#include "layout.h"

#define EMIT(name, value) __asm__ volatile("\n->" #name " %0" : : "i"(value))
#define GW(name, member) EMIT(name, offsetof(struct gateway_data, member))
#define CPU(name, member) EMIT(name, offsetof(struct gateway_cpu, member))

void asm_offsets(void);
void asm_offsets(void)
{
    GW(GW_LOCK, lock);
    GW(GW_MAGIC, magic);
    EMIT(GW_MAGIC_VALUE, GATEWAY_MAGIC);
    GW(GW_SCRATCH, scratch);
    GW(GW_GUEST_NMI, guest_nmi);
    GW(GW_HOST_CR3, host_cr3);
    GW(GW_HOST_CR4, host_cr4);
    GW(GW_HOST_ENTRY, host_entry);
    GW(GW_HOST_CS, host_cs);
    GW(GW_HOST_IDTR, host_idtr);
    GW(GW_FORGIVE, forgive);
    GW(GW_FORGIVE_RIP, forgive_rip);
    GW(GW_FORGIVE_TSC, forgive_tsc);
    GW(GW_FORGIVE_CYCLES, forgive_cycles);
    GW(GW_TIMER_TSC, timer_tsc);
    GW(GW_UART_PORT, uart_port);
    GW(GW_UART_IER, uart_ier);
    GW(GW_ECHO, echo);
    GW(GW_TX_MORE, tx_more);
    GW(GW_RX_OVERRUN, rx_overrun);
    GW(GW_RX_HEAD, rx_head);
    GW(GW_RX_TAIL, rx_tail);
    GW(GW_TX_HEAD, tx_head);
    GW(GW_TX_TAIL, tx_tail);
    GW(GW_RX, rx);
    GW(GW_TX, tx);
    GW(GW_INDEX, index);
    GW(GW_CPU, cpu);
    EMIT(GW_RX_SIZE, GATEWAY_RX_BYTES);
    EMIT(GW_TX_SIZE, GATEWAY_TX_BYTES);
    EMIT(GW_NO_CPU, GATEWAY_NO_CPU);
    EMIT(GW_TIMER_PASS, GATEWAY_TIMER_PASS);
    EMIT(GW_CPU_BYTES, GATEWAY_CPU_BYTES);
    EMIT(GW_BYTES, sizeof(struct gateway_data));
    CPU(GC_GPR, gpr);
    CPU(GC_FRAME, frame);
    CPU(GC_CR0, cr0);
    CPU(GC_CR2, cr2);
    CPU(GC_CR3, cr3);
    CPU(GC_CR4, cr4);
    CPU(GC_EFER, efer);
    CPU(GC_DR7, dr7);
    CPU(GC_CR3_BASE, cr3_base);
    CPU(GC_HOST_RSP, host_rsp);
    CPU(GC_GUEST_NMI, guest_nmi);
    CPU(GC_TSC_IN, tsc_in);
    CPU(GC_FOREIGN, foreign);
    CPU(GC_OURS, ours);
    CPU(GC_GDTR, gdtr);
    CPU(GC_IDTR, idtr);
    CPU(GC_HOST_GDTR, host_gdtr);
    CPU(GC_HAS_CONSOLE, has_console);
    CPU(GC_CALLED, called);
    CPU(GC_OWED, owed);
    CPU(GC_IN_HOST, in_host);
    CPU(GC_OUT_ESP, out_esp);
    CPU(GC_OUT_SS, out_ss);
    CPU(GC_NMI, nmi);
    CPU(GC_GATE_CS, gate_cs);
    EMIT(CPUS_BASE_HIGH, CPUS_BASE >> 32);
    EMIT(CPUS_BASE_LOW, CPUS_BASE & 0xffffffff);
    EMIT(CPU_WINDOW, CPU_WINDOW_BYTES);
}
