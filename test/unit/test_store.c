/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store as a whole: format, open, commit, delete, free space; every power cut, every failing request, every
   damaged byte of what it keeps about itself. */
/* UNITS: ckpt/store.c ckpt/store_speed.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c ckpt/pages.c */
/* UNITS: ckpt/store_load.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "ckpt/store_speed.h"
#include "store_rig.h"

static struct store st;

static void setup(void)
{
    rig_reset(256);
    rig_fill_ram(1);
}

static uint64_t save(const char *label)
{
    uint64_t id = 0;
    ck_assert_int_eq(rig_save(&st, label, &id), E_OK);
    return id;
}

static void all_verify(void)
{
    for (uint32_t i = 0; i < store_count(&st); i++)
        ck_assert_int_eq(ckpt_verify(&st, store_entry(&st, i)->id, NULL), E_OK);
}

START_TEST(empty_disk_has_no_store)
{
    ck_assert_int_eq(rig_open(&st), E_NOSTORE);
    memset(rig.bytes, 0, RIG_DISK_SECTORS * SECTOR);
    ck_assert_int_eq(rig_open(&st), E_NOSTORE);
}
END_TEST

START_TEST(format_open_save_list_delete)
{
    rig_format(&st);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 0);
    ck_assert_ptr_null(store_find(&st, STORE_LATEST));
    ck_assert_uint_eq(store_usage(&st).used, STORE_DATA_FIRST * STORE_BLOCK_BYTES);
    ck_assert_uint_eq(store_usage(&st).bytes, RIG_PART_SECTORS * SECTOR);
    ck_assert_uint_eq(save("first"), 1);
    ck_assert_uint_eq(save("a \"b\"\n"), 2);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert(!st.stale);
    ck_assert_uint_eq(store_count(&st), 2);
    ck_assert_str_eq(store_find(&st, 2)->label, "a \"b\"?");
    ck_assert_uint_eq(store_find(&st, STORE_LATEST)->id, 2);
    all_verify();
    ck_assert_int_eq(store_delete(&st, 3), E_NOTFOUND);
    ck_assert_int_eq(store_delete(&st, STORE_LATEST), E_NOTFOUND);
    ck_assert_int_eq(store_delete(&st, 1), E_OK);
    ck_assert_int_eq(store_delete(&st, 1), E_NOTFOUND);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 1);
    ck_assert_uint_eq(save("third"), 3); /* ids are never used twice */
    ck_assert_int_eq(store_delete(&st, 3), E_OK);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(save("fourth"), 4);
    for (size_t i = 0; i < RIG_FIRST * SECTOR; i++)
        ck_assert_uint_eq(rig.bytes[i], 0xa5);
    for (size_t i = (RIG_FIRST + RIG_PART_SECTORS) * SECTOR; i < RIG_DISK_SECTORS * SECTOR; i++)
        ck_assert_uint_eq(rig.bytes[i], 0xa5);
}
END_TEST

