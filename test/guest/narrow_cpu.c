/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables of the 32-bit guest: two address spaces in each paging mode, which share the table that maps the IDT; a GDT, TSS
   and LDT for each CPU. SDM 3A 4.3 "32-Bit Paging", 4.4 "PAE Paging", 8.2.1 "Task-State Segment (TSS)". */
#include "narrow.h"

#define ENTRIES 1024u
#define LOW_TABLES 4u /* 16 MiB, in 4 KiB pages */
#define P_W_U 7u
#define A_D BIT32(5) | BIT32(6)
#define PAGE (P_W_U | A_D)
#define GLOBAL BIT32(8)
#define LARGE BIT32(7)
#define UNCACHED 0x18u
#define NX BIT(63)
#define APIC 0xfee00000u
#define APIC_ID (APIC + 0x20)
#define APIC_SVR (APIC + 0xf0)
#define APIC_ICR (APIC + 0x300)
#define APIC_ICR_HIGH (APIC + 0x310)
#define APIC_LINT0 (APIC + 0x350)
#define APIC_ENABLED 0x1ffu
#define APIC_EXTINT 0x700u
#define ICR_NMI 0x400u
#define ICR_OTHERS_INIT 0xc4500u
#define ICR_OTHERS_STARTUP 0xc4600u
#define MSR_EFER 0xc0000080u
#define EFER_NXE BIT32(11)
#define CR0_PG BIT32(31)
#define CR0_WP BIT32(16)
#define CR0_MP BIT32(1)
#define CR0_NE BIT32(5)
#define CR0_EM BIT32(2)
#define CR4_PSE BIT32(4)
#define CR4_PAE BIT32(5)
#define CR4_PGE BIT32(7)
#define CR4_OSFXSR BIT32(9)
#define CR4_OSXMMEXCPT BIT32(10)
#define SPINS 30000000u
#define PDPT_OFFSET 5u /* entries: 32-byte alignment and no more; 4 of them end before the page does */

struct PACKED tss {
    uint32_t link, esp0, ss0, rest[22];
    uint16_t trap, io_map;
};

static uint32_t pd[2][ENTRIES] ALIGNED(4096) FIXED, low[LOW_TABLES][ENTRIES] ALIGNED(4096) FIXED;
static uint32_t apic_table[ENTRIES] ALIGNED(4096) FIXED, idt_table[ENTRIES] ALIGNED(4096);
/* Not among what is summed up: QEMU marks a PDPTE as accessed. */
static uint64_t pdpt[2][512] ALIGNED(4096);
static uint64_t pae_pd[2][512] ALIGNED(4096) FIXED, pae_high[2][512] ALIGNED(4096) FIXED;
static uint64_t pae_low[2 * LOW_TABLES][512] ALIGNED(4096) FIXED, pae_apic[512] ALIGNED(4096) FIXED,
    pae_idt[512] ALIGNED(4096);
static uint64_t idt[512] ALIGNED(4096) FIXED;
static uint64_t gdt[CPUS_MAX][SEL_END / 8] FIXED, ldt[CPUS_MAX][2] FIXED;
static struct tss tss[CPUS_MAX] FIXED;
static uint8_t ring0_stack[CPUS_MAX][4096] ALIGNED(16);
static uint32_t mode_now;
static uint64_t gate_want;
uint32_t cpu_second_root;
struct cpu cpus[CPUS_MAX];
uint32_t cpu_count = 1;

static uint32_t apic_read(uint32_t reg)
{
    return *(volatile uint32_t *)reg;
}

static void apic_write(uint32_t reg, uint32_t value)
{
    *(volatile uint32_t *)reg = value;
}

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

/* Bases lie in the image, whose content is known. */
static uint32_t odd_base(uint32_t selector)
{
    return (uint32_t)image_start + 3 + selector;
}

uint32_t cpu_segment_word(uint32_t selector)
{
    bool flat = selector == SEL_USER_DATA || selector == SEL_DATA;
    uint32_t at = flat ? 0 : odd_base(selector);
    __asm__("" : "+r"(at));
    return selector & ~3u ? load32((const void *)at) : 0;
}

