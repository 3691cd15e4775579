/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An HPET as a model behind MMIO: 64- and 32-bit counter, periodic accumulators, writes in halves. */
/* UNITS: ckpt/dev_common.c ckpt/dev_clock.c ckpt/dev_hpet.c drivers/hpet.c */
#include "bits.h"
#include "drivers/hpet.h"
#include "io.h"
#include "unit.h"

#include <string.h>

#define BASE 0xfed00000u
#define TIMERS 3u
#define CAP64 (10000000ull << 32 | BIT(13) | (TIMERS - 1) << 8 | 1)
#define CAP32 (10000000ull << 32 | (TIMERS - 1) << 8 | 1)

static struct model {
    uint64_t cap, config, status, counter;
    struct {
        uint64_t config, comparator, fsb, period;
    } t[TIMERS];
} m;
static unsigned tick_comparator; /* after so many reads of a periodic comparator it moves on */
static bool stopped_periodic;
static uint64_t raw_tsc;
static char why[200], text[200];
static struct dev_hpet_state s, bad;

static uint64_t tsc(void)
{
    return raw_tsc;
}

static void half(uint64_t *r, bool high, uint32_t v)
{
    *r = high ? (uint32_t)*r | (uint64_t)v << 32 : (*r & ~MASK(31, 0)) | v;
}

uint32_t mmio_read32(hpa_t where)
{
    uint32_t reg = (uint32_t)(where.v - BASE);
    bool high = reg & 4;
    uint64_t v;
    ck_assert_uint_lt(reg, 0x400);
    switch (reg & ~7u) {
    case 0x00:
        v = m.cap;
        break;
    case 0x10:
        v = m.config;
        break;
    case 0x20:
        v = m.status;
        break;
    case 0xf0:
        v = m.counter;
        break;
    default: {
        uint32_t n = (reg - 0x100) / 0x20;
        ck_assert(reg >= 0x100 && n < TIMERS);
        switch (reg & 0x18) {
        case 0x00:
            v = m.t[n].config;
            break;
        case 0x08:
            v = m.t[n].comparator;
            if (m.t[n].config & HPET_TN_PERIODIC && !high && !stopped_periodic && ++tick_comparator % 5 == 0)
                v = m.t[n].comparator += m.t[n].period;
            break;
        default:
            ck_assert(m.t[n].config & HPET_TN_FSB_CAPABLE);
            v = m.t[n].fsb;
        }
    }
    }
    return (uint32_t)(high ? v >> 32 : v);
}

void mmio_write32(hpa_t where, uint32_t v)
{
    uint32_t reg = (uint32_t)(where.v - BASE), n = (reg - 0x100) / 0x20;
    bool high = reg & 4;
    switch (reg & ~7u) {
    case 0x00:
        return;
    case 0x10:
        half(&m.config, high, v);
        return;
    case 0x20:
        if (!high)
            m.status &= ~(uint64_t)v;
        return;
    case 0xf0:
        ck_assert(!(m.config & HPET_CONFIG_ENABLE)); /* never set while it runs */
        half(&m.counter, high, v);
        return;
    default:
        ck_assert(reg >= 0x100 && n < TIMERS);
    }
    switch (reg & 0x18) {
    case 0x00:
        ck_assert(!high);
        half(&m.t[n].config, false, v);
        return;
    case 0x08: {
        bool periodic = m.t[n].config & HPET_TN_PERIODIC, set = m.t[n].config & HPET_TN_VAL_SET;
        if (!periodic || set)
            half(&m.t[n].comparator, high, v);
        if (periodic)
            half(&m.t[n].period, high, v);
        m.t[n].config &= ~HPET_TN_VAL_SET;
        return;
    }
    default:
        half(&m.t[n].fsb, high, v);
    }
}

static void boot(bool wide)
{
    memset(&m, 0, sizeof m);
    memset(&s, 0, sizeof s);
    m.cap = wide ? CAP64 : CAP32;
    m.config = 3;
    m.counter = wide ? 0x1234567890 : 0xfffffff0;
    for (unsigned n = 0; n < TIMERS; n++)
        m.t[n].config = 0xf0ull << 32 | (wide ? HPET_TN_SIZE_64 : 0) | HPET_TN_FSB_CAPABLE | 2 << 9;
    m.t[0].config |= HPET_TN_INT_ENABLE;
    m.t[0].comparator = wide ? m.counter + 5000000 : (uint32_t)(m.counter + 5000000);
    m.t[1].comparator = 0xdead;
    m.t[1].fsb = 0xfee00000ull << 32 | 0x4041;
    env_clock_step_us = 1;
    stopped_periodic = false;
    hpet_init((hpa_t){BASE});
}

