/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints taken out of a chain: every point that is left is restored bit for bit, after each slice and through a
   new look at the medium; what is refused; what a damaged one does; and how much room it takes. */
/* UNITS: ckpt/load.c ckpt/save.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_load.c */
/* UNITS: ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c kernel/auto_plan.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "chain_rig.h"
#include "ckpt/store_merge.h"
#include "kernel/auto_plan.h"

static uint8_t merge_seen[sizeof rig_seen];
static struct ckpt_merge merge;

static enum err begin(uint64_t victim)
{
    memset(merge_seen, 0xff, sizeof merge_seen);
    return ckpt_merge_begin(&merge, &st, victim, merge_seen, sizeof merge_seen, NULL);
}

static enum err whole_merge(uint64_t victim, uint64_t slice)
{
    enum err e = begin(victim);
    while (!e && !merge.done)
        e = ckpt_merge_step(&merge, slice, NULL);
    return e;
}

/* All that the table has, but a rest: checkpoint id is of point id - 1. */
static void all_as_in_the_model(void)
{
    for (uint32_t i = 0; i < store_count(&st); i++) {
        uint64_t id = store_entry(&st, i)->id;
        if (format_is_rest(store_entry(&st, i))) {
            nothing_is_restored(id, E_NOTFOUND);
            continue;
        }
        ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
        restores_to(id, model[id - 1]);
    }
}

static const uint64_t slices[] = {1, 30000, MERGE_SLICE_BYTES};

START_TEST(any_one_goes)
{
    for (int kind = ASCENDING; kind < ORDERS; kind++)
        for (uint64_t victim = 1; victim <= 4; victim++)
            for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
                setup();
                make_chain(4, kind);
                uint64_t used = store_usage(&st).used, heir = victim + 1;
                ck_assert_int_eq(begin(victim), E_OK);
                uint32_t steps = 0;
                while (!merge.done) {
                    ck_assert_int_eq(ckpt_merge_step(&merge, slices[i], NULL), E_OK);
                    steps++;
                    ck_assert_uint_eq(store_rest(&st), merge.done ? 0 : victim);
                    ck_assert_int_eq(rig_open(&st), E_OK);
                    all_as_in_the_model();
                }
                ck_assert(slices[i] == 1 ? steps > 1 : slices[i] < MERGE_SLICE_BYTES || steps == 1);
                ck_assert_ptr_null(store_find(&st, victim));
                ck_assert_uint_eq(store_count(&st), 4);
                ck_assert_uint_eq(store_find(&st, heir)->parent, victim - 1);
                ck_assert_uint_eq(store_find(&st, heir)->kind, victim == 1 ? CKPT_FULL : CKPT_INCREMENTAL);
                ck_assert_uint_eq(store_chain_length(&st, 5), 4);
                ck_assert_uint_lt(store_usage(&st).used, used + 64 * STORE_BLOCK_BYTES);
            }
}
END_TEST

/* What is left over from one merge is read by the next. */
START_TEST(one_after_the_other)
{
    for (size_t i = 0; i < ARRAY_LEN(slices); i++)
        for (int from_above = 0; from_above < 2; from_above++) {
            setup();
            make_chain(6, FAULTS);
            for (uint64_t n = 1; n <= 6; n++) {
                ck_assert_int_eq(whole_merge(from_above ? 7 - n : n, slices[i]), E_OK);
                ck_assert_int_eq(rig_open(&st), E_OK);
                all_as_in_the_model();
            }
            const struct disk_entry *e = store_find(&st, STORE_LATEST);
            ck_assert(store_count(&st) == 1 && e->id == 7 && e->kind == CKPT_FULL && !e->parent);
            uint64_t pages = 0;
            for (uint32_t p = 0; p < RIG_RAM_PAGES; p++)
                pages += !rig_hidden(p) && !page_is_zero(model[6][p]);
            ck_assert_uint_eq(e->pages, pages); /* each page once */
            /* And what builds on it. */
            memcpy(rig_ram, model[6], sizeof rig_ram);
            run_guest(77);
            remember(7);
            make_order(SHUFFLED);
            ck_assert_uint_eq(save_on(7, 6), 8);
            all_as_in_the_model();
            ck_assert_int_eq(whole_merge(7, slices[i]), E_OK);
            all_as_in_the_model();
        }
}
END_TEST

