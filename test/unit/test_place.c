/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Placement and move order, against a byte-for-byte simulation of random layouts. */
/* UNITS: boot/place.c boot/memmap.c */
#include "boot/place.h"
#include "unit.h"

#include <string.h>

#define ARENA 0x80000u /* simulated memory */
#define FIRST 0x1000u

static struct memmap map;
static struct place_free space;
static struct place_ops ops;
static char why[200];
static uint8_t memory[ARENA], before[ARENA];

static void one_range(uint64_t base, uint64_t end)
{
    map.count = 1;
    map.entry[0] = (struct memmap_entry){base, end, MEMMAP_RAM, 0};
    place_free_from_map(&space, &map);
}

static struct place_piece piece(enum place_mode mode, uint64_t from, uint64_t bytes, uint64_t to)
{
    return (struct place_piece){
        .name = "p", .mode = mode, .from = from, .bytes = bytes, .reserve = bytes, .align = 1, .max = ARENA, .to = to};
}

/* Runs the moves and compares every piece's bytes with what they were; returns false on loss. */
static bool simulate(const struct place_piece *p, size_t n)
{
    uint32_t x = (uint32_t)rand() | 1;
    for (size_t i = 0; i < ARENA; i++) {
        x = x * 1664525u + 1013904223u;
        before[i] = memory[i] = (uint8_t)(x >> 24);
    }
    for (uint32_t i = 0; i < ops.count; i++)
        memmove(memory + ops.op[i].to, memory + ops.op[i].from, ops.op[i].bytes);
    for (size_t i = 0; i < n; i++)
        if (memcmp(memory + p[i].to, before + p[i].from, p[i].bytes) != 0)
            return false;
    /* Nothing but free memory was written to. */
    for (uint32_t b = 0; b < ARENA; b++) {
        if (memory[b] == before[b])
            continue;
        bool is_free = false;
        for (uint32_t r = 0; r < space.count; r++)
            is_free |= space.range[r].base <= b && b < space.range[r].end;
        if (!is_free)
            return false;
    }
    return true;
}

START_TEST(swap_needs_a_bounce)
{
    one_range(FIRST, ARENA);
    struct place_piece p[] = {piece(PLACE_FIXED, 0x10000, 0x8000, 0x20000),
                              piece(PLACE_FIXED, 0x20000, 0x4000, 0x10000)};
    ck_assert_int_eq(place_choose(p, 2, &space, why, sizeof why), E_OK);
    ck_assert_int_eq(place_order(p, 2, &space, &ops, why, sizeof why), E_OK);
    ck_assert_uint_eq(ops.count, 3);
    ck_assert_uint_eq(ops.op[0].bytes, 0x4000); /* the smaller one went aside */
    ck_assert(simulate(p, 2));
}
END_TEST

START_TEST(swap_without_room)
{
    one_range(0x10000, 0x1a000);
    struct place_piece p[] = {piece(PLACE_FIXED, 0x10000, 0x5000, 0x15000),
                              piece(PLACE_FIXED, 0x15000, 0x5000, 0x10000)};
    ck_assert_int_eq(place_choose(p, 2, &space, why, sizeof why), E_OK);
    ck_assert_int_eq(place_order(p, 2, &space, &ops, why, sizeof why), E_NOMEM);
    ck_assert_ptr_nonnull(strstr(why, "no free memory"));
}
END_TEST

START_TEST(chain_and_own_overlap_need_none)
{
    one_range(FIRST, ARENA);
    struct place_piece p[] = {piece(PLACE_FIXED, 0x10000, 0x8000, 0x14000),
                              piece(PLACE_FIXED, 0x18000, 0x8000, 0x1c000),
                              piece(PLACE_FIXED, 0x30000, 0x1000, 0x30000)};
    ck_assert_int_eq(place_choose(p, 3, &space, why, sizeof why), E_OK);
    ck_assert_int_eq(place_order(p, 3, &space, &ops, why, sizeof why), E_OK);
    ck_assert_uint_eq(ops.count, 2);
    ck_assert(simulate(p, 3));
}
END_TEST

