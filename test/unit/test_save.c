/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saving a machine: capture in order, sections first, statistics, the label; failures of a device, a page, the disk. */
/* UNITS: ckpt/save.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c ckpt/pages.c */
/* UNITS: ckpt/store_load.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "store_rig.h"

static struct store st;
static struct vcpu_state cpu[2];
static uint8_t device_mem[1024] ALIGNED(64);
static struct ckpt_devices devices;
static struct ckpt_layout layout;
static struct ckpt_request request;
static struct ckpt_result result;
static enum err capture_says;
static bool b_is_present;
static char order[8];

static bool yes(void)
{
    return true;
}

static bool b_present(void)
{
    return b_is_present;
}

static enum err capture_a(void *state)
{
    ck_assert_uint_eq(((uint8_t *)state)[9], 0);
    strcat(order, "a");
    memset(state, 'a', 10);
    return capture_says;
}

static enum err capture_b(void *state)
{
    strcat(order, "b");
    memset(state, 'b', 100);
    return E_OK;
}

static unsigned more_pieces;
static enum err more_says;

static enum err capture_more_b(void *state)
{
    if (!more_pieces)
        return more_says;
    ((char *)state)[more_pieces--] = 'm';
    strcat(order, "m");
    return more_pieces ? E_NOTYET : more_says;
}

static const struct dev_class class_a = {
    .name = "alpha", .version = 2, .bytes = 10, .present = yes, .capture = capture_a};
static const struct dev_class class_b = {.name = {'e', 'i', 'g', 'h', 't', 'c', 'h', 'r'},
                                         .version = 7,
                                         .bytes = 100,
                                         .present = b_present,
                                         .capture = capture_b,
                                         .capture_more = capture_more_b};
static const struct dev_class *const classes[] = {&class_a, &class_b};

static void setup(void)
{
    rig_reset(256);
    rig_fill_ram(5);
    rig_format(&st);
    layout = rig_layout();
    layout.cpu_count = 2;
    memset(device_mem, 0xee, sizeof device_mem);
    devices = (struct ckpt_devices){.mem = device_mem, .room = sizeof device_mem};
    request = (struct ckpt_request){.meta = {"label", 1795320000, CKPT_FULL, CKPT_DISK_MEMORY_ONLY, &layout, 0, 0},
                                    .page = rig_read_page};
    memset(cpu, 0x11, sizeof cpu[0]);
    memset(&cpu[1], 0x22, sizeof cpu[1]);
    capture_says = E_OK;
    b_is_present = true;
    more_pieces = 1;
    more_says = E_OK;
    order[0] = 0;
}

START_TEST(saves_everything_and_counts_it)
{
    uint64_t zero = 0;
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++)
        zero += !rig_hidden(i) && page_is_zero(rig_ram[i]);
    ck_assert_uint_gt(zero, 20);
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
    ck_assert_str_eq(order, "abm");
    ck_assert_uint_eq(result.id, 1);
    ck_assert_uint_eq(result.zero_pages, zero);
    ck_assert_uint_eq(result.pages, RIG_RAM_PAGES - 8 - zero);
    ck_assert_uint_eq(result.bytes, store_entry_bytes(store_find(&st, 1)));
    ck_assert_uint_lt(result.bytes, result.pages * PAGE_BYTES); /* text was packed */
    ck_assert_uint_gt(result.time_us, 0);
    const struct disk_entry *e = store_find(&st, 1);
    ck_assert_str_eq(e->label, "label");
    ck_assert_int_eq(e->time, 1795320000);
    ck_assert_uint_eq(e->disk, CKPT_DISK_MEMORY_ONLY);
    ck_assert_uint_eq(e->pages, result.pages);

    static struct vcpu_state back;
    size_t bytes;
    uint16_t version;
    ck_assert_int_eq(ckpt_read_section(&st, 1, "cpu1", &back, sizeof back, &bytes, &version), E_OK);
    ck_assert_uint_eq(bytes, sizeof back);
    ck_assert_uint_eq(version, VCPU_STATE_VERSION);
    ck_assert_mem_eq(&back, &cpu[1], sizeof back);
    char text[100];
    ck_assert_int_eq(ckpt_read_section(&st, 1, "alpha", text, sizeof text, &bytes, &version), E_OK);
    ck_assert_uint_eq(version, 2);
    ck_assert_mem_eq(text, "aaaaaaaaaa", 10);
    ck_assert_int_eq(ckpt_read_section(&st, 1, "eightchr", text, sizeof text, &bytes, &version), E_OK);
    ck_assert_uint_eq(bytes, 100);
    ck_assert_int_eq(ckpt_read_section(&st, 1, "eightchr", text, 99, &bytes, &version), E_NOMEM);
    ck_assert_int_eq(ckpt_read_section(&st, 1, "cpu2", text, sizeof text, &bytes, &version), E_NOTFOUND);
    ck_assert_int_eq(ckpt_read_section(&st, 2, "alpha", text, sizeof text, &bytes, &version), E_NOTFOUND);
    struct disk_meta meta;
    ck_assert_int_eq(ckpt_read_meta(&st, STORE_LATEST, &meta), E_OK);
    ck_assert_mem_eq(&meta.layout, &layout, sizeof layout);
}
END_TEST

