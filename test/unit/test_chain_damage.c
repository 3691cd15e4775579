/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains that something happened to: damage below the checkpoint that is asked for, links that lead nowhere, records no
   writer makes, and every power cut and failing request while one grows. Nothing of it is restored in part. */
/* UNITS: ckpt/load.c ckpt/save.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_load.c ckpt/store_text.c */
/* UNITS: ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "chain_rig.h"

/* ---- damage below ---- */

static struct ckpt_restore restore;

static enum err restore_check(uint64_t id)
{
    static struct vcpu_state cpu;
    static struct ckpt_layout here;
    static char why[160];
    here = rig_layout();
    restore.cpus = &cpu;
    restore.seen = rig_seen;
    enum err e = ckpt_restore_check(&restore, &st, id, &here, NULL, 0, why, sizeof why);
    ck_assert((e == E_OK) == !why[0]);
    ck_assert_int_eq(restore.step, e ? RESTORE_NONE : RESTORE_CHECKED);
    return e;
}

/* The same chain, with a CPU in each, so that it can be restored as a machine. */
static void make_machine_chain(void)
{
    static struct vcpu_state cpu;
    static struct ckpt_layout l;
    struct ckpt_devices none = {0};
    struct ckpt_result result;
    l = rig_layout();
    for (uint64_t i = 0; i < 3; i++) {
        struct ckpt_request request = {.meta = {"m", 0, i ? CKPT_INCREMENTAL : CKPT_FULL, CKPT_DISK_NONE, &l, i, 0},
                                       .page = rig_read_page};
        cpu.rip = 0x1000 + i;
        ck_assert_int_eq(ckpt_write(&st, &request, &cpu, &none, &result), E_OK);
        remember((uint32_t)i);
        run_guest(i + 20);
    }
    restore.seen_bytes = sizeof rig_seen;
}

START_TEST(machines_are_restored_from_chains)
{
    bool touched;
    make_machine_chain();
    for (uint64_t id = 1; id <= 3; id++) {
        ck_assert_int_eq(restore_check(id), E_OK);
        ck_assert_uint_eq(restore.cpus[0].rip, 0x1000 + id - 1); /* of the newest */
        forget_target();
        ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_OK);
        ck_assert_uint_eq(asked_total, SAVED_PAGES);
        for (uint32_t i = 0; i < RIG_RAM_PAGES; i++)
            ck_assert(rig_hidden(i) || !memcmp(target[i], model[id - 1][i], PAGE_BYTES));
    }
    restore.seen_bytes--;
    ck_assert_int_eq(restore_check(3), E_NOMEM);
}
END_TEST

START_TEST(a_damaged_parent_stops_all_above_it)
{
    static const struct ckpt_visitor nobody;
    bool touched;
    make_machine_chain();
    for (uint64_t below = 1; below <= 2; below++) {
        const struct disk_entry *e = store_find(&st, below);
        for (uint64_t at = 0; at < e->stream_bytes; at += 4001) {
            stream_of(below)[at] ^= 4;
            nothing_is_restored(3, E_CHECKSUM);
            ck_assert_int_eq(restore_check(3), E_CHECKSUM);
            ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_INTERNAL);
            ck_assert_uint_eq(asked_total, 0);
            stream_of(below)[at] ^= 4;
        }
        stream_of(below)[e->stream_bytes - 1] ^= 1;
        ck_assert_int_eq(ckpt_walk(&st, store_find(&st, 3), &nobody, NULL), E_OK); /* it is whole in itself */
        nothing_is_restored(below, E_CHECKSUM);
        if (below == 2)
            restores_to(1, model[0]);
        stream_of(below)[e->stream_bytes - 1] ^= 1;
    }
    ck_assert_int_eq(restore_check(3), E_OK);
    stream_of(1)[store_find(&st, 1)->stream_bytes - 1] ^= 1; /* between the check and the load */
    forget_target();
    ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_CHECKSUM);
    ck_assert(touched);
}
END_TEST

START_TEST(links_that_lead_nowhere)
{
    make_chain(2, ASCENDING);
    static const uint64_t bad[] = {3, 4, 2, 99}; /* itself, a newer one, a circle, none */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct disk_entry *e = &st.table[bad[i] == 2 ? 0 : 1];
        struct disk_entry keep = *e;
        e->parent = bad[i];
        e->kind = CKPT_INCREMENTAL;
        nothing_is_restored(3, E_CHECKSUM);
        ck_assert_uint_le(store_chain_length(&st, 3), STORE_CHAIN_MAX + 1);
        *e = keep;
    }
    st.table[2].parent = 1; /* an older one, but not the one it was made on */
    nothing_is_restored(3, E_CHECKSUM);
    st.table[2].parent = 2;
    restores_to(3, model[2]);
    st.next_id = 9;
    save_on(0, 0);
    st.next_id = 7; /* older than what it builds on, and all else fits */
    ck_assert_uint_eq(save_on(9, 0), 7);
    nothing_is_restored(7, E_CHECKSUM);
}
END_TEST

