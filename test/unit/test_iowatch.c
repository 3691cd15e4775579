/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest writes, and what the observer makes of it. */
/* UNITS: kernel/iowatch.c */
#include "kernel/iowatch.h"
#include "unit.h"

#include <string.h>

static unsigned listed;
static uint16_t ports[16];

static void on_port(uint16_t port)
{
    ports[listed++] = port;
}

static void out(uint16_t port, uint8_t value)
{
    iowatch_out(port, 1, value);
}

START_TEST(lists_ports_but_not_the_polled_ones)
{
    listed = 0;
    iowatch_ports(on_port);
    ck_assert_uint_eq(listed, 7);
    for (unsigned i = 0; i < listed; i++) {
        ck_assert_uint_ne(ports[i], 0x42);
        ck_assert_uint_ne(ports[i], 0x61);
    }
}
END_TEST

START_TEST(linux_initialises_the_pics)
{
    iowatch_reset();
    out(0x21, 0xff);
    ck_assert(!iowatch_state()->pic[0].seen);
    const uint16_t sequence[][2] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 0x04}, {0x21, 0x01},
                                    {0xA0, 0x11}, {0xA1, 0x38}, {0xA1, 0x02}};
    for (unsigned i = 0; i < 7; i++)
        out(sequence[i][0], (uint8_t)sequence[i][1]);
    const struct iowatch *w = iowatch_state();
    ck_assert(w->pic[0].seen && !w->pic[1].seen);
    ck_assert_uint_eq(w->pic[1].step, 4);
    ck_assert_uint_eq(w->pic[0].icw[1], 0x30);
    ck_assert_uint_eq(w->pic[0].icw[3], 1);
    out(0xA1, 0x03);
    ck_assert(w->pic[1].seen && !w->pic[1].step);
    ck_assert_uint_eq(w->pic[1].icw[3], 3);
    out(0xA1, 0xAA); /* a mask, not an ICW */
    ck_assert_uint_eq(w->pic[1].icw[3], 3);
    ck_assert(iowatch_valid(w));
}
END_TEST

START_TEST(short_sequences_without_icw3_or_icw4)
{
    iowatch_reset();
    out(0x20, 0x12); /* single, no ICW4 */
    out(0x21, 0x40);
    ck_assert(iowatch_state()->pic[0].seen);
    out(0x20, 0x13); /* single, ICW4 */
    out(0x21, 0x50);
    ck_assert_uint_eq(iowatch_state()->pic[0].step, 4);
    ck_assert_uint_eq(iowatch_state()->pic[0].icw[1], 0x40); /* the old one until the new is whole */
    out(0x21, 0x02);
    ck_assert_uint_eq(iowatch_state()->pic[0].icw[3], 2);
    out(0x20, 0x10); /* cascaded, no ICW4 */
    out(0x21, 0x60);
    out(0x21, 0x04);
    ck_assert(!iowatch_state()->pic[0].step);
    ck_assert_uint_eq(iowatch_state()->pic[0].icw[2], 4);
}
END_TEST

START_TEST(operation_words)
{
    const struct iowatch_pic *p = &iowatch_state()->pic[0];
    iowatch_reset();
    out(0x20, 0x0B);
    ck_assert(p->read_isr);
    out(0x20, 0x08); /* RR clear: no change */
    ck_assert(p->read_isr);
    out(0x20, 0x0A);
    ck_assert(!p->read_isr);
    out(0x20, 0x68);
    ck_assert(p->special_mask);
    out(0x20, 0x48);
    ck_assert(!p->special_mask);
    out(0x20, 0x80);
    ck_assert(p->rotate_aeoi);
    out(0x20, 0x00);
    ck_assert(!p->rotate_aeoi);
    out(0x20, 0xC3);
    ck_assert_uint_eq(p->lowest, 3);
    out(0x20, 0x60); /* specific EOI changes nothing */
    ck_assert_uint_eq(p->lowest, 3);
    out(0x20, 0xA0);
    ck_assert_uint_eq(p->lowest, 0xff);
    out(0x20, 0x11);
    ck_assert_uint_eq(p->lowest, 7);
}
END_TEST