START_TEST(targets)
{
    one_range(FIRST, ARENA);
    place_free_remove(&space, 0x40000, 0x48000);
    struct place_piece p[] = {piece(PLACE_FIXED, 0, 0x1000, 0x10000), piece(PLACE_LOW, 0, 0x1000, 0),
                              piece(PLACE_HIGH, 0, 0x30000, 0), piece(PLACE_HIGH, 0, 0x10000, 0)};
    p[1].min = 0xf800;
    p[1].align = 0x1000;
    p[2].align = p[3].align = 0x1000;
    ck_assert_int_eq(place_choose(p, 4, &space, why, sizeof why), E_OK);
    ck_assert_uint_eq(p[1].to, 0x11000); /* aligned min is taken by the fixed one */
    ck_assert_uint_eq(p[2].to, 0x50000);
    ck_assert_uint_eq(p[3].to, 0x30000); /* 0x48000-0x50000 is too small, 0x40000 is kept */
    p[0].to = 0x47fff;
    ck_assert_int_eq(place_choose(p, 4, &space, why, sizeof why), E_OVERLAP);
    ck_assert_ptr_nonnull(strstr(why, "not free RAM"));
    p[0].to = 0x48000;
    p[3].reserve = 0x40000;
    ck_assert_int_eq(place_choose(p, 4, &space, why, sizeof why), E_NOMEM);
    p[0].to = UINT64_MAX - 10;
    ck_assert_int_eq(place_choose(p, 1, &space, why, sizeof why), E_OVERLAP);
    p[0].reserve = UINT64_MAX;
    ck_assert_int_eq(place_choose(p, 1, &space, why, sizeof why), E_NOMEM);
    struct place_piece twin[] = {piece(PLACE_FIXED, 0, 0x100, 0x2000), piece(PLACE_FIXED, 0, 0x100, 0x20ff)};
    ck_assert_int_eq(place_choose(twin, 2, &space, why, sizeof why), E_OVERLAP);
    static struct place_piece many[PLACE_PIECES_MAX + 1];
    ck_assert_int_eq(place_choose(many, ARRAY_LEN(many), &space, why, sizeof why), E_INTERNAL);
    ck_assert_int_eq(place_order(many, ARRAY_LEN(many), &space, &ops, why, sizeof why), E_INTERNAL);
}
END_TEST

START_TEST(free_ranges)
{
    map.count = 4;
    map.entry[0] = (struct memmap_entry){0, 0x9f000, MEMMAP_RAM, 0};
    map.entry[1] = (struct memmap_entry){0x9f000, 0x100000, MEMMAP_RESERVED, 0};
    map.entry[2] = (struct memmap_entry){0x100000, 0x180000000, MEMMAP_RAM, 0};
    map.entry[3] = (struct memmap_entry){0x200000000, 0x280000000, MEMMAP_RAM, 0};
    place_free_from_map(&space, &map);
    ck_assert_uint_eq(space.count, 2);
    ck_assert_uint_eq(space.range[0].base, 0x1000);
    ck_assert_uint_eq(space.range[1].end, 1ull << 32);
    place_free_remove(&space, 0, 0x2000);          /* the front */
    place_free_remove(&space, 0x9e000, 0x101000);  /* a back and a front */
    place_free_remove(&space, 0x200000, 0x300000); /* the middle */
    place_free_remove(&space, 0x500000, 0x500000); /* nothing */
    ck_assert_uint_eq(space.count, 3);
    ck_assert_uint_eq(space.range[0].base, 0x2000);
    ck_assert_uint_eq(space.range[0].end, 0x9e000);
    ck_assert_uint_eq(space.range[1].base, 0x101000);
    ck_assert_uint_eq(space.range[1].end, 0x200000);
    ck_assert_uint_eq(space.range[2].base, 0x300000);
    place_free_remove(&space, 0x100000, 0x200000); /* a whole one */
    ck_assert_uint_eq(space.count, 2);
    place_free_remove(&space, 0, UINT64_MAX);
    ck_assert_uint_eq(space.count, 0);
}
END_TEST

