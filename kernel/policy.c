/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Exit policy. Every kind has a row; a kind nobody expects parks the guest: an instruction is never skipped
 * unless it was carried out, or is one whose only effect would be on something the guest is not to see. */
#include "kernel/policy.h"
#include "drivers/pci.h"

#include "ckpt/dev_vga.h"
#include "clock.h"
#include "cpu.h"
#include "hostmem.h"
#include "io.h"
#include "kernel/apic_watch.h"
#include "kernel/console.h"
#include "kernel/dma_watch.h"
#include "kernel/guest.h"
#include "kernel/hidden_access.h"
#include "kernel/iowatch.h"
#include "kernel/live.h"
#include "kernel/log_control.h"
#include "kernel/smp.h"
#include "log.h"
#include "msr.h"
#include "str.h"
#include "virt_env.h"

#include <string.h>

#define VECTOR_UD 6u
#define VECTOR_GP 13u
#define CPUID_BASIC 1u
#define CPUID_STRUCTURED 7u
#define CPUID_EXT 0x80000001u
#define CPUID_SVM 0x8000000au
#define PCI_CONFIG_ADDRESS 0xcf8u
#define PCI_CONFIG_DATA 0xcfcu
#define PCI_CONFIG_PORTS 8u
#define PCI_CONFIG_REGISTER 0xFCu
#define PCI_CONFIG_ENABLE BIT32(31)
#define HIDDEN_PCI_MAX 4u
#define AR_DPL(ar) (((ar) >> AR_DPL_SHIFT) & 3u)

static struct {
    uint16_t first, count;
} absent[POLICY_ABSENT_MAX];
static unsigned absent_count;
static uint16_t hidden_bdf[HIDDEN_PCI_MAX];
static unsigned hidden_bdf_count;
struct lock policy_pci_lock;

void policy_trap_port(uint16_t port, bool on)
{
    uint8_t *byte = &virt_env.io_bitmap[port / 8], bit = (uint8_t)(1u << (port % 8));
    *byte = (uint8_t)(on ? *byte | bit : *byte & ~bit);
}

static void trap_port(uint16_t port)
{
    policy_trap_port(port, true);
}

void policy_hide_ports(uint16_t first, uint16_t count)
{
    if (absent_count == POLICY_ABSENT_MAX || !count)
        return;
    absent[absent_count].first = first;
    absent[absent_count++].count = count;
}

void policy_hide_pci(uint16_t bdf)
{
    if (hidden_bdf_count < HIDDEN_PCI_MAX)
        hidden_bdf[hidden_bdf_count++] = bdf;
}

bool policy_pci_hidden(uint16_t bdf)
{
    for (unsigned i = 0; i < hidden_bdf_count; i++)
        if (hidden_bdf[i] == bdf)
            return true;
    return false;
}

void policy_trap_ports(void)
{
    iowatch_ports(trap_port);
    for (unsigned i = 0; i < absent_count; i++)
        for (uint16_t p = 0; p < absent[i].count; p++)
            trap_port((uint16_t)(absent[i].first + p));
    if (hidden_bdf_count)
        for (uint16_t p = 0; p < PCI_CONFIG_PORTS; p++)
            trap_port((uint16_t)(PCI_CONFIG_ADDRESS + p));
}

void policy_hold_vga(bool on)
{
    memset(&virt_env.io_bitmap[VGA_PORTS / 8], on ? 0xff : 0, VGA_PORT_COUNT / 8);
    for (uint16_t p = 0; p < DISPI_PORT_COUNT; p++)
        policy_trap_port((uint16_t)(DISPI_PORTS + p), on);
    policy_trap_ports(); /* those among them that are absent stay so */
}

/* Only the first CPU that says so counts. */
static bool end_guest(enum guest_run how, const char *fmt, va_list args)
{
    static struct lock lock;
    lock_take(&lock);
    bool first = guest.run == GUEST_RUNNING || (guest.run == GUEST_CRASHED && how == GUEST_PARKED);
    if (first) {
        (void)str_vformat(guest.park_reason, sizeof guest.park_reason, fmt, args);
        guest.park_told = false;
        guest.run = how;
    }
    lock_release(&lock);
    for (uint32_t i = 0; first && i < cpu_count; i++)
        if (cpus[i]->present && cpus[i] != cpu_self())
            smp_kick(cpus[i]);
    return first;
}

void policy_park(struct cpu *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool first = end_guest(GUEST_PARKED, fmt, args);
    va_end(args);
    if (!first)
        return;
    log_line("policy", "guest parked: cpu=%u %s", c->index, guest.park_reason);
    guest.backend->dump(&c->vcpu, hidden_access_dump_line);
}

