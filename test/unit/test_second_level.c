/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The translation tree, with both codecs in one loop: page sizes, splits, what owes a flush, running out of pages;
   and the MTRR rules that give EPT its memory types. */
/* UNITS: ept/second_level.c ept/codec_ept.c ept/codec_npt.c ept/mtrr.c */
#include "bits.h"
#include "ept/second_level.h"
#include "hostmem.h"
#include "unit.h"

#include <string.h>

#define MIB 0x100000ull
#define GIB 0x40000000ull

static const struct sl_codec *const codecs[] = {&codec_ept, &codec_npt};

static void *one_page(void)
{
    return pool_alloc_pages(1);
}

static uint32_t seen;

static bool owed(const struct second_level *sl)
{
    return sl->flush_epoch != seen;
}

static void flushed(const struct second_level *sl)
{
    seen = sl->flush_epoch;
}

static struct second_level fresh(int codec, bool pages_1g)
{
    struct second_level sl;
    env_pool_limit = SIZE_MAX;
    seen = 0;
    ck_assert_int_eq(sl_init(&sl, codecs[codec], one_page, pages_1g), E_OK);
    return sl;
}

static struct sl_mapping at(const struct second_level *sl, uint64_t gpa)
{
    struct sl_mapping m;
    ck_assert_msg(sl_lookup(sl, (gpa_t){gpa}, &m), "nothing at %#lx", gpa);
    return m;
}

static bool hole(const struct second_level *sl, uint64_t gpa)
{
    struct sl_mapping m;
    return !sl_lookup(sl, (gpa_t){gpa}, &m);
}

START_TEST(entries_bit_for_bit)
{
    ck_assert_uint_eq(codec_ept.leaf((hpa_t){0x12345000}, 1, SL_RWX, MEM_WB), 0x12345037);
    ck_assert_uint_eq(codec_ept.leaf((hpa_t){0x12200000}, 2, SL_READ | SL_EXEC, MEM_UC), 0x12200085);
    ck_assert_uint_eq(codec_ept.leaf((hpa_t){0x40000000}, 3, SL_RWX, MEM_WT), 0x400000a7);
    ck_assert_uint_eq(codec_ept.table((hpa_t){0x7000}), 0x7007);
    ck_assert_uint_eq(codec_npt.leaf((hpa_t){0x12345000}, 1, SL_RWX, MEM_UC), 0x12345007);
    ck_assert_uint_eq(codec_npt.leaf((hpa_t){0x12200000}, 2, SL_READ, MEM_WB), 0x8000000012200085);
    ck_assert_uint_eq(codec_npt.leaf((hpa_t){0x12200000}, 2, 0, MEM_WB) & 1, 0);
    ck_assert_uint_eq(codec_npt.table((hpa_t){0x7000}), 0x7007);
    ck_assert_uint_eq(codec_ept.type(0x12345037), MEM_WB);
}
END_TEST

