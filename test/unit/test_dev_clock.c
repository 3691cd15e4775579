/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock plan: monotone, and all clocks agree, whatever the hardware and whichever counter wraps. */
/* UNITS: ckpt/dev_clock.c ckpt/dev_common.c */
#include "bits.h"
#include "ckpt/dev_clock.h"
#include "unit.h"

#include <string.h>

static const uint64_t tsc_rates[] = {1000000, 60000000, 1193182123, 3600000001ull, 16000000000ull};
static const uint32_t hpet_periods[] = {100000000, 69841279, 10000000, 100000};
static const uint8_t pm_widths[] = {24, 32};
static const uint8_t hpet_widths[] = {32, 64};
static char why[200];

static uint64_t rng = 88172645463325252ull;

static uint64_t rnd(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    return rng ^= rng << 17;
}

static struct dev_clock_sample sample(unsigned r, unsigned h, unsigned p, unsigned w)
{
    struct dev_clock_sample s = {.tsc_hz = tsc_rates[r],
                                 .hpet_period_fs = hpet_periods[h],
                                 .pm_bits = pm_widths[p],
                                 .hpet_bits = hpet_widths[w],
                                 .hpet_running = 1};
    s.tsc = rnd() % (s.tsc_hz * 100000000); /* up to three years: a 10 GHz HPET would wrap after 58 */
    s.hpet = s.hpet_bits == 32 ? (uint32_t)rnd() : rnd() >> 4;
    s.pm = (uint32_t)rnd() & (uint32_t)MASK(s.pm_bits - 1, 0);
    return s;
}

/* Time as the guest sees it pass, in picoseconds, by each clock. */
static __int128 pm_ps(uint64_t ticks)
{
    return ((__int128)ticks) * 1000000000000ll / PM_TIMER_HZ;
}

START_TEST(cold_all_clocks_agree)
{
    for (unsigned n = 0; n < 40000; n++) {
        unsigned r = n % 5, h = n / 5 % 4, p = n / 20 % 2, w = n / 40 % 2;
        struct dev_clock_sample cut = sample(r, h, p, w), now = sample(r, h, p, w);
        struct dev_clock_plan plan;
        ck_assert_int_eq(dev_clock_plan(&cut, &now, false, &plan, why, sizeof why), E_OK);
        ck_assert(plan.set_tsc && plan.set_hpet && plan.valid);
        uint64_t phase = (now.pm - cut.pm) & MASK(23, 0); /* a longer one is read so, too */
        ck_assert_uint_ge(plan.tsc, cut.tsc);
        __int128 want = pm_ps(phase);
        __int128 tsc = ((__int128)(plan.tsc - cut.tsc)) * 1000000000000ll / (int64_t)cut.tsc_hz;
        __int128 hpet_mod = (plan.hpet - cut.hpet) & plan.hpet_mask;
        __int128 hpet_want = want * 1000 / cut.hpet_period_fs;
        if (cut.hpet_bits == 32)
            hpet_want &= 0xffffffffll;
        /* One tick of the coarsest clock. */
        __int128 tick = pm_ps(1) + 1 + 1000000000000ll / (int64_t)cut.tsc_hz;
        ck_assert(tsc <= want && want - tsc <= tick);
        __int128 off = hpet_want - hpet_mod;
        ck_assert(off >= -1 && off <= 1);
        ck_assert(plan.advance_us <= (uint64_t)(want / 1000000) + 1 &&
                  plan.advance_us + 1 >= (uint64_t)(want / 1000000));
    }
}
END_TEST

START_TEST(in_place_touches_nothing_that_kept_step)
{
    struct dev_clock_sample cut = sample(3, 2, 0, 1), now = cut;
    struct dev_clock_plan plan;
    now.tsc += cut.tsc_hz * 3440;
    now.hpet += 100000000ull * 3440 + 5000;
    now.pm = 17;
    ck_assert_int_eq(dev_clock_plan(&cut, &now, true, &plan, why, sizeof why), E_OK);
    ck_assert(!plan.set_tsc && !plan.set_hpet);
    ck_assert_uint_eq(plan.tsc, now.tsc);
    ck_assert_uint_eq(plan.hpet, now.hpet);
    ck_assert_uint_eq(plan.advance_us / 1000000, 3440);
    ck_assert_uint_eq(dev_clock_tsc_at(&plan, now.tsc + 1234), now.tsc + 1234);
    ck_assert_uint_eq(dev_clock_hpet_at(&plan, now.tsc + cut.tsc_hz), now.hpet + 100000000);
}
END_TEST

