/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gateway slot search in 32-bit mode, against tables built by hand, and the bridge's own tables, read back by the walker of
   kernel/guestmem.c, which shares nothing with either. */
/* UNITS: kernel/gateway_slot.c kernel/gateway_slot32.c kernel/bridge_tables.c kernel/guestmem.c */
#include "bits.h"
#include "kernel/bridge_tables.h"
#include "kernel/gateway_slot32.h"
#include "kernel/guestmem.h"
#include "msr.h"
#include "unit.h"

#include <string.h>

#define P BIT(0)
#define W BIT(1)
#define A BIT(5)
#define D BIT(6)
#define PS BIT(7)
#define NX BIT(63)
#define JUNK BIT(9) /* not present, but not nothing */

#define ARENA_PA 0x400000ull /* so that one 4M page, or two of 2M, can map it */
#define ARENA_PAGES 16u
#define IDT_PAGE 8u
#define REGION 0xff400000ull
#define IDT_VA (REGION + IDT_PAGE * PAGE_BYTES)
#define STALE 0xffffff0000000000ull /* upper half of an IDTR base of long mode */
#define IDT_LIMIT 0x7ffu
#define PDPT_AT 0xa0u
#define GATE 0xc0de8e0000601234ull /* offset c0de1234, selector 60h, interrupt gate, present */
#define NEXT_GATE 0xc0dfee0000605678ull

enum { ROOT, PD, PT, ROOT2, COPY, OTHER = IDT_PAGE + 1 };

static union {
    uint64_t wide[512];
    uint32_t narrow[1024];
} arena[ARENA_PAGES] ALIGNED(4096);
static const enum paging_format formats[] = {PAGING_PAE, PAGING_32, PAGING_32_PSE};
static enum paging_format format;
static struct gateway_plan plan;
static struct gateway_gate gate;

static uint64_t pa_of(unsigned page)
{
    return ARENA_PA + page * PAGE_BYTES;
}

static const uint64_t *page(void *ctx, uint64_t pa)
{
    (void)ctx;
    ck_assert_uint_eq(pa % PAGE_BYTES, 0);
    return pa >= ARENA_PA && pa < ARENA_PA + sizeof arena ? arena[(pa - ARENA_PA) / PAGE_BYTES].wide : NULL;
}

static bool read_phys(void *ctx, gpa_t gpa, void *buf, size_t len)
{
    (void)ctx;
    if (gpa.v < ARENA_PA || gpa.v + len > ARENA_PA + sizeof arena)
        return false;
    memcpy(buf, (uint8_t *)arena + (gpa.v - ARENA_PA), len);
    return true;
}

static struct phys_reader reader(void)
{
    return (struct phys_reader){.page = page, .format = format};
}

static bool pae(void)
{
    return format == PAGING_PAE;
}

static void set(unsigned table, unsigned slot, uint64_t value)
{
    if (pae())
        arena[table].wide[slot] = value;
    else
        arena[table].narrow[slot] = (uint32_t)value;
}

static unsigned slots(void)
{
    return pae() ? 512 : 1024;
}

static uint64_t cr3_of(unsigned root)
{
    return pa_of(root) + (pae() ? PDPT_AT : 0) + 0x18; /* PWT and PCD do not matter */
}

static void set_root(unsigned root, uint64_t pd_entry)
{
    if (!pae()) {
        set(root, REGION >> 22, pd_entry);
        return;
    }
    arena[root].wide[PDPT_AT / 8 + (REGION >> 30)] = pa_of(root == ROOT ? PD : COPY) | P; /* no rights there */
    arena[root == ROOT ? PD : COPY].wide[REGION >> 21 & 511] = pd_entry;
}

/* 4K pages; the IDT is read-only, as Linux has it. */
static void build(enum paging_format f)
{
    memset(arena, 0, sizeof arena);
    format = f;
    set_root(ROOT, pa_of(PT) | P | W | A);
    set(PT, IDT_PAGE, pa_of(IDT_PAGE) | P | A | (f == PAGING_PAE ? NX : 0));
    arena[IDT_PAGE].wide[2] = GATE;
    arena[IDT_PAGE].wide[3] = NEXT_GATE;
}

