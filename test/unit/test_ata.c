/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bus-master IDE driver against a register-level model of a channel, and the pure parts by themselves. */
/* UNITS: drivers/ata.c drivers/ata_core.c drivers/ata_command.c drivers/pci.c */
/* UNITS: test/unit/model_machine.c test/unit/model_disk.c */
#include "drivers/ata.h"
#include "drivers/pci.h"
#include "model_machine.h"
#include "unit.h"

#include <string.h>

#define BDF 0x0009
#define KIB 1024u

static struct ata_controller controller;
static struct ata_disk disk;
static void *page;
static uint8_t *data;

static struct model_disk *unit(unsigned position)
{
    return &machine.ide[position / 2].disk[position % 2];
}

static void setup(void)
{
    machine_reset();
    machine_add_ide(BDF, false);
    env_clock_us = 0;
    env_clock_step_us = 1;
    page = low_alloc(PAGE_BYTES);
    data = low_alloc(4096 * KIB);
    disk_make(unit(0), 65536, true);
}

static void teardown(void)
{
    ck_assert_uint_eq(machine.violations, 0);
}

static void open_at(unsigned position)
{
    ck_assert_int_eq(ata_open(BDF, &controller), E_OK);
    ck_assert_int_eq(ata_open_disk(&controller, position, page, &disk), E_OK);
}

static enum err run(enum block_op op, uint64_t lba, uint32_t count)
{
    enum err e = disk.dev.begin(&disk.dev, op, lba, count, data);
    return e == E_OK ? disk.dev.finish(&disk.dev) : e;
}

START_TEST(every_position_in_both_modes)
{
    for (int native = 0; native < 2; native++)
        for (unsigned position = 0; position < 4; position++) {
            machine_reset();
            machine_add_ide(BDF, native);
            disk_make(unit(position), 4096, true);
            if (position & 1) /* a slave beside its master */
                disk_make(unit(position - 1), 2048, true);
            open_at(position);
            ck_assert_uint_eq(disk.dev.sectors, 4096);
            ck_assert_uint_eq(disk.dev.max_sectors, ATA_MAX_SECTORS);
            ck_assert_uint_eq((uint8_t)disk.dev.name[7], '.');
            for (uint32_t i = 0; i < 128 * 512; i++)
                data[i] = (uint8_t)(i * 5 + i / 512 + position);
            ck_assert_int_eq(run(BLOCK_WRITE, 77, 128), E_OK);
            ck_assert_int_eq(memcmp(unit(position)->image + 77 * 512, data, 128 * 512), 0);
            ck_assert_uint_eq(unit(position)->last_command, ATA_CMD_WRITE_DMA_EXT);
            memset(data, 0, 128 * 512);
            ck_assert_int_eq(run(BLOCK_READ, 77, 128), E_OK);
            ck_assert_int_eq(memcmp(unit(position)->image + 77 * 512, data, 128 * 512), 0);
            ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_OK);
            ck_assert_uint_eq(unit(position)->flushes, 1);
            ck_assert_uint_eq(machine.ide[position / 2].bm_status & 0x67, 0x60);
            ck_assert_uint_eq(machine.ide[position / 2].bm_command & 1, 0);
            ck_assert_uint_eq(pci_read(BDF, PCI_COMMAND, 2) & 5, 5);
            ck_assert(ata_disk_intact(&disk));
            ata_close_disk(&disk);
            ck_assert_int_eq(run(BLOCK_READ, 0, 1), E_GONE);
            ata_close(&controller);
            ck_assert_uint_eq(pci_read(BDF, PCI_COMMAND, 2), 0);
            ck_assert_uint_eq(machine.ide[0].control, 0);
            ck_assert_uint_eq(machine.ide[0].resets, 0); /* a working channel is not disturbed */
        }
}
END_TEST

START_TEST(absent_atapi_and_dead_positions)
{
    struct ata_disk d;
    unit(1)->present = unit(1)->atapi = true;
    ck_assert_int_eq(ata_open(BDF, &controller), E_OK);
    ck_assert_int_eq(ata_open_disk(&controller, 1, page, &d), E_NODISK); /* CD-ROM */
    ck_assert_int_eq(ata_open_disk(&controller, 2, page, &d), E_NODISK); /* floating channel */
    ck_assert_int_eq(ata_open_disk(&controller, 4, page, &d), E_NODISK);
    disk_make(unit(2), 2048, false);
    ck_assert_int_eq(ata_open_disk(&controller, 3, page, &d), E_NODISK); /* no slave */
    unit(2)->identify_fails = true;
    ck_assert_int_eq(ata_open_disk(&controller, 2, page, &d), E_IO);
    machine.ide[1].dead = true;
    uint64_t start = env_clock_us;
    ck_assert_int_eq(ata_open_disk(&controller, 2, page, &d), E_TIMEOUT);
    ck_assert_uint_le(env_clock_us - start, 15000000);
    ck_assert_int_eq(ata_open_disk(&controller, 0, page, &d), E_OK);
}
END_TEST

