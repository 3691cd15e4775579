/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The byte ring: order, full, empty, counters that wrap, counters that were overwritten. */
/* UNITS: */
#include "kernel/ring.h"
#include "unit.h"

START_TEST(bytes_come_out_in_order)
{
    struct byte_ring r;
    uint8_t data[8] = {0}, byte;
    ring_init(&r, sizeof data);
    ck_assert(!ring_get(&r, data, &byte));
    /* Many rounds of different lengths, so that every position is crossed. */
    uint8_t in = 0, out = 0;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < round % 9; i++)
            ck_assert(ring_put(&r, data, in++));
        ck_assert_uint_eq(ring_used(&r), (uint32_t)(round % 9));
        while (ring_get(&r, data, &byte))
            ck_assert_uint_eq(byte, out++);
        ck_assert_uint_eq(in, out);
    }
}
END_TEST

START_TEST(full_refuses_and_keeps)
{
    struct byte_ring r;
    uint8_t data[4] = {0}, byte;
    ring_init(&r, sizeof data);
    for (uint8_t i = 0; i < 4; i++)
        ck_assert(ring_put(&r, data, i));
    ck_assert_uint_eq(ring_free(&r), 0);
    ck_assert(!ring_put(&r, data, 99));
    for (uint8_t i = 0; i < 4; i++) {
        ck_assert(ring_get(&r, data, &byte));
        ck_assert_uint_eq(byte, i);
    }
}
END_TEST

START_TEST(counters_wrap)
{
    struct byte_ring r;
    uint8_t data[16] = {0}, byte;
    ring_init(&r, sizeof data);
    r.head = r.tail = UINT32_MAX - 3;
    for (uint8_t i = 0; i < 16; i++)
        ck_assert(ring_put(&r, data, i));
    ck_assert(!ring_put(&r, data, 0));
    ck_assert_uint_eq(r.head, 12);
    for (uint8_t i = 0; i < 16; i++) {
        ck_assert(ring_get(&r, data, &byte));
        ck_assert_uint_eq(byte, i);
    }
    ck_assert(!ring_get(&r, data, &byte));
}
END_TEST

START_TEST(nonsense_counters_are_empty)
{
    struct byte_ring r;
    uint8_t data[16] = {0}, byte;
    ring_init(&r, sizeof data);
    r.head = 0x12345678;
    r.tail = 0x9abcdef0;
    ck_assert_uint_eq(ring_used(&r), 0);
    ck_assert(!ring_get(&r, data, &byte));
    ring_clear(&r);
    ck_assert(ring_put(&r, data, 7));
    ck_assert(ring_get(&r, data, &byte));
    ck_assert_uint_eq(byte, 7);
}
END_TEST

START_TEST(many_at_once)
{
    struct byte_ring r;
    uint8_t data[16] = {0}, out[40], in[16];
    uint8_t put = 0, got = 0;
    ring_init(&r, sizeof data);
    r.head = r.tail = UINT32_MAX - 40; /* counters wrap on the way */
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t n = i * 7 % 17, free_before = ring_free(&r);
        for (uint32_t k = 0; k < n; k++)
            in[k] = (uint8_t)(put + k);
        bool fits = ring_put_all(&r, data, in, n);
        ck_assert(fits == (n <= free_before));
        ck_assert_uint_eq(ring_free(&r), fits ? free_before - n : free_before);
        put = (uint8_t)(put + (fits ? n : 0));
        uint32_t used = ring_used(&r), max = i * 5 % 23, taken = ring_get_all(&r, data, out, max);
        ck_assert_uint_eq(taken, used < max ? used : max);
        for (uint32_t k = 0; k < taken; k++)
            ck_assert_uint_eq(out[k], got++);
    }
    r.head = r.tail + 17; /* makes no sense: empty */
    ck_assert_uint_eq(ring_get_all(&r, data, out, sizeof out), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ring");
    TCase *t = tcase_create("all");
    tcase_add_test(t, bytes_come_out_in_order);
    tcase_add_test(t, full_refuses_and_keeps);
    tcase_add_test(t, counters_wrap);
    tcase_add_test(t, nonsense_counters_are_empty);
    tcase_add_test(t, many_at_once);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("ring", suite)