static enum err find(void)
{
    struct phys_reader r = reader();
    return gateway_slot_find(&r, cr3_of(ROOT), STALE | IDT_VA, 2, &plan);
}

static enum err find_gate(uint64_t base, uint64_t limit)
{
    struct phys_reader r = reader();
    gate = (struct gateway_gate){0};
    return gateway_slot_gate(&r, cr3_of(ROOT), base, limit, &plan, &gate);
}

static bool usable(unsigned root)
{
    struct phys_reader r = reader();
    return gateway_slot_usable(&r, cr3_of(root), STALE | IDT_VA, &plan);
}

static bool shared(unsigned root)
{
    struct phys_reader r = reader();
    return gateway_slot_shared(&r, cr3_of(root), &plan);
}

#define FOR_EACH_FORMAT(f) for (const enum paging_format *f = formats; f < formats + ARRAY_LEN(formats); f++)

START_TEST(beside_the_idt)
{
    FOR_EACH_FORMAT(f)
    {
        build(*f);
        ck_assert_int_eq(find(), E_OK);
        unsigned slot = slots() - 2;
        ck_assert_int_eq(plan.format, *f);
        ck_assert_uint_eq(plan.level, 1);
        ck_assert_uint_eq(plan.pages, 2);
        ck_assert_uint_eq(plan.table_pa, pa_of(PT));
        ck_assert_uint_eq(plan.entry_pa, pa_of(PT) + slot * gateway_slot32_entry_bytes(*f));
        ck_assert_uint_eq(plan.va, REGION + slot * PAGE_BYTES);
        ck_assert(usable(ROOT) && shared(ROOT));
        /* Anything there: not usable any more, and the next place is before it. */
        set(PT, slots() - 1, JUNK);
        ck_assert(!usable(ROOT));
        ck_assert_int_eq(find(), E_OK);
        ck_assert_uint_eq(plan.va, REGION + (slot - 1) * PAGE_BYTES);
        /* The end of the longest run. */
        for (unsigned i = 0; i < slots(); i++)
            if (i != IDT_PAGE && (i < 20 || i > 22) && (i < 40 || i > 41))
                set(PT, i, JUNK);
        ck_assert_int_eq(find(), E_OK);
        ck_assert_uint_eq(plan.va, REGION + 21 * PAGE_BYTES);
        set(PT, 21, JUNK);
        set(PT, 40, JUNK);
        ck_assert_int_eq(find(), pae() ? E_OK : E_NOSLOT);
    }
}
END_TEST

/* PAE's page directory is below the top, and may be taken; without PAE it is the top itself. */
START_TEST(one_level_up)
{
    build(PAGING_PAE);
    for (unsigned i = 0; i < 512; i++)
        if (i != IDT_PAGE)
            set(PT, i, JUNK);
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(plan.level, 2);
    ck_assert_uint_eq(plan.table_pa, pa_of(PD));
    ck_assert_uint_eq(plan.entry_pa, pa_of(PD) + 505 * 8);
    ck_assert_uint_eq(plan.va, 0xff200000u);
    ck_assert(usable(ROOT));
    /* A large page maps the IDT. */
    arena[PD].wide[REGION >> 21 & 511] = ARENA_PA | P | W | A | PS;
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(plan.level, 2);
    ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_OK);
    ck_assert_uint_eq(gate.pa, pa_of(IDT_PAGE) + 16);
    build(PAGING_32_PSE);
    set_root(ROOT, ARENA_PA | P | W | A | PS);
    ck_assert_int_eq(find(), E_NOSLOT);
    ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_OK);
    ck_assert_uint_eq(gate.pa, pa_of(IDT_PAGE) + 16);
    build(PAGING_32); /* the bit means nothing there */
    set_root(ROOT, pa_of(PT) | P | W | A | PS);
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(plan.level, 1);
}
END_TEST

