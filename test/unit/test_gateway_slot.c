/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gateway slot search, against page tables built by hand. The arena is guest-physical memory from 1 GiB on, so that one
   2M page, or one 1G page, can map the same IDT page at the same offset as a 4K page does. */
/* UNITS: kernel/gateway_slot.c kernel/gateway_slot32.c */
#include "bits.h"
#include "kernel/gateway_data.h"
#include "kernel/gateway_slot.h"
#include "unit.h"

#include <string.h>

#define P BIT(0)
#define W BIT(1)
#define A BIT(5)
#define D BIT(6)
#define PS BIT(7)
#define NX BIT(63)
#define TABLE (P | W | A)
#define JUNK BIT(62) /* not present, but not nothing: a swap entry */

#define ARENA_PA 0x40000000ull
#define ARENA_PAGES 16u
#define IDT_PAGE 8u
#define REGION 0xfffffe0000000000ull /* where Linux keeps its IDT; aligned to 512 GiB */
#define IDT_VA (REGION + IDT_PAGE * PAGE_BYTES)
#define IDT_LIMIT 0xfffu
#define CR3_NOISE (BIT(63) | 0xfffu) /* PCID and its no-flush bit */
#define SIZE_2M 0x200000ull
#define SIZE_1G 0x40000000ull

#define GATE_LOW 0x12348e0300105678ull /* offset ..12345678, selector 10h, IST 3, interrupt gate, present */
#define GATE_HIGH 0xabcd1234ffffffffull
#define HANDLER 0xffffffff12345678ull

enum { ROOT, PDPT, PD, PT, ROOT2, COPY, OTHER = IDT_PAGE + 1 };

static uint64_t arena[ARENA_PAGES][512];
static struct gateway_plan plan;
static struct gateway_gate gate;

static uint64_t pa_of(unsigned page)
{
    return ARENA_PA + page * PAGE_BYTES;
}

static unsigned pages_read;

static const uint64_t *page(void *ctx, uint64_t pa)
{
    pages_read++;
    (void)ctx;
    ck_assert_uint_eq(pa % PAGE_BYTES, 0);
    return pa >= ARENA_PA && pa < ARENA_PA + sizeof arena ? arena[(pa - ARENA_PA) / PAGE_BYTES] : NULL;
}

static const struct phys_reader reader = {.page = page, .format = PAGING_LONG};

static unsigned pml4_slot(void)
{
    return REGION >> 39 & 511;
}

/* level: of the entry that maps the IDT; 1: a 4K page. The IDT itself is read-only and no code, as Linux has it. */
static void build(unsigned level)
{
    memset(arena, 0, sizeof arena);
    arena[ROOT][pml4_slot()] = pa_of(PDPT) | TABLE;
    arena[PDPT][0] = level == 3 ? ARENA_PA | P | A | PS | NX : pa_of(PD) | TABLE;
    arena[PD][0] = level == 2 ? ARENA_PA | P | A | PS | NX : pa_of(PT) | TABLE;
    arena[PT][IDT_PAGE] = pa_of(IDT_PAGE) | P | A | NX;
    arena[IDT_PAGE][4] = GATE_LOW;
    arena[IDT_PAGE][5] = GATE_HIGH;
}

/* Code and one data page. */
static enum err find(void)
{
    return gateway_slot_find(&reader, pa_of(ROOT) | CR3_NOISE, IDT_VA, 2, &plan);
}

static bool usable(void)
{
    return gateway_slot_usable(&reader, pa_of(ROOT) | CR3_NOISE, IDT_VA, &plan);
}

/* With the place known as without it. */
static enum err find_gate(uint64_t base, uint64_t limit)
{
    static const struct gateway_plan none;
    struct gateway_gate beside = {0};
    gate = (struct gateway_gate){0};
    enum err e = gateway_slot_gate(&reader, pa_of(ROOT) | CR3_NOISE, base, limit, &none, &gate);
    if (plan.level && usable()) {
        ck_assert_int_eq(gateway_slot_gate(&reader, pa_of(ROOT) | CR3_NOISE, base, limit, &plan, &beside), e);
        ck_assert_mem_eq(&beside, &gate, sizeof gate);
    }
    return e;
}

