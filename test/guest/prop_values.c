/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values that follow from the CPU and the phase rather than from a mask; the state that a CPU is put into before and
   after each phase; and the breakpoints that must fire. */
#include "cpu.h"
#include "msr.h"
#include "prop.h"

#define CR0_BASE (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define CR4_BASE (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define EFER_FFXSR BIT(14)
#define EFER_BASE (EFER_LME | EFER_LMA | EFER_NXE)
#define XCR0_BASE (BIT(0) | BIT(1))
#define CR3_PWT_PCD MASK(4, 3)
#define PCID_MASK MASK(11, 0)
#define DR7_SET BIT(10)
#define DR7_LE_GE MASK(9, 8)
#define DR7_GD BIT(13)
#define DR7_LOCAL(n) BIT(2 * (n))
#define DR7_GLOBAL(n) BIT(2 * (n) + 1)
#define DR7_TYPE(n, rw, len) ((uint64_t)((rw) | (len) << 2) << (16 + 4 * (n)))
#define RW_EXECUTE 0u
#define RW_WRITE 1u
#define RW_IO 2u
#define RW_BOTH 3u
#define LEN_1 0u
#define LEN_4 3u
#define LEN_8 2u
#define DR6_INIT 0xffff0ff0u
#define COM3_SCRATCH 0x3efu /* a port that nobody uses */

#define PAT_BASE 0x0007040600070406ull
/* Types 0, 1, 4, 5, 6, 7 are legal; entries 0 and 3 are in use and stay write-back and uncached. */
#define PAT_A 0x0501070400050106ull
#define PAT_B 0x0100060700040506ull
#define PIC_NONE 0xffu
#define MSR_DEBUGCTL 0x1d9u
#define MSR_PAT 0x277u
#define MTRR_FIRST_FREE 0x20cu /* those below are the firmware's */
#define MTRR_LAST_VARIABLE 0x21fu
#define MTRR_DEF_TYPE 0x2ffu
#define MTRR_FIX16K_A0000 0x259u
#define MTRR_FIX4K_C8000 0x269u
#define MTRR_FIX_ODD 0x0001040506000504ull /* legal shifted by a byte, too */
#define MTRR_HOLE_BASE 0x300000000ull
#define MTRR_HOLE_STEP 0x10000000ull
#define MTRR_HOLE_MASK 0xff0000000ull
#define MTRR_VALID BIT(11)
#define MTRR_WRITE_THROUGH 4u
#define MTRR_ENABLE (BIT(11) | BIT(10))
#define LVT_MODE(n) BIT32(17) * (n)
#define MODE_ONE_SHOT 0u
#define MODE_PERIODIC 1u
#define MODE_DEADLINE 2u
#define LVT_VECTOR_FIRST 0x20u
#define DEADLINE_AHEAD BIT(45)
#define APIC_DFR_SET 0x0fffffffu

uint64_t prop_pml4[KIT_CPUS_MAX][512] KIT_FIXED ALIGNED(4096);

struct cr4_bit {
    uint64_t bit;
    const char *name;
    uint32_t leaf;
    uint8_t reg, feature;
};
/* SDM 3A 2.5 "Control Registers": each bit and the CPUID flag that announces it. */
static const struct cr4_bit cr4_bits[] = {
    {BIT(0), "cr4.vme", 1, REG_EDX, 1},     {BIT(1), "cr4.pvi", 1, REG_EDX, 1},
    {BIT(2), "cr4.tsd", 1, REG_EDX, 4},     {BIT(3), "cr4.de", 1, REG_EDX, 2},
    {BIT(4), "cr4.pse", 1, REG_EDX, 3},     {BIT(6), "cr4.mce", 1, REG_EDX, 7},
    {BIT(7), "cr4.pge", 1, REG_EDX, 13},    {BIT(8), "cr4.pce", 1, REG_EDX, 5},
    {BIT(11), "cr4.umip", 7, REG_ECX, 2},   {BIT(16), "cr4.fsgsbase", 7, REG_EBX, 0},
    {BIT(17), "cr4.pcide", 1, REG_ECX, 17}, {BIT(18), "cr4.osxsave", 1, REG_ECX, 26},
    {BIT(20), "cr4.smep", 7, REG_EBX, 7},   {BIT(21), "cr4.smap", 7, REG_EBX, 20},
    {BIT(22), "cr4.pke", 7, REG_ECX, 3},
};

