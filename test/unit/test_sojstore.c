/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore from its command line, on the rig's disk: exit codes, messages, JSON, what it refuses to destroy. */
/* UNITS: tools/sojstore_part.c tools/sojstore_show.c tools/sojstore_extract.c tools/sojstore_core.c */
/* UNITS: tools/sojstore_reseal.c */
/* UNITS: tools/sojstore_copy.c tools/sojstore_delete.c tools/sojstore_repair.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c */
/* UNITS: ckpt/store_load.c ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c drivers/partition.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "ckpt/store_merge.h"
#include "sojstore_rig.h"

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
                                        "extract disk.img 1",
                                        "extract disk.img first core",
                                        "extract disk.img 1 core more",
                                        "copy disk.img",
                                        "copy disk.img copy.img --json",
                                        "copy disk.img copy.img --to-partition 1 --to-size 4M",
                                        "copy disk.img copy.img --to-offset 1",
                                        "list disk.img --to-offset 512",
                                        "repair disk.img 1",
                                        "verify disk.img --drop-damaged",
                                        "list disk.img --key-file",
                                        "list disk.img --decrypt",
                                        "verify disk.img --to-key-file key",
                                        "copy disk.img copy.img --decrypt --to-key-file key",
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

/* A chain with a branch: 1 is full, 2 and 4 build on it, 3 on 2 and is pinned. */
static uint8_t model[5][RIG_RAM_PAGES][PAGE_BYTES];

static void make_chain(void)
{
    static const uint64_t parents[] = {0, 0, 1, 2, 1};
    struct store st;
    uint64_t id;
    make_checkpoints(1);
    memcpy(model[1], rig_ram, sizeof rig_ram);
    for (unsigned i = 2; i <= 4; i++) {
        memcpy(rig_ram, model[parents[i]], sizeof rig_ram);
        memset(rig_ram[10 * i], (int)i, 3 * PAGE_BYTES);
        memset(rig_ram[10 * i - 3], 0, PAGE_BYTES);
        memcpy(model[i], rig_ram, sizeof rig_ram);
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_int_eq(rig_save_pages(&st, parents[i], model[parents[i]], NULL, "link", &id), E_OK);
        ck_assert_uint_eq(id, i);
    }
    ck_assert_int_eq(store_pin(&st, 3, true), E_OK);
}

/* A byte of a checkpoint's last record is wrong. */
static void damage_end(uint64_t id)
{
    struct store st;
    ck_assert_int_eq(rig_open(&st), E_OK);
    const struct disk_entry *e = store_find(&st, id);
    ck_assert_ptr_nonnull(e);
    uint64_t at = e->stream_bytes - 20, i = 0;
    for (; at >= e->runs[i].count * STORE_BLOCK_BYTES; i++)
        at -= e->runs[i].count * STORE_BLOCK_BYTES;
    rig.bytes[RIG_FIRST * SECTOR + e->runs[i].first * STORE_BLOCK_BYTES + at] ^= 1;
}

static uint8_t loaded[RIG_RAM_PAGES][PAGE_BYTES];
static uint32_t asked[RIG_RAM_PAGES];

static void *load_page_to(void *ctx, gpa_t gpa)
{
    (void)ctx;
    asked[rig_index(gpa)]++;
    return loaded[rig_index(gpa)];
}

/* The whole memory, each page asked for once. */
static void loads_to(struct store *st, uint64_t id)
{
    bool touched;
    memset(asked, 0, sizeof asked);
    memset(loaded, 0xcc, sizeof loaded);
    ck_assert_int_eq(ckpt_load_ram(st, id, load_page_to, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_OK);
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++) {
        ck_assert_uint_eq(asked[i], rig_hidden(i) ? 0 : 1);
        if (!rig_hidden(i))
            ck_assert_mem_eq(loaded[i], model[id][i], PAGE_BYTES);
    }
}

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
    ck_assert_ptr_nonnull(strstr(out, "pages   3 stored, 1 zero, 180 unchanged; 4096 bytes in the store\n"));
    ck_assert_ptr_nonnull(strstr(out, "builds on 1; a restore reads 2 checkpoints"));
    ck_assert_int_eq(run("show disk.img 2 --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, ",\"zero_pages\":1,\"unchanged_pages\":180,\"chain\":2,"));
    ck_assert_int_eq(run("show disk.img 1 --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, ",\"unchanged_pages\":0,\"chain\":1,"));
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "pages, full\n"));
    ck_assert_ptr_nonnull(
        strstr(out, "checkpoint 2: good, 3 pages, pinned, incremental, and so are all it builds on (1 "));
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