START_TEST(arguments_are_checked)
{
    struct block_part small = {&rig.dev, 0, STORE_MIN_BLOCKS * 8 - 1};
    ck_assert_int_eq(store_format(&st, small, rig_work, sizeof rig_work, rig_uuid, 0, NULL), E_TOOSMALL);
    ck_assert_int_eq(store_open(&st, rig_part(), rig_work, sizeof rig_work - 1, NULL), E_NOMEM);
    ck_assert_int_eq(store_format(&st, rig_part(), NULL, sizeof rig_work, rig_uuid, 0, NULL), E_NOMEM);
    small.count++;
    ck_assert_int_eq(store_format(&st, small, rig_work, sizeof rig_work, rig_uuid, 0, NULL), E_OK);
    rig_format(&st);
    struct ckpt_layout l = rig_layout();
    struct ckpt_meta m = {"x", 0, CKPT_FULL, CKPT_DISK_NONE, &l, 0, 0};
    struct ckpt_writer w, second;
    l.ram[0].base = 1;
    ck_assert_int_eq(ckpt_begin(&w, &st, &m), E_LAYOUT);
    ckpt_abort(&w);
    l = rig_layout();
    ck_assert_int_eq(ckpt_begin(&w, &st, &m), E_OK);
    ck_assert_int_eq(ckpt_begin(&second, &st, &m), E_BUSY);
    ckpt_abort(&second);
    ck_assert_int_eq(store_delete(&st, 1), E_BUSY);
    ck_assert_int_eq(ckpt_put_section(&w, "big", 1, rig_ram, SECTION_BYTES_MAX + 1), E_INTERNAL);
    uint64_t id = 99;
    ck_assert_int_eq(ckpt_commit(&w, &id), E_INTERNAL); /* sticky */
    ck_assert_int_eq(ckpt_begin(&w, &st, &m), E_OK);
    ck_assert_int_eq(ckpt_commit(&w, &id), E_INTERNAL); /* no RAM */
    ck_assert_int_eq(ckpt_put_section(&w, "late", 1, "", 0), E_INTERNAL);
    ck_assert_uint_eq(id, 99);
    ck_assert_uint_eq(store_count(&st), 0);
    ck_assert_uint_eq(save("works again"), 1);
}
END_TEST

START_TEST(parent_cannot_go_first)
{
    rig_format(&st);
    save("base");
    save("child");
    st.table[1].parent = 1; /* whatever kind it says it is */
    ck_assert_int_eq(store_delete(&st, 1), E_BUSY);
    ck_assert_int_eq(store_delete(&st, 2), E_OK);
    ck_assert_int_eq(store_delete(&st, 1), E_OK);
}
END_TEST

/* ---- power cuts ---- */

struct milestone {
    uint32_t ops; /* recorded when the operation had returned */
    uint64_t ids[8];
    uint32_t count;
};

static struct milestone mile[16];
static uint32_t miles;

static void milestone(void)
{
    struct milestone *m = &mile[miles++];
    m->ops = rig.ops;
    m->count = store_count(&st);
    for (uint32_t i = 0; i < m->count; i++)
        m->ids[i] = store_entry(&st, i)->id;
}

static bool shows(const struct milestone *m)
{
    if (store_count(&st) != m->count)
        return false;
    for (uint32_t i = 0; i < m->count; i++)
        if (store_entry(&st, i)->id != m->ids[i])
            return false;
    return true;
}

static void sequence(void)
{
    miles = 0;
    rig.recording = true;
    milestone();
    rig_format(&st);
    milestone();
    for (uint64_t i = 0; i < 3; i++) {
        rig_fill_ram(10 + i);
        save("step");
        milestone();
    }
    ck_assert_int_eq(store_delete(&st, 2), E_OK);
    milestone();
    rig_fill_ram(20); /* into the room of the deleted one */
    save("reuse");
    milestone();
    ck_assert_int_eq(store_delete(&st, 1), E_OK);
    milestone();
    rig.recording = false;
}

/* What holds after any cut: the store is as before or as after the operation under way, and all it shows is whole. */
static void survives(uint32_t cut, bool go_on)
{
    uint32_t m = 0;
    while (m + 1 < miles && mile[m + 1].ops <= cut)
        m++;
    enum err e = rig_open(&st);
    if (e) {
        ck_assert_msg(m == 0 && (e == E_NOSTORE || e == E_BADSTORE), "cut %u: %s", cut, err_name(e));
        return;
    }
    ck_assert_msg(shows(&mile[m]) || (m + 1 < miles && shows(&mile[m + 1])), "cut %u shows %u checkpoints", cut,
                  store_count(&st));
    all_verify();
    if (go_on) { /* and it can be used */
        uint32_t before = store_count(&st);
        save("after");
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), before + 1);
        all_verify();
    }
}