void policy_crash(struct cpu *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool first = end_guest(GUEST_CRASHED, fmt, args);
    va_end(args);
    if (first)
        log_line("policy", "guest died: cpu=%u %s", c->index, guest.park_reason);
}

static void inject_fault(struct vcpu *v, uint8_t vector, bool has_error_code)
{
    v->event =
        (struct vcpu_event){.valid = 1, .type = EVENT_EXCEPTION, .vector = vector, .has_error_code = has_error_code};
}

static void skip(struct vcpu *v, const struct vm_exit *x)
{
    guest.backend->set(v, VREG_RIP, guest.backend->get(v, VREG_RIP) + x->insn_len);
    /* A completed instruction ends RF: SDM 3B 18.3.1.1 "Instruction-Breakpoint Exception Condition". */
    uint64_t rflags = guest.backend->get(v, VREG_RFLAGS);
    if (rflags & RFLAGS_RF)
        guest.backend->set(v, VREG_RFLAGS, rflags & ~RFLAGS_RF);
    guest.backend->clear_interrupt_shadow(v);
}

static void on_cpuid(struct cpu *c, const struct vm_exit *x)
{
    struct vcpu *v = &c->vcpu;
    uint32_t leaf = (uint32_t)v->gpr[GPR_RAX], sub = (uint32_t)v->gpr[GPR_RCX];
    struct cpuid_regs r = cpu_cpuid(leaf, sub);
    uint64_t cr4 = guest.backend->get(v, VREG_CR4);
    /* OSXSAVE and OSPKE mirror CR4, and the one in force now is the host's. */
    if (leaf == CPUID_BASIC) {
        r.ecx &= ~CPUID1_ECX_OSXSAVE;
        if (cr4 & CR4_OSXSAVE)
            r.ecx |= CPUID1_ECX_OSXSAVE;
        r.ecx &= ~CPUID1_ECX_VMX;
        if (virt_env.visible)
            r.ecx |= CPUID1_ECX_HYPERVISOR;
    } else if (leaf == CPUID_STRUCTURED && sub == 0) {
        /* A cold restore writes the TSC, and that shows in IA32_TSC_ADJUST (SDM 3B 18.17.3 "Time-Stamp Counter
           Adjustment"). A guest that knows the register, Linux for one, would take the write back: its clock would
           stand still for as long as it had been up at the cut. The register itself is the guest's. */
        r.ebx &= ~CPUID7_EBX_TSC_ADJUST;
        r.ecx &= ~CPUID7_ECX_OSPKE;
        if (cr4 & CR4_PKE)
            r.ecx |= CPUID7_ECX_OSPKE;
    } else if (leaf == CPUID_EXT) {
        r.ecx &= ~CPUID_8000_0001_ECX_SVM;
        /* Intel shows SYSCALL in 64-bit mode only (SDM 2A "CPUID", leaf 80000001H), and the host is in it. */
        bool in_64_bit = (guest.backend->get(v, VREG_EFER) & EFER_LMA) && (guest.backend->get(v, VREG_CS_AR) & AR_L);
        if (guest.backend == &vmx_backend && !in_64_bit)
            r.edx &= ~CPUID_8000_0001_EDX_SYSCALL;
    } else if (leaf == CPUID_SVM) {
        r = (struct cpuid_regs){0};
    }
    v->gpr[GPR_RAX] = r.eax;
    v->gpr[GPR_RBX] = r.ebx;
    v->gpr[GPR_RCX] = r.ecx;
    v->gpr[GPR_RDX] = r.edx;
    skip(v, x);
}

/* Does [port, port + bytes) reach into [first, first + count)? A wide access may start below what is hidden. */
static bool reaches(unsigned port, unsigned bytes, unsigned first, unsigned count)
{
    return port < first + count && first < port + bytes;
}

static bool port_absent(uint16_t port, unsigned bytes)
{
    for (unsigned i = 0; i < absent_count; i++)
        if (reaches(port, bytes, absent[i].first, absent[i].count))
            return true;
    if (reaches(port, bytes, PCI_CONFIG_DATA, 4)) {
        uint32_t address = io_in32(PCI_CONFIG_ADDRESS);
        return (address & PCI_CONFIG_ENABLE) && policy_pci_hidden((uint16_t)(address >> 8));
    }
    return false;
}