static void fill(unsigned page, uint64_t value)
{
    for (unsigned i = 0; i < 512; i++)
        if (!arena[page][i])
            arena[page][i] = value;
}

static void expect(unsigned level, unsigned page, unsigned slot, uint64_t va)
{
    ck_assert_uint_eq(plan.level, level);
    ck_assert_uint_eq(plan.table_pa, pa_of(page));
    ck_assert_uint_eq(plan.entry_pa, pa_of(page) + 8ull * slot);
    ck_assert_uint_eq(plan.va, va);
    ck_assert_uint_eq(plan.top, arena[ROOT][pml4_slot()]);
    ck_assert(usable());
    ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_OK); /* wherever the gateway goes */
    ck_assert_uint_eq(gate.pa, pa_of(IDT_PAGE) + 0x20);
    ck_assert_uint_eq(gate.word[0], GATE_LOW);
    ck_assert_uint_eq(gate.word[1], GATE_HIGH);
    ck_assert_uint_eq(gate.handler, HANDLER);
}

START_TEST(beside_the_idt_for_every_page_size)
{
    build(1);
    ck_assert_int_eq(find(), E_OK);
    expect(1, PT, 510, REGION + 510 * PAGE_BYTES);
    build(2);
    ck_assert_int_eq(find(), E_OK);
    expect(2, PD, 511, REGION + 511 * SIZE_2M);
    build(3);
    ck_assert_int_eq(find(), E_OK);
    expect(3, PDPT, 511, REGION + 511 * SIZE_1G);
}
END_TEST

START_TEST(end_of_the_longest_zero_run)
{
    build(1);
    fill(PT, pa_of(OTHER) | P);
    memset(&arena[PT][10], 0, 10 * 8);
    memset(&arena[PT][100], 0, 30 * 8);
    memset(&arena[PT][400], 0, 21 * 8);
    ck_assert_int_eq(find(), E_OK);
    expect(1, PT, 128, REGION + 128 * PAGE_BYTES);
    /* A run at the table's beginning, and one at its end. */
    fill(PT, pa_of(OTHER) | P);
    memset(&arena[PT][0], 0, 3 * 8);
    ck_assert_int_eq(find(), E_OK);
    expect(1, PT, 1, REGION + 1 * PAGE_BYTES);
    memset(&arena[PT][508], 0, 4 * 8);
    ck_assert_int_eq(find(), E_OK);
    expect(1, PT, 510, REGION + 510 * PAGE_BYTES);
    fill(PT, pa_of(OTHER) | P);
    arena[PT][7] = arena[PT][6] = 0;
    ck_assert_int_eq(find(), E_OK);
    expect(1, PT, 6, REGION + 6 * PAGE_BYTES);
}
END_TEST

/* Against a search that is too simple to be wrong, with one, two and eight data pages: up to 4, up to 12 and 64 CPUs. */
START_TEST(random_tables)
{
    static const unsigned counts[] = {2, 3, 9};
    srand(3);
    for (int round = 0; round < 3000; round++) {
        const unsigned pages = counts[round % (int)ARRAY_LEN(counts)];
        build(1);
        fill(PT, JUNK);
        for (int run = rand() % 12; run >= 0; run--)
            for (unsigned i = (unsigned)rand() % 512, n = (unsigned)rand() % 40; n && i < 512; n--, i++)
                if (i != IDT_PAGE)
                    arena[PT][i] = 0;
        unsigned longest = 0, end = 0;
        for (unsigned first = 0; first < 512; first++) {
            unsigned n = 0;
            while (first + n < 512 && !arena[PT][first + n])
                n++;
            if (n > longest) {
                longest = n;
                end = first + n;
            }
        }
        ck_assert_int_eq(gateway_slot_find(&reader, pa_of(ROOT), IDT_VA, pages, &plan), E_OK);
        ck_assert_uint_eq(plan.pages, pages);
        if (longest >= pages)
            expect(1, PT, end - pages, REGION + (end - pages) * PAGE_BYTES);
        else
            expect(2, PD, 511, REGION + 511 * SIZE_2M);
    }
}
END_TEST

