/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copy-on-first-write against a memory whose owner writes at random while pages are taken: what is taken is the cut. */
/* UNITS: ckpt/cow.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "bits.h"
#include "ckpt/cow.h"
#include "unit.h"

#include <string.h>

#define PAGES 400u
#define HIDDEN_FIRST 100u
#define HIDDEN_PAGES 17u
#define HOLE_FIRST 160u
#define HOLE_END 200u
#define SLOTS 12u

static uint8_t memory[PAGES][PAGE_BYTES], cut[PAGES][PAGE_BYTES], got[PAGES][PAGE_BYTES];
static uint8_t settled[PAGES / 8 + 1], pool[SLOTS * PAGE_BYTES];
static uint64_t pool_page[SLOTS];
static unsigned times[PAGES];
static struct cow cow;
static struct ckpt_layout layout;
static int reads_fail;
static unsigned zeros; /* taken as such */

static const void *read_page(void *ctx, uint64_t page)
{
    ck_assert_ptr_eq(ctx, &cow);
    return reads_fail ? NULL : page_is_zero(memory[page]) ? (const void *)cow_zeros : memory[page];
}

static bool wanted(unsigned page)
{
    return (page < HIDDEN_FIRST || page >= HIDDEN_FIRST + HIDDEN_PAGES) && (page < HOLE_FIRST || page >= HOLE_END);
}

static void fresh(unsigned seed)
{
    srand(seed);
    for (unsigned p = 0; p < PAGES; p++)
        for (unsigned i = 0; i < PAGE_BYTES; i += 64)
            memory[p][i] = p % 5 ? (uint8_t)rand() : 0;
    memcpy(cut, memory, sizeof cut);
    memset(times, 0, sizeof times);
    memset(settled, 0xff, sizeof settled); /* what an earlier one left */
    layout = (struct ckpt_layout){
        .ram = {{0, HOLE_FIRST * PAGE_BYTES}, {HOLE_END * PAGE_BYTES, (PAGES - HOLE_END) * PAGE_BYTES}},
        .ram_count = 2,
        .hidden = {HIDDEN_FIRST * PAGE_BYTES, HIDDEN_PAGES * PAGE_BYTES}};
    cow = (struct cow){.settled = settled, .pages = PAGES, .pool = pool, .pool_page = pool_page, .slots = SLOTS};
    reads_fail = 0;
    cow_begin(&cow, &layout);
}

static enum err take(void)
{
    uint64_t page = 0;
    uint8_t to[PAGE_BYTES];
    const void *content;
    enum err e = cow_take(&cow, read_page, &cow, &page, to, &content);
    if (e)
        return e;
    ck_assert_uint_lt(page, PAGES);
    times[page]++;
    zeros += !content;
    ck_assert(!content || content == to);
    if (content)
        memcpy(got[page], to, PAGE_BYTES);
    else
        memset(got[page], 0, PAGE_BYTES);
    return E_OK;
}

static bool write_to(unsigned page)
{
    enum cow_keep k = cow_keep(&cow, page, memory[page]);
    if (k == COW_FULL)
        return false;
    ck_assert_int_eq(k, wanted(page) ? COW_KEPT : COW_FOREIGN);
    memory[page][rand() % (int)PAGE_BYTES] ^= 0x5a;
    return true;
}

static void all_is_the_cut(void)
{
    for (unsigned p = 0; p < PAGES; p++) {
        ck_assert_uint_eq(times[p], wanted(p));
        if (wanted(p))
            ck_assert(!memcmp(got[p], cut[p], PAGE_BYTES));
    }
}

START_TEST(taken_is_the_cut)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        fresh(seed);
        unsigned refused = 0, per_take = seed % 4;
        enum err e = E_OK;
        while (!e) {
            for (unsigned i = 0; i < per_take; i++)
                refused += !write_to((unsigned)rand() % PAGES);
            e = take();
        }
        ck_assert_int_eq(e, E_NOTFOUND);
        all_is_the_cut();
        ck_assert_uint_eq(cow.used, 0);
        ck_assert_uint_eq(cow.was_full, refused);
        ck_assert(per_take == 0 || cow.kept > 0);
        ck_assert_int_eq(take(), E_NOTFOUND);
    }
    ck_assert_uint_gt(zeros, 30);
}
END_TEST

START_TEST(full_pool_refuses_and_recovers)
{
    fresh(7);
    unsigned p = 0, kept = 0;
    while (kept < SLOTS)
        kept += write_to(p++);
    ck_assert(!write_to(p));
    ck_assert(write_to(0));            /* kept already */
    ck_assert(write_to(HIDDEN_FIRST)); /* none of ours */
    ck_assert_int_eq(cow_keep(&cow, PAGES, memory[0]), COW_FOREIGN);
    ck_assert_int_eq(take(), E_OK);
    ck_assert(write_to(p));
    ck_assert(!write_to(p + 1));
    while (!take())
        ;
    all_is_the_cut();
}
END_TEST

/* Twins are taken out of turn, and only if nobody has them and they are what they should be. */
START_TEST(the_same_one_is_taken_once)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        fresh(seed);
        enum err e = E_OK;
        unsigned same = 0;
        while (!e) {
            unsigned p = (unsigned)rand() % PAGES;
            bool untouched = wanted(p) && !memcmp(memory[p], cut[p], PAGE_BYTES) && !times[p] && cow_untouched(&cow, p);
            bool other = rand() % 2;
            const void *content = other ? memory[(p + 1) % PAGES] : cut[p];
            bool takes = cow_take_same(&cow, p, memory[p], content);
            ck_assert_int_eq(takes, untouched && !memcmp(content, memory[p], PAGE_BYTES));
            if (takes) {
                same++;
                times[p]++;
                memcpy(got[p], content, PAGE_BYTES);
                ck_assert(!cow_untouched(&cow, p));
            }
            (void)!write_to((unsigned)rand() % PAGES);
            e = take();
        }
        ck_assert_int_eq(e, E_NOTFOUND);
        ck_assert_uint_gt(same, 10);
        all_is_the_cut();
    }
    ck_assert(!cow_take_same(&cow, PAGES, memory[0], memory[0]));
    ck_assert(!cow_untouched(&cow, PAGES));
}
END_TEST

START_TEST(a_failed_read_is_told)
{
    fresh(9);
    reads_fail = 1;
    ck_assert_int_eq(take(), E_INTERNAL);
    ck_assert(write_to(3));
    ck_assert_int_eq(take(), E_OK); /* from the pool: no read */
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cow");
    TCase *t = tcase_create("cow");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, taken_is_the_cut);
    tcase_add_test(t, full_pool_refuses_and_recovers);
    tcase_add_test(t, the_same_one_is_taken_once);
    tcase_add_test(t, a_failed_read_is_told);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("cow", suite)