START_TEST(rights_on_the_way)
{
    FOR_EACH_FORMAT(f)
    {
        build(*f);
        set_root(ROOT, pa_of(PT) | P | A);
        ck_assert_int_eq(find(), *f == PAGING_PAE ? E_OK : E_NOSLOT);
        ck_assert_uint_ne(plan.level, 1);
        build(*f);
        set_root(ROOT, 0);
        ck_assert_int_eq(find(), E_NOIDT);
        set_root(ROOT, (pa_of(ARENA_PAGES)) | P | W | A); /* no memory there */
        ck_assert_int_eq(find(), E_NOIDT);
        build(*f);
        set(PT, IDT_PAGE, 0);
        ck_assert_int_eq(find(), E_NOIDT);
    }
    build(PAGING_PAE);
    set_root(ROOT, pa_of(PT) | P | W | A | NX);
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(plan.level, 2);
}
END_TEST

START_TEST(other_address_spaces)
{
    FOR_EACH_FORMAT(f)
    {
        build(*f);
        ck_assert_int_eq(find(), E_OK);
        ck_assert(!shared(ROOT2) && !usable(ROOT2));
        set_root(ROOT2, pa_of(PT) | P | W | A);
        ck_assert(shared(ROOT2) && usable(ROOT2));
        set_root(ROOT2, pa_of(PT) | P | A);
        ck_assert(!shared(ROOT2) && !usable(ROOT2));
        memcpy(&arena[OTHER], &arena[PT], PAGE_BYTES);
        set_root(ROOT2, pa_of(OTHER) | P | W | A);
        ck_assert(!shared(ROOT2) && !usable(ROOT2));
        /* A plan of another format is none. */
        plan.format = PAGING_LONG;
        ck_assert(!usable(ROOT));
        plan.format = *f;
        plan.level = 0;
        ck_assert(!usable(ROOT));
    }
}
END_TEST

START_TEST(the_gate)
{
    FOR_EACH_FORMAT(f)
    {
        build(*f);
        ck_assert_int_eq(find_gate(STALE | IDT_VA, IDT_LIMIT), E_OK);
        ck_assert_uint_eq(gate.pa, pa_of(IDT_PAGE) + 16);
        ck_assert_uint_eq(gate.word[0], GATE);
        ck_assert_uint_eq(gate.word[1], 0); /* the next vector's gate is not ours */
        ck_assert_uint_eq(gate.handler, 0xc0de1234u);
        ck_assert_int_eq(find_gate(IDT_VA, 0xff), E_OK);
        ck_assert_int_eq(find_gate(IDT_VA, 0xfe), E_NOIDT);
        ck_assert_int_eq(find_gate(IDT_VA + 4, IDT_LIMIT), E_NOIDT);
        ck_assert_int_eq(find_gate(IDT_VA + PAGE_BYTES, IDT_LIMIT), E_NOIDT);
        ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_OK);
        uint64_t out[2];
        gateway_patch_gate(gate.word, 0xff7fe123u, out);
        ck_assert_uint_eq(out[0], 0xff7f8e000060e123ull);
        ck_assert_uint_eq(out[1], 0);
        static const uint64_t bad[] = {GATE & ~BIT(47), GATE | BIT(40), GATE & ~BIT(43), GATE | BIT(44),
                                       (GATE & ~MASK(43, 40)) | BIT(40) | BIT(42)};
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            arena[IDT_PAGE].wide[2] = bad[i];
            ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_GATE);
        }
        arena[IDT_PAGE].wide[2] = GATE | MASK(46, 45); /* its DPL does not matter */
        ck_assert_int_eq(find_gate(IDT_VA, IDT_LIMIT), E_OK);
    }
}
END_TEST

/* Every byte of the arena's own map, against the other walker. */
START_TEST(translation)
{
    const struct guest_phys phys = {read_phys, NULL, NULL};
    FOR_EACH_FORMAT(f)
    {
        for (int large = 0; large < 2; large++) {
            build(*f);
            if (large && *f != PAGING_32)
                set_root(ROOT, ARENA_PA | P | W | A | PS);
            struct guest_paging paging = {CR0_PG | CR0_PE, cr3_of(ROOT),
                                          pae()                 ? CR4_PAE
                                          : *f == PAGING_32_PSE ? CR4_PSE
                                                                : 0,
                                          EFER_NXE};
            struct phys_reader r = reader();
            for (uint64_t va = REGION; va < REGION + 0x200000; va += 0x7f1) {
                struct guest_page there;
                uint64_t pa;
                bool mapped = guestmem_translate(&paging, &phys, va, &there) == WALK_OK;
                ck_assert(gateway_slot_translate(&r, cr3_of(ROOT), STALE | va, &pa) == mapped);
                ck_assert(!mapped || pa == there.gpa.v);
            }
        }
    }
}
END_TEST

