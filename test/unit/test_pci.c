/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration access, enumeration and BARs against the machine model. */
/* UNITS: drivers/pci.c test/unit/model_machine.c test/unit/model_disk.c */
#include "drivers/pci.h"
#include "io.h"
#include "model_machine.h"
#include "unit.h"

#include <string.h>

static uint8_t *config;

static void setup(void)
{
    machine_reset();
    machine_pci_add(PCI_BDF(0, 31, 0), 0x8086, 0x2918, 0x060100, 0x80);
    config = machine_pci_add(PCI_BDF(0, 31, 2), 0x8086, 0x2922, 0x010601, 0x80);
    for (unsigned i = 0x40; i < 256; i++)
        config[i] = (uint8_t)(i ^ 0x5A);
}

START_TEST(widths_and_lanes)
{
    const uint16_t bdf = PCI_BDF(0, 31, 2);
    for (uint16_t reg = 0x40; reg < 256; reg++)
        for (unsigned bytes = 1; bytes <= 4; bytes *= 2) {
            uint32_t want = 0;
            if (reg % bytes) {
                ck_assert_uint_eq(pci_read(bdf, reg, bytes), UINT32_MAX);
                continue;
            }
            memcpy(&want, config + reg, bytes);
            ck_assert_uint_eq(pci_read(bdf, reg, bytes), want);
            pci_write(bdf, reg, bytes, ~want);
            uint32_t now = 0;
            memcpy(&now, config + reg, bytes);
            ck_assert_uint_eq(now, ~want & (uint32_t)((1ull << (8 * bytes)) - 1));
        }
}
END_TEST

START_TEST(misuse_touches_nothing)
{
    uint8_t before[256];
    memcpy(before, config, 256);
    machine.cf8 = 0x80001234;
    static const struct {
        uint16_t reg;
        unsigned bytes;
    } bad[] = {{256, 1}, {256, 4}, {0xFFFF, 1}, {0x41, 2}, {0x42, 4}, {0x40, 0}, {0x40, 3}, {0x40, 8}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_uint_eq(pci_read(PCI_BDF(0, 31, 2), bad[i].reg, bad[i].bytes), UINT32_MAX);
        pci_write(PCI_BDF(0, 31, 2), bad[i].reg, bad[i].bytes, 0);
    }
    ck_assert_int_eq(memcmp(before, config, 256), 0);
    ck_assert_uint_eq(machine.cf8, 0x80001234);
}
END_TEST

START_TEST(config_address_is_the_guests)
{
    static const uint32_t values[] = {0, 0x80001234, 0xFFFFFFFC, 0x8000F8C0};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct pci_function out[5];
        machine.cf8 = values[i];
        pci_read(PCI_BDF(0, 31, 2), 0x40, 4);
        ck_assert_uint_eq(machine.cf8, values[i]);
        pci_write(PCI_BDF(0, 31, 2), 0x40, 1, 7);
        ck_assert_uint_eq(machine.cf8, values[i]);
        pci_scan(out, 4);
        ck_assert_uint_eq(machine.cf8, values[i]);
    }
}
END_TEST

START_TEST(scan_finds_every_bus)
{
    struct pci_function out[8];
    machine_pci_add(PCI_BDF(0, 31, 5), 0x8086, 0x1111, 0x018000, 0);   /* function of a multi-function device */
    machine_pci_add(PCI_BDF(3, 0, 0), 0x1B36, 0x000D, 0x0C0330, 0);    /* behind a bridge */
    machine_pci_add(PCI_BDF(0x80, 2, 0), 0x1234, 0x5678, 0x010601, 0); /* another root bus */
    machine_pci_add(PCI_BDF(0, 4, 3), 0x1234, 0x9999, 0, 0); /* function 3 without a function 0: not a device */
    memset(out, 0xEE, sizeof out);
    ck_assert_uint_eq(pci_scan(out, 8), 6);
    ck_assert_uint_eq(out[0].bdf, 0);
    ck_assert_uint_eq(out[0].class_code, 0x060000);
    ck_assert_uint_eq(out[3].bdf, PCI_BDF(0, 31, 5));
    ck_assert_uint_eq(out[5].bdf, PCI_BDF(0x80, 2, 0));
    ck_assert_uint_eq(out[5].vendor, 0x1234);
    ck_assert_uint_eq(out[5].device, 0x5678);
    ck_assert_uint_eq(out[5].class_code, PCI_CLASS_SATA_AHCI);
    memset(out, 0xEE, sizeof out);
    ck_assert_uint_eq(pci_scan(out, 2), 6); /* says how many there are ... */
    ck_assert_uint_eq(out[2].bdf, 0xEEEE);  /* ... and stores no more than fit */
    ck_assert_uint_eq(pci_scan(NULL, 0), 6);
}
END_TEST

