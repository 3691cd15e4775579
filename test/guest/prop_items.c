/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers, as a table: where each is, what is written to it before the wait, and which bits a harm turns over.
   They are filled in the table's order, each is read back at once, and what the CPU does not keep even then is told
   and compared with what it made of it. The same table is read and compared after the wait. */
#include "cpu.h"
#include "msr.h"
#include "prop.h"

enum kind { CR, DR, XCR, MSR, APIC, APIC_REQUEST, PORT };
enum how {
    RANDOM,    /* the mask's bits at random, and what is always set */
    CANONICAL, /* a canonical address */
    KEEP,      /* as it is */
    RULE       /* prop_values.c */
};

struct row {
    const char *name;
    enum kind kind;
    uint32_t number;
    enum how how;
    uint64_t mask, set, flip;
    uint32_t leaf; /* of CPUID, which has to show the bit; 0: always there */
    uint8_t reg, bit;
    bool first_cpu; /* not a CPU's own */
};

#define MSR_SPEC_CTRL 0x48u
#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_MISC_ENABLE 0x1a0u
#define MSR_DEBUGCTL 0x1d9u
#define MSR_PAT 0x277u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MSR_XSS 0xda0u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
#define MSR_TSC_AUX 0xc0000103u
#define DEBUGCTL_LBR BIT(0)
#define DEBUGCTL_BTF BIT(1)
#define STAR_SELECTORS MASK(63, 32)
#define DR6_STATUS (MASK(3, 0) | MASK(15, 13))
#define DR6_SET 0xffff0ff0u
#define PIC_MASK1 0x21u
#define PIC_MASK2 0xa1u
#define IRR_WAKE_BIT BIT32(PROP_VECTOR_WAKE % 32)
#define TPR_LETS_WAKE 1u
#define FEATURES 1u
#define STRUCTURED 7u
#define XSTATE 0xdu
#define EXTENDED 0x80000001u
#define EDX_MTRR 12u
#define EDX_SPEC_CTRL 26u
#define LVT_MAX(version) ((version) >> 16 & 0xffu)

/* The flips: another legal memory type, another legal address. */
#define MTRR(suffix, number_, flip_)                                                                                   \
    {                                                                                                                  \
        .name = "mtrr_" suffix, .kind = MSR, .number = number_, .how = RULE, .leaf = FEATURES, .reg = REG_EDX,         \
        .bit = EDX_MTRR, .flip = flip_                                                                                 \
    }
#define BANK(what, kind_, first, n)                                                                                    \
    {                                                                                                                  \
        .name = what #n, .kind = kind_, .number = first + 0x10u * n, .how = KEEP                                       \
    }
#define LVT(what, reg_)                                                                                                \
    {                                                                                                                  \
        .name = "apic_lvt_" what, .kind = APIC, .number = reg_, .how = RULE, .flip = 1                                 \
    }

