/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restoring: bit for bit, each page once, nothing touched before all is proven; refusals say what differs. */
/* UNITS: ckpt/load.c ckpt/save.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c ckpt/pages.c */
/* UNITS: ckpt/store_load.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "ckpt/load.h"
#include "str.h"

#include "store_rig.h"

static struct store st;
static struct vcpu_state cpu, cpu_back;
static uint8_t device_mem[1024] ALIGNED(64), device_back[1024] ALIGNED(64);
static struct ckpt_devices devices;
static struct ckpt_layout layout;
static struct ckpt_request request;
static struct ckpt_restore restore;
static uint8_t target[RIG_RAM_PAGES][PAGE_BYTES] ALIGNED(PAGE_BYTES);
static uint32_t asked[RIG_RAM_PAGES], asked_total;
static char why[160], order[16];
static enum err check_says, quiesce_says, restore_says;
static bool late_present;

static bool yes(void)
{
    return true;
}

static bool is_late_present(void)
{
    return late_present;
}

static enum err capture_late(void *state)
{
    memset(state, 'l', 20);
    return E_OK;
}

static enum err capture_early(void *state)
{
    memset(state, 'e', 30);
    return E_OK;
}

static enum err check(const void *state, char *text, size_t len)
{
    ck_assert_int_eq(*(const char *)state, 'l');
    if (check_says)
        str_format(text, len, "late says no");
    return check_says;
}

static enum err quiesce(void)
{
    ck_assert_uint_eq(asked_total, 0);
    strcat(order, "q");
    return quiesce_says;
}

static enum err restore_late(const void *state, const struct dev_restore_clock *clock)
{
    ck_assert(clock->run_on);
    ck_assert_mem_eq(state, "llllllllllllllllllll", 20);
    strcat(order, "L");
    return restore_says;
}

static enum err restore_early(const void *state, const struct dev_restore_clock *clock)
{
    (void)clock;
    ck_assert_mem_eq(state, "eeeeeeeeeeeeeeeeeeeeeeeeeeeeee", 30);
    strcat(order, "E");
    return E_OK;
}

static struct dev_class late, early, other;
static const struct dev_class *classes[3] = {&late, &early, &other};
static const struct dev_restore_clock clocks = {.run_on = true};

static void setup_classes(void)
{
    late_present = true;
    check_says = quiesce_says = restore_says = E_OK;
    restore.devices = (struct ckpt_devices){.mem = device_back, .room = sizeof device_back};
    restore.seen_bytes = sizeof rig_seen;
    late = (struct dev_class){.name = "late",
                              .version = 1,
                              .bytes = 20,
                              .order = 50,
                              .present = is_late_present,
                              .capture = capture_late,
                              .check = check,
                              .restore = restore_late};
    early = (struct dev_class){.name = "early",
                               .version = 3,
                               .bytes = 30,
                               .order = 10,
                               .present = yes,
                               .capture = capture_early,
                               .quiesce = quiesce,
                               .restore = restore_early};
    other = (struct dev_class){.name = "other",
                               .version = 1,
                               .bytes = 8,
                               .order = 20,
                               .present = yes,
                               .capture = capture_late,
                               .restore = restore_early};
}

static void setup(void)
{
    memset(&restore, 0, sizeof restore);
    setup_classes();
    rig_reset(256);
    rig_fill_ram(5);
    rig_format(&st);
    layout = rig_layout();
    devices = (struct ckpt_devices){.mem = device_mem, .room = sizeof device_mem};
    request = (struct ckpt_request){.meta = {"label", 1795320000, CKPT_FULL, CKPT_DISK_NONE, &layout, 0, 0},
                                    .page = rig_read_page};
    memset(&cpu, 0, sizeof cpu);
    for (size_t i = 0; i < sizeof cpu.gpr; i++)
        ((uint8_t *)cpu.gpr)[i] = (uint8_t)(3 * i);
    cpu.rip = 0x1234;
    order[0] = 0;
    restore.cpus = &cpu_back;
    restore.seen = rig_seen;
    memset(target, 0xcc, sizeof target);
    memset(asked, 0, sizeof asked);
    asked_total = 0;
}

static void save(void)
{
    struct ckpt_result result;
    ck_assert_int_eq(ckpt_save(&st, &request, &cpu, &devices, classes, 2, &result), E_OK);
}

static void *write_page(void *ctx, gpa_t gpa)
{
    (void)ctx;
    uint32_t i = rig_index(gpa);
    ck_assert_msg(i < RIG_RAM_PAGES && !rig_hidden(i), "page %lx is not the guest's", gpa.v);
    asked[i]++;
    asked_total++;
    return target[i];
}

static void target_is_ram(void)
{
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++) {
        if (rig_hidden(i)) {
            ck_assert_uint_eq(asked[i], 0);
            ck_assert_uint_eq(target[i][0], 0xcc);
        } else {
            ck_assert_uint_eq(asked[i], 1);
            ck_assert_mem_eq(target[i], rig_ram[i], PAGE_BYTES);
        }
    }
}

static enum err try_check(void)
{
    return ckpt_restore_check(&restore, &st, STORE_LATEST, &layout, classes, 2, why, sizeof why);
}

START_TEST(whole_round_trip)
{
    bool touched;
    save();
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(try_check(), E_OK);
    ck_assert_str_eq(why, "");
    ck_assert_str_eq(restore.meta.label, "label");
    ck_assert_ptr_null(ckpt_restore_cpu(&restore, 0));
    ck_assert_int_eq(ckpt_restore_devices(&restore, &clocks), E_INTERNAL); /* out of order */
    ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_OK);
    ck_assert(touched);
    target_is_ram();
    ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_INTERNAL);
    ck_assert_int_eq(ckpt_restore_devices(&restore, &clocks), E_OK);
    ck_assert_str_eq(order, "qEL");
    ck_assert_mem_eq(ckpt_restore_cpu(&restore, 0), &cpu, sizeof cpu);
    ck_assert_ptr_null(ckpt_restore_cpu(&restore, 1));
}
END_TEST