START_TEST(power_cut_at_every_write)
{
    sequence();
    ck_assert_uint_gt(rig.ops, 60);
    for (uint32_t cut = 0; cut <= rig.ops; cut++) {
        uint32_t count = cut < rig.ops ? rig.op[cut].count : 0;
        uint32_t torn[] = {0, 1, count / 2, count ? count - 1 : 0, count};
        for (size_t i = 0; i < ARRAY_LEN(torn); i++) {
            rig_replay(cut, torn[i], false);
            survives(cut, i == 2);
        }
    }
}
END_TEST

START_TEST(power_cut_with_reordering_cache)
{
    sequence();
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t cut = 0; cut <= rig.ops; cut++) {
            uint32_t count = cut < rig.ops ? rig.op[cut].count : 0;
            rig_replay(cut, count ? (uint32_t)(rig_random() % count) : 0, true);
            survives(cut, false);
        }
    }
}
END_TEST

START_TEST(second_cut_while_recovering)
{
    /* Cut inside the second copy's update, then again inside the repair that the next checkpoint makes. */
    sequence();
    uint32_t last = rig.ops;
    static struct rig_op first_life[RIG_OPS_MAX];
    memcpy(first_life, rig.op, sizeof first_life);
    for (uint32_t cut = last - 8; cut < last; cut++) {
        memcpy(rig.op, first_life, sizeof first_life);
        rig.ops = last;
        rig_replay(cut, 3, false);
        ck_assert_int_eq(rig_open(&st), E_OK);
        miles = 0;
        rig.ops = cut + 1;
        if (rig.op[cut].op == BLOCK_WRITE) { /* only what arrived of it */
            rig.op[cut].count = 3;
            rig.op[cut].data = rig.bytes + rig.op[cut].lba * SECTOR;
            uint8_t *copy = malloc(3 * SECTOR);
            memcpy(copy, rig.op[cut].data, 3 * SECTOR);
            rig.op[cut].data = copy;
        }
        milestone();
        rig.recording = true;
        rig_fill_ram(33);
        save("second life");
        rig.recording = false;
        milestone();
        for (uint32_t again = cut + 1; again <= rig.ops; again++) {
            rig_replay(again, 1, false);
            survives(again, false);
        }
    }
    rig.ops = 0;
}
END_TEST

/* ---- damage ---- */

static const uint32_t slot_bytes = STORE_SLOT_BLOCKS * STORE_BLOCK_BYTES;

static uint8_t *slot(uint32_t i)
{
    return rig.bytes + RIG_FIRST * SECTOR + i * slot_bytes;
}

START_TEST(every_byte_of_either_copy)
{
    rig_format(&st);
    save("one");
    save("two");
    uint32_t used = STORE_BLOCK_BYTES + 2 * sizeof(struct disk_entry);
    for (uint32_t c = 0; c < STORE_SLOTS; c++) {
        for (uint32_t i = 0; i < used; i++) {
            slot(c)[i] ^= 0xff;
            ck_assert_int_eq(rig_open(&st), E_OK);
            ck_assert_uint_eq(store_count(&st), 2); /* the other copy knows them all */
            ck_assert(st.stale);
            slot(c)[i] ^= 0xff;
        }
    }
    all_verify();
}
END_TEST

START_TEST(both_copies_damaged)
{
    rig_format(&st);
    save("one");
    uint32_t used = STORE_BLOCK_BYTES + sizeof(struct disk_entry);
    for (uint32_t i = 0; i < used; i++) {
        const char *why = NULL;
        slot(0)[i] ^= 1;
        slot(1)[i] ^= 1;
        enum err e = store_open(&st, rig_part(), rig_work, sizeof rig_work, &why);
        ck_assert_int_eq(e, i < 8 ? E_NOSTORE : E_BADSTORE);
        ck_assert_ptr_nonnull(why);
        ck_assert_uint_gt(strlen(why), 5);
        slot(0)[i] ^= 1;
        slot(1)[i] ^= 1;
    }
    slot(0)[0] ^= 1; /* no superblock there, a damaged one here: the damaged one is what to report */
    slot(1)[50] ^= 1;
    ck_assert_int_eq(rig_open(&st), E_BADSTORE);
}
END_TEST

