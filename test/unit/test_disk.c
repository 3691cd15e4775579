/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From PCI to the store's partition on whole machines: which controller is ours, what is given back, and coming back
   after the guest had the machine. Non-PIE, so that static data too is below 4 GiB, as hidden memory is. */
/* UNITS: drivers/disk.c drivers/disk_policy.c drivers/partition.c drivers/block.c drivers/ahci.c drivers/ahci_core.c */
/* UNITS: drivers/ata.c drivers/ata_core.c drivers/ata_command.c drivers/pci.c */
/* UNITS: test/unit/model_machine.c test/unit/model_disk.c */
/* LIBS: -no-pie -Wl,--wrap=pool_alloc_pages */
#include "drivers/disk.h"
#include "drivers/partition.h"
#include "drivers/pci.h"
#include "model_machine.h"
#include "unit.h"

#include <string.h>

#define AHCI_0 PCI_BDF(0, 31, 2)
#define AHCI_1 PCI_BDF(1, 0, 0)
#define IDE PCI_BDF(0, 1, 1)

static struct block_part part;
static struct disk_report report;

#define FIRST 3 /* index of the first controller added */

static void chipset(void)
{
    machine_reset();
    machine_pci_add(PCI_BDF(0, 1, 0), 0x8086, 0x7000, 0x060100, 0x80);
    machine_pci_add(PCI_BDF(0, 31, 0), 0x8086, 0x2918, 0x060100, 0x80);
}

static void setup(void)
{
    chipset();
    env_clock_us = 0;
    env_pool_limit = SIZE_MAX;
}

static void teardown(void)
{
    disk_release();
    ck_assert_uint_eq(machine.violations, 0);
}

/* An MBR with a boot partition and, if wanted, the store. */
static void partitions(struct model_disk *d, bool boot, uint32_t store)
{
    uint8_t *e = d->image + 446;
    d->image[510] = 0x55;
    d->image[511] = 0xAA;
    uint32_t first = 64, count = 100, store_count = 1000;
    if (boot) {
        e[4] = 0x83;
        memcpy(e + 8, &first, 4);
        memcpy(e + 12, &count, 4);
    }
    if (store) {
        e[16 + 4] = 0x5A;
        memcpy(e + 16 + 8, &store, 4);
        memcpy(e + 16 + 12, &store_count, 4);
    }
}

static struct model_disk *ahci_disk(unsigned hba, unsigned port, bool boot, uint32_t store)
{
    struct model_port *p = &machine.hba[hba].port[port];
    disk_make(&p->disk, 4096, true);
    partitions(&p->disk, boot, store);
    port_plug(p);
    return &p->disk;
}

static struct model_disk *ide_disk(unsigned position, bool boot, uint32_t store)
{
    struct model_disk *d = &machine.ide[position / 2].disk[position % 2];
    disk_make(d, 4096, true);
    partitions(d, boot, store);
    return d;
}

static enum err find(void)
{
    return disk_find_store("auto", &part, &report);
}

static enum err reopen(void)
{
    enum err e = disk_wake();
    return e ? e : disk_reopen();
}

START_TEST(bochs_like)
{
    /* One disk with boot partition and store, and a CD-ROM on the other channel. */
    machine_add_ide(IDE, false);
    struct model_disk *d = ide_disk(0, true, 512);
    machine.ide[1].disk[0].present = machine.ide[1].disk[0].atapi = true;
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(part.first, 512);
    ck_assert_uint_eq(part.count, 1000);
    ck_assert(report.ours);
    ck_assert_int_eq(report.store.kind, DISK_ATA);
    ck_assert_uint_eq(report.store.bdf, IDE);
    ck_assert_uint_eq(report.store.disks, 1);
    ck_assert_uint_eq(report.store.stores, 1);
    ck_assert_uint_eq(report.controllers, 1);
    ck_assert_uint_eq(report.disks, 1);
    ck_assert_str_eq(report.name, "ata0009.0");
    static uint8_t data[512 * 8] ALIGNED(4096);
    memset(data, 0x77, sizeof data);
    ck_assert_int_eq(block_write(&part, 10, 8, data), E_OK);
    ck_assert_uint_eq(d->image[(512 + 10) * 512], 0x77);
    ck_assert_uint_eq(d->writes, 1); /* finding wrote nothing */
    ck_assert_int_eq(find(), E_ALREADY);
}
END_TEST