START_TEST(only_zero_is_free)
{
    build(1);
    fill(PT, JUNK);
    arena[PT][200] = arena[PT][201] = 0;
    ck_assert_int_eq(find(), E_OK);
    expect(1, PT, 200, REGION + 200 * PAGE_BYTES);
    /* Two single zeros are no place for two pages: one level up. */
    arena[PT][201] = JUNK;
    arena[PT][203] = 0;
    ck_assert_int_eq(find(), E_OK);
    expect(2, PD, 511, REGION + 511 * SIZE_2M);
    /* There a single one will do, because the table below is ours. */
    fill(PD, JUNK);
    arena[PD][77] = 0;
    ck_assert_int_eq(find(), E_OK);
    expect(2, PD, 77, REGION + 77 * SIZE_2M);
    arena[PD][77] = JUNK;
    ck_assert_int_eq(find(), E_OK);
    expect(3, PDPT, 511, REGION + 511 * SIZE_1G);
    fill(PDPT, JUNK);
    ck_assert_int_eq(find(), E_NOSLOT);
    /* The PML4 is never used: it belongs to one address space. */
    ck_assert_uint_eq(arena[ROOT][0], 0);
}
END_TEST

START_TEST(a_path_that_forbids)
{
    static const struct {
        unsigned page;
        uint64_t clear, set;
        unsigned level; /* where the gateway ends up; 0: nowhere */
    } cases[] = {
        {PD, W, 0, 2},   {PD, 0, NX, 2},   {PDPT, W, 0, 3}, {PDPT, 0, NX, 3},
        {ROOT, W, 0, 0}, {ROOT, 0, NX, 0}, {PT, W, NX, 1}, /* the IDT's own entry does not matter */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        build(1);
        unsigned slot = cases[i].page == ROOT ? pml4_slot() : cases[i].page == PT ? IDT_PAGE : 0;
        uint64_t *e = &arena[cases[i].page][slot];
        *e = (*e & ~cases[i].clear) | cases[i].set;
        ck_assert_int_eq(find(), cases[i].level ? E_OK : E_NOSLOT);
        ck_assert_uint_eq(plan.level, cases[i].level);
    }
}
END_TEST

START_TEST(what_is_no_idt)
{
    for (unsigned page = ROOT; page <= PT; page++) {
        unsigned slot = page == ROOT ? pml4_slot() : page == PT ? IDT_PAGE : 0;
        build(1);
        arena[page][slot] &= ~P;
        ck_assert_int_eq(find(), E_NOIDT);
        ck_assert_uint_eq(plan.level, 0);
        ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_NOIDT);
        build(1); /* points where no memory is */
        arena[page][slot] = 0x7fff000 | TABLE;
        ck_assert_int_eq(find(), page == PT ? E_OK : E_NOIDT); /* the gate says so, if the place does not */
        ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_NOIDT);
    }
    build(1);
    ck_assert_int_eq(gateway_slot_find(&reader, 0x1000, IDT_VA, 2, &plan), E_NOIDT);
    ck_assert_int_eq(gateway_slot_gate(&reader, 0x1000, IDT_VA, IDT_LIMIT, &plan, &gate), E_NOIDT);
    ck_assert_int_eq(find_gate(IDT_VA + 4, IDT_LIMIT), E_NOIDT);
    ck_assert_int_eq(find_gate(IDT_VA, 32 * 16 - 2), E_NOIDT);
    ck_assert_int_eq(find_gate(IDT_VA, 0), E_NOIDT);
    ck_assert_int_eq(find_gate(IDT_VA, 32 * 16 - 1), E_OK);
}
END_TEST