START_TEST(damaged_copy_is_repaired_by_the_next_commit)
{
    for (uint32_t c = 0; c < STORE_SLOTS; c++) {
        rig_reset(256);
        rig_format(&st);
        save("one");
        memset(slot(c), 0, 600);
        ck_assert_int_eq(rig_open(&st), E_OK);
        save("two");
        memset(slot(c ^ 1), 0, 600); /* now the other one goes */
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), 2);
        all_verify();
    }
}
END_TEST

START_TEST(loss_of_a_superblock_never_brings_back_reused_blocks)
{
    /* Delete, then write an uncommitted checkpoint into the freed room, then lose either superblock. */
    for (uint32_t c = 0; c < STORE_SLOTS; c++) {
        rig_reset(256);
        rig_format(&st);
        save("one");
        save("two");
        ck_assert_int_eq(store_delete(&st, 1), E_OK);
        struct ckpt_layout l = rig_layout();
        struct ckpt_meta m = {"x", 0, CKPT_FULL, CKPT_DISK_NONE, &l, 0, 0};
        struct ckpt_writer w;
        ck_assert_int_eq(ckpt_begin(&w, &st, &m), E_OK);
        ck_assert_int_eq(ckpt_put_ram(&w, rig_read_page, NULL, NULL), E_OK);
        ckpt_abort(&w);
        memset(slot(c), 0, STORE_BLOCK_BYTES);
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), 1);
        all_verify();
    }
}
END_TEST

static void edit_supers(void (*edit)(struct disk_super *))
{
    for (uint32_t c = 0; c < STORE_SLOTS; c++) {
        static struct disk_super super;
        memcpy(&super, slot(c), sizeof super);
        edit(&super);
        format_seal_super(&super, (const struct disk_entry *)(const void *)(slot(c) + STORE_BLOCK_BYTES));
        memcpy(slot(c), &super, sizeof super);
    }
}

static void newer_version(struct disk_super *s)
{
    s->version = 9;
}

static void unknown_required(struct disk_super *s)
{
    s->features_required = 2;
}

static void unknown_write(struct disk_super *s)
{
    s->features_write = 1;
}

static void unknown_optional(struct disk_super *s)
{
    s->features_optional = 4;
}

START_TEST(other_versions)
{
    rig_format(&st);
    uint64_t id = save("one");
    edit_supers(newer_version);
    ck_assert_int_eq(rig_open(&st), E_STOREVERSION);
    rig_format(&st);
    edit_supers(unknown_required);
    ck_assert_int_eq(rig_open(&st), E_STOREVERSION);
    rig_format(&st);
    id = save("one");
    edit_supers(unknown_write);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
    ck_assert_int_eq(store_delete(&st, id), E_STOREVERSION);
    ck_assert_int_eq(rig_save(&st, "no", &id), E_STOREVERSION);
    rig_format(&st);
    edit_supers(unknown_optional);
    ck_assert_int_eq(rig_open(&st), E_OK);
    save("kept");
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(st.features_optional, 4);
}
END_TEST

static void last_id(struct disk_super *s)
{
    s->next_id = UINT64_MAX;
}

static void last_generation(struct disk_super *s)
{
    s->generation = UINT64_MAX - 1;
}

START_TEST(numbers_at_their_end)
{
    void (*const edits[])(struct disk_super *) = {last_id, last_generation};
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) { /* the number behind the last one is 0: it would be lost */
        uint64_t id;
        rig_format(&st);
        save("kept");
        edit_supers(edits[i]);
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_int_eq(rig_save(&st, "one too many", &id), E_BADSTORE);
        ck_assert_int_eq(store_delete(&st, 1), E_BADSTORE);
        ck_assert_int_eq(store_pin(&st, 1, true), E_BADSTORE);
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), 1);
        all_verify();
    }
}
END_TEST

