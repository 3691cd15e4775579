/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Multiboot2 walk on a built structure, every truncation of it, and every byte of it corrupted. */
/* UNITS: boot/multiboot2.c */
#include "bits.h"
#include "boot/multiboot2.h"
#include "unit.h"

#include <string.h>

static uint8_t info[4096] ALIGNED(8);
static uint32_t used;
static struct boot_info bi;
static char why[200];

static uint8_t *add(uint32_t type, const void *data, uint32_t bytes)
{
    uint8_t *tag = info + used;
    store32(tag, type);
    store32(tag + 4, 8 + bytes);
    memcpy(tag + 8, data, bytes);
    used = (uint32_t)align_up(used + 8 + bytes, 8);
    return tag;
}

static void add_string(uint32_t type, const char *text)
{
    add(type, text, (uint32_t)strlen(text) + 1);
}

static void add_module(uint32_t start, uint32_t end, const char *text)
{
    uint8_t data[256];
    store32(data, start);
    store32(data + 4, end);
    memcpy(data + 8, text, strlen(text) + 1);
    add(3, data, (uint32_t)(8 + strlen(text) + 1));
}

static void add_map(uint32_t entries)
{
    static uint8_t data[8 + 24 * 160];
    memset(data, 0, sizeof data);
    store32(data, 24);
    for (uint32_t i = 0; i < entries; i++) {
        store64(data + 8 + 24 * i, 0x100000ull * i);
        store64(data + 16 + 24 * i, 0x80000);
        store32(data + 24 + 24 * i, 1 + i % 2);
    }
    add(6, data, 8 + 24 * entries);
}

static void begin(void)
{
    memset(info, 0, sizeof info);
    used = 8;
}

static void end(void)
{
    add(0, "", 0);
    store32(info, used);
}

static void full(void)
{
    static const uint8_t rsdp1[20] = "RSD PTR 1", rsdp2[36] = "RSD PTR 2";
    static const uint8_t fb[] = {0, 0, 0, 0xfd, 0, 0,  0, 0, 0, 0x10, 0, 0, 0, 4, 0,
                                 0, 0, 3, 0,    0, 32, 1, 0, 0, 16,   8, 8, 8, 0, 8};
    static const uint8_t bootdev[] = {0x80, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    begin();
    add_string(1, "console=com2 settle=5");
    add_string(2, "GRUB 2.06");
    add(5, bootdev, sizeof bootdev);
    add_module(0x200000, 0x900000, "vmlinuz console=ttyS0  quiet");
    add_module(0x900000, 0x900000, "  initrd");
    add_module(0x900000, 0xa00000, "");
    add_map(3);
    add(99, "anything", 5);
    add(8, fb, sizeof fb);
    add(15, rsdp2, sizeof rsdp2);
    add(14, rsdp1, sizeof rsdp1);
    end();
}

static enum err parse(void)
{
    return multiboot2_parse(info, sizeof info, &bi, why, sizeof why);
}

START_TEST(everything)
{
    full();
    ck_assert_int_eq(parse(), E_OK);
    ck_assert_str_eq(boot_string(&bi, bi.cmdline), "console=com2 settle=5");
    ck_assert_str_eq(boot_string(&bi, bi.loader_name), "GRUB 2.06");
    ck_assert_uint_eq(bi.module_count, 3);
    ck_assert_uint_eq(bi.module[0].end, 0x900000);
    ck_assert_str_eq(boot_string(&bi, bi.module[0].string), "vmlinuz console=ttyS0  quiet");
    ck_assert_str_eq(boot_string(&bi, bi.module[0].args), "console=ttyS0  quiet");
    ck_assert_str_eq(boot_string(&bi, bi.module[1].args), "");
    ck_assert_str_eq(boot_string(&bi, bi.module[2].string), "");
    ck_assert_uint_eq(bi.map_count, 3);
    ck_assert_uint_eq(bi.map[2].base, 0x200000);
    ck_assert_uint_eq(bi.map[2].end, 0x280000);
    ck_assert_uint_eq(bi.map[1].type, 2);
    ck_assert(bi.fb.present);
    ck_assert_uint_eq(bi.fb.address, 0xfd000000);
    ck_assert_uint_eq(bi.fb.width, 1024);
    ck_assert_uint_eq(bi.fb.pitch, 4096);
    ck_assert_uint_eq(bi.fb.red_pos, 16);
    ck_assert_uint_eq(bi.fb.blue_bits, 8);
    ck_assert_uint_eq(bi.rsdp_bytes, 36); /* the new one stays although the old came later */
    ck_assert_int_eq(bi.rsdp[8], '2');
    ck_assert(bi.has_boot_device);
    ck_assert_uint_eq(bi.boot_disk, 0x80);
    ck_assert_str_eq(boot_string(&bi, UINT32_MAX), "");
    ck_assert_str_eq(boot_string(&bi, 0), "");
}
END_TEST

START_TEST(minimal)
{
    begin();
    add_map(1);
    end();
    ck_assert_int_eq(parse(), E_OK);
    ck_assert_str_eq(boot_string(&bi, bi.cmdline), "");
    ck_assert(!bi.fb.present && !bi.has_boot_device && bi.rsdp_bytes == 0 && bi.module_count == 0);
}
END_TEST

START_TEST(every_truncation)
{
    full();
    uint32_t total = used;
    for (uint32_t n = 0; n < total; n++) {
        /* A copy of exactly n bytes: the sanitizer sees a read beyond. */
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, info, n);
        ck_assert_int_eq(multiboot2_parse(copy, n, &bi, why, sizeof why), E_BADTAG);
        if (n >= 4) {
            store32(copy, n);
            ck_assert_int_eq(multiboot2_parse(copy, n, &bi, why, sizeof why), E_BADTAG);
        }
        free(copy);
    }
}
END_TEST

