/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors of every kind, loading by selector, and what counts as "the same" in long mode. */
/* UNITS: kernel/segments.c */
#include "kernel/segments.h"
#include "unit.h"

#include <string.h>

#define GDT_VA 0xffff800000001000ull
#define LDT_VA 0xffff800000002000ull
#define CODE64 0x00af9b000000ffffull
#define TYPE_BITS 0x00000f0000000000ull
#define DATA32 0x00cf93000000ffffull
#define TSS_LOW 0x9a008b3456780067ull /* base ..9a345678, limit 67h, busy */
#define TSS_HIGH 0xffffffffffff8000ull

static uint64_t gdt[512], ldt[16];
static size_t readable; /* bytes of the GDT that are mapped */

static bool read(void *ctx, uint64_t va, void *out, size_t len)
{
    (void)ctx;
    if (va >= GDT_VA && va + len <= GDT_VA + readable)
        memcpy(out, (uint8_t *)gdt + (va - GDT_VA), len);
    else if (va >= LDT_VA && va + len <= LDT_VA + sizeof ldt)
        memcpy(out, (uint8_t *)ldt + (va - LDT_VA), len);
    else
        return false;
    return true;
}

static const struct linear_reader reader = {read, NULL};
static struct table_register gdtr;
static struct segment ldtr;
static uint64_t raw[2];

static void start(void)
{
    memset(gdt, 0, sizeof gdt);
    memset(ldt, 0, sizeof ldt);
    readable = sizeof gdt;
    gdtr = (struct table_register){GDT_VA, sizeof gdt - 1};
    ldtr = (struct segment){.selector = 0x50, .access_rights = AR_P | 2, .limit = 0x3f, .base = LDT_VA};
    gdt[1] = CODE64;
    gdt[2] = DATA32;
    gdt[8] = TSS_LOW;
    gdt[9] = TSS_HIGH;
    ldt[0] = ldt[8] = DATA32;
    ldt[7] = DATA32 | 0x0000600000000000ull;
}

START_TEST(decoding)
{
    static const struct {
        uint64_t low, high, base;
        uint32_t ar, limit;
    } cases[] = {
        {CODE64, 0, 0, 0xa09b, 0xffffffff},
        {DATA32, 0, 0, 0xc093, 0xffffffff},
        {0x00009a000000ffffull, 0, 0, 0x9a, 0xffff},   /* 16-bit code */
        {0x0000f2000000ffffull, 0, 0, 0xf2, 0xffff},   /* ring 3, not accessed */
        {0x0040960000001fffull, 0, 0, 0x4096, 0x1fff}, /* expand down */
        {0x00509b0000000fffull, 0, 0, 0x509b, 0xfff},  /* AVL */
        {0xfedc9356789aba98ull | 0x000f000000000000ull, 0, 0xfe56789a, 0xd093, 0xfba98fff},
        {0x008093000000ffffull & ~0xffffull, 0, 0, 0x8093, 0xfff},            /* limit 0 in pages is one page */
        {0x000093000000ffffull & ~0xffffull, 0, 0, 0x93, 0},                  /* in bytes it is one byte */
        {TSS_LOW, TSS_HIGH, 0xffff80009a345678ull, 0x8b, 0x67},               /* system: 64-bit base */
        {0x9a00823456780067ull, TSS_HIGH, 0xffff80009a345678ull, 0x82, 0x67}, /* LDT; the high half's top is unused */
        {CODE64, UINT64_MAX, 0, 0xa09b, 0xffffffff},                          /* code has no high half */
        {0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct segment s = segment_decode(0x1234, cases[i].low, cases[i].high);
        ck_assert_msg(s.base == cases[i].base, "case %zu: base %llx", i, (unsigned long long)s.base);
        ck_assert_msg(s.access_rights == cases[i].ar, "case %zu: ar %x", i, s.access_rights);
        ck_assert_msg(s.limit == cases[i].limit, "case %zu: limit %x", i, s.limit);
        ck_assert_uint_eq(s.selector, 0x1234);
    }
}
END_TEST

START_TEST(null_selectors)
{
    start();
    readable = 0; /* nothing is read for them */
    for (uint16_t selector = 0; selector < 4; selector++)
        for (int system = 0; system < 2; system++) {
            struct segment s = {.base = 1, .limit = 1};
            ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, selector, system, &s, raw), E_OK);
            ck_assert_uint_eq(s.access_rights, AR_UNUSABLE);
            ck_assert_uint_eq(s.selector, selector);
            ck_assert_uint_eq(s.base | s.limit, 0);
        }
}
END_TEST

START_TEST(loading)
{
    struct segment s;
    start();
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x0b, false, &s, raw), E_OK);
    ck_assert_uint_eq(s.access_rights, 0xa09b);
    ck_assert_uint_eq(s.selector, 0x0b);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x40, true, &s, raw), E_OK);
    ck_assert_uint_eq(s.base, 0xffff80009a345678ull);
    /* Not there, not present. */
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x18, false, &s, raw), E_GDT);
    gdt[3] = DATA32 & ~(1ull << 47);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x18, false, &s, raw), E_GDT);
}
END_TEST

START_TEST(the_limit_to_the_byte)
{
    struct segment s;
    start();
    gdtr.limit = 0x17;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x10, false, &s, raw), E_OK);
    gdtr.limit = 0x16;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x10, false, &s, raw), E_GDT);
    gdtr.limit = 0x4f;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x40, true, &s, raw), E_OK);
    gdtr.limit = 0x4e;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x40, true, &s, raw), E_GDT);
    gdtr.limit = 0xffff;
    readable = 0x17;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x10, false, &s, raw), E_GDT);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0xfff8, false, &s, raw), E_GDT);
}
END_TEST

