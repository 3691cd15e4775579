/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables: an IDT for all, and for each CPU a GDT, an LDT and a TSS of its own, unaligned, with limits that
   are no multiple of anything and a GDT that crosses a page. All that is legal; few systems do it, so few notice when
   it is not kept. SDM 3A 3.4.5 "Segment Descriptors". */
#include "cpu.h"
#include "kit.h"

#define DESC_ACCESSED 1u
#define DESC_WRITABLE 2u /* data; readable for code */
#define DESC_DOWN 4u     /* data; conforming for code */
#define DESC_CODE 8u
#define DESC_S 0x10u
#define DESC_DPL(n) ((unsigned)(n) << 5)
#define DESC_P 0x80u
#define DESC_AVL 1u
#define DESC_L 2u
#define DESC_DB 4u
#define DESC_G 8u
#define TYPE_LDT 2u
#define TYPE_TSS 9u
#define TYPE_INTERRUPT_GATE 0xeu
#define LIMIT_FLAT 0xfffffu

#define KERNEL_CODE (DESC_P | DESC_S | DESC_CODE | DESC_WRITABLE | DESC_ACCESSED)
#define KERNEL_DATA (DESC_P | DESC_S | DESC_WRITABLE | DESC_ACCESSED)

#define GDT_OFFSET (PAGE_BYTES - 0x43) /* crosses a page, odd */
#define GDT_LIMIT_EXTRA 5u
#define LDT_OFFSET 0x17u
#define LDT_LIMIT_EXTRA 3u
#define TSS_OFFSET 0x0bu
#define IDT_OFFSET 0x440u
#define IDT_LIMIT_EXTRA 5u
#define GATE_BYTES 16u
#define ENTRY_BYTES 16u

#define TSS_BYTES 104u
#define TSS_RSP0 4u
#define TSS_IST(n) (36u + 8u * ((n)-1u))
#define TSS_IO_MAP_BASE 102u
#define IO_MAP_BYTES 129u /* 0x400 ports and the byte of ones behind */

#define USER_CODE32_BASE 0x1003u

extern const uint8_t kit_entries[];

struct kit_tables kit_tables[KIT_CPUS_MAX] KIT_FIXED;
struct kit_cpu kit_cpus[KIT_CPUS_MAX];

static uint64_t descriptor(uint64_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (uint64_t)(limit & 0xffff) | (base & MASK(23, 0)) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 | bits_get(base, 31, 24) << 56;
}

static uint8_t *gdt_of(unsigned cpu)
{
    return kit_tables[cpu].gdt + GDT_OFFSET;
}

static uint8_t *slot_of(unsigned cpu, unsigned selector)
{
    uint8_t *table = selector & SEL_TI ? kit_tables[cpu].ldt + LDT_OFFSET : gdt_of(cpu);
    return table + (selector & ~7u);
}

static void put_descriptor(unsigned cpu, unsigned selector, uint64_t value)
{
    store64(slot_of(cpu, selector), value);
}

static void put_system(unsigned cpu, unsigned selector, const uint8_t *base, uint32_t limit, unsigned type)
{
    put_descriptor(cpu, selector, descriptor((uint64_t)base, limit, DESC_P | type, 0));
    put_descriptor(cpu, selector + 8, (uint64_t)base >> 32);
}

