/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What share of the guest's time a checkpoint takes. */
/* UNITS: kernel/turns.c */
#include "kernel/turns.h"

#include "bits.h"
#include "unit.h"

#define STEP_US 700u /* an extent */
#define MIB (1ull << 20)
#define PATIENCE_US 60000000u

/* The host works in steps until `work_us` of it are done, and the guest uses all it gets; all the time that took. */
static uint64_t whole(uint32_t cpus, uint64_t patience_us, uint64_t work_us, uint64_t rate, uint64_t done_per_step)
{
    struct turns t;
    uint64_t now = 1000, done = 0, longest = 0, worked = 0;
    turns_begin(&t, now, cpus, patience_us);
    for (uint64_t at = 0; at < work_us; at += STEP_US) {
        now += STEP_US;
        worked += STEP_US;
        longest = max_u64(longest, worked);
        done += done_per_step;
        uint64_t pause = turns_pause(&t, now, done, rate, false);
        if (!pause)
            continue;
        turns_back(&t, now, now + pause);
        now += pause;
        worked = 0;
    }
    ck_assert_uint_le(longest, 5000 + STEP_US); /* the guest does not stand still for longer */
    return now - 1000;
}

START_TEST(no_more_than_a_tenth_of_all_cpus)
{
    for (uint32_t cpus = 1; cpus <= 64; cpus++) {
        uint64_t work = 1000000, all = whole(cpus, PATIENCE_US, work, 0, 0);
        ck_assert_uint_ge(all, 2 * work - 20000); /* half of the leading one */
        if (cpus >= 8)
            ck_assert_uint_le(all, 2 * work + 20000);
        ck_assert_uint_ge(all * cpus, 10 * work); /* but of all of them no more than that */
        ck_assert_uint_le(all, 17 * work);
    }
}
END_TEST

START_TEST(what_takes_long_ends)
{
    uint64_t work = 20000000, all = whole(1, PATIENCE_US, work, 0, 0);
    ck_assert_uint_ge(all, 60000000 + 2 * (work - 5000000));
    ck_assert_uint_le(all, 60000000 + 2 * work);
    all = whole(1, 0, work, 0, 0); /* somebody waits */
    ck_assert_uint_ge(all, 2 * work - 20000);
    ck_assert_uint_le(all, 2 * work + 20000);
}
END_TEST

START_TEST(a_rate_is_kept_where_it_is_slower)
{
    uint64_t steps = 100, all = whole(4, 0, steps * STEP_US, 10, MIB); /* 1 MiB takes 100 ms then */
    ck_assert_uint_ge(all, steps * 100000);
    ck_assert_uint_le(all, steps * 101000);
    ck_assert_uint_eq(whole(4, 0, steps * STEP_US, 1000000, 1) >= 2 * steps * STEP_US, true);
}
END_TEST

START_TEST(a_guest_that_gives_its_turn_back_costs_nothing)
{
    struct turns t;
    turns_begin(&t, 0, 1, PATIENCE_US);
    uint64_t now = 0;
    for (unsigned i = 0; i < 1000; i++) {
        now += STEP_US;
        ck_assert_uint_gt(turns_pause(&t, now, 0, 0, false), 0); /* it is asked each time */
        turns_back(&t, now, now);
    }
}
END_TEST

START_TEST(who_waits_is_asked_at_once)
{
    struct turns t;
    turns_begin(&t, 0, 1, PATIENCE_US);
    ck_assert_uint_gt(turns_pause(&t, STEP_US, 0, 0, false), 0);
    turns_back(&t, STEP_US, 3 * STEP_US);
    ck_assert_uint_eq(turns_pause(&t, 3 * STEP_US + 1, 0, 0, false), 0);
    ck_assert_uint_gt(turns_pause(&t, 3 * STEP_US + 2, 0, 0, true), 0);
    ck_assert_uint_gt(turns_pause(&t, 3 * STEP_US + 2, 0, 0, true), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("turns");
    TCase *c = tcase_create("all");
    tcase_add_test(c, no_more_than_a_tenth_of_all_cpus);
    tcase_add_test(c, what_takes_long_ends);
    tcase_add_test(c, a_rate_is_kept_where_it_is_slower);
    tcase_add_test(c, a_guest_that_gives_its_turn_back_costs_nothing);
    tcase_add_test(c, who_waits_is_asked_at_once);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("turns", suite)
