/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a store: opened, listed, looked at, verified, loaded; then written to: a further checkpoint, on the newest or
   a full one, a pin, a deletion, a merge. What was whole before stays whole, and what was refused stays refused.
   Input: fix-ups (1), what to do (1), pieces of the partition (fuzz_image.h). */
/* UNITS: ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_load.c ckpt/store_merge.c ckpt/store_text.c ckpt/pages.c */
/* UNITS: ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "ckpt/store_merge.h"
#include "ckpt/store_text.h"
#include "fuzz_image.h"
#include "test_key.h"

#define DO_ON_NEWEST 1u
#define DO_SMALL_PART 2u /* the partition is cut to less than the store */
#define DO_DELETE 4u
#define DO_PIN 8u
#define DO_MERGE 16u

static uint8_t work[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);
static uint8_t seen[1u << 13];
static uint8_t target[PAGE_BYTES] ALIGNED(PAGE_BYTES);
static struct store st;

static void *page(void *ctx, gpa_t gpa)
{
    const struct ckpt_layout *l = ctx;
    FUZZ_CHECK(format_page_saved(l, gpa.v / PAGE_BYTES));
    return target;
}

static uint64_t whole_ids[STORE_TABLE_MAX];
static uint32_t whole;

static void read_one(const struct disk_entry *e)
{
    static struct disk_meta meta;
    static uint8_t section[4096];
    char line[512], why[160];
    size_t bytes;
    uint16_t version;
    bool touched;
    FUZZ_CHECK(store_entry_json(e, line, sizeof line) < (int)sizeof line);
    FUZZ_CHECK(store_entry_line(e, line, sizeof line) > 0);
    FUZZ_CHECK(store_chain_length(&st, e->id) >= 1);
    FUZZ_CHECK(store_entry_bytes(e) >= e->stream_bytes);
    enum err m = ckpt_read_meta(&st, e->id, &meta);
    if (!ckpt_read_section(&st, e->id, "cpu0", section, sizeof section, &bytes, &version))
        FUZZ_CHECK(bytes <= sizeof section);
    enum err v = ckpt_verify(&st, e->id, NULL);
    FUZZ_CHECK(v || !m);
    if (!m) {
        FUZZ_CHECK(!ckpt_check_layout(&meta.layout, &meta.layout, why, sizeof why));
        enum err l = ckpt_load_ram(&st, e->id, page, &meta.layout, seen, sizeof seen, &touched, NULL);
        FUZZ_CHECK(l == v || (!v && l == E_NOMEM && ckpt_seen_bytes(&meta.layout) > sizeof seen));
        FUZZ_CHECK(!l || !touched);
    }
    if (!v)
        whole_ids[whole++] = e->id;
}

static const void *zero_page(void *ctx, gpa_t gpa)
{
    static const uint64_t text[PAGE_BYTES / 8] = {1, 2, 3};
    (void)ctx;
    return gpa.v ? (const void *)text : (const void *)target;
}

static void write_one(bool on_newest)
{
    static struct ckpt_layout layout;
    static struct disk_meta meta;
    struct ckpt_writer w;
    const struct disk_entry *newest = store_find(&st, STORE_LATEST);
    uint64_t parent = on_newest && newest ? newest->id : 0, id = 0, number;
    layout = (struct ckpt_layout){.ram_count = 1, .cpu_count = 1};
    layout.ram[0].bytes = 8 * PAGE_BYTES;
    if (parent && !ckpt_read_meta(&st, parent, &meta) && format_layout_pages(&meta.layout) < 4096)
        layout = meta.layout;
    struct ckpt_meta m = {"fuzz", 7, parent ? CKPT_INCREMENTAL : CKPT_FULL, CKPT_DISK_NONE, &layout, parent, 0};
    bool was_whole = !parent || !ckpt_verify(&st, parent, NULL);
    bool same = parent && !memcmp(&layout, &meta.layout, sizeof layout);
    memset(target, 0, sizeof target);
    enum err e = ckpt_begin(&w, &st, &m);
    struct page_cursor c;
    page_cursor_start(&c, &layout);
    while (!e && page_cursor_step(&c, &number))
        e = parent && number % 3 == 0 ? ckpt_skip_page(&w, number)
                                      : ckpt_put_page(&w, number, zero_page(NULL, (gpa_t){number}));
    if (!e)
        e = ckpt_commit(&w, &id);
    ckpt_abort(&w);
    if (!e) {
        FUZZ_CHECK(store_find(&st, id));
        enum err v = ckpt_verify(&st, id, NULL);
        FUZZ_CHECK(!v == (!parent || (was_whole && same)));
        if (!v && whole < STORE_TABLE_MAX)
            whole_ids[whole++] = id;
    } else {
        FUZZ_CHECK(store_locked(&st) ? e == E_KEY : e == E_FULL || e == E_STOREVERSION || e == E_BADSTORE);
    }
}