START_TEST(a_parent_of_another_machine)
{
    make_chain(0, ASCENDING);
    struct ckpt_layout l = rig_layout();
    struct ckpt_meta on = {"x", 0, CKPT_INCREMENTAL, CKPT_DISK_NONE, &l, 1, 0};
    struct ckpt_writer w;
    uint64_t id;
    l.device_hash = 1;
    ck_assert_int_eq(ckpt_begin(&w, &st, &on), E_OK);
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++)
        if (!rig_hidden(i))
            ck_assert_int_eq(ckpt_skip_page(&w, rig_number(i)), E_OK);
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    nothing_is_restored(id, E_CHECKSUM);
}
END_TEST

START_TEST(a_parent_that_changes_its_machine_after_the_check)
{
    struct ckpt_layout l = rig_layout();
    struct ckpt_meta full = {"x", 0, CKPT_FULL, CKPT_DISK_NONE, &l, 0, 0};
    struct ckpt_writer w;
    uint64_t id;
    bool touched;
    l.device_hash = 1;
    ck_assert_int_eq(ckpt_begin(&w, &st, &full), E_OK);
    ck_assert_int_eq(ckpt_put_ram(&w, rig_read_page, NULL, NULL), E_OK);
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    st.table[0].id = 50; /* out of the way; its records go on saying 1 */
    st.next_id = 1;
    make_chain(1, ASCENDING);
    ck_assert_int_eq(ckpt_verify(&st, 2, NULL), E_OK);
    st.table[0].id = 1;
    st.table[1].id = 51;
    ck_assert_int_eq(load(2, &touched), E_CHECKSUM);
}
END_TEST

/* Put every page and commit what is wrong in a way that no checksum shows. */
static void all_pages(struct ckpt_writer *w, uint64_t parent, int kind)
{
    static struct ckpt_layout l;
    l = rig_layout();
    struct ckpt_meta meta = {"x", 0, parent ? CKPT_INCREMENTAL : CKPT_FULL, CKPT_DISK_NONE, &l, parent, 0};
    ck_assert_int_eq(ckpt_begin(w, &st, &meta), E_OK);
    make_order(kind);
    for (uint32_t k = 0; k < RIG_RAM_PAGES; k++)
        if (!rig_hidden(order[k]))
            ck_assert_int_eq(ckpt_put_page(w, rig_number(order[k]), rig_ram[order[k]]), E_OK);
}

START_TEST(what_no_writer_makes)
{
    struct ckpt_writer w;
    uint64_t id;
    memset(rig_ram, 1, sizeof rig_ram);
    all_pages(&w, 0, ASCENDING);
    ck_assert(zero_runs_add(&w.zeros, 5)); /* zero runs in a full one */
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    nothing_is_restored(id, E_CHECKSUM);
    all_pages(&w, 0, DESCENDING);
    w.entry.features_required = 0; /* any order, and not marked */
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    nothing_is_restored(id, E_CHECKSUM);
    all_pages(&w, 0, ASCENDING);
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    uint64_t base = id;
    static const uint64_t bad[] = {5, 32, 356, RIG_PAGE_END}; /* more pages than there are; not RAM; hidden; behind */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        all_pages(&w, base, ASCENDING);
        ck_assert(zero_runs_add(&w.zeros, bad[i]));
        ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
        nothing_is_restored(id, E_CHECKSUM);
        ck_assert_int_eq(store_delete(&st, id), E_OK);
    }
    all_pages(&w, base, ASCENDING);
    ck_assert(zero_runs_add(&w.zeros, 5)); /* more pages than there are, and the end goes along with it */
    w.totals.zero_pages++, w.totals.unchanged--;
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    nothing_is_restored(id, E_CHECKSUM);
    memset(rig_ram[5], 0, PAGE_BYTES); /* a full one with a zero run, and right numbers for it */
    all_pages(&w, 0, ASCENDING);
    ck_assert(zero_runs_add(&w.zeros, 5));
    w.totals.zero_pages--, w.totals.unchanged++;
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    nothing_is_restored(id, E_CHECKSUM);
    all_pages(&w, base, ASCENDING);
    w.totals.pages--, w.totals.unchanged++; /* the end says other numbers */
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    nothing_is_restored(id, E_CHECKSUM);
}
END_TEST

/* ---- power cuts and failing requests ---- */

struct moment {
    uint32_t ops, count; /* recorded when the operation had returned; checkpoints then */
    uint64_t pinned;     /* bit id */
};

static struct moment moment[8];
static uint32_t moments;

static struct moment now(void)
{
    struct moment m = {.ops = rig.ops, .count = store_count(&st)};
    for (uint32_t i = 0; i < m.count; i++)
        m.pinned |= store_entry(&st, i)->flags & ENTRY_FLAG_PINNED ? BIT(store_entry(&st, i)->id) : 0;
    return m;
}