START_TEST(in_place_32_bit_hpet_wraps)
{
    struct dev_clock_sample cut = sample(3, 2, 1, 0), now = cut;
    struct dev_clock_plan plan;
    cut.hpet = now.hpet = 0xfffffff0;
    now.tsc += cut.tsc_hz;
    now.hpet = (uint32_t)(cut.hpet + 100000000);
    ck_assert_int_eq(dev_clock_plan(&cut, &now, true, &plan, why, sizeof why), E_OK);
    ck_assert(!plan.set_hpet);
    ck_assert_uint_eq(dev_clock_hpet_at(&plan, now.tsc + cut.tsc_hz * 50), (uint32_t)(now.hpet + 5000000000ull));
}
END_TEST

START_TEST(in_place_no_long_step_in_32_bits)
{
    unsigned set = 0;
    for (unsigned n = 0; n < 40000; n++) {
        struct dev_clock_sample cut = sample(3, 2, 0, n & 1), now = cut;
        struct dev_clock_plan plan;
        uint64_t ms = rnd() % (n & 2 ? 20000000 : 60000), moved = 100000 * ms;
        now.tsc += cut.tsc_hz / 1000 * ms;
        now.hpet = (now.hpet + moved) & MASK(cut.hpet_bits - 1, 0);
        ck_assert_int_eq(dev_clock_plan(&cut, &now, true, &plan, why, sizeof why), E_OK);
        ck_assert_uint_eq(plan.tsc, now.tsc);
        ck_assert_uint_eq(plan.set_hpet, (uint32_t)moved >> 30 != 0);
        uint32_t step = (uint32_t)(plan.hpet - cut.hpet);
        ck_assert_uint_lt(step, BIT(30));
        ck_assert_uint_le(step, moved);
        ck_assert(cut.hpet_bits == 32 || (plan.hpet - cut.hpet) >> 32 == moved >> 32);
        set += plan.set_hpet;
    }
    ck_assert_uint_gt(set, 10000);
    ck_assert_uint_lt(set, 39000);
}
END_TEST

START_TEST(in_place_hpet_reset_or_stopped_is_set)
{
    for (unsigned running = 0; running < 2; running++) {
        struct dev_clock_sample cut = sample(3, 2, 0, 1), now = cut;
        struct dev_clock_plan plan;
        now.tsc += cut.tsc_hz * 10;
        now.hpet = running ? 5 : cut.hpet + 1000000000;
        now.hpet_running = (uint8_t)running;
        ck_assert_int_eq(dev_clock_plan(&cut, &now, true, &plan, why, sizeof why), E_OK);
        ck_assert(!plan.set_tsc && plan.set_hpet);
        ck_assert_uint_eq(plan.hpet, cut.hpet + 1000000000);
    }
    struct dev_clock_sample cut = sample(3, 2, 0, 1), now = cut;
    struct dev_clock_plan plan;
    now.tsc += 10;
    now.hpet -= 5; /* well within the drift that is tolerated, but backwards */
    ck_assert_int_eq(dev_clock_plan(&cut, &now, true, &plan, why, sizeof why), E_OK);
    ck_assert(plan.set_hpet);
    ck_assert_uint_ge(plan.hpet, cut.hpet);
    cut.hpet_running = 0; /* the guest had it stopped: it stays where it was */
    now = cut;
    now.tsc += cut.tsc_hz;
    now.hpet_running = 1;
    for (unsigned same = 0; same < 2; same++) {
        ck_assert_int_eq(dev_clock_plan(&cut, &now, same, &plan, why, sizeof why), E_OK);
        ck_assert(plan.set_hpet);
        ck_assert_uint_eq(dev_clock_hpet_at(&plan, now.tsc + cut.tsc_hz), cut.hpet);
    }
}
END_TEST

