/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The partition finder on real tables (made by sgdisk) and on damaged ones. The CRC here is computed by another method
   than the finder's, so that the two check each other. */
/* UNITS: drivers/partition.c drivers/block.c */
#include "drivers/partition.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define SECTORS 131072ull /* 64 MiB */
#define BACKUP_ARRAY (SECTORS - 33)
#define BACKUP_HEADER (SECTORS - 1)

static uint8_t *image;
static struct block_dev dev;
static struct block_part part;
static unsigned writes, reads;
static int64_t fail_at; /* a read of this sector fails; -1: none */

static enum err file_begin(struct block_dev *d, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    ck_assert_uint_le(lba + count, d->sectors);
    ck_assert_uint_le(count, d->max_sectors);
    ck_assert_uint_eq((lba | count) % d->align_sectors, 0);
    writes += op != BLOCK_READ;
    reads++;
    if (fail_at >= 0 && (uint64_t)fail_at >= lba && (uint64_t)fail_at < lba + count)
        return E_IO;
    memcpy(buf, image + lba * 512, (size_t)count * 512);
    return E_OK;
}

static enum err file_finish(struct block_dev *d)
{
    (void)d;
    return E_OK;
}

static void load(void)
{
    char line[256];
    FILE *f = fopen("test/data/gpt-store-64m.txt", "r");
    ck_assert_ptr_nonnull(f);
    memset(image, 0, SECTORS * 512);
    while (fgets(line, sizeof line, f)) {
        unsigned offset, byte;
        if (line[0] == '#')
            continue;
        ck_assert_int_eq(sscanf(line, "%8x", &offset), 1);
        for (int i = 0; i < 16; i++) {
            ck_assert_int_eq(sscanf(line + 9 + 2 * i, "%2x", &byte), 1);
            image[offset + (unsigned)i] = (uint8_t)byte;
        }
    }
    fclose(f);
}

static void setup(void)
{
    image = calloc(SECTORS, 512);
    load();
    dev = (struct block_dev){"test", SECTORS, 1, 64, file_begin, file_finish, NULL, NULL};
    fail_at = -1;
    reads = writes = 0;
}

static void teardown(void)
{
    ck_assert_uint_eq(writes, 0); /* never */
    free(image);
}

static uint32_t crc32(const uint8_t *p, size_t len)
{
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256 && !table[255]; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    uint32_t c = ~0u;
    while (len--)
        c = table[(c ^ *p++) & 0xFF] ^ c >> 8;
    return ~c;
}

static void put(uint8_t *p, uint64_t v, size_t n)
{
    memcpy(p, &v, n);
}

static uint64_t get(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

/* Make the checksums right again after an edit. */
static void seal(uint64_t header_sector, uint64_t unit)
{
    uint8_t *h = image + header_sector * 512;
    uint64_t array = get(h + 72, 8) * unit;
    put(h + 88, crc32(image + array, get(h + 80, 4) * get(h + 84, 4)), 4);
    put(h + 16, 0, 4);
    put(h + 16, crc32(h, get(h + 12, 4)), 4);
}

static uint8_t *entry(unsigned i)
{
    return image + 1024 + 128 * (i - 1);
}

static enum err find(const char *selector)
{
    enum err e = partition_find(&dev, selector, &part);
    if (e != E_OK)
        ck_assert_ptr_null(part.dev); /* nothing usable is left behind */
    return e;
}

START_TEST(real_table)
{
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 18432);
    ck_assert_uint_eq(part.count, 32768);
    ck_assert_ptr_eq(part.dev, &dev);
    ck_assert_int_eq(find("gpt:sojourn-store"), E_OK);
    ck_assert_uint_eq(part.first, 18432);
    ck_assert_int_eq(find("gpt:boot"), E_OK);
    ck_assert_uint_eq(part.first, 2048);
    ck_assert_uint_eq(part.count, 16384);
    ck_assert_int_eq(find("gpt:LABEL36-abcdefghijklmnopqrstuvwxyz12"), E_OK);
    ck_assert_uint_eq(part.first, 51200);
    ck_assert_int_eq(find("gpt:LABEL36-abcdefghijklmnopqrstuvwxyz1"), E_NOSTORE);
    ck_assert_int_eq(find("gpt:boo"), E_NOSTORE);
    ck_assert_int_eq(find("gpt:bootx"), E_NOSTORE);
    ck_assert_int_eq(find("gpt:Boot"), E_NOSTORE);
    ck_assert_uint_lt(reads, 2000);
}
END_TEST