/* clang-format off */
static const struct row rows[] = {
    {.name = "xcr0", .kind = XCR, .how = RULE, .leaf = FEATURES, .reg = REG_ECX, .bit = 26, .flip = BIT(2)},
    {.name = "apic_base", .kind = MSR, .number = MSR_IA32_APIC_BASE, .how = KEEP},
    {.name = "apic_id", .kind = APIC, .number = APIC_ID, .how = KEEP},
    {.name = "apic_ldr", .kind = APIC, .number = APIC_LDR, .how = RANDOM, .mask = MASK(31, 24), .flip = BIT(28)},
    {.name = "apic_dfr", .kind = APIC, .number = APIC_DFR, .how = RULE, .flip = MASK(31, 28)},
    {.name = "apic_svr", .kind = APIC, .number = APIC_SVR, .how = RANDOM, .set = APIC_ENABLED | KIT_VECTOR_SPURIOUS, .flip = BIT(4)},
    {.name = "apic_esr", .kind = APIC, .number = APIC_ESR, .how = KEEP},
    LVT("cmci", APIC_LVT_CMCI), LVT("timer", APIC_LVT_TIMER), LVT("thermal", APIC_LVT_THERMAL), LVT("perf", APIC_LVT_PERF),
    LVT("lint0", APIC_LVT_LINT0), LVT("lint1", APIC_LVT_LINT1), LVT("error", APIC_LVT_ERROR),
    {.name = "apic_timer_divide", .kind = APIC, .number = APIC_TIMER_DIVIDE, .how = RANDOM, .mask = 11, .flip = 1},
    {.name = "apic_timer_initial", .kind = APIC, .number = APIC_TIMER_INITIAL, .how = RULE, .flip = 1},
    {.name = "tsc_deadline", .kind = MSR, .number = MSR_IA32_TSC_DEADLINE, .how = RULE, .leaf = FEATURES, .reg = REG_ECX, .bit = 24, .flip = 1},
    BANK("apic_isr_", APIC, APIC_ISR, 0), BANK("apic_isr_", APIC, APIC_ISR, 1), BANK("apic_isr_", APIC, APIC_ISR, 2),
    BANK("apic_isr_", APIC, APIC_ISR, 3), BANK("apic_isr_", APIC, APIC_ISR, 4), BANK("apic_isr_", APIC, APIC_ISR, 5),
    BANK("apic_isr_", APIC, APIC_ISR, 6), BANK("apic_isr_", APIC, APIC_ISR, 7),
    {.name = "apic_irr_1", .kind = APIC_REQUEST, .number = APIC_IRR + 0x10, .how = RULE, .flip = IRR_WAKE_BIT},
    BANK("apic_irr_", APIC, APIC_IRR, 2), BANK("apic_irr_", APIC, APIC_IRR, 3), BANK("apic_irr_", APIC, APIC_IRR, 4),
    BANK("apic_irr_", APIC, APIC_IRR, 5), BANK("apic_irr_", APIC, APIC_IRR, 6), BANK("apic_irr_", APIC, APIC_IRR, 7),
    {.name = "apic_icr_high", .kind = APIC, .number = APIC_ICR_HIGH, .how = RANDOM, .mask = MASK(31, 24), .flip = BIT(25)},
    {.name = "pic_mask1", .kind = PORT, .number = PIC_MASK1, .how = RULE, .flip = BIT(6), .first_cpu = true},
    {.name = "pic_mask2", .kind = PORT, .number = PIC_MASK2, .how = RANDOM, .mask = 255, .flip = BIT(3), .first_cpu = true},
    {.name = "com1_ier", .kind = PORT, .number = COM1 + UART_IER, .how = RANDOM, .set = IER_RECEIVE, .flip = BIT(3), .first_cpu = true},
    {.name = "com1_lcr", .kind = PORT, .number = COM1 + UART_LCR, .how = KEEP, .flip = BIT(2), .first_cpu = true},
    {.name = "com1_mcr", .kind = PORT, .number = COM1 + UART_MCR, .how = KEEP, .flip = BIT(1), .first_cpu = true},
    {.name = "com1_scratch", .kind = PORT, .number = COM1 + UART_SCR, .how = RANDOM, .mask = 255, .flip = 1, .first_cpu = true},
    {.name = "star", .kind = MSR, .number = MSR_STAR, .how = RANDOM, .mask = ~0ull, .flip = BIT(33)},
    {.name = "lstar", .kind = MSR, .number = MSR_LSTAR, .how = CANONICAL, .flip = 1},
    {.name = "cstar", .kind = MSR, .number = MSR_CSTAR, .how = CANONICAL, .flip = 2},
    {.name = "fmask", .kind = MSR, .number = MSR_FMASK, .how = RANDOM, .mask = MASK(31, 0), .flip = 4},
    {.name = "kernel_gs_base", .kind = MSR, .number = MSR_KERNEL_GS_BASE, .how = CANONICAL, .flip = 8},
    {.name = "sysenter_cs", .kind = MSR, .number = MSR_SYSENTER_CS, .how = RANDOM, .mask = MASK(15, 0), .flip = 1},
    {.name = "sysenter_esp", .kind = MSR, .number = MSR_SYSENTER_ESP, .how = CANONICAL, .flip = 2},
    {.name = "sysenter_eip", .kind = MSR, .number = MSR_SYSENTER_EIP, .how = CANONICAL, .flip = 4},
    {.name = "pat", .kind = MSR, .number = MSR_PAT, .how = RULE, .flip = BIT(56)},
    {.name = "debugctl", .kind = MSR, .number = MSR_DEBUGCTL, .how = RANDOM, .set = DEBUGCTL_LBR | DEBUGCTL_BTF, .flip = DEBUGCTL_LBR},
    {.name = "tsc_aux", .kind = MSR, .number = MSR_TSC_AUX, .how = RANDOM, .mask = MASK(31, 0), .leaf = EXTENDED, .reg = REG_EDX, .bit = 27, .flip = 16},
    {.name = "tsc_adjust", .kind = MSR, .number = MSR_IA32_TSC_ADJUST, .how = RANDOM, .mask = MASK(15, 0), .flip = 1},
    {.name = "misc_enable", .kind = MSR, .number = MSR_MISC_ENABLE, .how = KEEP, .flip = 1},
    {.name = "spec_ctrl", .kind = MSR, .number = MSR_SPEC_CTRL, .how = RANDOM, .mask = 1, .leaf = STRUCTURED, .reg = REG_EDX, .bit = EDX_SPEC_CTRL, .flip = 1},
    {.name = "xss", .kind = MSR, .number = MSR_XSS, .how = KEEP, .leaf = XSTATE, .reg = REG_EAX, .bit = 3},
    MTRR("fix64k", 0x250, 2), MTRR("fix16k_0", 0x258, 2), MTRR("fix16k_1", 0x259, 1), MTRR("fix4k_0", 0x268, 1),
    MTRR("fix4k_1", 0x269, 1), MTRR("fix4k_2", 0x26a, 1), MTRR("fix4k_3", 0x26b, 1), MTRR("fix4k_4", 0x26c, 1),
    MTRR("fix4k_5", 0x26d, 1), MTRR("fix4k_6", 0x26e, 1), MTRR("fix4k_7", 0x26f, 1), MTRR("base_0", 0x200, 1),
    MTRR("mask_0", 0x201, BIT(20)), MTRR("base_1", 0x202, 1), MTRR("mask_1", 0x203, BIT(20)),
    MTRR("base_6", 0x20c, 1), MTRR("mask_6", 0x20d, BIT(20)), MTRR("base_7", 0x20e, 1),
    MTRR("mask_7", 0x20f, BIT(20)),
    {.name = "mtrr_def_type", .kind = MSR, .number = MSR_MTRR_DEF_TYPE, .how = RULE, .leaf = FEATURES, .reg = REG_EDX, .bit = EDX_MTRR, .flip = BIT(10)},
    {.name = "efer", .kind = MSR, .number = MSR_EFER, .how = RULE, .flip = EFER_SCE},
    {.name = "dr0", .kind = DR, .number = 0, .how = RULE, .flip = BIT(4)},
    {.name = "dr1", .kind = DR, .number = 1, .how = RULE, .flip = BIT(5)},
    {.name = "dr2", .kind = DR, .number = 2, .how = RULE, .flip = BIT(6)},
    {.name = "dr3", .kind = DR, .number = 3, .how = RULE, .flip = BIT(7)},
    {.name = "dr6", .kind = DR, .number = 6, .how = RANDOM, .mask = DR6_STATUS, .set = DR6_SET, .flip = 1},
    {.name = "dr7", .kind = DR, .number = 7, .how = RULE, .flip = BIT(4)},
    {.name = "cr8", .kind = CR, .number = 8, .how = RANDOM, .mask = 15, .flip = 1},
    {.name = "apic_tpr", .kind = APIC, .number = APIC_TPR, .how = KEEP},
    {.name = "cr4", .kind = CR, .number = 4, .how = RULE, .flip = BIT(8)},
    {.name = "cr3", .kind = CR, .number = 3, .how = RULE, .flip = BIT(3)},
    {.name = "cr2", .kind = CR, .number = 2, .how = RANDOM, .mask = ~0ull, .flip = BIT(40)},
    {.name = "cr0", .kind = CR, .number = 0, .how = RULE, .flip = CR0_AM},
};
/* clang-format on */
_Static_assert(ARRAY_LEN(rows) <= PROP_ITEMS_MAX, "room for all");

