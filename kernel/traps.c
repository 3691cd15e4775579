/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Exceptions and NMIs in the host. Each class has its own stack (SDM 3A 6.14.5 "Interrupt Stack Table"), so that
 * a broken stack can still be reported.
 *
 * An NMI that hits the host is either counted (the run loop looks before it enters the guest again, and the critical
 * windows right before VMLAUNCH/VMRESUME and HLT are left by moving RIP), or it is the one that a CPU sent itself in
 * order to leave: then the handler returns without ending NMI blocking. A #GP on an instruction listed in the fixup
 * table resumes behind it. Anything else is our bug: panic. */
#include "kernel/traps.h"

#include "kernel/digest.h"
#include "kernel/guarded.h"
#include "log.h"
#include "msr.h"

#include <string.h>

#define GATE_INTERRUPT_PRESENT 0x8eu
#define TSS_TYPE_PRESENT 0x89u
#define IST_FAULT 1u
#define IST_NMI 2u
#define IST_DOUBLE_FAULT 3u
#define VECTOR_DF 8u
#define VECTOR_MC 18u
#define TRAP_STUB_BYTES 16u
#define TRAP_INTERRUPT_STUB_BYTES 5u
#define PAGE_FAULT_FETCH BIT(4)
#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_DATA 0x00cf93000000ffffull

struct idt_gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, zero;
};
_Static_assert(sizeof(struct idt_gate) == 16, "SDM 3A 6.14.1 \"64-Bit Mode IDT\"");

struct fixup {
    uint64_t at, resume;
};

extern const uint8_t trap_stubs[], trap_interrupt_stubs[];
extern const struct fixup fixup_start[], fixup_end[];
extern const uint8_t vmx_critical_begin[], vmx_critical_end[], vmx_critical_abort[];
extern const uint8_t wait_critical_begin[], wait_critical_end[];

bool host_trap(struct trap_frame *f);

static struct idt_gate idt[256] ALIGNED(16);
static void (*damage_continuation)(void);

struct pseudo_descriptor traps_gdtr(const struct cpu *c)
{
    return (struct pseudo_descriptor){sizeof c->gdt - 1, (uint64_t)c->gdt};
}

struct pseudo_descriptor traps_idtr(void)
{
    return (struct pseudo_descriptor){sizeof idt - 1, (uint64_t)idt};
}

static void load_segments(void)
{
    __asm__ volatile("mov %0, %%ss\n"
                     "pushq %1\n"
                     "lea 1f(%%rip), %%rax\n"
                     "pushq %%rax\n"
                     "lretq\n"
                     "1:"
                     :
                     : "r"((uint32_t)HOST_SS), "i"(HOST_CS)
                     : "rax", "memory");
}

/* LTR wants a descriptor that is not busy, and makes it busy. */
static void describe_tss(struct cpu *c)
{
    uint64_t base = (uint64_t)&c->tss;
    c->gdt[HOST_TR / 8] =
        (sizeof c->tss - 1) | (base & 0xffffff) << 16 | (uint64_t)TSS_TYPE_PRESENT << 40 | (base >> 24 & 0xff) << 56;
    c->gdt[HOST_TR / 8 + 1] = base >> 32;
}

void traps_load(struct cpu *c)
{
    struct pseudo_descriptor gdtr = traps_gdtr(c), idtr = traps_idtr();
    cpu_lgdt(&gdtr);
    cpu_lidt(&idtr);
    load_segments();
    describe_tss(c);
    cpu_ltr(HOST_TR);
}

SELDOM void traps_init_cpu(struct cpu *c)
{
    uint64_t window = cpu_window(c);
    c->gdt[HOST_CS / 8] = GDT_CODE64;
    c->gdt[HOST_SS / 8] = GDT_DATA;
    c->tss.ist[IST_FAULT - 1] = window + CPU_FAULT_TOP;
    c->tss.ist[IST_NMI - 1] = window + CPU_NMI_TOP;
    c->tss.ist[IST_DOUBLE_FAULT - 1] = window + CPU_DOUBLE_FAULT_TOP;
    c->tss.io_map = sizeof c->tss;
    c->gate->host_gdtr = traps_gdtr(c);
    c->vcpu.host_gdt_base = (uint64_t)c->gdt;
    c->vcpu.host_tss_base = (uint64_t)&c->tss;
}

