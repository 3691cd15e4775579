/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store's on-disk structures: seals, checks, and every value that is out of range behind a good checksum. */
/* UNITS: ckpt/format.c ckpt/hash.c ckpt/seal.c */
/* LIBS: -lmbedcrypto */
#include "bits.h"
#include "ckpt/format.h"
#include "ckpt/hash.h"
#include "unit.h"

#include <string.h>

#define PART_BLOCKS 4096u

static struct disk_super super;
static struct disk_entry table[4];
static const char *why;

static void setup(void)
{
    memset(&super, 0, sizeof super);
    memset(table, 0, sizeof table);
    super = (struct disk_super){.magic = STORE_MAGIC,
                                .version = STORE_VERSION,
                                .header_bytes = STORE_BLOCK_BYTES,
                                .generation = 7,
                                .total_blocks = 4000,
                                .data_first = STORE_DATA_FIRST,
                                .block_bytes = STORE_BLOCK_BYTES,
                                .table_entry_bytes = 512,
                                .table_count = 2,
                                .next_id = 10};
    table[0] = (struct disk_entry){.id = 3, .kind = CKPT_FULL, .stream_bytes = 5 * 4096 - 8, .run_count = 2};
    table[0].runs[0] = (struct disk_run){256, 4};
    table[0].runs[1] = (struct disk_run){300, 1};
    table[1] = (struct disk_entry){.id = 9, .kind = CKPT_FULL, .stream_bytes = 4096, .run_count = 1};
    table[1].runs[0] = (struct disk_run){3999, 1};
}

static enum err both(void)
{
    format_seal_super(&super, table);
    enum err e = format_check_super(&super, PART_BLOCKS, &why);
    return e ? e : format_check_table(&super, table, &why);
}

START_TEST(good_one_passes)
{
    ck_assert_int_eq(both(), E_OK);
    ck_assert_mem_eq(&super, "SOJSTORE", 8);
}
END_TEST

START_TEST(hash_is_xxh3_of_the_published_vectors)
{
    /* From the XXH3 specification's sanity checks: the empty input. */
    ck_assert_uint_eq(hash64("", 0, 0), 0x2d06800538d394c2ull);
    struct hash128 h = hash128("", 0);
    ck_assert_uint_eq(h.low, 0x6001c324468d497full);
    ck_assert_uint_eq(h.high, 0x99aa06d3014798d8ull);
    ck_assert_uint_ne(hash64("x", 1, 1), hash64("x", 1, 2));
}
END_TEST

START_TEST(every_superblock_byte_counts)
{
    format_seal_super(&super, table);
    for (size_t i = 0; i < sizeof super; i++) {
        ((uint8_t *)&super)[i] ^= 0x10;
        ck_assert_int_eq(format_check_super(&super, PART_BLOCKS, &why), i < 8 ? E_NOSTORE : E_BADSTORE);
        ((uint8_t *)&super)[i] ^= 0x10;
    }
    ck_assert_int_eq(format_check_super(&super, PART_BLOCKS, &why), E_OK);
}
END_TEST

START_TEST(every_table_byte_counts)
{
    format_seal_super(&super, table);
    for (size_t i = 0; i < 2 * sizeof table[0]; i++) {
        ((uint8_t *)table)[i] ^= 1;
        ck_assert_int_eq(format_check_table(&super, table, &why), E_BADSTORE);
        ((uint8_t *)table)[i] ^= 1;
    }
    ((uint8_t *)table)[2 * sizeof table[0]] ^= 1; /* behind the table */
    ck_assert_int_eq(format_check_table(&super, table, &why), E_OK);
}
END_TEST