START_TEST(never_backwards)
{
    for (unsigned n = 0; n < 40000; n++) {
        unsigned same = n & 1;
        struct dev_clock_sample cut = sample(n % 5, n % 4, n / 2 % 2, 1), now = sample(n % 5, n % 4, n / 2 % 2, 1);
        struct dev_clock_plan plan;
        ck_assert_int_eq(dev_clock_plan(&cut, &now, same, &plan, why, sizeof why), E_OK);
        uint64_t later = now.tsc + rnd() % 1000000;
        ck_assert_uint_ge(dev_clock_tsc_at(&plan, later), cut.tsc);
        ck_assert_uint_ge(dev_clock_hpet_at(&plan, later), cut.hpet);
        ck_assert_uint_eq(plan.set_tsc, !same || now.tsc < cut.tsc);
    }
}
END_TEST

START_TEST(after_the_tsc_is_written_it_is_the_reference)
{
    struct dev_clock_sample cut = sample(3, 2, 0, 1), now = sample(3, 2, 0, 1);
    struct dev_clock_plan plan;
    ck_assert_int_eq(dev_clock_plan(&cut, &now, false, &plan, why, sizeof why), E_OK);
    uint64_t before = dev_clock_hpet_at(&plan, now.tsc + 1000000), tsc = dev_clock_tsc_at(&plan, now.tsc + 1000000);
    dev_clock_tsc_written(&plan);
    ck_assert_uint_eq(dev_clock_hpet_at(&plan, tsc), before);
    ck_assert_uint_eq(dev_clock_tsc_at(&plan, tsc), tsc);
}
END_TEST

START_TEST(no_hpet_no_pm_timer)
{
    struct dev_clock_sample cut = {.tsc = 500, .tsc_hz = 1000000000}, now = {.tsc = 7, .tsc_hz = 999999999};
    struct dev_clock_plan plan;
    ck_assert_int_eq(dev_clock_plan(&cut, &now, false, &plan, why, sizeof why), E_OK);
    ck_assert_uint_eq(plan.tsc, 500);
    ck_assert(!plan.set_hpet);
    ck_assert_uint_eq(dev_clock_hpet_at(&plan, 1000), 0);
}
END_TEST

START_TEST(other_hardware_and_odd_states_are_refused)
{
    struct dev_clock_sample cut = sample(3, 2, 0, 1), now = cut;
    struct dev_clock_plan plan;
    now.pm_bits = 32;
    ck_assert_int_eq(dev_clock_plan(&cut, &now, true, &plan, why, sizeof why), E_LAYOUT);
    now = cut, now.hpet_period_fs = 69841279;
    ck_assert_int_eq(dev_clock_plan(&cut, &now, true, &plan, why, sizeof why), E_LAYOUT);
    struct dev_clock_state good = {.head = DEV_HEAD(DEV_CLOCK_VERSION, struct dev_clock_state), .cut = cut}, bad;
    ck_assert_int_eq(dev_clock_check(&good, why, sizeof why), E_OK);
    bad = good, bad.head.version = 2;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_STOREVERSION);
    bad = good, bad.head.bytes--;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.tsc_hz = 0;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.tsc_hz = ~0ull;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.hpet_period_fs = 100000001;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.hpet_period_fs = 1;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.hpet_bits = 48;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.pm_bits = 25;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.pm = 1u << 24;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    bad = good, bad.cut.hpet_period_fs = 0;
    ck_assert_int_eq(dev_clock_check(&bad, why, sizeof why), E_DEVICE);
    char text[200];
    dev_clock_show(&good, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "tsc "));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dev_clock");
    TCase *c = tcase_create("all");
    tcase_add_test(c, cold_all_clocks_agree);
    tcase_add_test(c, in_place_touches_nothing_that_kept_step);
    tcase_add_test(c, in_place_32_bit_hpet_wraps);
    tcase_add_test(c, in_place_no_long_step_in_32_bits);
    tcase_add_test(c, in_place_hpet_reset_or_stopped_is_set);
    tcase_add_test(c, never_backwards);
    tcase_add_test(c, after_the_tsc_is_written_it_is_the_reference);
    tcase_add_test(c, no_hpet_no_pm_timer);
    tcase_add_test(c, other_hardware_and_odd_states_are_refused);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("dev_clock", suite)
