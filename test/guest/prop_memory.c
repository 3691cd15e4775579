/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All RAM that the memory map offers below 4 GiB:
 *
 *   our image up to fixed_end, and RAM below 1 MiB   compared with a copy, the vault
 *   our image from there to its end                  ours to change: stacks, variables; not looked at
 *   the vault                                        what it is compared with tells on it
 *   everything else                                  a pattern that says where it is
 *
 * Allowed to differ is the documented footprint: two zero entries beside the IDT's that have become the gateway, and
 * the offset of IDT gate 2; both are counted. On NMI stacks the CPU's own frame. What differs is put right again, so
 * that the next phase begins clean. */
#include "prop.h"

#define LOW_END 0x100000u
#define PAGE_WORDS (PAGE_BYTES / 8)
#define PATTERN_WORDS 8u /* its period: short, so that a checkpoint can compress it */
#define REPORTS_MAX 4u
#define GATE_WORD (2 * 2) /* gate 2's first word, counted from the IDT's base */
#define GATE_OFFSET_LOW (MASK(15, 0) | MASK(63, 48))
#define GATE_OFFSET_HIGH MASK(31, 0)
#define NMI_FRAME_WORDS 5u
#define STACK_PATTERN 0x5aa5000000000000ull
#define PATTERN_STEP 0x9e3779b97f4a7c15ull

unsigned prop_gateway_entries, prop_gateway_gate;
static uint64_t vault, vault_end;
static uint64_t free_harm; /* an address in patterned RAM */

static uint64_t pattern_of(uint64_t page)
{
    return (page >> PAGE_SHIFT) * PATTERN_STEP;
}

static bool within(uint64_t at, const void *start, const void *end)
{
    return at >= (uint64_t)start && at < (uint64_t)end;
}

static bool copied(uint64_t page)
{
    return page < LOW_END || within(page, image_start, fixed_end);
}

static bool ours(uint64_t page)
{
    return within(page, fixed_end, image_end) || (page >= vault && page < vault_end);
}

static uint64_t *vault_of(uint64_t page)
{
    uint64_t offset = page < LOW_END ? page : LOW_END + page - (uint64_t)image_start;
    return (uint64_t *)(vault + offset);
}

static void fill_page(uint64_t page)
{
    /* The first pages hold the BIOS's vectors and variables: a null pointer to the compiler, an address here. */
    __asm__("" : "+r"(page));
    uint64_t *to = (uint64_t *)page;
    for (unsigned i = 0; i < PAGE_WORDS; i++)
        to[i] = pattern_of(page) + i % PATTERN_WORDS;
}

static void copy_page(uint64_t page)
{
    __asm__("" : "+r"(page));
    const uint64_t *from = (const uint64_t *)page;
    for (unsigned i = 0; i < PAGE_WORDS; i++)
        vault_of(page)[i] = from[i];
}

bool prop_memory_setup(void)
{
    vault = align_up((uint64_t)image_end, PAGE_BYTES);
    vault_end = vault + LOW_END + ((uint64_t)fixed_end - (uint64_t)image_start);
    bool fits = false;
    for (unsigned r = 0; r < kit_ram_count; r++)
        fits |= kit_ram[r].base <= vault && vault_end <= kit_ram[r].end;
    if (!fits)
        return false;
    for (unsigned r = 0; r < kit_ram_count; r++)
        for (uint64_t page = kit_ram[r].base; page < kit_ram[r].end; page += PAGE_BYTES) {
            if (copied(page))
                copy_page(page);
            else if (!ours(page)) {
                fill_page(page);
                free_harm = page + PAGE_BYTES / 2;
            }
        }
    return true;
}

void prop_memory_harm(const struct prop_cpu *p)
{
    if (prop_harmed(p, "memory"))
        *(volatile uint8_t *)free_harm ^= 1;
    if (prop_harmed(p, "memory_image"))
        *(volatile uint8_t *)((uint64_t)fixed_end - 1) ^= 1;
    if (prop_harmed(p, "memory_low"))
        *(volatile uint8_t *)(uint64_t)(LOW_END / 4) ^= 1;
    if (prop_harmed(p, "memory_tables"))
        ((volatile uint64_t *)kit_idt_table)[7] = BIT(1); /* not present: only a check of memory finds it */
    if (prop_harmed(p, "memory_idt"))
        ((volatile uint64_t *)kit_idt)[PAGE_WORDS - 1] ^= 1;
}