/* ---- copy ---- */

static void open_copy(struct store *st, uint64_t first)
{
    static struct block_dev dev;
    static uint8_t memory[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);
    ck_assert(host_disk_open(&dev, "copy.img", true));
    struct block_part part = {&dev, first, copy_sectors - first};
    ck_assert_int_eq(store_open(st, part, memory, sizeof memory, NULL), E_OK);
    host_disk_close(&dev);
}

/* The last byte that is in use, from the store's start. */
static uint64_t end_of_use(const struct store *st)
{
    uint64_t end = STORE_MIN_BLOCKS;
    for (uint32_t i = 0; i < store_count(st); i++)
        for (uint32_t j = 0; j < store_entry(st, i)->run_count; j++)
            end = max_u64(end, store_entry(st, i)->runs[j].first + store_entry(st, i)->runs[j].count);
    return end * STORE_BLOCK_BYTES;
}

START_TEST(copies)
{
    static struct store here, there;
    char line[256];
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_checkpoints(14);
    ck_assert_int_eq(run("delete disk.img 2" OFFSET), 0);
    ck_assert_int_eq(rig_open(&here), E_OK);
    uint64_t need = end_of_use(&here);
    ck_assert_uint_gt(need, STORE_MIN_BLOCKS * STORE_BLOCK_BYTES);

    copy_make(0); /* is made, as long as the store */
    ck_assert_msg(run("copy disk.img copy.img" OFFSET) == 0, "%s", err);
    ck_assert(!opened_writable);
    ck_assert_ptr_nonnull(strstr(out, "13 checkpoints copied and verified"));
    ck_assert_uint_eq(copy_sectors, RIG_PART_SECTORS);
    open_copy(&there, 0);
    ck_assert_uint_eq(there.count, here.count);
    ck_assert_mem_eq(there.table, here.table, here.count * sizeof *here.table);
    ck_assert_mem_eq(there.uuid, here.uuid, sizeof here.uuid);
    ck_assert_uint_eq(there.next_id, here.next_id);
    ck_assert_uint_eq((uint64_t)there.created, (uint64_t)here.created);
    ck_assert_uint_eq(there.total_blocks, here.total_blocks);
    ck_assert(!there.stale);

    ck_assert_int_eq(run("copy disk.img copy.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "copy.img: there is a store with 13 checkpoints; --force destroys it"));
    ck_assert_int_eq(run("copy disk.img copy.img --force" OFFSET), 0);
    ck_assert_int_eq(run("copy disk.img disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "the store itself"));

    copy_make(need); /* just enough, and its length is the copy's */
    ck_assert_int_eq(run("copy disk.img copy.img" OFFSET), 0);
    open_copy(&there, 0);
    ck_assert_uint_eq(there.total_blocks, need / STORE_BLOCK_BYTES);
    copy_make(need - SECTOR);
    ck_assert_int_eq(run("copy disk.img copy.img" OFFSET), 1);
    snprintf(line, sizeof line,
             "has %lu bytes, the store in disk.img uses %lu; make it larger (truncate -s %lu copy.img)", need - SECTOR,
             need, need);
    ck_assert_msg(strstr(err, line) != NULL, "%s", err);
    ck_assert_uint_eq(copy_bytes[0], 0xa5); /* not touched */

    copy_make(9u << 20); /* a place in it */
    ck_assert_int_eq(run("copy disk.img copy.img --to-offset 1M" OFFSET), 0);
    open_copy(&there, 2048);
    ck_assert_uint_eq(there.total_blocks, 2048);
    for (uint32_t i = 0; i < 1u << 20; i++)
        ck_assert_uint_eq(copy_bytes[i], 0xa5);
    ck_assert_int_eq(run("copy disk.img copy.img --to-partition 1" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "copy.img: no partition table"));
}
END_TEST

START_TEST(copies_a_chain)
{
    static struct store here, there;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_chain();
    copy_make(0);
    ck_assert_msg(run("copy disk.img copy.img" OFFSET) == 0, "%s", err);
    ck_assert_ptr_nonnull(strstr(out, "4 checkpoints copied and verified"));
    ck_assert_int_eq(rig_open(&here), E_OK);
    open_copy(&there, 0);
    ck_assert_uint_eq(store_count(&there), 4);
    ck_assert_mem_eq(there.table, here.table, here.count * sizeof *here.table);
    ck_assert_uint_eq(store_find(&there, 3)->parent, 2);
    ck_assert_uint_eq(store_find(&there, 3)->flags, ENTRY_FLAG_PINNED);
    ck_assert_int_eq(store_delete(&there, 3), E_PINNED);
    ck_assert_int_eq(store_delete(&there, 2), E_BUSY);
    for (uint64_t id = 1; id <= 4; id++)
        loads_to(&there, id);

    damage_end(2);
    ck_assert_int_eq(run("copy disk.img copy.img --force" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "disk.img: checkpoint 2 is damaged (E_CHECKSUM), and so is its copy"));
    ck_assert_ptr_nonnull(strstr(err, "disk.img: checkpoint 3 is damaged (E_CHECKSUM), and so is its copy"));
    ck_assert_ptr_null(strstr(err, "checkpoint 1"));
    ck_assert_ptr_null(strstr(err, "checkpoint 4"));
    open_copy(&there, 0);
    loads_to(&there, 1);
    loads_to(&there, 4);
}
END_TEST

START_TEST(copies_that_fail)
{
    static struct store here, there;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_checkpoints(2);
    copy_make(6u << 20);
    copy_spoils = true;
    ck_assert_int_eq(run("copy disk.img copy.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 1 was not written as it was read"));
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 2 was not written as it was read"));
    /* Cut off after any write: no store, an empty one, or all of it. */
    int status = 1;
    for (uint64_t n = 0; status; n++) {
        copy_make(6u << 20);
        copy_writes_left = n;
        status = run("copy disk.img copy.img" OFFSET);
        copy_writes_left = 0;
        ck_assert(!status || strstr(err, "copy to another place"));
        ck_assert_uint_lt(n, 100);
        if (n < 4) /* not even the empty one */
            continue;
        open_copy(&there, 0);
        ck_assert(store_count(&there) == 0 || store_count(&there) == 2);
        for (uint32_t i = 0; i < store_count(&there); i++)
            ck_assert_int_eq(ckpt_verify(&there, store_entry(&there, i)->id, NULL), E_OK);
    }
    copy_make(6u << 20);
    ck_assert_int_eq(rig_open(&here), E_OK);
    rig.bytes[RIG_FIRST * SECTOR + store_entry(&here, 0)->runs[0].first * STORE_BLOCK_BYTES + 5000] ^= 1;
    ck_assert_int_eq(run("copy disk.img copy.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "disk.img: checkpoint 1 is damaged (E_CHECKSUM), and so is its copy"));
    ck_assert_ptr_null(strstr(err, "checkpoint 2"));
    copy_make(0);
    ck_assert_int_eq(run("copy disk.img copy.img --to-offset 0" OFFSET), 1); /* nothing is made for a place in it */
}
END_TEST

/* ---- repair ---- */

static uint8_t *superblock(unsigned slot)
{
    return rig.bytes + RIG_FIRST * SECTOR + slot * STORE_SLOT_BLOCKS * STORE_BLOCK_BYTES;
}

START_TEST(repairs_superblocks)
{
    static struct store st;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_checkpoints(2);
    ck_assert_int_eq(run("repair disk.img" OFFSET), 0);
    ck_assert(opened_writable);
    ck_assert_ptr_nonnull(strstr(out, "superblock A: good"));
    ck_assert_ptr_nonnull(strstr(out, "superblock B: good"));
    ck_assert_ptr_null(strstr(out, "written again"));
    ck_assert_ptr_nonnull(strstr(out, "in order, 2 checkpoints"));
    static const struct {
        unsigned slot;
        uint32_t at;
        const char *says, *line;
    } damage[] = {
        {0, 100, "superblock A: damaged: the superblock's checksum does not match", "superblock A: written again"},
        {1, 100, "superblock B: damaged: the superblock's checksum does not match", "superblock B: written again"},
        {0, STORE_BLOCK_BYTES + 9, "superblock A: damaged: the checkpoint table's", "superblock A: written again"},
        {1, 3, "superblock B: damaged: no superblock", "superblock B: written again"},
    };
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        superblock(damage[i].slot)[damage[i].at] ^= 4;
        ck_assert_int_eq(run("repair disk.img" OFFSET), 0);
        ck_assert_msg(strstr(out, damage[i].says) && strstr(out, damage[i].line), "%s", out);
        ck_assert_ptr_nonnull(strstr(out, "in order, 2 checkpoints"));
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert(!st.stale);
    }
    /* Any one request fails: nothing is lost, and the next try succeeds. */
    bool refused = false, done = false;
    for (uint64_t n = 0; !done; n++) {
        superblock(0)[100] ^= 1;
        rig.fail_at = rig.requests + n;
        rig.fail_for = 1;
        int status = run("repair disk.img" OFFSET);
        done = rig.requests <= rig.fail_at;
        rig.fail_at = UINT64_MAX;
        refused = refused || strstr(err, "superblock A cannot be repaired");
        ck_assert((status == 0) == (strstr(out, "in order, 2 checkpoints") && !strstr(out, "not in order")));
        ck_assert_int_eq(run("repair disk.img" OFFSET), 0);
        ck_assert_ptr_nonnull(strstr(out, "in order, 2 checkpoints"));
    }
    ck_assert(refused);
    superblock(0)[100] ^= 1;
    superblock(1)[100] ^= 1;
    ck_assert_int_eq(run("repair disk.img" OFFSET), 1); /* neither: no guess */
}
END_TEST

START_TEST(repairs_checkpoints)
{
    static struct store st;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_checkpoints(3);
    ck_assert_int_eq(rig_open(&st), E_OK);
    uint8_t *record = rig.bytes + RIG_FIRST * SECTOR + store_entry(&st, 1)->runs[0].first * STORE_BLOCK_BYTES;
    record[5000] ^= 1;
    ck_assert_int_eq(run("repair disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2: damaged"));
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 1: good"));
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 3: good"));
    ck_assert_ptr_nonnull(strstr(err, "--drop-damaged removes it"));
    ck_assert_ptr_nonnull(strstr(out, "not in order, 3 checkpoints"));
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 3);

    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2: removed"));
    ck_assert_ptr_nonnull(strstr(out, "in order, 2 checkpoints"));

    /* Any one request fails: what the disk does not give now is not thrown away. */
    bool unread = false, done = false;
    for (uint64_t n = 0; !done; n++) {
        ck_assert_int_eq(run("format disk.img --force" OFFSET), 0);
        make_checkpoints(3);
        record[5000] ^= 1;
        rig.fail_at = rig.requests + n;
        rig.fail_for = 1;
        int status = run("repair disk.img --drop-damaged" OFFSET);
        done = rig.requests <= rig.fail_at;
        rig.fail_at = UINT64_MAX;
        unread = unread || strstr(out, "cannot be read: ");
        ck_assert(status || !strstr(out, "cannot be read: "));
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_ptr_nonnull(store_find(&st, 1));
        ck_assert_ptr_nonnull(store_find(&st, 3));
    }
    ck_assert(unread);
    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "in order, 2 checkpoints"));
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
}
END_TEST

START_TEST(repairs_chains)
{
    static struct store st;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_chain();
    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "in order, 4 checkpoints"));
    damage_end(2);
    ck_assert_int_eq(run("repair disk.img" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 4: good\ncheckpoint 3: builds on a damaged one: "));
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2: damaged: "));
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 1: good\n"));
    ck_assert_ptr_nonnull(strstr(out, "not in order, 4 checkpoints"));
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 3 builds on a damaged one; --drop-damaged removes it"));
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 2 is damaged; --drop-damaged removes it"));

    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 1); /* 3 is pinned, and keeps what it builds on */
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 3 stays: it is pinned; first, on Sojourn's console: pin 3 off"));
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 2 stays: another one builds on it"));
    ck_assert_ptr_nonnull(strstr(out, "not in order, 4 checkpoints"));

    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(store_pin(&st, 3, false), E_OK);
    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 3: removed\ncheckpoint 2: damaged: "));
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2: removed\ncheckpoint 1: good\n"));
    ck_assert_ptr_nonnull(strstr(out, "in order, 2 checkpoints"));
    ck_assert_int_eq(rig_open(&st), E_OK);
    loads_to(&st, 1);
    loads_to(&st, 4);

    damage_end(1); /* the base: nothing of the chain is left */
    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 4: builds on a damaged one: "));
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 4: removed\ncheckpoint 1: damaged: "));
    ck_assert_ptr_nonnull(strstr(out, "in order, 0 checkpoints"));
}
END_TEST

static void interrupted_merge(struct store *s, uint64_t victim)
{
    static struct ckpt_merge merge;
    ck_assert_int_eq(rig_open(s), E_OK);
    ck_assert_int_eq(ckpt_merge_begin(&merge, s, victim, rig_seen, sizeof rig_seen, NULL), E_OK);
    ck_assert_int_eq(ckpt_merge_step(&merge, 1, NULL), E_OK);
    ck_assert_uint_eq(store_rest(s), victim);
}

START_TEST(delete_in_a_chain)
{
    static struct store st;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_chain(); /* 1 <- 2 <- 3, pinned; 1 <- 4 */
    ck_assert_int_eq(run("delete disk.img 1" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "several checkpoints build on 1, or one next to it"));
    ck_assert_int_eq(run("delete disk.img 2" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2 deleted; what builds on it has taken over what it needs\n"));
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 3);
    ck_assert_int_eq(run("delete disk.img 4" OFFSET), 0);

    interrupted_merge(&st, 1);
    ck_assert_int_eq(run("list disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "(merging)"));
    ck_assert_int_eq(run("list disk.img --json" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "\"state\":\"merging\"},{\"id\":3,"));
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 1: being taken over by 3, which was checked with it\n"));
    ck_assert_int_eq(run("verify disk.img 1" OFFSET), 1);
    ck_assert_int_eq(run("repair disk.img" OFFSET), 0);
    ck_assert_int_eq(run("delete disk.img 1" OFFSET), 0);
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert(store_count(&st) == 1 && !store_entry(&st, 0)->parent);
    loads_to(&st, 3);
    ck_assert_int_eq(run("verify disk.img" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "pinned, full\n"));
}
END_TEST

START_TEST(repair_with_a_rest)
{
    static struct store st;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_chain();
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(store_pin(&st, 3, false), E_OK);
    ck_assert_int_eq(store_delete(&st, 4), E_OK);
    ck_assert_int_eq(store_delete(&st, 3), E_OK);
    interrupted_merge(&st, 1);
    ck_assert_uint_eq(store_count(&st), 2);
    damage_end(2);
    ck_assert_int_eq(run("repair disk.img --drop-damaged" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 2: removed\n"));
    ck_assert_ptr_nonnull(strstr(out, "in order, 0 checkpoints"));
}
END_TEST

START_TEST(repair_of_a_chain_that_is_not_read)
{
    static struct store st;
    bool unread = false, done = false;
    /* Any one request fails: what is not read now, or builds on it, is not thrown away. */
    for (uint64_t n = 0; !done; n++) {
        ck_assert_int_eq(run("format disk.img --force" OFFSET), 0);
        make_chain();
        rig.fail_at = rig.requests + n;
        rig.fail_for = 1;
        int status = run("repair disk.img --drop-damaged" OFFSET);
        done = rig.requests <= rig.fail_at;
        rig.fail_at = UINT64_MAX;
        unread = unread || strstr(out, "cannot be read: ");
        ck_assert(status || !strstr(out, "cannot be read: "));
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_uint_eq(store_count(&st), 4);
    }
    ck_assert(unread);
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
    tcase_add_test(t, copies);
    tcase_add_test(t, copies_a_chain);
    tcase_add_test(t, copies_that_fail);
    tcase_add_test(t, repairs_superblocks);
    tcase_add_test(t, repairs_checkpoints);
    tcase_add_test(t, repairs_chains);
    tcase_add_test(t, delete_in_a_chain);
    tcase_add_test(t, repair_with_a_rest);
    tcase_add_test(t, repair_of_a_chain_that_is_not_read);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("sojstore", sojstore_suite)
