/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Write tracking, with both codecs: against a model that walks the tables as a CPU does. */
/* UNITS: ept/track.c ept/second_level.c ept/codec_ept.c ept/codec_npt.c ept/mtrr.c */
#include "bits.h"
#include "ept/track.h"
#include "hostmem.h"
#include "unit.h"

#include <string.h>

#define MIB 0x100000ull
#define GIB 0x40000000ull
#define RAM_END (1 * GIB + 64 * MIB)
#define HIDDEN (6 * MIB)
#define ENTRIES 512u
#define RESERVE 1100u

static const struct sl_codec *const codecs[] = {&codec_ept, &codec_npt};
static struct second_level sl;
static struct sl_reserve reserve;
static void *reserve_pages[RESERVE];

static void *one_page(void)
{
    return pool_alloc_pages(1);
}

/* What the CPU would do with a write: every level has to allow it. */
static bool cpu_may_write(uint64_t gpa)
{
    uint64_t *table = sl.root;
    for (unsigned level = 4; level >= 1; level--) {
        uint64_t entry = table[gpa >> (12 + 9 * (level - 1)) & (ENTRIES - 1)];
        if (!(entry & 1) || !(entry & 2))
            return false;
        if (level == 1 || (level < 4 && (entry & BIT(7))))
            return true;
        table = phys_to_virt((hpa_t){entry & MASK(51, 12)});
    }
    return false;
}

static void fresh(int codec, bool pages_1g)
{
    env_pool_limit = SIZE_MAX;
    ck_assert_int_eq(sl_init(&sl, codecs[codec], one_page, pages_1g), E_OK);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){0}, 2 * GIB, SL_RWX, MEM_WB), E_OK);
    ck_assert_int_eq(sl_set_page(&sl, (gpa_t){HIDDEN}, (hpa_t){0x7000}, SL_READ), E_OK);
    reserve = (struct sl_reserve){.page = reserve_pages};
    while (reserve.left < RESERVE)
        reserve_pages[reserve.left++] = pool_alloc_pages(1);
}

static enum sl_track wants(uint64_t gpa)
{
    return sl_track_write(&sl, &reserve, (gpa_t){gpa});
}

START_TEST(start_takes_all)
{
    for (int with_1g = 0; with_1g < 2; with_1g++) {
        fresh(_i, with_1g);
        uint32_t before = sl.flush_epoch;
        ck_assert(cpu_may_write(0x1000) && cpu_may_write(RAM_END) && !cpu_may_write(HIDDEN));
        sl_track_start(&sl, RAM_END);
        ck_assert_uint_ne(sl.flush_epoch, before);
        for (uint64_t gpa = 0; gpa < RAM_END; gpa += MIB + 0x3000) {
            ck_assert(!cpu_may_write(gpa));
            ck_assert(!sl_track_written(&sl, (gpa_t){gpa}));
            struct sl_mapping m;
            ck_assert(sl_lookup(&sl, (gpa_t){gpa}, &m));
            ck_assert_uint_eq(m.hpa.v, gpa);
        }
    }
}
END_TEST

START_TEST(one_page_at_a_time)
{
    for (int with_1g = 0; with_1g < 2; with_1g++) {
        fresh(_i, with_1g);
        sl_track_start(&sl, RAM_END);
        static const uint64_t writes[] = {0x345000, 0x346000, 0x0, GIB + 0x1000, GIB - PAGE_BYTES, HIDDEN + PAGE_BYTES};
        for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
            uint32_t epoch = sl.flush_epoch;
            ck_assert_int_eq(wants(writes[i] + 0x123), SL_TRACK_CLEAN);
            ck_assert(!cpu_may_write(writes[i]));
            sl_track_allow(&sl, (gpa_t){writes[i] + 0x456});
            ck_assert(cpu_may_write(writes[i]) && sl_track_written(&sl, (gpa_t){writes[i]}));
            ck_assert_int_eq(wants(writes[i]), SL_TRACK_OPEN);
            ck_assert_uint_eq(sl.flush_epoch, epoch);
        }
        unsigned written = 0;
        for (uint64_t gpa = 0; gpa < RAM_END; gpa += PAGE_BYTES) {
            bool wrote = false;
            for (size_t i = 0; i < ARRAY_LEN(writes); i++)
                wrote |= writes[i] == gpa;
            ck_assert(cpu_may_write(gpa) == wrote && sl_track_written(&sl, (gpa_t){gpa}) == wrote);
            struct sl_mapping m;
            ck_assert(sl_lookup(&sl, (gpa_t){gpa}, &m));
            ck_assert_uint_eq(m.hpa.v, gpa == HIDDEN ? 0x7000 : gpa);
            written += wrote;
        }
        ck_assert_uint_eq(written, ARRAY_LEN(writes));
        /* Behind the end, to a whole GiB, it is withdrawn as well, and given back in the same way. */
        ck_assert_int_eq(wants(2 * GIB - PAGE_BYTES), SL_TRACK_CLEAN);
    }
}
END_TEST