bool prop_has(uint32_t leaf, unsigned reg, unsigned bit)
{
    if (cpu_cpuid(leaf & BIT32(31), 0).eax < leaf)
        return false;
    struct cpuid_regs r = cpu_cpuid(leaf, leaf == 0xd ? 1 : 0);
    uint32_t value = reg == REG_EAX ? r.eax : reg == REG_EBX ? r.ebx : reg == REG_ECX ? r.ecx : r.edx;
    return value >> bit & 1u;
}

uint64_t prop_value_cr0(struct prop_cpu *p, uint64_t now)
{
    return (now | p->phase->cr0_set) & ~p->phase->cr0_clear;
}

uint64_t prop_value_cr4(struct prop_cpu *p, uint64_t now)
{
    uint64_t value = CR4_BASE;
    (void)now;
    for (size_t i = 0; i < ARRAY_LEN(cr4_bits); i++) {
        const struct cr4_bit *b = &cr4_bits[i];
        if (!(p->phase->cr4 & b->bit))
            continue;
        if (prop_has(b->leaf, b->reg, b->feature))
            value |= b->bit;
        else
            prop_skip(p, b->name, "absent");
    }
    return value;
}

uint64_t prop_value_cr3(struct prop_cpu *p, uint64_t now)
{
    uint64_t table = (uint64_t)prop_pml4[p->cpu->number];
    (void)now;
    return table | (prop_random(p) & (cpu_read_cr4() & CR4_PCIDE ? PCID_MASK : CR3_PWT_PCD));
}

uint64_t prop_value_xcr0(struct prop_cpu *p, uint64_t now)
{
    struct cpuid_regs r = cpu_cpuid(0xd, 0);
    (void)now;
    return p->phase->extended ? r.eax | (uint64_t)r.edx << 32 : XCR0_BASE;
}

uint64_t prop_value_efer(struct prop_cpu *p, uint64_t now)
{
    uint64_t set = p->phase->efer_set;
    if (set & EFER_FFXSR && !prop_has(0x80000001, REG_EDX, 25)) {
        prop_skip(p, "efer.ffxsr", "absent");
        set &= ~EFER_FFXSR;
    }
    return (now | set) & ~p->phase->efer_clear;
}

uint64_t prop_value_pat(struct prop_cpu *p, uint64_t now)
{
    (void)now;
    return prop_random(p) & 1 ? PAT_A : PAT_B;
}

/* In the hole that PCs have below 16 GiB there is nothing; what VGA and option ROMs have does no harm either. */
uint64_t prop_value_mtrr(struct prop_cpu *p, uint32_t number, uint64_t now)
{
    if (number == MTRR_DEF_TYPE)
        return now | MTRR_ENABLE;
    if (number == MTRR_FIX16K_A0000 || number == MTRR_FIX4K_C8000)
        return MTRR_FIX_ODD << (8 * (prop_random(p) & 1));
    if (number < MTRR_FIRST_FREE || number > MTRR_LAST_VARIABLE)
        return now;
    if (number & 1)
        return MTRR_HOLE_MASK | MTRR_VALID;
    return (MTRR_HOLE_BASE + MTRR_HOLE_STEP * (p->cpu->number + (number & 2))) | MTRR_WRITE_THROUGH;
}

static unsigned timer_mode(const struct prop_cpu *p)
{
    unsigned mode = (unsigned)(p->phase - prop_phases) % 3;
    return mode == MODE_DEADLINE && !prop_has(1, REG_ECX, 24) ? MODE_PERIODIC : mode;
}

/* All masked, but for the two lines of CPU 0: the PIC's interrupts, and NMIs from outside. */
uint64_t prop_value_lvt(struct prop_cpu *p, uint32_t reg, uint64_t now)
{
    uint32_t vector = LVT_VECTOR_FIRST + (uint32_t)(prop_random(p) % (256 - LVT_VECTOR_FIRST));
    switch (reg) {
    case APIC_LVT_TIMER:
        return APIC_MASKED | vector | LVT_MODE(timer_mode(p));
    case APIC_LVT_LINT0:
        return APIC_DELIVERY_EXTINT | vector | (p->cpu->number ? APIC_MASKED : 0);
    case APIC_LVT_LINT1:
        return APIC_DELIVERY_NMI | vector | (p->cpu->number ? APIC_MASKED : 0);
    case APIC_LVT_PERF:
        return APIC_MASKED | (p->phase->counter_nmi ? APIC_DELIVERY_NMI : 0) | vector;
    case APIC_DFR: /* the same on all CPUs: cluster or flat */
        return APIC_DFR_SET | ((p->phase - prop_phases) & 1 ? MASK(31, 28) : 0);
    case APIC_LVT_CMCI:
    case APIC_LVT_THERMAL:
    case APIC_LVT_ERROR:
        return APIC_MASKED | vector;
    default:
        return now;
    }
}