START_TEST(newer_version_in_the_newer_copy)
{
    rig_format(&st);
    save("one");
    struct disk_super super;
    uint32_t newest = st.slot;
    memcpy(&super, slot(newest), sizeof super);
    super.version = 2;
    format_seal_super(&super, (const struct disk_entry *)(const void *)(slot(newest) + STORE_BLOCK_BYTES));
    memcpy(slot(newest), &super, sizeof super);
    ck_assert_int_eq(rig_open(&st), E_STOREVERSION);
}
END_TEST

START_TEST(cut_off_partitions)
{
    rig_format(&st);
    save("one");
    for (uint64_t count = RIG_PART_SECTORS; count-- > 0; count -= count > 40 ? 37 : 0) {
        struct block_part part = {&rig.dev, RIG_FIRST, count};
        ck_assert_int_eq(store_open(&st, part, rig_work, sizeof rig_work, NULL), count < 8 ? E_NOSTORE : E_TRUNCATED);
    }
    rig.dev.sectors = RIG_FIRST + RIG_PART_SECTORS - 8; /* the partition table says more than the disk has */
    ck_assert_int_eq(rig_open(&st), E_TRUNCATED);
    rig.dev.sectors = RIG_FIRST - 1;
    ck_assert_int_eq(rig_open(&st), E_NOSTORE);
    struct block_part larger = {&rig.dev, RIG_FIRST, RIG_PART_SECTORS + 99};
    rig.dev.sectors = RIG_DISK_SECTORS;
    ck_assert_int_eq(store_open(&st, larger, rig_work, sizeof rig_work, NULL), E_OK);
    ck_assert_uint_eq(store_usage(&st).bytes, RIG_PART_SECTORS * SECTOR);
}
END_TEST

/* ---- full, errors, reuse ---- */

START_TEST(full_store_keeps_what_it_has)
{
    rig_format(&st);
    uint64_t id = 0;
    enum err e = E_OK;
    uint32_t n = 0;
    while (n < 100 && !(e = rig_save(&st, "fill", &id)))
        n++;
    ck_assert_int_eq(e, E_FULL);
    ck_assert_uint_gt(n, 5);
    ck_assert_uint_eq(store_count(&st), n);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), n);
    all_verify();
    ck_assert_int_eq(rig_save(&st, "still", &id), E_FULL);
    ck_assert_int_eq(store_delete(&st, 2), E_OK); /* usable when full */
    save("fits again");
    all_verify();
}
END_TEST

START_TEST(table_holds_64)
{
    rig_format(&st);
    memset(rig_ram, 0, sizeof rig_ram); /* one block each */
    for (uint32_t i = 0; i < STORE_TABLE_MAX; i++)
        save("tiny");
    uint64_t id;
    ck_assert_int_eq(rig_save(&st, "one more", &id), E_FULL);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), STORE_TABLE_MAX);
    all_verify();
    ck_assert_int_eq(store_delete(&st, 1), E_OK);
    save("one more");
}
END_TEST

/* Every request fails in turn, once or from then on. The operation fails or is done; never half. */
static void fail_each(uint64_t how_many, enum err with)
{
    bool done = false;
    uint32_t landed = 0;
    for (uint64_t at = 0; !done; at++) {
        ck_assert_uint_lt(at, 500);
        rig_reset(64);
        rig_format(&st);
        save("kept");
        uint64_t id = 0, base = rig.requests;
        rig.fail_at = base + at;
        rig.fail_for = how_many;
        rig.fail_with = with;
        enum err e = rig_save(&st, "tried", &id);
        if (!e)
            e = store_delete(&st, 1);
        done = rig.requests <= base + at;
        rig.fail_at = UINT64_MAX;
        ck_assert_msg(!rig.busy, "a command was left in flight");
        if (e)
            ck_assert_int_eq(e, with);
        uint32_t in_memory = store_count(&st);
        uint64_t newest = store_find(&st, STORE_LATEST)->id, oldest = store_entry(&st, 0)->id;
        all_verify();
        ck_assert_int_eq(rig_open(&st), E_OK);
        if (store_count(&st) != in_memory) {
            /* The superblock arrived, its flush failed, and the disk was gone before it could be undone: nobody can
               know. What was reported as failed is then there after all, and whole. */
            ck_assert_uint_gt(how_many, 1);
            landed++;
            in_memory = store_count(&st);
        } else {
            ck_assert_uint_eq(store_find(&st, STORE_LATEST)->id, newest);
            ck_assert_uint_eq(store_entry(&st, 0)->id, oldest);
        }
        all_verify();
        save("later");
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), in_memory + 1);
        all_verify();
    }
    ck_assert_uint_le(landed, 2); /* at most that one request of the save, and that one of the delete */
}

