/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the next automatic checkpoint is due, and when it has to be a full one. */
/* UNITS: kernel/auto_plan.c ckpt/store.c ckpt/format.c ckpt/hash.c ckpt/seal.c ckpt/pages.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "kernel/auto_plan.h"
#include "unit.h"

START_TEST(next_is_in_step)
{
    ck_assert_uint_eq(auto_plan_next(1000, 1000, 30), 1030);
    ck_assert_uint_eq(auto_plan_next(1000, 1029, 30), 1030);
    ck_assert_uint_eq(auto_plan_next(1000, 1030, 30), 1060); /* one that took a period makes none at once */
    ck_assert_uint_eq(auto_plan_next(1000, 1030 + 7 * 30 + 5, 30), 1030 + 8 * 30);
    ck_assert_uint_eq(auto_plan_next(0, UINT64_MAX / 2, 1), UINT64_MAX / 2 + 1);
    for (uint64_t now = 5; now < 5000; now += 7) {
        uint64_t next = auto_plan_next(5, now, 100);
        ck_assert(next > now && next <= now + 100 && next % 100 == 5);
    }
}
END_TEST

START_TEST(taken_when_its_timer_came_or_was_lost)
{
    for (int native = 0; native < 2; native++) {
        ck_assert(!auto_plan_due(1000, 999, false, native));
        ck_assert(auto_plan_due(1000, 1000, false, native));
        ck_assert(auto_plan_due(1000, UINT64_MAX, false, native));
        ck_assert(!auto_plan_due(1000, 0, true, native));
        ck_assert(!auto_plan_due(1000, 1000, true, native)); /* on its way */
        ck_assert(!auto_plan_due(1000, 100000, true, native));
    }
    ck_assert(auto_plan_due(1000, 1000000, true, false));
    ck_assert(!auto_plan_due(1000, 1000000, true, true)); /* in a visit on behalf of something else */
}
END_TEST

START_TEST(chains_are_no_longer_than_keep)
{
    ck_assert(!auto_plan_full(0, 11)); /* nothing to build on: the saver sees that */
    ck_assert(!auto_plan_full(10, 11));
    ck_assert(auto_plan_full(11, 11));
    ck_assert(!auto_plan_full(15, 48));
    ck_assert(auto_plan_full(48, 48));
    ck_assert(!auto_plan_full(STORE_CHAIN_MAX, 10)); /* it is shortened */
    for (uint64_t keep = 2; keep <= 48; keep++)
        ck_assert(keep <= 10 ? auto_plan_most(keep) > keep && auto_plan_most(keep) < STORE_CHAIN_MAX
                             : !auto_plan_most(keep));
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("auto");
    TCase *c = tcase_create("all");
    tcase_add_test(c, next_is_in_step);
    tcase_add_test(c, taken_when_its_timer_came_or_was_lost);
    tcase_add_test(c, chains_are_no_longer_than_keep);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("auto", suite)
