/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages to extents and back: zero test, runs, raw and packed extents, and extents no writer makes. */
/* UNITS: ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "ckpt/pages.h"
#include "unit.h"

#include <string.h>

static uint8_t stage[EXTENT_RAW_MAX], out[RECORD_PAYLOAD_MAX], back[EXTENT_RAW_MAX];
static uint8_t page[PAGE_BYTES] ALIGNED(64);
static uint64_t lz4_state[4096];
static struct ckpt_layout layout;
static struct extent x;
static struct disk_record r;

static void setup(void)
{
    memset(&layout, 0, sizeof layout);
    layout.ram_count = 3;
    layout.ram[0] = (struct ckpt_range){0, 10 * PAGE_BYTES};
    layout.ram[1] = (struct ckpt_range){20 * PAGE_BYTES, 10 * PAGE_BYTES};
    layout.ram[2] = (struct ckpt_range){30 * PAGE_BYTES, 100 * PAGE_BYTES};
    layout.hidden = (struct ckpt_range){25 * PAGE_BYTES, 3 * PAGE_BYTES};
    memset(&x, 0, sizeof x);
    memset(&r, 0, sizeof r);
    x.stage = stage;
}

START_TEST(zero_test_sees_every_bit)
{
    memset(page, 0, sizeof page);
    ck_assert(page_is_zero(page));
    for (size_t bit = 0; bit < 8 * PAGE_BYTES; bit++) {
        page[bit / 8] = (uint8_t)(1u << bit % 8);
        ck_assert(!page_is_zero(page));
        page[bit / 8] = 0;
    }
}
END_TEST

START_TEST(state_fits)
{
    ck_assert_uint_le(pages_lz4_state_bytes(), sizeof lz4_state);
}
END_TEST

static void fill(uint64_t number, bool noise)
{
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = noise ? (uint8_t)random() : (uint8_t)number;
}

START_TEST(round_trip_packed_and_raw)
{
    static uint8_t want[EXTENT_RAW_MAX];
    static const uint64_t numbers[] = {0, 1, 2, 9, 20, 24, 28, 29, 30, 129};
    for (int noise = 0; noise < 2; noise++) {
        setup();
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
            fill(numbers[i], noise);
            memcpy(want + i * PAGE_BYTES, page, PAGE_BYTES);
            ck_assert(!extent_add(&x, numbers[i], page));
        }
        extent_pack(&x, &r, out, lz4_state);
        ck_assert_uint_eq(x.pages, 0);
        ck_assert_uint_eq(r.pages, 10);
        ck_assert_uint_eq(r.runs, 6); /* 0-2 9 20 24 28-30 129 */
        ck_assert_uint_eq(r.flags, noise ? 0 : RECORD_FLAG_LZ4);
        uint64_t floor = 0;
        /* 28-30 goes on from one range into the next, which touches it; with a hole between them it must not. */
        layout.ram[2].base += PAGE_BYTES;
        ck_assert_int_eq(extent_unpack(&layout, &r, out, &floor, back), E_CHECKSUM);
        layout.ram[2].base -= PAGE_BYTES;
        ck_assert_int_eq(extent_unpack(&layout, &r, out, &floor, back), E_OK);
        ck_assert_uint_eq(floor, 130);
        ck_assert_mem_eq(back, want, 10 * PAGE_BYTES);
    }
}
END_TEST

START_TEST(full_extent_fits)
{
    /* The worst: 64 pages of noise, each a run of its own. */
    layout.ram[0] = (struct ckpt_range){0, 200 * PAGE_BYTES};
    layout.ram_count = 1;
    layout.hidden.bytes = 0;
    for (uint64_t i = 0; i < EXTENT_PAGES_MAX; i++) {
        fill(i, true);
        ck_assert(extent_add(&x, 2 * i, page) == (i == EXTENT_PAGES_MAX - 1));
    }
    extent_pack(&x, &r, out, lz4_state);
    ck_assert_uint_eq(r.payload_bytes, RECORD_PAYLOAD_MAX);
    uint64_t floor = 0;
    ck_assert_int_eq(extent_unpack(&layout, &r, out, &floor, back), E_OK);
}
END_TEST

