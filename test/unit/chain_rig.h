/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of chains share: a guest that runs between checkpoints, the memory it had at each of them, and a
   restore that is compared with that page by page. */
#ifndef SOJOURN_TEST_CHAIN_RIG_H
#define SOJOURN_TEST_CHAIN_RIG_H

#include "ckpt/load.h"
#include "store_rig.h"

#define POINTS (STORE_CHAIN_MAX + 1)
#define SAVED_PAGES (RIG_RAM_PAGES - 8)

static struct store st;
static uint8_t model[POINTS][RIG_RAM_PAGES][PAGE_BYTES]; /* what RAM was at each point */
static uint8_t target[RIG_RAM_PAGES][PAGE_BYTES] ALIGNED(PAGE_BYTES);
static uint32_t asked[RIG_RAM_PAGES], asked_total;
static uint32_t order[RIG_RAM_PAGES];

__attribute__((unused)) static void forget_target(void)
{
    memset(target, 0xcc, sizeof target);
    memset(asked, 0, sizeof asked);
    asked_total = 0;
}

__attribute__((unused)) static void setup(void)
{
    rig_reset(256);
    rig_fill_ram(3);
    rig_format(&st);
    forget_target();
}

__attribute__((unused)) static void *write_page(void *ctx, gpa_t gpa)
{
    (void)ctx;
    uint32_t i = rig_index(gpa);
    ck_assert_msg(i < RIG_RAM_PAGES && !rig_hidden(i), "page %lx is not the guest's", gpa.v);
    asked[i]++;
    asked_total++;
    return target[i];
}

__attribute__((unused)) static enum err load(uint64_t id, bool *touched)
{
    forget_target();
    memset(rig_seen, 0xff, sizeof rig_seen);
    return ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, touched, NULL);
}

/* Each page was asked for once, however many checkpoints have it, and has what the model says. */
__attribute__((unused)) static void restores_to(uint64_t id, uint8_t (*want)[PAGE_BYTES])
{
    bool touched;
    ck_assert_int_eq(load(id, &touched), E_OK);
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++) {
        ck_assert_msg(asked[i] == !rig_hidden(i), "checkpoint %lu: page %u was written %u times", id, i, asked[i]);
        if (!rig_hidden(i))
            ck_assert_msg(!memcmp(target[i], want[i], PAGE_BYTES), "checkpoint %lu: page %u differs", id, i);
    }
}

__attribute__((unused)) static void nothing_is_restored(uint64_t id, enum err want)
{
    bool touched = true;
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), want);
    ck_assert_int_eq(load(id, &touched), want);
    ck_assert(!touched);
    ck_assert_uint_eq(asked_total, 0);
}

/* The guest ran: a page in four is other, one in eight became zero, and some that were zero are not. */
__attribute__((unused)) static void run_guest(uint64_t seed)
{
    rig_random_state = seed * 2654435761u + 99;
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++) {
        uint64_t kind = rig_random() % 8;
        if (kind == 0)
            memset(rig_ram[i], 0, PAGE_BYTES);
        else if (kind == 1)
            memset(rig_ram[i], (int)(rig_random() % 255 + 1), PAGE_BYTES);
        else if (kind == 2)
            rig_ram[i][rig_random() % PAGE_BYTES] ^= 1;
    }
}

__attribute__((unused)) static void remember(uint32_t point)
{
    memcpy(model[point], rig_ram, sizeof rig_ram);
}

enum { ASCENDING, DESCENDING, SHUFFLED, FAULTS, ORDERS };

__attribute__((unused)) static void make_order(int kind)
{
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++)
        order[i] = kind == DESCENDING ? RIG_RAM_PAGES - 1 - i : i;
    /* One page in eight comes early, as a guest that goes on asks for it; or none stays in its place. */
    for (uint32_t i = 0; (kind == SHUFFLED || kind == FAULTS) && i < RIG_RAM_PAGES; i += kind == FAULTS ? 8 : 1) {
        uint32_t other = i + (uint32_t)(rig_random() % (RIG_RAM_PAGES - i)), keep = order[i];
        order[i] = order[other];
        order[other] = keep;
    }
}

__attribute__((unused)) static uint64_t save_on(uint64_t parent, uint32_t before)
{
    uint64_t id = 0;
    ck_assert_int_eq(rig_save_pages(&st, parent, model[before], order, parent ? "on" : "base", &id), E_OK);
    return id;
}

/* A full one and n that build on it, checkpoints 1 ... n + 1, points 0 ... n. */
__attribute__((unused)) static void make_chain(uint32_t n, int kind)
{
    make_order(kind);
    remember(0);
    ck_assert_uint_eq(save_on(0, 0), 1);
    for (uint32_t i = 1; i <= n; i++) {
        run_guest(i);
        remember(i);
        make_order(kind);
        ck_assert_uint_eq(save_on(i, i - 1), i + 1);
    }
}

__attribute__((unused)) static uint8_t *stream_of(uint64_t id)
{
    const struct disk_entry *e = store_find(&st, id);
    ck_assert_uint_eq(e->run_count, 1);
    return rig.bytes + RIG_FIRST * SECTOR + e->runs[0].first * STORE_BLOCK_BYTES;
}

#endif
