/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The AHCI driver against a register-level model of an HBA, and its pure core by itself. */
/* UNITS: drivers/ahci.c drivers/ahci_core.c drivers/ata_command.c drivers/pci.c drivers/block.c */
/* UNITS: test/unit/model_machine.c test/unit/model_disk.c */
#include "drivers/ahci.h"
#include "drivers/pci.h"
#include "model_machine.h"
#include "unit.h"

#include <string.h>

#define BDF 0x00FA
#define MIB (1024u * 1024)

static struct ahci_hba hba;
static struct ahci_disk disk;
static void *page;
static uint8_t *data;

static struct model_port *port(unsigned i)
{
    return &machine.hba[0].port[i];
}

static void plug(unsigned i, uint64_t sectors, bool lba48)
{
    disk_make(&port(i)->disk, sectors, lba48);
    port_plug(port(i));
}

static void setup(void)
{
    machine_reset();
    machine_add_hba(0, BDF, true);
    env_clock_us = 0;
    env_clock_step_us = 1;
    page = low_alloc(PAGE_BYTES);
    data = low_alloc(16 * MIB);
    plug(1, 4096, true);
}

static void teardown(void)
{
    ck_assert_uint_eq(machine.violations, 0);
}

static void open_ok(void)
{
    ck_assert_int_eq(ahci_open(BDF, &hba), E_OK);
    ck_assert_int_eq(ahci_open_disk(&hba, 1, page, &disk), E_OK);
}

static enum err run(enum block_op op, uint64_t lba, uint32_t count)
{
    enum err e = disk.dev.begin(&disk.dev, op, lba, count, data);
    return e == E_OK ? disk.dev.finish(&disk.dev) : e;
}

START_TEST(opens_and_identifies)
{
    open_ok();
    ck_assert_uint_eq(disk.dev.sectors, 4096);
    ck_assert_uint_eq(disk.dev.align_sectors, 1);
    ck_assert_uint_eq(disk.dev.max_sectors, AHCI_MAX_SECTORS);
    ck_assert_str_eq(disk.dev.name, "ahci00fa.1");
    ck_assert_str_eq(disk.id.model, "MODEL DISK");
    ck_assert_str_eq(disk.id.serial, "MODEL0001");
    ck_assert_uint_eq(pci_read(BDF, PCI_COMMAND, 2) & 6, 6);
    ck_assert_uint_eq(machine.hba[0].ghc, GHC_AE);
    ck_assert_uint_eq(port(1)->comresets, 0); /* a working port is not disturbed */
    ck_assert(ahci_disk_intact(&disk));
}
END_TEST

START_TEST(writes_and_reads_back)
{
    open_ok();
    for (uint32_t i = 0; i < 64 * 512; i++)
        data[i] = (uint8_t)(i * 7 + i / 512);
    ck_assert_int_eq(run(BLOCK_WRITE, 100, 64), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_command, ATA_CMD_WRITE_DMA_EXT);
    ck_assert_int_eq(memcmp(port(1)->disk.image + 100 * 512, data, 64 * 512), 0);
    memset(data, 0, 64 * 512);
    ck_assert_int_eq(run(BLOCK_READ, 100, 64), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_command, ATA_CMD_READ_DMA_EXT);
    ck_assert_int_eq(memcmp(port(1)->disk.image + 100 * 512, data, 64 * 512), 0);
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_command, ATA_CMD_FLUSH_CACHE_EXT);
    ck_assert_int_eq(disk.dev.finish(&disk.dev), E_OK); /* nothing in flight: fine */
}
END_TEST

START_TEST(one_command_at_a_time)
{
    open_ok();
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 8, data), E_OK);
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 8, 8, data), E_BUSY);
    ck_assert(!ahci_disk_intact(&disk));
    ck_assert_int_eq(disk.dev.finish(&disk.dev), E_OK);
}
END_TEST

START_TEST(bounds_are_checked_before_the_disk_hears_of_it)
{
    open_ok();
    unsigned before = port(1)->disk.commands;
    ck_assert_int_eq(run(BLOCK_READ, 4096, 1), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_READ, 4090, 7), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 0), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_WRITE, UINT64_MAX, 2), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, AHCI_MAX_SECTORS + 1), E_BOUNDS);
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 1, data + 1), E_BOUNDS);
    ck_assert_uint_eq(port(1)->disk.commands, before);
    ck_assert_int_eq(run(BLOCK_READ, 4088, 8), E_OK);
}
END_TEST

