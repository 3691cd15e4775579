/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel/policy.c between fakes that remember: included by test_policy.c alone, and first. */
#ifndef SOJOURN_TEST_POLICY_MODEL_H
#define SOJOURN_TEST_POLICY_MODEL_H

#include "cpu.h"
#include "kernel/cpus.h"

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t subleaf);
static uint64_t fake_rdmsr(uint32_t msr);
static void fake_wrmsr(uint32_t msr, uint64_t value);
static bool fake_wrmsr_safe(uint32_t msr, uint64_t value);
static bool fake_xsetbv(uint32_t index, uint64_t value);
static void fake_wbinvd(void);
static struct cpu *fake_self(void);
#define cpu_cpuid fake_cpuid
#define cpu_rdmsr fake_rdmsr
#define cpu_wrmsr fake_wrmsr
#define cpu_wrmsr_safe fake_wrmsr_safe
#define cpu_xsetbv_safe fake_xsetbv
#define cpu_wbinvd fake_wbinvd
#define cpu_self fake_self
#include "kernel/policy.c"

#include "unit.h"

#include <stdio.h>

#define RIP 0xffffffff81000000ull
#define INSN_LEN 3u
#define HOST_EFER (EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME)
#define EFER_FFXSR BIT(14)
#define EFER_BITS (HOST_EFER | EFER_SCE | EFER_FFXSR)
#define CPUS 4u
#define ABSENT_CPU 2u
#define THIS_CPU 1u
#define UNTOUCHED 0x1122334455667788ull

struct guest guest;
struct virt_env virt_env;
static uint8_t bitmap[3 * PAGE_BYTES];
static struct cpu machine_cpus[CPUS];
struct cpu *cpus[CPUS_MAX];
uint32_t cpu_count;
static struct cpu *self;
static struct vcpu *cpu;
static struct vm_exit x;
static uint64_t vreg[VREG_IDT_LIMIT + 1];

static struct {
    unsigned sets, shadow_ends, dumps, hidden_ports, hidden_faults, logs_read, kicks[CPUS], wbinvds, suspects, ins,
        outs, wrmsrs, xsetbvs, apic_writes, tracks_lost, presses;
    uint16_t port;
    unsigned bytes;
    uint32_t out;
    uint64_t value;
    char notice[300];
} seen;
static struct cpuid_regs cpuid_answer;
static uint32_t cpuid_leaf, cpuid_subleaf;
static uint32_t port_answer, config_address;
static bool instruction_works;
static uint64_t host_efer;

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t subleaf)
{
    cpuid_leaf = leaf;
    cpuid_subleaf = subleaf;
    return cpuid_answer;
}

/* The CPU's EFER, with the host's bits in force, and which bits it has. */
static uint64_t fake_rdmsr(uint32_t msr)
{
    ck_assert_uint_eq(msr, MSR_EFER);
    return host_efer;
}

static void fake_wrmsr(uint32_t msr, uint64_t value)
{
    ck_assert_uint_eq(msr, MSR_EFER);
    host_efer = value;
}

static bool fake_wrmsr_safe(uint32_t msr, uint64_t value)
{
    seen.wrmsrs++;
    if (msr == MSR_EFER) {
        ck_assert_uint_eq(value & HOST_EFER, HOST_EFER); /* the host never loses what it runs with */
        if (value & ~EFER_BITS)
            return false;
        host_efer = value;
        return true;
    }
    ck_assert_uint_eq(msr, MSR_IA32_BIOS_SIGN_ID);
    seen.value = value;
    return instruction_works;
}

static bool fake_xsetbv(uint32_t index, uint64_t value)
{
    (void)index;
    seen.xsetbvs++;
    seen.value = value;
    return instruction_works;
}

static void fake_wbinvd(void)
{
    seen.wbinvds++;
}

static uint64_t get(struct vcpu *v, enum vreg r)
{
    ck_assert_ptr_eq(v, cpu);
    return vreg[r];
}

static void set(struct vcpu *v, enum vreg r, uint64_t value)
{
    ck_assert_ptr_eq(v, cpu);
    vreg[r] = value;
    seen.sets++;
}

