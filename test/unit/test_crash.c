/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store and the loss of power, as a model: the real code runs, every write and flush is recorded, and every state
   that a cut can leave behind is opened, compared bit for bit and used. CRASH_FACTOR=N shows N times as many of the
   states that are too many to show them all, and lives N times as many random lives; CRASH_SEED=N begins elsewhere. */
/* UNITS: test/unit/crash_disk.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_load.c ckpt/pages.c */
/* UNITS: ckpt/store_merge.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "crash_rig.h"

static uint64_t total_cases, total_cuts, total_exhaustive;

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static uint32_t factor(void)
{
    return (uint32_t)from_env("CRASH_FACTOR", 1);
}

static void setup(void)
{
    crash_seed(from_env("CRASH_SEED", 1));
}

static struct crash_report explore(const char *name, uint32_t budget)
{
    struct crash_report r = {0};
    crash_explore(&world.disk, budget * factor(), probe, &world, &r);
    if (name) {
        uint64_t second = world.second_cases;
        printf("%-12s %6lu cases at %3lu cuts (%lu of them exhaustive), %lu opened, %lu showed what was under way, "
               "%lu second cuts\n",
               name, r.cases, r.cuts, r.cuts_exhaustive, world.opened, world.shown_in_flight, second);
        total_cases += r.cases + second;
        total_cuts += r.cuts;
        total_exhaustive += r.cuts_exhaustive;
        ck_assert_msg(!r.violated, "%s: %s", name, r.first);
    }
    return r;
}

static uint64_t must_save(uint64_t parent)
{
    uint64_t id = 0;
    ck_assert_int_eq(life_save(&world, parent, &id), E_OK);
    return id;
}

/* All that can be done to a store, on a disk that takes max_sectors at a time. */
static void whole_life(uint32_t max_sectors)
{
    world_begin(&world, max_sectors);
    (void)life_format(&world);
    uint64_t a = must_save(0), b = must_save(0), c = must_save(b), d = must_save(c);
    ck_assert_int_eq(life_pin(&world, b, true), E_OK);
    ck_assert_int_eq(life_delete(&world, b), E_PINNED);
    ck_assert_int_eq(life_delete(&world, a), E_OK);
    ck_assert_int_eq(life_delete(&world, d), E_OK);
    uint64_t e = must_save(0); /* where the first one was */
    (void)must_save(c);
    ck_assert_int_eq(life_pin(&world, b, false), E_OK);
    ck_assert_int_eq(life_delete(&world, e), E_OK);
    (void)life_format(&world); /* over one that has checkpoints */
    (void)must_save(must_save(0));
}

START_TEST(a_whole_life)
{
    whole_life(16);
    world.nested_every = 20;
    explore("life", 24);
    ck_assert_uint_gt(world.shown_in_flight, 50);
    ck_assert_uint_gt(world.cases - world.opened, 3);
}
END_TEST

START_TEST(taken_out_of_a_chain)
{
    uint64_t id[6] = {0};
    world_begin(&world, 16);
    (void)life_format(&world);
    for (uint32_t i = 0; i < 5; i++)
        id[i] = must_save(i ? id[i - 1] : 0);
    world_forget(&world);
    uint32_t slices = 0;
    for (; point_of(last_moment(&world), id[0]); slices++) /* the full one */
        ck_assert_int_eq(life_merge(&world, id[0], 1), E_OK);
    ck_assert_uint_gt(slices, 1);
    id[5] = must_save(id[4]);
    ck_assert_int_eq(life_merge(&world, id[3], 1), E_OK);
    ck_assert_int_eq(life_pin(&world, id[1], true), E_OK);
    ck_assert_int_eq(life_merge(&world, id[3], MERGE_SLICE_BYTES), E_OK);
    ck_assert_int_eq(life_merge(&world, id[4], 1), E_OK);
    ck_assert_int_eq(life_delete(&world, id[5]), E_OK); /* with what was there for it */
    ck_assert_int_eq(life_merge(&world, id[1], MERGE_SLICE_BYTES), E_PINNED);
    (void)must_save(id[2]);
    world.nested_every = 20;
    explore("merging", 12);
}
END_TEST