START_TEST(again_from_the_start)
{
    fresh(_i, true);
    for (unsigned round = 0; round < 4; round++) {
        sl_track_start(&sl, RAM_END);
        for (uint64_t gpa = round * PAGE_BYTES; gpa < RAM_END; gpa += 7 * MIB) {
            ck_assert_int_eq(wants(gpa), gpa == HIDDEN ? SL_TRACK_OTHER : SL_TRACK_CLEAN);
            sl_track_allow(&sl, (gpa_t){gpa});
        }
        for (uint64_t gpa = 0; gpa < RAM_END; gpa += PAGE_BYTES) {
            bool wrote = gpa >= round * PAGE_BYTES && (gpa - round * PAGE_BYTES) % (7 * MIB) == 0;
            ck_assert(sl_track_written(&sl, (gpa_t){gpa}) == wrote && cpu_may_write(gpa) == wrote);
        }
    }
}
END_TEST

START_TEST(others_stay_others)
{
    fresh(_i, true);
    sl_track_start(&sl, RAM_END);
    ck_assert_int_eq(wants(HIDDEN), SL_TRACK_OTHER);
    ck_assert_int_eq(wants(HIDDEN + 0xfff), SL_TRACK_OTHER);
    ck_assert(!cpu_may_write(HIDDEN));
    ck_assert_int_eq(wants(3 * GIB), SL_TRACK_OTHER);
    ck_assert_int_eq(wants(600 * GIB), SL_TRACK_OTHER);
    /* A page whose rights are edited meanwhile is no longer tracked, and stays as it was told to be. */
    ck_assert_int_eq(wants(0x8000), SL_TRACK_CLEAN);
    ck_assert_int_eq(sl_withdraw(&sl, (gpa_t){0x8000}, PAGE_BYTES, SL_WRITE), E_OK);
    ck_assert_int_eq(wants(0x8000), SL_TRACK_OTHER);
    ck_assert_int_eq(sl_grant(&sl, (gpa_t){0x8000}, PAGE_BYTES, SL_WRITE), E_OK);
    ck_assert_int_eq(wants(0x8000), SL_TRACK_OPEN);
}
END_TEST

/* As the CPU does it. */
static void cpu_writes(int codec, uint64_t gpa)
{
    ck_assert(cpu_may_write(gpa));
    uint64_t *table = sl.root;
    for (unsigned level = 4;; level--) {
        uint64_t *entry = &table[gpa >> (12 + 9 * (level - 1)) & (ENTRIES - 1)];
        if (level == 1 || (level < 4 && (*entry & BIT(7)))) {
            *entry |= codecs[codec]->dirty;
            return;
        }
        table = phys_to_virt((hpa_t){*entry & MASK(51, 12)});
    }
}

static bool dirty(uint64_t gpa)
{
    return sl_track_dirty(&sl, (gpa_t){gpa});
}

static void open_all(void)
{
    for (uint64_t at = 0; at < RAM_END; at += 2 * MIB)
        ck_assert_int_eq(sl_track_open(&sl, &reserve, (gpa_t){at}), E_OK);
}

START_TEST(dirty_bits_from_one_start_to_the_next)
{
    for (int with_1g = 0; with_1g < 2; with_1g++) {
        fresh(_i, with_1g);
        sl_track_start(&sl, RAM_END);
        for (uint64_t gpa = 0; gpa < RAM_END; gpa += MIB)
            ck_assert(dirty(gpa) == (gpa != HIDDEN)); /* nobody has ever cleared one */
        ck_assert_int_eq(wants(0x345000), SL_TRACK_CLEAN);
        sl_track_allow(&sl, (gpa_t){0x345000});
        ck_assert(!dirty(0x345000)); /* the fault has told */
        open_all();
        uint32_t epoch = sl.flush_epoch;
        for (uint64_t gpa = 0; gpa < RAM_END; gpa += PAGE_BYTES) {
            ck_assert(cpu_may_write(gpa) == (gpa != HIDDEN) && !dirty(gpa));
            ck_assert_int_eq(wants(gpa), gpa == HIDDEN ? SL_TRACK_OTHER : SL_TRACK_OPEN);
        }
        static const uint64_t writes[] = {0x0, 0x346000, GIB - PAGE_BYTES, GIB, RAM_END - PAGE_BYTES};
        for (unsigned round = 0; round < 2; round++) {
            for (size_t i = round; i < ARRAY_LEN(writes); i++)
                cpu_writes(_i, writes[i]);
            sl_track_start(&sl, RAM_END);
            ck_assert_uint_ne(sl.flush_epoch, epoch); /* the bits that are cleared next are in no TLB */
            for (uint64_t gpa = 0; gpa < RAM_END; gpa += PAGE_BYTES) {
                bool wrote = !round && gpa == 0x345000; /* its bit was not cleared: nobody was in need of it */
                for (size_t i = round; i < ARRAY_LEN(writes); i++)
                    wrote |= writes[i] == gpa;
                ck_assert(dirty(gpa) == wrote && !cpu_may_write(gpa));
            }
            open_all();
        }
    }
}
END_TEST