static uint64_t read_row(const struct row *r)
{
    uint64_t value = 0;
    switch (r->kind) {
    case CR:
        return r->number == 0   ? cpu_read_cr0()
               : r->number == 2 ? cpu_read_cr2()
               : r->number == 3 ? cpu_read_cr3()
               : r->number == 4 ? cpu_read_cr4()
                                : cpu_read_cr8();
    case DR:
        return r->number == 0   ? cpu_read_dr0()
               : r->number == 1 ? cpu_read_dr1()
               : r->number == 2 ? cpu_read_dr2()
               : r->number == 3 ? cpu_read_dr3()
               : r->number == 6 ? cpu_read_dr6()
                                : cpu_read_dr7();
    case XCR: /* readable with CR4.OSXSAVE only, and nothing else depends on that here */
        value = cpu_read_cr4();
        cpu_write_cr4(value | CR4_OSXSAVE);
        uint64_t xcr0 = cpu_xgetbv(0);
        cpu_write_cr4(value);
        return xcr0;
    case MSR:
        (void)cpu_rdmsr_safe(r->number, &value);
        return value;
    case APIC:
    case APIC_REQUEST:
        return kit_apic_read(r->number);
    case PORT:
        return in8((uint16_t)r->number);
    }
    return 0;
}

static void write_row(const struct prop_cpu *p, const struct row *r, uint64_t value)
{
    switch (r->kind) {
    case CR:
        if (r->number == 0)
            cpu_write_cr0(value);
        else if (r->number == 2)
            cpu_write_cr2(value);
        else if (r->number == 3)
            cpu_write_cr3(value);
        else if (r->number == 4)
            cpu_write_cr4(value);
        else
            cpu_write_cr8(value);
        break;
    case DR:
        if (r->number == 0)
            cpu_write_dr0(value);
        else if (r->number == 1)
            cpu_write_dr1(value);
        else if (r->number == 2)
            cpu_write_dr2(value);
        else if (r->number == 3)
            cpu_write_dr3(value);
        else if (r->number == 6)
            cpu_write_dr6(value);
        else
            cpu_write_dr7(value);
        break;
    case XCR:
        (void)cpu_xsetbv_safe(0, value);
        break;
    case MSR:
        (void)cpu_wrmsr_safe(r->number, value);
        break;
    case APIC:
        kit_apic_write(r->number, (uint32_t)value);
        break;
    case APIC_REQUEST:
        for (unsigned bit = 0; bit < 32; bit++)
            if (value & ~(uint64_t)kit_apic_read(r->number) & BIT(bit))
                kit_apic_send(p->cpu->apic_id, 32u * ((r->number - APIC_IRR) / 0x10) + bit);
        break;
    case PORT:
        out8((uint16_t)r->number, (uint8_t)value);
        break;
    }
}

