/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which registers of a network card a checkpoint keeps, and what it refuses. */
/* UNITS: ckpt/dev_e1000.c ckpt/dev_common.c */
#include "ckpt/dev_e1000.h"
#include "unit.h"

#include <string.h>

static const uint16_t devices[] = {E1000_82540EM, E1000_82545EM, E1000_82574L};

START_TEST(each_register_once_and_the_switches_last)
{
    uint16_t device = devices[_i];
    uint32_t n = dev_e1000_registers(device), rings = 0;
    ck_assert_uint_gt(n, 300);
    ck_assert_uint_le(n, DEV_E1000_REGISTERS);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = dev_e1000_register(device, i);
        ck_assert_uint_eq(at % 4, 0);
        ck_assert_uint_ne(at, 0xC0);            /* ICR: a read would take the guest's interrupts away */
        ck_assert(at < 0x4000 || at >= 0x4200); /* so it would the statistics */
        for (uint32_t j = 0; j < i; j++)
            ck_assert_uint_ne(at, dev_e1000_register(device, j));
        rings += at == E1000_RX_RING(0) + E1000_TAIL || at == E1000_TX_RING(0) + E1000_TAIL ||
                 at == E1000_RX_RING(1) + E1000_TAIL || at == E1000_TX_RING(1) + E1000_TAIL;
    }
    ck_assert_uint_eq(rings, device == E1000_82574L ? 4 : 2);
    ck_assert_uint_eq(dev_e1000_register(device, n - 3), E1000_RCTL);
    ck_assert_uint_eq(dev_e1000_register(device, n - 2), E1000_TCTL);
    ck_assert_uint_eq(dev_e1000_register(device, n - 1), E1000_IMS);
}
END_TEST

START_TEST(other_cards_are_refused)
{
    struct dev_e1000_state s = {
        .head = DEV_HEAD(DEV_E1000_VERSION, struct dev_e1000_state),
        .cards = 2,
        .card = {{.bdf = 0x10, .device = E1000_82540EM, .mapped = 1}, {.bdf = 0x18, .device = E1000_82574L}}};
    struct dev_e1000_state here = s;
    char why[128] = "";
    ck_assert_int_eq(dev_e1000_check(&s, &here, why, sizeof why), E_OK);
    dev_e1000_show(&s, why, sizeof why);
    ck_assert_ptr_nonnull(strstr(why, "2 network cards, 1 in use"));
    here.card[1].bdf = 0x20;
    ck_assert_int_eq(dev_e1000_check(&s, &here, why, sizeof why), E_LAYOUT);
    here = s;
    here.card[0].device = E1000_82545EM;
    ck_assert_int_eq(dev_e1000_check(&s, &here, why, sizeof why), E_LAYOUT);
    here = s;
    here.cards = 1;
    ck_assert_int_eq(dev_e1000_check(&s, &here, why, sizeof why), E_LAYOUT);
    here = s;
    s.cards = here.cards = DEV_E1000_CARDS + 1;
    ck_assert_int_eq(dev_e1000_check(&s, &here, why, sizeof why), E_DEVICE);
    s.cards = 2;
    s.zero = 1;
    ck_assert_int_eq(dev_e1000_check(&s, &here, why, sizeof why), E_DEVICE);
    s.head.version++;
    ck_assert_int_eq(dev_e1000_check(&s, &here, why, sizeof why), E_STOREVERSION);
    ck_assert(dev_e1000_known(0x8086, E1000_82574L) && !dev_e1000_known(0x8087, E1000_82574L) &&
              !dev_e1000_known(0x8086, 0x1533));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dev_e1000");
    TCase *c = tcase_create("registers");
    tcase_add_loop_test(c, each_register_once_and_the_switches_last, 0, (int)ARRAY_LEN(devices));
    tcase_add_test(c, other_cards_are_refused);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("dev_e1000", suite)