static void carry_out_io(struct cpu *c, const struct vm_exit *x, bool pci_config)
{
    struct vcpu *v = &c->vcpu;
    uint16_t port = x->io.port;
    /* No lock but PCI's: the guest keeps its CPUs from using one device at once, and nothing else is the host's, too. */
    bool hidden_port = port_absent(port, x->io.bytes);
    if (hidden_port || pci_config)
        settle_disturb(&guest.settle, clock_us());
    if (hidden_port) {
        hidden_access_port(c, x);
        return;
    }
    if (reaches(port, x->io.bytes, VGA_PORTS, VGA_PORT_COUNT) ||
        reaches(port, x->io.bytes, DISPI_PORTS, DISPI_PORT_COUNT)) {
        live_press();
        return; /* it comes again, and is carried out when the ports are not trapped any more */
    }
    if (x->io.string) {
        policy_park(c, "string I/O on an observed port %#x", port);
        return;
    }
    uint64_t mask = x->io.bytes == 4 ? MASK(31, 0) : x->io.bytes == 2 ? MASK(15, 0) : MASK(7, 0);
    uint32_t value = (uint32_t)(v->gpr[GPR_RAX] & mask);
    if (x->io.in) {
        value = x->io.bytes == 4 ? io_in32(port) : x->io.bytes == 2 ? io_in16(port) : io_in8(port);
        /* A 32-bit result clears the upper half, narrower ones leave the rest: SDM 1 3.4.1.1. */
        v->gpr[GPR_RAX] = x->io.bytes == 4 ? value : (v->gpr[GPR_RAX] & ~mask) | value;
    } else {
        if (!dma_watch_port(port, x->io.bytes, value))
            return; /* it comes again */
        if (x->io.bytes == 4)
            io_out32(port, value);
        else if (x->io.bytes == 2)
            io_out16(port, (uint16_t)value);
        else
            io_out8(port, (uint8_t)value);
        iowatch_out(port, x->io.bytes, value);
        if (reaches(port, x->io.bytes, PCI_CONFIG_DATA, 4) &&
            (io_in32(PCI_CONFIG_ADDRESS) & PCI_CONFIG_REGISTER) == PCI_COMMAND)
            live_lost_track(); /* perhaps a device may master the bus now, and not any more at the next cut */
    }
    skip(v, x);
}

static void on_io(struct cpu *c, const struct vm_exit *x)
{
    bool pci_config = reaches(x->io.port, x->io.bytes, PCI_CONFIG_ADDRESS, PCI_CONFIG_PORTS);
    if (pci_config)
        lock_take(&policy_pci_lock);
    carry_out_io(c, x, pci_config);
    if (pci_config)
        lock_release(&policy_pci_lock);
}

static void on_rdmsr(struct cpu *c, const struct vm_exit *x)
{
    struct vcpu *v = &c->vcpu;
    uint32_t msr = (uint32_t)v->gpr[GPR_RCX];
    if (msr != MSR_EFER) {
        inject_fault(v, VECTOR_GP, true);
        return;
    }
    uint64_t value = guest.backend->get(v, VREG_EFER) & ~EFER_SVME;
    v->gpr[GPR_RAX] = (uint32_t)value;
    v->gpr[GPR_RDX] = value >> 32;
    skip(v, x);
}

/* Which EFER bits exist is the CPU's to judge, and it is asked. The bits do nothing to the host meanwhile. */
static bool cpu_takes_efer(uint64_t value)
{
    uint64_t host = cpu_rdmsr(MSR_EFER);
    bool taken = cpu_wrmsr_safe(MSR_EFER, host | (value & ~EFER_LMA));
    cpu_wrmsr(MSR_EFER, host);
    return taken;
}