START_TEST(every_byte_corrupted)
{
    full();
    uint32_t total = used;
    uint8_t *copy = malloc(total);
    unsigned refused = 0;
    for (uint32_t n = 0; n < total; n++) {
        static const uint8_t flips[] = {0xff, 0x01, 0x80};
        for (size_t k = 0; k < sizeof flips; k++) {
            memcpy(copy, info, total);
            copy[n] ^= flips[k];
            refused += multiboot2_parse(copy, total, &bi, why, sizeof why) != E_OK;
            ck_assert_uint_le(bi.strings_used, BOOT_STRINGS_BYTES);
        }
    }
    free(copy);
    ck_assert_uint_gt(refused, 100);
}
END_TEST

START_TEST(limits)
{
    begin();
    add_map(128);
    end();
    ck_assert_int_eq(parse(), E_OK);
    ck_assert_uint_eq(bi.map_count, 128);
    begin();
    add_map(129);
    end();
    ck_assert_int_eq(parse(), E_BADTAG);
    for (uint32_t n = 32; n <= 33; n++) {
        begin();
        for (uint32_t i = 0; i < n; i++)
            add_module(0x1000, 0x2000, "m");
        add_map(1);
        end();
        ck_assert_int_eq(parse(), n == 32 ? E_OK : E_BADTAG);
    }
    ck_assert_ptr_nonnull(strstr(why, "tag 3"));
}
END_TEST

START_TEST(bad_tags)
{
    begin(); /* no map */
    end();
    ck_assert_int_eq(parse(), E_BADTAG);
    ck_assert_ptr_nonnull(strstr(why, "no memory map"));
    begin(); /* a module that ends before it starts */
    add_module(0x2000, 0x1000, "m");
    add_map(1);
    end();
    ck_assert_int_eq(parse(), E_BADTAG);
    begin(); /* a string without its end */
    add(1, "abc", 3);
    add_map(1);
    end();
    ck_assert_int_eq(parse(), E_BADTAG);
    begin(); /* two maps */
    add_map(1);
    add_map(1);
    end();
    ck_assert_int_eq(parse(), E_BADTAG);
    static const uint32_t steps[] = {0, 8, 20, 28, 8192};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        begin();
        uint8_t *tag = info + used;
        add_map(2);
        end();
        store32(tag + 8, steps[i]);
        ck_assert_int_eq(parse(), E_BADTAG);
    }
    begin(); /* an entry that wraps is cut at the top; an empty one is dropped */
    uint8_t *tag = info + used;
    add_map(2);
    end();
    store64(tag + 24, UINT64_MAX);
    store64(tag + 16, 0x1000);
    store64(tag + 48, 0);
    ck_assert_int_eq(parse(), E_OK);
    ck_assert_uint_eq(bi.map_count, 1);
    ck_assert_uint_eq(bi.map[0].end, UINT64_MAX);
    begin(); /* a step longer than ours is a later version's */
    tag = info + used;
    add_map(4);
    end();
    store32(tag + 8, 48);
    ck_assert_int_eq(parse(), E_OK);
    ck_assert_uint_eq(bi.map_count, 2);
}
END_TEST

START_TEST(a_module_that_is_not_the_guests)
{
    static const char *const strings[] = {"/boot/vmlinuz sojourn-key", "  sojourn-key", "sojourn-keys x", "",
                                          "sojourn-key again"};
    struct boot_module m;
    begin();
    add_map(1);
    for (uint32_t i = 0; i < ARRAY_LEN(strings); i++)
        add_module(0x1000 * (i + 1), 0x1000 * (i + 1) + 32, strings[i]);
    end();
    ck_assert_int_eq(parse(), E_OK);
    ck_assert(boot_remove_module(&bi, "sojourn-key", &m) && m.start == 0x2000 && m.end == 0x2020);
    ck_assert_uint_eq(bi.module_count, 4);
    ck_assert(bi.module[0].start == 0x1000 && bi.module[1].start == 0x3000 && bi.module[3].start == 0x5000);
    ck_assert(boot_remove_module(&bi, "sojourn-key", &m) && m.start == 0x5000);
    ck_assert(!boot_remove_module(&bi, "sojourn-key", &m));
    ck_assert_uint_eq(bi.module_count, 3);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("multiboot2");
    TCase *t = tcase_create("all");
    tcase_add_test(t, everything);
    tcase_add_test(t, minimal);
    tcase_add_test(t, every_truncation);
    tcase_add_test(t, every_byte_corrupted);
    tcase_add_test(t, limits);
    tcase_add_test(t, bad_tags);
    tcase_add_test(t, a_module_that_is_not_the_guests);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("multiboot2", suite)