START_TEST(opening_without_tables)
{
    fresh(_i, true);
    sl_track_start(&sl, RAM_END);
    reserve.left = 1; /* one for the GiB, none for its 2 MiB */
    ck_assert_int_eq(sl_track_open(&sl, &reserve, (gpa_t){GIB}), E_NOMEM);
    ck_assert(!cpu_may_write(GIB) && dirty(GIB));
    ck_assert_int_eq(sl_track_open(&sl, &reserve, (gpa_t){600 * GIB}), E_OK); /* nothing there */
}
END_TEST

START_TEST(reserve_is_enough_and_its_end_is_told)
{
    fresh(_i, true);
    sl_track_start(&sl, RAM_END);
    for (uint64_t gpa = 0; gpa < 2 * GIB; gpa += 2 * MIB)
        ck_assert_int_ne(wants(gpa), SL_TRACK_NOMEM);
    ck_assert_uint_le(RESERVE - reserve.left, sl_track_tables(RAM_END));
    fresh(_i, true);
    sl_track_start(&sl, RAM_END);
    reserve.left = 1;
    ck_assert_int_eq(wants(GIB + MIB), SL_TRACK_NOMEM);
    ck_assert(!cpu_may_write(GIB + MIB));
    struct sl_mapping m;
    ck_assert(sl_lookup(&sl, (gpa_t){GIB + MIB}, &m));
    ck_assert_uint_eq(m.hpa.v, GIB + MIB);
}
END_TEST

static bool page_is_tracked(uint64_t gpa)
{
    return sl_track_page(&sl, &reserve, (gpa_t){gpa});
}

/* Of all that is mapped, the CPU may write to anything but these. */
static void only_these_are_withheld(const uint64_t *pages, size_t count)
{
    for (uint64_t gpa = 0; gpa < 2 * GIB; gpa += PAGE_BYTES) {
        bool withheld = gpa == HIDDEN;
        for (size_t i = 0; i < count; i++)
            withheld |= pages[i] == gpa;
        ck_assert(cpu_may_write(gpa) == !withheld && sl_track_written(&sl, (gpa_t){gpa}) == !withheld);
        struct sl_mapping m;
        ck_assert(sl_lookup(&sl, (gpa_t){gpa}, &m) && m.type == MEM_WB);
        ck_assert_uint_eq(m.hpa.v, gpa == HIDDEN ? 0x7000 : gpa);
    }
}

/* Large leaves are split down to it; a neighbour needs nothing more then. */
START_TEST(a_single_page)
{
    static const uint64_t pages[] = {GIB + 0x345000, GIB + 0x346000, 2 * GIB - PAGE_BYTES, 0x1000, HIDDEN - PAGE_BYTES};
    for (int with_1g = 0; with_1g < 2; with_1g++) {
        fresh(_i, with_1g);
        for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
            uint32_t epoch = sl.flush_epoch, left = reserve.left;
            ck_assert(page_is_tracked(pages[i] + 0x123));
            ck_assert_uint_ne(sl.flush_epoch, epoch);
            ck_assert_uint_le(left - reserve.left, i == 1 ? 0 : 2);
        }
        ck_assert(page_is_tracked(pages[0])); /* again is as good */
        only_these_are_withheld(pages, ARRAY_LEN(pages));
        ck_assert_int_eq(wants(pages[0] + PAGE_BYTES * 2), SL_TRACK_OPEN);
        for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
            ck_assert_int_eq(wants(pages[i] + 0xff8), SL_TRACK_CLEAN);
            sl_track_allow(&sl, (gpa_t){pages[i]});
            ck_assert_int_eq(wants(pages[i]), SL_TRACK_OPEN);
        }
        only_these_are_withheld(NULL, 0);
    }
}
END_TEST