START_TEST(the_rest_of_a_device_comes_in_pieces)
{
    more_pieces = 3;
    ckpt_clear(&devices);
    ck_assert_int_eq(ckpt_capture(&devices, classes, 2), E_OK);
    ck_assert_int_eq(ckpt_capture_more(&devices), E_NOTYET);
    ck_assert_int_eq(ckpt_capture_more(&devices), E_NOTYET);
    ck_assert_int_eq(ckpt_capture_more(&devices), E_OK);
    ck_assert_str_eq(order, "abmmm");
    ck_assert_mem_eq(devices.item[1].state, "bmmmb", 5);
    more_pieces = 2;
    more_says = E_DEVICE;
    order[0] = 0;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_DEVICE);
    ck_assert_uint_eq(store_count(&st), 0);
}
END_TEST

START_TEST(absent_devices_are_left_out)
{
    b_is_present = false;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
    ck_assert_str_eq(order, "a");
    char text[100];
    size_t bytes;
    uint16_t version;
    ck_assert_int_eq(ckpt_read_section(&st, 1, "eightchr", text, sizeof text, &bytes, &version), E_NOTFOUND);
}
END_TEST

START_TEST(a_device_that_fails_fails_the_checkpoint)
{
    capture_says = E_TIMEOUT;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_TIMEOUT);
    ck_assert_uint_eq(store_count(&st), 0);
    capture_says = E_OK;
    devices.room = 64 + 127;
    ckpt_clear(&devices);
    ck_assert_int_eq(ckpt_capture(&devices, classes, 2), E_NOMEM);
    devices.room = ckpt_devices_bytes(classes, 2);
    ck_assert_uint_eq(devices.room, 64 + 128);
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
}
END_TEST

static uint32_t pages_given;

static const void *page_then_none(void *ctx, gpa_t gpa)
{
    (void)ctx;
    return pages_given++ < 100 ? rig_read_page(NULL, gpa) : NULL;
}

START_TEST(a_page_that_cannot_be_had_fails_the_checkpoint)
{
    request.page = page_then_none;
    pages_given = 0;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_INTERNAL);
    ck_assert_uint_eq(store_count(&st), 0);
    request.page = rig_read_page;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
    ck_assert_uint_eq(result.id, 1);
}
END_TEST

START_TEST(a_disk_that_fails_fails_the_checkpoint)
{
    rig.fail_at = rig.requests;
    rig.fail_for = UINT64_MAX;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_IO);
    ck_assert_uint_eq(result.id, 0);
    rig.fail_at = UINT64_MAX;
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 0);
}
END_TEST

/* Pages in descending order, as kernel/saving.c gives them: zeros as NULL, and of the first one nothing but its number. */
static uint32_t next_left;
static uint64_t copy[PAGE_BYTES / sizeof(uint64_t)];

static enum err next_page(void *ctx, uint64_t *page, const void **content)
{
    (void)ctx;
    do
        if (!next_left--)
            return E_NOTFOUND;
    while (rig_hidden(next_left));
    *page = rig_number(next_left);
    *content = page_is_zero(rig_ram[next_left]) ? NULL : memcpy(copy, rig_ram[next_left], PAGE_BYTES);
    return request.meta.parent && next_left == 0 ? E_ALREADY : E_OK;
}

static bool unchanged(void *ctx, uint64_t page, const void *content)
{
    (void)ctx;
    ck_assert_ptr_nonnull(content);
    return page % 2;
}