/* Random pieces, sources disjoint (or sharing a file's bytes), targets by every mode. Dense enough for cycles. */
START_TEST(random_layouts)
{
    static unsigned bounced, refused;
    struct place_piece p[12];
    srand((unsigned)_i + 1);
    for (int round = 0; round < 20; round++) {
        one_range(FIRST, ARENA);
        uint64_t kept = (uint64_t)rand() % ARENA;
        place_free_remove(&space, kept, kept + (uint64_t)rand() % 0x4000);
        size_t n = (size_t)rand() % 11 + 2;
        uint64_t at = FIRST;
        for (size_t i = 0; i < n; i++) {
            uint64_t bytes = (uint64_t)rand() % (ARENA / 16);
            at += (uint64_t)rand() % 0x1000;
            p[i] = piece((enum place_mode)(rand() % 3), at, bytes, (uint64_t)rand() % ARENA);
            p[i].reserve += (uint64_t)rand() % 0x800;
            p[i].align = 1ull << rand() % 13;
            p[i].min = (uint64_t)rand() % (ARENA / 2);
            at += rand() % 8 ? bytes : bytes / 2;
        }
        /* Sources and targets in unrelated orders. */
        for (size_t i = n - 1; i > 0; i--) {
            size_t j = (size_t)rand() % (i + 1);
            struct place_piece swap = p[i];
            p[i].from = p[j].from;
            p[j].from = swap.from;
        }
        for (size_t i = 0; i < n; i++)
            if (p[i].from + p[i].bytes > ARENA)
                p[i].from = ARENA - p[i].bytes;
        enum err e = place_choose(p, n, &space, why, sizeof why);
        if (e != E_OK) {
            refused++;
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            ck_assert(p[i].mode == PLACE_FIXED || (p[i].to % p[i].align == 0 && p[i].to >= p[i].min));
            for (size_t j = 0; j < i; j++)
                ck_assert(p[i].to + p[i].reserve <= p[j].to || p[j].to + p[j].reserve <= p[i].to || p[i].reserve == 0 ||
                          p[j].reserve == 0);
        }
        e = place_order(p, n, &space, &ops, why, sizeof why);
        if (e != E_OK) {
            ck_assert_int_eq(e, E_NOMEM);
            continue;
        }
        bounced += ops.count > n;
        ck_assert_uint_le(ops.count, 2 * n);
        ck_assert_msg(simulate(p, n), "seed %d round %d", _i, round);
    }
    if (_i == 299) { /* the property was tested, not dodged */
        ck_assert_uint_gt(bounced, 20);
        ck_assert_uint_lt(refused, 5500);
    }
}
END_TEST

/* A permutation of equal slots: as many cycles as there can be. */
START_TEST(random_permutations)
{
    struct place_piece p[24];
    int slot[24];
    srand((unsigned)_i + 1);
    one_range(FIRST, ARENA);
    for (int i = 0; i < 24; i++)
        slot[i] = i;
    for (int i = 23; i > 0; i--) {
        int j = rand() % (i + 1), swap = slot[i];
        slot[i] = slot[j];
        slot[j] = swap;
    }
    for (int i = 0; i < 24; i++)
        p[i] = piece(PLACE_FIXED, 0x10000 + 0x1000 * (uint64_t)i, 0x1000, 0x10000 + 0x1000 * (uint64_t)slot[i]);
    ck_assert_int_eq(place_choose(p, 24, &space, why, sizeof why), E_OK);
    ck_assert_int_eq(place_order(p, 24, &space, &ops, why, sizeof why), E_OK);
    ck_assert(simulate(p, 24));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("place");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, swap_needs_a_bounce);
    tcase_add_test(t, swap_without_room);
    tcase_add_test(t, chain_and_own_overlap_need_none);
    tcase_add_test(t, targets);
    tcase_add_test(t, free_ranges);
    tcase_add_loop_test(t, random_layouts, 0, 300);
    tcase_add_loop_test(t, random_permutations, 0, 50);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("place", suite)