static bool present(const struct prop_cpu *p, const struct row *r)
{
    uint64_t value;
    if (r->first_cpu && p->cpu->number)
        return false;
    if (r->kind == DR && r->number == 6 && p->phase->guard)
        return false; /* the trap at the first access changes it */
    if (r->kind == APIC && r->number == APIC_ICR_HIGH && p->phase->wait == WAIT_HALT && !p->cpu->number)
        return false; /* the release is sent with it */
    if (r->leaf && !prop_has(r->leaf, r->reg, r->bit)) {
        prop_skip(p, r->name, "absent");
        return false;
    }
    if (r->kind == MSR && !cpu_rdmsr_safe(r->number, &value)) {
        prop_skip(p, r->name, "unreadable");
        return false;
    }
    if (r->kind != APIC)
        return true;
    uint32_t last = LVT_MAX(kit_apic_read(APIC_VERSION));
    if ((r->number == APIC_LVT_CMCI && last < 6) || (r->number == APIC_LVT_THERMAL && last < 5) ||
        (r->number == APIC_LVT_PERF && last < 4)) {
        prop_skip(p, r->name, "absent");
        return false;
    }
    return !kit_x2apic || (r->number != APIC_DFR && r->number != APIC_ICR_HIGH && r->number != APIC_LDR);
}