START_TEST(interrupted_and_gone_on_with)
{
    make_chain(3, SHUFFLED);
    uint32_t rounds = 0;
    for (bool done = false; !done; rounds++) {
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_int_eq(begin(rounds ? store_rest(&st) : 1), E_OK);
        ck_assert_int_eq(ckpt_merge_step(&merge, 1, NULL), E_OK);
        done = merge.done;
        if (rounds == 1) { /* life goes on meanwhile */
            memcpy(rig_ram, model[3], sizeof rig_ram);
            run_guest(5);
            remember(4);
            make_order(FAULTS);
            ck_assert_uint_eq(save_on(4, 3), 5);
            ck_assert_int_eq(store_pin(&st, 3, true), E_OK);
        }
        all_as_in_the_model();
    }
    ck_assert_uint_gt(rounds, 2);
    ck_assert_uint_eq(store_count(&st), 4);
    ck_assert(store_find(&st, 3)->flags & ENTRY_FLAG_PINNED);
}
END_TEST

START_TEST(what_a_rest_is)
{
    struct disk_meta meta;
    make_chain(4, ASCENDING);
    ck_assert_int_eq(begin(3), E_OK);
    ck_assert_int_eq(ckpt_merge_step(&merge, 1, NULL), E_OK);
    ck_assert(!merge.done && format_is_rest(store_find(&st, 3)));
    ck_assert_int_eq(ckpt_read_meta(&st, 3, &meta), E_NOTFOUND);
    ck_assert_int_eq(store_pin(&st, 3, true), E_NOTFOUND);
    ck_assert_int_eq(store_delete(&st, 3), E_BUSY);
    ck_assert_int_eq(begin(2), E_BUSY); /* its heir is one */
    ck_assert_int_eq(begin(4), E_BUSY); /* it is there for that one alone */
    ck_assert_int_eq(begin(1), E_OK);
    ck_assert_uint_eq(store_chain_length(&st, 5), 5);
    ck_assert_int_eq(store_delete(&st, 5), E_OK);
    uint64_t used = store_usage(&st).used,
             both = store_entry_bytes(store_find(&st, 3)) + store_entry_bytes(store_find(&st, 4));
    ck_assert_int_eq(store_delete(&st, 4), E_OK); /* and what was there for it */
    ck_assert_ptr_null(store_find(&st, 3));
    ck_assert_uint_eq(store_usage(&st).used, used - both);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 2);
    all_as_in_the_model();
}
END_TEST

START_TEST(refused)
{
    ck_assert_int_eq(begin(1), E_NOTFOUND);
    make_chain(2, ASCENDING);
    ck_assert_int_eq(begin(9), E_NOTFOUND);
    ck_assert_int_eq(begin(STORE_LATEST), E_NOTFOUND);
    ck_assert_int_eq(begin(3), E_BUSY); /* nobody would have its pages */
    ck_assert_int_eq(ckpt_merge_begin(&merge, &st, 1, merge_seen, 3, NULL), E_NOMEM);
    ck_assert_int_eq(store_pin(&st, 1, true), E_OK);
    ck_assert_int_eq(begin(1), E_PINNED);
    ck_assert_int_eq(store_pin(&st, 1, false), E_OK);
    memcpy(rig_ram, model[0], sizeof rig_ram);
    run_guest(50);
    remember(3);
    ck_assert_uint_eq(save_on(1, 0), 4);
    ck_assert_int_eq(begin(1), E_BUSY); /* two would need them */
    all_as_in_the_model();
}
END_TEST

START_TEST(damaged_ones)
{
    make_chain(3, ASCENDING);
    uint8_t *heir = stream_of(3), *victim = stream_of(2);
    heir[5000] ^= 1;
    ck_assert_int_eq(begin(2), E_CHECKSUM);
    heir[5000] ^= 1;
    victim[store_find(&st, 2)->stream_bytes - 200] ^= 1; /* its last pages */
    ck_assert_int_eq(begin(2), E_OK);
    ck_assert_int_eq(ckpt_merge_step(&merge, MERGE_SLICE_BYTES, NULL), E_CHECKSUM);
    ck_assert_uint_eq(store_rest(&st), 0);
    victim[store_find(&st, 2)->stream_bytes - 200] ^= 1;
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 4);
    all_as_in_the_model();
}
END_TEST