START_TEST(each_request_fails_once)
{
    fail_each(1, E_IO);
}
END_TEST

START_TEST(each_request_and_all_after_it_fail)
{
    fail_each(UINT64_MAX, E_GONE);
}
END_TEST

START_TEST(failed_commit_that_arrived_is_undone)
{
    /* The superblock's write reports an error but reached the medium: without the rollback the store would show, after
       the next open, a checkpoint that was reported as failed, and whose blocks the next one uses. */
    rig_format(&st);
    save("kept");
    ck_assert_int_eq(rig_save(&st, "dry run", &(uint64_t){0}), E_OK);
    ck_assert_int_eq(store_delete(&st, 2), E_OK);
    uint64_t id = 0;
    uint32_t before = st.slot;
    static uint8_t landed[STORE_BLOCK_BYTES * 2];
    /* Find what the commit would write: do it, keep the bytes, then rebuild the failure by hand. */
    static uint8_t image[RIG_DISK_SECTORS * SECTOR];
    memcpy(image, rig.bytes, sizeof image);
    struct store saved = st;
    static struct disk_entry table[STORE_TABLE_MAX];
    memcpy(table, st.table, sizeof table);
    ck_assert_int_eq(rig_save(&st, "phantom", &id), E_OK);
    memcpy(landed, slot(before ^ 1), sizeof landed);
    memcpy(rig.bytes, image, sizeof image);
    st = saved;
    memcpy(st.table, table, sizeof table);
    memcpy(slot(before ^ 1), landed, sizeof landed); /* arrived, though reported as failed */
    st.stale = true;
    st.generation++;
    save("real");
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 2);
    ck_assert_str_eq(store_find(&st, STORE_LATEST)->label, "real");
    all_verify();
}
END_TEST

START_TEST(read_errors_at_open)
{
    rig_format(&st);
    save("one");
    for (uint64_t at = 0; at < 6; at++) {
        rig.requests = 0;
        rig.fail_at = at;
        rig.fail_for = 1;
        enum err e = rig_open(&st); /* the other copy serves, unless it was the second look that failed */
        ck_assert(e == E_OK || e == E_IO);
        if (!e)
            ck_assert_uint_eq(store_count(&st), 1);
        rig.requests = 0;
        rig.fail_with = E_GONE;
        e = rig_open(&st);
        ck_assert(e == E_GONE || rig.requests <= at);
        rig.fail_with = E_IO;
    }
    rig.requests = 0;
    rig.fail_at = 0;
    rig.fail_for = 100;
    ck_assert_int_eq(rig_open(&st), E_IO);
    ck_assert_int_eq(store_format(&st, rig_part(), rig_work, sizeof rig_work, rig_uuid, 0, NULL), E_IO);
}
END_TEST