START_TEST(pit_reload_in_every_byte_order)
{
    const struct iowatch_pit *p = &iowatch_state()->pit[0];
    iowatch_reset();
    out(0x40, 0x12); /* before any control word: not known */
    ck_assert(!p->reload_seen);
    out(0x43, 0x34);
    out(0x40, 0x9c);
    ck_assert(p->half && !p->reload_seen);
    out(0x43, 0x00); /* latch command: the half-written count is untouched */
    ck_assert(p->half);
    out(0x43, 0xC2); /* read-back: same */
    out(0x40, 0x2e);
    ck_assert_uint_eq(p->reload, 0x2e9c);
    ck_assert(p->reload_seen && !p->half);
    out(0x43, 0x14);
    ck_assert(!p->reload_seen);
    out(0x40, 0x77);
    ck_assert_uint_eq(p->reload, 0x77);
    out(0x43, 0x24);
    out(0x40, 0x77);
    ck_assert_uint_eq(p->reload, 0x7700);
    out(0x43, 0xB0); /* counter 2 */
    ck_assert(iowatch_state()->pit[2].control_seen);
    ck_assert_uint_eq(p->reload, 0x7700);
}
END_TEST

START_TEST(index_fifo_and_wide_writes)
{
    iowatch_reset();
    iowatch_out(0x70, 2, 0x558F); /* word write: index, then data */
    ck_assert(iowatch_state()->rtc_seen);
    ck_assert_uint_eq(iowatch_state()->rtc_index, 0x8F);
    out(0x3FA, 0xC7);
    ck_assert(iowatch_state()->fcr_seen[0] && !iowatch_state()->fcr_seen[1]);
    ck_assert_uint_eq(iowatch_state()->fcr[0], 0xC7);
    iowatch_out(0x20, 2, 0x3011); /* ICW1 and ICW2 in one */
    ck_assert_uint_eq(iowatch_state()->pic[0].step, 3);
    ck_assert_uint_eq(iowatch_state()->pic[0].pending[1], 0x30);
}
END_TEST

START_TEST(saved_state_comes_back_and_odd_ones_are_refused)
{
    iowatch_reset();
    out(0x20, 0x11);
    struct iowatch kept = *iowatch_state(), bad;
    iowatch_reset();
    ck_assert_uint_eq(iowatch_state()->pic[0].step, 0);
    iowatch_set(&kept);
    ck_assert(!memcmp(&kept, iowatch_state(), sizeof kept));
    ck_assert(iowatch_valid(&kept));
    bad = kept, bad.version++;
    ck_assert(!iowatch_valid(&bad));
    bad = kept, bad.pic[1].step = 5;
    ck_assert(!iowatch_valid(&bad));
    bad = kept, bad.pic[1].step = 1;
    ck_assert(!iowatch_valid(&bad));
    bad = kept, bad.pic[1].lowest = 8;
    ck_assert(!iowatch_valid(&bad));
    bad = kept, bad.pic[0].seen = 1;
    ck_assert(!iowatch_valid(&bad)); /* seen, but ICW1 lacks its mark */
    bad = kept, bad.pit[0].half = 2;
    ck_assert(!iowatch_valid(&bad));
    bad = kept, bad.pit[0].reload_seen = 1;
    ck_assert(!iowatch_valid(&bad));
    bad = kept, bad.fcr_seen[3] = 2;
    ck_assert(!iowatch_valid(&bad));
    bad = kept, bad.rtc_seen = 2;
    ck_assert(!iowatch_valid(&bad));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("iowatch");
    TCase *c = tcase_create("all");
    tcase_add_test(c, lists_ports_but_not_the_polled_ones);
    tcase_add_test(c, linux_initialises_the_pics);
    tcase_add_test(c, short_sequences_without_icw3_or_icw4);
    tcase_add_test(c, operation_words);
    tcase_add_test(c, pit_reload_in_every_byte_order);
    tcase_add_test(c, index_fifo_and_wide_writes);
    tcase_add_test(c, saved_state_comes_back_and_odd_ones_are_refused);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("iowatch", suite)