START_TEST(largest_pages)
{
    for (int with_1g = 0; with_1g < 2; with_1g++) {
        struct second_level sl = fresh(_i, with_1g);
        ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){0}, 4 * GIB, SL_RWX, MEM_WB), E_OK);
        ck_assert_uint_eq(at(&sl, 3 * GIB + 12345).page_bytes, with_1g ? GIB : 2 * MIB);
        ck_assert_uint_eq(at(&sl, 3 * GIB + 12345).hpa.v, 3 * GIB + 12345);
        ck_assert_uint_eq(sl.table_pages, with_1g ? 2 : 6);
        ck_assert(hole(&sl, 4 * GIB));
        ck_assert(!owed(&sl));
    }
    /* Ends that are not aligned get small pages; so does an offset that is not. */
    struct second_level sl = fresh(_i, true);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0x1ff000}, (hpa_t){0x1ff000}, 2 * MIB + 0x2000, SL_RWX, MEM_WB), E_OK);
    ck_assert(hole(&sl, 0x1fe000));
    ck_assert_uint_eq(at(&sl, 0x1ff000).page_bytes, PAGE_BYTES);
    ck_assert_uint_eq(at(&sl, 2 * MIB).page_bytes, 2 * MIB);
    ck_assert_uint_eq(at(&sl, 4 * MIB).page_bytes, PAGE_BYTES);
    ck_assert(hole(&sl, 4 * MIB + 0x1000));
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){GIB}, (hpa_t){0x1000}, 2 * MIB, SL_RWX, MEM_WB), E_OK);
    ck_assert_uint_eq(at(&sl, GIB + 0x1234).page_bytes, PAGE_BYTES);
    ck_assert_uint_eq(at(&sl, GIB + 0x1234).hpa.v, 0x2234);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){511 * 512 * GIB}, (hpa_t){0}, GIB, SL_RWX, MEM_WB), E_OK);
    ck_assert_uint_eq(at(&sl, 511 * 512 * GIB + 5).hpa.v, 5);
}
END_TEST

START_TEST(splits_keep_the_rest)
{
    struct second_level sl = fresh(_i, true);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){GIB}, GIB, SL_RWX, MEM_WT), E_OK);
    ck_assert_uint_eq(at(&sl, 0).page_bytes, GIB);
    ck_assert_int_eq(sl_set_page(&sl, (gpa_t){0x345000}, (hpa_t){0x77000}, SL_READ), E_OK);
    ck_assert_uint_eq(sl.table_pages, 4);
    ck_assert_uint_eq(at(&sl, 0x345678).hpa.v, 0x77678);
    ck_assert_uint_eq(at(&sl, 0x345678).rights, SL_READ);
    enum mem_type wt = codecs[_i] == &codec_ept ? MEM_WT : MEM_WB;
    ck_assert_uint_eq(at(&sl, 0x345678).type, wt);
    for (uint64_t gpa = 0; gpa < 8 * MIB; gpa += PAGE_BYTES) {
        struct sl_mapping m = at(&sl, gpa);
        ck_assert_uint_eq(m.page_bytes, gpa / (2 * MIB) == 1 ? PAGE_BYTES : 2 * MIB);
        if (gpa == 0x345000)
            continue;
        ck_assert_uint_eq(m.hpa.v, GIB + gpa);
        ck_assert_uint_eq(m.rights, SL_RWX);
        ck_assert_uint_eq(m.type, wt);
    }
}
END_TEST

START_TEST(taking_away_owes_a_flush)
{
    struct second_level sl = fresh(_i, false);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){0}, 64 * MIB, SL_RWX, MEM_WB), E_OK);
    ck_assert(!owed(&sl)); /* holes became pages */
    ck_assert_int_eq(sl_grant(&sl, (gpa_t){0x1000}, 0x1000, SL_WRITE), E_OK);
    ck_assert_uint_eq(at(&sl, 0x1000).page_bytes, 2 * MIB); /* already so: not split */
    ck_assert(!owed(&sl));

    ck_assert_int_eq(sl_withdraw(&sl, (gpa_t){0x1000}, 0x2000, SL_WRITE), E_OK);
    ck_assert(owed(&sl));
    ck_assert_uint_eq(at(&sl, 0x0).rights, SL_RWX);
    ck_assert_uint_eq(at(&sl, 0x1000).rights, SL_READ | SL_EXEC);
    ck_assert_uint_eq(at(&sl, 0x2fff).rights, SL_READ | SL_EXEC);
    ck_assert_uint_eq(at(&sl, 0x3000).rights, SL_RWX);
    flushed(&sl);
    ck_assert(!owed(&sl));

    ck_assert_int_eq(sl_withdraw(&sl, (gpa_t){0x1000}, 0x2000, SL_WRITE), E_OK);
    ck_assert(!owed(&sl)); /* nothing left to take */
    ck_assert_int_eq(sl_grant(&sl, (gpa_t){0x1000}, 0x1000, SL_WRITE), E_OK);
    ck_assert(!owed(&sl)); /* giving owes nothing */
    ck_assert_uint_eq(at(&sl, 0x1000).rights, SL_RWX);

    ck_assert_int_eq(sl_set_page(&sl, (gpa_t){0x5000}, (hpa_t){0x9000}, SL_RWX), E_OK);
    ck_assert(owed(&sl)); /* another address */
    flushed(&sl);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0x6000}, (hpa_t){0x6000}, PAGE_BYTES, SL_RWX, MEM_UC), E_OK);
    ck_assert(owed(&sl) == (codecs[_i] == &codec_ept)); /* another type */
    flushed(&sl);
    ck_assert_int_eq(sl_unmap(&sl, (gpa_t){0x7000}, PAGE_BYTES), E_OK);
    ck_assert(owed(&sl));
    ck_assert(hole(&sl, 0x7000));
    ck_assert(!hole(&sl, 0x6000) && !hole(&sl, 0x8000));
    flushed(&sl);
    ck_assert_int_eq(sl_unmap(&sl, (gpa_t){0x7000}, PAGE_BYTES), E_OK);
    ck_assert(!owed(&sl));
}
END_TEST