START_TEST(pages_come_in_any_order)
{
    uint64_t zero = 0, changed = 0;
    request.next = next_page;
    next_left = RIG_RAM_PAGES;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++)
        if (!rig_hidden(i)) {
            zero += page_is_zero(rig_ram[i]);
            changed += i && !page_is_zero(rig_ram[i]) && rig_number(i) % 2 == 0;
        }
    ck_assert_uint_eq(result.zero_pages, zero);
    ck_assert_uint_eq(result.pages, RIG_RAM_PAGES - 8 - zero);
    ck_assert_int_eq(ckpt_verify(&st, 1, NULL), E_OK);
    request.meta.kind = CKPT_INCREMENTAL;
    request.meta.parent = 1;
    request.unchanged = unchanged;
    next_left = RIG_RAM_PAGES;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
    uint64_t zero_first = page_is_zero(rig_ram[0]);
    ck_assert_uint_eq(result.zero_pages, zero - zero_first);
    ck_assert_uint_eq(result.pages, changed);
    ck_assert_uint_eq(result.unchanged_pages, RIG_RAM_PAGES - 8 - zero + zero_first - changed);
    ck_assert_int_eq(ckpt_verify(&st, 2, NULL), E_OK);
}
END_TEST

/* Short phrases in noise: what is faster finds fewer of them. */
static void fill_with_phrases(void)
{
    static const char phrase[] = "a phrase at 0x4f3a";
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++)
        for (uint32_t at = 0; at < PAGE_BYTES; at++) {
            uint64_t noise = 8 + rig_random() % 9, end = min_u64(at + noise, PAGE_BYTES);
            for (; at < end; at++)
                rig_ram[i][at] = (uint8_t)rig_random();
            for (uint32_t k = 0; k < sizeof phrase && at < PAGE_BYTES; k++)
                rig_ram[i][at++] = (uint8_t)phrase[k];
        }
}

START_TEST(packs_better_for_a_slow_disk)
{
    uint64_t bytes[2];
    rig_reset(32); /* many commands */
    rig_format(&st);
    fill_with_phrases();
    for (unsigned slow = 0; slow < 2; slow++) {
        env_clock_step_us = slow ? 1000 : 1; /* so long does each wait take */
        ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
        ck_assert_int_eq(ckpt_verify(&st, result.id, NULL), E_OK);
        bytes[slow] = result.bytes;
    }
    env_clock_step_us = 1;
    ck_assert_uint_lt(bytes[1], bytes[0]);
}
END_TEST

static uint64_t last_done, last_total, steps;

static void step(void *ctx, uint64_t done, uint64_t total)
{
    ck_assert_ptr_eq(ctx, &steps);
    ck_assert(done > last_done || steps == 0);
    ck_assert_uint_le(done, total);
    last_done = done;
    last_total = total;
    steps++;
}

START_TEST(progress_goes_up)
{
    struct ckpt_progress p = {step, &steps};
    last_done = steps = 0;
    request.progress = &p;
    ck_assert_int_eq(ckpt_save(&st, &request, cpu, &devices, classes, 2, &result), E_OK);
    ck_assert_uint_eq(steps, (RIG_RAM_PAGES - 8) / EXTENT_PAGES_MAX);
    ck_assert_uint_eq(last_total, (RIG_RAM_PAGES - 8) * PAGE_BYTES);
    last_done = steps = 0;
    ck_assert_int_eq(ckpt_verify(&st, 1, &p), E_OK);
    ck_assert_uint_eq(last_done, last_total);
}
END_TEST

START_TEST(the_disk_writes_while_the_next_block_is_filled)
{
    /* Between a data block's start and its end the page callback must have been asked: that is the overlap. The rig
       marks a command busy from begin to finish. */
    static uint32_t asked_while_busy;
    asked_while_busy = 0;
    rig_reset(64);
    rig_format(&st);
    struct ckpt_writer w;
    ck_assert_int_eq(ckpt_begin(&w, &st, &request.meta), E_OK);
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_int_eq(ckpt_put_section(&w, "s", 1, rig_ram, 30000), E_OK);
        asked_while_busy += rig.busy;
    }
    ckpt_abort(&w);
    ck_assert(!rig.busy);
    ck_assert_uint_ge(asked_while_busy, 6);
}
END_TEST

static Suite *save_suite(void)
{
    Suite *s = suite_create("save");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, saves_everything_and_counts_it);
    tcase_add_test(t, the_rest_of_a_device_comes_in_pieces);
    tcase_add_test(t, absent_devices_are_left_out);
    tcase_add_test(t, a_device_that_fails_fails_the_checkpoint);
    tcase_add_test(t, a_page_that_cannot_be_had_fails_the_checkpoint);
    tcase_add_test(t, a_disk_that_fails_fails_the_checkpoint);
    tcase_add_test(t, pages_come_in_any_order);
    tcase_add_test(t, packs_better_for_a_slow_disk);
    tcase_add_test(t, progress_goes_up);
    tcase_add_test(t, the_disk_writes_while_the_next_block_is_filled);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("save", save_suite)
