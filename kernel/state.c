/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Capturing and loading the live registers; see the header. SDM 3A 2.5 "Control Registers", 13.5 "XSAVE-Managed
   State" (volume 1), 11.11 "Memory Type Range Registers (MTRRs)". */
#include "kernel/state.h"

#include "cpu.h"
#include "log.h"
#include "msr.h"
#include "str.h"

#include <string.h>

#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_VECTORS 0xe6u /* SSE, AVX, and AVX-512 in three parts */
#define CPUID_XSTATE 0xdu
#define CPUID_FEATURES 7u
#define XSAVE_HEADER_END 576u
#define FXSAVE_BYTES 512u
#define RFLAGS_FIXED BIT(1)
#define LIMIT_INIT 0xffffu
#define AR_INIT_DATA (0x3u | AR_S | AR_P)
#define AR_INIT_CODE (0xbu | AR_S | AR_P)
#define AR_INIT_LDT (0x2u | AR_P)
#define AR_INIT_TSS (0xbu | AR_P)
#define CR0_INIT (CR0_CD | CR0_NW | CR0_ET)
#define DR6_INIT 0xffff0ff0u
#define DR7_INIT 0x400u

struct msr_row {
    uint32_t number;
    const char *name;
};

static const struct msr_row rows[VMSR_COUNT] = {
#define X(id, number_) [VMSR_##id] = {number_, #id},
    VCPU_MSR_LIST(X)
#undef X
};

/* EFER goes with the world switch; APIC_BASE, TSC_DEADLINE with the LAPIC; TSC_ADJUST with the TSC. */
static const uint64_t not_loaded = BIT(VMSR_EFER) | BIT(VMSR_APIC_BASE) | BIT(VMSR_TSC_DEADLINE) | BIT(VMSR_TSC_ADJUST);

static uint64_t present;
static uint32_t mtrr_count;
static bool has_xsave;
static uint64_t xcr0_supported;

const char *state_msr_name(unsigned index)
{
    return index < VMSR_COUNT ? rows[index].name : "?";
}

SELDOM enum err state_probe(void)
{
    uint64_t value;
    for (unsigned i = 0; i < VMSR_COUNT; i++)
        if (cpu_rdmsr_safe(rows[i].number, &value))
            present |= BIT(i);
    bool has_mtrr = cpu_cpuid(1, 0).edx & CPUID1_EDX_MTRR;
    if (has_mtrr && cpu_rdmsr_safe(MSR_IA32_MTRRCAP, &value))
        mtrr_count = (uint32_t)min_u64(value & MTRRCAP_VCNT, VCPU_MTRR_VARIABLE_MAX);
    has_xsave = cpu_cpuid(1, 0).ecx & CPUID1_ECX_XSAVE;
    if (!has_xsave)
        return E_OK;
    struct cpuid_regs x = cpu_cpuid(CPUID_XSTATE, 0);
    xcr0_supported = x.eax | (uint64_t)x.edx << 32;
    if (x.ecx > VCPU_XSAVE_BYTES) {
        log_line("state", "XSAVE image too large: bytes=%u max=%u", x.ecx, VCPU_XSAVE_BYTES);
        return E_NOFEATURE;
    }
    return E_OK;
}

void state_capture_live(struct vcpu_state *s)
{
    s->cr2 = cpu_read_cr2();
    s->cr8 = cpu_read_cr8();
    s->dr[0] = cpu_read_dr0();
    s->dr[1] = cpu_read_dr1();
    s->dr[2] = cpu_read_dr2();
    s->dr[3] = cpu_read_dr3();
    s->dr6 = cpu_read_dr6();
    s->xcr0 = has_xsave ? cpu_xgetbv(0) : 0;
    s->msr_present = present;
    for (unsigned i = 0; i < VMSR_COUNT; i++)
        s->msr[i] = present & BIT(i) ? cpu_rdmsr(rows[i].number) : 0;
    s->mtrr_count = mtrr_count;
    for (unsigned i = 0; i < mtrr_count; i++) {
        s->mtrr_base[i] = cpu_rdmsr(MSR_IA32_MTRR_PHYSBASE0 + 2 * i);
        s->mtrr_mask[i] = cpu_rdmsr(MSR_IA32_MTRR_PHYSMASK0 + 2 * i);
    }
    s->tsc = cpu_rdtsc();
}

static void write_if_other(uint32_t msr, uint64_t value)
{
    if (cpu_rdmsr(msr) != value && !cpu_wrmsr_safe(msr, value))
        log_line("state", "MSR refused the guest's value: msr=%#x value=%#llx", msr, (unsigned long long)value);
}

SELDOM void state_load_live(const struct vcpu_state *s)
{
    cpu_write_cr2(s->cr2);
    if (cpu_read_cr8() != s->cr8)
        cpu_write_cr8(s->cr8);
    cpu_write_dr0(s->dr[0]);
    cpu_write_dr1(s->dr[1]);
    cpu_write_dr2(s->dr[2]);
    cpu_write_dr3(s->dr[3]);
    cpu_write_dr6(s->dr6);
    if (has_xsave && cpu_xgetbv(0) != s->xcr0 && !cpu_xsetbv_safe(0, s->xcr0))
        log_line("state", "XCR0 refused the guest's value: %#llx", (unsigned long long)s->xcr0);
    for (unsigned i = 0; i < VMSR_COUNT; i++)
        if (present & s->msr_present & BIT(i) & ~not_loaded)
            write_if_other(rows[i].number, s->msr[i]);
}

