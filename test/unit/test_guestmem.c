/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest page walks over a small model of physical memory, every mode and page size. */
/* UNITS: kernel/guestmem.c */
#include "bits.h"
#include "kernel/guestmem.h"
#include "unit.h"

#include <string.h>

#define RAM_BYTES 0x20000u
#define PG BIT(31)
#define PAE BIT(5)
#define PSE BIT(4)
#define LA57 BIT(12)
#define LMA BIT(10)
#define NXE BIT(11)
#define RW 3ull /* present, writable */

static uint8_t ram[RAM_BYTES];

static bool ram_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
    (void)ctx;
    if (gpa.v >= RAM_BYTES || RAM_BYTES - gpa.v < len)
        return false;
    ck_assert_uint_le((gpa.v & 0xfff) + len, PAGE_BYTES);
    memcpy(buf, ram + gpa.v, len);
    return true;
}

static bool ram_write(void *ctx, gpa_t gpa, const void *buf, size_t len)
{
    (void)ctx;
    if (gpa.v >= RAM_BYTES || RAM_BYTES - gpa.v < len)
        return false;
    memcpy(ram + gpa.v, buf, len);
    return true;
}

static const struct guest_phys phys = {ram_read, ram_write, NULL};

static void put64(uint64_t table, unsigned index, uint64_t value)
{
    store64(ram + table + index * 8, value);
}

static void put32(uint64_t table, unsigned index, uint32_t value)
{
    store32(ram + table + index * 4, value);
}

static void setup(void)
{
    memset(ram, 0, sizeof ram);
}

START_TEST(no_paging)
{
    struct guest_paging p = {0};
    struct guest_page page;
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0x1ffff1234, &page), WALK_OK);
    ck_assert_uint_eq(page.gpa.v, 0xffff1234);
    ck_assert(page.writable && page.user && page.executable);
}
END_TEST

START_TEST(legacy)
{
    struct guest_paging p = {.cr0 = PG, .cr3 = 0x1018};
    struct guest_page page;
    put32(0x1000, 1, 0x2000 | 7);
    put32(0x2000, 3, 0x5000 | 5);
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0x00403abc, &page), WALK_OK);
    ck_assert_uint_eq(page.gpa.v, 0x5abc);
    ck_assert(!page.writable && page.user && page.executable);
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0x00404000, &page), WALK_NOT_PRESENT);
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0x00800000, &page), WALK_NOT_PRESENT);
    /* PS counts only with CR4.PSE; bits 20:13 then are address bits 39:32. */
    put32(0x1000, 2, 0x00c00000 | 5u << 13 | BIT32(7) | 3);
    p.cr4 = PSE;
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0x00812345, &page), WALK_OK);
    ck_assert_uint_eq(page.gpa.v, 0x500c12345);
    ck_assert_uint_eq(page.page_bytes, 0x400000);
    p.cr3 = 0xff000000;
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0, &page), WALK_NO_MEMORY);
    p.cr3 = 0x1000;
    put32(0x1000, 0, 0xff000003);
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0, &page), WALK_NO_MEMORY);
}
END_TEST

START_TEST(pae)
{
    struct guest_paging p = {.cr0 = PG, .cr3 = 0x1020, .cr4 = PAE, .efer = NXE};
    struct guest_page page;
    put64(0x1020, 3, 0x2001);
    put64(0x2000, 511, 0x3000 | 7);
    put64(0x3000, 511, 0x6000 | RW | BIT(63));
    put64(0x2000, 1, 0x40200000 | RW | BIT(7));
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0xfffff123, &page), WALK_OK);
    ck_assert_uint_eq(page.gpa.v, 0x6123);
    ck_assert(page.writable && !page.user && !page.executable);
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0xc0212345, &page), WALK_OK);
    ck_assert_uint_eq(page.gpa.v, 0x40212345);
    ck_assert_uint_eq(page.page_bytes, 0x200000);
    /* Linear addresses have 32 bits here. */
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0xffffffffc0212345ull, &page), WALK_OK);
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0, &page), WALK_NOT_PRESENT);
    p.efer = 0;
    ck_assert_int_eq(guestmem_translate(&p, &phys, 0xfffff123, &page), WALK_RESERVED);
}
END_TEST

static void long_tables(unsigned levels)
{
    /* ...: table of each level at level * 0x1000, the one entry 511 leads down */
    for (unsigned l = levels; l > 1; l--)
        put64(l * 0x1000, 511, (l - 1) * 0x1000 | 7);
    put64(0x1000, 510, 0x8000 | 7);
    put64(0x1000, 511, 0x9000 | 5);
}

