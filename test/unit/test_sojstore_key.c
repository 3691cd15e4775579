/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore on encrypted stores: every command with the key, with none and with a wrong one, and copies sealed again. */
/* UNITS: tools/sojstore_part.c tools/sojstore_show.c tools/sojstore_extract.c tools/sojstore_core.c */
/* UNITS: tools/sojstore_reseal.c */
/* UNITS: tools/sojstore_copy.c tools/sojstore_delete.c tools/sojstore_repair.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c */
/* UNITS: ckpt/store_load.c ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c drivers/partition.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "ckpt/store_merge.h"
#include "sojstore_rig.h"

static void setup(void)
{
    rig_key = NULL;
    unsetenv("SOJSTORE_KEY_FILE");
    rig_reset(256);
    open_fails = false;
}

static void teardown(void)
{
    rig_key = NULL;
    copy_make(0);
}

/* With two checkpoints. */
static void make_encrypted(void)
{
    ck_assert_int_eq(run("format disk.img" OFFSET " --key-file key"), 0);
    ck_assert_ptr_nonnull(strstr(out, "empty encrypted store"));
    rig_key = &test_key;
    static struct store st;
    ck_assert_int_eq(rig_open(&st), E_OK);
    for (uint64_t i = 0, id; i < 2; i++) {
        rig_fill_ram(i);
        ck_assert_int_eq(rig_save(&st, i ? "second" : "first", &id), E_OK);
    }
}

START_TEST(with_and_without_the_key)
{
    static struct store st;
    make_encrypted();
    static const char *const good[] = {"list", "verify", "show 2", "repair"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char line[200], word[16] = "", id[8] = "";
        sscanf(good[i], "%15s %7s", word, id);
        snprintf(line, sizeof line, "%s disk.img %s" OFFSET " --key-file key", word, id);
        ck_assert_msg(run(line) == 0, "%s: %s", line, err);
    }
    ck_assert_int_eq(run("show disk.img 2 --json" OFFSET " --key-file key"), 0);
    ck_assert(strstr(out, "\"encrypted\":true") && strstr(out, "\"name\":\"thing\""));
    /* Without it what the table and META say. */
    ck_assert_int_eq(run("list disk.img --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "first"));
    ck_assert_int_eq(run("show disk.img 2 --json" OFFSET), 0);
    ck_assert(strstr(out, "\"encrypted\":true") && strstr(out, "\"sections\":[]") && strstr(out, "GenuineIntel"));
    ck_assert_int_eq(run("show disk.img 2" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "--key-file"));
    ck_assert_int_eq(run("verify disk.img" OFFSET), 1);
    ck_assert(strstr(err, "E_KEY") && strstr(err, "not damaged"));
    ck_assert_int_eq(run("extract disk.img 1 core" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "E_KEY"));
    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "not damaged"));
    /* With another one nothing but the list. */
    ck_assert_int_eq(run("list disk.img" OFFSET " --key-file other"), 0);
    ck_assert_int_eq(run("verify disk.img" OFFSET " --key-file other"), 1);
    ck_assert_ptr_nonnull(strstr(err, "is not the store's (E_KEY)"));
    ck_assert_int_eq(run("delete disk.img 1" OFFSET " --key-file other"), 1);
    ck_assert_int_eq(run("list disk.img" OFFSET " --key-file nowhere"), 1);
    ck_assert_int_eq(run("list disk.img" OFFSET " --key-file short"), 1);
    ck_assert_ptr_nonnull(strstr(err, "64 hexadecimal digits"));
    setenv("SOJSTORE_KEY_FILE", "key", 1);
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
    unsetenv("SOJSTORE_KEY_FILE");
    ck_assert_int_eq(run("delete disk.img 1" OFFSET), 0); /* takes no key */
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 1);
    rig_key = NULL;
    rig_format(&st);
    ck_assert_int_eq(run("verify disk.img" OFFSET " --key-file key"), 0);
    ck_assert_ptr_nonnull(strstr(err, "not encrypted"));
}
END_TEST

START_TEST(forged_and_damaged_with_the_key)
{
    static struct store st;
    make_encrypted();
    ck_assert_int_eq(rig_open(&st), E_OK);
    const struct disk_entry *e = store_entry(&st, 0);
    uint8_t *record = rig.bytes + RIG_FIRST * SECTOR + e->runs[0].first * STORE_BLOCK_BYTES;
    struct disk_record r;
    memcpy(&r, record, sizeof r);
    record[sizeof r + offsetof(struct disk_meta, label)] ^= 1; /* META can be read, not changed */
    format_seal_record(&r, record + sizeof r, e->seed);
    memcpy(record, &r, sizeof r);
    ck_assert_int_eq(run("verify disk.img" OFFSET), 1);
    ck_assert_ptr_null(strstr(err, "E_CHECKSUM"));
    ck_assert_int_eq(run("verify disk.img" OFFSET " --key-file key"), 1);
    ck_assert_ptr_nonnull(strstr(err, "E_CHECKSUM"));
    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET " --key-file key"), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 1: removed"));
}
END_TEST