START_TEST(single_function_devices_are_not_probed_further)
{
    machine_reset();
    machine_pci_add(PCI_BDF(0, 2, 0), 1, 2, 0, 0);
    machine_pci_add(PCI_BDF(0, 2, 1), 1, 3, 0, 0); /* an alias: header type says single-function */
    ck_assert_uint_eq(pci_scan(NULL, 0), 2);
}
END_TEST

START_TEST(bars)
{
    const struct {
        uint32_t low, high;
        unsigned index;
        struct pci_bar want;
    } rows[] = {
        {0xFEBF0000, 0, 5, {false, false, 0xFEBF0000}},
        {0x0000C041, 0, 4, {true, false, 0xC040}},
        {0xFEBF0008, 0, 0, {false, false, 0xFEBF0000}},
        {0x0000000C, 0x00000038, 2, {false, true, 0x3800000000ull}},
        {0, 0, 1, {false, false, 0}},
        {0xFE000004, 1, 5, {false, false, 0xFE000000}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        memcpy(config + 0x10 + 4 * rows[i].index, &rows[i].low, 4);
        memcpy(config + 0x14 + 4 * rows[i].index, &rows[i].high, 4);
        struct pci_bar bar = pci_read_bar(PCI_BDF(0, 31, 2), rows[i].index);
        ck_assert_msg(bar.io == rows[i].want.io && bar.wide == rows[i].want.wide && bar.base == rows[i].want.base,
                      "row %zu", i);
    }
    ck_assert_uint_eq(pci_read_bar(PCI_BDF(0, 31, 2), 6).base, 0);
    ck_assert_uint_eq(pci_read_bar(PCI_BDF(9, 9, 0), 0).base, 0); /* nobody there */
}
END_TEST

static void put(unsigned at, uint32_t value)
{
    memcpy(config + at, &value, 4);
}

START_TEST(memory_on_a_page)
{
    const uint16_t bdf = PCI_BDF(0, 31, 2);
    put(0x10, 0xFEB00000); /* the last one of the six, one behind a wide one, ports, and half a page */
    put(0x14, 0x0000C041);
    put(0x18, 0x0000000C);
    put(0x1C, 0x00000038);
    put(0x20, 0xFEBF1800);
    put(0x24, 0xFEBF0000);
    ck_assert(pci_memory_begins_on(bdf, 0xFEB00000));
    ck_assert(pci_memory_begins_on(bdf, 0x3800000000ull));
    ck_assert(pci_memory_begins_on(bdf, 0xFEBF1000));
    ck_assert(pci_memory_begins_on(bdf, 0xFEBF0000));
    ck_assert(!pci_memory_begins_on(bdf, 0xFEBF2000));
    ck_assert(!pci_memory_begins_on(bdf, 0xC000));
    put(0x1C, 0xFEBF4000); /* an address's upper half, not a BAR */
    ck_assert(!pci_memory_begins_on(bdf, 0xFEBF4000));
    ck_assert(!pci_memory_begins_on(PCI_BDF(9, 9, 0), 0xFEB00000)); /* nobody there */
    config[PCI_HEADER_TYPE] = 0x81; /* a bridge: from its third BAR on these are bus numbers and windows */
    ck_assert(pci_memory_begins_on(bdf, 0xFEB00000));
    ck_assert(!pci_memory_begins_on(bdf, 0x3800000000ull) && !pci_memory_begins_on(bdf, 0xFEBF0000));
    put(0x14, 0xFEBF5000);
    ck_assert(pci_memory_begins_on(bdf, 0xFEBF5000));
    config[PCI_HEADER_TYPE] = 0x82;
    ck_assert(!pci_memory_begins_on(bdf, 0xFEBF5000));
    config[PCI_HEADER_TYPE] = 0x03; /* unknown */
    ck_assert(!pci_memory_begins_on(bdf, 0xFEB00000));
}
END_TEST

START_TEST(enabling)
{
    ck_assert_uint_eq(pci_enable(PCI_BDF(0, 31, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER), 0);
    ck_assert_uint_eq(config[4], 6);
    config[5] = 4;
    ck_assert_uint_eq(pci_enable(PCI_BDF(0, 31, 2), PCI_COMMAND_IO), 0x406);
    ck_assert_uint_eq(pci_read(PCI_BDF(0, 31, 2), PCI_COMMAND, 2), 0x407);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("pci");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, widths_and_lanes);
    tcase_add_test(t, misuse_touches_nothing);
    tcase_add_test(t, config_address_is_the_guests);
    tcase_add_test(t, scan_finds_every_bus);
    tcase_add_test(t, single_function_devices_are_not_probed_further);
    tcase_add_test(t, bars);
    tcase_add_test(t, memory_on_a_page);
    tcase_add_test(t, enabling);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("pci", suite)