START_TEST(round_trip)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        boot(wide);
        struct model before = m;
        ck_assert(hpet_present() && hpet_running());
        ck_assert_uint_eq(hpet_counter(), m.counter);
        ck_assert_int_eq(hpet_capture(&s), E_OK);
        ck_assert(!memcmp(&before, &m, sizeof m));
        ck_assert_int_eq(dev_hpet_check(&s, hpet_capabilities(), why, sizeof why), E_OK);
        ck_assert_int_eq(hpet_quiesce(), E_OK);
        ck_assert(!(m.t[0].config & HPET_TN_INT_ENABLE) && m.config & HPET_CONFIG_ENABLE);
        m.config = 1, m.counter = 77, m.status = 7;
        for (unsigned n = 0; n < TIMERS; n++)
            m.t[n].config &= ~MASK(31, 1) | HPET_TN_SIZE_64 | HPET_TN_FSB_CAPABLE, m.t[n].comparator = ~0ull,
                                                                                   m.t[n].fsb = 9;
        if (!wide)
            for (unsigned n = 0; n < TIMERS; n++)
                m.t[n].config &= ~HPET_TN_SIZE_64;
        ck_assert_int_eq(hpet_restore(&s, NULL, tsc), E_OK);
        ck_assert(!memcmp(&before, &m, sizeof m));
    }
}
END_TEST

START_TEST(periodic_is_measured_and_set)
{
    boot(true);
    m.t[2].config |= HPET_TN_PERIODIC | HPET_TN_INT_ENABLE;
    m.t[2].period = 1000000;
    m.t[2].comparator = m.counter + 300000;
    ck_assert_int_eq(hpet_capture(&s), E_OK);
    ck_assert_uint_eq(s.timer[2].period, 1000000);
    struct model before = m;
    before.t[2].comparator = s.timer[2].comparator;
    m.t[2].period = 5, m.t[2].comparator = 6;
    stopped_periodic = true;
    ck_assert_int_eq(hpet_restore(&s, NULL, tsc), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m));
    memset(&s, 0, sizeof s);
    env_clock_step_us = 100; /* nothing moves: the wait is bounded */
    uint64_t start = env_clock_us;
    ck_assert_int_eq(hpet_capture(&s), E_OK);
    ck_assert_uint_lt(env_clock_us - start, 20000);
    ck_assert_uint_eq(s.timer[2].period, 0);
    ck_assert_uint_eq(dev_hpet_period(&s, 2) / 1000, 1000); /* 10 ms of 10 ns */
    dev_hpet_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "normalised"));
}
END_TEST

START_TEST(the_plan_moves_counter_and_comparators)
{
    boot(true);
    ck_assert_int_eq(hpet_capture(&s), E_OK);
    struct dev_clock_plan plan = {.valid = true,
                                  .set_tsc = true,
                                  .set_hpet = true,
                                  .raw_tsc = 1000,
                                  .tsc_hz = 1000000000,
                                  .hpet_mask = ~0ull,
                                  .hpet = s.counter + 1000000,
                                  .hpet_runs = true,
                                  .hpet_period_fs = 10000000};
    raw_tsc = 1000 + 1000000; /* 1 ms later: 100000 ticks */
    ck_assert_int_eq(hpet_restore(&s, &plan, tsc), E_OK);
    ck_assert_uint_eq(m.counter, s.counter + 1100000);
    ck_assert_uint_eq(m.t[0].comparator, s.timer[0].comparator); /* still ahead */
    plan.hpet = s.counter + 50000000;                            /* it was passed */
    ck_assert_int_eq(hpet_restore(&s, &plan, tsc), E_OK);
    ck_assert_uint_gt(m.t[0].comparator, m.counter);
    ck_assert_uint_le(m.t[0].comparator, m.counter + 20000);
    ck_assert_uint_eq(m.t[1].comparator, 0xdead); /* off: nobody waits */
}
END_TEST

START_TEST(comparators_never_lost)
{
    for (unsigned wide = 0; wide < 2; wide++)
        for (uint64_t left = 1; left < 4000000000ull; left = left * 3 + 1)
            for (uint64_t moved = 0; moved < 3000000000ull; moved = moved * 2 + 9999) {
                boot(wide);
                uint64_t mask = wide ? ~0ull : 0xffffffffull;
                m.t[0].comparator = (m.counter + left) & mask;
                ck_assert_int_eq(hpet_capture(&s), E_OK);
                uint64_t counter = (s.counter + moved) & mask;
                uint64_t ahead = (dev_hpet_comparator(&s, 0, counter) - counter) & mask;
                if (wide || left <= 0x7fffffff)
                    ck_assert_uint_le(ahead, left > 10001 ? left : 10001);
                s.timer[0].config |= HPET_TN_PERIODIC;
                s.timer[0].period = 1000003;
                ahead = (dev_hpet_comparator(&s, 0, counter) - counter) & mask;
                ck_assert_uint_gt(ahead, 0);
                ck_assert_uint_le(ahead, left > 1000003 + 10001 ? left : 1000003 + 10001);
                ck_assert_uint_eq(((dev_hpet_comparator(&s, 0, counter) - s.timer[0].comparator) & mask) % 1000003 *
                                      (wide || left + moved < 0xf0000000),
                                  0);
            }
    boot(true); /* behind the cut: has fired, must not fire again */
    m.t[0].comparator = m.counter - 5;
    ck_assert_int_eq(hpet_capture(&s), E_OK);
    ck_assert_uint_eq(dev_hpet_comparator(&s, 0, s.counter + 100000), s.counter - 5);
    s.timer[0].config |= HPET_TN_32_MODE; /* nor when the wide counter went round 32 bits meanwhile */
    ck_assert_uint_eq(dev_hpet_comparator(&s, 0, s.counter + BIT(33)), s.timer[0].comparator);
}
END_TEST

