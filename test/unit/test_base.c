/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the next checkpoint builds on, page by page against what memory really was: with and without a look at all pages before, a
   look at some only, a look that is not the last word, and checkpoints that were never committed. base.c is included: its random key stays. */
/* UNITS: ckpt/twins.c ckpt/hash.c ckpt/hash_avx2.asm ckpt/pages.c ckpt/format.c */
/* LIBS: -llz4 */
#include "kernel/base.c"

#include "unit.h"

#include <string.h>

#define PAGES 600u
#define SSE_AND_AVX 6u
#define HOLE_FIRST 100u
#define HOLE_END 164u

static uint8_t memory[PAGES][PAGE_BYTES] ALIGNED(64), cut[PAGES][PAGE_BYTES] ALIGNED(64);
static uint64_t scratch[1024];
static struct store store;
static struct disk_entry entry;
static uint32_t chain_length;

uint32_t state_vector_components(void)
{
    return __builtin_cpu_supports("avx2") ? SSE_AND_AVX : 0; /* then either way to hash a page may be chosen */
}

const struct disk_entry *store_find(const struct store *s, uint64_t wanted)
{
    ck_assert_ptr_eq(s, &store);
    return entry.id && entry.id == wanted ? &entry : NULL;
}

uint32_t store_chain_length(const struct store *s, uint64_t of)
{
    ck_assert(s == &store && of == entry.id);
    return chain_length;
}

static bool in_hole(unsigned page)
{
    return page >= HOLE_FIRST && page < HOLE_END;
}

static void fresh(unsigned seed_of_rand)
{
    static const struct ckpt_layout layout = {
        .ram = {{0, HOLE_FIRST * PAGE_BYTES}, {HOLE_END * PAGE_BYTES, (PAGES - HOLE_END) * PAGE_BYTES}},
        .ram_count = 2};
    srand(seed_of_rand);
    entry = (struct disk_entry){0};
    chain_length = 1;
    if (!hashes)
        ck_assert_int_eq(base_init(&layout), E_OK);
    base_forget();
    for (unsigned p = 0; p < PAGES; p++)
        memset(memory[p], rand() % 30, PAGE_BYTES); /* some are 0 */
}

static void write_some(unsigned one_in)
{
    for (unsigned p = 0; p < PAGES; p++)
        if ((unsigned)rand() % one_in == 0)
            memory[p][(unsigned)rand() % PAGE_BYTES] ^= (uint8_t)(1 + rand() % 255);
}

enum look { NONE, ALL, SOME, NOT_THE_LAST_WORD };

/* One checkpoint: what it says of each page must be true of what is taken, and what it links must be the same. */
static void take(uint64_t on, enum look how, uint64_t committed)
{
    static uint8_t before[PAGES][PAGE_BYTES];
    memcpy(before, cut, sizeof before);
    base_begin(on);
    if (how != NONE && !(on && how == NOT_THE_LAST_WORD)) {
        base_survey_begin(how != NOT_THE_LAST_WORD, scratch, sizeof scratch);
        for (unsigned p = 0; p < PAGES; p++)
            if (!in_hole(p) && (how != SOME || rand() % 2))
                base_survey(p, base_hash(memory[p]));
    }
    unsigned linked = 0;
    for (unsigned p = 0; p < PAGES; p++) {
        uint64_t twin = base_twin(p);
        ck_assert(!twin || (twin > p && twin < PAGES && !in_hole((unsigned)twin)));
        ck_assert(!twin || memcmp(memory[p], memory[twin], PAGE_BYTES) == 0);
        linked += twin != 0;
    }
    ck_assert(how != NONE || !linked);
    ck_assert(on || how != ALL || linked > PAGES / 2);
    if (how == NOT_THE_LAST_WORD)
        write_some(10);
    memcpy(cut, memory, sizeof cut);
    for (unsigned p = PAGES; p-- > 0;)
        if (!in_hole(p)) {
            bool equal = on && memcmp(before[p], cut[p], PAGE_BYTES) == 0;
            enum base_known found = base_known(p);
            enum base_known all = equal ? BASE_UNCHANGED : page_is_zero(cut[p]) ? BASE_ZEROS : BASE_UNKNOWN;
            ck_assert(found == all || (how != ALL && found == BASE_UNKNOWN));
            ck_assert(how == ALL || how == SOME || found == BASE_UNKNOWN);
            ck_assert_msg(base_unchanged(p, cut[p]) == equal, "page %u, look %d", p, (int)how);
            ck_assert_uint_eq(base_stamp(p, NULL), base_stamp(p, cut[p]));
        }
    if (committed) {
        entry = (struct disk_entry){.id = committed, .seed = committed * 77};
        base_is(&store, committed);
        ck_assert_uint_eq(base_find(&store), committed);
    } else {
        ck_assert_uint_eq(base_find(&store), 0);
    }
}