/* Below a GiB that is withdrawn, below 2 MiB that are, and beside single pages. */
START_TEST(a_single_page_of_what_is_withdrawn)
{
    static const uint64_t pages[] = {0x1000, 0x2000, 4 * MIB + 0x5000, GIB + 2 * MIB};
    for (int with_1g = 0; with_1g < 2; with_1g++) {
        fresh(_i, with_1g);
        sl_track_start(&sl, RAM_END);
        for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
            ck_assert(page_is_tracked(pages[i]));
            ck_assert(!cpu_may_write(pages[i]));
            ck_assert_int_eq(wants(pages[i]), SL_TRACK_CLEAN);
        }
        for (uint64_t gpa = 0; gpa < RAM_END; gpa += PAGE_BYTES)
            ck_assert(!cpu_may_write(gpa) && !sl_track_written(&sl, (gpa_t){gpa}));
        static const uint64_t others[] = {0x3000, 4 * MIB, 512 * MIB, GIB + 2 * MIB + 0x1000};
        for (size_t i = 0; i < ARRAY_LEN(others); i++) {
            ck_assert_int_eq(wants(others[i]), SL_TRACK_CLEAN);
            sl_track_allow(&sl, (gpa_t){others[i]});
            ck_assert(cpu_may_write(others[i]));
            ck_assert(page_is_tracked(others[i])); /* what was given back is withdrawn once more */
            ck_assert(!cpu_may_write(others[i]));
            ck_assert_int_eq(wants(others[i]), SL_TRACK_CLEAN);
        }
        ck_assert(!page_is_tracked(HIDDEN));
        ck_assert_int_eq(wants(HIDDEN), SL_TRACK_OTHER);
    }
}
END_TEST

START_TEST(a_page_that_cannot_be_tracked)
{
    static uint8_t rom[2 * MIB] ALIGNED(0x200000), before[2 * MIB];
    fresh(_i, false);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){5 * GIB}, virt_to_phys(rom), 2 * MIB, SL_READ, MEM_WB), E_OK);
    ck_assert_int_eq(sl_set_page(&sl, (gpa_t){6 * GIB}, (hpa_t){0x7000}, SL_RWX), E_OK);
    static const uint64_t none[] = {HIDDEN, 3 * GIB, 6 * GIB + PAGE_BYTES, 6 * GIB + 2 * MIB, 600 * GIB};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        ck_assert(!page_is_tracked(none[i]));
    ck_assert(!page_is_tracked(5 * GIB + 0x3000)); /* and what a read-only leaf points at is no table */
    ck_assert_mem_eq(rom, before, sizeof rom);
    only_these_are_withheld(NULL, 0);
    ck_assert(!cpu_may_write(5 * GIB) && cpu_may_write(6 * GIB));
}
END_TEST

START_TEST(a_single_page_without_tables)
{
    for (uint32_t left = 0; left < 2; left++) {
        fresh(_i, true);
        reserve.left = left;
        ck_assert(!page_is_tracked(GIB + MIB)); /* one for the GiB, one for its 2 MiB */
        only_these_are_withheld(NULL, 0);
    }
    fresh(_i, false);
    reserve.left = 1;
    ck_assert(page_is_tracked(GIB + MIB));
    ck_assert(!page_is_tracked(GIB + 3 * MIB));
    ck_assert(page_is_tracked(GIB + MIB + PAGE_BYTES));
    for (uint32_t left = 0; left < 2; left++) { /* what is withdrawn stays so */
        fresh(_i, true);
        sl_track_start(&sl, RAM_END);
        reserve.left = left;
        ck_assert(!page_is_tracked(GIB + MIB));
        ck_assert(!cpu_may_write(GIB + MIB) && !cpu_may_write(GIB));
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("track");
    TCase *both = tcase_create("both codecs");
    int n = (int)ARRAY_LEN(codecs);
    tcase_set_timeout(both, 60);
    tcase_add_loop_test(both, start_takes_all, 0, n);
    tcase_add_loop_test(both, one_page_at_a_time, 0, n);
    tcase_add_loop_test(both, again_from_the_start, 0, n);
    tcase_add_loop_test(both, others_stay_others, 0, n);
    tcase_add_loop_test(both, dirty_bits_from_one_start_to_the_next, 0, n);
    tcase_add_loop_test(both, opening_without_tables, 0, n);
    tcase_add_loop_test(both, reserve_is_enough_and_its_end_is_told, 0, n);
    tcase_add_loop_test(both, a_single_page, 0, n);
    tcase_add_loop_test(both, a_single_page_of_what_is_withdrawn, 0, n);
    tcase_add_loop_test(both, a_page_that_cannot_be_tracked, 0, n);
    tcase_add_loop_test(both, a_single_page_without_tables, 0, n);
    suite_add_tcase(s, both);
    return s;
}

UNIT_MAIN("track", suite)