START_TEST(what_is_no_nmi_gate)
{
    static const unsigned types[] = {0x85, 0x8c, 0x8f, 0x0e, 0x9e, 0x00, 0x8e, 0xee};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        build(1);
        arena[IDT_PAGE][4] = (GATE_LOW & ~MASK(47, 40)) | (uint64_t)types[i] << 40;
        bool good = types[i] == 0x8e || types[i] == 0xee; /* whatever the DPL */
        ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), good ? E_OK : E_GATE);
    }
}
END_TEST

/* Nothing says that an IDT begins with a page. */
START_TEST(gate_on_the_next_page)
{
    build(1);
    arena[PT][IDT_PAGE + 1] = pa_of(OTHER) | P;
    arena[OTHER][2] = GATE_LOW;
    arena[OTHER][3] = GATE_HIGH;
    uint64_t base = IDT_VA + PAGE_BYTES - 16;
    ck_assert_int_eq(find_gate(base, IDT_LIMIT), E_OK);
    ck_assert_uint_eq(gate.pa, pa_of(OTHER) + 16);
    ck_assert_uint_eq(gate.handler, HANDLER);
    arena[PT][IDT_PAGE + 1] = 0;
    ck_assert_int_eq(find_gate(base, IDT_LIMIT), E_NOIDT);
    /* A gate in two pages would have to be changed in two places. */
    build(1);
    arena[PT][IDT_PAGE + 1] = pa_of(OTHER) | P;
    arena[IDT_PAGE][511] = GATE_LOW;
    arena[OTHER][0] = GATE_HIGH;
    ck_assert_int_eq(find_gate(base - 0x18, IDT_LIMIT), E_NOIDT);
    arena[IDT_PAGE][510] = GATE_LOW;
    arena[IDT_PAGE][511] = GATE_HIGH;
    ck_assert_int_eq(find_gate(base - 0x20, IDT_LIMIT), E_OK);
    ck_assert_uint_eq(gate.pa, pa_of(IDT_PAGE) + 0xff0);
}
END_TEST

START_TEST(a_run_for_every_page)
{
    static const struct {
        uint32_t cpus;
        unsigned pages;
    } machines[] = {{1, 2}, {4, 2}, {5, 3}, {12, 3}, {13, 4}, {60, 9}, {61, 10}, {64, 10}};
    for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
        const unsigned pages = 1 + gateway_data_pages(machines[i].cpus);
        ck_assert_uint_eq(pages, machines[i].pages);
        ck_assert_uint_le(pages, GATEWAY_PAGES_MAX);
        build(1);
        fill(PT, JUNK);
        memset(&arena[PT][100], 0, pages * 8);
        ck_assert_int_eq(gateway_slot_find(&reader, pa_of(ROOT), IDT_VA, pages, &plan), E_OK);
        expect(1, PT, 100, REGION + 100 * PAGE_BYTES);
        /* A run that is one too short is none, for one more is not ours to take. */
        arena[PT][100] = JUNK;
        ck_assert_int_eq(gateway_slot_find(&reader, pa_of(ROOT), IDT_VA, pages, &plan), E_OK);
        expect(2, PD, 511, REGION + 511 * SIZE_2M);
        ck_assert_uint_eq(plan.pages, pages);
    }
    ck_assert_uint_eq(GATEWAY_PAGES_MAX, 1 + gateway_data_pages(CPUS_MAX));
}
END_TEST