START_TEST(store_controller_beside_the_guests)
{
    machine_add_hba(0, AHCI_0, true);
    machine_add_hba(1, AHCI_1, true);
    struct model_disk *guest = ahci_disk(0, 0, true, 0), *store = ahci_disk(1, 2, false, 64);
    struct model_port before = machine.hba[0].port[0];
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(report.store.bdf, AHCI_1);
    ck_assert_uint_eq(report.position, 2);
    ck_assert_uint_eq(report.controllers, 2);
    ck_assert_uint_eq(report.disks, 2);
    /* The guest's controller is as it was. */
    ck_assert_uint_eq(machine.hba[0].port[0].clb, before.clb);
    ck_assert_uint_eq(machine.hba[0].port[0].cmd, before.cmd);
    ck_assert_uint_eq(machine.hba[0].port[0].ie, before.ie);
    ck_assert_uint_eq(machine.hba[0].ghc, 0x80000002);
    ck_assert_uint_eq(pci_read(AHCI_0, PCI_COMMAND, 2), 0);
    ck_assert_uint_eq(machine.hba[1].ghc, 0x80000000);
    ck_assert_uint_eq(guest->writes + store->writes, 0);
}
END_TEST

START_TEST(shared_controller)
{
    machine_add_hba(0, AHCI_0, true);
    ahci_disk(0, 0, true, 512);
    ahci_disk(0, 1, true, 0);
    uint32_t clb = machine.hba[0].port[0].clb;
    ck_assert_int_eq(find(), E_SHARED);
    ck_assert_ptr_null(part.dev);
    ck_assert(!report.ours);
    ck_assert_int_eq(report.store.kind, DISK_AHCI);
    ck_assert_uint_eq(report.store.disks, 3);
    ck_assert_uint_eq(report.store.stores, 1);
    ck_assert_uint_eq(machine.hba[0].port[0].clb, clb);
    ck_assert_uint_eq(machine.hba[0].ghc, 0x80000002);
    ck_assert_int_eq(reopen(), E_NOSTORE);
    /* A second store on a controller of its own is taken instead, also when it comes later. */
    machine_add_hba(1, AHCI_1, true);
    ahci_disk(1, 3, false, 128);
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(report.store.bdf, AHCI_1);
    ck_assert_uint_eq(part.first, 128);
}
END_TEST

START_TEST(disk_that_cannot_be_read_makes_it_shared)
{
    machine_add_hba(0, AHCI_0, true);
    ahci_disk(0, 0, true, 512);
    ahci_disk(0, 3, true, 512)->identify_fails = true;
    ck_assert_int_eq(find(), E_SHARED);
    chipset();
    machine_add_hba(0, AHCI_0, true);
    ahci_disk(0, 0, true, 512);
    ahci_disk(0, 3, true, 512)->fail_next = 100; /* identifies, but no sector can be read */
    ck_assert_int_eq(find(), E_SHARED);
}
END_TEST

START_TEST(two_stores_on_one_controller)
{
    machine_add_hba(0, AHCI_0, true);
    ahci_disk(0, 1, false, 64);
    ahci_disk(0, 2, false, 128);
    ck_assert_int_eq(find(), E_OK);
    ck_assert_uint_eq(part.first, 64);
    ck_assert_uint_eq(report.position, 1);
    ck_assert_uint_eq(report.store.stores, 6);
    ck_assert_uint_eq(machine.hba[0].port[2].clb, 0x7000 + 2 * 0x400); /* the other one is not held */
}
END_TEST

START_TEST(nothing_found)
{
    ck_assert_int_eq(find(), E_NODISK); /* no controller */
    ck_assert_uint_eq(report.controllers, 0);
    machine_add_hba(0, AHCI_0, true);
    machine_add_ide(IDE, false);
    ck_assert_int_eq(find(), E_NODISK); /* two, without disks */
    ck_assert_uint_eq(report.controllers, 2);
    ahci_disk(0, 0, true, 0);
    ck_assert_int_eq(find(), E_NOSTORE);
    ck_assert_int_eq(report.store.kind, DISK_NONE);
    ck_assert_int_eq(reopen(), E_NOSTORE);
    ck_assert_int_eq(disk_find_store("gpt:x", &part, &report), E_NOSTORE);
    ck_assert_int_eq(disk_find_store("gpt:", &part, &report), E_OPTION);
    ck_assert_int_eq(disk_find_store("", &part, &report), E_OPTION);
}
END_TEST

/* First of all tests: pages are allocated once. */
START_TEST(pool_empty)
{
    machine_add_hba(0, AHCI_0, true);
    ahci_disk(0, 0, true, 512);
    for (size_t limit = 0; limit < 2; limit++) {
        env_pool_limit = limit;
        ck_assert_int_eq(find(), E_NOMEM);
        ck_assert_uint_eq(machine.hba[0].port[0].disk.commands, 0);
    }
    env_pool_limit = 1;
    ck_assert_int_eq(find(), E_OK);
}
END_TEST

START_TEST(reopen_is_cheap_when_nothing_happened)
{
    machine_add_hba(0, AHCI_0, true);
    struct model_disk *d = ahci_disk(0, 0, true, 512);
    ck_assert_int_eq(find(), E_OK);
    unsigned before = d->commands;
    ck_assert_int_eq(reopen(), E_OK);
    ck_assert_uint_eq(d->commands, before + 1); /* the MBR */
    ck_assert_uint_eq(machine.hba[0].port[0].comresets, 0);
}
END_TEST