static bool same_moment(const struct moment *a, const struct moment *b)
{
    return a->count == b->count && a->pinned == b->pinned;
}

/* A chain grows to three, its base is pinned, the newest goes, and another is built in the same room. */
static void life(void)
{
    moments = 0;
    rig.recording = true;
    rig_format(&st);
    moment[moments++] = now();
    memset(rig_ram, 0, sizeof rig_ram);
    memset(rig_ram[10], 0x42, 60 * PAGE_BYTES);
    run_guest(70);
    for (uint32_t i = 0; i < 3; i++) {
        remember(i);
        make_order(FAULTS);
        save_on(i, i ? i - 1 : 0);
        moment[moments++] = now();
        run_guest(71 + i);
    }
    ck_assert_int_eq(store_pin(&st, 1, true), E_OK);
    moment[moments++] = now();
    ck_assert_int_eq(store_delete(&st, 3), E_OK);
    moment[moments++] = now();
    remember(3);
    save_on(2, 1); /* id 4: point 3 */
    moment[moments++] = now();
    rig.recording = false;
}

static void survives(uint32_t cut)
{
    uint32_t m = 0;
    while (m + 1 < moments && moment[m + 1].ops <= cut)
        m++;
    enum err e = rig_open(&st);
    if (e) {
        ck_assert_msg(cut < moment[0].ops && (e == E_NOSTORE || e == E_BADSTORE), "cut %u: %s", cut, err_name(e));
        return;
    }
    struct moment found = now();
    ck_assert_msg(same_moment(&found, &moment[m]) || (m + 1 < moments && same_moment(&found, &moment[m + 1])),
                  "cut %u shows %u checkpoints, pins %lx", cut, found.count, found.pinned);
    for (uint32_t i = 0; i < found.count; i++) {
        uint64_t id = store_entry(&st, i)->id;
        ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
        restores_to(id, model[id - 1]);
    }
}

START_TEST(power_cut_at_every_write)
{
    rig_reset(64);
    life();
    ck_assert_uint_gt(rig.ops, 60);
    for (uint32_t cut = 0; cut <= rig.ops; cut++) {
        uint32_t count = cut < rig.ops ? rig.op[cut].count : 0;
        uint32_t torn[] = {0, count / 2, count};
        for (size_t i = 0; i < (count ? ARRAY_LEN(torn) : 1); i++) {
            rig_replay(cut, torn[i], false);
            survives(cut);
        }
        rig_replay(cut, count / 3, true);
        survives(cut);
    }
}
END_TEST

START_TEST(each_request_of_an_incremental_one_fails)
{
    for (uint64_t at = 0;; at++) {
        ck_assert_uint_lt(at, 200);
        rig_reset(64);
        rig_fill_ram(3);
        rig_format(&st);
        make_chain(1, SHUFFLED);
        run_guest(9);
        remember(2);
        uint64_t id = 0;
        rig.fail_at = rig.requests + at;
        rig.fail_for = 1;
        enum err e = rig_save_pages(&st, 2, model[1], order, "tried", &id);
        bool done = rig.requests <= rig.fail_at;
        rig.fail_at = UINT64_MAX;
        ck_assert_msg(!rig.busy, "a command was left in flight");
        ck_assert(e == E_OK || e == E_IO);
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), e ? 2 : 3);
        for (uint32_t i = 0; i < store_count(&st); i++)
            restores_to(i + 1, model[i]);
        if (done)
            break;
    }
}
END_TEST

START_TEST(each_read_of_a_chain_fails)
{
    bool touched;
    make_chain(1, ASCENDING);
    rig.requests = 0;
    ck_assert_int_eq(ckpt_verify(&st, 2, NULL), E_OK);
    uint64_t reads = rig.requests;
    for (uint64_t at = 0; at < 2 * reads; at++) {
        st.verified_seed = 0;
        rig.requests = 0;
        rig.fail_at = at;
        rig.fail_for = 1;
        ck_assert_int_eq(load(2, &touched), E_IO);
        ck_assert(touched == (asked_total != 0));
        ck_assert(!touched || at > reads);
    }
    ck_assert(touched);
    rig.fail_at = UINT64_MAX;
    restores_to(2, model[1]);
}
END_TEST

static Suite *chain_damage_suite(void)
{
    Suite *s = suite_create("chain_damage");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, machines_are_restored_from_chains);
    tcase_add_test(t, a_damaged_parent_stops_all_above_it);
    tcase_add_test(t, links_that_lead_nowhere);
    tcase_add_test(t, a_parent_of_another_machine);
    tcase_add_test(t, a_parent_that_changes_its_machine_after_the_check);
    tcase_add_test(t, what_no_writer_makes);
    tcase_add_test(t, power_cut_at_every_write);
    tcase_add_test(t, each_request_of_an_incremental_one_fails);
    tcase_add_test(t, each_read_of_a_chain_fails);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("chain_damage", chain_damage_suite)