/* No writer makes it: nothing behind the last pages, so that a rest of them would have no record. */
START_TEST(no_end)
{
    make_chain(1, ASCENDING);
    st.table[0].stream_bytes -= sizeof(struct disk_record) + END_BYTES_FULL;
    ck_assert_int_eq(begin(1), E_OK);
    uint32_t steps = 0;
    enum err e;
    while (!(e = ckpt_merge_step(&merge, 1, NULL))) {
        ck_assert(!merge.done);
        ck_assert_int_eq(rig_open(&st), E_OK);
        steps++;
    }
    ck_assert_int_eq(e, E_CHECKSUM);
    ck_assert_uint_gt(steps, 0);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 2);
}
END_TEST

/* Every request to the disk fails once, in a merge of several slices. */
START_TEST(a_disk_that_fails)
{
    uint64_t at = 0;
    for (bool failed = true; failed; at++) {
        setup();
        make_chain(3, SHUFFLED);
        rig.requests = 0;
        rig.fail_at = at;
        rig.fail_for = 1;
        enum err e = whole_merge(2, 30000);
        failed = rig.requests > at;
        rig.fail_at = UINT64_MAX;
        ck_assert(e == E_OK || e == E_IO);
        ck_assert(failed || !e);
        all_as_in_the_model();
        ck_assert_int_eq(rig_open(&st), E_OK);
        all_as_in_the_model();
        ck_assert_int_eq(e ? whole_merge(2, 30000) : E_OK, E_OK);
        all_as_in_the_model();
    }
    ck_assert_uint_gt(at, 20);
}
END_TEST

static void fill(uint64_t leave_blocks)
{
    static struct ckpt_layout big;
    static uint64_t page[PAGE_BYTES / 8];
    struct ckpt_writer w;
    uint64_t id, pages = store_largest_gap(&st, NULL).count - leave_blocks;
    big = rig_layout();
    big.ram_count = 1;
    big.ram[0].base = 0;
    big.ram[0].bytes = pages * PAGE_BYTES;
    big.hidden = (struct ckpt_range){0};
    struct ckpt_meta meta = {"fills", 1, CKPT_FULL, CKPT_DISK_NONE, &big, 0, 0};
    ck_assert_int_eq(ckpt_begin(&w, &st, &meta), E_OK);
    for (uint64_t i = 0; i < pages; i++) {
        for (uint32_t j = 0; j < PAGE_BYTES / 8; j++)
            page[j] = rig_random();
        ck_assert_int_eq(ckpt_put_page(&w, i, page), E_OK);
    }
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
}

START_TEST(in_little_room)
{
    make_chain(3, ASCENDING);
    memset(rig_ram[3], 0x12, PAGE_BYTES);
    fill(400);
    uint64_t full = store_entry_bytes(store_find(&st, 1));
    uint64_t left = store_largest_gap(&st, NULL).count;
    ck_assert(left >= 300 && left < 400);
    ck_assert_uint_gt(full, 0);
    for (uint64_t victim = 1; victim <= 3; victim++)
        ck_assert_int_eq(whole_merge(victim, MERGE_SLICE_BYTES), E_OK);
    ck_assert_uint_eq(store_count(&st), 2);
    restores_to(4, model[3]);
    fill(200);
    ck_assert_int_eq(rig_open(&st), E_OK);
    restores_to(4, model[3]);
    memcpy(rig_ram, model[3], sizeof rig_ram);
    run_guest(9);
    remember(4);
    ck_assert_int_eq(rig_save_pages(&st, 4, model[3], order, "on", &(uint64_t){0}), E_OK);
    ck_assert_int_eq(whole_merge(4, 1), E_FULL);
    restores_to(4, model[3]);
}
END_TEST