START_TEST(channel_left_busy_is_reset)
{
    machine.ide[0].stuck_busy = true;
    open_at(0);
    ck_assert_uint_eq(machine.ide[0].resets, 1);
    ck_assert_int_eq(run(BLOCK_READ, 0, 1), E_OK);
    machine.ide[0].stuck_busy = true;
    ck_assert(!ata_disk_intact(&disk));
    ck_assert_int_eq(run(BLOCK_READ, 0, 1), E_OK);
    ck_assert_uint_eq(machine.ide[0].resets, 2);
}
END_TEST

START_TEST(errors_retried_once)
{
    open_at(0);
    struct model_disk *d = unit(0);
    d->fail_next = 1;
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_OK);
    ck_assert_uint_eq(machine.ide[0].resets, 1);
    d->fault_next = 1;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
    machine.ide[0].bm_error_next = true;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
    d->fail_next = 2;
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_IO);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_OK);
    d->flush_fail_next = 2;
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_IO);
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_OK);
}
END_TEST

static unsigned idled;

static void note_idle(void)
{
    idled++;
}

START_TEST(whoever_waits_is_told)
{
    machine_reset();
    machine_add_ide(BDF, false);
    disk_make(unit(0), 4096, true);
    open_at(0);
    machine.latency = 9;
    disk.dev.idle = note_idle;
    ck_assert_int_eq(run(BLOCK_WRITE, 8, 8), E_OK);
    ck_assert_uint_ge(idled, 7);
    disk.dev.idle = NULL;
    idled = 0;
    ck_assert_int_eq(run(BLOCK_WRITE, 8, 8), E_OK);
    ck_assert_uint_eq(idled, 0);
}
END_TEST

START_TEST(hang_ends_at_the_deadline)
{
    open_at(0);
    unit(0)->hang_next = 1;
    uint64_t start = env_clock_us;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_TIMEOUT);
    ck_assert_uint_ge(env_clock_us - start, ATA_COMMAND_TIMEOUT_US);
    ck_assert_uint_le(env_clock_us - start, ATA_COMMAND_TIMEOUT_US + 1000000);
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
    unit(0)->hang_next = 1;
    start = env_clock_us;
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_TIMEOUT);
    ck_assert_uint_ge(env_clock_us - start, ATA_FLUSH_TIMEOUT_US);
    /* And when the reset does not help either. */
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 8, data), E_OK);
    machine.ide[0].dead = true;
    start = env_clock_us;
    ck_assert_int_eq(disk.dev.finish(&disk.dev), E_TIMEOUT);
    ck_assert_uint_le(env_clock_us - start, 2 * ATA_COMMAND_TIMEOUT_US + 1000000);
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_GONE);
    ck_assert_int_eq(ata_reopen_disk(&disk), E_TIMEOUT);
    machine.ide[0].dead = false;
    ck_assert_int_eq(ata_reopen_disk(&disk), E_OK);
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
}
END_TEST

START_TEST(pulled_and_swapped)
{
    open_at(0);
    unit(0)->vanish_next = 1;
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_GONE);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_GONE);
    uint64_t start = env_clock_us;
    ck_assert_int_eq(ata_reopen_disk(&disk), E_GONE);
    ck_assert_uint_le(env_clock_us - start, 100000); /* a floating bus is no reason to wait */
    unit(0)->present = true;
    machine.ide[0].status = 0x50;
    ck_assert_int_eq(ata_reopen_disk(&disk), E_OK);
    memcpy(unit(0)->serial, "OTHER               ", 20);
    ck_assert_int_eq(ata_reopen_disk(&disk), E_GONE);
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_GONE);
}
END_TEST

START_TEST(bounds_and_channel_sharing)
{
    static struct ata_disk slave;
    disk_make(unit(1), 4096, true);
    open_at(0);
    ck_assert_int_eq(ata_open_disk(&controller, 1, low_alloc(4096), &slave), E_OK);
    unsigned before = unit(0)->commands;
    ck_assert_int_eq(run(BLOCK_READ, 65536, 1), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_READ, 65530, 7), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_READ, UINT64_MAX, 2), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_READ, 0, 0), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_READ, 0, ATA_MAX_SECTORS + 1), E_BOUNDS);
    uint8_t *high = malloc(512);
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 1, high), E_BOUNDS);
    free(high);
    ck_assert_uint_eq(unit(0)->commands, before);

    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 8, data), E_OK);
    ck_assert_int_eq(slave.dev.begin(&slave.dev, BLOCK_READ, 0, 8, data), E_BUSY);
    ck_assert_int_eq(slave.dev.finish(&slave.dev), E_OK); /* not its command: stays in flight */
    ck_assert_ptr_eq(controller.channel[0].busy, &disk);
    ck_assert_int_eq(disk.dev.finish(&disk.dev), E_OK);
    ck_assert_int_eq(slave.dev.begin(&slave.dev, BLOCK_READ, 0, 8, data), E_OK);
    ck_assert_int_eq(slave.dev.finish(&slave.dev), E_OK);
}
END_TEST