START_TEST(other_versions_are_refused)
{
    super.version = 2;
    ck_assert_int_eq(both(), E_STOREVERSION);
    setup();
    super.features_required = BIT(40);
    ck_assert_int_eq(both(), E_STOREVERSION);
    setup();
    super.features_write = super.features_optional = BIT(40);
    ck_assert_int_eq(both(), E_OK);
    for (unsigned bit = 0; bit < 64; bit++) {
        setup();
        table[1].features_required = BIT(bit);
        /* 1: a parent, but there is none; 3: a rest, but nobody it is for; 4: encrypted, and the store is not; 5: in no
           order within a record, but in one else */
        enum err want = bit == 0 || bit == 2 ? E_OK : bit == 1 || (bit >= 3 && bit <= 5) ? E_BADSTORE : E_STOREVERSION;
        ck_assert_msg(both() == want, "bit %u: %s", bit, err_name(both()));
    }
}
END_TEST

static void incremental(void)
{
    table[1].kind = CKPT_INCREMENTAL;
    table[1].parent = 3;
    table[1].features_required = ENTRY_FEATURE_PARENT;
}

/* Each line makes something else of the second entry, which builds on the first. */
#define PARENTS_LIST(X)                                                                                                \
    X(table[1].parent = 0)                                                                                             \
    X(table[1].parent = 2)                                                                                             \
    X(table[1].parent = 9)                                                                                             \
    X(table[1].parent = 10)                                                                                            \
    X(table[1].parent = UINT64_MAX)                                                                                    \
    X(table[1].kind = CKPT_FULL)                                                                                       \
    X(table[1].kind = 3)                                                                                               \
    X(table[1].features_required = 0)                                                                                  \
    X(table[1].features_required = ENTRY_FEATURE_ANY_ORDER)                                                            \
    X(table[0].parent = 9)                                                                                             \
    X((table[0].parent = 9, table[0].kind = CKPT_INCREMENTAL, table[0].features_required = ENTRY_FEATURE_PARENT))