static void fill_one_kind(int kind)
{
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++)
        for (uint32_t j = 0; j < PAGE_BYTES; j++)
            rig_ram[i][j] = kind == 0 ? 0 : kind == 1 ? (uint8_t)rig_random() : (uint8_t)(i + j / 64);
}

START_TEST(images_of_all_kinds)
{
    static const uint32_t commands[] = {8, 100, 256, 2048};
    for (int image = 0; image < 24; image++) {
        bool touched;
        setup();
        rig_reset(commands[image % 4]);
        rig_format(&st);
        if (image < 3)
            fill_one_kind(image);
        else
            rig_fill_ram((uint64_t)image);
        if (image >= 20) { /* only the edges of every range and of the hidden one */
            static const uint32_t edges[] = {0, 31, 32, 131, 140, 191};
            fill_one_kind(0);
            for (size_t i = 0; i < ARRAY_LEN(edges); i++)
                rig_ram[edges[i]][(image - 20) * 1365] = 1;
        }
        uint64_t id;
        ck_assert_int_eq(rig_save(&st, "image", &id), E_OK);
        ck_assert_int_eq(ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_OK);
        target_is_ram();
    }
}
END_TEST

START_TEST(every_byte_of_a_checkpoint)
{
    /* A small one, so that each byte can be turned: no page is written whichever it is. */
    fill_one_kind(0);
    for (uint32_t j = 0; j < PAGE_BYTES; j++) {
        rig_ram[3][j] = (uint8_t)rig_random();
        rig_ram[40][j] = (uint8_t)(j / 16);
    }
    uint64_t id;
    bool touched;
    memset(st.io[0], 0xee, 2 * STORE_IO_BYTES); /* what an earlier use left there */
    ck_assert_int_eq(rig_save(&st, "small", &id), E_OK);
    const struct disk_entry *e = store_find(&st, id);
    ck_assert_uint_eq(e->run_count, 1);
    uint8_t *stream = rig.bytes + RIG_FIRST * SECTOR + e->runs[0].first * STORE_BLOCK_BYTES;
    for (uint64_t i = 0; i < e->stream_bytes; i++) {
        stream[i] ^= (uint8_t)(1u << i % 8);
        ck_assert_int_eq(ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL),
                         E_CHECKSUM);
        ck_assert(!touched);
        ck_assert_uint_eq(asked_total, 0);
        stream[i] ^= (uint8_t)(1u << i % 8);
    }
    ck_assert_int_eq(ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_OK);
    target_is_ram();
    for (uint64_t i = e->stream_bytes; i % STORE_BLOCK_BYTES; i++)
        ck_assert_uint_eq(stream[i], 0); /* no scrap of the host's memory goes out */
    stream[e->stream_bytes] ^= 1;        /* behind the end: nobody's */
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
    /* One verification, one load: what is damaged before the second is found before a page is written. */
    ck_assert_int_eq(ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_OK);
    stream[e->stream_bytes - 40] ^= 1;
    ck_assert_int_eq(ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_CHECKSUM);
    ck_assert(!touched);
}
END_TEST

