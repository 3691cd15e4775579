/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory-map editing on real maps, on random ones against a byte-per-page model, and the hidden range's place. */
/* UNITS: boot/memmap.c */
#include "boot/memmap.h"
#include "test/data/load.h"
#include "unit.h"

#define MIB (1ull << 20)

static struct memmap map;
static char why[200];

static const struct {
    const char *file;
    uint64_t usable, hidden, base;
} real[] = {
    {"test/data/e820-qemu-256.txt", 0x9f000 + 0xfedf000, 12 * MIB, 0xfe00000 - 12 * MIB},
    {"test/data/e820-qemu-2048.txt", 0x9f000 + 0x7fedf000, 34 * MIB, 0x7fe00000 - 34 * MIB},
    {"test/data/e820-qemu-6144.txt", 0x9f000 + 0x7fedf000 + 0x100000000, 86 * MIB, 0x7fe00000 - 86 * MIB},
    {"test/data/e820-bochs-256.txt", 0x9f000 + 0xfef0000, 12 * MIB, 0xfe00000 - 12 * MIB},
    {"test/data/e820-laptop.txt", 0, 110 * MIB, 0xda800000 - 110 * MIB},
};

static void load(const char *file)
{
    static struct memmap_entry entries[128];
    size_t n = data_load_map(file, entries, ARRAY_LEN(entries));
    ck_assert_int_eq(memmap_build(&map, entries, n), E_OK);
}

/* What every map must be, whatever was done to it. */
static void check_form(const struct memmap *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        ck_assert_uint_lt(m->entry[i].base, m->entry[i].end);
        if (i == 0)
            continue;
        ck_assert_uint_le(m->entry[i - 1].end, m->entry[i].base);
        ck_assert(m->entry[i - 1].end != m->entry[i].base || m->entry[i - 1].type != m->entry[i].type);
    }
}

START_TEST(real_maps)
{
    load(real[_i].file);
    check_form(&map);
    uint64_t usable = memmap_usable_bytes(&map);
    if (real[_i].usable)
        ck_assert_uint_eq(usable, real[_i].usable);
    uint64_t bytes = memmap_hidden_bytes(usable), base = 0;
    ck_assert_uint_eq(bytes, real[_i].hidden);
    ck_assert_int_eq(memmap_choose_hidden(&map, bytes, &base, why, sizeof why), E_OK);
    ck_assert_uint_eq(base, real[_i].base);
    ck_assert(memmap_is(&map, base, base + bytes, MEMMAP_RAM));
    ck_assert_int_eq(memmap_set(&map, base, base + bytes, MEMMAP_RESERVED), E_OK);
    check_form(&map);
    ck_assert(memmap_is(&map, base, base + bytes, MEMMAP_RESERVED));
    ck_assert(!memmap_is(&map, base - 1, base + bytes, MEMMAP_RESERVED));
    ck_assert_uint_eq(memmap_usable_bytes(&map), usable - bytes);
}
END_TEST

START_TEST(hidden_rule)
{
    ck_assert_uint_eq(memmap_hidden_bytes(0), 8 * MIB);
    ck_assert_uint_eq(memmap_hidden_bytes(80), 10 * MIB);
    ck_assert_uint_eq(memmap_hidden_bytes(160 * MIB), 10 * MIB);
    ck_assert_uint_eq(memmap_hidden_bytes(160 * MIB + 80), 12 * MIB);
    ck_assert_uint_eq(memmap_hidden_bytes(51200 * MIB), 648 * MIB);
}
END_TEST

START_TEST(log_lies_in_the_middle)
{
    const struct memmap_entry e[] = {{0, 0x9fc00, 1, 0}, {0x100000, 246 * MIB, 1, 0}, {246 * MIB, 256 * MIB, 2, 0}};
    uint64_t base = 1;
    ck_assert_int_eq(memmap_build(&map, e, 3), E_OK);
    ck_assert_int_eq(memmap_choose_log(&map, 0x20000, &base), E_OK);
    ck_assert_uint_eq(base, 122 * MIB);
    /* Only RAM below 4 GiB counts, and only a piece large enough to have a middle that nobody uses. */
    const struct memmap_entry small[] = {{0x100000, 190 * MIB, 1, 0}, {4096 * MIB, 9000 * MIB, 1, 0}};
    ck_assert_int_eq(memmap_build(&map, small, 2), E_OK);
    ck_assert_int_eq(memmap_choose_log(&map, 0x20000, &base), E_NOMEM);
}
END_TEST

/* 64 MiB: refused with the numbers, and a place for the host alone is still found. */
START_TEST(too_small)
{
    const struct memmap_entry e[] = {{0, 0x9fc00, 1, 0}, {0x100000, 64 * MIB, 1, 0}};
    uint64_t base = 1;
    ck_assert_int_eq(memmap_build(&map, e, 2), E_OK);
    ck_assert_int_eq(memmap_choose_hidden(&map, 10 * MIB, &base, why, sizeof why), E_NOMEM);
    ck_assert_str_eq(why, "63 MiB of RAM; hidden memory takes 10 MiB and the guest needs 64 MiB");
    ck_assert_uint_eq(base, 1);
    ck_assert_int_eq(memmap_choose_top(&map, 2 * MIB, &base), E_OK);
    ck_assert_uint_eq(base, 62 * MIB);
    /* Enough RAM, but all of it above 4 GiB or in crumbs. */
    const struct memmap_entry high[] = {{MIB, 7 * MIB, 1, 0}, {1ull << 32, 1ull << 33, 1, 0}};
    ck_assert_int_eq(memmap_build(&map, high, 2), E_OK);
    ck_assert_int_eq(memmap_choose_hidden(&map, 10 * MIB, &base, why, sizeof why), E_NOMEM);
    ck_assert_ptr_nonnull(strstr(why, "below 4 GiB"));
    ck_assert_int_eq(memmap_choose_top(&map, 0, &base), E_INTERNAL);
    ck_assert_int_eq(memmap_choose_top(&map, 4096, &base), E_INTERNAL);
}
END_TEST