START_TEST(reuse_never_overlaps)
{
    /* A long life of random saves and deletes of different sizes, until the free space is in pieces. */
    rig_format(&st);
    uint32_t made = 0, split = 0, full = 0;
    for (uint32_t round = 0; round < 200; round++) {
        rig_fill_ram(round + 100);
        if (round % 3 == 0)
            memset(rig_ram[20], 0, 150 * PAGE_BYTES);
        uint64_t id = 0;
        enum err e = rig_save(&st, "life", &id);
        ck_assert(e == E_OK || e == E_FULL);
        made += e == E_OK;
        full += e == E_FULL;
        split += !e && store_find(&st, id)->run_count > 1;
        while (store_count(&st) && (e == E_FULL || rig_random() % 3 == 0)) {
            ck_assert_int_eq(store_delete(&st, store_entry(&st, (uint32_t)rig_random() % store_count(&st))->id), E_OK);
            e = E_OK;
        }
        if (round % 20 == 0) {
            ck_assert_int_eq(rig_open(&st), E_OK); /* refuses a table whose runs overlap */
            all_verify();
        }
    }
    ck_assert_uint_gt(made, 100);
    ck_assert_uint_gt(split, 3);
    ck_assert_uint_gt(full, 3);
    all_verify();
    struct store_usage u = store_usage(&st);
    uint64_t used = STORE_DATA_FIRST * STORE_BLOCK_BYTES;
    for (uint32_t i = 0; i < store_count(&st); i++)
        used += store_entry_bytes(store_entry(&st, i));
    ck_assert_uint_eq(u.used, used);
    ck_assert_uint_le(u.used, u.bytes);
}
END_TEST

START_TEST(disks_of_every_command_size)
{
    static const uint32_t sizes[] = {8, 9, 64, 128, 255, 2047, 2048, 65536};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        rig_reset(sizes[i]);
        rig_format(&st);
        uint64_t id = save("one");
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
    }
    rig_reset(256);
    rig.dev.align_sectors = 8; /* 4 KiB native: RIG_FIRST is aligned */
    rig_format(&st);
    save("one");
    all_verify();
}
END_TEST

/* ---- texts ---- */

START_TEST(times)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } row[] = {{0, "1970-01-01T00:00:00Z"},          {951782399, "2000-02-28T23:59:59Z"},
               {951782400, "2000-02-29T00:00:00Z"},  {951868800, "2000-03-01T00:00:00Z"},
               {4107542400, "2100-03-01T00:00:00Z"}, {1795320000, "2026-11-22T04:00:00Z"},
               {-5, "1970-01-01T00:00:00Z"},         {253402300799, "9999-12-31T23:59:59Z"},
               {INT64_MAX, "9999-12-31T23:59:59Z"}};
    char text[STORE_TIME_TEXT];
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        store_time_text(row[i].seconds, text);
        ck_assert_str_eq(text, row[i].text);
        int y, mo, d, h, mi, s;
        ck_assert_int_eq(sscanf(text, "%d-%d-%dT%d:%d:%dZ", &y, &mo, &d, &h, &mi, &s), 6);
        if (row[i].seconds >= 0 && row[i].seconds < 253402300800)
            ck_assert_int_eq(store_time_seconds(y, mo, d, h, mi, s), row[i].seconds);
    }
}
END_TEST

START_TEST(entry_as_json)
{
    struct disk_entry e = {.id = 7,
                           .parent = 6,
                           .kind = CKPT_INCREMENTAL,
                           .disk = CKPT_DISK_MEMORY_ONLY,
                           .pages = 12,
                           .time = 1795320000,
                           .run_count = 2,
                           .label = "say \"hi\" \\ \x01"};
    e.runs[0].count = 2;
    e.runs[1].count = 1;
    char buf[512];
    store_entry_json(&e, buf, sizeof buf);
    ck_assert_str_eq(buf, "{\"id\":7,\"label\":\"say \\\"hi\\\" \\\\ ?\",\"kind\":\"incremental\",\"parent\":6,"
                          "\"time\":\"2026-11-22T04:00:00Z\",\"pages\":12,\"bytes\":12288,\"disk\":\"memory-only\","
                          "\"pinned\":false,\"state\":\"committed\"}");
    e.parent = 0;
    e.kind = CKPT_FULL;
    e.disk = CKPT_DISK_CONSISTENT;
    e.flags = ENTRY_FLAG_PINNED;
    memset(e.label, '"', sizeof e.label); /* the longest there is, and not terminated */
    ck_assert_int_lt(store_entry_json(&e, buf, sizeof buf), (int)sizeof buf);
    ck_assert_ptr_nonnull(strstr(buf, "\"parent\":null"));
    ck_assert_ptr_nonnull(strstr(buf, "\"disk\":\"consistent\",\"pinned\":true"));
    e.label[63] = 0;
    ck_assert_int_lt(store_entry_line(&e, buf, sizeof buf), 200);
}
END_TEST