START_TEST(address_width_28_and_48)
{
    /* A 28-bit disk of the largest size, and a 48-bit one beyond it. */
    plug(1, 0x0FFFFFFF, false);
    open_ok();
    ck_assert_uint_eq(disk.dev.max_sectors, 256);
    ck_assert_int_eq(run(BLOCK_READ, 0x0FFFFFFF - 256, 256), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_command, ATA_CMD_READ_DMA);
    ck_assert_uint_eq(port(1)->disk.last_lba, 0x0FFFFFFF - 256);
    ck_assert_uint_eq(port(1)->disk.last_count, 256);
    ck_assert_int_eq(run(BLOCK_WRITE, 1, 255), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_command, ATA_CMD_WRITE_DMA);
    ck_assert_uint_eq(port(1)->disk.last_count, 255);
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_command, ATA_CMD_FLUSH_CACHE);
    ck_assert_int_eq(run(BLOCK_READ, 0x0FFFFFFF, 1), E_BOUNDS);
    ahci_close_disk(&disk);

    plug(1, 1ull << 47, true);
    open_ok();
    ck_assert_int_eq(run(BLOCK_READ, (1ull << 28) - 1, 2), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_lba, (1ull << 28) - 1);
    ck_assert_int_eq(run(BLOCK_READ, (1ull << 47) - AHCI_MAX_SECTORS, AHCI_MAX_SECTORS), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_lba, (1ull << 47) - AHCI_MAX_SECTORS);
    ck_assert_uint_eq(port(1)->disk.last_count, AHCI_MAX_SECTORS);
}
END_TEST

START_TEST(four_kib_native)
{
    plug(1, 512, true);
    port(1)->disk.block_bytes = 4096;
    port(1)->disk.image_blocks = 16;
    port(1)->disk.image = calloc(16, 4096);
    open_ok();
    ck_assert_uint_eq(disk.dev.sectors, 4096);
    ck_assert_uint_eq(disk.dev.align_sectors, 8);
    memset(data, 0x5A, 8192);
    ck_assert_int_eq(run(BLOCK_WRITE, 16, 16), E_OK);
    ck_assert_uint_eq(port(1)->disk.last_lba, 2);
    ck_assert_uint_eq(port(1)->disk.last_count, 2);
    ck_assert_uint_eq(port(1)->disk.image[2 * 4096], 0x5A);
    ck_assert_int_eq(run(BLOCK_READ, 4, 8), E_BOUNDS);
    ck_assert_int_eq(run(BLOCK_READ, 8, 4), E_BOUNDS);
}
END_TEST

START_TEST(error_once_is_retried)
{
    open_ok();
    port(1)->disk.fail_next = 1;
    unsigned before = port(1)->disk.commands;
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_OK);
    ck_assert_uint_eq(port(1)->disk.commands, before + 2);
    port(1)->disk.fault_next = 1;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
}
END_TEST

START_TEST(error_twice_is_reported_and_the_disk_stays_usable)
{
    open_ok();
    port(1)->disk.fail_next = 2;
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_IO);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_OK);
    port(1)->disk.flush_fail_next = 2;
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_IO);
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_OK);
    ck_assert_ptr_ne(strstr(env_log, "E_IO"), NULL);
}
END_TEST

START_TEST(short_transfer_is_no_success)
{
    open_ok();
    port(1)->disk.short_next = 2;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_IO);
    port(1)->disk.short_next = 1;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK); /* the second try was whole */
}
END_TEST

static unsigned idled;

static void note_idle(void)
{
    idled++;
}

START_TEST(whoever_waits_is_told)
{
    open_ok();
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
    open_ok();
    port(1)->disk.hang_next = 1;
    uint64_t start = env_clock_us;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_TIMEOUT);
    uint64_t took = env_clock_us - start;
    ck_assert_uint_ge(took, ATA_COMMAND_TIMEOUT_US);
    ck_assert_uint_le(took, ATA_COMMAND_TIMEOUT_US + 2000000);
    ck_assert_uint_eq(port(1)->comresets, 1); /* BSY stays: only COMRESET helps */
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
    port(1)->disk.hang_next = 1;
    start = env_clock_us;
    ck_assert_int_eq(run(BLOCK_FLUSH, 0, 0), E_TIMEOUT);
    ck_assert_uint_ge(env_clock_us - start, ATA_FLUSH_TIMEOUT_US);
}
END_TEST