START_TEST(says_what_has_changed)
{
    for (unsigned round = 1; round < 40; round++) {
        fresh(round);
        take(0, (enum look)(round % 4), 1);
        for (uint64_t n = 2; n < 8; n++) {
            write_some(2 + (unsigned)rand() % 20);
            take(base_find(&store), (enum look)((round + n * n) % 4), n);
        }
    }
}
END_TEST

START_TEST(nothing_is_built_on_what_is_not_there)
{
    fresh(1);
    take(0, ALL, 1);
    entry.seed++; /* another one with this number */
    ck_assert_uint_eq(base_find(&store), 0);
    entry.seed--;
    ck_assert_uint_eq(base_find(&store), 1);
    chain_length = STORE_CHAIN_MAX;
    ck_assert_uint_eq(base_find(&store), 0);
    chain_length = 1;
    take(1, SOME, 0); /* never committed */
    take(0, NONE, 3);
    write_some(5);
    take(3, ALL, 4);
    entry.id = 0;
    ck_assert_uint_eq(base_find(&store), 0);
    take(0, ALL, 5);
    base_forget();
    ck_assert_uint_eq(base_find(&store), 0);
}
END_TEST

START_TEST(twins_are_among_what_has_changed)
{
    fresh(2);
    take(0, ALL, 1);
    memset(memory[10], 0xee, PAGE_BYTES);
    memset(memory[300], 0xee, PAGE_BYTES);
    memset(memory[301], 0xee, PAGE_BYTES);
    take(1, ALL, 2);
    ck_assert_uint_eq(base_twin(10), 300);
    ck_assert_uint_eq(base_twin(300), 301);
    for (unsigned p = 0; p < PAGES; p++)
        ck_assert(p == 10 || p == 300 || !base_twin(p));
    ck_assert_uint_eq(base_twin(PAGES), 0);
    base_begin(0);
    ck_assert_uint_eq(base_twin(10), 0);
}
END_TEST

START_TEST(no_memory)
{
    static const struct ckpt_layout small = {.ram = {{0, 64 * PAGE_BYTES}}, .ram_count = 1};
    struct hash128 *kept = hashes;
    uint32_t *kept_next = next_twin;
    uint8_t *kept_marks[] = {known, same};
    hashes = NULL;
    for (size_t room = 0; room < 4; room++) {
        env_pool_limit = room;
        ck_assert_int_eq(base_init(&small), E_NOMEM);
        base_begin(0);
        base_survey_begin(true, scratch, sizeof scratch);
        base_survey(1, base_hash(memory[1]));
        ck_assert(base_known(1) == BASE_UNKNOWN && !base_unchanged(1, memory[1]) && !base_twin(1) &&
                  !base_stamp(1, memory[1]));
        free(known);
        free(same);
        free(next_twin);
    }
    env_pool_limit = SIZE_MAX;
    hashes = kept;
    next_twin = kept_next;
    known = kept_marks[0];
    same = kept_marks[1];
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("all");
    tcase_add_test(t, says_what_has_changed);
    tcase_add_test(t, nothing_is_built_on_what_is_not_there);
    tcase_add_test(t, twins_are_among_what_has_changed);
    tcase_add_test(t, no_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("base", suite)
