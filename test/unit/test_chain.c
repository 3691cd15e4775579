/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints that build on others: restored at every point bit for bit against a model, pages in any order, chains of
   every length, pins, and what may be deleted. */
/* UNITS: ckpt/load.c ckpt/save.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_load.c ckpt/store_text.c */
/* UNITS: ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c kernel/auto_plan.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "chain_rig.h"
#include "kernel/auto_plan.h"

START_TEST(every_point_of_a_chain)
{
    for (int kind = ASCENDING; kind < ORDERS; kind++) {
        setup();
        make_chain(3, kind);
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), 4);
        for (uint32_t i = 0; i < 4; i++) {
            const struct disk_entry *e = store_entry(&st, i);
            uint64_t pages = 0, zero = 0, unchanged = 0;
            for (uint32_t p = 0; p < RIG_RAM_PAGES; p++) {
                bool same = i && !memcmp(model[i][p], model[i - 1][p], PAGE_BYTES);
                bool none = !same && page_is_zero(model[i][p]);
                unchanged += same && !rig_hidden(p);
                zero += none && !rig_hidden(p);
                pages += !same && !none && !rig_hidden(p);
            }
            ck_assert(i == 0 || (unchanged > 40 && zero > 10 && pages > 20)); /* the test is about something */
            ck_assert_uint_eq(e->pages, pages);
            ck_assert_uint_eq(e->zero_pages, zero);
            ck_assert_uint_eq(e->parent, i);
            ck_assert_uint_eq(e->kind, i ? CKPT_INCREMENTAL : CKPT_FULL);
            ck_assert_uint_eq(e->features_required,
                              (i ? ENTRY_FEATURE_PARENT : 0) |
                                  (kind != ASCENDING ? ENTRY_FEATURE_ANY_ORDER | ENTRY_FEATURE_MIXED : 0));
            ck_assert_uint_eq(store_chain_length(&st, e->id), i + 1);
            ck_assert_int_eq(ckpt_verify(&st, e->id, NULL), E_OK);
            restores_to(e->id, model[i]);
        }
    }
}
END_TEST

START_TEST(all_or_nothing_changed)
{
    make_order(ASCENDING);
    remember(0);
    save_on(0, 0);
    uint64_t same = save_on(1, 0);
    ck_assert_uint_eq(store_find(&st, same)->pages + store_find(&st, same)->zero_pages, 0);
    restores_to(same, model[0]);
    memset(rig_ram, 0, sizeof rig_ram);
    remember(1);
    uint64_t none = save_on(same, 0);
    ck_assert_uint_eq(store_find(&st, none)->pages, 0);
    restores_to(none, model[1]);
    memset(rig_ram, 0x77, sizeof rig_ram);
    remember(2);
    uint64_t all = save_on(none, 1);
    ck_assert_uint_eq(store_find(&st, all)->pages, SAVED_PAGES);
    restores_to(all, model[2]);
    restores_to(1, model[0]);
}
END_TEST

START_TEST(two_build_on_one)
{
    make_chain(1, ASCENDING);
    memcpy(rig_ram, model[0], sizeof rig_ram);
    run_guest(50);
    remember(2);
    ck_assert_uint_eq(save_on(1, 0), 3);
    for (uint32_t i = 0; i < 3; i++)
        restores_to(i + 1, model[i]);
    ck_assert_uint_eq(store_chain_length(&st, 3), 2);
}
END_TEST

START_TEST(ordinary_full_ones_are_as_they_were)
{
    uint64_t id;
    struct disk_record end;
    ck_assert_int_eq(rig_save(&st, "plain", &id), E_OK);
    const struct disk_entry *e = store_find(&st, id);
    ck_assert_uint_eq(e->features_required | e->flags | e->parent, 0);
    memcpy(&end, stream_of(id) + e->stream_bytes - sizeof end - 32, sizeof end);
    ck_assert_uint_eq(end.type, RECORD_END);
    ck_assert_uint_eq(end.payload_bytes, 32);
    remember(0);
    make_order(ASCENDING);
    id = save_on(id, 0);
    memcpy(&end, stream_of(id) + store_find(&st, id)->stream_bytes - sizeof end - 40, sizeof end);
    ck_assert_uint_eq(end.type, RECORD_END);
    ck_assert_uint_eq(end.payload_bytes, 40);
}
END_TEST

static uint32_t zero_records, zero_named;

static enum err count_zeros(void *ctx, uint64_t first, uint32_t count)
{
    (void)first;
    zero_records += ctx != NULL;
    zero_named += count;
    return E_OK;
}

