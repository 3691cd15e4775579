/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Gateway slot search in 32-bit mode: as kernel/gateway_slot.c, with other tables and gates.
 *
 *   PAE          CR3 -> PDPT (4 entries, no rights) -> PD (512) -> PT (512)       entries of 8 bytes
 *   without      CR3 -> PD (1024) -> PT (1024)                                    entries of 4 bytes, 4 MiB pages with PSE
 *
 * The top level is never taken: each address space has its own. SDM 3A 4.3 "32-Bit Paging", 4.4 "PAE Paging",
 * 6.11 "IDT Descriptors". */
#include "kernel/gateway_slot32.h"

#include "bits.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)
#define PTE_ADDRESS MASK(51, 12)
#define LEVELS_MAX 3u
#define PAE_TOP 3u
#define PDE_4M_HIGH_SHIFT 19u /* PSE-36: bits 20:13 of the entry are address bits 39:32 */

#define GATE_BYTES 8u
#define GATE_NMI_OFFSET (2u * GATE_BYTES)
#define IDT_MIN_LIMIT (32u * GATE_BYTES - 1u)
#define GATE_KIND MASK(47, 40) /* present, DPL, S, type */
#define GATE_DPL MASK(46, 45)
#define GATE_INTERRUPT_32 (0x8eull << 40)

struct walk {
    uint64_t table[LEVELS_MAX + 1]; /* [level]: the table's physical address; 0: not reached */
    uint64_t top;                   /* the entry at the top */
    bool allows[LEVELS_MAX + 1];    /* [level]: the path down to that table allows writing and execution */
    uint64_t pa;
    bool mapped;
};

static bool is_pae(enum paging_format f)
{
    return f == PAGING_PAE;
}

static unsigned levels(enum paging_format f)
{
    return is_pae(f) ? PAE_TOP : 2;
}

static unsigned index_bits(enum paging_format f)
{
    return is_pae(f) ? 9 : 10;
}

static unsigned level_shift(enum paging_format f, unsigned level)
{
    return PAGE_SHIFT + index_bits(f) * (level - 1);
}

static unsigned slot_at(enum paging_format f, uint64_t va, unsigned level)
{
    return (unsigned)(va >> level_shift(f, level)) & (BIT32(index_bits(f)) - 1);
}

unsigned gateway_slot32_entry_bytes(enum paging_format f)
{
    return f == PAGING_32 || f == PAGING_32_PSE ? sizeof(uint32_t) : sizeof(uint64_t);
}

uint64_t gateway_slot32_entry(const void *table, enum paging_format f, unsigned i)
{
    return gateway_slot32_entry_bytes(f) == sizeof(uint32_t) ? ((const uint32_t *)table)[i]
                                                             : ((const uint64_t *)table)[i];
}

static uint64_t root(enum paging_format f, uint64_t cr3)
{
    return cr3 & (is_pae(f) ? MASK(31, 5) : MASK(31, 12));
}

/* A table need not begin a page: PAE's top one does not. */
static uint64_t entry_of(const struct phys_reader *r, uint64_t table, unsigned i)
{
    const uint64_t *page = r->page(r->ctx, align_down(table, PAGE_BYTES));
    return page ? gateway_slot32_entry((const uint8_t *)page + (table & (PAGE_BYTES - 1)), r->format, i) : 0;
}

static uint64_t large_page(const struct phys_reader *r, uint64_t e, unsigned shift)
{
    uint64_t pa = e & PTE_ADDRESS & ~(BIT(shift) - 1);
    return is_pae(r->format) ? pa : pa | (e & MASK(20, 13)) << PDE_4M_HIGH_SHIFT;
}

static void walk(const struct phys_reader *r, uint64_t cr3, uint64_t va, struct walk *w)
{
    va = (uint32_t)va; /* an address of long mode may be left over in IDTR */
    *w = (struct walk){0};
    bool allows = true;
    uint64_t table = root(r->format, cr3);
    for (unsigned level = levels(r->format); level; level--) {
        unsigned shift = level_shift(r->format, level);
        w->table[level] = table;
        w->allows[level] = allows;
        uint64_t e = entry_of(r, table, slot_at(r->format, va, level));
        if (level == levels(r->format))
            w->top = e;
        if (!(e & PTE_P))
            return;
        bool large = level == 2 && (e & PTE_PS) && r->format != PAGING_32;
        if (level == 1 || large) {
            w->pa = (large ? large_page(r, e, shift) : e & PTE_ADDRESS) | (va & (BIT(shift) - 1));
            w->mapped = true;
            return;
        }
        if (level < PAE_TOP)
            allows = (e & PTE_W) && !(e & PTE_NX);
        table = e & PTE_ADDRESS;
    }
}