START_TEST(the_ldt)
{
    struct segment s;
    start();
    /* Index 0 of the LDT is no null selector. */
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x04, false, &s, raw), E_OK);
    ck_assert_uint_eq(s.access_rights, 0xc093);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x3f, false, &s, raw), E_OK);
    ck_assert_uint_eq(s.access_rights, 0xc0f3);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x44, false, &s, raw), E_GDT); /* beyond its limit */
    ldtr.limit = 0x43;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x44, false, &s, raw), E_GDT); /* to the byte */
    ldtr.limit = 0x47;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x44, false, &s, raw), E_OK);
    /* The raw descriptor is what the table holds, the one with the LDT's own base and not the GDT's. */
    ldt[2] = CODE64 & ~TYPE_BITS;
    gdt[2] = DATA32;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x14, false, &s, raw), E_OK);
    ck_assert_uint_eq(raw[0], CODE64 & ~TYPE_BITS);
    ck_assert_uint_eq(raw[1], 0);
    ck_assert_uint_eq(s.selector, 0x14);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x10, false, &s, raw), E_OK);
    ck_assert_uint_eq(raw[0], DATA32);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x40, true, &s, raw), E_OK);
    ck_assert_uint_eq(raw[0], TSS_LOW);
    ck_assert_uint_eq(raw[1], TSS_HIGH);
    /* Not mapped, not present. */
    ldt[2] &= ~(1ull << 47);
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x14, false, &s, raw), E_GDT);
    ldtr.base = LDT_VA + sizeof ldt;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x04, false, &s, raw), E_GDT);
    ldtr.access_rights |= AR_UNUSABLE;
    ck_assert_int_eq(segment_load(&reader, &gdtr, &ldtr, 0x04, false, &s, raw), E_GDT);
}
END_TEST

#define DATA                                                                                                           \
    {                                                                                                                  \
        0x10, 0, 0xc093, UINT32_MAX, 0, 0                                                                              \
    }

/* What differs, and for which registers (a bit each) that is still the same. */
START_TEST(same_in_long_mode)
{
    enum { ALL = (1 << SREG_COUNT) - 1, SS = 1 << SREG_SS, FS_GS = 1 << SREG_FS | 1 << SREG_GS, TR = 1 << SREG_TR };
    static const struct {
        const char *what;
        struct segment held, load;
        unsigned same;
    } cases[] = {
        {"equal", DATA, DATA, ALL},
        {"selector's RPL", {0x13, 0, 0xc093, UINT32_MAX, 0, 0}, DATA, ALL},
        {"accessed", {0x10, 0, 0xc092, UINT32_MAX, 0, 0}, DATA, ALL},
        {"busy", {0x10, 0, 0xc091, UINT32_MAX, 0, 0}, DATA, TR},
        {"type", {0x10, 0, 0xc09b, UINT32_MAX, 0, 0}, DATA, 0},
        {"DPL", {0x10, 0, 0xc0b3, UINT32_MAX, 0, 0}, DATA, 0},
        {"AVL", {0x10, 0, 0xd093, UINT32_MAX, 0, 0}, DATA, 0},
        {"L", {0x10, 0, 0xe093, UINT32_MAX, 0, 0}, DATA, 0},
        {"D/B", {0x10, 0, 0x8093, UINT32_MAX, 0, 0}, DATA, 0},
        {"limit", {0x10, 0, 0xc093, 0xfffff, 0, 0}, DATA, 0},
        {"base", {0x10, 0, 0xc093, UINT32_MAX, 0, 1}, DATA, FS_GS},
        {"both null", {0, 0, AR_UNUSABLE, 0, 0, 0}, {0, 0, AR_UNUSABLE, 0, 0, 0}, ALL},
        {"null, with what was left in its hidden part", {0, 0, 0xc093, 5, 0, 5}, {0, 0, AR_UNUSABLE, 0, 0, 0}, ALL},
        {"lives, but would load null", {0x10, 0, 0xc093, UINT32_MAX, 0, 0}, {0, 0, AR_UNUSABLE, 0, 0, 0}, SS},
        {"null kept, but would load something", {0x10, 0, AR_UNUSABLE, 0, 0, 0}, DATA, SS},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (enum sreg r = SREG_ES; r < SREG_COUNT; r++)
            ck_assert_msg(segment_same(r, &cases[i].held, &cases[i].load, false) == (cases[i].same >> r & 1),
                          "%s: register %d", cases[i].what, r);
    /* Outside long mode a base is in the descriptor for FS and GS, too. */
    static const struct segment held = DATA, load = {0x10, 0, 0xc093, UINT32_MAX, 0, 1};
    for (enum sreg r = SREG_ES; r < SREG_COUNT; r++) {
        ck_assert(!segment_same(r, &held, &load, true));
        ck_assert(segment_same(r, &held, &held, true));
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("segments");
    TCase *t = tcase_create("all");
    tcase_add_test(t, decoding);
    tcase_add_test(t, null_selectors);
    tcase_add_test(t, loading);
    tcase_add_test(t, the_limit_to_the_byte);
    tcase_add_test(t, the_ldt);
    tcase_add_test(t, same_in_long_mode);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("segments", suite)