START_TEST(more_zero_runs_than_a_record_holds)
{
    for (int kind = ASCENDING; kind < ORDERS; kind++) {
        setup();
        memset(rig_ram, 0x31, sizeof rig_ram);
        remember(0);
        make_order(kind);
        save_on(0, 0);
        for (uint32_t i = 0; i < RIG_RAM_PAGES; i += 2)
            memset(rig_ram[i], 0, PAGE_BYTES);
        remember(1);
        save_on(1, 0);
        const struct disk_entry *e = store_find(&st, 2);
        struct ckpt_visitor v = {.zeros = count_zeros, .ctx = &v};
        zero_records = zero_named = 0;
        ck_assert_int_eq(ckpt_walk(&st, e, &v, NULL), E_OK);
        ck_assert_uint_eq(zero_named, SAVED_PAGES / 2);
        ck_assert_uint_eq(zero_records, SAVED_PAGES / 2); /* runs: no two of them touch */
        ck_assert_uint_eq(e->pages, 0);
        restores_to(2, model[1]);
    }
}
END_TEST

START_TEST(the_writer_refuses)
{
    struct ckpt_layout l = rig_layout();
    struct ckpt_meta full = {"x", 0, CKPT_FULL, CKPT_DISK_NONE, &l, 0, 0}, on = full;
    struct ckpt_writer w;
    uint64_t id = 77;
    on.kind = CKPT_INCREMENTAL;
    ck_assert_int_eq(ckpt_begin(&w, &st, &on), E_INTERNAL);
    on.parent = 1;
    ck_assert_int_eq(ckpt_begin(&w, &st, &on), E_NOTFOUND);
    make_chain(0, ASCENDING);
    full.parent = 1;
    ck_assert_int_eq(ckpt_begin(&w, &st, &full), E_INTERNAL);
    full.parent = 0;
    static const uint64_t bad[] = {32, 255, 356, 363, RIG_PAGE_END, UINT64_MAX}; /* holes, hidden, behind */
    for (size_t i = 0; i < 2 * ARRAY_LEN(bad); i++) {
        ck_assert_int_eq(ckpt_begin(&w, &st, &on), E_OK);
        ck_assert_int_eq(i % 2 ? ckpt_put_page(&w, bad[i / 2], rig_ram) : ckpt_skip_page(&w, bad[i / 2]), E_INTERNAL);
        ck_assert_int_eq(ckpt_skip_page(&w, 0), E_INTERNAL); /* sticky */
        ck_assert_int_eq(ckpt_put_page(&w, 0, rig_ram), E_INTERNAL);
        ck_assert_int_eq(ckpt_commit(&w, &id), E_INTERNAL);
    }
    ck_assert_int_eq(ckpt_begin(&w, &st, &full), E_OK);
    ck_assert_int_eq(ckpt_skip_page(&w, 0), E_INTERNAL);
    ckpt_abort(&w);
    ck_assert_int_eq(ckpt_begin(&w, &st, &full), E_OK);
    ck_assert_int_eq(ckpt_put_page(&w, 7, rig_ram), E_OK);
    ck_assert_int_eq(ckpt_put_page(&w, 7, rig_ram), E_INTERNAL); /* the same again */
    ckpt_abort(&w);
    ck_assert_int_eq(ckpt_begin(&w, &st, &full), E_OK);
    ck_assert_int_eq(ckpt_put_page(&w, 7, rig_ram), E_OK);
    ck_assert_int_eq(ckpt_put_section(&w, "late", 1, "", 0), E_INTERNAL);
    ckpt_abort(&w);
    for (uint32_t pages = SAVED_PAGES - 1; pages <= SAVED_PAGES + 1; pages++) { /* one too few, right, one too many */
        ck_assert_int_eq(ckpt_begin(&w, &st, &on), E_OK);
        for (uint32_t i = 0; i < pages; i++)
            ck_assert_int_eq(ckpt_skip_page(&w, i % 32), E_OK);
        ck_assert_int_eq(ckpt_commit(&w, &id), pages == SAVED_PAGES ? E_OK : E_INTERNAL);
    }
    ck_assert_uint_eq(id, 2);
    ck_assert_uint_eq(store_count(&st), 2);
}
END_TEST