/* The same with sealed records. */
START_TEST(an_encrypted_store)
{
    uint64_t id[4] = {0};
    crash_key = &test_key;
    whole_life(16);
    explore("encrypted", 8);
    world_begin(&world, 16);
    (void)life_format(&world);
    for (uint32_t i = 0; i < 4; i++)
        id[i] = must_save(i ? id[i - 1] : 0);
    world_forget(&world);
    ck_assert_int_eq(life_merge(&world, id[0], 1), E_OK);
    ck_assert_int_eq(life_merge(&world, id[2], MERGE_SLICE_BYTES), E_OK);
    world.nested_every = 20;
    explore("its merging", 8);
    crash_key = NULL;
}
END_TEST

START_TEST(disks_that_take_little_and_much)
{
    whole_life(8);
    explore("by blocks", 8);
    whole_life(256);
    explore("by 128 KiB", 8);
}
END_TEST

START_TEST(a_table_that_is_full)
{
    uint64_t id = 0;
    world_begin(&world, 16); /* a table is written in four commands */
    (void)life_format(&world);
    memset(memory[0], 0, sizeof memory[0]);
    memory[0][3][77] = 1;
    for (uint32_t i = 0; i < STORE_TABLE_MAX - 2; i++)
        ck_assert_int_eq(life_save_of(&world, 0, 0, &id), E_OK);
    memories = 1;
    world_forget(&world);
    (void)must_save(0);
    (void)must_save(id);
    ck_assert_int_eq(life_save(&world, 0, &id), E_FULL);
    ck_assert_int_eq(life_delete(&world, 1), E_OK); /* all entries move */
    (void)must_save(0);
    ck_assert_int_eq(life_pin(&world, 40, true), E_OK);
    ck_assert_int_eq(life_delete(&world, 30), E_OK);
    explore("full table", 6);
}
END_TEST

/* One large checkpoint of other memory, so that little room is left. */
static void fill_store(uint32_t leave_blocks)
{
    static struct ckpt_layout big;
    static uint64_t page[PAGE_BYTES / 8];
    struct ckpt_writer w;
    uint64_t id, pages = STORE_MIN_BLOCKS - STORE_DATA_FIRST - leave_blocks;
    big = guest_layout();
    big.ram_count = 1;
    big.ram[0].bytes = pages * PAGE_BYTES;
    big.hidden = (struct ckpt_range){0};
    struct ckpt_meta meta = {"large", 1, CKPT_FULL, CKPT_DISK_NONE, &big, 0, 0};
    ck_assert_int_eq(ckpt_begin(&w, &world.store, &meta), E_OK);
    for (uint64_t i = 0; i < pages; i++) {
        for (uint32_t j = 0; j < PAGE_BYTES / 8; j++)
            page[j] = crash_random();
        ck_assert_int_eq(ckpt_put_page(&w, i, page), E_OK);
    }
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    struct moment *m = last_moment(&world);
    m->point[m->count++] = (struct point){.id = id, .heavy = true};
}

START_TEST(a_store_without_room)
{
    uint64_t id = 0, first = 0;
    enum err e = E_OK;
    world_begin(&world, 16);
    (void)life_format(&world);
    fill_store(48);
    world_forget(&world);
    uint32_t taken = 0;
    while (!(e = life_save(&world, 0, &id)))
        first = taken++ ? first : id;
    ck_assert_int_eq(e, E_FULL); /* and what it wrote before it knew is in flight */
    ck_assert_uint_gt(taken, 2);
    ck_assert_int_eq(life_delete(&world, first), E_OK);
    (void)must_save(0);
    ck_assert_int_eq(life_save(&world, 0, &id), E_FULL);
    ck_assert_int_eq(life_pin(&world, id, true), E_OK);
    explore("full store", 6);
}
END_TEST

/* What is free after a deletion was in use before, by what the other copy may still show: each state goes on to a
   second cut while that room is written to, and to the loss of a superblock. */