/* In any order, but no page twice. */
START_TEST(mixed_runs)
{
    static const uint64_t numbers[] = {40, 3, 41, 4, 129, 20, 42, 43};
    for (size_t twice = 0; twice <= ARRAY_LEN(numbers); twice++) {
        setup();
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
            fill(numbers[i], false);
            ck_assert(!extent_add(&x, numbers[i], page));
        }
        if (twice < ARRAY_LEN(numbers))
            extent_add(&x, numbers[twice], page);
        extent_pack(&x, &r, out, lz4_state);
        uint64_t floor = 0;
        ck_assert_int_eq(extent_unpack(&layout, &r, out, &floor, back), E_CHECKSUM);
        ck_assert_int_eq(extent_unpack(&layout, &r, out, NULL, back), twice < ARRAY_LEN(numbers) ? E_CHECKSUM : E_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        ck_assert_uint_eq(back[i * PAGE_BYTES + 17], numbers[i]);
}
END_TEST

/* What ckpt/twins.h relies on: a page of noise behind the same one costs next to nothing, also the sixtieth. */
START_TEST(the_same_again_costs_little)
{
    fill(0, true);
    layout.hidden.bytes = 0;
    for (uint64_t i = 0; i < 60; i++)
        ck_assert(!extent_add(&x, 30 + i, page));
    extent_pack(&x, &r, out, lz4_state);
    ck_assert_uint_lt(r.payload_bytes, PAGE_BYTES + 60 * 40);
    setup();
    for (uint64_t i = 0; i < 20; i++) {
        fill(0, true);
        ck_assert(!extent_add(&x, 30 + i, page));
        ck_assert(!extent_add(&x, 100 + i, page));
    }
    extent_pack(&x, &r, out, lz4_state);
    ck_assert_uint_lt(r.payload_bytes, 20 * (PAGE_BYTES + 200));
    ck_assert_int_eq(extent_unpack(&layout, &r, out, NULL, back), E_OK);
}
END_TEST

static void two_runs(void)
{
    setup();
    fill(3, false);
    extent_add(&x, 3, page);
    extent_add(&x, 4, page);
    extent_add(&x, 22, page);
    extent_pack(&x, &r, out, lz4_state);
}

#define RUN(i) ((struct disk_page_run *)(void *)out)[i]
#define BROKEN_LIST(X)                                                                                                 \
    X(r.pages = 0)                                                                                                     \
    X(r.pages = 2)                                                                                                     \
    X(r.pages = 4)                                                                                                     \
    X(r.pages = EXTENT_PAGES_MAX + 1)                                                                                  \
    X(r.pages = UINT32_MAX)                                                                                            \
    X(r.runs = 0)                                                                                                      \
    X(r.runs = 1)                                                                                                      \
    X(r.runs = 3)                                                                                                      \
    X(r.runs = 65)                                                                                                     \
    X(r.flags = 0)                                                                                                     \
    X(r.flags = 2)                                                                                                     \
    X(r.flags = 3)                                                                                                     \
    X(r.payload_bytes = 0)                                                                                             \
    X(r.payload_bytes = 31)                                                                                            \
    X(r.payload_bytes = 32)                                                                                            \
    X(r.payload_bytes -= 1)                                                                                            \
    X(RUN(0).count = 0)                                                                                                \
    X(RUN(0).count = 3)                                                                                                \
    X(RUN(0).count = UINT32_MAX)                                                                                       \
    X(RUN(0).first = 9)                                                                                                \
    X(RUN(0).first = 22)                                                                                               \
    X(RUN(0).first = 0)                                                                                                \
    X(RUN(0).first = UINT64_MAX)                                                                                       \
    X(RUN(0).first = UINT64_MAX / PAGE_BYTES)                                                                          \
    X(RUN(1).first = 4)                                                                                                \
    X(RUN(1).first = 10)                                                                                               \
    X(RUN(1).first = 25)                                                                                               \
    X(RUN(1).first = 27)                                                                                               \
    X(RUN(1).first = 130)                                                                                              \
    X(out[32] = 0xff)

START_TEST(what_no_writer_makes_is_refused){
#define X(statement)                                                                                                   \
    {                                                                                                                  \
        uint64_t floor = 1;                                                                                            \
        two_runs();                                                                                                    \
        ck_assert_int_eq(extent_unpack(&layout, &r, out, &floor, back), E_OK);                                         \
        statement;                                                                                                     \
        floor = 1;                                                                                                     \
        ck_assert_msg(extent_unpack(&layout, &r, out, &floor, back) == E_CHECKSUM, "%s", #statement);                  \
        ck_assert_uint_eq(floor, 1);                                                                                   \
    }
    BROKEN_LIST(X)
#undef X
} END_TEST

    START_TEST(corrupt_lz4_never_leaves_its_buffers)
{
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t floor = 0;
        two_runs();
        for (int flips = 0; flips < 3; flips++)
            out[32 + (uint32_t)random() % (r.payload_bytes - 32)] ^= (uint8_t)(1 + random() % 255);
        (void)!extent_unpack(&layout, &r, out, &floor, back);
    }
}
END_TEST

static struct zero_runs z;

static uint64_t pack_zeros(void)
{
    uint64_t floor = 0, pages = 0;
    memset(&r, 0, sizeof r);
    r.flags = RECORD_FLAG_ZERO;
    r.runs = z.count;
    r.payload_bytes = (uint32_t)(z.count * sizeof z.run[0]);
    memcpy(out, z.run, r.payload_bytes);
    ck_assert_int_eq(zero_runs_check(&layout, &r, out, &floor, &pages), E_OK);
    ck_assert_uint_eq(floor, z.run[z.count - 1].first + z.run[z.count - 1].count);
    return pages;
}

START_TEST(zero_runs_take_any_order)
{
    static const uint64_t orders[][8] = {
        {40, 41, 42, 50, 51, 0, 9, 28}, {51, 50, 42, 41, 40, 28, 9, 0}, {41, 9, 50, 40, 0, 51, 28, 42}};
    for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
        bool named[130] = {false};
        memset(&z, 0, sizeof z);
        for (size_t i = 0; i < 8; i++)
            ck_assert(zero_runs_add(&z, orders[o][i]));
        ck_assert_uint_eq(pack_zeros(), 8);
        for (uint32_t i = 0; i < z.count; i++)
            for (uint32_t k = 0; k < z.run[i].count; k++)
                named[z.run[i].first + k] = true;
        for (size_t i = 0; i < 8; i++)
            ck_assert(named[orders[o][i]]);
        ck_assert_uint_eq(z.count, 5); /* 0 9 28 40-42 50-51 */
    }
}
END_TEST

