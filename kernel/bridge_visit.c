/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. A native 32-bit guest's NMI: what kernel/gateway.asm decides for a 64-bit one before it comes in, and the way
 * back. This code is a part of the image of its own (linker.ld), checked by itself in the visits of such guests: it runs
 * before and after the rest may, and no other guest's way in has to check it. */
#include "bits.h"
#include "cpu.h"
#include "hostmem.h"
#include "io.h"
#include "kernel/bridge.h"
#include "kernel/console_irq.h"
#include "kernel/gateway_data.h"
#include "kernel/gateway_slot32.h"

#include <string.h>

#define UART_IIR 2u
#define UART_IIR_NONE 1u
#define SELECTOR_RPL 3u
#define SELECTOR_INDEX_SHIFT 3
#define SAME_RING_FRAME_BYTES 12u

extern const uint8_t bridge_page[], bridge_leave[];

static bool console_has_cause(const struct gateway_cpu *g)
{
    return g->has_console && gateway.uart_port && !(io_in8((uint16_t)(gateway.uart_port + UART_IIR)) & UART_IIR_NONE);
}

/* As in gateway.asm, for the same reasons. */
static bool is_forgiven(const struct gateway_cpu *g)
{
    if (!g->has_console || !gateway.forgive)
        return false;
    gateway.forgive = 0;
    return g->frame.rip == gateway.forgive_rip && g->tsc_in - gateway.forgive_tsc < gateway.forgive_cycles;
}

/* 0 less one is the end of time: none is. */
static bool timer_may_be_due(const struct gateway_cpu *g)
{
    return g->has_console && gateway.timer_tsc - 1 < g->tsc_in;
}

void bridge_sort_nmi(struct cpu *c)
{
    struct gateway_cpu *g = c->gate;
    bool console = !g->called && console_has_cause(g), owed = g->owed;
    g->nmi = BRIDGE_NMI_OURS;
    if (console)
        console_irq_hush();
    else
        g->owed = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* a call made meanwhile sends no NMI of its own if one was owed */
    if (g->called || console) {
        g->ours++;
    } else if (owed) {
        g->nmi = BRIDGE_NMI_ECHO;
    } else if (timer_may_be_due(g)) { /* before it could be forgiven: it comes when a visit ends, if it came in one */
        gateway.timer_tsc = 0;
        g->ours++;
    } else {
        gateway.timer_tsc &= ~BIT(GATEWAY_TIMER_PASS);
        bool forgiven = is_forgiven(g);
        g->nmi = forgiven ? BRIDGE_NMI_ECHO : BRIDGE_NMI_GUESTS;
        g->foreign += !forgiven;
    }
}

uint64_t bridge_entry(unsigned i)
{
    return gateway_slot32_entry(phys_to_virt((hpa_t){guest.plan.entry_pa}), guest.plan.format, i);
}

void bridge_clear_entry(unsigned i)
{
    unsigned bytes = gateway_slot32_entry_bytes(guest.plan.format);
    memset((uint8_t *)phys_to_virt((hpa_t){guest.plan.entry_pa}) + (size_t)i * bytes, 0, bytes);
}

void bridge_load_system(struct cpu *c, uint16_t selector, void (*load)(uint16_t selector))
{
    uint64_t *behind = &c->private_gdt[(selector >> SELECTOR_INDEX_SHIFT) + 1], guests = *behind;
    *behind = 0;
    load(selector);
    *behind = guests;
}

void bridge_fill(struct cpu *c)
{
    struct gateway_cpu *g = c->gate;
    for (unsigned i = 0; i < GPR_R8; i++)
        g->gpr[i] = (uint32_t)g->gpr[i]; /* the way in stores lower halves */
    g->frame.rip = (uint32_t)g->frame.rip;
    g->frame.rsp = (uint32_t)g->frame.rsp;
    if (g->frame.cs & SELECTOR_RPL) {
        g->out_frame[0] = (uint32_t)g->frame.rip;
        g->out_frame[1] = (uint32_t)g->frame.cs;
        g->out_frame[2] = (uint32_t)g->frame.rflags;
        g->out_frame[3] = (uint32_t)g->frame.rsp;
        g->out_frame[4] = (uint32_t)g->frame.ss;
        g->out_esp = (uint32_t)(guest.plan.va + PAGE_BYTES + ((uint64_t)g->out_frame - (uint64_t)&gateway));
        g->out_ss = 0;
    } else {
        g->out_esp = (uint32_t)g->frame.rsp - SAME_RING_FRAME_BYTES; /* bridge_check() has written it */
        g->out_ss = (uint32_t)g->frame.ss;
    }
}

_Noreturn void bridge_out(struct cpu *c)
{
    void (*leave)(uint64_t block) = (void (*)(uint64_t))(bridge.page_pa + (uint64_t)(bridge_leave - bridge_page));
    cpu_write_cr3(bridge.transit_pa);
    leave((uint64_t)c->gate - (uint64_t)&gateway);
    __builtin_unreachable();
}