START_TEST(spare_timer)
{
    uint32_t lines;
    for (unsigned wide = 0; wide < 2; wide++) {
        boot(wide);
        m.t[2].comparator = 4711;
        struct model before = m;
        ck_assert(hpet_spare_timer(&lines));
        ck_assert_uint_eq(lines, 0xf0);
        hpet_spare_begin(7);
        ck_assert(hpet_spare_intact());
        uint64_t start = m.counter;
        /* In 32-bit mode it is not later than where the counter wraps, which interrupts as well: 16 ticks. */
        uint64_t us = hpet_spare_arm(1000000);
        ck_assert_uint_eq(us, wide ? 1000000 : 0);
        ck_assert_uint_eq(m.t[2].comparator, wide ? start + 100000000 : 0);
        ck_assert_uint_eq(m.t[2].config & MASK(31, 0) & ~(HPET_TN_SIZE_64 | HPET_TN_FSB_CAPABLE),
                          7u << 9 | HPET_TN_INT_ENABLE | (wide ? 0 : HPET_TN_32_MODE));
        ck_assert(!hpet_spare_due() && hpet_spare_intact());
        m.counter = wide ? start + 100000000 : 0;
        ck_assert(hpet_spare_due());
        if (wide) {
            m.counter = start + 99999999;
            ck_assert(!hpet_spare_due());
            m.counter = start + (1ull << 40); /* looked at late */
            ck_assert(hpet_spare_due());
            us = hpet_spare_arm(UINT64_MAX); /* a hop */
            ck_assert_uint_eq(us, 3600000000);
        } else {
            us = hpet_spare_arm(UINT64_MAX);
            ck_assert_uint_eq(us, 21474836);
        }
        ck_assert(!hpet_spare_due());
        m.t[2].comparator++;
        ck_assert(!hpet_spare_intact());
        m.t[2].comparator--;
        m.t[2].config ^= HPET_TN_INT_ENABLE;
        ck_assert(!hpet_spare_intact());
        m.t[2].config ^= HPET_TN_INT_ENABLE;
        m.config = 0;
        ck_assert(!hpet_spare_intact());
        m.config = before.config;
        ck_assert(hpet_spare_intact());
        hpet_spare_off();
        ck_assert(!(m.t[2].config & HPET_TN_INT_ENABLE) && hpet_spare_intact());
        hpet_spare_end();
        m.counter = before.counter;
        ck_assert(!memcmp(&before, &m, sizeof m));
        m.t[2].config |= HPET_TN_INT_ENABLE; /* the guest's */
        ck_assert(!hpet_spare_timer(&lines));
    }
}
END_TEST

START_TEST(refusals)
{
    boot(true);
    ck_assert_int_eq(hpet_capture(&s), E_OK);
    ck_assert_int_eq(dev_hpet_check(&s, CAP32, why, sizeof why), E_LAYOUT);
    bad = s, bad.capabilities &= MASK(31, 0);
    ck_assert_int_eq(dev_hpet_check(&bad, bad.capabilities, why, sizeof why), E_DEVICE);
    bad = s, bad.timer[3].config = 1;
    ck_assert_int_eq(dev_hpet_check(&bad, CAP64, why, sizeof why), E_DEVICE);
    bad = s, bad.timer[0].period = 5;
    ck_assert_int_eq(dev_hpet_check(&bad, CAP64, why, sizeof why), E_DEVICE);
    bad = s, bad.timer[0].config = HPET_TN_PERIODIC | HPET_TN_32_MODE, bad.timer[0].period = BIT(32);
    ck_assert_int_eq(dev_hpet_check(&bad, CAP64, why, sizeof why), E_DEVICE);
    bad = s, bad.head.version = 9;
    ck_assert_int_eq(dev_hpet_check(&bad, CAP64, why, sizeof why), E_STOREVERSION);
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("hpet");
    TCase *c = tcase_create("all");
    tcase_add_test(c, round_trip);
    tcase_add_test(c, periodic_is_measured_and_set);
    tcase_add_test(c, the_plan_moves_counter_and_comparators);
    tcase_add_test(c, comparators_never_lost);
    tcase_add_test(c, spare_timer);
    tcase_add_test(c, refusals);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("hpet", suite)
