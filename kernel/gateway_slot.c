/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Gateway slot search.
 *
 *   CR3 -> PML4 -> PDPT -> PD -> PT [ ... IDT page ... 0 0 0 0 0 0 C D ]     C, D: gateway code and data
 *
 * Only entries that are exactly zero are free: a non-present entry with other bits belongs to the guest (swap entries,
 * L1TF inversion). The last entries of the longest zero run are taken, farthest from what the guest may add next.
 * When the IDT is mapped by a large page, or its page table is full, the same is done one or two levels up with a table
 * of our own below. SDM 3A 4.5 "4-Level Paging and 5-Level Paging". */
#include "kernel/gateway_slot.h"

#include "bits.h"
#include "kernel/gateway_slot32.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)
#define PTE_ADDRESS MASK(51, 12)
#define ENTRIES 512u
#define LEVELS 4u

#define IDT_MIN_LIMIT (32u * 16u - 1u)
#define GATE_BYTES 16u
#define GATE_NMI_OFFSET (2u * GATE_BYTES)
#define GATE_TYPE(low) bits_get(low, 43, 40)
#define GATE_S(low) bits_get(low, 44, 44)
#define GATE_PRESENT(low) bits_get(low, 47, 47)
#define GATE_TYPE_INTERRUPT 0xeu

/* What the entries of a path forbid, or what one of them lacks. */
#define RIGHTS(entry) (((entry) ^ PTE_W) & (PTE_W | PTE_NX))

struct walk {
    uint64_t table[LEVELS + 1];   /* [level]: the table page's physical address, from `reached` up */
    uint64_t forbids[LEVELS + 1]; /* [level]: RIGHTS() of the entries above that table; 0: writing and execution */
    unsigned reached;
    uint64_t pa; /* of the address itself */
    bool mapped;
};

static unsigned slot_at(uint64_t va, unsigned level)
{
    return (unsigned)(va >> (PAGE_SHIFT + 9 * (level - 1))) & (ENTRIES - 1);
}

/* Down to the table of level `last`; 0: to the address itself. In every transition: no more than has to be. */
static void walk_to(const struct phys_reader *r, uint64_t cr3, uint64_t va, unsigned last, struct walk *w)
{
    uint64_t table = cr3 & PTE_ADDRESS, forbids = 0;
    unsigned shift = PAGE_SHIFT + 9 * (LEVELS - 1);
    w->mapped = false;
    for (unsigned level = LEVELS;; level--, shift -= 9) {
        w->table[level] = table;
        w->forbids[level] = forbids;
        w->reached = level;
        if (level == last)
            return;
        const uint64_t *entries = r->page(r->ctx, table);
        uint64_t e = entries ? entries[va >> shift & (ENTRIES - 1)] : 0;
        if (!(e & PTE_P))
            return;
        table = e & PTE_ADDRESS;
        if (level == 1 || (level <= 3 && (e & PTE_PS))) {
            uint64_t offset_mask = (1ull << shift) - 1;
            w->pa = (table & ~offset_mask) | (va & offset_mask);
            w->mapped = true;
            return;
        }
        forbids |= RIGHTS(e);
    }
}

static bool allows(const struct walk *w, unsigned level)
{
    return level >= w->reached && !w->forbids[level];
}

/* The last `want` slots of the longest run of zero entries; -1 if there is none that long. */
static int longest_zero_run_end(const uint64_t *table, unsigned want)
{
    unsigned best = want - 1;
    int end = -1;
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (table[i])
            continue;
        unsigned start = i;
        while (i + 8 <= ENTRIES && !(table[i] | table[i + 1] | table[i + 2] | table[i + 3] | table[i + 4] |
                                     table[i + 5] | table[i + 6] | table[i + 7]))
            i += 8; /* most of it is zero */
        while (i < ENTRIES && !table[i])
            i++;
        if (i - start > best) {
            best = i - start;
            end = (int)i - 1;
        }
    }
    return end;
}

bool gateway_slot_beside(const struct phys_reader *r, uint64_t va, const struct gateway_plan *plan, uint64_t *pa)
{
    if (r->format || plan->level != 1 || (va ^ plan->va) >> (PAGE_SHIFT + 9))
        return false;
    const uint64_t *entries = r->page(r->ctx, plan->table_pa);
    uint64_t e = entries ? entries[slot_at(va, 1)] : 0;
    *pa = (e & PTE_ADDRESS) | (va & (PAGE_BYTES - 1));
    return e & PTE_P;
}