START_TEST(no_read_is_nothing_but_the_address_stays)
{
    struct second_level sl = fresh(_i, false);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){GIB}, 2 * MIB, SL_RWX, MEM_WB), E_OK);
    ck_assert_int_eq(sl_withdraw(&sl, (gpa_t){0}, 2 * MIB, SL_READ), E_OK);
    ck_assert(owed(&sl));
    ck_assert_uint_eq(at(&sl, 0x123456).rights, 0);
    ck_assert_uint_eq(at(&sl, 0x123456).hpa.v, GIB + 0x123456);
    ck_assert_uint_eq(at(&sl, 0x123456).page_bytes, 2 * MIB);
    flushed(&sl);
    ck_assert_int_eq(sl_grant(&sl, (gpa_t){0x123000}, 0x1000, SL_RWX), E_OK);
    ck_assert_uint_eq(at(&sl, 0x123456).rights, SL_RWX);
    ck_assert_uint_eq(at(&sl, 0x122456).rights, 0);
    ck_assert_uint_eq(at(&sl, 0x123456).hpa.v, GIB + 0x123456);
    ck_assert(!owed(&sl));
    /* write-only would be an EPT misconfiguration */
    ck_assert_int_eq(sl_set_page(&sl, (gpa_t){0}, (hpa_t){0}, SL_WRITE | SL_EXEC), E_OK);
    ck_assert_uint_eq(at(&sl, 0).rights, 0);
}
END_TEST

START_TEST(holes_stay_holes)
{
    struct second_level sl = fresh(_i, true);
    ck_assert_int_eq(sl_withdraw(&sl, (gpa_t){0}, 512 * GIB, SL_WRITE), E_OK);
    ck_assert_int_eq(sl_unmap(&sl, (gpa_t){0}, BIT(48)), E_OK);
    ck_assert_uint_eq(sl.table_pages, 1);
    ck_assert(!owed(&sl));
    ck_assert(hole(&sl, 0));
    ck_assert(hole(&sl, BIT(48)));
}
END_TEST

START_TEST(tracked_bits_survive)
{
    struct second_level sl = fresh(_i, false);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){0}, 2 * MIB, SL_RWX, MEM_WB), E_OK);
    uint64_t *pd =
        phys_to_virt((hpa_t){((uint64_t *)phys_to_virt((hpa_t){sl.root[0] & MASK(51, 12)}))[0] & MASK(51, 12)});
    pd[0] &= ~(codecs[_i]->dirty | codecs[_i]->accessed);
    ck_assert(!at(&sl, 0).dirty && !at(&sl, 0).accessed);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){0}, 2 * MIB, SL_RWX, MEM_WB), E_OK);
    ck_assert(at(&sl, 0).dirty && at(&sl, 0).accessed);
    ck_assert_int_eq(sl_withdraw(&sl, (gpa_t){0x3000}, 0x1000, SL_WRITE), E_OK);
    ck_assert(at(&sl, 0x3000).dirty && at(&sl, 0x2000).dirty && at(&sl, 0x2000).accessed);
}
END_TEST

