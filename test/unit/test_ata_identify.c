/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDENTIFY DEVICE data and the registers of commands. */
/* UNITS: drivers/ata_command.c */
#include "drivers/ata_command.h"
#include "unit.h"

#include <string.h>

static uint16_t w[ATA_IDENTIFY_WORDS];
static struct ata_identity id;
static const char *why;

/* As QEMU 7.2's ide-hd of 64 MiB says it. */
static void qemu_disk(void)
{
    static const struct {
        int at;
        uint16_t value;
    } words[] = {
        {0, 0x0040},  {1, 130},     {3, 16},      {6, 63},       {47, 0x8010},  {49, 0x0B00},
        {53, 7},      {60, 0x0000}, {61, 0x0002}, {63, 0x0007},  {64, 0x0003},  {80, 0x00F0},
        {82, 0x4021}, {83, 0x7400}, {84, 0x4000}, {85, 0x4021},  {86, 0x3400},  {87, 0x4000},
        {88, 0x203F}, {93, 0x6001}, {100, 0},     {101, 0x0002}, {106, 0x6000},
    };
    memset(w, 0, sizeof w);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        w[words[i].at] = words[i].value;
    const char *serial = "QM00005             ", *model = "QEMU HARDDISK                           ";
    for (int i = 0; i < 20; i++) {
        if (i < 10)
            w[10 + i] = (uint16_t)(serial[2 * i] << 8 | serial[2 * i + 1]);
        w[27 + i] = (uint16_t)(model[2 * i] << 8 | model[2 * i + 1]);
    }
}

START_TEST(real_disk)
{
    qemu_disk();
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(id.sectors, 131072);
    ck_assert_uint_eq(id.block_sectors, 1);
    ck_assert(id.lba48 && id.flush_ext);
    ck_assert_str_eq(id.model, "QEMU HARDDISK");
    ck_assert_str_eq(id.serial, "QM00005");
    ck_assert_uint_eq(ata_max_sectors(&id, 16384), 16384);
    ck_assert_uint_eq(ata_max_sectors(&id, UINT32_MAX), 65536);
}
END_TEST

START_TEST(widths_and_sizes)
{
    qemu_disk();
    w[83] = 0x5000; /* no LBA48 */
    w[60] = 0xFFFF;
    w[61] = 0x0FFF;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert(!id.lba48 && !id.flush_ext);
    ck_assert_uint_eq(id.sectors, 0x0FFFFFFF);
    ck_assert_uint_eq(ata_max_sectors(&id, 16384), 256);
    w[61] = 0xFFFF; /* more than 28 bits can say */
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(id.sectors, 1ull << 28);
    w[83] = 0xFC00; /* not a valid word 83: bits 15:14 are 11 */
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert(!id.lba48);

    qemu_disk();
    w[102] = 0x1234;
    w[103] = 0x0001; /* 48 bits, all words used */
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(id.sectors, 0x0000123400020000ull); /* bits above 47 do not exist */
    qemu_disk();
    w[101] = 0; /* LBA48 claimed, size only in words 60-61 */
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(id.sectors, 131072);
}
END_TEST

START_TEST(sector_sizes)
{
    qemu_disk();
    w[106] = 0x5000;
    w[117] = 2048;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(id.block_sectors, 8);
    ck_assert_uint_eq(id.sectors, 131072 * 8);
    ck_assert_uint_eq(ata_max_sectors(&id, 16383), 16376);
    w[117] = 256;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(id.block_sectors, 1);
    for (int i = 0; i < 4; i++) {
        static const uint32_t bad[] = {264, 0, 0x10800, 1024};
        w[117] = (uint16_t)bad[i];
        w[118] = (uint16_t)(bad[i] >> 16);
        ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_NODISK);
    }
    w[106] = 0xD000; /* word not valid */
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(id.block_sectors, 1);
}
END_TEST

START_TEST(refused)
{
    qemu_disk();
    w[0] = 0x8500;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_NODISK);
    qemu_disk();
    w[49] = 0x0100;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_NODISK);
    w[49] = 0x0200;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_NODISK);
    qemu_disk();
    w[61] = w[101] = 0;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_NODISK);
    ck_assert_str_ne(why, "");
    memset(w, 0xFF, sizeof w);
    ck_assert_int_ne(ata_parse_identify(w, &id, &why), E_OK);
    memset(w, 0, sizeof w);
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_NODISK);
}
END_TEST