START_TEST(ram_across_4g)
{
    const struct memmap_entry e[] = {{MIB, 6ull << 30, 1, 0}};
    uint64_t base;
    ck_assert_int_eq(memmap_build(&map, e, 1), E_OK);
    ck_assert_int_eq(memmap_choose_hidden(&map, 56 * MIB, &base, why, sizeof why), E_OK);
    ck_assert_uint_eq(base, (1ull << 32) - 56 * MIB);
}
END_TEST

START_TEST(exactly_fits)
{
    const struct memmap_entry e[] = {{MIB, 2 * MIB, 1, 0}, {16 * MIB, 26 * MIB, 1, 0}};
    uint64_t base;
    ck_assert_int_eq(memmap_build(&map, e, 2), E_OK);
    ck_assert_int_eq(memmap_choose_top(&map, 10 * MIB, &base), E_OK);
    ck_assert_uint_eq(base, 16 * MIB);
    ck_assert_int_eq(memmap_choose_top(&map, 12 * MIB, &base), E_NOMEM);
    ck_assert(!memmap_is(&map, MIB, MIB, MEMMAP_RAM));
}
END_TEST

START_TEST(reserved_wins_in_any_order)
{
    const struct memmap_entry a[] = {{0x1000, 0x9000, 2, 0}, {0x0, 0x10000, 1, 0}, {0x8000, 0xa000, 3, 0}};
    const struct memmap_entry b[] = {{0x8000, 0xa000, 3, 0}, {0x0, 0x10000, 1, 0}, {0x1000, 0x9000, 2, 0}};
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(memmap_build(&map, k ? a : b, 3), E_OK);
        ck_assert_uint_eq(map.count, 4);
        ck_assert(memmap_is(&map, 0x1000, 0x9000, MEMMAP_RESERVED));
        ck_assert(memmap_is(&map, 0x9000, 0xa000, MEMMAP_ACPI));
        ck_assert(memmap_is(&map, 0xa000, 0x10000, MEMMAP_RAM));
    }
}
END_TEST

START_TEST(empty_and_top_of_address_space)
{
    const struct memmap_entry e[] = {
        {0x5000, 0x5000, 1, 0}, {0x6000, 0x2000, 1, 0}, {UINT64_MAX - 10, UINT64_MAX, 1, 0}};
    ck_assert_int_eq(memmap_build(&map, e, 3), E_OK);
    ck_assert_uint_eq(map.count, 1);
    ck_assert_uint_eq(memmap_usable_bytes(&map), 0);
}
END_TEST

START_TEST(full_table_is_refused_unchanged)
{
    map.count = 0;
    uint64_t at = 0;
    enum err e;
    while ((e = memmap_set(&map, at, at + 1, 1)) == E_OK)
        at += 2;
    ck_assert_int_eq(e, E_NOMEM);
    ck_assert_uint_ge(map.count, MEMMAP_MAX - 3);
    static struct memmap before;
    before = map;
    ck_assert_int_eq(memmap_set(&map, 0, 100, 2), E_NOMEM);
    ck_assert_mem_eq(&before, &map, sizeof map);
    static struct memmap_entry crumbs[MEMMAP_MAX + 1];
    for (uint32_t i = 0; i <= MEMMAP_MAX; i++)
        crumbs[i] = (struct memmap_entry){2 * i, 2 * i + 1, 1, 0};
    ck_assert_int_eq(memmap_build(&map, crumbs, MEMMAP_MAX + 1), E_NOMEM);
}
END_TEST

/* 128 loader entries that overlap in every way still fit: the limit is chosen for that. */
START_TEST(random_against_model)
{
    static struct memmap_entry e[128];
    static uint8_t model[4096];
    static const uint32_t rank[] = {0, 1, 6, 2, 3, 5, 4}; /* caution + 1 of types 1..5, 6 = another */
    srand((unsigned)_i + 1);
    memset(model, 0, sizeof model);
    for (size_t i = 0; i < ARRAY_LEN(e); i++) {
        uint64_t base = (uint64_t)rand() % 4000, end = base + (uint64_t)rand() % 96;
        e[i] = (struct memmap_entry){base, end, (uint32_t)rand() % 6 + 1, 0};
        for (uint64_t b = base; b < end; b++)
            if (rank[e[i].type] > rank[model[b]])
                model[b] = (uint8_t)e[i].type;
    }
    ck_assert_int_eq(memmap_build(&map, e, ARRAY_LEN(e)), E_OK);
    check_form(&map);
    uint32_t at = 0;
    for (uint64_t b = 0; b < sizeof model; b++) {
        while (at < map.count && map.entry[at].end <= b)
            at++;
        uint32_t type = at < map.count && map.entry[at].base <= b ? map.entry[at].type : 0;
        ck_assert_uint_eq(type, model[b]);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("memmap");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, real_maps, 0, ARRAY_LEN(real));
    tcase_add_test(t, hidden_rule);
    tcase_add_test(t, log_lies_in_the_middle);
    tcase_add_test(t, too_small);
    tcase_add_test(t, ram_across_4g);
    tcase_add_test(t, exactly_fits);
    tcase_add_test(t, reserved_wins_in_any_order);
    tcase_add_test(t, empty_and_top_of_address_space);
    tcase_add_test(t, full_table_is_refused_unchanged);
    tcase_add_loop_test(t, random_against_model, 0, 200);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("memmap", suite)
