/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment registers before a leave: descriptors of every type, in guests of every paging format, whose tables lie in an
   arena. guest_access.c is included, so that the guest's physical memory can be that arena. */
/* UNITS: kernel/gateway_slot.c kernel/gateway_slot32.c kernel/segments.c kernel/leave_check.c kernel/leave_check32.c */
#include "layout.h"
#include "unit.h"

#undef PHYSMAP_BASE
#define PHYSMAP_BASE env_phys_offset
#include "kernel/guest_access.c"

#define ARENA_PAGES 16u
#define P BIT(0)
#define W BIT(1)
#define CR0_WP BIT(16)
#define GDT_VA 0x7000ull /* two pages, which lie the other way round */
#define LDT_VA (GDT_VA + 2 * PAGE_BYTES)
#define GDT_LIMIT (2 * PAGE_BYTES - 1)
#define INDEX_IN_THE_MIDDLE 5u
#define TYPE_SHIFT 40u
#define DESCRIPTOR(type, dpl) (0x00cf90120034ffffull | (uint64_t)(type) << TYPE_SHIFT | (uint64_t)(dpl) << 45)
#define TYPES 16u /* code and data; system descriptors are never CS or SS */

/* Physical pages of the arena. */
enum { ROOT, TABLE3, TABLE2, TABLE1, GDT_HIGH = 8, GDT_LOW, LDT_PAGE, HIDDEN_PAGE };

struct guest guest;
struct hidden_range hidden = {HIDDEN_PAGE * PAGE_BYTES, PAGE_BYTES}, hidden_log;
static uint8_t arena[ARENA_PAGES][PAGE_BYTES] ALIGNED(4096), before[ARENA_PAGES][PAGE_BYTES];
static struct cpu cpu;
static struct vcpu_state state;
static unsigned asked;
static bool may_write;

static const struct {
    enum paging_format format;
    uint64_t cr0, cr4, efer;
} formats[] = {{PAGING_LONG, CR0_PG, CR4_PAE, EFER_LMA},
               {PAGING_PAE, CR0_PG, CR4_PAE, 0},
               {PAGING_32, CR0_PG, 0, 0},
               {PAGING_32_PSE, CR0_PG, CR4_PSE, 0}};

bool hidden_contains(uint64_t pa)
{
    return pa - hidden.base < hidden.bytes;
}

static bool ask(uint64_t pa)
{
    (void)pa;
    asked++;
    return may_write;
}

static void entry(unsigned page, unsigned i, uint64_t value, unsigned bytes)
{
    if (bytes == sizeof value)
        store64(&arena[page][i * bytes], value);
    else
        store32(&arena[page][i * bytes], (uint32_t)value);
}

static uint64_t to(unsigned page, uint64_t rights)
{
    return page * PAGE_BYTES | rights;
}

/* Read-only for the guest: leaving must not care. */
static void map_tables(unsigned bytes)
{
    unsigned first = (unsigned)(GDT_VA / PAGE_BYTES);
    entry(TABLE1, first, to(GDT_LOW, P), bytes);
    entry(TABLE1, first + 1, to(GDT_HIGH, P), bytes);
    entry(TABLE1, first + 2, to(LDT_PAGE, P), bytes);
}

static void start(unsigned f)
{
    memset(arena, 0, sizeof arena);
    memset(&cpu, 0, sizeof cpu);
    memset(&state, 0, sizeof state);
    env_phys_offset = (uintptr_t)arena;
    guest_access_init(sizeof arena);
    guest_access_ask_before_write(ask);
    asked = 0;
    may_write = true;
    if (formats[f].format == PAGING_LONG) {
        entry(ROOT, 0, to(TABLE3, P | W), 8);
        entry(TABLE3, 0, to(TABLE2, P | W), 8);
        entry(TABLE2, 0, to(TABLE1, P | W), 8);
    } else if (formats[f].format == PAGING_PAE) {
        entry(ROOT, 0, to(TABLE2, P), 8);
        entry(TABLE2, 0, to(TABLE1, P | W), 8);
    } else {
        entry(ROOT, 0, to(TABLE1, P | W), 4);
    }
    map_tables(formats[f].format == PAGING_LONG || formats[f].format == PAGING_PAE ? 8 : 4);
    cpu.state = &state;
    state.cr0 = formats[f].cr0 | CR0_WP;
    state.cr3 = ROOT * PAGE_BYTES;
    state.cr4 = formats[f].cr4;
    state.msr[VMSR_EFER] = formats[f].efer;
    state.gdtr = (struct table_register){GDT_VA, GDT_LIMIT};
    state.seg[SREG_LDTR] = segment_unusable(0);
}