START_TEST(selectors)
{
    static const char *const bad[] = {
        "", "gpt", "gpt:", "Auto", "auto ", "gpt:1234567890123456789012345678901234567", "gpt:a\tb", "none", "mbr:1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(!partition_selector_ok(bad[i]), "%s", bad[i]);
        ck_assert_int_eq(find(bad[i]), E_OPTION);
    }
    ck_assert(partition_selector_ok("auto"));
    ck_assert(partition_selector_ok("gpt:123456789012345678901234567890123456"));
}
END_TEST

START_TEST(type_wins_over_name)
{
    /* An earlier entry with our name but another type, and ours without a name. */
    static const char name[] = "sojourn-store";
    memset(entry(1) + 56, 0, 72);
    for (size_t i = 0; i < strlen(name); i++)
        entry(1)[56 + 2 * i] = (uint8_t)name[i];
    memset(entry(2) + 56, 0, 72);
    seal(1, 512);
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 18432);
    ck_assert_int_eq(find("gpt:sojourn-store"), E_OK);
    ck_assert_uint_eq(part.first, 2048);
    entry(2)[0] ^= 1; /* no longer our type: the name decides */
    seal(1, 512);
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 2048);
    memset(entry(1), 0, 16); /* unused, whatever its name */
    seal(1, 512);
    ck_assert_int_eq(find("auto"), E_NOSTORE);
}
END_TEST

START_TEST(every_damaged_byte_of_the_primary_is_noticed)
{
    for (size_t at = 512; at < 512 + 92; at++) {
        image[at] ^= 0x40;
        ck_assert_int_eq(find("auto"), E_OK); /* the backup helps */
        ck_assert_uint_eq(part.first, 18432);
        image[BACKUP_HEADER * 512 + 30] ^= 1;
        ck_assert_int_eq(find("auto"), E_NOSTORE); /* and without one there is none */
        image[BACKUP_HEADER * 512 + 30] ^= 1;
        image[at] ^= 0x40;
    }
    for (size_t at = 1024; at < 1024 + 16384; at += 61) {
        image[at] ^= 1;
        image[BACKUP_ARRAY * 512 + 5] ^= 1;
        ck_assert_int_eq(find("auto"), E_NOSTORE);
        image[BACKUP_ARRAY * 512 + 5] ^= 1;
        ck_assert_int_eq(find("auto"), E_OK);
        image[at] ^= 1;
    }
}
END_TEST

START_TEST(grown_disk)
{
    /* The image was enlarged: the backup is not in the last block, but where the primary's header says. */
    uint8_t *bigger = calloc(SECTORS + 5000, 512);
    memcpy(bigger, image, SECTORS * 512);
    free(image);
    image = bigger;
    dev.sectors = SECTORS + 5000;
    ck_assert_int_eq(find("auto"), E_OK);
    image[1024] ^= 1;
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 18432);
}
END_TEST

START_TEST(shrunk_disk)
{
    dev.sectors = 40000; /* the store's partition sticks out */
    ck_assert_int_eq(find("auto"), E_NOSTORE);
    for (uint64_t n = 0; n < 40; n++) {
        dev.sectors = n;
        ck_assert_int_eq(find("auto"), E_NOSTORE);
    }
}
END_TEST

START_TEST(absurd_headers)
{
    const struct {
        size_t offset, bytes;
        uint64_t value;
    } rows[] = {
        {8, 4, 0x00005000},
        {12, 4, 91},
        {12, 4, 513},
        {24, 8, 2},
        {40, 8, 1},
        {40, 8, SECTORS},
        {48, 8, SECTORS},
        {48, 8, 33},
        {72, 8, 0},
        {72, 8, 1},
        {72, 8, SECTORS},
        {72, 8, SECTORS - 31},
        {72, 8, UINT64_MAX - 1},
        {72, 8, 100},
        {80, 4, 0},
        {80, 4, 4097},
        {84, 4, 64},
        {84, 4, 192},
        {84, 4, 8192},
        {80, 4, UINT32_MAX},
        {72, 8, 3}, /* its last block would be the first usable one */
    };
    memset(image + BACKUP_HEADER * 512, 0, 512);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t keep[512];
        memcpy(keep, image + 512, 512);
        put(image + 512 + rows[i].offset, rows[i].value, rows[i].bytes);
        /* Seal by hand: the array's place may be absurd. */
        uint32_t header_bytes = (uint32_t)get(image + 512 + 12, 4);
        put(image + 512 + 16, 0, 4);
        put(image + 512 + 16, crc32(image + 512, header_bytes), 4);
        ck_assert_msg(find("auto") == E_NOSTORE, "row %zu", i);
        memcpy(image + 512, keep, 512);
    }
    ck_assert_int_eq(find("auto"), E_OK);
}
END_TEST

