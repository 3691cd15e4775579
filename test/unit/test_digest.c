/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image's digests: what was changed is found, the way out is put back, and two CPUs that open and close at once leave
   nothing that cannot be opened again, or that runs unchecked. */
#include "cpu.h"
#define cpu_read_cr0() 0ull
#define cpu_write_cr0(value) ((void)(value))
#include "kernel/digest.c"
#include "unit.h"

#define WORDS WORDS_PER_ROUND

static uint64_t part[IMAGE_PARTS][WORDS];
static bool executable;
enum { ALONE, BEFORE, AFTER };
static int other; /* when another CPU opens what this one is closing */

struct image_range paging_image_part(enum image_part p)
{
    return (struct image_range){part[p], part[p] + WORDS};
}

void paging_rest_executable(bool yes)
{
    int when = yes ? (int)ALONE : other;
    if (!yes)
        other = ALONE;
    if (when == BEFORE)
        ck_assert(digest_found_closed());
    executable = yes;
    if (when == AFTER)
        ck_assert(digest_found_closed());
}

void digest_aes(const struct image_range *ranges, uint64_t count, uint64_t with, struct digest_value *out)
{
    struct whole w = {.ranges = count};
    memcpy(w.range, ranges, count * sizeof *ranges);
    *out = (struct digest_value){{digest_fnv(&w), with}};
}

static void seal_all(void)
{
    for (unsigned p = 0; p < IMAGE_PARTS; p++)
        for (unsigned i = 0; i < WORDS; i++)
            part[p][i] = p * 1000 + i;
    door = way_out = rest = bridge_part = (struct whole){.ranges = 0};
    mended = false;
    rest_open = executable = true;
    digest_seal_image();
}

START_TEST(opens_if_nothing_was_changed)
{
    seal_all();
    ck_assert(digest_rest_is_open());
    digest_close_rest();
    ck_assert(!digest_rest_is_open() && !executable);
    ck_assert(digest_check_door(true));
    ck_assert(digest_open_rest() && digest_rest_is_open() && executable);
    ck_assert(digest_is_rest((uint64_t)part[IMAGE_REST]) && !digest_is_rest((uint64_t)part[IMAGE_DOOR]));
}
END_TEST

START_TEST(each_changed_word_is_found)
{
    seal_all();
    for (unsigned i = 0; i < WORDS; i++) {
        digest_close_rest();
        part[IMAGE_REST][i] ^= BIT(i);
        ck_assert(digest_check_door(true) && !digest_open_rest() && !digest_found_closed() && !executable);
        part[IMAGE_REST][i] ^= BIT(i);
        part[IMAGE_DOOR][i] ^= BIT(63 - i);
        ck_assert(!digest_check_door(false));
        part[IMAGE_DOOR][i] ^= BIT(63 - i);
        part[IMAGE_BRIDGE][i] ^= 1;
        ck_assert(digest_check_door(false) && !digest_check_door(true));
        part[IMAGE_BRIDGE][i] ^= 1;
        ck_assert(digest_open_rest());
    }
}
END_TEST

START_TEST(way_out_is_put_back_and_told_once)
{
    static const enum image_part parts[] = {IMAGE_WAY_OUT, IMAGE_CONSTANTS};
    for (unsigned n = 0; n < ARRAY_LEN(parts); n++) {
        seal_all();
        digest_close_rest();
        part[parts[n]][WORDS - 1] = 7;
        ck_assert(!digest_open_rest() && !executable);
        ck_assert_uint_eq(part[parts[n]][WORDS - 1], parts[n] * 1000 + WORDS - 1);
        ck_assert(!digest_mend_way_out() && !digest_open_rest()); /* until somebody was told */
        digest_told();
        ck_assert(digest_mend_way_out() && digest_open_rest() && executable);
    }
}
END_TEST

/* The leader closes on its way out; a slower CPU behind it runs into that, faults, and opens. */
START_TEST(closed_by_one_opened_by_another)
{
    for (int when = BEFORE; when <= (int)AFTER; when++)
        for (int changed = 0; changed < 2; changed++) {
            seal_all();
            other = when;
            digest_close_rest();
            ck_assert(!executable || digest_rest_is_open()); /* else it would run unchecked at the next way in */
            part[IMAGE_REST][3] ^= (uint64_t)changed;
            if (executable)
                continue;
            ck_assert_int_eq(digest_found_closed(), !changed); /* the fetch that faults */
            ck_assert_int_eq(executable, !changed);
        }
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("digest");
    TCase *c = tcase_create("all");
    tcase_add_test(c, opens_if_nothing_was_changed);
    tcase_add_test(c, each_changed_word_is_found);
    tcase_add_test(c, way_out_is_put_back_and_told_once);
    tcase_add_test(c, closed_by_one_opened_by_another);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("digest", suite)