START_TEST(the_room_of_a_deleted_one)
{
    uint64_t id = 0;
    world_begin(&world, 16);
    (void)life_format(&world);
    fill_store(40);
    while (!life_save(&world, 0, &id))
        ;
    world_forget(&world);
    ck_assert_int_eq(life_delete(&world, id), E_OK);
    world.nested_every = 1;
    explore("its room", 6);
}
END_TEST

START_TEST(in_many_pieces)
{
    uint64_t id[12];
    world_begin(&world, 32);
    (void)life_format(&world);
    for (uint32_t i = 0; i < ARRAY_LEN(id); i++) /* small ones, each second one goes */
        id[i] = must_save(i ? id[0] : 0);
    fill_store(100);
    for (uint32_t i = 1; i < ARRAY_LEN(id); i += 2)
        ck_assert_int_eq(life_delete(&world, id[i]), E_OK);
    world_forget(&world);
    uint64_t last = 0;
    while (!life_save(&world, 0, &last))
        ;
    ck_assert_uint_gt(store_find(&world.store, last)->run_count, 1);
    ck_assert_int_eq(life_delete(&world, last), E_OK);
    (void)must_save(id[2]);
    explore("pieces", 6);
}
END_TEST

/* Anything in any order, also what is refused. */
static void random_life(uint64_t seed, uint32_t steps)
{
    static const uint32_t sizes[] = {8, 16, 24, 64, 256};
    crash_seed(seed);
    world_begin(&world, sizes[crash_random() % ARRAY_LEN(sizes)]);
    (void)life_format(&world);
    for (uint32_t i = 0; i < steps; i++) {
        const struct moment *m = last_moment(&world);
        uint64_t any = m->count ? m->point[crash_random() % m->count].id : 0, id, dice = crash_random() % 16;
        enum err e = E_OK;
        if (dice < 4)
            e = life_save(&world, 0, &id);
        else if (dice < 9)
            e = life_save(&world, any, &id);
        else if (dice < 12 && any)
            e = life_delete(&world, any);
        else if (dice < 13 && any)
            e = life_merge(&world, any, crash_random() & 1 ? 1 : MERGE_SLICE_BYTES);
        else if (dice < 15 && any)
            e = life_pin(&world, any, crash_random() & 1);
        else if (dice == 15 && i > steps / 2)
            e = life_format(&world);
        ck_assert(e == E_OK || e == E_BUSY || e == E_PINNED || e == E_FULL || e == E_NOTFOUND);
    }
}

START_TEST(lives_at_random)
{
    uint64_t seed = from_env("CRASH_SEED", 1) * 1000003;
    struct crash_report sum = {0};
    uint32_t lives = 4 * factor();
    for (uint32_t i = 0; i < lives; i++) {
        struct crash_report r = {0};
        random_life(seed + i, 10);
        world.nested_every = 40;
        crash_explore(&world.disk, 6, probe, &world, &r);
        ck_assert_msg(!r.violated, "random life %lu: %s", seed + i, r.first);
        sum.cases += r.cases + world.second_cases;
        sum.cuts += r.cuts;
        sum.cuts_exhaustive += r.cuts_exhaustive;
    }
    printf("%-12s %6lu cases at %3lu cuts (%lu of them exhaustive) of %u lives\n", "random", sum.cases, sum.cuts,
           sum.cuts_exhaustive, lives);
    total_cases += sum.cases;
    total_cuts += sum.cuts;
    total_exhaustive += sum.cuts_exhaustive;
}
END_TEST

