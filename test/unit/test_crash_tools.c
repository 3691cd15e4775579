/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore copy and repair, and the loss of power at each of their writes: as test_crash.c, for the host's program. A
   copy that was cut off is no store, or an empty one, or, over an old one, still that; never a part. */
/* UNITS: tools/sojstore_part.c tools/sojstore_show.c tools/sojstore_extract.c tools/sojstore_core.c */
/* UNITS: tools/sojstore_reseal.c */
/* UNITS: tools/sojstore_copy.c tools/sojstore_delete.c tools/sojstore_repair.c test/unit/crash_disk.c ckpt/store.c ckpt/store_write.c */
/* UNITS: ckpt/store_read.c ckpt/store_text.c ckpt/store_load.c ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c */
/* UNITS: drivers/block.c drivers/partition.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "sojstore_host.h"

#include "crash_rig.h"

#include <fcntl.h>

#define REGION " --offset 32768 --size 4M"
_Static_assert(CRASH_FIRST *CRASH_SECTOR == 32768 && CRASH_PART_SECTORS * CRASH_SECTOR == 4u << 20, "as in REGION");

static struct crash_disk to_disk; /* copy.img; world.disk is disk.img */

static bool open_disk(struct block_dev *which, const char *path, bool writable)
{
    (void)writable;
    *which = strcmp(path, "copy.img") ? world.disk.dev : to_disk.dev;
    return true;
}

static const struct made_up_host made_up_host = {.open = open_disk, .random = uuid};

long host_read_file(const char *path, uint8_t *data, size_t room)
{
    (void)path, (void)room;
    memcpy(data, test_key.bytes, SEAL_KEY_BYTES);
    return SEAL_KEY_BYTES;
}

/* What it prints is test_sojstore's concern. */
static int run(const char *line)
{
    char words[128], *argv[16] = {words};
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    fflush(NULL);
    int old_out = dup(1), old_err = dup(2), nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    memset(&opt, 0, sizeof opt);
    int status = sojstore_main(argc, argv);
    fflush(NULL);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    close(nowhere);
    return status;
}

static void setup(void)
{
    crash_seed(3);
    world_begin(&world, 32);
    (void)life_format(&world);
    for (uint64_t i = 0, id = 0; i < 4; i++) /* two chains of two */
        ck_assert_int_eq(life_save(&world, i % 2 ? id : 0, &id), E_OK);
}

struct outcome {
    struct crash_disk *disk;
    struct moment before, after; /* before: what was there, or none */
    bool through_nothing;        /* on the way there may be no store, or an empty one */
    uint64_t damaged;            /* a checkpoint of before that is not whole */
    uint64_t saw_before, saw_nothing, saw_empty, saw_after;
};

static const char *probe_outcome(void *ctx, uint32_t cut)
{
    static struct store s;
    static struct moment found;
    struct outcome *o = ctx;
    bool over = cut == o->disk->ops;
    enum err e = store_open(&s, crash_part(o->disk), work, sizeof work, NULL);
    if (e) {
        o->saw_nothing++;
        bool allowed = !over && (o->through_nothing || o->before.none) && (e == E_NOSTORE || e == E_BADSTORE);
        return allowed ? NULL : wrong("the store does not open (%lu)", (uint64_t)e, 0);
    }
    if (shows(&s, &o->after)) {
        o->saw_after++;
        found = o->after;
    } else if (!over && shows(&s, &o->before)) {
        o->saw_before++;
        found = o->before;
        drop_point(&found, o->damaged);
        return all_whole(&s, &found, true);
    } else if (!over && o->through_nothing && store_count(&s) == 0) {
        o->saw_empty++;
        found = (struct moment){0};
    } else {
        return wrong("the store shows %lu checkpoints", store_count(&s), 0);
    }
    const char *bad = all_whole(&s, &found, true);
    return bad ? bad : usable(o->disk, &s, &found);
}

static void explore(struct outcome *o, const char *name)
{
    struct crash_report r = {0};
    crash_explore(o->disk, 20, probe_outcome, o, &r);
    ck_assert_msg(!r.violated, "%s: %s", name, r.first);
    ck_assert_uint_gt(r.cases, 10);
    printf("%-9s %5lu cases at %2lu cuts: %lu as before, %lu without a store, %lu empty, %lu done\n", name, r.cases,
           r.cuts, o->saw_before, o->saw_nothing, o->saw_empty, o->saw_after);
}

START_TEST(a_copy_is_whole_or_none)
{
    static struct outcome o;
    o = (struct outcome){.disk = &to_disk, .through_nothing = true};
    o.before.none = true;
    o.after = *last_moment(&world);
    crash_disk_make(&to_disk, 32, 0);
    crash_record(&to_disk);
    ck_assert_int_eq(run("copy disk.img copy.img" REGION " --to-offset 32768 --to-size 4M"), 0);
    explore(&o, "copy");
    ck_assert(o.saw_nothing && o.saw_empty && o.saw_after);
    /* A cut-off one is copied to again, without force; and over an old store it is the same. */
    ck_assert_int_eq(life_delete(&world, 4), E_OK);
    o.before = o.after;
    o.after = *last_moment(&world);
    crash_record(&to_disk);
    ck_assert_int_eq(run("copy disk.img copy.img" REGION " --to-offset 32768 --to-size 4M --force"), 0);
    explore(&o, "copy over");
    ck_assert(o.saw_before && o.saw_nothing && o.saw_empty && o.saw_after);
}
END_TEST

START_TEST(a_repair_takes_the_damaged_one_and_no_other)
{
    static struct outcome o;
    const struct disk_entry *e = store_find(&world.store, 4);
    uint8_t *store_bytes = world.disk.bytes + CRASH_FIRST * CRASH_SECTOR;
    o = (struct outcome){.disk = &world.disk, .before = *last_moment(&world), .damaged = 4};
    o.after = o.before;
    drop_point(&o.after, 4);
    store_bytes[e->runs[0].first * STORE_BLOCK_BYTES + 700] ^= 1;
    store_bytes[300] ^= 1; /* superblock A; an old program's remains may look so */
    crash_record(&world.disk);
    ck_assert_int_eq(run("repair disk.img" REGION " --drop-damaged"), 0);
    explore(&o, "repair");
    ck_assert(o.saw_before && o.saw_after && !o.saw_nothing);
}
END_TEST

static Suite *crash_tools_suite(void)
{
    Suite *s = suite_create("crash_tools");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, a_copy_is_whole_or_none);
    tcase_add_test(t, a_repair_takes_the_damaged_one_and_no_other);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("crash_tools", crash_tools_suite)