/* The disk's measure writes into free blocks only, in order, and what is in the store stays. */
START_TEST(measuring_leaves_the_store_alone)
{
    struct store_speed speed;
    rig_format(&st);
    ck_assert_uint_eq(save("kept"), 1);
    uint64_t used_sectors = store_usage(&st).used / SECTOR, before = rig.requests;
    uint64_t free_bytes = store_usage(&st).bytes - store_usage(&st).used;
    ck_assert_int_eq(store_measure_write(&st, 1u << 20, &speed), E_OK);
    ck_assert_uint_eq(speed.bytes, 1u << 20);
    ck_assert_uint_gt(rig.requests, before);
    ck_assert_uint_lt(used_sectors, RIG_PART_SECTORS);
    ck_assert_int_eq(store_measure_write(&st, UINT64_MAX, &speed), E_OK);
    ck_assert_uint_eq(speed.bytes, free_bytes);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 1);
    all_verify();
    ck_assert_uint_eq(save("next"), 2);
    all_verify();
    rig.fail_at = rig.requests + 1;
    rig.fail_for = 1;
    rig.fail_with = E_IO;
    ck_assert_int_eq(store_measure_write(&st, UINT64_MAX, &speed), E_IO);
    ck_assert(!rig.busy);
    ck_assert_int_eq(rig_open(&st), E_OK);
    all_verify();
    st.writing = true;
    ck_assert_int_eq(store_measure_write(&st, UINT64_MAX, &speed), E_BUSY);
    st.writing = false;
    ck_assert_int_eq(store_measure_write(&st, 0, &speed), E_FULL);
}
END_TEST

static Suite *store_suite(void)
{
    Suite *s = suite_create("store");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, empty_disk_has_no_store);
    tcase_add_test(t, format_open_save_list_delete);
    tcase_add_test(t, arguments_are_checked);
    tcase_add_test(t, parent_cannot_go_first);
    tcase_add_test(t, power_cut_at_every_write);
    tcase_add_test(t, power_cut_with_reordering_cache);
    tcase_add_test(t, second_cut_while_recovering);
    tcase_add_test(t, every_byte_of_either_copy);
    tcase_add_test(t, both_copies_damaged);
    tcase_add_test(t, damaged_copy_is_repaired_by_the_next_commit);
    tcase_add_test(t, loss_of_a_superblock_never_brings_back_reused_blocks);
    tcase_add_test(t, other_versions);
    tcase_add_test(t, numbers_at_their_end);
    tcase_add_test(t, newer_version_in_the_newer_copy);
    tcase_add_test(t, cut_off_partitions);
    tcase_add_test(t, full_store_keeps_what_it_has);
    tcase_add_test(t, table_holds_64);
    tcase_add_test(t, each_request_fails_once);
    tcase_add_test(t, each_request_and_all_after_it_fail);
    tcase_add_test(t, failed_commit_that_arrived_is_undone);
    tcase_add_test(t, read_errors_at_open);
    tcase_add_test(t, reuse_never_overlaps);
    tcase_add_test(t, disks_of_every_command_size);
    tcase_add_test(t, times);
    tcase_add_test(t, entry_as_json);
    tcase_add_test(t, measuring_leaves_the_store_alone);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("store", store_suite)