uint64_t prop_value_timer_initial(struct prop_cpu *p, uint64_t now)
{
    return timer_mode(p) == MODE_DEADLINE ? now : (prop_random(p) & MASK(27, 0)) | BIT(31);
}

uint64_t prop_value_deadline(struct prop_cpu *p, uint64_t now)
{
    return timer_mode(p) == MODE_DEADLINE ? cpu_rdtsc() + DEADLINE_AHEAD + (prop_random(p) & MASK(31, 0)) : now;
}

/* ---- debug registers ------------------------------------------------------------------------------------------- */

uint64_t prop_value_dr(struct prop_cpu *p, unsigned n)
{
    if (p->phase->breakpoint && n == 0)
        return (uint64_t)prop_debug_target;
    if (p->phase->breakpoint && n == 1)
        return (uint64_t)&prop_watched;
    if (p->phase->io_break && n == 2)
        return COM3_SCRATCH;
    return align_down(prop_canonical(p), 8) & ~BIT(47); /* the lower half, and nothing is mapped there */
}

/* Armed on what the waiting loop does not touch. The guard comes last of all, in prop_main.c: reading back would end
   it. nowatch: QEMU's SVM loads DR7 without its bookkeeping and takes an armed watchpoint for a breakpoint when that is
   disarmed later, which ends it with SIGSEGV; instructions only, then, and what is not armed keeps its type. */
static bool watches(void)
{
    return !option(kit_cmdline, "nowatch");
}

uint64_t prop_value_dr7(struct prop_cpu *p, uint64_t now)
{
    (void)now;
    uint64_t value = DR7_SET | DR7_LE_GE | DR7_LOCAL(0) | DR7_TYPE(0, RW_EXECUTE, LEN_1);
    if (p->phase->io_break)
        return DR7_SET | DR7_LOCAL(2) | DR7_GLOBAL(2) | DR7_TYPE(2, RW_IO, LEN_1);
    if (p->phase->breakpoint)
        return value | (watches() ? DR7_GLOBAL(1) : 0) | DR7_TYPE(1, RW_WRITE, LEN_4) | DR7_TYPE(2, RW_BOTH, LEN_8);
    if (watches())
        return value | DR7_GLOBAL(1) | DR7_TYPE(1, RW_WRITE, LEN_8) | DR7_LOCAL(3) | DR7_GLOBAL(3) |
               DR7_TYPE(3, RW_BOTH, LEN_4);
    return value | DR7_TYPE(1, RW_WRITE, LEN_8) | DR7_LOCAL(3) | DR7_GLOBAL(3) | DR7_TYPE(3, RW_EXECUTE, LEN_1);
}

void prop_debug_check(struct prop_cpu *p)
{
    prop_check(p, "debug_early", p->debug_traps, 0);
    if (!p->phase->breakpoint)
        return;
    if (prop_harmed(p, "debug_traps"))
        cpu_write_dr7(DR7_SET);
    cpu_write_dr6(DR6_INIT);
    prop_debug_target();
    prop_watched++;
    prop_check(p, "debug_traps", p->debug_traps, watches() ? 2 : 1);
    prop_check(p, "debug_bits", p->debug_bits, watches() ? 3 : 1);
}

/* ---- between phases -------------------------------------------------------------------------------------------- */

void prop_base_state(struct prop_cpu *p)
{
    cpu_write_dr7(DR7_SET);
    cpu_lgdt(&p->cpu->gdtr);
    cpu_lidt(&p->cpu->idtr);
    cpu_lldt(SEL_LDT);
    cpu_write_cr0(CR0_BASE);
    cpu_write_cr3((uint64_t)prop_pml4[p->cpu->number]);
    cpu_write_cr4(CR4_BASE | (prop_has(1, REG_ECX, 26) ? CR4_OSXSAVE : 0));
    cpu_write_cr8(0);
    cpu_wrmsr(MSR_EFER, EFER_BASE);
    (void)cpu_wrmsr_safe(MSR_PAT, PAT_BASE);
    (void)cpu_wrmsr_safe(MSR_DEBUGCTL, 0);
    __asm__ volatile("mov %0, %%ss" : : "r"(SEL_DATA));
    cpu_write_ds(SEL_DATA);
    cpu_write_es(SEL_DATA);
    cpu_write_fs(0);
    cpu_write_gs(0);
    kit_apic_defaults(p->cpu);
    __asm__ volatile("sti; nop; nop; cli" : : : "memory"); /* a wake-up that came late */
    if (p->cpu->number)
        return;
    kit_pic_init(PIC_NONE, PIC_NONE);
    out8(COM1 + UART_IER, 0);
}
