/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network cards in a checkpoint: which registers, in which order, and which states are refused. */
/* UNITS: ckpt/dev_e1000.c ckpt/dev_common.c */
#include "bits.h"
#include "ckpt/dev_e1000.h"
#include "unit.h"

#include <string.h>

static const uint16_t cards[] = {0x100E, 0x100F, 0x10D3};
#define IS_82574(device) ((device) == 0x10D3)
#define SPACE 0x20000u

static char why[200], text[200];
static struct dev_e1000_state s, machine;

/* Its registers; those of index count and of all behind it are 0. */
static uint32_t registers(uint16_t device, uint32_t *reg)
{
    uint32_t count = 0;
    while (!count || dev_e1000_register(device, count)) {
        ck_assert_uint_lt(count, DEV_E1000_REGISTERS);
        reg[count] = dev_e1000_register(device, count);
        count++;
    }
    for (uint32_t i = count; i < 2 * DEV_E1000_REGISTERS; i++)
        ck_assert_uint_eq(dev_e1000_register(device, i), 0);
    return count;
}

static bool has(const uint32_t *reg, uint32_t count, uint32_t which)
{
    for (uint32_t i = 0; i < count; i++)
        if (reg[i] == which)
            return true;
    return false;
}

START_TEST(each_register_once_and_control_last)
{
    static bool seen[SPACE / 4];
    uint32_t reg[DEV_E1000_REGISTERS];
    uint32_t count = registers(cards[_i], reg);
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert(reg[i] % 4 == 0 && reg[i] < SPACE);
        ck_assert_msg(!seen[reg[i] / 4], "register %x twice", reg[i]);
        seen[reg[i] / 4] = true;
    }
    ck_assert_uint_eq(reg[0], 0); /* CTRL: speed and duplex before all else */
    ck_assert_uint_eq(reg[count - 3], 0x0100);
    ck_assert_uint_eq(reg[count - 2], 0x0400);
    ck_assert_uint_eq(reg[count - 1], 0x00D0); /* interrupts when all is as it was */
}
END_TEST

/* What a driver has set up once, and would miss. */
START_TEST(nothing_of_weight_is_missing)
{
    static const struct {
        uint32_t first, count;
    } all[] =
        {
            {0x2800, 3},   {0x2810, 1},  {0x2818, 1},   {0x2828, 1}, /* receive ring */
            {0x3800, 3},   {0x3810, 1},  {0x3818, 1},   {0x3828, 1}, /* transmit ring */
            {0x5200, 128}, {0x5400, 32}, {0x5600, 128},              /* filters */
            {0x0410, 1},   {0x1000, 1},  {0x5000, 1},   {0x00C4, 1}, /* TIPG, PBA, RXCSUM, ITR */
        },
      only_82574[] = {
          {0x2900, 3}, {0x2910, 1}, {0x2918, 1}, {0x3900, 3},  {0x3910, 1},  {0x3918, 1}, /* rings 1 */
          {0x00E4, 6}, {0x5008, 1}, {0x5818, 1}, {0x5C00, 32}, {0x5C80, 10}, /* IVAR, EITR, RFCTL, MRQC, RSS */
      };
    uint32_t reg[DEV_E1000_REGISTERS];
    uint32_t count = registers(cards[_i], reg);
    for (size_t r = 0; r < ARRAY_LEN(all); r++)
        for (uint32_t i = 0; i < all[r].count; i++)
            ck_assert_msg(has(reg, count, all[r].first + 4 * i), "no register %x", all[r].first + 4 * i);
    for (size_t r = 0; r < ARRAY_LEN(only_82574); r++)
        for (uint32_t i = 0; i < only_82574[r].count; i++)
            ck_assert(has(reg, count, only_82574[r].first + 4 * i) == IS_82574(cards[_i]));
    /* Read, these are not any more what they were (ICR), or they do something (EERD, MDIC, ICS, IMC). */
    static const uint32_t never[] = {0x00C0, 0x0014, 0x0020, 0x00C8, 0x00D8};
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        ck_assert(!has(reg, count, never[i]));
    for (uint32_t i = 0; i < count; i++)
        ck_assert_msg(reg[i] < 0x4000 || reg[i] >= 0x4100, "statistics %x are cleared by reads", reg[i]);
}
END_TEST

/* The 8254x have the registers of the 82574 that are no others', in the same order. */
START_TEST(a_list_is_part_of_the_longer_one)
{
    uint32_t reg[DEV_E1000_REGISTERS], longer[DEV_E1000_REGISTERS];
    uint32_t count = registers(cards[_i], reg), most = registers(0x10D3, longer), at = 0;
    for (uint32_t i = 0; i < most && at < count; i++)
        at += longer[i] == reg[at];
    ck_assert_uint_eq(at, count);
    ck_assert(count < most || IS_82574(cards[_i]));
}
END_TEST