START_TEST(longest_chain_and_one_more)
{
    memset(rig_ram, 0, sizeof rig_ram);
    memset(rig_ram[20], 1, 30 * PAGE_BYTES);
    make_chain(STORE_CHAIN_MAX - 1, FAULTS);
    ck_assert_uint_eq(store_chain_length(&st, STORE_LATEST), STORE_CHAIN_MAX);
    ck_assert_int_eq(rig_open(&st), E_OK);
    for (uint32_t i = 0; i < STORE_CHAIN_MAX; i++)
        restores_to(i + 1, model[i]);
    uint64_t id = 0;
    ck_assert_int_eq(rig_save_pages(&st, STORE_CHAIN_MAX, model[STORE_CHAIN_MAX - 1], NULL, "too long", &id), E_FULL);
    ck_assert_int_eq(rig_save_pages(&st, STORE_CHAIN_MAX - 1, model[STORE_CHAIN_MAX - 2], NULL, "beside", &id), E_OK);
    restores_to(id, model[STORE_CHAIN_MAX - 1]);
    /* A longer one, as a program with a higher limit makes it: hide a link from the writer. */
    uint64_t more = 0;
    st.table[1].parent = 0;
    ck_assert_int_eq(rig_save_pages(&st, STORE_CHAIN_MAX, model[STORE_CHAIN_MAX - 1], NULL, "more", &more), E_OK);
    st.table[1].parent = 1;
    ck_assert_uint_eq(store_chain_length(&st, more), STORE_CHAIN_MAX + 1);
    nothing_is_restored(more, E_CHECKSUM);
    restores_to(STORE_CHAIN_MAX, model[STORE_CHAIN_MAX - 1]);
    ck_assert_uint_eq(store_chain_length(&st, 999), 0);
}
END_TEST

START_TEST(seen_bitmap)
{
    bool touched = true;
    struct ckpt_layout l = rig_layout();
    ck_assert_uint_eq(ckpt_seen_bytes(&l), RIG_PAGE_END / 8);
    l.ram[1].bytes += PAGE_BYTES;
    ck_assert_uint_eq(ckpt_seen_bytes(&l), RIG_PAGE_END / 8 + 1);
    l.ram_count = 0;
    ck_assert_uint_eq(ckpt_seen_bytes(&l), 0);
    make_chain(1, ASCENDING);
    for (uint64_t id = 1; id <= 2; id++) {
        forget_target();
        ck_assert_int_eq(ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen - 1, &touched, NULL),
                         E_NOMEM);
        ck_assert(!touched);
        ck_assert_uint_eq(asked_total, 0);
        restores_to(id, model[id - 1]);
    }
}
END_TEST

static uint64_t last_done, steps, total_expected;

static void step(void *ctx, uint64_t done, uint64_t total)
{
    ck_assert_ptr_eq(ctx, &steps);
    ck_assert_uint_gt(done, last_done);
    ck_assert_uint_eq(total, total_expected);
    last_done = done;
    steps++;
}

START_TEST(progress_is_over_all_of_them)
{
    struct ckpt_progress p = {step, &steps};
    bool touched;
    make_chain(2, ASCENDING);
    total_expected = last_done = 0;
    for (uint32_t i = 0; i < 3; i++)
        total_expected += store_entry(&st, i)->stream_bytes;
    ck_assert_int_eq(ckpt_verify(&st, 3, &p), E_OK);
    ck_assert_uint_eq(last_done, total_expected);
    ck_assert_uint_gt(steps, 4);
    last_done = 0;
    ck_assert_int_eq(ckpt_load_ram(&st, 3, write_page, NULL, rig_seen, sizeof rig_seen, &touched, &p), E_OK);
    ck_assert_uint_eq(last_done, total_expected);
}
END_TEST

/* ---- pins, deletion, retention ---- */