static void on_wrmsr(struct cpu *c, const struct vm_exit *x)
{
    struct vcpu *v = &c->vcpu;
    uint32_t msr = (uint32_t)v->gpr[GPR_RCX];
    uint64_t value = (uint32_t)v->gpr[GPR_RAX] | v->gpr[GPR_RDX] << 32;
    switch (msr) {
    case MSR_EFER: {
        uint64_t old = guest.backend->get(v, VREG_EFER);
        bool paging = guest.backend->get(v, VREG_CR0) & CR0_PG;
        /* APM 2 3.1.7: LME may not change while paging is on; LMA belongs to the CPU. */
        if ((paging && ((old ^ value) & EFER_LME)) || (value & EFER_SVME) || !cpu_takes_efer(value)) {
            inject_fault(v, VECTOR_GP, true);
            return;
        }
        guest.backend->set(v, VREG_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
        break;
    }
    case MSR_IA32_BIOS_SIGN_ID:
        /* Written with 0 before CPUID leaf 1 puts the microcode's revision there: SDM 3A 9.11.7 "Update Signature and
           Verification". */
        if (!cpu_wrmsr_safe(msr, value)) {
            inject_fault(v, VECTOR_GP, true);
            return;
        }
        break;
    case MSR_IA32_APIC_BASE:
        if (!apic_watch_base(c, value)) {
            inject_fault(v, VECTOR_GP, true);
            return;
        }
        break;
    case MSR_IA32_X2APIC_ICR:
        if (!apic_watch_icr(c, value)) {
            policy_park(c, "the guest resets its own CPU or all of them: icr=%#llx", (unsigned long long)value);
            return;
        }
        break;
    case MSR_IA32_BIOS_UPDT_TRIG:
    case MSR_AMD_PATCH_LOADER:
        log_line("policy", "microcode update by the guest dropped: msr=%#x", msr);
        break;
    default:
        inject_fault(v, VECTOR_GP, true);
        return;
    }
    skip(v, x);
}

static void on_cr(struct cpu *c, const struct vm_exit *x)
{
    struct vcpu *v = &c->vcpu;
    uint64_t value = x->cr.has_value ? x->cr.value : v->gpr[x->cr.gpr];
    if (!x->cr.write || (x->cr.number != 0 && x->cr.number != 4)) {
        policy_park(c, "unexpected access to CR%u", x->cr.number);
        return;
    }
    if (x->cr.number == 4 && (value & CR4_VMXE)) {
        inject_fault(v, VECTOR_GP, true);
        return;
    }
    guest.backend->set(v, x->cr.number == 0 ? VREG_CR0 : VREG_CR4, value);
    skip(v, x);
}

static void on_xsetbv(struct cpu *c, const struct vm_exit *x)
{
    struct vcpu *v = &c->vcpu;
    uint64_t value = (uint32_t)v->gpr[GPR_RAX] | v->gpr[GPR_RDX] << 32;
    bool ring0 = AR_DPL(guest.backend->get(v, VREG_SS_AR)) == 0;
    if (!(guest.backend->get(v, VREG_CR4) & CR4_OSXSAVE)) {
        inject_fault(v, VECTOR_UD, false);
        return;
    }
    if (!ring0 || !cpu_xsetbv_safe((uint32_t)v->gpr[GPR_RCX], value)) {
        inject_fault(v, VECTOR_GP, true);
        return;
    }
    skip(v, x);
}

void policy_exit(struct cpu *c, const struct vm_exit *x)
{
    struct vcpu *v = &c->vcpu;
    switch (x->kind) {
    case EXIT_CPUID:
        on_cpuid(c, x);
        return;
    case EXIT_IO:
        on_io(c, x);
        return;
    case EXIT_RDMSR:
        on_rdmsr(c, x);
        return;
    case EXIT_WRMSR:
        on_wrmsr(c, x);
        return;
    case EXIT_CR:
        on_cr(c, x);
        return;
    case EXIT_XSETBV:
        on_xsetbv(c, x);
        return;
    case EXIT_NPF:
        hidden_access_fault(c, x);
        return;
    case EXIT_DIRTY_LOG:
        live_read_log(c);
        return;
    case EXIT_VMINSN:
        inject_fault(v, VECTOR_UD, false);
        return;
    case EXIT_INVD:
        cpu_wbinvd(); /* INVD would throw away what the host has written */
        skip(v, x);
        return;
    case EXIT_WBINVD:
        cpu_wbinvd();
        if (!(guest.backend->get(v, VREG_RFLAGS) & RFLAGS_IF))
            apic_watch_suspect(c);
        skip(v, x);
        return;
    case EXIT_NMI:
    case EXIT_NMI_HOST:
    case EXIT_TICK:
    case EXIT_INTR:
    case EXIT_INTR_WINDOW:
    case EXIT_NMI_WINDOW:
    case EXIT_IRET:
        return; /* the run loop's */
    case EXIT_TRIPLE_FAULT:
        policy_crash(c, "triple fault");
        return;
    case EXIT_INIT:
        /* One that nobody here sent (apic_watch.c): from outside the machine, or by logic that resets it. Natively the
           CPU would start over at the reset vector, and with it the firmware: like a triple fault. Entering again would
           exit again, for SVM leaves the signal pending. */
        policy_crash(c, "INIT signal");
        return;
    case EXIT_HLT:
        /* A spurious wake-up, as any NMI is one. With interrupts off there is nothing that could wake it but an NMI. */
        if (guest.backend->get(v, VREG_RFLAGS) & RFLAGS_IF)
            skip(v, x);
        return;
    case EXIT_SIPI:
    case EXIT_ENTRY_FAILED:
    case EXIT_EXCEPTION:
    case EXIT_TASK_SWITCH:
    case EXIT_MONITOR:
    case EXIT_RSM:
    case EXIT_UNKNOWN:
    case EXIT_KIND_COUNT:
        break;
    }
    policy_park(c, "exit %s (%#llx) cannot be handled", exit_name(x->kind), (unsigned long long)x->raw);
}