void state_capture_msrs(struct vcpu_state *s, uint64_t which)
{
    s->msr_present = present;
    for (uint64_t left = which & present & ~BIT(VMSR_EFER); left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        s->msr[i] = cpu_rdmsr(rows[i].number);
    }
}

void state_load_msrs(const struct vcpu_state *s, uint64_t which)
{
    for (uint64_t left = which & present & s->msr_present & ~not_loaded; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        write_if_other(rows[i].number, s->msr[i]);
    }
}

void state_waiting_for_sipi(struct vcpu_state *s)
{
    memset(s, 0, offsetof(struct vcpu_state, xsave));
    s->activity = ACTIVITY_WAIT_SIPI;
    s->xsave_bytes = FXSAVE_BYTES;
}

SELDOM void state_started(struct vcpu_state *s, uint8_t vector, uint64_t switched_msrs)
{
    static const enum sreg data[] = {SREG_ES, SREG_SS, SREG_DS, SREG_FS, SREG_GS};
    memset(s, 0, offsetof(struct vcpu_state, xsave));
    s->rflags = RFLAGS_FIXED;
    s->gpr[GPR_RDX] = cpu_cpuid(1, 0).eax;
    for (size_t i = 0; i < ARRAY_LEN(data); i++)
        s->seg[data[i]] = (struct segment){.access_rights = AR_INIT_DATA, .limit = LIMIT_INIT};
    s->seg[SREG_CS] = (struct segment){.selector = (uint16_t)(vector << 8),
                                       .access_rights = AR_INIT_CODE,
                                       .limit = LIMIT_INIT,
                                       .base = (uint64_t)vector << 12};
    s->seg[SREG_LDTR] = (struct segment){.access_rights = AR_INIT_LDT, .limit = LIMIT_INIT};
    s->seg[SREG_TR] = (struct segment){.access_rights = AR_INIT_TSS, .limit = LIMIT_INIT};
    s->gdtr.limit = s->idtr.limit = LIMIT_INIT;
    s->cr0 = CR0_INIT;
    s->dr6 = DR6_INIT;
    s->dr7 = DR7_INIT;
    s->activity = ACTIVITY_ACTIVE;
    state_capture_msrs(s, switched_msrs);
    s->msr[VMSR_EFER] = 0;
}

SELDOM void state_load_mtrrs(const struct vcpu_state *s)
{
    for (unsigned i = 0; i < mtrr_count && i < s->mtrr_count; i++) {
        write_if_other(MSR_IA32_MTRR_PHYSBASE0 + 2 * i, s->mtrr_base[i]);
        write_if_other(MSR_IA32_MTRR_PHYSMASK0 + 2 * i, s->mtrr_mask[i]);
    }
}

uint32_t state_vector_components(void)
{
    bool open = has_xsave && (xcr0_supported & XCR0_AVX) && (cpu_read_cr4() & CR4_OSXSAVE);
    bool avx2 = cpu_cpuid(0, 0).eax >= CPUID_FEATURES && (cpu_cpuid(CPUID_FEATURES, 0).ebx & CPUID7_EBX_AVX2);
    return open && avx2 ? (uint32_t)xcr0_supported & XCR0_VECTORS : 0;
}

/* XSAVE covers what XCR0 enables; a guest that never set it up has its x87 and SSE state in the FXSAVE image. */
void state_capture_xsave(struct vcpu_state *s)
{
    memset(s->xsave, 0, sizeof s->xsave);
    if (has_xsave && (s->xcr0 & XCR0_SSE)) {
        s->xsave_bytes = max_u64(cpu_cpuid(CPUID_XSTATE, 0).ebx, XSAVE_HEADER_END);
        cpu_xsave(s->xsave, s->xcr0);
    } else {
        s->xsave_bytes = FXSAVE_BYTES;
        cpu_fxsave(s->xsave);
    }
}

void state_load_xsave(const struct vcpu_state *s)
{
    if (s->xsave_bytes > FXSAVE_BYTES)
        cpu_xrstor(s->xsave, s->xcr0);
    else if (s->xsave_bytes == FXSAVE_BYTES)
        cpu_fxrstor(s->xsave);
}

SELDOM enum err state_check(const struct vcpu_state *s, char *why, size_t why_len)
{
    uint64_t missing = s->msr_present & ~present & ~not_loaded;
    if (missing) {
        unsigned first = (unsigned)__builtin_ctzll(missing);
        (void)str_format(why, why_len, "this CPU lacks MSR %s of the checkpoint", state_msr_name(first));
        return E_LAYOUT;
    }
    if (s->xcr0 & ~xcr0_supported) {
        (void)str_format(why, why_len, "this CPU lacks extended state %#llx of the checkpoint",
                         (unsigned long long)(s->xcr0 & ~xcr0_supported));
        return E_LAYOUT;
    }
    if (s->mtrr_count != mtrr_count) {
        (void)str_format(why, why_len, "this CPU has %u variable MTRRs, the checkpoint %u", mtrr_count, s->mtrr_count);
        return E_LAYOUT;
    }
    if (s->xsave_bytes > VCPU_XSAVE_BYTES || s->xsave_bytes < FXSAVE_BYTES) {
        (void)str_format(why, why_len, "the checkpoint's XSAVE image has an impossible size");
        return E_LAYOUT;
    }
    return E_OK;
}