START_TEST(zero_runs_end_when_full)
{
    memset(&z, 0, sizeof z);
    for (uint64_t i = 0; i < EXTENT_PAGES_MAX; i++)
        ck_assert(zero_runs_add(&z, 2 * i));
    ck_assert(!zero_runs_add(&z, 2 * EXTENT_PAGES_MAX + 5));
    ck_assert_uint_eq(z.count, EXTENT_PAGES_MAX);
    ck_assert(zero_runs_add(&z, 2 * EXTENT_PAGES_MAX - 1)); /* goes on where one ends */
    z.run[EXTENT_PAGES_MAX - 1].count = UINT32_MAX;
    ck_assert(!zero_runs_add(&z, 126 + (uint64_t)UINT32_MAX));
}
END_TEST

#define BROKEN_ZEROS(X)                                                                                                \
    X(r.flags = 0)                                                                                                     \
    X(r.flags = RECORD_FLAG_ZERO | RECORD_FLAG_LZ4)                                                                    \
    X(r.pages = 4)                                                                                                     \
    X(r.runs = 0)                                                                                                      \
    X(r.runs = 1)                                                                                                      \
    X(r.runs = 3)                                                                                                      \
    X((r.runs = 65, r.payload_bytes = 65 * 16))                                                                        \
    X(r.payload_bytes--)                                                                                               \
    X(r.payload_bytes++)                                                                                               \
    X(RUN(0).count = 0)                                                                                                \
    X(RUN(0).count = 9)                                                                                                \
    X(RUN(0).count = UINT32_MAX)                                                                                       \
    X(RUN(0).first = 0)                                                                                                \
    X(RUN(0).first = UINT64_MAX)                                                                                       \
    X(RUN(1).first = 2)                                                                                                \
    X(RUN(1).first = 24)                                                                                               \
    X(RUN(1).first = 129)