/* PSE-36. */
START_TEST(large_pages_above_4g)
{
    uint64_t pa;
    build(PAGING_32_PSE);
    set_root(ROOT, 0x00800000u | BIT(13) | BIT(20) | P | W | PS);
    struct phys_reader r = reader();
    ck_assert(gateway_slot_translate(&r, cr3_of(ROOT), REGION + 0x12345, &pa));
    ck_assert_uint_eq(pa, 0x8100800000ull + 0x12345);
}
END_TEST

static bool executes(uint64_t root, uint64_t va, uint64_t pa)
{
    const struct guest_phys phys = {read_phys, NULL, NULL};
    struct guest_paging paging = {CR0_PG | CR0_PE, root, pae() ? CR4_PAE : 0, EFER_NXE};
    struct guest_page there;
    return guestmem_translate(&paging, &phys, va, &there) == WALK_OK && there.gpa.v == pa && there.executable &&
           !there.user && !there.writable;
}

START_TEST(the_bridge)
{
    static const struct {
        uint64_t va, pa;
        unsigned narrow, wide; /* pages used */
    } cases[] = {{0xff7fe000, 0x0f6c3000, 3, 5},
                 {0x00001000, 0x0fffe000, 3, 4},
                 {0x0f601000, 0x0f6c3000, 2, 3},
                 {0x0f801000, 0x0fa00000, 2, 4}};
    FOR_EACH_FORMAT(f)
    {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            memset(arena, 0, sizeof arena);
            format = *f;
            struct bridge_tables t = {.pages = arena, .pa = ARENA_PA, .format = *f};
            ck_assert(bridge_tables_map(&t, cases[i].va, cases[i].pa));
            ck_assert(bridge_tables_map(&t, cases[i].pa, cases[i].pa));
            ck_assert(executes(ARENA_PA, cases[i].va, cases[i].pa));
            ck_assert(executes(ARENA_PA, cases[i].pa, cases[i].pa));
            ck_assert(!executes(ARENA_PA, cases[i].va + PAGE_BYTES, cases[i].pa + PAGE_BYTES));
            ck_assert_uint_eq(t.used, pae() ? cases[i].wide : cases[i].narrow);
            for (size_t b = BRIDGE_TABLE_PAGES * PAGE_BYTES; b < sizeof arena; b++)
                ck_assert_uint_eq(((uint8_t *)arena)[b], 0);
        }
        struct bridge_tables t = {.pages = arena, .pa = ARENA_PA, .format = *f};
        memset(arena, 0, sizeof arena);
        unsigned mapped = 0;
        while (mapped < 8 && bridge_tables_map(&t, (uint64_t)mapped << 29 | 0x1000, 0x1000))
            mapped++;
        ck_assert_uint_eq(mapped, pae() ? 2 : 4); /* and then the pages are used up */
        for (size_t b = BRIDGE_TABLE_PAGES * PAGE_BYTES; b < sizeof arena; b++)
            ck_assert_uint_eq(((uint8_t *)arena)[b], 0);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("gateway_slot32");
    TCase *t = tcase_create("all");
    tcase_add_test(t, beside_the_idt);
    tcase_add_test(t, one_level_up);
    tcase_add_test(t, rights_on_the_way);
    tcase_add_test(t, other_address_spaces);
    tcase_add_test(t, the_gate);
    tcase_add_test(t, translation);
    tcase_add_test(t, large_pages_above_4g);
    tcase_add_test(t, the_bridge);
    suite_add_tcase(suite, t);
    return suite;
}

UNIT_MAIN("gateway_slot32", suite)
