/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a virtio function has its structures: lists of capabilities, good and bad. */
/* UNITS: drivers/virtio.c drivers/pci.c test/unit/model_machine.c test/unit/model_disk.c */
#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "model_machine.h"
#include "unit.h"

#include <string.h>

#define BDF PCI_BDF(0, 3, 0)
enum { STATUS = 0x06, LIST = 0x34, BAR4 = 0x20, VENDOR = 9, COMMON = 1, DEVICE = 4 };

static uint8_t *config;

static void put32(unsigned at, uint32_t value)
{
    memcpy(config + at, &value, sizeof value);
}

static void capability(unsigned at, uint8_t id, unsigned next, uint8_t kind, uint8_t bar, uint32_t offset)
{
    const uint8_t head[] = {id, (uint8_t)next, 16, kind, bar};
    memcpy(config + at, head, sizeof head);
    put32(at + 8, offset);
}

static void setup(void)
{
    machine_reset();
    config = machine_pci_add(BDF, 0x1AF4, 0x1041, 0x020000, 0);
    config[STATUS] = 0x10;
    config[LIST] = 0x98;
    put32(BAR4, 0xFE00000C); /* 64 bits wide */
    put32(BAR4 + 4, 0x7);
    capability(0x98, 0x11, 0x84, COMMON, 0, 0); /* MSI-X, whatever it has in there */
    capability(0x84, VENDOR, 0x70, DEVICE, 4, 0x2000);
    capability(0x70, VENDOR, 0, COMMON, 4, 0x1000);
}

START_TEST(finds_the_structure)
{
    ck_assert_uint_eq(virtio_structure(BDF, COMMON), 0x7FE001000);
    ck_assert_uint_eq(virtio_structure(BDF, DEVICE), 0x7FE002000);
    ck_assert_uint_eq(virtio_structure(BDF, 2), 0);
    ck_assert_uint_eq(virtio_structure(PCI_BDF(0, 4, 0), COMMON), 0);
}
END_TEST

START_TEST(odd_lists_give_nothing)
{
    config[STATUS] = 0;
    ck_assert_uint_eq(virtio_structure(BDF, COMMON), 0);
    config[STATUS] = 0x10;
    config[LIST] = 0x9B; /* the low bits are reserved */
    ck_assert_uint_eq(virtio_structure(BDF, COMMON), 0x7FE001000);
    capability(0x84, VENDOR, 0x98, DEVICE, 4, 0); /* a circle */
    ck_assert_uint_eq(virtio_structure(BDF, COMMON), 0);
    setup();
    put32(BAR4, 0xC001); /* ports */
    ck_assert_uint_eq(virtio_structure(BDF, COMMON), 0);
    put32(BAR4, 0);
    put32(BAR4 + 4, 0);
    ck_assert_uint_eq(virtio_structure(BDF, COMMON), 0);
    config[0x70 + 4] = 200; /* no such register */
    ck_assert_uint_eq(virtio_structure(BDF, COMMON), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("virtio");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, finds_the_structure);
    tcase_add_test(t, odd_lists_give_nothing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("virtio", suite)