START_TEST(parents_are_older_entries_of_the_table)
{
    incremental();
    ck_assert_int_eq(both(), E_OK);
    table[1].flags = UINT64_MAX; /* what a later version says there is its own business */
    table[1].features_required |= ENTRY_FEATURE_ANY_ORDER;
    ck_assert_int_eq(both(), E_OK);
#define X(statement)                                                                                                   \
    setup();                                                                                                           \
    incremental();                                                                                                     \
    statement;                                                                                                         \
    ck_assert_msg(both() == E_BADSTORE, "%s", #statement);
    PARENTS_LIST(X)
#undef X
}
END_TEST

/* Each line breaks one value of an otherwise good store. */
#define BROKEN_LIST(X)                                                                                                 \
    X(super.header_bytes = 512)                                                                                        \
    X(super.block_bytes = 512)                                                                                         \
    X(super.table_entry_bytes = 256)                                                                                   \
    X(super.data_first = 0)                                                                                            \
    X(super.data_first = 255)                                                                                          \
    X(super.total_blocks = STORE_MIN_BLOCKS - 1)                                                                       \
    X(super.next_id = 0)                                                                                               \
    X(super.next_id = 9)                                                                                               \
    X(table[0].id = 0)                                                                                                 \
    X(table[0].id = 9)                                                                                                 \
    X(table[0].id = 10)                                                                                                \
    X(table[0].kind = 0)                                                                                               \
    X(table[0].kind = 3)                                                                                               \
    X(table[0].disk = 3)                                                                                               \
    X(table[0].parent = 3)                                                                                             \
    X(memset(table[0].label, 'x', sizeof table[0].label))                                                              \
    X(table[0].run_count = 0)                                                                                          \
    X(table[0].run_count = STORE_RUNS_MAX + 1)                                                                         \
    X(table[0].run_count = 1)                                                                                          \
    X(table[0].runs[0].first = 255)                                                                                    \
    X(table[0].runs[0].first = 4000)                                                                                   \
    X(table[0].runs[0].first = UINT64_MAX)                                                                             \
    X(table[0].runs[0].count = 0)                                                                                      \
    X(table[0].runs[0].count = UINT64_MAX)                                                                             \
    X(table[0].runs[0].count = 45)                                                                                     \
    X(table[0].runs[0].count = 5)                                                                                      \
    X(table[1].runs[0].count = 2)                                                                                      \
    X(table[1].runs[0].first = 300)                                                                                    \
    X(table[1].stream_bytes = 0)                                                                                       \
    X(table[1].stream_bytes = 4097)                                                                                    \
    X(table[0].stream_bytes = 4 * 4096)

START_TEST(values_out_of_range_are_refused)
{
#define X(statement)                                                                                                   \
    setup();                                                                                                           \
    statement;                                                                                                         \
    ck_assert_msg(both() == E_BADSTORE, "%s", #statement);
    BROKEN_LIST(X)
#undef X
}
END_TEST

START_TEST(table_count_is_checked_before_it_is_used)
{
    format_seal_super(&super, table);
    super.table_count = 0;
    ck_assert_int_eq(both(), E_OK);
    ck_assert_uint_eq(format_table_blocks(0), 0);
    ck_assert_uint_eq(format_table_blocks(1), 1);
    ck_assert_uint_eq(format_table_blocks(8), 1);
    ck_assert_uint_eq(format_table_blocks(9), 2);
    ck_assert_uint_eq(format_table_blocks(STORE_TABLE_MAX), 8);
}
END_TEST

START_TEST(smaller_partition_is_truncated)
{
    format_seal_super(&super, table);
    ck_assert_int_eq(format_check_super(&super, 4000, &why), E_OK);
    ck_assert_int_eq(format_check_super(&super, 3999, &why), E_TRUNCATED);
}
END_TEST

START_TEST(every_record_byte_counts)
{
    char payload[] = "payload";
    struct disk_entry e = {.id = 5, .seed = 77};
    struct disk_record r = {
        .magic = RECORD_MAGIC, .type = 2, .checkpoint = 5, .sequence = 4, .payload_bytes = sizeof payload};
    format_seal_record(&r, payload, e.seed);
    ck_assert_int_eq(format_check_record(&r, &e, 4), E_OK);
    ck_assert_int_eq(format_check_payload(&r, payload, e.seed), E_OK);
    for (size_t i = 0; i < sizeof r; i++) {
        ((uint8_t *)&r)[i] ^= 0x80;
        ck_assert_int_eq(format_check_record(&r, &e, 4), E_CHECKSUM);
        ((uint8_t *)&r)[i] ^= 0x80;
    }
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] ^= 1;
        ck_assert_int_eq(format_check_payload(&r, payload, e.seed), E_CHECKSUM);
        payload[i] ^= 1;
    }
    ck_assert_int_eq(format_check_record(&r, &e, 5), E_CHECKSUM); /* another place */
    e.id = 6;
    ck_assert_int_eq(format_check_record(&r, &e, 4), E_CHECKSUM); /* another checkpoint */
    e.id = 5, e.seed = 78;
    ck_assert_int_eq(format_check_record(&r, &e, 4), E_CHECKSUM); /* another attempt at it */
}
END_TEST

START_TEST(oversized_record_is_refused)
{
    static uint8_t payload[RECORD_PAYLOAD_MAX + 1];
    struct disk_entry e = {.id = 5, .seed = 77};
    struct disk_record r = {.magic = RECORD_MAGIC, .type = 2, .checkpoint = 5, .payload_bytes = sizeof payload};
    format_seal_record(&r, payload, e.seed);
    ck_assert_int_eq(format_check_record(&r, &e, 0), E_CHECKSUM);
    r.payload_bytes--;
    format_seal_record(&r, payload, e.seed);
    ck_assert_int_eq(format_check_record(&r, &e, 0), E_OK);
}
END_TEST