/* A request fails, in each way it can, the operation is tried again, and power is lost anywhere around it. */
START_TEST(a_request_fails_and_then_power)
{
    struct crash_report sum = {0};
    for (int fault = 0; fault < CRASH_FAULTS; fault++) {
        for (uint64_t at = 0;; at++) {
            uint64_t id = 0, kept;
            struct crash_report r = {0};
            world_begin(&world, 32);
            (void)life_format(&world);
            kept = must_save(0);
            (void)must_save(0);
            world_forget(&world);
            world.disk.fail_at = at;
            world.disk.fault = (enum crash_fault)fault;
            enum err e = life_save(&world, kept, &id);
            if (e)
                e = life_save(&world, 0, &id);
            ck_assert_int_eq(e, E_OK);
            e = life_delete(&world, id);
            if (e)
                e = life_delete(&world, id);
            ck_assert_int_eq(e, E_OK);
            e = life_pin(&world, kept, true);
            ck_assert(!e || !life_pin(&world, kept, true));
            e = life_save(&world, 0, &id); /* what the second copy missed is written here */
            ck_assert(!e || !life_save(&world, 0, &id));
            bool over = world.disk.requests <= at;
            crash_explore(&world.disk, factor(), probe, &world, &r);
            ck_assert_msg(!r.violated, "request %lu fails (way %d): %s", at, fault, r.first);
            sum.cases += r.cases;
            sum.cuts += r.cuts;
            sum.cuts_exhaustive += r.cuts_exhaustive;
            if (over)
                break;
        }
    }
    printf("%-12s %6lu cases at %3lu cuts (%lu of them exhaustive)\n", "faults", sum.cases, sum.cuts,
           sum.cuts_exhaustive);
    total_cases += sum.cases;
    total_cuts += sum.cuts;
    total_exhaustive += sum.cuts_exhaustive;
}
END_TEST

/* The search has to find a disk that lies, each in its way, or all of the above shows nothing. */
START_TEST(a_disk_that_lies_is_found)
{
    for (int lie = CRASH_HONEST; lie < CRASH_LIES; lie++) {
        world_begin(&world, 16);
        (void)life_format(&world);
        uint64_t a = must_save(0), b = must_save(0);
        world_forget(&world);
        world.disk.lie = (enum crash_lie)lie;
        ck_assert_int_eq(life_delete(&world, a), E_OK);
        (void)must_save(b);
        ck_assert_int_eq(life_pin(&world, b, true), E_OK);
        struct crash_report r = explore(NULL, 24);
        ck_assert_msg(r.violated == (lie != CRASH_HONEST), "lie %d, %lu cases: %s", lie, r.cases, r.first);
        if (lie)
            printf("lie %d: found in case %lu: %s\n", lie, r.cases, r.first);
    }
}
END_TEST

/* So does a checkpoint that shows and is not whole, or a store that shows less than was promised. */
START_TEST(a_wrong_memory_or_promise_is_found)
{
    whole_life(16);
    memory[world.moment[4].point[1].memory][20][100] ^= 1;
    ck_assert(explore(NULL, 1).violated);
    whole_life(16);
    world.moment[3].ops--;                 /* before its last flush */
    ck_assert(!explore(NULL, 1).violated); /* the record itself is flushed: nothing is lost any more */
    whole_life(16);
    world.moment[3].ops -= 5; /* before the commit record is on the medium */
    world.disk.op[world.moment[3].ops].marked = true;
    ck_assert(explore(NULL, 1).violated);
}
END_TEST

START_TEST(enough_was_shown)
{
    printf("%lu cases, %lu cuts, %lu of them exhaustive, seed %lu\n", total_cases, total_cuts, total_exhaustive,
           from_env("CRASH_SEED", 1));
    ck_assert_uint_gt(total_cases, 4000);
    ck_assert_uint_gt(total_exhaustive, 200);
}
END_TEST

static Suite *crash_suite(void)
{
    Suite *s = suite_create("crash");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 0);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, a_whole_life);
    tcase_add_test(t, taken_out_of_a_chain);
    tcase_add_test(t, an_encrypted_store);
    tcase_add_test(t, disks_that_take_little_and_much);
    tcase_add_test(t, a_table_that_is_full);
    tcase_add_test(t, a_store_without_room);
    tcase_add_test(t, the_room_of_a_deleted_one);
    tcase_add_test(t, in_many_pieces);
    tcase_add_test(t, lives_at_random);
    tcase_add_test(t, a_request_fails_and_then_power);
    tcase_add_test(t, a_disk_that_lies_is_found);
    tcase_add_test(t, a_wrong_memory_or_promise_is_found);
    tcase_add_test(t, enough_was_shown);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("crash", crash_suite)