START_TEST(zero_runs_no_writer_makes_are_refused){
#define X(statement)                                                                                                   \
    {                                                                                                                  \
        uint64_t floor = 1, pages;                                                                                     \
        setup();                                                                                                       \
        memset(out, 0, 66 * 16);                                                                                       \
        z = (struct zero_runs){.run = {{.first = 2, .count = 3}, {.first = 30, .count = 99}}, .count = 2};             \
        ck_assert_uint_eq(pack_zeros(), 102);                                                                          \
        statement;                                                                                                     \
        ck_assert_msg(zero_runs_check(&layout, &r, out, &floor, &pages) == E_CHECKSUM, "%s", #statement);              \
        ck_assert_uint_eq(floor, 1);                                                                                   \
    }
    BROKEN_ZEROS(X)
#undef X
} END_TEST

    START_TEST(cursor_visits_each_page_once)
{
    struct page_cursor c;
    uint64_t number, count = 0, last = 0;
    page_cursor_start(&c, &layout);
    while (page_cursor_step(&c, &number)) {
        ck_assert(count == 0 || number > last);
        ck_assert(!format_page_hidden(&layout, number));
        ck_assert(number < 10 || (number >= 20 && number < 130));
        last = number;
        count++;
    }
    ck_assert_uint_eq(count, format_layout_pages(&layout));
    ck_assert_uint_eq(last, 129);
}
END_TEST

START_TEST(cursor_with_all_hidden_and_edges)
{
    struct page_cursor c;
    uint64_t number;
    layout.hidden = (struct ckpt_range){0, 200 * PAGE_BYTES};
    page_cursor_start(&c, &layout);
    ck_assert(!page_cursor_step(&c, &number));
    layout.hidden = (struct ckpt_range){5 * PAGE_BYTES, 20 * PAGE_BYTES}; /* across the hole */
    page_cursor_start(&c, &layout);
    for (uint64_t i = 0; i < 5; i++)
        ck_assert(page_cursor_step(&c, &number) && number == i);
    ck_assert(page_cursor_step(&c, &number) && number == 25);
    layout.hidden = (struct ckpt_range){0, 3 * PAGE_BYTES}; /* at the very start */
    page_cursor_start(&c, &layout);
    ck_assert(page_cursor_step(&c, &number) && number == 3);
}
END_TEST

static Suite *pages_suite(void)
{
    Suite *s = suite_create("pages");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, zero_test_sees_every_bit);
    tcase_add_test(t, state_fits);
    tcase_add_test(t, round_trip_packed_and_raw);
    tcase_add_test(t, full_extent_fits);
    tcase_add_test(t, mixed_runs);
    tcase_add_test(t, the_same_again_costs_little);
    tcase_add_test(t, what_no_writer_makes_is_refused);
    tcase_add_test(t, corrupt_lz4_never_leaves_its_buffers);
    tcase_add_test(t, zero_runs_take_any_order);
    tcase_add_test(t, zero_runs_end_when_full);
    tcase_add_test(t, zero_runs_no_writer_makes_are_refused);
    tcase_add_test(t, cursor_visits_each_page_once);
    tcase_add_test(t, cursor_with_all_hidden_and_edges);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("pages", pages_suite)