static unsigned reported;

static void report(struct prop_cpu *p, uint64_t *at, uint64_t want)
{
    if (reported++ < REPORTS_MAX)
        prop_check_at(p, "memory", *at, want, (uint64_t)at);
    *at = want;
}

/* The page table with the IDT's entry: zero entries may have become the gateway's, two neighbours. */
static bool is_gateway_entry(const uint64_t *at, uint64_t want)
{
    static const uint64_t *last;
    if (!within((uint64_t)at, kit_idt_table, kit_idt_table + PAGE_WORDS) || want || !(*at & 1))
        return false;
    if (prop_gateway_entries == 0)
        last = at;
    else if (prop_gateway_entries != 1 || at != last + 1)
        return false;
    prop_gateway_entries++;
    return true;
}

static bool is_gate_offset(const struct prop_cpu *p, const uint64_t *at, uint64_t want)
{
    const uint64_t *gate = kit_idt + (p->cpu->idtr.base & (PAGE_BYTES - 1)) / sizeof *gate + GATE_WORD;
    uint64_t allowed = at == gate ? GATE_OFFSET_LOW : at == gate + 1 ? GATE_OFFSET_HIGH : 0;
    if ((*at ^ want) & ~allowed)
        return false;
    prop_gateway_gate = 1;
    return true;
}

static void check_copy(struct prop_cpu *p, uint64_t page)
{
    __asm__("" : "+r"(page));
    uint64_t *at = (uint64_t *)page;
    const uint64_t *want = vault_of(page);
    for (unsigned i = 0; i < PAGE_WORDS; i++)
        if (at[i] != want[i] && !is_gateway_entry(at + i, want[i]) && !is_gate_offset(p, at + i, want[i]))
            report(p, at + i, want[i]);
}

static void check_pattern(struct prop_cpu *p, uint64_t page)
{
    uint64_t *at = (uint64_t *)page, v = pattern_of(page), differs = 0;
    for (unsigned i = 0; i < PAGE_WORDS; i += PATTERN_WORDS)
        differs |= (at[i] ^ v) | (at[i + 1] ^ (v + 1)) | (at[i + 2] ^ (v + 2)) | (at[i + 3] ^ (v + 3)) |
                   (at[i + 4] ^ (v + 4)) | (at[i + 5] ^ (v + 5)) | (at[i + 6] ^ (v + 6)) | (at[i + 7] ^ (v + 7));
    if (!differs)
        return;
    for (unsigned i = 0; i < PAGE_WORDS; i++)
        if (at[i] != v + i % PATTERN_WORDS)
            report(p, at + i, v + i % PATTERN_WORDS);
}

void prop_memory_check(struct prop_cpu *p)
{
    reported = prop_gateway_entries = prop_gateway_gate = 0;
    for (unsigned r = 0; r < kit_ram_count; r++)
        for (uint64_t page = kit_ram[r].base; page < kit_ram[r].end; page += PAGE_BYTES) {
            if (copied(page))
                check_copy(p, page);
            else if (!ours(page))
                check_pattern(p, page);
        }
    prop_check(p, "memory_words", reported, 0);
}

/* ---- NMI stacks ------------------------------------------------------------------------------------------------ */

#define STACK_WORDS (sizeof(((struct kit_stack *)0)->room) / 8)

static volatile uint64_t *stack_words(const struct prop_cpu *p)
{
    return (volatile uint64_t *)(uint64_t)p->cpu->nmi.room;
}

void prop_stack_fill(struct prop_cpu *p)
{
    for (unsigned i = 0; i < STACK_WORDS; i++)
        stack_words(p)[i] = STACK_PATTERN + i;
    if (prop_harmed(p, "nmi_stack"))
        stack_words(p)[STACK_WORDS - NMI_FRAME_WORDS - 1] ^= 1;
}

/* What lies below the CPU's frame; a handler of the guest's own uses it, too. */
void prop_stack_check(struct prop_cpu *p)
{
    if (p->hold.nmis)
        return;
    for (unsigned i = 0; i < STACK_WORDS - NMI_FRAME_WORDS; i++)
        if (stack_words(p)[i] != STACK_PATTERN + i) {
            prop_check_at(p, "nmi_stack", stack_words(p)[i], STACK_PATTERN + i, i);
            return;
        }
    prop_check(p, "nmi_stack", 0, 0);
}