static void gone(uint64_t id)
{
    for (uint32_t i = 0; i < whole; i++)
        if (whole_ids[i] == id)
            whole_ids[i] = whole_ids[--whole];
}

static void merge_one(uint64_t id, uint64_t slice)
{
    static struct ckpt_merge merge;
    enum err e = ckpt_merge_begin(&merge, &st, id, seen, sizeof seen, NULL);
    if (!e)
        e = ckpt_merge_step(&merge, slice, NULL);
    const struct disk_entry *left = store_find(&st, id);
    FUZZ_CHECK(!e || left);
    if (!left || format_is_rest(left))
        gone(id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    if (size < 2)
        return 0;
    uint32_t todo = data[1];
    image_lay(data + 2, size - 2);
    image_fix(image, data[0]);
    struct block_part part = {&image_dev, 0, STORE_MIN_BLOCKS * STORE_BLOCK_SECTORS};
    if (todo & DO_SMALL_PART)
        part.count = (todo >> 4) * 64 * STORE_BLOCK_SECTORS;
    whole = 0;
    enum err e = store_open(&st, part, work, sizeof work, &why);
    FUZZ_CHECK(why);
    if (e)
        return 0;
    enum err locked = store_unlock(&st, &test_key);
    FUZZ_CHECK(!locked == !store_locked(&st));
    FUZZ_CHECK(store_count(&st) <= STORE_TABLE_MAX && store_usage(&st).used <= store_usage(&st).bytes);
    FUZZ_CHECK(store_usage(&st).bytes <= part.count * IMAGE_SECTOR);
    for (uint32_t i = 0; i < store_count(&st); i++)
        read_one(store_entry(&st, i));
    const struct disk_entry *first = store_entry(&st, 0);
    if (first && todo & DO_PIN && !store_pin(&st, first->id, todo & 1))
        FUZZ_CHECK(!(first->flags & ENTRY_FLAG_PINNED) == !(todo & 1));
    uint64_t old = store_oldest_removable(&st);
    if (todo & DO_DELETE && old) {
        enum err d = store_delete(&st, old);
        FUZZ_CHECK(d == E_OK || d == E_STOREVERSION || d == E_BADSTORE);
        if (!d)
            gone(old);
    }
    if (todo & DO_MERGE && store_count(&st) > 1)
        merge_one(store_entry(&st, 0)->id, todo & 1 ? 1 : MERGE_SLICE_BYTES);
    uint32_t before = store_count(&st);
    write_one(todo & DO_ON_NEWEST);
    uint32_t now = store_count(&st);
    FUZZ_CHECK(now == before || now == before + 1);
    FUZZ_CHECK(!store_open(&st, part, work, sizeof work, &why));
    FUZZ_CHECK(store_count(&st) == now && store_unlock(&st, &test_key) == locked);
    for (uint32_t i = 0; i < whole; i++)
        FUZZ_CHECK(!ckpt_verify(&st, whole_ids[i], NULL));
    return 0;
}