START_TEST(integrity_word)
{
    qemu_disk();
    uint8_t sum = 0xA5, *bytes = (uint8_t *)w;
    for (int i = 0; i < 510; i++)
        sum = (uint8_t)(sum + bytes[i]);
    w[255] = (uint16_t)((uint8_t)-sum << 8 | 0xA5);
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    for (int i = 0; i < 510; i++) { /* every byte */
        bytes[i] ^= 0x10;
        ck_assert_msg(ata_parse_identify(w, &id, &why) == E_IO, "byte %d", i);
        bytes[i] ^= 0x10;
    }
}
END_TEST

START_TEST(unprintable_strings_are_cleaned)
{
    qemu_disk();
    for (int i = 0; i < 20; i++)
        w[27 + i] = i == 3 ? 0x4142 : 0x01FF;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_str_eq(id.model, "      AB");
    for (int i = 0; i < 10; i++)
        w[10 + i] = 0x7E7E;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    ck_assert_uint_eq(strlen(id.serial), 20);
}
END_TEST

START_TEST(commands)
{
    struct ata_registers r;
    qemu_disk();
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    id.sectors = 1ull << 48;
    ck_assert_int_eq(ata_build_command(&id, BLOCK_READ, 0x123456789Aull, 65536, &r), E_OK);
    ck_assert_uint_eq(r.command, 0x25);
    ck_assert_uint_eq(r.count, 0);
    ck_assert_uint_eq(r.lba, 0x123456789Aull);
    ck_assert_uint_eq(r.bytes, 65536 * 512);
    ck_assert(r.ext && !r.write);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_READ, 0, 65537, &r), E_BOUNDS);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_WRITE, 5, 0, &r), E_BOUNDS);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_WRITE, 1ull << 48, 1, &r), E_BOUNDS);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_WRITE, (1ull << 48) - 1, 2, &r), E_BOUNDS);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_WRITE, (1ull << 48) - 1, 1, &r), E_OK);
    ck_assert_uint_eq(r.command, 0x35);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_FLUSH, 0, 0, &r), E_OK);
    ck_assert_uint_eq(r.command, 0xEA);
    ck_assert_uint_eq(r.bytes, 0);

    id.lba48 = id.flush_ext = false;
    id.sectors = 1ull << 28;
    ck_assert_int_eq(ata_build_command(&id, BLOCK_WRITE, 0x0FEDCBA9, 256, &r), E_OK);
    ck_assert_uint_eq(r.command, 0xCA);
    ck_assert_uint_eq(r.count, 0);
    ck_assert_uint_eq(r.lba, 0xEDCBA9);
    ck_assert_uint_eq(r.device, 0x4F);
    ck_assert(!r.ext);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_READ, 0, 257, &r), E_BOUNDS);
    ck_assert_int_eq(ata_build_command(&id, BLOCK_FLUSH, 0, 0, &r), E_OK);
    ck_assert_uint_eq(r.command, 0xE7);
    ck_assert_uint_gt(ata_timeout_us(BLOCK_FLUSH), ata_timeout_us(BLOCK_READ));
}
END_TEST

START_TEST(same_disk)
{
    qemu_disk();
    struct ata_identity other;
    ck_assert_int_eq(ata_parse_identify(w, &id, &why), E_OK);
    other = id;
    ck_assert(ata_same_disk(&id, &other));
    other.sectors++;
    ck_assert(!ata_same_disk(&id, &other));
    other = id;
    other.serial[0] ^= 1;
    ck_assert(!ata_same_disk(&id, &other));
    other = id;
    other.model[0] ^= 1;
    ck_assert(!ata_same_disk(&id, &other));
    other = id;
    other.block_sectors = 8;
    ck_assert(!ata_same_disk(&id, &other));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ata_identify");
    TCase *t = tcase_create("all");
    tcase_add_test(t, real_disk);
    tcase_add_test(t, widths_and_sizes);
    tcase_add_test(t, sector_sizes);
    tcase_add_test(t, refused);
    tcase_add_test(t, integrity_word);
    tcase_add_test(t, unprintable_strings_are_cleaned);
    tcase_add_test(t, commands);
    tcase_add_test(t, same_disk);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("ata_identify", suite)