START_TEST(array_inside_the_usable_range)
{
    static const uint64_t places[] = {3, 60000, SECTORS - 40};
    uint8_t array[16384];
    memcpy(array, image + 1024, sizeof array);
    memset(image + BACKUP_HEADER * 512, 0, 512);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        memcpy(image + places[i] * 512, array, sizeof array);
        put(image + 512 + 72, places[i], 8);
        seal(1, 512);
        ck_assert_msg(find("auto") == E_NOSTORE, "row %zu", i);
    }
    memcpy(image + 1024, array, sizeof array);
    put(image + 512 + 72, 2, 8);
    seal(1, 512);
    ck_assert_int_eq(find("auto"), E_OK);
}
END_TEST

START_TEST(absurd_and_overlapping_entries)
{
    const struct {
        uint64_t first, last;
        bool ok;
    } rows[] = {
        {18432, 51199, true},
        {18431, 51199, false},
        {18432, 51200, false},
        {51199, 18432, false},
        {0, 10, false},
        {60000, SECTORS - 34, true},
        {60000, SECTORS - 33, false},
        {60000, UINT64_MAX, false},
        {33, 40, false},
        {34, 2047, true},
        {2048, 2048, false},
        {UINT64_MAX, UINT64_MAX, false},
        {1, 2, false},
        {40000, 40000, true},
    };
    memset(image + BACKUP_HEADER * 512, 0, 512);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put(entry(2) + 32, rows[i].first, 8);
        put(entry(2) + 40, rows[i].last, 8);
        seal(1, 512);
        ck_assert_msg(find("auto") == (rows[i].ok ? E_OK : E_NOSTORE), "row %zu", i);
        if (rows[i].ok) {
            ck_assert_uint_eq(part.first, rows[i].first);
            ck_assert_uint_eq(part.count, rows[i].last - rows[i].first + 1);
        }
    }
}
END_TEST

START_TEST(second_of_ours_when_the_first_is_bad)
{
    memcpy(entry(3), entry(2), 16); /* two of our type; the first overlaps partition 1 */
    put(entry(2) + 32, 18000, 8);
    seal(1, 512);
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 51200);
    put(entry(2) + 32, 18432, 8);
    seal(1, 512);
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 18432); /* both good: the first */
}
END_TEST

START_TEST(large_entries)
{
    /* 256-byte entries, as UEFI allows: 64 of them in the same array. */
    uint8_t old[3][128];
    for (unsigned i = 1; i <= 3; i++)
        memcpy(old[i - 1], entry(i), 128);
    memset(image + 1024, 0, 16384);
    for (unsigned i = 0; i < 3; i++)
        memcpy(image + 1024 + 256 * (i + 40), old[i], 128);
    put(image + 512 + 80, 64, 4);
    put(image + 512 + 84, 256, 4);
    seal(1, 512);
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 18432);
}
END_TEST