START_TEST(engine_that_does_not_stop)
{
    open_ok();
    port(1)->stuck_cr = true;
    port(1)->disk.fail_next = 1;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
    ck_assert_uint_eq(port(1)->comresets, 1);
    ck_assert_uint_eq(machine.hba[0].resets, 0);
}
END_TEST

START_TEST(hang_with_dead_link_resets_the_hba)
{
    open_ok();
    port(1)->stuck_hard = port(1)->no_link = true;
    port(1)->disk.hang_next = 1;
    uint64_t start = env_clock_us;
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_TIMEOUT);
    ck_assert_uint_le(env_clock_us - start, ATA_COMMAND_TIMEOUT_US + 5000000);
    ck_assert_uint_eq(machine.hba[0].resets, 1);
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_GONE);
    ck_assert(!ahci_disk_intact(&disk));
    port(1)->no_link = false;
    port_plug(port(1));
    ck_assert_int_eq(ahci_reopen_disk(&hba, &disk), E_OK);
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
}
END_TEST

START_TEST(pulled_while_a_command_runs)
{
    open_ok();
    port(1)->disk.vanish_next = 1;
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_GONE);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_GONE);
    ck_assert_uint_eq(port(1)->ci, 0);
    ck_assert_uint_eq(port(1)->cmd & PXCMD_ST, 0);
    ck_assert_int_eq(ahci_reopen_disk(&hba, &disk), E_GONE);
    /* The same disk again, and then another one. */
    port(1)->disk.present = true;
    port_plug(port(1));
    ck_assert_int_eq(ahci_reopen_disk(&hba, &disk), E_OK);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_OK);
    memcpy(port(1)->disk.serial, "OTHER               ", 20);
    port_plug(port(1));
    ck_assert(!ahci_disk_intact(&disk));
    ck_assert_int_eq(ahci_reopen_disk(&hba, &disk), E_GONE);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_GONE);
}
END_TEST

START_TEST(swapped_between_two_commands)
{
    open_ok();
    port_plug(port(1)); /* out and in again: the link is up, but PRCS tells */
    ck_assert(!ahci_disk_intact(&disk));
    machine.latency = 0; /* the model runs a command as soon as it looks */
    unsigned before = port(1)->disk.commands;
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_GONE);
    ck_assert_uint_eq(port(1)->disk.commands, before); /* nothing is written to what may be another disk */
    ck_assert_int_eq(ahci_reopen_disk(&hba, &disk), E_OK);
    ck_assert_int_eq(run(BLOCK_WRITE, 0, 8), E_OK);
}
END_TEST

START_TEST(controller_falls_off_the_bus)
{
    open_ok();
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 8, data), E_OK);
    machine.hba[0].dead = true;
    uint64_t start = env_clock_us;
    ck_assert_int_eq(disk.dev.finish(&disk.dev), E_GONE);
    ck_assert_uint_le(env_clock_us - start, 1000000);
    ck_assert_int_eq(ahci_open(BDF, &hba), E_GONE);
}
END_TEST

START_TEST(nothing_there_and_no_disk)
{
    struct ahci_disk d;
    port(2)->disk.present = port(2)->disk.atapi = true;
    port_plug(port(2));
    struct model_port before_empty = *port(0), before_cd = *port(2);
    ck_assert_int_eq(ahci_open(BDF, &hba), E_OK);
    ck_assert_int_eq(ahci_open_disk(&hba, 0, page, &d), E_NODISK);
    ck_assert_int_eq(ahci_open_disk(&hba, 2, page, &d), E_NODISK);
    ck_assert_int_eq(ahci_open_disk(&hba, MODEL_PORTS, page, &d), E_NODISK); /* not in PI */
    ck_assert_int_eq(ahci_open_disk(&hba, 32, page, &d), E_NODISK);
    /* Given back as the firmware had them. */
    for (int i = 0; i < 2; i++) {
        const struct model_port *was = i ? &before_cd : &before_empty, *is = port(i ? 2 : 0);
        ck_assert_uint_eq(is->clb, was->clb);
        ck_assert_uint_eq(is->fb, was->fb);
        ck_assert_uint_eq(is->ie, was->ie);
        ck_assert_uint_eq(is->cmd & PXCMD_FRE, was->cmd & PXCMD_FRE);
    }
    ck_assert_uint_eq(port(2)->cmd & PXCMD_ST, PXCMD_ST);
    ahci_close(&hba);
    ck_assert_uint_eq(machine.hba[0].ghc, 0x80000002);
    ck_assert_uint_eq(pci_read(BDF, PCI_COMMAND, 2), 0);
}
END_TEST