START_TEST(reopen_after_others_had_the_port)
{
    machine_add_hba(0, AHCI_0, true);
    struct model_disk *d = ahci_disk(0, 0, true, 512);
    struct model_port *p = &machine.hba[0].port[0];
    ck_assert_int_eq(find(), E_OK);
    static uint8_t data[512] ALIGNED(4096);
    for (int i = 0; i < 8; i++) {
        switch (i) {
        case 0: /* another driver's memory, interrupts on */
            p->cmd = 0x16;
            p->clb = 0x9000;
            p->fb = 0x9400;
            p->ie = 0x7840007F;
            p->cmd = 0xC017;
            break;
        case 1:
            machine.hba[0].ghc |= 2;
            break;
        case 2:
            machine.pci[FIRST].config[4] = 0;
            break;
        case 3: /* port stopped */
            p->cmd = 0x6;
            break;
        case 4: /* HBA reset */
            machine.hba[0].ghc = 0;
            p->cmd = 6;
            p->clb = p->fb = p->ie = 0;
            break;
        case 5: /* a link bounce */
            port_plug(p);
            break;
        case 6:
            p->stuck_busy = true;
            break;
        case 7: /* a command left running */
            p->ci = 1;
            break;
        }
        ck_assert_msg(reopen() == E_OK, "case %d", i);
        ck_assert_int_eq(block_read(&part, 0, 1, data), E_OK);
        ck_assert_uint_eq(pci_read(AHCI_0, PCI_COMMAND, 2) & 6, 6);
        ck_assert_uint_eq(p->ie, 0);
        ck_assert_uint_eq(machine.hba[0].ghc, 0x80000000);
    }
    ck_assert_uint_eq(d->writes, 0);
    p->clb = 0;
    p->cmd = 6;
    memcpy(d->serial, "ANOTHER DISK        ", 20);
    ck_assert_int_eq(reopen(), E_GONE);
    memcpy(d->serial, "MODEL0001           ", 20);
    ck_assert_int_eq(reopen(), E_OK);
    memset(machine.pci[FIRST].config + 0x24, 0, 4);
    ck_assert_int_eq(reopen(), E_GONE);
}
END_TEST

START_TEST(reopen_notices_a_moved_partition)
{
    machine_add_ide(IDE, false);
    struct model_disk *d = ide_disk(0, true, 512);
    ck_assert_int_eq(find(), E_OK);
    ck_assert_int_eq(reopen(), E_OK);
    partitions(d, true, 513);
    ck_assert_int_eq(reopen(), E_NOSTORE);
    d->image[510] = 0;
    ck_assert_int_eq(reopen(), E_NOSTORE);
    partitions(d, true, 512);
    ck_assert_int_eq(reopen(), E_OK);
    machine.ide[0].stuck_busy = true;
    machine.pci[FIRST].config[4] = 0;
    ck_assert_int_eq(reopen(), E_OK);
    ck_assert_uint_ge(machine.ide[0].resets, 1);
    memset(machine.pci[FIRST].config + 0x20, 0, 4);
    ck_assert_int_eq(reopen(), E_GONE);
}
END_TEST

START_TEST(release_gives_the_controller_back)
{
    machine_add_hba(0, AHCI_0, true);
    ahci_disk(0, 0, true, 512);
    ck_assert_int_eq(find(), E_OK);
    disk_release();
    ck_assert_uint_eq(machine.hba[0].port[0].clb, 0x7000);
    ck_assert_uint_eq(machine.hba[0].ghc, 0x80000002);
    ck_assert_int_eq(reopen(), E_NOSTORE);
    ck_assert_int_eq(find(), E_OK);
}
END_TEST

START_TEST(policy)
{
    const struct {
        uint32_t disks, stores;
        bool ours;
    } rows[] = {{0, 0, false}, {1, 0, false}, {1, 1, true},
                {3, 1, false}, {3, 3, true},  {0x80000001u, 0x80000000u, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct disk_controller c = {.disks = rows[i].disks, .stores = rows[i].stores};
        ck_assert_int_eq(disk_controller_ours(&c), rows[i].ours);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("disk");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, pool_empty);
    tcase_add_test(t, bochs_like);
    tcase_add_test(t, store_controller_beside_the_guests);
    tcase_add_test(t, shared_controller);
    tcase_add_test(t, disk_that_cannot_be_read_makes_it_shared);
    tcase_add_test(t, two_stores_on_one_controller);
    tcase_add_test(t, nothing_found);
    tcase_add_test(t, reopen_is_cheap_when_nothing_happened);
    tcase_add_test(t, reopen_after_others_had_the_port);
    tcase_add_test(t, reopen_notices_a_moved_partition);
    tcase_add_test(t, release_gives_the_controller_back);
    tcase_add_test(t, policy);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("disk", suite)