/* Bases lie in the guest's text, whose content is known and does not change. */
static void build_gdt(unsigned n)
{
    uint64_t text = (uint64_t)image_start;
    put_descriptor(n, SEL_CODE, descriptor(0, LIMIT_FLAT, KERNEL_CODE, DESC_G | DESC_L));
    put_descriptor(n, SEL_DATA, descriptor(0, LIMIT_FLAT, KERNEL_DATA, DESC_G | DESC_DB));
    put_descriptor(n, SEL_CODE32, descriptor(0, LIMIT_FLAT, KERNEL_CODE, DESC_G | DESC_DB));
    put_descriptor(n, SEL_USER_CODE32,
                   descriptor(USER_CODE32_BASE, LIMIT_FLAT, KERNEL_CODE | DESC_DPL(3), DESC_G | DESC_DB | DESC_AVL));
    put_descriptor(n, SEL_USER_DATA, descriptor(0, LIMIT_FLAT, KERNEL_DATA | DESC_DPL(3), DESC_G | DESC_DB));
    put_descriptor(n, SEL_USER_CODE, descriptor(0, LIMIT_FLAT, KERNEL_CODE | DESC_DPL(3), DESC_G | DESC_L | DESC_AVL));
    put_descriptor(n, SEL_ODD_KERNEL, descriptor(text + 0x123 + n, 0xabd + n, KERNEL_DATA, DESC_DB));
    put_descriptor(n, SEL_ODD_READ_ONLY,
                   descriptor(text + 0x457 + n, 0x7b9 + n, DESC_P | DESC_S | DESC_ACCESSED | DESC_DPL(3), DESC_AVL));
    put_descriptor(
        n, SEL_ODD_DOWN,
        descriptor(text - 0x2eef + n, 0x2ff7 + n, KERNEL_DATA | DESC_DOWN | DESC_DPL(3), DESC_DB | DESC_AVL));
    put_descriptor(n, SEL_ODD_PAGES, descriptor(text + 0x11 + n, n & 1, KERNEL_DATA | DESC_DPL(3), DESC_G));
    put_descriptor(n, SEL_ODD_CONFORMING,
                   descriptor(text + 0x77 + n, 0x55b + n, KERNEL_CODE | DESC_DOWN, DESC_DB | DESC_AVL));
}

static void build_ldt(unsigned n)
{
    put_descriptor(n, SEL_LDT_USER_CODE, descriptor(0, LIMIT_FLAT, KERNEL_CODE | DESC_DPL(3), DESC_G | DESC_L));
    put_descriptor(n, SEL_LDT_USER_DATA,
                   descriptor(0x1000 + n, LIMIT_FLAT - n, KERNEL_DATA | DESC_DPL(3), DESC_G | DESC_DB));
    put_descriptor(n, SEL_LDT_ODD,
                   descriptor((uint64_t)image_start + 0x29, 0x661 + n, KERNEL_DATA | DESC_DPL(3), DESC_DB));
    put_system(n, SEL_LDT, kit_tables[n].ldt + LDT_OFFSET, SEL_LDT_END - 1 + LDT_LIMIT_EXTRA, TYPE_LDT);
}

static void build_tss(unsigned n)
{
    struct kit_cpu *cpu = &kit_cpus[n];
    uint8_t *tss = kit_tables[n].tss + TSS_OFFSET;
    struct kit_stack *const stacks[] = {&cpu->nmi, &cpu->irq, &cpu->fault, &cpu->debug};
    for (unsigned i = 0; i < ARRAY_LEN(stacks); i++) {
        stacks[i]->cpu = cpu;
        store64(tss + TSS_IST(i + 1), (uint64_t)&stacks[i]->cpu);
    }
    store64(tss + TSS_RSP0, (uint64_t)(cpu->main_stack + KIT_MAIN_STACK_BYTES));
    store16(tss + TSS_IO_MAP_BASE, TSS_BYTES);
    for (unsigned i = 0; i < IO_MAP_BYTES; i++)
        tss[TSS_BYTES + i] = 0xff;
    put_system(n, SEL_TSS, tss, TSS_BYTES + IO_MAP_BYTES - 1 + n, TYPE_TSS);
    cpu->tss_base = (uint64_t)tss;
    cpu->ldt_base = (uint64_t)(kit_tables[n].ldt + LDT_OFFSET);
}