static void clear_interrupt_shadow(struct vcpu *v)
{
    (void)v;
    seen.shadow_ends++;
}

static void dump(struct vcpu *v, void (*line)(const char *text))
{
    (void)v;
    ck_assert_ptr_eq(line, hidden_access_dump_line);
    seen.dumps++;
}

#define FAKE                                                                                                           \
    {                                                                                                                  \
        .get = get, .set = set, .clear_interrupt_shadow = clear_interrupt_shadow, .dump = dump                         \
    }
const struct backend vmx_backend = FAKE, svm_backend = FAKE;

/* CF8 and CFC are used under the lock. */
static void is_locked(unsigned port, unsigned bytes)
{
    ck_assert_int_eq(policy_pci_lock.taken != 0, port < 0xd00 && port + bytes > 0xcf8);
}

static uint32_t in(uint16_t port, unsigned bytes)
{
    is_locked(port, bytes);
    if (port == PCI_CONFIG_ADDRESS && bytes == 4)
        return config_address;
    seen.ins++;
    seen.port = port;
    seen.bytes = bytes;
    return port_answer;
}

static void out(uint16_t port, unsigned bytes, uint32_t value)
{
    is_locked(port, bytes);
    seen.outs++;
    seen.port = port;
    seen.bytes = bytes;
    seen.out = value;
}

uint8_t io_in8(uint16_t port)
{
    return (uint8_t)in(port, 1);
}

uint16_t io_in16(uint16_t port)
{
    return (uint16_t)in(port, 2);
}

uint32_t io_in32(uint16_t port)
{
    return in(port, 4);
}

void io_out8(uint16_t port, uint8_t value)
{
    out(port, 1, value);
}

void io_out16(uint16_t port, uint16_t value)
{
    out(port, 2, value);
}

void io_out32(uint16_t port, uint32_t value)
{
    out(port, 4, value);
}

void hidden_access_port(struct cpu *c, const struct vm_exit *exit)
{
    ck_assert(c == self && exit == &x);
    seen.hidden_ports++;
}

void hidden_access_fault(struct cpu *c, const struct vm_exit *exit)
{
    ck_assert(c == self && exit == &x);
    seen.hidden_faults++;
}

static bool port_later;

bool dma_watch_port(uint16_t port, unsigned bytes, uint32_t value)
{
    ck_assert(port == (uint16_t)x.io.port && bytes == x.io.bytes && value >> (8 * bytes - 1) >> 1 == 0);
    return !port_later;
}

void live_press(void)
{
    seen.presses++;
}

void live_lost_track(void)
{
    seen.tracks_lost++;
}

void live_read_log(struct cpu *c)
{
    ck_assert(c == self);
    seen.logs_read++;
}

void hidden_access_dump_line(const char *text)
{
    (void)text;
}

static struct cpu *fake_self(void)
{
    return self;
}

void smp_kick(struct cpu *c)
{
    ck_assert(c->present && c->index < CPUS);
    seen.kicks[c->index]++;
}

void apic_watch_suspect(struct cpu *c)
{
    ck_assert_ptr_eq(c, self);
    seen.suspects++;
}

bool apic_watch_base(struct cpu *c, uint64_t value)
{
    ck_assert_ptr_eq(c, self);
    seen.apic_writes++;
    seen.value = value;
    return instruction_works;
}

bool apic_watch_icr(struct cpu *c, uint64_t value)
{
    return apic_watch_base(c, value);
}

void console_notice(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(seen.notice, sizeof seen.notice, fmt, args);
    va_end(args);
}