/* Found once, used later: the guest has run meanwhile. */
START_TEST(a_plan_that_has_aged)
{
    static const unsigned counts[] = {2, 3, 9};
    plan = (struct gateway_plan){0};
    build(1);
    ck_assert(!usable()); /* there never was one */
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        for (unsigned level = 1; level <= 3; level++) {
            const unsigned pages = counts[i], entries = level == 1 ? pages : 1;
            build(level);
            ck_assert_int_eq(gateway_slot_find(&reader, pa_of(ROOT), IDT_VA, pages, &plan), E_OK);
            ck_assert(usable());
            uint64_t *entry = &arena[(plan.table_pa - ARENA_PA) / PAGE_BYTES][(plan.entry_pa & 0xfff) / 8];
            for (unsigned e = 0; e < entries; e++) {
                entry[e] = JUNK; /* the guest has taken it */
                ck_assert(!usable());
                entry[e] = 0;
                ck_assert(usable());
            }
            entry[-1] = JUNK; /* beside it: not our business */
            ck_assert(usable());
            entry[-1] = 0;
            arena[ROOT][pml4_slot()] |= NX;
            ck_assert(!usable());
            arena[ROOT][pml4_slot()] &= ~NX;
            arena[ROOT][pml4_slot()] &= ~W;
            ck_assert(!usable());
            /* Another table on the way there. */
            build(level);
            ck_assert(usable());
            const unsigned table = level == 1 ? PT : level == 2 ? PD : PDPT;
            uint64_t *above = level == 1 ? &arena[PD][0] : level == 2 ? &arena[PDPT][0] : &arena[ROOT][pml4_slot()];
            memcpy(arena[COPY], arena[table], PAGE_BYTES);
            *above = pa_of(COPY) | TABLE;
            ck_assert(!usable());
            *above = 0;
            ck_assert(!usable());
            *above = pa_of(table) | TABLE;
            ck_assert(usable());
            ck_assert(!gateway_slot_usable(&reader, 0x1000, IDT_VA, &plan));
            ck_assert(!gateway_slot_usable(&reader, pa_of(ROOT), IDT_VA + SIZE_1G * 512, &plan));
        }
}
END_TEST

START_TEST(other_address_spaces)
{
    for (unsigned level = 1; level <= 3; level++) {
        build(level);
        ck_assert_int_eq(find(), E_OK);
        ck_assert(gateway_slot_shared(&reader, pa_of(ROOT), &plan));
        /* Its own PML4, sharing from there: page-table isolation's second root. */
        arena[ROOT2][pml4_slot()] = arena[ROOT][pml4_slot()];
        ck_assert(gateway_slot_shared(&reader, pa_of(ROOT2) | CR3_NOISE, &plan));
        arena[ROOT2][pml4_slot()] &= ~A; /* not the same entry, but the same path */
        ck_assert(gateway_slot_shared(&reader, pa_of(ROOT2), &plan));
        /* In every leave, for each address space seen lately: what does not matter must not cost a walk. */
        arena[ROOT2][pml4_slot()] ^= BIT(2) | BIT(3) | BIT(4); /* U/S, PWT, PCD */
        pages_read = 0;
        ck_assert(gateway_slot_shared(&reader, pa_of(ROOT2), &plan));
        ck_assert_uint_eq(pages_read, 1);
        arena[ROOT2][pml4_slot()] |= NX;
        ck_assert(!gateway_slot_shared(&reader, pa_of(ROOT2), &plan));
        arena[ROOT2][pml4_slot()] = arena[ROOT][pml4_slot()] & ~W;
        ck_assert(!gateway_slot_shared(&reader, pa_of(ROOT2), &plan));
        arena[ROOT2][pml4_slot()] = 0;
        ck_assert(!gateway_slot_shared(&reader, pa_of(ROOT2), &plan));
        ck_assert(!gateway_slot_shared(&reader, 0x1000, &plan));
        /* An equal copy is not the same table: what is written to one is missing in the other. */
        memcpy(arena[COPY], arena[PDPT], PAGE_BYTES);
        arena[ROOT2][pml4_slot()] = pa_of(COPY) | TABLE;
        ck_assert_int_eq(gateway_slot_shared(&reader, pa_of(ROOT2), &plan), level != 3);
        memcpy(arena[OTHER], arena[PD], PAGE_BYTES);
        arena[COPY][0] = pa_of(OTHER) | TABLE;
        ck_assert_int_eq(gateway_slot_shared(&reader, pa_of(ROOT2), &plan), level == 1);
    }
}
END_TEST