static void build_gdt(uint32_t n)
{
    uint64_t *g = gdt[n];
    g[SEL_CODE / 8] = descriptor(0, 0xfffff, 0x9b, 0xc);
    g[SEL_DATA / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
    g[SEL_USER_CODE / 8] = descriptor(0, 0xfffff, 0xfb, 0xd);
    g[SEL_USER_DATA / 8] = descriptor(0, 0xfffff, 0xf3, 0xc);
    g[SEL_ODD / 8] = descriptor(odd_base(SEL_ODD), 0xabd, 0xf3, 0x5);
    g[SEL_READ_ONLY / 8] = descriptor(odd_base(SEL_READ_ONLY), 0x7b9, 0xf1, 0x1);
    g[SEL_TSS / 8] = descriptor((uint32_t)&tss[n], sizeof tss[n] - 1, 0x89, 0);
    g[SEL_LDT / 8] = descriptor((uint32_t)ldt[n], sizeof ldt[n] - 1, 0x82, 0);
    ldt[n][SEL_LDT_ODD / 8] = descriptor(odd_base(SEL_LDT_ODD), 0x661 + n, 0xf3, 0x4);
    tss[n].esp0 = (uint32_t)ring0_stack[n] + sizeof ring0_stack[n];
    tss[n].ss0 = SEL_DATA;
    tss[n].io_map = sizeof tss[n];
}

static void build_idt(void)
{
    uint64_t *gates = (uint64_t *)((uint8_t *)idt + IDT_OFFSET);
    for (uint32_t v = 0; v < VECTORS; v++) {
        uint32_t at = (uint32_t)narrow_entries + 16 * v;
        uint32_t kind = v == VECTOR_RELEASE ? 0xeeu : 0x8eu;
        gates[v] = (at & 0xffff) | (uint64_t)SEL_CODE << 16 | (uint64_t)kind << 40 | (uint64_t)(at >> 16) << 48;
    }
    gate_want = gates[VECTOR_NMI];
}

static void build_paging(void)
{
    for (uint32_t i = 0; i < LOW_TABLES * ENTRIES; i++) {
        low[i / ENTRIES][i % ENTRIES] = i * 4096 + PAGE + GLOBAL;
        pae_low[i / 512][i % 512] = i * 4096 + PAGE + GLOBAL;
    }
    for (uint32_t space = 0; space < 2; space++) {
        for (uint32_t i = 0; i < LOW_TABLES; i++)
            pd[space][i] = (uint32_t)low[i] + (P_W_U | BIT32(5));
        pd[space][APIC >> 22] = (uint32_t)apic_table + (P_W_U | BIT32(5));
        pd[space][IDT_ADDRESS >> 22] = (uint32_t)idt_table + (P_W_U | BIT32(5));
        for (uint32_t i = 0; i < 2 * LOW_TABLES; i++)
            pae_pd[space][i] = (uint32_t)pae_low[i] + (P_W_U | BIT32(5));
        pae_high[space][APIC >> 21 & 511] = (uint32_t)pae_apic + (P_W_U | BIT32(5));
        pae_high[space][IDT_ADDRESS >> 21 & 511] = (uint32_t)pae_idt + (P_W_U | BIT32(5));
        pdpt[space][PDPT_OFFSET * 4] = (uint32_t)pae_pd[space] + 1;
        pdpt[space][PDPT_OFFSET * 4 + 3] = (uint32_t)pae_high[space] + 1;
    }
    apic_table[APIC >> 12 & 1023] = APIC + PAGE + UNCACHED;
    pae_apic[APIC >> 12 & 511] = APIC + PAGE + UNCACHED;
    idt_table[IDT_ADDRESS >> 12 & 1023] = (uint32_t)idt + PAGE;
    pae_idt[IDT_ADDRESS >> 12 & 511] = (uint32_t)idt + PAGE;
}

static uint32_t read_cr0(void)
{
    uint32_t v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

void cpu_mode(struct cpu *c, uint32_t mode)
{
    uint32_t cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PGE, root;
    uint32_t cr0 = (read_cr0() & ~(CR0_PG | CR0_EM)) | CR0_WP | CR0_MP | CR0_NE;
    if (c->number == 0) {
        mode_now = mode;
        for (uint32_t space = 0; space < 2; space++) /* the last of the 16 MiB as one page, if there are such */
            pd[space][LOW_TABLES - 1] = mode == 2 ? ((LOW_TABLES - 1) << 22) + PAGE + LARGE + GLOBAL
                                                  : (uint32_t)low[LOW_TABLES - 1] + (P_W_U | BIT32(5));
        cpu_second_root = mode ? (uint32_t)pd[1] : (uint32_t)&pdpt[1][PDPT_OFFSET * 4];
    }
    root = mode ? (uint32_t)pd[0] : (uint32_t)&pdpt[0][PDPT_OFFSET * 4];
    cr4 |= mode == 0 ? CR4_PAE : mode == 2 ? CR4_PSE : 0;
    __asm__ volatile("mov %0, %%cr0\n mov %1, %%cr4\n mov %2, %%cr3" : : "r"(cr0), "r"(cr4), "r"(root) : "memory");
    uint64_t efer = rdmsr(MSR_EFER);
    wrmsr(MSR_EFER, mode ? efer & ~(uint64_t)EFER_NXE : efer | EFER_NXE);
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | CR0_PG) : "memory");
}