START_TEST(bounds)
{
    struct second_level sl = fresh(_i, false);
    gpa_t zero = {0};
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){1}, (hpa_t){0}, PAGE_BYTES, SL_RWX, MEM_WB), E_BOUNDS);
    ck_assert_int_eq(sl_map_range(&sl, zero, (hpa_t){0x800}, PAGE_BYTES, SL_RWX, MEM_WB), E_BOUNDS);
    ck_assert_int_eq(sl_map_range(&sl, zero, (hpa_t){0}, PAGE_BYTES + 1, SL_RWX, MEM_WB), E_BOUNDS);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){BIT(48)}, (hpa_t){0}, PAGE_BYTES, SL_RWX, MEM_WB), E_BOUNDS);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0x1000}, (hpa_t){0}, ~0xfffull, SL_RWX, MEM_WB), E_BOUNDS);
    ck_assert_int_eq(sl_map_range(&sl, zero, (hpa_t){BIT(52)}, PAGE_BYTES, SL_RWX, MEM_WB), E_BOUNDS);
    ck_assert_int_eq(sl_withdraw(&sl, (gpa_t){~0xfffull}, 0x2000, SL_WRITE), E_BOUNDS);
    ck_assert_int_eq(sl_map_identity(&sl, (gpa_t){8}, 0x1000, SL_RWX, NULL), E_BOUNDS);
    ck_assert_uint_eq(sl.table_pages, 1);
    ck_assert_int_eq(sl_map_range(&sl, zero, (hpa_t){0}, 0, SL_RWX, MEM_WB), E_OK);
    ck_assert(hole(&sl, 0));
}
END_TEST

/* Every allocation fails in turn; the translation of the whole neighbourhood is as before. */
START_TEST(out_of_pages_changes_nothing)
{
    env_pool_limit = 0;
    struct second_level none;
    ck_assert_int_eq(sl_init(&none, codecs[_i], one_page, true), E_NOMEM);

    for (size_t limit = 0;; limit++) {
        struct second_level sl = fresh(_i, true);
        ck_assert_int_eq(sl_map_range(&sl, (gpa_t){GIB}, (hpa_t){GIB}, GIB, SL_RWX, MEM_WB), E_OK);
        env_pool_limit = limit;
        /* crosses hole, 1 GiB leaf and hole: several tables */
        enum err err = sl_map_range(&sl, (gpa_t){GIB - 0x1000}, (hpa_t){0x5000}, GIB + 0x2000, SL_READ, MEM_UC);
        if (!err) {
            ck_assert_uint_eq(limit, 5 + 512);
            break;
        }
        ck_assert_int_eq(err, E_NOMEM);
        ck_assert(!owed(&sl));
        ck_assert(hole(&sl, GIB - 0x1000));
        ck_assert(hole(&sl, 2 * GIB));
        for (uint64_t gpa = GIB; gpa < 2 * GIB; gpa += 2 * MIB - PAGE_BYTES) {
            ck_assert_uint_eq(at(&sl, gpa).hpa.v, gpa);
            ck_assert_uint_eq(at(&sl, gpa).rights, SL_RWX);
        }
        if (limit == 8)
            limit = 510; /* the 4 KiB tables between are all alike */
    }
    struct second_level sl = fresh(_i, true);
    ck_assert_int_eq(sl_map_range(&sl, (gpa_t){0}, (hpa_t){0}, GIB, SL_RWX, MEM_WB), E_OK);
    for (size_t limit = 0; limit < 2; limit++) {
        struct second_level copy = sl;
        env_pool_limit = 0;
        ck_assert_int_eq(sl_withdraw(&copy, (gpa_t){0x5000}, 0x1000, SL_WRITE), E_NOMEM);
        ck_assert_int_eq(sl_unmap(&copy, (gpa_t){0x5000}, 0x1000), E_NOMEM);
        ck_assert_int_eq(sl_set_page(&copy, (gpa_t){0x5000}, (hpa_t){0}, SL_RWX), E_NOMEM);
        ck_assert_uint_eq(at(&copy, 0x5000).rights, SL_RWX);
        ck_assert_uint_eq(at(&copy, 0x5000).hpa.v, 0x5000);
    }
}
END_TEST