/* A descriptor in the table, and the register as the CPU holds it once it is loaded: marked, in QEMU only there. */
static void put(enum sreg which, uint16_t selector, uint64_t base_page, uint64_t descriptor)
{
    store64(&arena[base_page][SEGMENT_SELECTOR_OFFSET(selector)], descriptor);
    state.seg[which] = segment_decode(selector, descriptor, 0);
    state.seg[which].access_rights |= AR_ACCESSED;
}

/* Carries it out, and looks at memory: nothing but this byte may have got other bits than the accessed one. */
static enum err check_against(const uint8_t *marked)
{
    memcpy(before, arena, sizeof arena);
    enum err e = guest_check_segments(&cpu);
    if (marked)
        before[(marked - arena[0]) / (ptrdiff_t)PAGE_BYTES][(marked - arena[0]) % (ptrdiff_t)PAGE_BYTES] |= 1u;
    ck_assert_mem_eq(arena, before, sizeof arena);
    return e;
}

/* Only CS and SS come with an IRET in the guest's world; the others are loaded from copies. */
START_TEST(every_type_in_every_register)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++)
        for (unsigned type = 0; type < TYPES; type++)
            for (unsigned dpl = 0; dpl < 4; dpl += 3)
                for (enum sreg which = SREG_ES; which <= SREG_GS; which++) {
                    start(f);
                    uint16_t selector = (uint16_t)(INDEX_IN_THE_MIDDLE << 3 | dpl);
                    put(which, selector, GDT_LOW, DESCRIPTOR(type, dpl));
                    bool marks = (which == SREG_CS || which == SREG_SS) && !(type & AR_ACCESSED);
                    const uint8_t *byte = &arena[GDT_LOW][selector - dpl + DESCRIPTOR_TYPE_BYTE];
                    ck_assert_int_eq(check_against(marks ? byte : NULL), E_OK);
                    ck_assert_uint_eq(asked,
                                      marks); /* a checkpoint under way has to know of the write, and of no other */
                    /* Once marked, it is left alone. */
                    ck_assert_int_eq(check_against(NULL), E_OK);
                    ck_assert_uint_eq(asked, marks);
                    bool kept = which != SREG_CS && which != SREG_SS;
                    ck_assert_uint_eq(cpu.private_gdt[INDEX_IN_THE_MIDDLE], kept ? DESCRIPTOR(type, dpl) : 0);
                }
}
END_TEST

/* The table's second page lies elsewhere in memory. A descriptor can begin on the one and end on the other: then its type
   is on the other. */
START_TEST(a_descriptor_across_two_pages)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++)
        for (unsigned shift = 0; shift < 8; shift++) {
            start(f);
            state.gdtr.base += shift;
            uint16_t selector = PAGE_BYTES - 8; /* of the table: its last byte is number shift - 1 of the second page */
            uint64_t d = DESCRIPTOR(2, 0);
            state.seg[SREG_SS] = segment_decode(selector, d, 0);
            for (unsigned i = 0; i < sizeof d; i++) {
                unsigned at = selector + shift + i;
                *(at < PAGE_BYTES ? &arena[GDT_LOW][at] : &arena[GDT_HIGH][at - PAGE_BYTES]) = (uint8_t)(d >> 8 * i);
            }
            unsigned at = selector + shift + DESCRIPTOR_TYPE_BYTE;
            ck_assert_int_eq(check_against(at < PAGE_BYTES ? &arena[GDT_LOW][at] : &arena[GDT_HIGH][at - PAGE_BYTES]),
                             E_OK);
        }
}
END_TEST

START_TEST(in_the_ldt)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++)
        for (unsigned which = SREG_CS; which <= SREG_SS; which++) {
            start(f);
            /* LDTR itself: 16 bytes in long mode, else 8. */
            uint64_t low = (uint64_t)(AR_P | 2u) << TYPE_SHIFT | LDT_VA << 16 | 0xfffu;
            store64(&arena[GDT_LOW][0x40], low);
            state.seg[SREG_LDTR] = segment_decode(0x40, low, 0);
            uint16_t selector = (uint16_t)(3u << 3 | SELECTOR_TI);
            put(which, selector, LDT_PAGE, DESCRIPTOR(which == SREG_CS ? 10 : 2, 0));
            ck_assert_int_eq(check_against(&arena[LDT_PAGE][(3u << 3) + DESCRIPTOR_TYPE_BYTE]), E_OK);
            ck_assert_uint_eq(asked, 1);
        }
}
END_TEST