void cpu_init(struct cpu *c)
{
    uint32_t n = c->number;
    if (n == 0) {
        build_idt();
        build_paging();
        for (uint32_t i = 0; i < CPUS_MAX; i++)
            build_gdt(i);
    }
    cpu_mode(c, mode_now);
    struct pseudo32 g = {sizeof gdt[n] - 1, (uint32_t)gdt[n]}, i = {VECTORS * 8 - 1, IDT_ADDRESS + IDT_OFFSET};
    __asm__ volatile("lgdt %0\n lidt %1\n ltr %w2\n lldt %w3"
                     :
                     : "m"(g), "m"(i), "r"(SEL_TSS), "r"(SEL_LDT)
                     : "memory");
    apic_write(APIC_SVR, APIC_ENABLED);
    apic_write(APIC_LINT0, n ? APIC_EXTINT | BIT32(16) : APIC_EXTINT);
}

/* By the GDT: each has its own. */
struct cpu *cpu_self(void)
{
    struct pseudo32 d;
    __asm__ volatile("sgdt %0" : "=m"(d));
    return &cpus[(d.base - (uint32_t)gdt) / sizeof gdt[0]];
}

static void spin(uint32_t n)
{
    for (volatile uint32_t i = 0; i < n; i++)
        ;
}

void cpu_flip(uint32_t pa)
{
    uint32_t cr0;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %2, %%cr0\n"
                     "notb (%1)\n"
                     "mov %0, %%cr0"
                     :
                     : "r"(cr0), "r"(pa), "r"(cr0 & ~CR0_PG)
                     : "memory");
}

void cpu_start_others(uint32_t wanted)
{
    uint8_t *to = (uint8_t *)AP_PAGE;
    __asm__("" : "+r"(to));
    for (const uint8_t *from = narrow_ap_start; from < narrow_ap_start_end; from++)
        *to++ = *from;
    narrow_awake = 1;
    if (wanted < 2)
        return;
    apic_write(APIC_ICR, ICR_OTHERS_INIT);
    spin(SPINS / 300);
    apic_write(APIC_ICR, ICR_OTHERS_STARTUP | AP_PAGE >> 12);
    for (uint32_t i = 0; i < SPINS && cpu_count < wanted; i++) {
        uint32_t up = 1;
        while (up < wanted && cpus[up].number == up)
            up++;
        cpu_count = up;
    }
}

/* Where virtual-8086 code goes next. */
void cpu_v86_target(const uint8_t *to)
{
    store16((uint8_t *)AP_PAGE + (narrow_v86_target - narrow_ap_start), (uint16_t)(to - narrow_ap_start));
}

void cpu_nmi_to_self(void)
{
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
    apic_write(APIC_ICR, ICR_NMI);
}

uint32_t cpu_footprint(uint32_t *gate)
{
    uint32_t entries = 0;
    for (uint32_t i = 0; i < ENTRIES; i++)
        entries += mode_now ? idt_table[i] != 0 : i < 512 && pae_idt[i] != 0;
    *gate = ((uint64_t *)((uint8_t *)idt + IDT_OFFSET))[VECTOR_NMI] != gate_want;
    return entries - 1;
}

uint32_t cpu_sum(void)
{
    uint32_t sum = 0;
    const uint32_t *gate = (const uint32_t *)((uint8_t *)idt + IDT_OFFSET + VECTOR_NMI * 8);
    for (const uint32_t *p = (const uint32_t *)(void *)image_start; p < (const uint32_t *)(void *)fixed_end; p++)
        sum = (sum ^ (p == gate || p == gate + 1 ? 0 : *p)) * 0x01000193u;
    return sum;
}