enum err gateway_slot_gate(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, uint64_t idt_limit,
                           const struct gateway_plan *plan, struct gateway_gate *gate)
{
    if (r->format)
        return gateway_slot32_gate(r, cr3, idt_base, idt_limit, gate);
    uint64_t pa, va = idt_base + GATE_NMI_OFFSET;
    if (idt_limit < IDT_MIN_LIMIT ||
        (!gateway_slot_beside(r, va, plan, &pa) && !gateway_slot_translate(r, cr3, va, &pa)) || (pa & 7) ||
        (pa & (PAGE_BYTES - 1)) > PAGE_BYTES - GATE_BYTES)
        return E_NOIDT;
    const uint64_t *page = r->page(r->ctx, align_down(pa, PAGE_BYTES));
    if (!page)
        return E_NOIDT;
    const uint64_t *word = page + (pa & (PAGE_BYTES - 1)) / sizeof *word;
    uint64_t low = word[0], high = word[1];
    if (!GATE_PRESENT(low) || GATE_S(low) || GATE_TYPE(low) != GATE_TYPE_INTERRUPT)
        return E_GATE;
    gate->pa = pa;
    gate->word[0] = low;
    gate->word[1] = high;
    gate->handler = bits_get(low, 15, 0) | bits_get(low, 63, 48) << 16 | bits_get(high, 31, 0) << 32;
    return E_OK;
}

static unsigned entries_wanted(unsigned level, unsigned pages)
{
    return level == 1 ? pages : 1;
}

enum err gateway_slot_find(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, unsigned pages,
                           struct gateway_plan *plan)
{
    if (r->format)
        return gateway_slot32_find(r, cr3, idt_base, pages, plan);
    *plan = (struct gateway_plan){0};
    struct walk w;
    walk_to(r, cr3, idt_base, 0, &w);
    if (!w.mapped)
        return E_NOIDT;
    for (unsigned level = 1; level <= 3; level++) {
        if (!allows(&w, level))
            continue;
        unsigned want = entries_wanted(level, pages);
        const uint64_t *table = r->page(r->ctx, w.table[level]);
        int end = table ? longest_zero_run_end(table, want) : -1;
        if (end < 0)
            continue;
        unsigned slot = (unsigned)end + 1 - want;
        uint64_t span = 1ull << (PAGE_SHIFT + 9 * level);
        plan->level = level;
        plan->pages = pages;
        plan->top = r->page(r->ctx, w.table[LEVELS])[slot_at(idt_base, LEVELS)];
        plan->table_pa = w.table[level];
        plan->entry_pa = w.table[level] + 8 * slot;
        plan->va = align_down(idt_base, span) + ((uint64_t)slot << (PAGE_SHIFT + 9 * (level - 1)));
        return E_OK;
    }
    return E_NOSLOT;
}

bool gateway_slot_usable(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, const struct gateway_plan *plan)
{
    if (r->format)
        return gateway_slot32_usable(r, cr3, idt_base, plan);
    if (!plan->level)
        return false;
    struct walk w;
    walk_to(r, cr3, idt_base, plan->level, &w);
    if (!allows(&w, plan->level) || w.table[plan->level] != plan->table_pa)
        return false;
    const uint64_t *table = r->page(r->ctx, plan->table_pa);
    const uint64_t *entry = table + (plan->entry_pa & (PAGE_BYTES - 1)) / sizeof *entry;
    for (unsigned i = 0; i < entries_wanted(plan->level, plan->pages); i++)
        if (entry[i])
            return false;
    return true;
}

bool gateway_slot_shared(const struct phys_reader *r, uint64_t cr3, const struct gateway_plan *plan)
{
    if (r->format)
        return gateway_slot32_shared(r, cr3, plan);
    /* The same table below the top is the same path, nearly always. What else is in an entry is each address space's
       own: A, or U/S, which the entries of the place itself withhold. */
    const uint64_t *top = r->page(r->ctx, cr3 & PTE_ADDRESS);
    if (top && !((top[slot_at(plan->va, LEVELS)] ^ plan->top) & (PTE_P | PTE_ADDRESS | PTE_W | PTE_NX)))
        return true;
    struct walk w;
    walk_to(r, cr3, plan->va, plan->level, &w);
    return allows(&w, plan->level) && w.table[plan->level] == plan->table_pa;
}

bool gateway_slot_translate(const struct phys_reader *r, uint64_t cr3, uint64_t va, uint64_t *pa)
{
    if (r->format)
        return gateway_slot32_translate(r, cr3, va, pa);
    struct walk w;
    walk_to(r, cr3, va, 0, &w);
    if (w.mapped)
        *pa = w.pa;
    return w.mapped;
}

uint64_t gateway_code_pte(uint64_t pa)
{
    return pa | PTE_P | PTE_A;
}

uint64_t gateway_data_pte(uint64_t pa, bool nx)
{
    return pa | PTE_P | PTE_A | PTE_D | PTE_W | (nx ? PTE_NX : 0);
}

uint64_t gateway_table_entry(uint64_t pa)
{
    return pa | PTE_P | PTE_A | PTE_W;
}

void gateway_patch_gate(const uint64_t gate[2], uint64_t va, uint64_t out[2])
{
    out[0] = (gate[0] & MASK(47, 16)) | bits_get(va, 15, 0) | bits_get(va, 31, 16) << 48;
    out[1] = (gate[1] & MASK(63, 32)) | va >> 32;
}