START_TEST(close_gives_the_port_back)
{
    uint32_t clb = port(1)->clb, fb = port(1)->fb, cmd = port(1)->cmd;
    open_ok();
    ck_assert_uint_ne(port(1)->clb, clb);
    ahci_close_disk(&disk);
    ck_assert_uint_eq(port(1)->clb, clb);
    ck_assert_uint_eq(port(1)->fb, fb);
    ck_assert_uint_eq(port(1)->cmd & 0xC011, cmd & 0xC011);
    ck_assert_int_eq(run(BLOCK_READ, 0, 1), E_GONE);
}
END_TEST

START_TEST(busy_device_gets_a_comreset)
{
    port(1)->stuck_busy = true;
    open_ok();
    ck_assert_uint_eq(port(1)->comresets, 1);
    ck_assert_int_eq(run(BLOCK_READ, 0, 1), E_OK);
}
END_TEST

START_TEST(link_that_never_comes_up)
{
    port(1)->no_link = true;
    port_plug(port(1));
    uint64_t start = env_clock_us;
    ck_assert_int_eq(ahci_open(BDF, &hba), E_OK);
    ck_assert_int_eq(ahci_open_disk(&hba, 1, page, &disk), E_IO);
    ck_assert_uint_le(env_clock_us - start, 5000000);
}
END_TEST

START_TEST(identify_refused)
{
    port(1)->disk.identify_fails = true;
    ck_assert_int_eq(ahci_open(BDF, &hba), E_OK);
    ck_assert_int_eq(ahci_open_disk(&hba, 1, page, &disk), E_IO);
}
END_TEST

START_TEST(staggered_spin_up)
{
    machine.hba[0].staggered = true;
    machine.hba[0].cap |= CAP_SSS;
    for (unsigned i = 0; i < MODEL_PORTS; i++)
        port(i)->cmd = 0;
    port(1)->ssts = 0;
    open_ok();
    ck_assert_int_eq(run(BLOCK_READ, 0, 1), E_OK);
}
END_TEST

START_TEST(firmware_handoff)
{
    machine.hba[0].vs = VS_1_2;
    machine.hba[0].cap2 = CAP2_BOH;
    machine.hba[0].bohc = BOHC_BOS;
    open_ok();
    ck_assert_uint_eq(machine.hba[0].bohc & (BOHC_OOS | BOHC_BOS), BOHC_OOS);
    machine.hba[0].bohc = BOHC_BOS | BOHC_BB;
    machine.hba[0].firmware_clings = true;
    uint64_t start = env_clock_us;
    ck_assert_int_eq(ahci_open(BDF, &hba), E_OK); /* and we go on, as the specification allows */
    ck_assert_uint_ge(env_clock_us - start, 2000000);
    ck_assert_uint_le(env_clock_us - start, 2100000);
}
END_TEST

START_TEST(dma32_machine)
{
    machine.hba[0].cap &= ~CAP_S64A;
    open_ok();
    ck_assert_int_eq(run(BLOCK_READ, 0, 8), E_OK);
    uint8_t *high = calloc(1, 8192); /* the sanitizer's heap is far above 4 GiB */
    ck_assert_uint_ge((uintptr_t)high, 1ull << 32);
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 8, high), E_BOUNDS);
    ahci_close_disk(&disk);
    ck_assert_int_eq(ahci_open_disk(&hba, 1, aligned_alloc(4096, 4096), &disk), E_BOUNDS);

    machine.hba[0].cap |= CAP_S64A;
    open_ok();
    ck_assert_int_eq(disk.dev.begin(&disk.dev, BLOCK_READ, 0, 8, high), E_OK);
    ck_assert_int_eq(disk.dev.finish(&disk.dev), E_OK);
    free(high);
}
END_TEST