/* A BIOS with 256 MiB: default UC, RAM WB, the VGA window UC. */
static struct vcpu_state bios_mtrrs(void)
{
    static struct vcpu_state s;
    memset(&s, 0, sizeof s);
    s.msr_present = BIT(VMSR_COUNT) - 1;
    s.msr[VMSR_MTRR_DEF_TYPE] = 0xc00 | MEM_UC;
    s.msr[VMSR_MTRR_FIX64K] = 0x0606060606060606;
    s.msr[VMSR_MTRR_FIX16K_0] = 0x0606060606060606;
    s.msr[VMSR_MTRR_FIX4K_0] = 0x0505050505050505;
    s.msr[VMSR_MTRR_FIX4K_7] = 0x0605050505050504;
    s.mtrr_count = 8;
    s.mtrr_base[0] = MEM_WB;
    s.mtrr_mask[0] = (MASK(39, 0) & ~(256 * MIB - 1)) | BIT(11);
    return s;
}

START_TEST(mtrr_fixed_and_default)
{
    struct vcpu_state s = bios_mtrrs();
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0}, PAGE_BYTES), MEM_WB);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0x7f000}, PAGE_BYTES), MEM_WB);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0x9f000}, PAGE_BYTES), MEM_WB);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xa0000}, PAGE_BYTES), MEM_UC);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xbf000}, PAGE_BYTES), MEM_UC);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xc0000}, PAGE_BYTES), MEM_WP);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xc7000}, PAGE_BYTES), MEM_WP);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xc8000}, PAGE_BYTES), MEM_UC);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xf8000}, PAGE_BYTES), MEM_WT);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xff000}, PAGE_BYTES), MEM_WB);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0}, 2 * MIB), MEM_MIXED);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){MIB}, PAGE_BYTES), MEM_WB);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){2 * MIB}, 2 * MIB), MEM_WB);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0}, GIB), MEM_MIXED);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){256 * MIB}, 2 * MIB), MEM_UC);
    s.msr[VMSR_MTRR_DEF_TYPE] = 0x800 | MEM_WP; /* fixed ranges off */
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){0xa0000}, PAGE_BYTES), MEM_WB);
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){GIB}, GIB), MEM_WP);
    s.msr[VMSR_MTRR_DEF_TYPE] = MEM_WB; /* all off: everything UC */
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){2 * MIB}, 2 * MIB), MEM_UC);
    s.msr_present = 0;
    ck_assert_int_eq(mtrr_type(&s, (gpa_t){2 * MIB}, 2 * MIB), MEM_WB);
}
END_TEST