START_TEST(lost_and_stale_blocks)
{
    /* A block that never arrived: zeros, or what an earlier checkpoint had there. */
    uint64_t id;
    bool touched;
    ck_assert_int_eq(rig_save(&st, "old", &id), E_OK);
    struct disk_run run = store_find(&st, id)->runs[0];
    static uint8_t old[RIG_PART_SECTORS * SECTOR];
    uint8_t *at = rig.bytes + RIG_FIRST * SECTOR + run.first * STORE_BLOCK_BYTES;
    memcpy(old, at, run.count * STORE_BLOCK_BYTES);
    ck_assert_int_eq(store_delete(&st, id), E_OK);
    uint32_t refused = 0;
    ck_assert_int_eq(rig_save(&st, "new", &id), E_OK);
    const struct disk_run now = store_find(&st, id)->runs[0];
    uint8_t *there = rig.bytes + RIG_FIRST * SECTOR + now.first * STORE_BLOCK_BYTES;
    for (uint64_t b = 0; b < now.count; b++) {
        uint8_t keep[STORE_BLOCK_BYTES];
        memcpy(keep, there + b * STORE_BLOCK_BYTES, sizeof keep);
        for (int zero = 0; zero < 2; zero++) {
            if (zero)
                memset(there + b * STORE_BLOCK_BYTES, 0, sizeof keep);
            else
                memcpy(there + b * STORE_BLOCK_BYTES, old + b * STORE_BLOCK_BYTES, sizeof keep);
            bool same = !memcmp(keep, there + b * STORE_BLOCK_BYTES, sizeof keep);
            enum err e = ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL);
            ck_assert_int_eq(e, same ? E_OK : E_CHECKSUM);
            refused += e != E_OK;
        }
        memcpy(there + b * STORE_BLOCK_BYTES, keep, sizeof keep);
    }
    ck_assert_uint_gt(refused, now.count);
}
END_TEST

