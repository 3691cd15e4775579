/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore from its command line, on the rig's disk: exit codes, messages, JSON, what it refuses to destroy. */
/* UNITS: tools/sojstore_part.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c ckpt/pages.c */
/* UNITS: ckpt/store_load.c ckpt/format.c ckpt/hash.c drivers/block.c drivers/partition.c */
/* LIBS: -llz4 */
int sojstore_main(int argc, char **argv);
#define main sojstore_main
#include "tools/sojstore.c"
#undef main

#include "store_rig.h"

#include <unistd.h>

static char out[16384], err[16384];
static bool opened_writable, open_fails;

bool host_verbose;

bool host_disk_open(struct block_dev *which, const char *path, bool writable)
{
    ck_assert_str_eq(path, "disk.img");
    opened_writable = writable;
    errno = ENOENT;
    *which = rig.dev;
    return !open_fails;
}

void host_disk_close(struct block_dev *which)
{
    (void)which;
}

bool host_random(uint8_t bytes[16])
{
    memcpy(bytes, rig_uuid, 16);
    return true;
}

static void slurp(FILE *f, char *text)
{
    fflush(f);
    rewind(f);
    text[fread(text, 1, 16383, f)] = 0;
    fclose(f);
}

/* Run a command line; what it printed is in out and err. */
static int run(const char *line)
{
    static char words[512];
    char *argv[16] = {"sojstore"};
    int argc = 1;
    strcpy(words, line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    FILE *o = tmpfile(), *e = tmpfile();
    fflush(NULL);
    int old_out = dup(1), old_err = dup(2);
    dup2(fileno(o), 1);
    dup2(fileno(e), 2);
    memset(&opt, 0, sizeof opt);
    int status = sojstore_main(argc, argv);
    fflush(NULL);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    slurp(o, out);
    slurp(e, err);
    if (status)
        ck_assert_msg(strlen(err) > 10, "no message: %s", line);
    return status;
}

#define OFFSET " --offset 32768 --size 6M" /* where rig_part() is */

static void make_checkpoints(uint32_t n)
{
    static struct store st;
    uint64_t id;
    ck_assert_int_eq(rig_open(&st), E_OK);
    for (uint32_t i = 0; i < n; i++) {
        rig_fill_ram(i);
        ck_assert_int_eq(rig_save(&st, i ? "second \"one\"" : "first", &id), E_OK);
    }
}

static void setup(void)
{
    rig_reset(256);
    open_fails = false;
    ck_assert_uint_eq(RIG_FIRST * SECTOR, 32768);
}

START_TEST(wrong_usage_is_2)
{
    static const char *const lines[] = {"",
                                        "list",
                                        "frobnicate disk.img",
                                        "list disk.img 3",
                                        "show disk.img",
                                        "delete disk.img",
                                        "show disk.img x",
                                        "show disk.img 0",
                                        "show disk.img 3x",
                                        "list disk.img --offset",
                                        "list disk.img --offset 12",
                                        "list disk.img --size 0",
                                        "list disk.img --offset -512",
                                        "list disk.img --size 99999999999G",
                                        "list disk.img --partition 1 --offset 0",
                                        "list disk.img --partition one",
                                        "list disk.img --force",
                                        "format disk.img --json",
                                        "list disk.img --what",
                                        "verify disk.img 1 2",
                                        "list disk.img --size 1T"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        ck_assert_msg(run(lines[i]) == 2, "%s", lines[i]);
        ck_assert_ptr_nonnull(strstr(err, "usage:"));
        ck_assert_str_eq(out, "");
    }
    ck_assert_int_eq(run("--help"), 0);
    ck_assert_uint_eq(rig.requests, 0);
}
END_TEST

START_TEST(life_of_a_store)
{
    ck_assert_int_eq(run("list disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "no store found; make one with: sojstore format"));
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    ck_assert(opened_writable);
    ck_assert_int_eq(run("list disk.img --json" OFFSET), 0);
    ck_assert(!opened_writable);
    ck_assert_str_eq(out, "[]\n");
    make_checkpoints(2);
    ck_assert_int_eq(run("list disk.img --json" OFFSET), 0);
    char want[1024];
    struct store st;
    ck_assert_int_eq(rig_open(&st), E_OK);
    const struct disk_entry *a = store_entry(&st, 0), *b = store_entry(&st, 1);
    snprintf(want, sizeof want,
             "[{\"id\":1,\"label\":\"first\",\"kind\":\"full\",\"parent\":null,\"time\":\"2025-11-22T04:00:00Z\","
             "\"pages\":%lu,\"bytes\":%lu,\"disk\":\"none\",\"pinned\":false,\"state\":\"committed\"},"
             "{\"id\":2,\"label\":\"second \\\"one\\\"\",\"kind\":\"full\",\"parent\":null,\"time\":"
             "\"2025-11-22T04:00:00Z\",\"pages\":%lu,\"bytes\":%lu,\"disk\":\"none\",\"pinned\":false,\"state\":"
             "\"committed\"}]\n",
             a->pages, store_entry_bytes(a), b->pages, store_entry_bytes(b));
    ck_assert_str_eq(out, want);
    ck_assert_int_eq(run("list disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "second \"one\"\n2 checkpoints, "));
    ck_assert_int_eq(run("show disk.img latest" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "section thing    version 3, 10 bytes"));
    ck_assert_int_eq(run("show disk.img 1 --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "\"state\":\"committed\",\"zero_pages\":"));
    ck_assert_ptr_nonnull(strstr(out, "\"sections\":[{\"name\":\"thing\",\"version\":3,\"bytes\":10}]}\n"));
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2: good"));
    ck_assert_int_eq(run("format disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "a store with 2 checkpoints; --force destroys it"));
    ck_assert_int_eq(run("delete disk.img 1" OFFSET), 0);
    ck_assert_int_eq(run("delete disk.img 1" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "no checkpoint 1"));
    ck_assert_int_eq(run("verify disk.img 1" OFFSET), 1);
    ck_assert_int_eq(run("list disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "1 checkpoints"));
    ck_assert_int_eq(run("format disk.img --force" OFFSET), 0);
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
    ck_assert_str_eq(out, "no checkpoints\n");
    ck_assert_int_eq(run("format disk.img" OFFSET), 0); /* empty: nothing to lose */
}
END_TEST

START_TEST(damage_is_reported)
{
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_checkpoints(2);
    struct store st;
    ck_assert_int_eq(rig_open(&st), E_OK);
    rig.bytes[RIG_FIRST * SECTOR + store_entry(&st, 0)->runs[0].first * STORE_BLOCK_BYTES + 5000] ^= 1;
    ck_assert_int_eq(run("verify disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 1 is damaged"));
    ck_assert_ptr_nonnull(strstr(err, "E_CHECKSUM"));
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2: good"));
    ck_assert_int_eq(run("verify disk.img 2" OFFSET), 0);
    rig.bytes[RIG_FIRST * SECTOR + 100] ^= 1;
    ck_assert_int_eq(run("list disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(err, "one of the two superblocks"));
    rig.bytes[RIG_FIRST * SECTOR + STORE_SLOT_BLOCKS * STORE_BLOCK_BYTES + 100] ^= 1;
    ck_assert_int_eq(run("list disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "checksum"));
    ck_assert_int_eq(run("format disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "--force"));
    ck_assert_int_eq(run("format disk.img --force" OFFSET), 0);
    ck_assert_int_eq(run("list disk.img --offset 32768 --size 5M"), 1);
    ck_assert_ptr_nonnull(strstr(err, "shorter"));
}
END_TEST

START_TEST(chains_and_pins)
{
    static uint8_t before[RIG_RAM_PAGES][PAGE_BYTES];
    struct store st;
    uint64_t id;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_checkpoints(1);
    memcpy(before, rig_ram, sizeof before);
    memset(rig_ram[5], 0x11, 3 * PAGE_BYTES);
    memset(rig_ram[60], 0, PAGE_BYTES);
    before[60][0] = 1;
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(rig_save_pages(&st, 1, before, NULL, "on one", &id), E_OK);
    ck_assert_int_eq(store_pin(&st, 2, true), E_OK);
    ck_assert_int_eq(run("list disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "KIND         PARENT "));
    ck_assert_ptr_nonnull(strstr(out, "  full              -  "));
    ck_assert_ptr_nonnull(strstr(out, "  incremental       1        3        4  none         yes  on one\n"));
    ck_assert_int_eq(run("list disk.img --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "\"kind\":\"full\",\"parent\":null,"));
    ck_assert_ptr_nonnull(strstr(out, "\"pinned\":false,\"state\":\"committed\"},{\"id\":2,"));
    ck_assert_ptr_nonnull(strstr(out, "\"kind\":\"incremental\",\"parent\":1,"));
    ck_assert_ptr_nonnull(strstr(out, "\"pinned\":true,"));
    ck_assert_int_eq(run("show disk.img 2" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "pages   3 stored, 1 zero, 180 unchanged\n"));
    ck_assert_ptr_nonnull(strstr(out, "builds on 1; a restore reads 2 checkpoints"));
    ck_assert_int_eq(run("show disk.img 2 --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, ",\"zero_pages\":1,\"unchanged_pages\":180,\"chain\":2,"));
    ck_assert_int_eq(run("show disk.img 1 --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, ",\"unchanged_pages\":0,\"chain\":1,"));
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "pages, full\n"));
    ck_assert_ptr_nonnull(
        strstr(out, "checkpoint 2: good, 3 pages, pinned, incremental, and so are all it builds on (1 "));
    ck_assert_int_eq(run("delete disk.img 1" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "another checkpoint builds on 1"));
    ck_assert_int_eq(run("delete disk.img 2" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "pinned; first, on Sojourn's console: pin 2 off"));
    rig.bytes[RIG_FIRST * SECTOR + store_entry(&st, 0)->runs[0].first * STORE_BLOCK_BYTES + 5000] ^= 1;
    ck_assert_int_eq(run("verify disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 1 is damaged"));
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 2 cannot be restored, because what it builds on (1) is damaged"));
    ck_assert_ptr_null(strstr(err, "checkpoint 2 is damaged"));
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(regions_that_do_not_fit)
{
    ck_assert_int_eq(run("format disk.img --offset 0 --size 3M"), 1);
    ck_assert_ptr_nonnull(strstr(err, "E_TOOSMALL"));
    ck_assert_int_eq(run("format disk.img --offset 0 --size 9M"), 1);
    ck_assert_ptr_nonnull(strstr(err, "ends behind the file"));
    ck_assert_int_eq(run("list disk.img --offset 1G"), 1);
    ck_assert_int_eq(run("format disk.img --partition 1"), 1);
    ck_assert_ptr_nonnull(strstr(err, "no partition table"));
    ck_assert_int_eq(run("format disk.img"), 0); /* the whole file */
    ck_assert_int_eq(run("list disk.img"), 0);
    open_fails = true;
    ck_assert_int_eq(run("list disk.img"), 1);
    open_fails = false;
    rig.fail_at = 0;
    rig.fail_for = UINT64_MAX;
    ck_assert_int_eq(run("list disk.img"), 1);
    ck_assert_int_eq(run("format disk.img --force"), 1);
}
END_TEST

static void put_mbr(uint8_t type, uint32_t first, uint32_t count)
{
    uint8_t *e = rig.bytes + 446 + 16; /* entry 2 */
    memset(rig.bytes, 0, SECTOR);
    e[4] = type;
    store32(e + 8, first);
    store32(e + 12, count);
    rig.bytes[510] = 0x55;
    rig.bytes[511] = 0xaa;
}

START_TEST(mbr_partitions)
{
    put_mbr(0x83, RIG_FIRST, RIG_PART_SECTORS);
    ck_assert_int_eq(run("format disk.img"), 1); /* would overwrite the partition table */
    ck_assert_ptr_nonnull(strstr(err, "partition table"));
    ck_assert_int_eq(run("format disk.img --partition 2"), 1);
    ck_assert_ptr_nonnull(strstr(err, "neither Sojourn's type"));
    ck_assert_int_eq(run("format disk.img --partition 1"), 1);
    ck_assert_ptr_nonnull(strstr(err, "there is no partition 1"));
    ck_assert_int_eq(run("format disk.img --partition 5"), 1);
    ck_assert_int_eq(run("format disk.img --partition 0"), 1);
    put_mbr(PARTITION_MBR_TYPE, RIG_FIRST, RIG_DISK_SECTORS);
    ck_assert_int_eq(run("format disk.img --partition 2"), 1);
    ck_assert_ptr_nonnull(strstr(err, "outside"));
    put_mbr(PARTITION_MBR_TYPE, RIG_FIRST, RIG_PART_SECTORS);
    ck_assert_int_eq(run("format disk.img --partition 2"), 0);
    make_checkpoints(1);
    ck_assert_int_eq(run("verify disk.img"), 0); /* found by its type */
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 1: good"));
    ck_assert_int_eq(run("verify disk.img --partition 2 1"), 0);
}
END_TEST

START_TEST(gpt_partitions)
{
    static const uint8_t type[16] = PARTITION_TYPE_GUID;
    put_mbr(0xee, 1, RIG_DISK_SECTORS - 1);
    uint8_t *header = rig.bytes + SECTOR, *entry = rig.bytes + 2 * SECTOR + 128 * 5; /* number 6 */
    memset(header, 0, 33 * SECTOR);
    memcpy(header, "EFI PART", 8);
    store64(header + 72, 2);
    store32(header + 80, 128);
    store32(header + 84, 128);
    memset(entry, 7, 16);
    store64(entry + 32, RIG_FIRST);
    store64(entry + 40, RIG_FIRST + RIG_PART_SECTORS - 1);
    ck_assert_int_eq(run("format disk.img --partition 6"), 1);
    ck_assert_ptr_nonnull(strstr(err, "neither"));
    for (size_t i = 0; i <= strlen(PARTITION_NAME); i++)
        store16(entry + 56 + 2 * i, (uint16_t)(uint8_t)PARTITION_NAME[i]);
    ck_assert_int_eq(run("format disk.img --partition 6"), 0);
    memset(entry + 56, 0, 72);
    ck_assert_int_eq(run("format disk.img --partition 6"), 1);
    memcpy(entry, type, 16);
    ck_assert_int_eq(run("format disk.img --partition 6"), 0);
    make_checkpoints(1);
    ck_assert_int_eq(run("verify disk.img --partition 6"), 0);
    ck_assert_int_eq(run("verify disk.img --partition 5"), 1);
    ck_assert_int_eq(run("verify disk.img --partition 129"), 1);
    ck_assert_int_eq(run("verify disk.img --partition 4294967302"), 1); /* 6 modulo 2^32 */
    static const uint64_t bad_last[] = {UINT64_MAX, RIG_FIRST - 1, RIG_DISK_SECTORS};
    for (size_t i = 0; i < ARRAY_LEN(bad_last); i++) {
        store64(entry + 40, bad_last[i]);
        ck_assert_int_eq(run("list disk.img --partition 6"), 1);
    }
    store32(header + 84, 0);
    ck_assert_int_eq(run("list disk.img --partition 6"), 1);
}
END_TEST

static Suite *sojstore_suite(void)
{
    Suite *s = suite_create("sojstore");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, wrong_usage_is_2);
    tcase_add_test(t, life_of_a_store);
    tcase_add_test(t, damage_is_reported);
    tcase_add_test(t, chains_and_pins);
    tcase_add_test(t, regions_that_do_not_fit);
    tcase_add_test(t, mbr_partitions);
    tcase_add_test(t, gpt_partitions);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("sojstore", sojstore_suite)