START_TEST(mtrr_overlaps)
{
    static const struct {
        enum mem_type a, b, result;
    } rule[] = {
        {MEM_WB, MEM_WB, MEM_WB}, {MEM_WB, MEM_UC, MEM_UC}, {MEM_WT, MEM_WB, MEM_WT}, {MEM_WB, MEM_WT, MEM_WT},
        {MEM_UC, MEM_WT, MEM_UC}, {MEM_WP, MEM_WB, MEM_UC}, {MEM_WC, MEM_WC, MEM_WC},
    };
    for (size_t i = 0; i < ARRAY_LEN(rule); i++) {
        struct vcpu_state s = bios_mtrrs();
        s.mtrr_base[0] = rule[i].a;
        s.mtrr_base[7] = 128 * MIB | rule[i].b;
        s.mtrr_mask[7] = (MASK(39, 0) & ~(16 * MIB - 1)) | BIT(11);
        ck_assert_int_eq(mtrr_type(&s, (gpa_t){130 * MIB}, 2 * MIB), rule[i].result);
        ck_assert_int_eq(mtrr_type(&s, (gpa_t){126 * MIB}, 2 * MIB), rule[i].a);
        ck_assert_int_eq(mtrr_type(&s, (gpa_t){128 * MIB}, 32 * MIB), rule[i].a == MEM_UC ? MEM_UC : MEM_MIXED);
        s.mtrr_mask[7] &= ~BIT(11); /* not valid */
        ck_assert_int_eq(mtrr_type(&s, (gpa_t){130 * MIB}, 2 * MIB), rule[i].a);
    }
}
END_TEST

START_TEST(identity_by_mtrrs)
{
    struct vcpu_state s = bios_mtrrs();
    struct second_level sl = fresh(_i, true);
    ck_assert_int_eq(sl_map_identity(&sl, (gpa_t){0}, 4 * GIB, SL_RWX, &s), E_OK);
    for (uint64_t gpa = 0; gpa < 2 * MIB; gpa += PAGE_BYTES) {
        ck_assert_uint_eq(at(&sl, gpa).page_bytes, PAGE_BYTES);
        if (codecs[_i] == &codec_ept)
            ck_assert_int_eq(at(&sl, gpa).type, mtrr_type(&s, (gpa_t){gpa}, PAGE_BYTES));
    }
    ck_assert_uint_eq(at(&sl, 2 * MIB).page_bytes, 2 * MIB);
    ck_assert_uint_eq(at(&sl, 3 * GIB).page_bytes, GIB);
    for (uint64_t gpa = 0; gpa < 4 * GIB; gpa += 2 * MIB - PAGE_BYTES)
        ck_assert_uint_eq(at(&sl, gpa).hpa.v, gpa);
    struct second_level plain = fresh(_i, true);
    ck_assert_int_eq(sl_map_identity(&plain, (gpa_t){0}, 4 * GIB, SL_RWX, NULL), E_OK);
    ck_assert_uint_eq(at(&plain, 0).page_bytes, GIB);
    env_pool_limit = 0;
    ck_assert_int_eq(sl_map_identity(&plain, (gpa_t){512 * GIB}, 4 * GIB, SL_RWX, NULL), E_NOMEM);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("second_level");
    TCase *both = tcase_create("both codecs"), *t = tcase_create("codec and mtrr");
    int n = (int)ARRAY_LEN(codecs);
    tcase_set_timeout(both, 60);
    tcase_add_loop_test(both, largest_pages, 0, n);
    tcase_add_loop_test(both, splits_keep_the_rest, 0, n);
    tcase_add_loop_test(both, taking_away_owes_a_flush, 0, n);
    tcase_add_loop_test(both, no_read_is_nothing_but_the_address_stays, 0, n);
    tcase_add_loop_test(both, holes_stay_holes, 0, n);
    tcase_add_loop_test(both, tracked_bits_survive, 0, n);
    tcase_add_loop_test(both, bounds, 0, n);
    tcase_add_loop_test(both, out_of_pages_changes_nothing, 0, n);
    tcase_add_loop_test(both, identity_by_mtrrs, 0, n);
    tcase_add_test(t, entries_bit_for_bit);
    tcase_add_test(t, mtrr_fixed_and_default);
    tcase_add_test(t, mtrr_overlaps);
    suite_add_tcase(s, both);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("second_level", suite)