START_TEST(translation)
{
    uint64_t pa;
    for (unsigned level = 1; level <= 3; level++) {
        build(level);
        pa = 1;
        ck_assert(gateway_slot_translate(&reader, pa_of(ROOT), IDT_VA + 0x123, &pa));
        ck_assert_uint_eq(pa, pa_of(IDT_PAGE) + 0x123);
        ck_assert_int_eq(gateway_slot_translate(&reader, pa_of(ROOT), IDT_VA + PAGE_BYTES, &pa), level > 1);
        ck_assert_int_eq(gateway_slot_translate(&reader, pa_of(ROOT), REGION + SIZE_2M + 0xabcde, &pa), level > 2);
        if (level > 2)
            ck_assert_uint_eq(pa, ARENA_PA + SIZE_2M + 0xabcde);
        /* Without a walk: from the plan's own page table, and no further. */
        ck_assert_int_eq(gateway_slot_find(&reader, pa_of(ROOT), IDT_VA, 2, &plan), E_OK);
        ck_assert_int_eq(gateway_slot_beside(&reader, IDT_VA + 0x123, &plan, &pa), plan.level == 1);
        if (plan.level == 1)
            ck_assert_uint_eq(pa, pa_of(IDT_PAGE) + 0x123);
        ck_assert(!gateway_slot_beside(&reader, plan.va, &plan, &pa)); /* not mapped yet */
        ck_assert(!gateway_slot_beside(&reader, IDT_VA + SIZE_2M, &plan, &pa));
        ck_assert(!gateway_slot_translate(&reader, pa_of(ROOT), REGION + SIZE_1G, &pa));
    }
}
END_TEST

START_TEST(entries)
{
    ck_assert_uint_eq(gateway_code_pte(0x12345000), 0x12345000 | P | A);
    ck_assert_uint_eq(gateway_data_pte(0x12345000, true), 0x12345000 | P | A | D | W | NX);
    ck_assert_uint_eq(gateway_data_pte(0x12345000, false), 0x12345000 | P | A | D | W);
    ck_assert_uint_eq(gateway_table_entry(0x12345000), 0x12345000 | P | A | W);
}
END_TEST

START_TEST(patched_gate)
{
    static const uint64_t targets[] = {0, UINT64_MAX, 0xfffffe00001fe000, 0x0000123456789abc};
    static const uint64_t gates[][2] = {{GATE_LOW, GATE_HIGH}, {0, 0}, {UINT64_MAX, UINT64_MAX}};
    for (size_t g = 0; g < ARRAY_LEN(gates); g++)
        for (size_t t = 0; t < ARRAY_LEN(targets); t++) {
            uint64_t out[2];
            gateway_patch_gate(gates[g], targets[t], out);
            ck_assert_uint_eq((out[0] & 0xffff) | (out[0] >> 48) << 16 | out[1] << 32, targets[t]);
            ck_assert_uint_eq(bits_get(out[0], 47, 16),
                              bits_get(gates[g][0], 47, 16)); /* selector, IST, type, DPL, P */
            ck_assert_uint_eq(out[1] >> 32, gates[g][1] >> 32);
        }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("gateway_slot");
    TCase *t = tcase_create("all");
    tcase_add_test(t, beside_the_idt_for_every_page_size);
    tcase_add_test(t, end_of_the_longest_zero_run);
    tcase_add_test(t, random_tables);
    tcase_add_test(t, only_zero_is_free);
    tcase_add_test(t, a_path_that_forbids);
    tcase_add_test(t, what_is_no_idt);
    tcase_add_test(t, what_is_no_nmi_gate);
    tcase_add_test(t, gate_on_the_next_page);
    tcase_add_test(t, a_run_for_every_page);
    tcase_add_test(t, a_plan_that_has_aged);
    tcase_add_test(t, other_address_spaces);
    tcase_add_test(t, translation);
    tcase_add_test(t, entries);
    tcase_add_test(t, patched_gate);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("gateway_slot", suite)