static uint64_t by_rule(struct prop_cpu *p, const struct row *r, uint64_t now)
{
    if (r->kind == DR)
        return r->number == 7 ? prop_value_dr7(p, now) : prop_value_dr(p, r->number);
    if (r->kind == XCR)
        return prop_value_xcr0(p, now);
    if (r->kind == APIC_REQUEST)
        return p->phase->pending ? BIT(PROP_VECTOR_PENDING % 32) : now;
    if (r->kind == PORT)
        return p->phase->wait == WAIT_POLL || p->phase->wait == WAIT_NMI ? 0xff : (uint8_t)~BIT(COM1_IRQ);
    if (r->kind == CR)
        return r->number == 0   ? prop_value_cr0(p, now)
               : r->number == 3 ? prop_value_cr3(p, now)
                                : prop_value_cr4(p, now);
    if (r->kind == APIC)
        return r->number == APIC_TIMER_INITIAL ? prop_value_timer_initial(p, now) : prop_value_lvt(p, r->number, now);
    if (r->number == MSR_EFER)
        return prop_value_efer(p, now);
    if (r->number == MSR_PAT)
        return prop_value_pat(p, now);
    if (r->number == MSR_IA32_TSC_DEADLINE)
        return prop_value_deadline(p, now);
    return prop_value_mtrr(p, r->number, now);
}

/* A halted CPU has to take the IPI that wakes it. */
static uint64_t mask_of(const struct prop_cpu *p, const struct row *r)
{
    return r->kind == CR && r->number == 8 && p->phase->wait == WAIT_HALT && p->cpu->number ? TPR_LETS_WAKE : r->mask;
}

static uint64_t choose(struct prop_cpu *p, const struct row *r, uint64_t now)
{
    switch (r->how) {
    case RANDOM:
        return (prop_random(p) & mask_of(p, r)) | r->set;
    case CANONICAL:
        return prop_canonical(p);
    case RULE:
        return by_rule(p, r, now);
    case KEEP:
        break;
    }
    return now;
}

void prop_items_fill(struct prop_cpu *p)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        p->item[i].used = present(p, r);
        if (!p->item[i].used)
            continue;
        uint64_t value = choose(p, r, read_row(r));
        if (r->how != KEEP)
            write_row(p, r, value);
        p->item[i].want = read_row(r);
        if (p->item[i].want != value)
            prop_skip(p, r->name, "not kept");
    }
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (p->item[i].used && rows[i].flip && prop_harmed(p, rows[i].name))
            write_row(p, &rows[i], p->item[i].want ^ rows[i].flip);
}

/* A halted CPU that something else has woken meanwhile gets the IPI of its release too late. */
static uint64_t late_wake(const struct prop_cpu *p, const struct row *r)
{
    return r->kind == APIC_REQUEST && p->phase->wait == WAIT_HALT ? IRR_WAKE_BIT : 0;
}

void prop_items_read(struct prop_cpu *p)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (p->item[i].used)
            p->item[i].got = read_row(&rows[i]) & ~late_wake(p, &rows[i]);
}

void prop_items_check(struct prop_cpu *p)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (p->item[i].used)
            prop_check(p, rows[i].name, p->item[i].got, p->item[i].want);
}

/* Names that a harm may have. */
void prop_items_list(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].flip) {
            say(" ");
            say(rows[i].name);
        }
}