/* The page cannot be copied just now (a checkpoint's pool is full), or is none of the guest's: not left, nothing written. */
START_TEST(what_cannot_be_marked)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++) {
        start(f);
        put(SREG_CS, INDEX_IN_THE_MIDDLE << 3, GDT_LOW, DESCRIPTOR(10, 0));
        may_write = false;
        ck_assert_int_eq(check_against(NULL), E_SEGMENT);
        ck_assert_uint_eq(asked, 1);
        may_write = true;
        ck_assert_int_eq(check_against(&arena[GDT_LOW][(INDEX_IN_THE_MIDDLE << 3) + DESCRIPTOR_TYPE_BYTE]), E_OK);

        start(f);
        put(SREG_CS, INDEX_IN_THE_MIDDLE << 3, GDT_LOW, DESCRIPTOR(10, 0));
        hidden.base = GDT_LOW * PAGE_BYTES;
        ck_assert_int_ne(check_against(NULL), E_OK);
        hidden.base = HIDDEN_PAGE * PAGE_BYTES;
        ck_assert_uint_eq(asked, 0);
    }
}
END_TEST

/* What differs in more than that bit is refused before anything is written. */
START_TEST(another_descriptor_is_not_marked)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++)
        for (unsigned bit = 0; bit < 64; bit++) {
            start(f);
            uint64_t d = DESCRIPTOR(10, 0);
            put(SREG_CS, INDEX_IN_THE_MIDDLE << 3, GDT_LOW, d);
            store64(&arena[GDT_LOW][INDEX_IN_THE_MIDDLE << 3], d ^ BIT(bit));
            if (bit == TYPE_SHIFT)
                continue; /* accessed: that is what it is about */
            ck_assert_int_ne(check_against(NULL), E_OK);
            ck_assert_uint_eq(asked, 0);
        }
}
END_TEST

/* A null SS, and none at all. */
START_TEST(null_selectors)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++)
        for (uint16_t rpl = 0; rpl < 4; rpl++) {
            start(f);
            state.seg[SREG_SS] = segment_unusable(rpl);
            ck_assert_int_eq(check_against(NULL), E_OK);
            ck_assert_uint_eq(asked, 0);
        }
}
END_TEST

/* QEMU clears base and limit at LLDT of a null selector, and leaves it present. */
START_TEST(a_null_ldtr_that_is_usable)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++)
        for (uint16_t rpl = 0; rpl < 4; rpl++) {
            start(f);
            state.seg[SREG_LDTR] = (struct segment){.selector = rpl, .access_rights = AR_P | 2u};
            ck_assert_int_eq(check_against(NULL), E_OK);
        }
}
END_TEST

/* The last descriptor of a table, at each place where a page can end in or behind it. */
START_TEST(the_end_of_the_table)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++)
        for (unsigned last = PAGE_BYTES - 32; last <= PAGE_BYTES; last += 8)
            for (unsigned missing = 0; missing < 2; missing++) {
                start(f);
                uint64_t d = DESCRIPTOR(3, 0);
                store64(last == PAGE_BYTES ? &arena[GDT_HIGH][0] : &arena[GDT_LOW][last], d);
                state.seg[SREG_DS] = segment_decode((uint16_t)last, d, 0);
                state.gdtr.limit = last + 7 - missing;
                ck_assert_int_eq(check_against(NULL), missing ? E_GDT : E_OK);
            }
}
END_TEST

/* As a thread-local one is cleared in a task switch, before its register is: an instant, which a leave waits for. */
START_TEST(a_descriptor_that_is_gone)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++) {
        start(f);
        uint64_t d = DESCRIPTOR(3, 0);
        store64(&arena[GDT_LOW][0x18], d);
        state.seg[SREG_GS] = segment_decode(0x18, d, 0);
        state.gdtr.limit = 0x7f;
        ck_assert_int_eq(check_against(NULL), E_OK);
        store64(&arena[GDT_LOW][0x18], 0);
        ck_assert_int_eq(check_against(NULL), E_SEGMENT);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("guest_access");
    TCase *t = tcase_create("all");
    tcase_add_test(t, every_type_in_every_register);
    tcase_add_test(t, a_descriptor_across_two_pages);
    tcase_add_test(t, in_the_ldt);
    tcase_add_test(t, what_cannot_be_marked);
    tcase_add_test(t, another_descriptor_is_not_marked);
    tcase_add_test(t, null_selectors);
    tcase_add_test(t, a_null_ldtr_that_is_usable);
    tcase_add_test(t, the_end_of_the_table);
    tcase_add_test(t, a_descriptor_that_is_gone);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("guest_access", suite)
