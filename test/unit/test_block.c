/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block layer over a disk in memory: bounds, splitting, 4 KiB-native disks, failing commands. */
/* UNITS: drivers/block.c */
#include "block.h"
#include "unit.h"

#include <string.h>

#define SECTORS 4096u

static uint8_t *image, *shadow, *buf;
static struct block_dev dev;
static unsigned commands, flushes;
static int begin_fails_in, finish_fails_in; /* commands until one fails; 0: never */
static bool in_flight;

static bool fails(int *counter)
{
    return *counter > 0 && --*counter == 0;
}

static enum err mem_begin(struct block_dev *d, enum block_op op, uint64_t lba, uint32_t count, void *data)
{
    ck_assert(!in_flight);
    commands++;
    if (fails(&begin_fails_in))
        return E_GONE;
    in_flight = true;
    if (op == BLOCK_FLUSH) {
        flushes++;
        return E_OK;
    }
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, d->max_sectors);
    ck_assert_uint_le(lba, d->sectors);
    ck_assert_uint_le(count, d->sectors - lba);
    ck_assert_uint_eq((lba | count) % d->align_sectors, 0);
    if (op == BLOCK_READ)
        memcpy(data, image + lba * 512, (size_t)count * 512);
    else
        memcpy(image + lba * 512, data, (size_t)count * 512);
    return E_OK;
}

static enum err mem_finish(struct block_dev *d)
{
    (void)d;
    in_flight = false;
    return fails(&finish_fails_in) ? E_IO : E_OK;
}

static void setup(void)
{
    image = malloc(SECTORS * 512);
    shadow = malloc(SECTORS * 512);
    buf = malloc(SECTORS * 512);
    for (uint32_t i = 0; i < SECTORS * 512; i++)
        image[i] = (uint8_t)(i * 13 + i / 512);
    memcpy(shadow, image, SECTORS * 512);
    dev = (struct block_dev){"mem", SECTORS, 1, 100, mem_begin, mem_finish, NULL, NULL};
    commands = flushes = 0;
    begin_fails_in = finish_fails_in = 0;
    in_flight = false;
}

static void teardown(void)
{
    free(image);
    free(shadow);
    free(buf);
}