START_TEST(read_errors)
{
    uint64_t id;
    bool touched;
    ck_assert_int_eq(rig_save(&st, "x", &id), E_OK);
    rig.requests = 0;
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
    uint64_t reads = rig.requests;
    ck_assert_uint_gt(reads, 1);
    for (uint64_t at = 0; at < 2 * reads; at++) {
        asked_total = 0;
        rig.requests = 0;
        rig.fail_at = at;
        rig.fail_for = 1;
        st.verified_seed = 0;
        ck_assert_int_eq(ckpt_load_ram(&st, id, write_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_IO);
        ck_assert(touched == (asked_total != 0));
        if (at <= reads) /* verifying, or the very first block of the load */
            ck_assert(!touched);
    }
    ck_assert(touched);
}
END_TEST

static void *no_page(void *ctx, gpa_t gpa)
{
    (void)ctx, (void)gpa;
    return NULL;
}

START_TEST(no_page_no_load)
{
    uint64_t id;
    bool touched = true;
    ck_assert_int_eq(rig_save(&st, "x", &id), E_OK);
    ck_assert_int_eq(ckpt_load_ram(&st, id, no_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_INTERNAL);
    ck_assert(!touched);
    ck_assert_int_eq(ckpt_load_ram(&st, id + 1, no_page, NULL, rig_seen, sizeof rig_seen, &touched, NULL), E_NOTFOUND);
}
END_TEST

#define DIFFERENCES(X)                                                                                                 \
    X(here.backend[0] = 's', "backend")                                                                                \
    X(here.cpu_vendor[0] = 'A', "CPU vendor")                                                                          \
    X(here.cpu_signature++, "CPU model")                                                                               \
    X(here.cpu_features[0] ^= 1, "feature word 0")                                                                     \
    X(here.cpu_features[15] ^= 1, "feature word 15")                                                                   \
    X(here.cpu_count++, "CPUs: 1 in the checkpoint, 2 here")                                                           \
    X(here.ram_count--, "RAM ranges: 2 in the checkpoint, 1 here")                                                     \
    X(here.ram[1].bytes += PAGE_BYTES, "RAM range 1: 0x100000 + 0xa0000 bytes in the checkpoint, 0x100000 + 0xa1000")  \
    X(here.ram[0].base += PAGE_BYTES, "RAM range 0")                                                                   \
    X(here.hidden.base += PAGE_BYTES, "hidden range")                                                                  \
    X(here.hidden.bytes += PAGE_BYTES, "hidden range")                                                                 \
    X(here.device_hash = 7, "PCI devices")

START_TEST(another_machine_is_refused_with_the_difference)
{
    save();
    struct ckpt_layout here;
#define X(statement, text)                                                                                             \
    here = layout;                                                                                                     \
    statement;                                                                                                         \
    ck_assert_int_eq(ckpt_restore_check(&restore, &st, 1, &here, classes, 2, why, sizeof why), E_LAYOUT);              \
    ck_assert_msg(strstr(why, text) != NULL, "%s: %s", #statement, why);                                               \
    ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &(bool){0}), E_INTERNAL);
    DIFFERENCES(X)
#undef X
    ck_assert_uint_eq(asked_total, 0);
    ck_assert_int_eq(try_check(), E_OK);
}
END_TEST

#define REFUSALS(X)                                                                                                    \
    X(late.version = 2, E_STOREVERSION, "late: state version 1")                                                       \
    X(late.bytes = 21, E_STOREVERSION, "of 20 bytes; this program has version 1 of 21 bytes")                          \
    X(late.name[0] = 'x', E_STOREVERSION, "does not know the device state \"late\"")                                   \
    X(late_present = false, E_LAYOUT, "has no such device")                                                            \
    X(check_says = E_DEVICE, E_DEVICE, "late says no")                                                                 \
    X(restore.devices.room = 100, E_NOMEM, "do not fit")                                                               \
    X(restore.seen_bytes = sizeof rig_seen - 1, E_NOMEM, "no room to note")

START_TEST(device_states_are_judged_before_anything_happens)
{
    save();
#define X(statement, code, text)                                                                                       \
    statement;                                                                                                         \
    ck_assert_int_eq(try_check(), code);                                                                               \
    ck_assert_msg(strstr(why, text) != NULL, "%s: %s", #statement, why);                                               \
    setup_classes();
    REFUSALS(X)
#undef X
    ck_assert_int_eq(ckpt_restore_check(&restore, &st, 1, &layout, classes, 3, why, sizeof why), E_LAYOUT);
    ck_assert_ptr_nonnull(strstr(why, "no state for other"));
    ck_assert_int_eq(ckpt_restore_check(&restore, &st, 5, &layout, classes, 2, why, sizeof why), E_NOTFOUND);
    ck_assert_str_eq(order, "");
    ck_assert_uint_eq(asked_total, 0);
}
END_TEST

/* A checkpoint with the given sections, as another program might have written it. */
static void save_sections(const char *first, const void *data, size_t bytes, uint16_t version, const char *second)
{
    struct ckpt_writer w;
    uint64_t id;
    ck_assert_int_eq(ckpt_begin(&w, &st, &request.meta), E_OK);
    ck_assert_int_eq(ckpt_put_section(&w, first, version, data, bytes), E_OK);
    if (second)
        ck_assert_int_eq(ckpt_put_section(&w, second, version, data, bytes), E_OK);
    ck_assert_int_eq(ckpt_put_ram(&w, rig_read_page, NULL, NULL), E_OK);
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
}

static enum err check_no_classes(void)
{
    return ckpt_restore_check(&restore, &st, STORE_LATEST, &layout, classes, 0, why, sizeof why);
}

START_TEST(cpu_states_are_judged)
{
    save_sections("cpu0", &cpu, sizeof cpu, VCPU_STATE_VERSION + 1, NULL);
    ck_assert_int_eq(check_no_classes(), E_STOREVERSION);
    save_sections("cpu0", &cpu, sizeof cpu - 1, VCPU_STATE_VERSION, NULL);
    ck_assert_int_eq(check_no_classes(), E_STOREVERSION);
    save_sections("cpu1", &cpu, sizeof cpu, VCPU_STATE_VERSION, NULL);
    ck_assert_int_eq(check_no_classes(), E_LAYOUT);
    save_sections("cpu0", &cpu, sizeof cpu, VCPU_STATE_VERSION, NULL);
    ck_assert_int_eq(check_no_classes(), E_OK);
    static struct vcpu_state bad[5];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = cpu;
    bad[0].mtrr_count = VCPU_MTRR_VARIABLE_MAX + 1;
    bad[1].activity = 4;
    bad[2].xsave_bytes = VCPU_XSAVE_BYTES + 1;
    bad[3].event.valid = 2;
    bad[4].event.type = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        save_sections("cpu0", &bad[i], sizeof cpu, VCPU_STATE_VERSION, NULL);
        ck_assert_int_eq(check_no_classes(), E_CHECKSUM);
        ck_assert_ptr_nonnull(strstr(why, "out of range"));
        ck_assert_int_eq(store_delete(&st, store_find(&st, STORE_LATEST)->id), E_OK);
    }
    uint8_t state[30] = "e";
    save_sections("early", state, 30, 3, "early");
    ck_assert_int_eq(try_check(), E_CHECKSUM);
    ck_assert_ptr_nonnull(strstr(why, "two states for early"));
    save_sections("cpu", state, 30, 3, NULL); /* a name like a CPU's, but not one */
    ck_assert_int_eq(try_check(), E_STOREVERSION);
    save_sections("cpu0x", state, 30, 3, NULL);
    ck_assert_int_eq(try_check(), E_STOREVERSION);
    save_sections("cpu99999", state, 30, 3, NULL);
    ck_assert_int_eq(try_check(), E_STOREVERSION);
    save_sections("early", state, 30, 3, NULL);
    ck_assert_int_eq(ckpt_restore_check(&restore, &st, STORE_LATEST, &layout, &classes[1], 1, why, sizeof why),
                     E_LAYOUT);
    ck_assert_ptr_nonnull(strstr(why, "no state for CPU 0"));
}
END_TEST

START_TEST(devices_that_fail_stop_the_restore)
{
    bool touched = true;
    save();
    ck_assert_int_eq(try_check(), E_OK);
    quiesce_says = E_TIMEOUT;
    ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_TIMEOUT);
    ck_assert(!touched);
    ck_assert_uint_eq(asked_total, 0);
    quiesce_says = E_OK;
    restore_says = E_DEVICE;
    ck_assert_int_eq(try_check(), E_OK);
    ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_OK);
    ck_assert_int_eq(ckpt_restore_devices(&restore, &clocks), E_DEVICE);
    ck_assert_ptr_null(ckpt_restore_cpu(&restore, 0));
}
END_TEST