/* A chain, one of it half merged, with all the memory in it, to every kind of store and back. */
static uint8_t sealed_memory[4][RIG_RAM_PAGES][PAGE_BYTES];
static uint8_t sealed_target[RIG_RAM_PAGES][PAGE_BYTES] ALIGNED(PAGE_BYTES);

static void *to_target(void *ctx, gpa_t gpa)
{
    (void)ctx;
    return sealed_target[rig_index(gpa)];
}

static void copy_has_all(const struct seal_key *of_copy, const uint8_t *ids, uint32_t count)
{
    static struct store to;
    static uint8_t memory[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);
    static uint8_t seen[RIG_PAGE_END / 8];
    struct block_dev dev;
    ck_assert(host_disk_open(&dev, "copy.img", true));
    struct block_part part = {&dev, 0, copy_sectors};
    bool touched;
    ck_assert_int_eq(store_open(&to, part, memory, sizeof memory, NULL), E_OK);
    ck_assert(to.sealed == (of_copy != NULL));
    ck_assert_int_eq(store_unlock(&to, of_copy), E_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = ids[i];
        ck_assert_int_eq(ckpt_load_ram(&to, id, to_target, NULL, seen, sizeof seen, &touched, NULL), E_OK);
        for (uint32_t page = 0; page < RIG_RAM_PAGES; page++)
            ck_assert_msg(rig_hidden(page) || !memcmp(sealed_target[page], sealed_memory[id][page], PAGE_BYTES),
                          "checkpoint %lu page %u", id, page);
    }
    host_disk_close(&dev);
}

START_TEST(copies_are_sealed_again)
{
    static struct store st;
    static struct ckpt_merge m;
    static uint8_t seen[RIG_PAGE_END / 8];
    static const uint8_t all[] = {1, 2, 3}, left[] = {1, 3};
    for (int merging = 0; merging < 2; merging++) {
        setup();
        ck_assert_int_eq(run("format disk.img" OFFSET " --key-file key"), 0);
        rig_key = &test_key;
        ck_assert_int_eq(rig_open(&st), E_OK);
        rig_fill_ram(9);
        for (uint64_t i = 1, id = 0; i <= 3; i++) {
            memcpy(sealed_memory[i], rig_ram, sizeof rig_ram);
            ck_assert_int_eq(rig_save_pages(&st, i - 1, sealed_memory[i - 1], NULL, "c", &id), E_OK);
            for (uint32_t page = (uint32_t)i; page < RIG_RAM_PAGES; page += i == 1 ? 2 : 5)
                memset(rig_ram[page], page % 3 ? (int)(page + i) : 0, PAGE_BYTES);
        }
        if (merging) {
            ck_assert_int_eq(ckpt_merge_begin(&m, &st, 2, seen, sizeof seen, NULL), E_OK);
            ck_assert_int_eq(ckpt_merge_step(&m, 1, NULL), E_OK);
            ck_assert(!m.done);
        }
        const uint8_t *ids = merging ? left : all;
        uint32_t count = merging ? 2 : 3;
        copy_make(0);
        ck_assert_msg(run("copy disk.img copy.img" OFFSET) == 0, "%s", err); /* as it is, without a key */
        copy_has_all(&test_key, ids, count);
        copy_make(0);
        ck_assert_msg(run("copy disk.img copy.img" OFFSET " --key-file key") == 0, "%s", err);
        copy_has_all(&test_key, ids, count);
        copy_make(0);
        ck_assert_int_eq(run("copy disk.img copy.img" OFFSET " --decrypt"), 1);
        ck_assert_ptr_nonnull(strstr(err, "E_KEY"));
        ck_assert_int_eq(run("copy disk.img copy.img" OFFSET " --to-key-file other"), 1);
        ck_assert_msg(run("copy disk.img copy.img" OFFSET " --key-file key --to-key-file other") == 0, "%s", err);
        ck_assert_ptr_nonnull(strstr(out, "encrypted store"));
        struct seal_key other = {.nonce = test_key.nonce};
        ck_assert(seal_read_key(OTHER_KEY_TEXT, 64, other.bytes));
        copy_has_all(&other, ids, count);
        copy_make(0);
        ck_assert_msg(run("copy disk.img copy.img" OFFSET " --key-file key --decrypt") == 0, "%s", err);
        ck_assert_ptr_nonnull(strstr(out, "decrypted store"));
        copy_has_all(NULL, ids, count);
        /* And from there into an encrypted one. */
        memcpy(rig.bytes + RIG_FIRST * SECTOR, copy_bytes, RIG_PART_SECTORS * SECTOR);
        copy_make(0);
        ck_assert_msg(run("copy disk.img copy.img" OFFSET " --to-key-file key") == 0, "%s", err);
        copy_has_all(&test_key, ids, count);
    }
}
END_TEST

static Suite *sojstore_key_suite(void)
{
    Suite *s = suite_create("sojstore_key");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, with_and_without_the_key);
    tcase_add_test(t, forged_and_damaged_with_the_key);
    tcase_add_test(t, copies_are_sealed_again);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("sojstore_key", sojstore_key_suite)