void kit_set_gate(unsigned vector, void (*handler)(void), unsigned dpl, enum kit_ist ist)
{
    uint64_t *gate = (uint64_t *)((uint8_t *)kit_idt + IDT_OFFSET + GATE_BYTES * vector);
    uint64_t at = (uint64_t)handler;
    gate[0] = bits_get(at, 15, 0) | (uint64_t)SEL_CODE << 16 | (uint64_t)ist << 32 |
              (uint64_t)(DESC_P | DESC_DPL(dpl) | TYPE_INTERRUPT_GATE) << 40 | bits_get(at, 31, 16) << 48;
    gate[1] = at >> 32;
}

static void user_pages(const uint8_t *start, const uint8_t *end)
{
    for (uint64_t page = (uint64_t)start >> PAGE_SHIFT; page < (uint64_t)end >> PAGE_SHIFT; page++)
        kit_small_tables[page] |= BIT(2);
}

void kit_build_tables(void)
{
    for (unsigned i = 0; i < KIT_VECTORS; i++) {
        enum kit_ist ist = i == KIT_VECTOR_DEBUG ? KIT_IST_DEBUG
                           : i == KIT_VECTOR_NMI ? KIT_IST_NMI
                           : i >= KIT_VECTOR_PIC ? KIT_IST_IRQ
                                                 : KIT_IST_FAULT;
        kit_set_gate(i, (void (*)(void))(uint64_t)(kit_entries + ENTRY_BYTES * i), 0, ist);
    }
    user_pages(user_text_start, user_text_end);
    user_pages(user_data_start, user_data_end);
    for (unsigned n = 0; n < KIT_CPUS_MAX; n++) {
        kit_cpus[n].number = n;
        build_gdt(n);
        build_ldt(n);
        build_tss(n);
    }
}

static void far_return_to(uint16_t cs)
{
    __asm__ volatile("push %0\n lea 1f(%%rip), %%rax\n push %%rax\n lretq\n1:" : : "r"((uint64_t)cs) : "rax", "memory");
}

void kit_load_tables(struct kit_cpu *cpu)
{
    cpu->gdtr = (struct pseudo_descriptor){SEL_GDT_END - 1 + GDT_LIMIT_EXTRA, (uint64_t)gdt_of(cpu->number)};
    cpu->idtr =
        (struct pseudo_descriptor){KIT_VECTORS * GATE_BYTES - 1 + IDT_LIMIT_EXTRA, KIT_IDT_ADDRESS + IDT_OFFSET};
    cpu_lgdt(&cpu->gdtr);
    far_return_to(SEL_CODE);
    __asm__ volatile("mov %0, %%ss" : : "r"(SEL_DATA));
    cpu_write_ds(SEL_DATA);
    cpu_write_es(SEL_DATA);
    cpu_write_fs(0);
    cpu_write_gs(0);
    cpu_ltr(SEL_TSS);
    cpu_lldt(SEL_LDT);
    cpu_lidt(&cpu->idtr);
}

uint64_t *kit_descriptor(const struct kit_cpu *cpu, unsigned selector)
{
    return (uint64_t *)slot_of(cpu->number, selector);
}

uint64_t kit_segment_base(const struct kit_cpu *cpu, unsigned selector)
{
    uint64_t low = load64(slot_of(cpu->number, selector));
    return bits_get(low, 39, 16) | bits_get(low, 63, 56) << 24;
}

uint32_t kit_segment_limit(const struct kit_cpu *cpu, unsigned selector)
{
    uint64_t low = load64(slot_of(cpu->number, selector));
    uint32_t limit = (uint32_t)(bits_get(low, 15, 0) | bits_get(low, 51, 48) << 16);
    return low & (uint64_t)DESC_G << 52 ? limit << PAGE_SHIFT | (PAGE_BYTES - 1) : limit;
}

uint32_t kit_segment_rights(const struct kit_cpu *cpu, unsigned selector)
{
    /* LAR gives the second doubleword under this mask; the limit's part of it is undefined. */
    return (uint32_t)(load64(slot_of(cpu->number, selector)) >> 32) & 0x00f0ff00u;
}