START_TEST(layouts)
{
    struct ckpt_layout l = {.ram_count = 2};
    l.ram[0] = (struct ckpt_range){0, 0xa0000};
    l.ram[1] = (struct ckpt_range){0x100000, 0x100000};
    ck_assert_int_eq(format_check_layout(&l), E_OK);
    ck_assert_uint_eq(format_layout_pages(&l), 0xa0 + 0x100);
    l.hidden = (struct ckpt_range){0x1f0000, 0x20000}; /* half inside */
    ck_assert_uint_eq(format_layout_pages(&l), 0xa0 + 0x100 - 0x10);
    ck_assert(format_page_saved(&l, 0) && format_page_saved(&l, 0x9f) && !format_page_saved(&l, 0xa0));
    ck_assert(!format_page_saved(&l, 0xff) && format_page_saved(&l, 0x100) && format_page_saved(&l, 0x1ef));
    ck_assert(!format_page_saved(&l, 0x1f0) && !format_page_saved(&l, 0x200) && !format_page_saved(&l, UINT64_MAX));
    ck_assert(!format_page_hidden(&l, 0x1ef) && format_page_hidden(&l, 0x1f0));
    ck_assert(format_page_hidden(&l, 0x20f) && !format_page_hidden(&l, 0x210));
    struct ckpt_layout bad[] = {l, l, l, l, l, l, l, l};
    bad[0].ram_count = 0;
    bad[1].ram_count = CKPT_RANGES_MAX + 1;
    bad[2].ram[0].base = 1;
    bad[3].ram[1].bytes = 0xfff;
    bad[4].ram[1].bytes = 0;
    bad[5].ram[1].base = 0x9f000;
    bad[6].ram[1].base = UINT64_MAX - 0xfff;
    bad[7].hidden.bytes = 12;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(format_check_layout(&bad[i]) == E_LAYOUT, "layout %zu", i);
}
END_TEST

/* RAM that is not in the layout is in no checkpoint. */
START_TEST(ram_is_added_to_the_last_piece_or_refused)
{
    struct ckpt_layout l = {.ram_count = 0};
    ck_assert_int_eq(format_add_ram(&l, 0, 0x9fc00), E_OK);
    ck_assert_uint_eq(l.ram_count, 1);
    ck_assert_uint_eq(l.ram[0].bytes, 0x9f000);
    ck_assert_int_eq(format_add_ram(&l, 0xa0001, 0xa1fff), E_OK); /* no whole page */
    ck_assert_uint_eq(l.ram_count, 1);
    for (uint32_t i = 1; i < CKPT_RANGES_MAX; i++)
        ck_assert_int_eq(format_add_ram(&l, i * 0x100000 + 1, i * 0x100000 + 0x2000), E_OK);
    ck_assert_uint_eq(l.ram[1].base, 0x101000);
    ck_assert_int_eq(format_check_layout(&l), E_OK);
    ck_assert_int_eq(format_add_ram(&l, 0x10000000, 0x10000fff), E_OK);
    ck_assert_int_eq(format_add_ram(&l, 0x10000000, 0x10001000), E_NOMEM);
    ck_assert_uint_eq(l.ram_count, CKPT_RANGES_MAX);
}
END_TEST

static Suite *format_suite(void)
{
    Suite *s = suite_create("format");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, good_one_passes);
    tcase_add_test(t, ram_is_added_to_the_last_piece_or_refused);
    tcase_add_test(t, hash_is_xxh3_of_the_published_vectors);
    tcase_add_test(t, every_superblock_byte_counts);
    tcase_add_test(t, every_table_byte_counts);
    tcase_add_test(t, other_versions_are_refused);
    tcase_add_test(t, parents_are_older_entries_of_the_table);
    tcase_add_test(t, values_out_of_range_are_refused);
    tcase_add_test(t, table_count_is_checked_before_it_is_used);
    tcase_add_test(t, smaller_partition_is_truncated);
    tcase_add_test(t, every_record_byte_counts);
    tcase_add_test(t, oversized_record_is_refused);
    tcase_add_test(t, layouts);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("format", format_suite)