START_TEST(pinned_and_built_on_are_not_deleted)
{
    struct ckpt_writer w;
    struct ckpt_layout l = rig_layout();
    struct ckpt_meta full = {"x", 0, CKPT_FULL, CKPT_DISK_NONE, &l, 0, 0};
    make_chain(2, ASCENDING);
    ck_assert_int_eq(store_pin(&st, 4, true), E_NOTFOUND);
    ck_assert_int_eq(store_pin(&st, STORE_LATEST, true), E_NOTFOUND);
    ck_assert_int_eq(store_delete(&st, 1), E_BUSY);
    ck_assert_int_eq(store_delete(&st, 2), E_BUSY);
    ck_assert_int_eq(store_pin(&st, 3, true), E_OK);
    ck_assert_int_eq(store_delete(&st, 3), E_PINNED);
    st.table[2].flags |= 1ull << 63; /* of a later version: kept */
    uint64_t requests = rig.requests;
    ck_assert_int_eq(store_pin(&st, 3, true), E_OK); /* already so */
    ck_assert_uint_eq(rig.requests, requests);
    ck_assert_int_eq(store_pin(&st, 2, true), E_OK);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_find(&st, 1)->flags, 0);
    ck_assert_uint_eq(store_find(&st, 2)->flags, ENTRY_FLAG_PINNED);
    ck_assert_uint_eq(store_find(&st, 3)->flags, ENTRY_FLAG_PINNED | 1ull << 63);
    ck_assert_int_eq(store_delete(&st, 2), E_PINNED); /* and built on: the pin is what to say first */
    ck_assert_int_eq(store_pin(&st, 3, false), E_OK);
    ck_assert_int_eq(ckpt_begin(&w, &st, &full), E_OK);
    ck_assert_int_eq(store_pin(&st, 2, false), E_BUSY);
    ckpt_abort(&w);
    ck_assert_int_eq(store_delete(&st, 3), E_OK);
    restores_to(2, model[1]);
    ck_assert_int_eq(store_pin(&st, 2, false), E_OK);
    ck_assert_int_eq(store_delete(&st, 2), E_OK);
    ck_assert_int_eq(store_delete(&st, 1), E_OK);
    ck_assert_uint_eq(store_count(&st), 0);
}
END_TEST

START_TEST(each_request_of_a_pin_fails)
{
    for (uint64_t at = 0;; at++) {
        ck_assert_uint_lt(at, 20);
        setup();
        make_chain(0, ASCENDING);
        rig.fail_at = rig.requests + at;
        rig.fail_for = 1;
        enum err e = store_pin(&st, 1, true);
        bool done = rig.requests <= rig.fail_at;
        uint64_t want = !e ? ENTRY_FLAG_PINNED : 0;
        rig.fail_at = UINT64_MAX;
        ck_assert(e == E_OK || e == E_IO);
        ck_assert_uint_eq(store_find(&st, 1)->flags, want);
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_find(&st, 1)->flags, want);
        if (done) {
            ck_assert_int_eq(e, E_OK);
            ck_assert_uint_eq(at, 8);
            break;
        }
    }
    setup();
    make_chain(0, ASCENDING);
    st.read_only = true;
    ck_assert_int_eq(store_pin(&st, 1, true), E_STOREVERSION);
    ck_assert_uint_eq(store_find(&st, 1)->flags, 0);
}
END_TEST

START_TEST(what_may_go_first)
{
    uint64_t id;
    ck_assert_uint_eq(store_oldest_removable(&st), 0);
    make_chain(3, ASCENDING); /* 1 <- 2 <- 3 <- 4 */
    ck_assert_uint_eq(store_oldest_removable(&st), 0);
    ck_assert_int_eq(rig_save(&st, "five", &id), E_OK);
    ck_assert_uint_eq(store_oldest_removable(&st), 0); /* 4 and 5 are the newest */
    ck_assert_int_eq(rig_save(&st, "six", &id), E_OK);
    static const uint64_t then[] = {4, 3, 2, 1, 0}; /* from the end of the chain */
    for (size_t i = 0; i < ARRAY_LEN(then); i++) {
        ck_assert_uint_eq(store_oldest_removable(&st), then[i]);
        if (then[i])
            ck_assert_int_eq(store_delete(&st, then[i]), E_OK);
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rig_save(&st, "more", &id), E_OK); /* 5 6 7 8 9 */
    ck_assert_int_eq(store_pin(&st, 5, true), E_OK);
    ck_assert_uint_eq(store_oldest_removable(&st), 6);
    ck_assert_int_eq(rig_save_pages(&st, 6, rig_ram, NULL, "on six", &id), E_OK); /* 10 */
    ck_assert_uint_eq(store_oldest_removable(&st), 7);
    ck_assert_int_eq(store_pin(&st, 7, true), E_OK);
    ck_assert_int_eq(store_pin(&st, 8, true), E_OK);
    ck_assert_uint_eq(store_oldest_removable(&st), 0);
    ck_assert_int_eq(store_pin(&st, 5, false), E_OK);
    ck_assert_uint_eq(store_oldest_removable(&st), 5);
}
END_TEST

static uint64_t automatic(bool on_last)
{
    uint64_t id;
    if (on_last)
        id = save_on(store_find(&st, STORE_LATEST)->id, 0);
    else
        ck_assert_int_eq(rig_save(&st, "full", &id), E_OK);
    st.table[st.count - 1].flags |= ENTRY_FLAG_AUTOMATIC;
    return id;
}