START_TEST(four_kib_native)
{
    /* The same table in units of 4 KiB: header at byte 4096, array behind it. */
    uint8_t header[512], array[16384];
    memcpy(header, image + 512, 512);
    memcpy(array, image + 1024, 16384);
    memset(image, 0, SECTORS * 512);
    image[450] = 0xEE;
    put(image + 454, 1, 4);
    put(image + 458, SECTORS / 8 - 1, 4);
    put(image + 510, 0xAA55, 2);
    memcpy(image + 4096, header, 512);
    memcpy(image + 8192, array, 16384);
    put(image + 4096 + 32, SECTORS / 8 - 1, 8);
    put(image + 4096 + 40, 6, 8);
    put(image + 4096 + 48, SECTORS / 8 - 6, 8);
    put(image + 4096 + 72, 2, 8);
    for (unsigned i = 0; i < 3; i++) {
        put(image + 8192 + 128 * i + 32, 256 + 1024 * i, 8);
        put(image + 8192 + 128 * i + 40, 256 + 1024 * i + 1023, 8);
    }
    dev.align_sectors = 8;
    seal(8, 4096);
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, (256 + 1024) * 8);
    ck_assert_uint_eq(part.count, 1024 * 8);
    dev.align_sectors = 16;
    ck_assert_int_eq(find("auto"), E_INTERNAL);
    dev.align_sectors = 1;
    ck_assert_int_eq(find("auto"), E_NOSTORE); /* a 4 KiB table is not readable as one of 512 */
}
END_TEST

START_TEST(read_errors)
{
    fail_at = 0;
    ck_assert_int_eq(find("auto"), E_IO);
    fail_at = 1; /* the primary header is unreadable: the backup helps */
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 18432);
    fail_at = 10; /* the primary array */
    ck_assert_int_eq(find("auto"), E_OK);
    image[1024] ^= 1;
    fail_at = (int64_t)BACKUP_HEADER;
    ck_assert_int_eq(find("auto"), E_IO);
    fail_at = (int64_t)BACKUP_ARRAY + 2;
    ck_assert_int_eq(find("auto"), E_IO);
}
END_TEST

static void mbr(unsigned i, uint8_t type, uint32_t first, uint32_t count)
{
    uint8_t *e = image + 446 + 16 * i;
    memset(e, 0, 16);
    e[4] = type;
    put(e + 8, first, 4);
    put(e + 12, count, 4);
}

START_TEST(mbr_partitions)
{
    const struct {
        uint32_t first, count;
        bool ok;
    } rows[] = {
        {20000, 1000, true},
        {2048 + 16384, 10, true},
        {2048 + 16383, 10, false},
        {0, 100, false},
        {20000, 0, false},
        {131071, 1, true},
        {131071, 2, false},
        {131072, 1, false},
        {1, 2047, true},
        {1, 2048, false},
        {UINT32_MAX, UINT32_MAX, false},
        {20000, UINT32_MAX, false},
        {1000, 100000, false},
    };
    memset(image + 446, 0, 64); /* the GPT behind it is a left-over now */
    ck_assert_int_eq(find("auto"), E_NOSTORE);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        mbr(0, 0x83, 2048, 16384);
        mbr(3, 0x5A, rows[i].first, rows[i].count);
        ck_assert_msg(find("auto") == (rows[i].ok ? E_OK : E_NOSTORE), "row %zu", i);
        if (rows[i].ok) {
            ck_assert_uint_eq(part.first, rows[i].first);
            ck_assert_uint_eq(part.count, rows[i].count);
        }
    }
    mbr(3, 0x5A, 20000, 1000);
    ck_assert_int_eq(find("gpt:sojourn-store"), E_NOSTORE);
    image[510] = 0;
    ck_assert_int_eq(find("auto"), E_NOSTORE);
}
END_TEST

START_TEST(hybrid_mbr_is_gpt)
{
    mbr(2, 0x5A, 60000, 100);
    ck_assert_int_eq(find("auto"), E_OK);
    ck_assert_uint_eq(part.first, 18432);
    image[512] = image[BACKUP_HEADER * 512] = 0; /* GPT gone: its MBR shadow is not believed */
    ck_assert_int_eq(find("auto"), E_NOSTORE);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("partition");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, real_table);
    tcase_add_test(t, selectors);
    tcase_add_test(t, type_wins_over_name);
    tcase_add_test(t, every_damaged_byte_of_the_primary_is_noticed);
    tcase_add_test(t, grown_disk);
    tcase_add_test(t, shrunk_disk);
    tcase_add_test(t, absurd_headers);
    tcase_add_test(t, array_inside_the_usable_range);
    tcase_add_test(t, absurd_and_overlapping_entries);
    tcase_add_test(t, second_of_ours_when_the_first_is_bad);
    tcase_add_test(t, large_entries);
    tcase_add_test(t, four_kib_native);
    tcase_add_test(t, read_errors);
    tcase_add_test(t, mbr_partitions);
    tcase_add_test(t, hybrid_mbr_is_gpt);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("partition", suite)