/* As kernel/auto.c and kernel/merging.c do it: one chain, for as long as it takes. */
START_TEST(automatic_ones_stay_one_chain)
{
    static const uint32_t all = 40;
    for (uint64_t keep = 2; keep <= 8; keep += 3) {
        setup();
        make_order(ASCENDING);
        for (uint32_t n = 0; n < all; n++) {
            const struct disk_entry *newest = store_find(&st, STORE_LATEST);
            ck_assert(!auto_plan_full(store_chain_length(&st, STORE_LATEST), keep));
            run_guest(n);
            remember(n % POINTS);
            ck_assert_uint_eq(save_on(newest ? newest->id : 0, n ? (n - 1) % POINTS : 0), n + 1);
            if (n != 4) /* by hand */
                st.table[st.count - 1].flags |= ENTRY_FLAG_AUTOMATIC;
            ck_assert(n != 6 || !store_pin(&st, 7, true));
            uint32_t before = store_count(&st);
            uint64_t id, most = auto_plan_most(keep), gone = 0;
            for (; (id = auto_plan_surplus(&st, keep, most)) != 0; most = keep + 1, gone++)
                ck_assert_int_eq(whole_merge(id, gone & 1 ? 20000 : MERGE_SLICE_BYTES), E_OK);
            ck_assert(!gone || store_count(&st) == keep + (n >= 4) + (n >= 6));
            ck_assert_uint_le(before, keep + keep / 2 + 2);
            for (uint32_t i = 0; i < store_count(&st); i++)
                if (store_entry(&st, i)->id + POINTS > n + 1)
                    restores_to(store_entry(&st, i)->id, model[(store_entry(&st, i)->id - 1) % POINTS]);
        }
        ck_assert(store_find(&st, 5) && store_find(&st, 7));
        ck_assert_uint_eq(store_entry(&st, 0)->id, 5);
        ck_assert_uint_eq(store_entry(&st, 0)->kind, CKPT_FULL);
    }
}
END_TEST

START_TEST(tables_with_a_rest)
{
    static const char *const why_rest = "what is left of a checkpoint is out of range";
    make_chain(3, ASCENDING);
    ck_assert_int_eq(begin(2), E_OK);
    ck_assert_int_eq(ckpt_merge_step(&merge, 1, NULL), E_OK);
    struct disk_super super = {.total_blocks = st.total_blocks,
                               .data_first = STORE_DATA_FIRST,
                               .table_count = st.count,
                               .next_id = st.next_id};
    for (int what = 0; what < 8; what++) {
        struct disk_entry table[4];
        const char *why = NULL;
        memcpy(table, st.table, sizeof table);
        struct disk_entry *rest = &table[1];
        ck_assert(format_is_rest(rest));
        if (what == 1)
            rest->flags |= ENTRY_FLAG_PINNED;
        else if (what == 2)
            rest->rest_offset |= 4;
        else if (what == 3)
            rest->rest_offset += STORE_BLOCK_BYTES;
        else if (what == 4)
            rest->rest_sequence = 0;
        else if (what == 5)
            table[2].parent = 1; /* nobody builds on it */
        else if (what == 6)
            table[3].parent = 2; /* two do */
        else if (what == 7)
            rest->features_required &= ~ENTRY_FEATURE_REST;
        format_seal_super(&super, table);
        ck_assert_int_eq(format_check_table(&super, table, &why), what ? E_BADSTORE : E_OK);
        ck_assert(!what || !strcmp(why, why_rest));
    }
}
END_TEST

static void setup_encrypted(void)
{
    rig_key = &test_key;
    setup();
}

static void teardown_encrypted(void)
{
    rig_key = NULL;
}

static Suite *suite(void)
{
    Suite *s = suite_create("merge");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, any_one_goes);
    tcase_add_test(t, one_after_the_other);
    tcase_add_test(t, interrupted_and_gone_on_with);
    tcase_add_test(t, what_a_rest_is);
    tcase_add_test(t, refused);
    tcase_add_test(t, damaged_ones);
    tcase_add_test(t, no_end);
    tcase_add_test(t, a_disk_that_fails);
    tcase_add_test(t, in_little_room);
    tcase_add_test(t, automatic_ones_stay_one_chain);
    tcase_add_test(t, tables_with_a_rest);
    suite_add_tcase(s, t);
    t = tcase_create("encrypted");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup_encrypted, teardown_encrypted);
    tcase_add_test(t, any_one_goes);
    tcase_add_test(t, interrupted_and_gone_on_with);
    tcase_add_test(t, in_little_room);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("merge", suite)