enum err gateway_slot32_gate(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, uint64_t idt_limit,
                             struct gateway_gate *gate)
{
    struct walk w;
    walk(r, cr3, idt_base + GATE_NMI_OFFSET, &w);
    if (idt_limit < IDT_MIN_LIMIT || !w.mapped || (w.pa & (GATE_BYTES - 1)))
        return E_NOIDT;
    const uint64_t *page = r->page(r->ctx, align_down(w.pa, PAGE_BYTES));
    if (!page)
        return E_NOIDT;
    uint64_t word = page[(w.pa & (PAGE_BYTES - 1)) / sizeof word];
    if ((word & GATE_KIND & ~GATE_DPL) != GATE_INTERRUPT_32)
        return E_GATE;
    *gate = (struct gateway_gate){w.pa, {word, 0}, bits_get(word, 15, 0) | bits_get(word, 63, 48) << 16};
    return E_OK;
}

static unsigned entries_wanted(unsigned level, unsigned pages)
{
    return level == 1 ? pages : 1;
}

static int longest_zero_run_end(const uint64_t *table, enum paging_format f, unsigned want)
{
    unsigned run = 0, best = want - 1;
    int end = -1;
    for (unsigned i = 0; i < BIT32(index_bits(f)); i++) {
        run = gateway_slot32_entry(table, f, i) ? 0 : run + 1;
        if (run > best) {
            best = run;
            end = (int)i;
        }
    }
    return end;
}

enum err gateway_slot32_find(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, unsigned pages,
                             struct gateway_plan *plan)
{
    enum paging_format f = r->format;
    struct walk w;
    *plan = (struct gateway_plan){.format = f};
    walk(r, cr3, idt_base, &w);
    if (!w.mapped)
        return E_NOIDT;
    for (unsigned level = 1; level < levels(f); level++) {
        unsigned want = entries_wanted(level, pages), shift = level_shift(f, level);
        const uint64_t *table = w.allows[level] ? r->page(r->ctx, w.table[level]) : NULL;
        int end = table ? longest_zero_run_end(table, f, want) : -1;
        if (end < 0)
            continue;
        unsigned slot = (unsigned)end + 1 - want;
        *plan = (struct gateway_plan){
            .va = align_down((uint32_t)idt_base, BIT(shift + index_bits(f))) + ((uint64_t)slot << shift),
            .entry_pa = w.table[level] + (uint64_t)slot * gateway_slot32_entry_bytes(f),
            .table_pa = w.table[level],
            .level = level,
            .pages = pages,
            .top = w.top,
            .format = f,
        };
        return E_OK;
    }
    return E_NOSLOT;
}

static bool reaches(const struct walk *w, const struct gateway_plan *plan)
{
    return w->table[plan->level] == plan->table_pa && w->allows[plan->level];
}

bool gateway_slot32_usable(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base,
                           const struct gateway_plan *plan)
{
    struct walk w;
    if (!plan->level || plan->format != r->format)
        return false;
    walk(r, cr3, idt_base, &w);
    if (!reaches(&w, plan))
        return false;
    unsigned slot = (unsigned)(plan->entry_pa - plan->table_pa) / gateway_slot32_entry_bytes(r->format);
    for (unsigned i = 0; i < entries_wanted(plan->level, plan->pages); i++)
        if (entry_of(r, plan->table_pa, slot + i))
            return false;
    return true;
}

bool gateway_slot32_shared(const struct phys_reader *r, uint64_t cr3, const struct gateway_plan *plan)
{
    struct walk w;
    walk(r, cr3, plan->va, &w);
    return reaches(&w, plan);
}

bool gateway_slot32_translate(const struct phys_reader *r, uint64_t cr3, uint64_t va, uint64_t *pa)
{
    struct walk w;
    walk(r, cr3, va, &w);
    *pa = w.pa;
    return w.mapped;
}