START_TEST(address_width_28_and_48)
{
    disk_make(unit(0), 0x0FFFFFFF, false);
    open_at(0);
    ck_assert_int_eq(run(BLOCK_READ, 0x0FFFFFFF - 128, 128), E_OK);
    ck_assert_uint_eq(unit(0)->last_command, ATA_CMD_READ_DMA);
    ck_assert_uint_eq(unit(0)->last_lba, 0x0FFFFFFF - 128);
    ck_assert_uint_eq(unit(0)->last_count, 128);
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_OK);
    ck_assert_uint_eq(unit(0)->last_command, ATA_CMD_FLUSH_CACHE);
    disk_make(unit(0), 1ull << 47, true);
    ata_close_disk(&disk);
    open_at(0);
    ck_assert_int_eq(run(BLOCK_WRITE, (1ull << 47) - 128, 128), E_OK);
    ck_assert_uint_eq(unit(0)->last_lba, (1ull << 47) - 128);
    ck_assert_uint_eq(unit(0)->last_count, 128);
}
END_TEST

START_TEST(controllers_that_cannot)
{
    uint32_t zero = 0;
    memcpy(machine.pci[1].config + 0x20, &zero, 4);
    ck_assert_int_eq(ata_open(BDF, &controller), E_NODISK);
    machine_reset();
    memcpy(machine_pci_add(BDF, 1, 2, 0x010100, 0) + 0x20, &(uint32_t){0xC041}, 4);
    ck_assert_int_eq(ata_open(BDF, &controller), E_NODISK); /* no bus master */
    machine_reset();
    machine_add_ide(BDF, true);
    memset(machine.pci[1].config + 0x10, 0, 8); /* first channel not assigned */
    disk_make(unit(2), 64, true);
    ck_assert_int_eq(ata_open(BDF, &controller), E_OK);
    ck_assert_int_eq(ata_open_disk(&controller, 0, page, &disk), E_NODISK);
    ck_assert_int_eq(ata_open_disk(&controller, 2, page, &disk), E_OK);
    ck_assert_int_eq(ata_open_disk(&controller, 2, aligned_alloc(4096, 4096), &disk), E_BOUNDS);
}
END_TEST

/* ---- pure ------------------------------------------------------------------------------------------------------ */

START_TEST(prds_split_at_64_kib)
{
    static struct ata_prd t[ATA_PRDS];
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0x10000}, 65536), E_OK);
    ck_assert_uint_eq(t[0].bytes, 0);
    ck_assert_uint_eq(t[0].flags, ATA_PRD_LAST);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0x1FFFE}, 4), E_OK);
    ck_assert_uint_eq(t[0].bytes, 2);
    ck_assert_uint_eq(t[0].flags, 0);
    ck_assert_uint_eq(t[1].base, 0x20000);
    ck_assert_uint_eq(t[1].bytes, 2);
    ck_assert_uint_eq(t[1].flags, ATA_PRD_LAST);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0xFFFFF000}, 0x1000), E_OK);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0xFFFFF000}, 0x1002), E_BOUNDS);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){1ull << 32}, 2), E_BOUNDS);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0x10001}, 2), E_BOUNDS);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0x10000}, 3), E_BOUNDS);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0x10000}, 0), E_BOUNDS);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){0}, ATA_PRDS * 65536), E_OK);
    ck_assert_int_eq(ata_build_prds(t, (hpa_t){2}, ATA_PRDS * 65536), E_BOUNDS);
}
END_TEST

START_TEST(verdicts)
{
    const struct {
        uint8_t status, bm;
        enum ata_verdict want;
    } rows[] = {
        {0x50, 0x60, ATA_DONE},    {0x50, 0x64, ATA_DONE},   {0x50, 0x61, ATA_PENDING}, {0x58, 0x60, ATA_PENDING},
        {0xD0, 0x60, ATA_PENDING}, {0xD1, 0, ATA_PENDING},   {0x51, 0x61, ATA_FAILED},  {0x70, 0, ATA_FAILED},
        {0x50, 0x62, ATA_FAILED},  {0x58, 0x63, ATA_FAILED}, {0xFF, 0xFF, ATA_GONE},    {0x7F, 0, ATA_GONE},
        {0x00, 0x60, ATA_GONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(ata_judge(rows[i].status, rows[i].bm) == rows[i].want, "row %zu", i);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ata");
    TCase *t = tcase_create("model");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, every_position_in_both_modes);
    tcase_add_test(t, absent_atapi_and_dead_positions);
    tcase_add_test(t, channel_left_busy_is_reset);
    tcase_add_test(t, errors_retried_once);
    tcase_add_test(t, whoever_waits_is_told);
    tcase_add_test(t, hang_ends_at_the_deadline);
    tcase_add_test(t, pulled_and_swapped);
    tcase_add_test(t, bounds_and_channel_sharing);
    tcase_add_test(t, address_width_28_and_48);
    tcase_add_test(t, controllers_that_cannot);
    suite_add_tcase(s, t);
    TCase *p = tcase_create("pure");
    tcase_add_test(p, prds_split_at_64_kib);
    tcase_add_test(p, verdicts);
    suite_add_tcase(s, p);
    return s;
}

UNIT_MAIN("ata", suite)