START_TEST(bounds)
{
    struct block_part part = {&dev, 1000, 2000};
    const struct {
        uint64_t lba, count;
        enum err want;
    } rows[] = {
        {0, 2000, E_OK},
        {0, 2001, E_BOUNDS},
        {1999, 1, E_OK},
        {2000, 0, E_OK},
        {2000, 1, E_BOUNDS},
        {2001, 0, E_BOUNDS},
        {UINT64_MAX, 1, E_BOUNDS},
        {1, UINT64_MAX, E_BOUNDS},
        {UINT64_MAX, UINT64_MAX, E_BOUNDS},
        {UINT64_MAX - 999, 1000, E_BOUNDS},
        {1, 1999, E_OK},
        {0, 0, E_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned before = commands;
        ck_assert_msg(block_read(&part, rows[i].lba, rows[i].count, buf) == rows[i].want, "read row %zu", i);
        ck_assert_msg(block_write(&part, rows[i].lba, rows[i].count, buf) == rows[i].want, "write row %zu", i);
        if (rows[i].want != E_OK)
            ck_assert_uint_eq(commands, before); /* before any I/O */
    }
}
END_TEST

START_TEST(absurd_partitions)
{
    const struct block_part bad[] = {
        {&dev, 0, SECTORS + 1}, {&dev, SECTORS + 1, 0}, {&dev, SECTORS, 1},
        {&dev, UINT64_MAX, 2},  {&dev, 2, UINT64_MAX},  {NULL, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct block_part part = bad[i];
        ck_assert_msg(block_read(&part, 0, 1, buf) == E_BOUNDS, "row %zu", i);
        ck_assert_int_eq(block_write(&part, 0, 1, buf), E_BOUNDS);
        ck_assert_int_eq(block_begin_write(&part, 0, 1, buf), E_BOUNDS);
    }
    struct block_part none = {NULL, 0, 0};
    ck_assert_int_eq(block_flush(&none), E_BOUNDS);
    ck_assert_int_eq(block_finish(&none), E_BOUNDS);
    struct block_part part = {&dev, 0, SECTORS};
    static const uint32_t bad_align[] = {0, 3, 16};
    for (size_t i = 0; i < ARRAY_LEN(bad_align); i++) {
        dev.align_sectors = bad_align[i];
        ck_assert_int_eq(block_read(&part, 0, 1, buf), E_INTERNAL);
        ck_assert_int_eq(block_begin_write(&part, 0, 1, buf), E_INTERNAL);
    }
    dev.align_sectors = 8;
    dev.max_sectors = 7; /* no whole block fits into a command */
    ck_assert_int_eq(block_read(&part, 0, 8, buf), E_INTERNAL);
    ck_assert_uint_eq(commands, 0);
}
END_TEST

START_TEST(splitting)
{
    struct block_part part = {&dev, 1000, 2000};
    ck_assert_int_eq(block_read(&part, 5, 250, buf), E_OK);
    ck_assert_uint_eq(commands, 3);
    ck_assert_int_eq(memcmp(buf, image + 1005 * 512, 250 * 512), 0);
    for (uint32_t i = 0; i < 250 * 512; i++)
        buf[i] = (uint8_t)~buf[i];
    ck_assert_int_eq(block_write(&part, 7, 250, buf), E_OK);
    memcpy(shadow + 1007 * 512, buf, 250 * 512);
    ck_assert_int_eq(memcmp(image, shadow, SECTORS * 512), 0);
    ck_assert_int_eq(block_flush(&part), E_OK);
    ck_assert_uint_eq(flushes, 1);
}
END_TEST

/* Every small position and length on a 4 KiB-native disk: as if it had sectors of 512. */
START_TEST(four_kib_native)
{
    dev.align_sectors = 8;
    dev.max_sectors = 20; /* 16 usable */
    struct block_part part = {&dev, 64, 128};
    for (uint64_t lba = 0; lba < 20; lba++)
        for (uint64_t count = 0; count < 40; count++) {
            ck_assert_int_eq(block_read(&part, lba, count, buf), E_OK);
            ck_assert_int_eq(memcmp(buf, image + (64 + lba) * 512, count * 512), 0);
            memset(buf, (int)(lba * 31 + count), count * 512);
            ck_assert_int_eq(block_write(&part, lba, count, buf), E_OK);
            memcpy(shadow + (64 + lba) * 512, buf, count * 512);
            ck_assert_int_eq(memcmp(image, shadow, SECTORS * 512), 0);
        }
    commands = 0;
    ck_assert_int_eq(block_write(&part, 0, 128, buf), E_OK);
    ck_assert_uint_eq(commands, 8);
}
END_TEST

START_TEST(four_kib_native_never_writes_outside)
{
    dev.align_sectors = 8;
    struct block_part part = {&dev, 68, 120}; /* begins and ends inside a block */
    commands = 0;
    ck_assert_int_eq(block_write(&part, 0, 1, buf), E_BOUNDS);
    ck_assert_int_eq(block_write(&part, 119, 1, buf), E_BOUNDS);
    ck_assert_int_eq(block_write(&part, 0, 120, buf), E_BOUNDS);
    ck_assert_uint_eq(commands, 0);
    ck_assert_int_eq(block_write(&part, 4, 112, buf), E_OK);
    ck_assert_int_eq(block_read(&part, 0, 120, buf), E_OK);
    dev.sectors = 4092; /* not a whole number of blocks: the tail can not be read */
    struct block_part tail = {&dev, 4080, 12};
    ck_assert_int_eq(block_read(&tail, 8, 4, buf), E_BOUNDS);
}
END_TEST

START_TEST(begin_write_takes_one_command)
{
    struct block_part part = {&dev, 1000, 2000};
    ck_assert_int_eq(block_begin_write(&part, 10, 100, buf), E_OK);
    ck_assert(in_flight);
    ck_assert_int_eq(block_finish(&part), E_OK);
    ck_assert_int_eq(memcmp(image + 1010 * 512, buf, 100 * 512), 0);
    ck_assert_int_eq(block_begin_write(&part, 10, 101, buf), E_BOUNDS);
    ck_assert_int_eq(block_begin_write(&part, 10, 0, buf), E_BOUNDS);
    ck_assert_int_eq(block_begin_write(&part, 1999, 2, buf), E_BOUNDS);
    dev.align_sectors = 8;
    ck_assert_int_eq(block_begin_write(&part, 4, 8, buf), E_BOUNDS);
    ck_assert_int_eq(block_begin_write(&part, 8, 4, buf), E_BOUNDS);
    ck_assert_uint_eq(commands, 1);
    ck_assert_int_eq(block_begin_write(&part, 8, 16, buf), E_OK);
    ck_assert_int_eq(block_finish(&part), E_OK);
}
END_TEST

START_TEST(every_failing_command_is_reported)
{
    struct block_part part = {&dev, 0, SECTORS};
    dev.align_sectors = 8;
    dev.max_sectors = 16;
    /* 3..40: a partial block (2 commands when writing), two whole pieces, and no tail. */
    for (int write = 0; write < 2; write++)
        for (int n = 1; n <= 6; n++)
            for (int in_begin = 0; in_begin < 2; in_begin++) {
                commands = 0;
                begin_fails_in = in_begin ? n : 0;
                finish_fails_in = in_begin ? 0 : n;
                enum err e = write ? block_write(&part, 3, 38, buf) : block_read(&part, 3, 38, buf);
                bool reached = n <= (write ? 6 : 4);
                ck_assert_int_eq(e, !reached ? E_OK : in_begin ? E_GONE : E_IO);
                if (reached)
                    ck_assert_uint_eq(commands, (unsigned)n); /* and nothing more was tried */
            }
    begin_fails_in = 0;
    finish_fails_in = 1;
    ck_assert_int_eq(block_flush(&part), E_IO);
    begin_fails_in = 1;
    ck_assert_int_eq(block_flush(&part), E_GONE);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("block");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, bounds);
    tcase_add_test(t, absurd_partitions);
    tcase_add_test(t, splitting);
    tcase_add_test(t, four_kib_native);
    tcase_add_test(t, four_kib_native_never_writes_outside);
    tcase_add_test(t, begin_write_takes_one_command);
    tcase_add_test(t, every_failing_command_is_reported);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("block", suite)