START_TEST(no_register_space)
{
    uint32_t zero = 0;
    memcpy(machine.pci[1].config + 0x24, &zero, 4);
    ck_assert_int_eq(ahci_open(BDF, &hba), E_NODISK);
    ck_assert_int_eq(ahci_stop_port((hpa_t){machine.hba[0].abar}, 32), E_BOUNDS);
}
END_TEST

START_TEST(registers_end_behind_the_last_port)
{
    static const struct {
        uint32_t pi, bytes;
    } rows[] = {{0, 0x100},           {1, 0x180},           {0x3F, 0x400},
                {0x20000000, 0x1000}, {0x40000000, 0x1080}, {0x80000001, 0x1100}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        machine.hba[0].pi = rows[i].pi;
        ck_assert_uint_eq(ahci_register_bytes((hpa_t){machine.hba[0].abar}), rows[i].bytes);
    }
}
END_TEST

START_TEST(stop_port_of_others)
{
    hpa_t abar = {machine.hba[0].abar};
    ck_assert_int_eq(ahci_stop_port(abar, 1), E_OK);
    ck_assert_uint_eq(port(1)->cmd & 0xC011, 0);
    port(3)->stuck_hard = true;
    port(3)->cmd = 0xC017;
    ck_assert_int_eq(ahci_stop_port(abar, 3), E_TIMEOUT);
    ck_assert_int_eq(ahci_reset(abar), E_OK);
    ck_assert_int_eq(ahci_stop_port(abar, 3), E_OK);
}
END_TEST

START_TEST(block_layer_splits_on_top)
{
    plug(1, 65536, true);
    open_ok();
    struct block_part part = {&disk.dev, 1024, 40000};
    for (uint32_t i = 0; i < 16 * MIB / 4; i++)
        memcpy(data + 4 * i, &i, 4);
    unsigned before = port(1)->disk.commands;
    ck_assert_int_eq(block_write(&part, 3, 2 * AHCI_MAX_SECTORS - 1, data), E_OK);
    ck_assert_uint_eq(port(1)->disk.commands, before + 2);
    ck_assert_int_eq(memcmp(port(1)->disk.image + 1027 * 512, data, (2 * AHCI_MAX_SECTORS - 1) * 512), 0);
    ck_assert_int_eq(block_flush(&part), E_OK);
    ck_assert_int_eq(block_begin_write(&part, 0, 8, data), E_OK);
    port(1)->disk.fail_next = 2;
    ck_assert_int_eq(block_finish(&part), E_IO);
    port(1)->disk.hang_next = 1;
    ck_assert_int_eq(block_read(&part, 0, 40000, low_alloc(40000 * 512)), E_TIMEOUT);
}
END_TEST

/* ---- pure core ------------------------------------------------------------------------------------------------- */

START_TEST(prds_of_four_mib)
{
    static struct ahci_port_memory m ALIGNED(4096);
    struct ata_registers r = {.command = 0x25, .bytes = 4 * MIB, .write = false};
    hpa_t pa = {0x10000000}, where = {0x12345678};
    ck_assert_int_eq(ahci_build_command(&m, pa, &r, where, true), E_OK);
    ck_assert_uint_eq(m.list[0].flags >> 16, 1);
    ck_assert_uint_eq(m.table.prd[0].dbc, 4 * MIB - 1);
    r.bytes += 2;
    ck_assert_int_eq(ahci_build_command(&m, pa, &r, where, true), E_OK);
    ck_assert_uint_eq(m.list[0].flags >> 16, 2);
    ck_assert_uint_eq(m.table.prd[1].dba, 0x12345678 + 4 * MIB);
    ck_assert_uint_eq(m.table.prd[1].dbc, 1);
    ck_assert_uint_eq(m.list[0].ctba, 0x10000000 + 1280);
    r.bytes = 8 * MIB + 2;
    ck_assert_int_eq(ahci_build_command(&m, pa, &r, where, true), E_BOUNDS);
    r.bytes = 511;
    ck_assert_int_eq(ahci_build_command(&m, pa, &r, where, true), E_BOUNDS);
}
END_TEST

START_TEST(reach_at_four_gib)
{
    ck_assert(ahci_reachable((hpa_t){0xFFFFF000}, 0x1000, false));
    ck_assert(!ahci_reachable((hpa_t){0xFFFFF000}, 0x1001, false));
    ck_assert(!ahci_reachable((hpa_t){1ull << 32}, 1, false));
    ck_assert(ahci_reachable((hpa_t){1ull << 32}, 1, true));
    ck_assert(!ahci_reachable((hpa_t){UINT64_MAX}, 2, true));
}
END_TEST