START_TEST(known_cards)
{
    for (uint32_t device = 0; device <= UINT16_MAX; device++) {
        bool known = device == cards[0] || device == cards[1] || device == cards[2];
        ck_assert(dev_e1000_known(0x8086, (uint16_t)device) == known);
        ck_assert(!dev_e1000_known(0x15AD, (uint16_t)device));
    }
}
END_TEST

static void two_cards(void)
{
    memset(&machine, 0, sizeof machine);
    machine.head = DEV_HEAD(DEV_E1000_VERSION, struct dev_e1000_state);
    machine.cards = 2;
    machine.card[0] = (struct dev_e1000_card){.bdf = 0x18, .device = 0x100E};
    machine.card[1] = (struct dev_e1000_card){.bdf = 0x100, .device = 0x10D3};
    s = machine;
    why[0] = 0;
}

static enum err check(void)
{
    return dev_e1000_check(&s, &machine, why, sizeof why);
}

START_TEST(states_that_fit)
{
    two_cards();
    ck_assert_int_eq(check(), E_OK);
    s.card[1].mapped = 1;
    s.card[1].reg[5] = 77;
    s.card[3].bdf = 5; /* there is no such card */
    ck_assert_int_eq(check(), E_OK);
    ck_assert_str_eq(why, "");
    s.cards = machine.cards = 0;
    ck_assert_int_eq(check(), E_OK);
    s.cards = machine.cards = DEV_E1000_CARDS;
    s.card[3].bdf = 0;
    ck_assert_int_eq(check(), E_OK);
}
END_TEST

static const struct {
    size_t offset;
    uint16_t value;
    enum err e;
} refused[] = {
    {offsetof(struct dev_e1000_state, head.version), DEV_E1000_VERSION + 1, E_STOREVERSION},
    {offsetof(struct dev_e1000_state, head.bytes), sizeof(struct dev_e1000_state) - 4, E_DEVICE},
    {offsetof(struct dev_e1000_state, head.zero), 1, E_DEVICE},
    {offsetof(struct dev_e1000_state, zero), 1, E_DEVICE},
    {offsetof(struct dev_e1000_state, cards), DEV_E1000_CARDS + 1, E_DEVICE},
    {offsetof(struct dev_e1000_state, cards) + 2, 1, E_DEVICE},
    {offsetof(struct dev_e1000_state, cards), 1, E_LAYOUT},
    {offsetof(struct dev_e1000_state, cards), 3, E_LAYOUT},
    {offsetof(struct dev_e1000_state, card[0].bdf), 0x20, E_LAYOUT},
    {offsetof(struct dev_e1000_state, card[0].device), 0x100F, E_LAYOUT},
    {offsetof(struct dev_e1000_state, card[1].bdf), 0x20, E_LAYOUT},
    {offsetof(struct dev_e1000_state, card[1].device), 0x100E, E_LAYOUT},
};

START_TEST(states_that_are_refused)
{
    two_cards();
    memcpy((uint8_t *)&s + refused[_i].offset, &refused[_i].value, sizeof refused[_i].value);
    ck_assert_int_eq(check(), refused[_i].e);
    ck_assert(*why);
}
END_TEST

START_TEST(what_show_says)
{
    two_cards();
    s.cards = 3;
    s.card[1].mapped = s.card[2].mapped = s.card[3].mapped = 1;
    dev_e1000_show(&s, text, sizeof text);
    ck_assert_str_eq(text, "3 network cards, 2 in use; packets on their way are lost");
    s.cards = 1000; /* shown before it is checked */
    dev_e1000_show(&s, text, sizeof text);
    ck_assert_str_eq(text, "1000 network cards, 3 in use; packets on their way are lost");
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("dev_e1000");
    TCase *t = tcase_create("all");
    int n = (int)ARRAY_LEN(cards);
    tcase_add_loop_test(t, each_register_once_and_control_last, 0, n);
    tcase_add_loop_test(t, nothing_of_weight_is_missing, 0, n);
    tcase_add_loop_test(t, a_list_is_part_of_the_longer_one, 0, n);
    tcase_add_test(t, known_cards);
    tcase_add_test(t, states_that_fit);
    tcase_add_loop_test(t, states_that_are_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(t, what_show_says);
    suite_add_tcase(all, t);
    return all;
}

UNIT_MAIN("dev_e1000", suite)