SELDOM void traps_init(void)
{
    for (unsigned v = 0; v < ARRAY_LEN(idt); v++) {
        uint64_t entry = v < VECTOR_FIRST_INTERRUPT ? (uint64_t)trap_stubs + TRAP_STUB_BYTES * v
                                                    : (uint64_t)trap_interrupt_stubs +
                                                          TRAP_INTERRUPT_STUB_BYTES * (v - VECTOR_FIRST_INTERRUPT);
        unsigned ist = v == VECTOR_NMI ? IST_NMI : v == VECTOR_DF || v == VECTOR_MC ? IST_DOUBLE_FAULT : IST_FAULT;
        idt[v] = (struct idt_gate){
            .offset_low = (uint16_t)entry,
            .selector = HOST_CS,
            .ist = (uint8_t)ist,
            .type = GATE_INTERRUPT_PRESENT,
            .offset_mid = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
        };
    }
}

void traps_take_nmi(void)
{
    bool gif = cpu_rdmsr(MSR_EFER) & EFER_SVME;
    if (gif)
        cpu_stgi(); /* with GIF clear an NMI would stay pending until the next VMRUN */
    traps_unblock_nmi();
    if (gif)
        cpu_clgi();
}

void traps_on_damage(void (*continuation)(void))
{
    damage_continuation = continuation;
}

/* True: NMIs stay blocked. */
static bool host_nmi(struct cpu *c, struct trap_frame *f)
{
    if (c->own_nmi_due) {
        c->own_nmi_due = false;
        return true;
    }
    c->vcpu.host_nmi++;
    if (f->rip >= (uint64_t)vmx_critical_begin && f->rip < (uint64_t)vmx_critical_end)
        f->rip = (uint64_t)vmx_critical_abort;
    else if (f->rip >= (uint64_t)wait_critical_begin && f->rip < (uint64_t)wait_critical_end)
        f->rip = (uint64_t)wait_critical_end;
    return false;
}

static bool resume_by_fixup(struct trap_frame *f)
{
    for (const struct fixup *x = fixup_start; x < fixup_end; x++)
        if (x->at == f->rip) {
            f->rip = x->resume;
            return true;
        }
    return false;
}

/* A fetch from code that is closed until it was checked (kernel/digest.c). */
static bool resume_by_opening(struct cpu *c, struct trap_frame *f)
{
    if (!(f->error_code & PAGE_FAULT_FETCH) || !digest_is_rest(f->rip))
        return false;
    if (digest_found_closed())
        return true; /* without a word: by now another CPU may have closed it, and a second fault would take this one's stack */
    if (c->order_stack) {
        f->rip = (uint64_t)guarded_end;
        f->rsp = c->order_stack;
        f->rax = E_DIGEST;
        return true;
    }
    f->rip = (uint64_t)damage_continuation;
    f->rsp = cpu_window(c) + CPU_MAIN_TOP - sizeof f->rsp; /* as after a call */
    return true;
}

/* True: return without ending NMI blocking. */
bool host_trap(struct trap_frame *f)
{
    struct cpu *c = cpu_self();
    if (f->vector == VECTOR_NMI)
        return host_nmi(c, f);
    if (f->vector >= VECTOR_FIRST_INTERRUPT) {
        c->interrupts_seen++;
        return false;
    }
    if (f->vector == VECTOR_GP && resume_by_fixup(f))
        return true;
    if (f->vector == VECTOR_PF && resume_by_opening(c, f))
        return true;
    /* Now, because a fault on the way to panic would find its own stack in use. */
    if (!digest_open_rest())
        cpu_cli_hlt();
    panic("exception %u in the host: cpu=%u error=%#llx rip=%#llx cr2=%#llx rsp=%#llx rax=%#llx rdi=%#llx",
          (unsigned)f->vector, c->index, (unsigned long long)f->error_code, (unsigned long long)f->rip,
          (unsigned long long)cpu_read_cr2(), (unsigned long long)f->rsp, (unsigned long long)f->rax,
          (unsigned long long)f->rdi);
}
