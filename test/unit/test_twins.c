/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages that are the same: all of them are found in order, zero and unknown ones are not linked, and what was in the
   memory before, or a head table that is too small, makes no link that is not one of twins. */
/* UNITS: ckpt/twins.c ckpt/hash.c */
#include "ckpt/twins.h"
#include "unit.h"

#include <string.h>

#define PAGES 512u
#define HOLE_FIRST 200u
#define HOLE_END 260u

static uint8_t memory[PAGES][PAGE_BYTES] ALIGNED(64);
static struct hash128 hash[PAGES];
static uint32_t next[PAGES];
static uint32_t head[4 * PAGES];
static struct twins t;

static bool looked_at(unsigned page)
{
    return page < HOLE_FIRST || page >= HOLE_END;
}

/* Of 40 contents, number 0 is zero. */
static void fresh(unsigned seed)
{
    srand(seed);
    memset(next, 0x11, sizeof next); /* a link to page 0x11..., if it were believed */
    memset(hash, 0x11, sizeof hash);
    memset(head, 0x01, sizeof head);
    for (unsigned p = 0; p < PAGES; p++)
        memset(memory[p], rand() % 40, PAGE_BYTES);
}

static void look(unsigned page)
{
    hash[page] = memory[page][0] ? hash128(memory[page], PAGE_BYTES) : (struct hash128){0, 0};
    twins_look(&t, page);
}

static void look_at_all(size_t head_bytes, unsigned end)
{
    twins_begin(&t, hash, next, PAGES, head, head_bytes);
    for (unsigned p = 0; p < end; p++)
        if (looked_at(p))
            look(p);
}

static unsigned next_same(unsigned page, unsigned end)
{
    for (unsigned p = page + 1; p < end && memory[page][0]; p++)
        if (looked_at(p) && memory[p][0] == memory[page][0])
            return p;
    return 0;
}

START_TEST(each_leads_to_the_next)
{
    for (unsigned seed = 1; seed < 20; seed++) {
        unsigned end = seed % 2 ? PAGES : 300;
        fresh(seed);
        look_at_all(sizeof head, end);
        unsigned found = 0, there = 0;
        for (unsigned p = 0; p < PAGES; p++) {
            unsigned want = looked_at(p) && p < end ? next_same(p, end) : 0;
            uint64_t got = twins_next(&t, p);
            ck_assert_msg(got == want || got == 0, "page %u: %lu, not %u", p, got, want);
            there += want != 0;
            found += got != 0;
        }
        ck_assert_uint_gt(there, 150);
        ck_assert_uint_ge(found, there * 9 / 10); /* two hashes may share a head */
    }
}
END_TEST

START_TEST(a_small_head_finds_less_and_nothing_wrong)
{
    fresh(3);
    look_at_all(16, PAGES);
    for (unsigned p = 0; p < PAGES; p++) {
        uint64_t got = twins_next(&t, p);
        ck_assert(got == 0 || (got < PAGES && got > p && memory[got][0] == memory[p][0]));
    }
}
END_TEST

START_TEST(unknown_and_zero_are_alone)
{
    fresh(5);
    memset(memory[7], 0, PAGE_BYTES);
    memset(memory[9], 0, PAGE_BYTES);
    memset(memory[20], 0x55, PAGE_BYTES);
    memset(memory[21], 0x55, PAGE_BYTES);
    memset(memory[22], 0x55, PAGE_BYTES);
    twins_begin(&t, hash, next, PAGES, head, sizeof head);
    for (unsigned p = 0; p < 30; p++)
        if (p != 21)
            look(p);
    ck_assert_uint_eq(twins_next(&t, 7), 0);
    ck_assert_uint_eq(twins_next(&t, 20), 22);
    ck_assert_uint_eq(twins_next(&t, 21), 0);
    ck_assert_uint_eq(twins_next(&t, 30), 0);    /* not looked at */
    ck_assert_uint_eq(twins_next(&t, PAGES), 0); /* not there */
    twins_begin(&t, hash, next, PAGES, head, sizeof head);
    ck_assert_uint_eq(twins_next(&t, 20), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("twins");
    TCase *c = tcase_create("twins");
    tcase_add_test(c, each_leads_to_the_next);
    tcase_add_test(c, a_small_head_finds_less_and_nothing_wrong);
    tcase_add_test(c, unknown_and_zero_are_alone);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("twins", suite)