/* As kernel/auto.c does after each. */
static void make_room(uint64_t keep)
{
    for (uint64_t id; (id = store_oldest_automatic(&st, keep)) != 0;)
        ck_assert_int_eq(store_delete(&st, id), E_OK);
}

START_TEST(made_since_open)
{
    uint64_t id;
    setup();
    rig_format(&st);
    memset(rig_ram, 0, sizeof rig_ram);
    for (uint64_t n = 1; n <= 100; n++) { /* more than there is room for at a time */
        ck_assert_int_eq(rig_save(&st, "here", &id), E_OK);
        ck_assert(id == n && store_made_since_open(&st, id));
        if (n > 2)
            ck_assert_int_eq(store_delete(&st, n - 2), E_OK);
    }
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert(!store_made_since_open(&st, 99) && !store_made_since_open(&st, 100));
    ck_assert_int_eq(rig_save(&st, "after", &id), E_OK);
    ck_assert(store_made_since_open(&st, id));
    rig_format(&st);
    ck_assert_int_eq(rig_save(&st, "in a new one", &id), E_OK);
    ck_assert(store_made_since_open(&st, id));
}
END_TEST

START_TEST(automatic_ones_make_room)
{
    uint64_t id;
    make_order(ASCENDING);
    remember(0);
    ck_assert_uint_eq(store_oldest_automatic(&st, 0), 0);
    ck_assert_int_eq(rig_save(&st, "by hand", &id), E_OK); /* 1 */
    for (uint64_t keep = 11; keep <= 14; keep++) {
        uint32_t most = 0;
        for (int n = 0; n < 40; n++) {
            automatic(!auto_plan_full(store_chain_length(&st, STORE_LATEST), keep));
            make_room(keep);
            most = store_count(&st) > most ? store_count(&st) : most;
            ck_assert_uint_ge(store_count(&st), n < (int)keep ? 1u + (unsigned)n : 1 + keep);
        }
        ck_assert_uint_eq(most, 1 + 2 * keep - 1);
        make_room(2);
    }
    ck_assert_ptr_nonnull(store_find(&st, 1));
    /* The newest two stay, whoever asks; so do those that something by hand builds on, and pinned ones. */
    setup();
    automatic(false), automatic(true);
    ck_assert_uint_eq(store_oldest_automatic(&st, 0), 0);
    id = automatic(true); /* 1 <- 2 <- 3 */
    ck_assert_uint_eq(store_oldest_automatic(&st, 0), 0);
    ck_assert_uint_eq(save_on(id, 0), 4);               /* by hand, on 3 */
    automatic(false), automatic(true), automatic(true); /* 5 <- 6 <- 7 */
    ck_assert_uint_eq(store_oldest_automatic(&st, 0), 0);
    ck_assert_int_eq(store_delete(&st, 4), E_OK);
    ck_assert_uint_eq(store_oldest_automatic(&st, 4), 0);
    ck_assert_uint_eq(store_oldest_automatic(&st, 3), 3);
    ck_assert_int_eq(store_pin(&st, 3, true), E_OK);
    ck_assert_uint_eq(store_oldest_automatic(&st, 0), 0);
    ck_assert_int_eq(store_pin(&st, 3, false), E_OK);
    ck_assert_int_eq(rig_open(&st), E_OK); /* what is automatic is on the disk */
    make_room(0);
    ck_assert_uint_eq(store_count(&st), 3);
}
END_TEST

static Suite *chain_suite(void)
{
    Suite *s = suite_create("chain");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, every_point_of_a_chain);
    tcase_add_test(t, all_or_nothing_changed);
    tcase_add_test(t, two_build_on_one);
    tcase_add_test(t, ordinary_full_ones_are_as_they_were);
    tcase_add_test(t, more_zero_runs_than_a_record_holds);
    tcase_add_test(t, the_writer_refuses);
    tcase_add_test(t, longest_chain_and_one_more);
    tcase_add_test(t, seen_bitmap);
    tcase_add_test(t, progress_is_over_all_of_them);
    tcase_add_test(t, pinned_and_built_on_are_not_deleted);
    tcase_add_test(t, each_request_of_a_pin_fails);
    tcase_add_test(t, what_may_go_first);
    tcase_add_test(t, made_since_open);
    tcase_add_test(t, automatic_ones_make_room);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("chain", chain_suite)