START_TEST(damage_after_the_check_is_found_again)
{
    bool touched;
    save();
    ck_assert_int_eq(try_check(), E_OK);
    const struct disk_entry *e = store_find(&st, 1);
    rig.bytes[RIG_FIRST * SECTOR + e->runs[0].first * STORE_BLOCK_BYTES + e->stream_bytes - 300] ^= 1;
    ck_assert_int_eq(ckpt_restore_memory(&restore, write_page, NULL, &touched), E_CHECKSUM);
    ck_assert(touched);
    ck_assert_int_eq(try_check(), E_CHECKSUM);
    ck_assert_uint_gt(strlen(why), 5);
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused)
{
    /* A table entry that says more than the stream has. */
    save();
    ck_assert_uint_lt(st.table[0].stream_bytes % STORE_BLOCK_BYTES, STORE_BLOCK_BYTES - 8);
    st.table[0].stream_bytes += 8;
    ck_assert_int_eq(ckpt_verify(&st, 1, NULL), E_CHECKSUM);
    st.table[0].stream_bytes -= 16;
    ck_assert_int_eq(ckpt_verify(&st, 1, NULL), E_TRUNCATED);
}
END_TEST

START_TEST(attempts_have_different_seeds)
{
    struct ckpt_writer w;
    uint64_t seed[3];
    env_clock_step_us = 0;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ckpt_begin(&w, &st, &request.meta), E_OK);
        seed[i] = w.entry.seed;
        ck_assert_uint_eq(w.entry.id, 1);
        ckpt_abort(&w);
        if (i == 1) { /* after a crash the count starts again, but the clock does not stand where it stood */
            ck_assert_int_eq(rig_open(&st), E_OK);
            env_clock_us += 1;
        }
    }
    env_clock_step_us = 1;
    ck_assert(seed[0] != seed[1] && seed[1] != seed[2] && seed[0] != seed[2]);
}
END_TEST

static Suite *load_suite(void)
{
    Suite *s = suite_create("load");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, whole_round_trip);
    tcase_add_test(t, images_of_all_kinds);
    tcase_add_test(t, every_byte_of_a_checkpoint);
    tcase_add_test(t, lost_and_stale_blocks);
    tcase_add_test(t, read_errors);
    tcase_add_test(t, no_page_no_load);
    tcase_add_test(t, another_machine_is_refused_with_the_difference);
    tcase_add_test(t, device_states_are_judged_before_anything_happens);
    tcase_add_test(t, cpu_states_are_judged);
    tcase_add_test(t, devices_that_fail_stop_the_restore);
    tcase_add_test(t, bytes_behind_the_end_are_refused);
    tcase_add_test(t, attempts_have_different_seeds);
    tcase_add_test(t, damage_after_the_check_is_found_again);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("load", load_suite)