START_TEST(verdicts)
{
    const struct {
        struct ahci_status s;
        enum ahci_verdict want;
    } rows[] = {
        {{1, 0, 0x50, 0x123, 0, 0}, AHCI_PENDING},
        {{1, 0, 0xD0, 0x123, 0, 0}, AHCI_PENDING},
        {{0, 0, 0xD0, 0x123, 0, 0}, AHCI_PENDING},
        {{0, 0, 0x58, 0x123, 0, 0}, AHCI_PENDING},
        {{0, 1, 0x50, 0x123, 0, 0}, AHCI_DONE},
        {{0, 0, 0x51, 0x123, 0, 0}, AHCI_FAILED},
        {{0, 0, 0x70, 0x123, 0, 0}, AHCI_FAILED},
        {{1, PXIS_TFES, 0x51, 0x123, 0, 0}, AHCI_FAILED},
        {{1, PXIS_HBFS, 0xD0, 0x123, 0, 0}, AHCI_FAILED},
        {{1, PXIS_HBDS, 0xD0, 0x123, 0, 0}, AHCI_FAILED},
        {{1, PXIS_IFS, 0xD0, 0x123, 0, 0}, AHCI_FAILED},
        {{1, PXIS_OFS, 0xD0, 0x123, 0, 0}, AHCI_FAILED},
        {{0, 0, 0x50, 0, 0, 0}, AHCI_GONE},
        {{1, 0, 0x50, 1, 0, 0}, AHCI_GONE},
        {{0, 0, 0x50, 4, 0, 0}, AHCI_GONE},
        {{0, PXIS_PRCS, 0x50, 0x123, 0, 0}, AHCI_GONE},
        {{0, 1, 0x50, 0x123, 512, 511}, AHCI_FAILED},
        {{0, 1, 0x50, 0x123, 512, 512}, AHCI_DONE},
        {{~0u, ~0u, ~0u, ~0u, 0, 0}, AHCI_GONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(ahci_judge(&rows[i].s) == rows[i].want, "row %zu", i);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ahci");
    TCase *t = tcase_create("model");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, opens_and_identifies);
    tcase_add_test(t, writes_and_reads_back);
    tcase_add_test(t, one_command_at_a_time);
    tcase_add_test(t, bounds_are_checked_before_the_disk_hears_of_it);
    tcase_add_test(t, address_width_28_and_48);
    tcase_add_test(t, four_kib_native);
    tcase_add_test(t, error_once_is_retried);
    tcase_add_test(t, error_twice_is_reported_and_the_disk_stays_usable);
    tcase_add_test(t, short_transfer_is_no_success);
    tcase_add_test(t, whoever_waits_is_told);
    tcase_add_test(t, hang_ends_at_the_deadline);
    tcase_add_test(t, engine_that_does_not_stop);
    tcase_add_test(t, hang_with_dead_link_resets_the_hba);
    tcase_add_test(t, pulled_while_a_command_runs);
    tcase_add_test(t, swapped_between_two_commands);
    tcase_add_test(t, controller_falls_off_the_bus);
    tcase_add_test(t, nothing_there_and_no_disk);
    tcase_add_test(t, close_gives_the_port_back);
    tcase_add_test(t, busy_device_gets_a_comreset);
    tcase_add_test(t, link_that_never_comes_up);
    tcase_add_test(t, identify_refused);
    tcase_add_test(t, staggered_spin_up);
    tcase_add_test(t, firmware_handoff);
    tcase_add_test(t, dma32_machine);
    tcase_add_test(t, no_register_space);
    tcase_add_test(t, registers_end_behind_the_last_port);
    tcase_add_test(t, stop_port_of_others);
    tcase_add_test(t, block_layer_splits_on_top);
    suite_add_tcase(s, t);
    TCase *p = tcase_create("pure");
    tcase_add_test(p, prds_of_four_mib);
    tcase_add_test(p, reach_at_four_gib);
    tcase_add_test(p, verdicts);
    suite_add_tcase(s, p);
    return s;
}

UNIT_MAIN("ahci", suite)