/* A 64-bit kernel under the vendor's table; the exit instruction is three bytes long. */
static void start(int vendor, enum exit_kind kind)
{
    memset(&guest, 0, sizeof guest);
    memset(&seen, 0, sizeof seen);
    memset(&virt_env, 0, sizeof virt_env);
    memset(bitmap, 0, sizeof bitmap);
    memset(vreg, 0, sizeof vreg);
    memset(absent, 0, sizeof absent);
    memset(hidden_bdf, 0, sizeof hidden_bdf);
    absent_count = hidden_bdf_count = 0;
    iowatch_reset();
    virt_env.io_bitmap = bitmap;
    guest.run = GUEST_RUNNING;
    guest.backend = vendor ? &vmx_backend : &svm_backend;
    memset(machine_cpus, 0, sizeof machine_cpus);
    cpu_count = CPUS;
    for (uint32_t i = 0; i < CPUS; i++) {
        cpus[i] = &machine_cpus[i];
        cpus[i]->index = i;
        cpus[i]->present = i != ABSENT_CPU;
    }
    self = cpus[THIS_CPU];
    cpu = &self->vcpu;
    for (int i = 0; i < GPR_COUNT; i++)
        cpu->gpr[i] = UNTOUCHED + (unsigned)i;
    vreg[VREG_RIP] = RIP;
    vreg[VREG_RFLAGS] = 2 | RFLAGS_RF;
    vreg[VREG_CR0] = CR0_PE | CR0_PG;
    vreg[VREG_EFER] = EFER_LME | EFER_LMA;
    vreg[VREG_CS_AR] = AR_P | AR_S | AR_L;
    x = (struct vm_exit){.kind = kind, .raw = 0x7b, .insn_len = INSN_LEN};
    cpuid_answer = (struct cpuid_regs){0};
    port_answer = 0;
    config_address = 0;
    instruction_works = true;
    host_efer = HOST_EFER;
    env_clock_us = 1000;
}

static void run(void)
{
    policy_exit(self, &x);
}

/* The instruction was carried out: RIP moved on, RF and the shadow of STI ended, nothing is injected. */
static void expect_skipped(void)
{
    ck_assert_uint_eq(vreg[VREG_RIP], RIP + INSN_LEN);
    ck_assert_uint_eq(vreg[VREG_RFLAGS], 2);
    ck_assert_uint_eq(seen.shadow_ends, 1);
    ck_assert(!cpu->event.valid);
    ck_assert_int_eq(guest.run, GUEST_RUNNING);
}

static void expect_nothing_done(void)
{
    ck_assert_uint_eq(vreg[VREG_RIP], RIP);
    ck_assert_uint_eq(seen.sets, 0);
    ck_assert_uint_eq(seen.shadow_ends, 0);
    for (int i = 0; i < GPR_COUNT; i++)
        if (i != GPR_RAX && i != GPR_RCX && i != GPR_RDX) /* the operands */
            ck_assert_uint_eq(cpu->gpr[i], UNTOUCHED + (unsigned)i);
}

static void expect_fault(uint8_t vector)
{
    expect_nothing_done();
    ck_assert(cpu->event.valid);
    ck_assert_int_eq(cpu->event.type, EVENT_EXCEPTION);
    ck_assert_uint_eq(cpu->event.vector, vector);
    ck_assert_uint_eq(cpu->event.has_error_code, vector == VECTOR_GP);
    ck_assert_uint_eq(cpu->event.error_code, 0);
    ck_assert_int_eq(guest.run, GUEST_RUNNING);
}

/* All others learn that the guest has ended, in whatever they are; one that never came up is left alone. */
static void expect_told(unsigned times)
{
    for (uint32_t i = 0; i < CPUS; i++)
        ck_assert_uint_eq(seen.kicks[i], i == THIS_CPU || i == ABSENT_CPU ? 0 : times);
}

static void expect_crashed(const char *reason)
{
    expect_nothing_done();
    ck_assert(!cpu->event.valid);
    ck_assert_int_eq(guest.run, GUEST_CRASHED);
    ck_assert_str_eq(guest.park_reason, reason);
    ck_assert_uint_eq(seen.dumps, 0); /* what to do about it is not decided yet */
    ck_assert_str_eq(seen.notice, "");
    expect_told(1);
}

static void expect_parked(const char *word)
{
    expect_told(1);
    expect_nothing_done();
    ck_assert(!cpu->event.valid);
    ck_assert_int_eq(guest.run, GUEST_PARKED);
    ck_assert_uint_eq(seen.dumps, 1);
    ck_assert_msg(strstr(guest.park_reason, word), "%s", guest.park_reason);
    ck_assert(!guest.park_told); /* the leader does that */
}

#endif