START_TEST(long_mode)
{
    for (unsigned levels = 4; levels <= 5; levels++) {
        struct guest_page page;
        setup();
        long_tables(levels);
        struct guest_paging p = {.cr0 = PG,
                                 .cr3 = levels * 0x1000 | 0xabc | BIT(63),
                                 .cr4 = PAE | (levels == 5 ? LA57 : 0),
                                 .efer = LMA | NXE};
        ck_assert_int_eq(guestmem_translate(&p, &phys, 0xffffffffffffe123, &page), WALK_OK);
        ck_assert_uint_eq(page.gpa.v, 0x8123);
        ck_assert(page.writable && page.user && page.executable);
        ck_assert_int_eq(guestmem_translate(&p, &phys, 0xfffffffffffff000, &page), WALK_OK);
        ck_assert(!page.writable);
        put64(3 * 0x1000, 1, 0x40000000 | RW | BIT(7));
        ck_assert_int_eq(guestmem_translate(&p, &phys, 0xffffff8040000000ull + 0x1234567, &page), WALK_OK);
        ck_assert_uint_eq(page.gpa.v, 0x41234567);
        ck_assert_uint_eq(page.page_bytes, 1u << 30);
        put64(2 * 0x1000, 0, 0x600000 | RW | BIT(7));
        ck_assert_int_eq(guestmem_translate(&p, &phys, 0xffffffffc0012345ull, &page), WALK_OK);
        ck_assert_uint_eq(page.gpa.v, 0x612345);
        put64(4 * 0x1000, 511, 0x3000 | RW | BIT(7));
        ck_assert_int_eq(guestmem_translate(&p, &phys, 0xffffffffc0012345ull, &page), WALK_RESERVED);
        put64(4 * 0x1000, 511, 0xff000000 | RW);
        ck_assert_int_eq(guestmem_translate(&p, &phys, 0xffffffffc0012345ull, &page), WALK_NO_MEMORY);
        uint64_t hole = levels == 5 ? 1ull << 56 : 1ull << 47;
        ck_assert_int_eq(guestmem_translate(&p, &phys, hole, &page), WALK_NONCANONICAL);
        ck_assert_int_eq(guestmem_translate(&p, &phys, ~hole, &page), WALK_NONCANONICAL);
        ck_assert_int_eq(guestmem_translate(&p, &phys, hole - 1, &page), WALK_NOT_PRESENT);
    }
}
END_TEST

START_TEST(bytes_across_pages)
{
    long_tables(4);
    struct guest_paging p = {.cr0 = PG, .cr3 = 0x4000, .cr4 = PAE, .efer = LMA};
    uint8_t buf[32];
    memset(ram + 0x8ff8, 0xaa, 8);
    memset(ram + 0x9000, 0xbb, 8);
    ck_assert_uint_eq(guestmem_read(&p, &phys, 0xffffffffffffeff8, buf, 16), 16);
    ck_assert_uint_eq(buf[7], 0xaa);
    ck_assert_uint_eq(buf[8], 0xbb);
    /* Up to what is mapped, and not a byte more. */
    put64(0x1000, 511, 0);
    ck_assert_uint_eq(guestmem_read(&p, &phys, 0xffffffffffffeff8, buf, 16), 8);
    ck_assert_uint_eq(guestmem_read(&p, &phys, 0xfffffffffffff000, buf, 16), 0);
    ck_assert_uint_eq(guestmem_read(&p, &phys, 0xffffffffffffe000, buf, 0), 0);
    /* Mapped, but to nowhere. */
    put64(0x1000, 511, 0xff000000 | RW);
    ck_assert_uint_eq(guestmem_read(&p, &phys, 0xffffffffffffeff8, buf, 16), 8);
}
END_TEST

START_TEST(writes_are_all_or_nothing)
{
    long_tables(4);
    struct guest_paging p = {.cr0 = PG, .cr3 = 0x4000, .cr4 = PAE, .efer = LMA};
    const uint8_t data[4] = {1, 2, 3, 4};
    ck_assert(guestmem_write(&p, &phys, 0xffffffffffffe010, data, 4));
    ck_assert_mem_eq(ram + 0x8010, data, 4);
    /* The second page is read-only. */
    ck_assert(!guestmem_write(&p, &phys, 0xffffffffffffeffe, data, 4));
    ck_assert_uint_eq(ram[0x8ffe], 0);
    put64(0x1000, 511, 0x9000 | RW);
    ck_assert(guestmem_write(&p, &phys, 0xffffffffffffeffe, data, 4));
    ck_assert_uint_eq(ram[0x8fff], 2);
    ck_assert_uint_eq(ram[0x9000], 3);
    struct guest_phys read_only = {ram_read, NULL, NULL};
    ck_assert(!guestmem_write(&p, &read_only, 0xffffffffffffe010, data, 4));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("guestmem");
    TCase *t = tcase_create("guestmem");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, no_paging);
    tcase_add_test(t, legacy);
    tcase_add_test(t, pae);
    tcase_add_test(t, long_mode);
    tcase_add_test(t, bytes_across_pages);
    tcase_add_test(t, writes_are_all_or_nothing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("guestmem", suite)
