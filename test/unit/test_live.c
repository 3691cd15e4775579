/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints under a guest that goes on writing, with the real tree and pool and a model of the CPU: it walks the tables,
   faults, sets dirty bits, and writes its log, as each of the three kinds does. What is taken has to be the cut, and what
   is left out must be as it was at the cut before. live.c is included, so that its tables can be made to run out. */
/* UNITS: ckpt/cow.c ckpt/pages.c ckpt/format.c ckpt/hash.c ept/track.c ept/second_level.c ept/codec_ept.c */
/* UNITS: ept/codec_npt.c ept/mtrr.c */
/* LIBS: -llz4 */
#include "kernel/live.c"
#include "unit.h"

#define MIB 0x100000ull
#define GIB 0x40000000ull
#define RAM_BYTES (6 * MIB) /* at 0 and from 2 MiB on; what is between is none */
#define HOLE_BASE (1 * MIB)
#define HOLE_BYTES (1 * MIB)
#define PAGES (RAM_BYTES / PAGE_BYTES)
#define POOL_PAGES 514u /* of so much RAM */
#define ENTRIES 512u
#define LOG_ENTRIES 512u
#define DEVICE (GIB / 2) /* nothing of the checkpoint's */
#define FAULTS_MAX 4u
#define LARGE (2 * MIB)

struct guest guest;
struct cpu *cpus[CPUS_MAX];
uint32_t cpu_count = 1;
static struct cpu the_cpu;
static struct ckpt_layout layout;
static uint8_t memory[RAM_BYTES] ALIGNED(4096), cut[RAM_BYTES], cut_before[RAM_BYTES];
static bool wrote[PAGES]; /* since the last cut */
static bool wrote_before[PAGES];
static uint64_t log_of_cpu[LOG_ENTRIES];
static unsigned logged, faults;
static bool devices_write;
static bool (*ask)(uint64_t pa);
static const enum dirty_source sources[] = {DIRTY_BY_FAULT, DIRTY_BY_BIT, DIRTY_BY_LOG};

void guest_access_ask_before_write(bool (*may)(uint64_t pa))
{
    ask = may;
}

static bool is_ram(uint64_t page)
{
    return page < PAGES && page * PAGE_BYTES - HOLE_BASE >= HOLE_BYTES;
}

/* By the cut that was looked at, as kernel/base.c would. */
static bool looked_at;

enum base_known base_known(uint64_t page)
{
    ck_assert(is_ram(page));
    const uint8_t *now = &cut[page * PAGE_BYTES];
    return !looked_at                                                     ? BASE_UNKNOWN
           : memcmp(now, &cut_before[page * PAGE_BYTES], PAGE_BYTES) == 0 ? BASE_UNCHANGED
           : page_is_zero(now)                                            ? BASE_ZEROS
                                                                          : BASE_UNKNOWN;
}

static void flush(struct vcpu *v)
{
    (void)v;
}

static void dirty_log(struct vcpu *v, void (*note)(gpa_t page))
{
    ck_assert_ptr_eq(v, &the_cpu.vcpu);
    while (logged)
        note((gpa_t){log_of_cpu[--logged]});
}

static const struct backend backend = {.name = "model", .flush = flush, .dirty_log = dirty_log};

static void *one_page(void)
{
    return pool_alloc_pages(1);
}

/* The entry that a write would use, if every level allows it. */
static uint64_t *writable_leaf(uint64_t gpa)
{
    const struct sl_codec *codec = guest.second_level.codec;
    uint64_t *table = guest.second_level.root;
    for (unsigned level = 4; level >= 1; level--) {
        uint64_t *entry = &table[gpa >> (12 + 9 * (level - 1)) & (ENTRIES - 1)];
        if (!(*entry & SL_MAPPED) || !(*entry & codec->write))
            return NULL;
        if (codec->is_leaf(*entry, level))
            return entry;
        table = phys_to_virt((hpa_t){*entry & MASK(51, 12)});
    }
    return NULL;
}

/* SDM 3C 29.3.5 "Accessed and Dirty Flags for EPT", 29.3.6 "Page-Modification Logging". */
static void set_dirty(uint64_t *leaf, uint64_t gpa)
{
    uint64_t bit = guest.second_level.codec->dirty;
    if (the_cpu.vcpu.dirty == DIRTY_BY_FAULT || *leaf & bit)
        return;
    if (the_cpu.vcpu.dirty == DIRTY_BY_LOG) {
        if (logged == LOG_ENTRIES)
            live_read_log(&the_cpu); /* its exit */
        log_of_cpu[logged++] = align_down(gpa, PAGE_BYTES);
    }
    *leaf |= bit;
}

/* The guest writes; false: it would fault again and again for now. */
static bool guest_writes(uint64_t gpa, uint8_t value)
{
    uint64_t *leaf;
    for (unsigned tries = 0; !(leaf = writable_leaf(gpa)); tries++) {
        struct vm_exit x = {.kind = EXIT_NPF, .npf = {.gpa = {gpa}, .write = true}};
        faults++;
        ck_assert(live_write_fault(&the_cpu, &x));
        if (tries == FAULTS_MAX)
            return false;
    }
    set_dirty(leaf, gpa);
    if (is_ram(gpa / PAGE_BYTES)) {
        memory[gpa] = value;
        wrote[gpa / PAGE_BYTES] = true;
    }
    return true;
}

static bool host_writes(uint64_t gpa, uint8_t value)
{
    if (!ask(gpa))
        return false;
    memory[gpa] = value;
    wrote[gpa / PAGE_BYTES] = true;
    return true;
}

static uint64_t dice(uint64_t sides)
{
    return (unsigned)rand() % sides;
}

static void any_write(void)
{
    uint64_t page = dice(PAGES);
    if (is_ram(page))
        (void)guest_writes(page * PAGE_BYTES + dice(PAGE_BYTES), (uint8_t)rand());
}

static enum err init(void)
{
    ram = NULL;
    ram_end = 0;
    reserve = (struct sl_reserve){0};
    return live_init(&layout);
}

static void fresh(enum dirty_source source)
{
    srand(source + 1u);
    env_phys_offset = (uintptr_t)memory;
    env_pool_limit = SIZE_MAX;
    memset(&guest, 0, sizeof guest);
    memset(&the_cpu, 0, sizeof the_cpu);
    memset(wrote, 0, sizeof wrote);
    cpus[0] = &the_cpu;
    guest.backend = &backend;
    the_cpu.vcpu.dirty = source;
    logged = faults = 0;
    devices_write = looked_at = false;
    for (uint64_t i = 0; i < RAM_BYTES; i += 512)
        memory[i] = (uint8_t)rand();
    layout = (struct ckpt_layout){.ram = {{0, HOLE_BASE}, {HOLE_BASE + HOLE_BYTES, RAM_BYTES - HOLE_BASE - HOLE_BYTES}},
                                  .ram_count = 2};
    ck_assert_int_eq(sl_init(&guest.second_level, source == DIRTY_BY_LOG ? &codec_ept : &codec_npt, one_page, false),
                     E_OK);
    ck_assert_int_eq(sl_map_range(&guest.second_level, (gpa_t){0}, (hpa_t){0}, GIB, SL_RWX, MEM_WB), E_OK);
    ck_assert_int_eq(init(), E_OK);
    live_lost_track();
}

static void make_cut(void)
{
    live_prepare();
    live_read_log(&the_cpu);
    memcpy(cut_before, cut, sizeof cut);
    memcpy(wrote_before, wrote, sizeof wrote);
    memset(wrote, 0, sizeof wrote);
    live_begin(devices_write);
    memcpy(cut, memory, sizeof cut);
}

struct sweep {
    unsigned whole, left_out, zeros;
};

/* One page; false: all are taken. */
static bool take(struct sweep *s)
{
    uint8_t got[PAGE_BYTES];
    uint64_t page = 0;
    const void *content;
    enum err e = live_take(&page, got, &content);
    if (e == E_NOTFOUND)
        return false;
    ck_assert(e == E_OK || e == E_ALREADY);
    ck_assert(is_ram(page));
    const uint8_t *now = &cut[page * PAGE_BYTES];
    s->zeros += e == E_OK && !content;
    if (e == E_OK && !content)
        ck_assert(page_is_zero(now));
    else if (e == E_OK)
        ck_assert_mem_eq(got, now, PAGE_BYTES);
    else
        ck_assert_mem_eq(&cut_before[page * PAGE_BYTES], now, PAGE_BYTES);
    s->whole += e == E_OK;
    s->left_out += e == E_ALREADY;
    return true;
}

static struct sweep take_all(unsigned writes_between)
{
    struct sweep s = {0, 0, 0};
    while (take(&s))
        for (unsigned i = 0; i < writes_between; i++)
            any_write();
    live_end();
    return s;
}

static void open_all(unsigned writes_between)
{
    for (unsigned rounds = 0; live_open(); rounds++) {
        ck_assert_uint_lt(rounds, 100);
        for (unsigned i = 0; i < writes_between; i++)
            any_write();
    }
}

static unsigned count(const bool *map)
{
    unsigned n = 0;
    for (uint64_t p = 0; p < PAGES; p++)
        n += map[p];
    return n;
}

#define RAM_PAGES ((RAM_BYTES - HOLE_BYTES) / PAGE_BYTES)

/* This one first: nothing is there yet. */
START_TEST(no_memory_no_checkpoints)
{
    struct vm_exit x = {.kind = EXIT_NPF, .npf = {.gpa = {0x5000}, .write = true}};
    enum err e = E_NOMEM;
    cpus[0] = &the_cpu;
    layout = (struct ckpt_layout){.ram = {{0, RAM_BYTES}}, .ram_count = 1};
    for (size_t pages = 0; e == E_NOMEM; pages++) {
        ck_assert_uint_lt(pages, 2000);
        ck_assert(!live_ready() && !live_write_fault(&the_cpu, &x));
        live_read_log(&the_cpu);
        env_pool_limit = pages;
        e = init();
    }
    ck_assert_int_eq(e, E_OK);
    ck_assert(live_ready());
    x.npf.write = false;
    ck_assert(!live_write_fault(&the_cpu, &x)); /* a read is never about tracking */
}
END_TEST

START_TEST(what_is_taken_is_the_cut)
{
    fresh(sources[_i]);
    make_cut();
    struct sweep s = take_all(3);
    ck_assert_uint_eq(s.whole, RAM_PAGES);
    ck_assert_uint_eq(s.left_out, 0); /* nobody has asked for that */
    ck_assert_uint_gt(live_counts().kept, 0);
}
END_TEST

/* A chain of five: what was not written is left out, all of it, and nothing else, whenever the guest writes. */
START_TEST(what_is_left_out_has_not_been_written)
{
    fresh(sources[_i]);
    for (unsigned round = 0; round < 5; round++) {
        make_cut();
        live_skip_clean();
        struct sweep s = take_all(round % 2);
        open_all(5);
        /* A page kept for its writer was read already: it goes whole. */
        uint64_t expected = round ? count(wrote_before) : RAM_PAGES;
        ck_assert_uint_ge(s.whole, expected);
        ck_assert_uint_le(s.whole, expected + live_counts().kept);
        ck_assert_uint_eq(s.whole + s.left_out, RAM_PAGES);
        for (unsigned i = 0; i < 40; i++)
            any_write();
        if (round == 3)
            ck_assert(host_writes(3 * MIB, (uint8_t)~memory[3 * MIB])); /* as good as the guest's own */
    }
}
END_TEST

/* What is known of a page is not read again; of one that was written since it was looked at, what was kept of it is given. */
START_TEST(what_is_known_is_not_read)
{
    fresh(sources[_i]);
    make_cut();
    (void)take_all(0);
    for (unsigned i = 0; i < 40; i++)
        any_write();
    for (uint64_t page = PAGES - 40; page < PAGES; page++)
        memset(&memory[page * PAGE_BYTES], 0, PAGE_BYTES);
    make_cut();
    unsigned same = 0, zero = 0;
    looked_at = true;
    for (uint64_t page = 0; page < PAGES; page++)
        if (is_ram(page)) {
            same += base_known(page) == BASE_UNCHANGED;
            zero += base_known(page) == BASE_ZEROS;
        }
    ck_assert(guest_writes((PAGES - 1) * PAGE_BYTES, 1));
    struct sweep s = take_all(0);
    ck_assert(zero > 30 && same > PAGES / 2);
    ck_assert_uint_eq(s.zeros, zero - 1);
    ck_assert_uint_eq(s.left_out, same);
    ck_assert_uint_eq(s.whole, RAM_PAGES - same);
}
END_TEST

/* Opened, memory is written without faults if the CPU itself knows; otherwise there is nothing to open. */
START_TEST(opened_memory_does_not_fault)
{
    fresh(sources[_i]);
    make_cut();
    (void)take_all(0);
    ck_assert_int_eq(live_open(), false); /* three times 2 MiB: in one go */
    faults = 0;
    for (uint64_t page = 0; page < PAGES; page++)
        if (is_ram(page))
            ck_assert(guest_writes(page * PAGE_BYTES, 1));
    ck_assert_uint_eq(faults == 0, sources[_i] != DIRTY_BY_FAULT);
    make_cut();
    live_skip_clean();
    ck_assert_uint_eq(take_all(0).whole, RAM_PAGES);
}
END_TEST

/* Native in between, or memory written by others: then nothing may be left out, once. */
START_TEST(unwatched_nothing_is_left_out)
{
    for (unsigned by_others = 0; by_others < 2; by_others++) {
        fresh(sources[_i]);
        for (unsigned round = 0; round < 4; round++) {
            make_cut();
            live_skip_clean();
            struct sweep s = take_all(0);
            open_all(0);
            ck_assert_uint_eq(s.left_out, round % 2 ? RAM_PAGES : 0);
            if (round % 2 && by_others)
                live_lost_track();
            else if (round % 2)
                guest.leaves++;
        }
    }
}
END_TEST

/* Memory of a device below the end of RAM: who wants to write there waits until it is let go, all others do not. */
START_TEST(what_is_held_is_not_written)
{
    fresh(sources[_i]);
    make_cut();
    live_press();
    ck_assert(!live_pressed()); /* nothing is held */
    live_hold(HOLE_BASE, HOLE_BYTES);
    live_press();
    ck_assert(live_pressed());
    live_hold(HOLE_BASE, HOLE_BYTES);
    ck_assert(guest_writes(HOLE_BASE - 1, 1) && guest_writes(HOLE_BASE + HOLE_BYTES, 1) && !live_pressed());
    ck_assert(!guest_writes(HOLE_BASE, 1) && live_pressed());
    ck_assert(!guest_writes(HOLE_BASE + HOLE_BYTES - 1, 1));
    ck_assert(!ask(HOLE_BASE));
    live_hold(0, 0);
    ck_assert(!live_pressed() && ask(HOLE_BASE));
    ck_assert(guest_writes(HOLE_BASE, 1) && guest_writes(HOLE_BASE + HOLE_BYTES - 1, 1));
    ck_assert_uint_eq(take_all(3).whole, RAM_PAGES);
    /* One that is given up meanwhile lets go, too. */
    make_cut();
    live_hold(HOLE_BASE, HOLE_BYTES);
    live_end();
    ck_assert(guest_writes(HOLE_BASE, 1));
}
END_TEST

/* Who finds the pool full waits, guest or host, and says so; one page taken out of it lets one writer go on. */
START_TEST(a_full_pool_lets_nobody_write)
{
    fresh(sources[_i]);
    make_cut();
    uint64_t page = PAGES - 1, let = 0;
    for (; page && let < POOL_PAGES; page--)
        if (is_ram(page)) {
            ck_assert(!live_pressed());
            ck_assert(guest_writes(page * PAGE_BYTES, (uint8_t)~memory[page * PAGE_BYTES]));
            let++;
        }
    ck_assert(!live_pressed());
    ck_assert(!guest_writes(page * PAGE_BYTES, 1));
    ck_assert(live_pressed());
    ck_assert(!host_writes(page * PAGE_BYTES, 1));
    ck_assert(guest_writes((PAGES - 1) * PAGE_BYTES, 2)); /* it is in the pool */
    uint64_t waits = live_counts().waits;
    ck_assert_uint_gt(waits, 0);
    struct sweep s = {0, 0, 0};
    ck_assert(take(&s)); /* what is in the pool comes first */
    ck_assert(!live_pressed());
    ck_assert(guest_writes(page * PAGE_BYTES, 1));
    ck_assert(!host_writes((page - 1) * PAGE_BYTES, 1));
    ck_assert(live_pressed());
    s.whole += take_all(0).whole;
    ck_assert_uint_eq(s.whole, RAM_PAGES);
    ck_assert(!live_pressed());
    ck_assert(host_writes((page - 1) * PAGE_BYTES, 1));
}
END_TEST

/* What was never writable, or not mapped, is somebody else's concern. */
START_TEST(other_faults_are_left_to_others)
{
    fresh(sources[_i]);
    ck_assert_int_eq(sl_set_page(&guest.second_level, (gpa_t){DEVICE}, (hpa_t){0}, SL_READ), E_OK);
    make_cut();
    const uint64_t others[] = {DEVICE, 2 * GIB};
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        struct vm_exit x = {.kind = EXIT_NPF, .npf = {.gpa = {others[i]}, .write = true}};
        ck_assert(!live_write_fault(&the_cpu, &x));
        ck_assert_ptr_null(writable_leaf(others[i]));
    }
    live_end();
}
END_TEST

/* Tables run out: the checkpoint is lost, the guest is not, and the next one is a full one. */
START_TEST(without_tables_the_guest_goes_on)
{
    fresh(sources[_i]);
    make_cut();
    (void)take_all(0);
    make_cut();
    live_skip_clean();
    uint8_t to[PAGE_BYTES];
    const void *content;
    uint64_t page;
    uint32_t left = reserve.left;
    reserve.left = 1;
    ck_assert(guest_writes(0, 1));
    ck_assert_int_eq(live_take(&page, to, &content), E_OK);
    ck_assert_uint_eq(page, 0);
    ck_assert(guest_writes(LARGE, 1)); /* there is no table for this one */
    ck_assert_int_eq(live_take(&page, to, &content), E_NOMEM);
    ck_assert_int_eq(live_take(&page, to, &content), E_NOMEM);
    live_end();
    reserve.left = left - 1;
    make_cut();
    live_skip_clean();
    struct sweep s = take_all(1);
    ck_assert(s.whole == RAM_PAGES && s.left_out == 0);
}
END_TEST

/* A frame buffer, say, larger than there are tables for. */
START_TEST(device_memory_takes_no_tables)
{
    fresh(sources[_i]);
    make_cut();
    (void)take_all(0);
    open_all(0);
    for (unsigned round = 0; round < 2; round++) {
        make_cut();
        uint64_t tables = guest.second_level.table_pages;
        uint32_t left = reserve.left;
        for (uint64_t at = DEVICE; at < GIB; at += LARGE) {
            ck_assert_ptr_null(writable_leaf(at));
            ck_assert(guest_writes(at, 1));
            ck_assert_ptr_nonnull(writable_leaf(at + LARGE - 1));
        }
        ck_assert_uint_eq(guest.second_level.table_pages, tables);
        ck_assert_uint_eq(reserve.left, left);
        ck_assert_uint_eq(live_counts().kept, 0);
        ck_assert_uint_eq(take_all(1).whole, RAM_PAGES);
    }
}
END_TEST

/* A device does not fault: it is asked about before it is told. */
static bool device_writes(uint64_t gpa, uint64_t bytes)
{
    if (!live_keep(gpa, bytes))
        return false;
    for (uint64_t at = gpa; at < gpa + bytes; at++)
        memory[at] = (uint8_t)~memory[at];
    return true;
}

START_TEST(what_a_device_writes_to_is_kept)
{
    fresh(sources[_i]);
    make_cut();
    (void)take_all(0);
    open_all(0);
    make_cut();
    live_skip_clean();
    ck_assert(device_writes(3 * MIB + 0x800, 2 * PAGE_BYTES)); /* three pages */
    ck_assert_uint_eq(live_counts().kept, 3);
    ck_assert(device_writes(3 * MIB + 0x900, 2 * PAGE_BYTES)); /* the same */
    ck_assert(device_writes(RAM_BYTES - PAGE_BYTES, PAGE_BYTES));
    ck_assert(device_writes(4 * MIB - 4, 8));
    ck_assert_uint_eq(live_counts().kept, 6);
    static const struct {
        uint64_t gpa, bytes;
    } foreign[] = {{HOLE_BASE, HOLE_BYTES}, {RAM_BYTES, GIB}, {3 * GIB, PAGE_BYTES}, {UINT64_MAX - 7, 8}};
    for (unsigned i = 0; i < ARRAY_LEN(foreign); i++)
        ck_assert(live_keep(foreign[i].gpa, foreign[i].bytes));
    ck_assert_uint_eq(live_counts().kept, 6);
    struct sweep s = take_all(0);
    ck_assert(s.whole == 6 && s.left_out == RAM_PAGES - 6);
    open_all(0);
    ck_assert(live_keep(RAM_BYTES - 2 * PAGE_BYTES, 3 * PAGE_BYTES)); /* nothing is asked for any more */
    ck_assert_uint_eq(live_counts().kept, 6);
    make_cut();
    live_skip_clean();
    ck_assert_uint_eq(take_all(0).whole, 7); /* as good as the guest's own */
}
END_TEST

/* More than the pool holds: the device is told when all of it has been kept. */
START_TEST(a_device_waits_for_room)
{
    const uint64_t base = 2 * MIB, bytes = 4 * MIB;
    fresh(sources[_i]);
    make_cut();
    struct sweep s = {0, 0, 0};
    unsigned waited = 0;
    ck_assert(
        live_keep(base + bytes - PAGE_BYTES, PAGE_BYTES)); /* that the last one is does not make up for the rest */
    for (; !device_writes(base, bytes); waited++) {
        ck_assert(live_pressed());
        ck_assert_uint_ge(live_counts().kept, POOL_PAGES);
        ck_assert(take(&s));
        ck_assert(!live_pressed());
    }
    ck_assert_uint_eq(waited, bytes / PAGE_BYTES - POOL_PAGES);
    ck_assert_uint_eq(s.whole + take_all(0).whole, RAM_PAGES);
}
END_TEST

/* Of a device's registers, one page: mapped already, or not. */
START_TEST(a_watched_page_faults_once)
{
    static const uint64_t devices[] = {DEVICE + PAGE_BYTES, 2 * GIB + PAGE_BYTES};
    fresh(sources[_i]);
    for (unsigned i = 0; i < ARRAY_LEN(devices); i++) {
        uint32_t epoch = guest.second_level.flush_epoch;
        ck_assert(live_watch(devices[i] + 0x10));
        ck_assert_uint_ne(guest.second_level.flush_epoch, epoch);
        ck_assert_ptr_null(writable_leaf(devices[i]));
        ck_assert_ptr_nonnull(writable_leaf(devices[i] - PAGE_BYTES));
        ck_assert_ptr_nonnull(writable_leaf(devices[i] + PAGE_BYTES));
        struct sl_mapping m;
        ck_assert(sl_lookup(&guest.second_level, (gpa_t){devices[i]}, &m));
        ck_assert_uint_eq(m.hpa.v, devices[i]);
        if (guest.second_level.codec == &codec_ept) /* the other has no types */
            ck_assert_int_eq(m.type, i ? MEM_UC : MEM_WB);
        ck_assert(guest_writes(devices[i], 1));
        ck_assert_uint_eq(faults, i + 1);
        ck_assert(guest_writes(devices[i], 1));
        ck_assert_uint_eq(faults, i + 1);
    }
    ck_assert(live_watch(devices[0]) && live_watch(devices[1])); /* the next time there is nothing to split */
    ck_assert(!writable_leaf(devices[0]) && !writable_leaf(devices[1]));
    ck_assert(!live_watch(BIT(48)));
    env_pool_limit = 0;
    ck_assert(!live_watch(600 * GIB));
    reserve.left = 0;
    ck_assert(!live_watch(DEVICE + LARGE));
    ck_assert_ptr_nonnull(writable_leaf(DEVICE + LARGE));
}
END_TEST

START_TEST(what_was_given_up_is_not_taken)
{
    fresh(sources[_i]);
    make_cut();
    struct sweep s = {0, 0, 0};
    ck_assert(take(&s));
    live_lose(E_DMA);
    uint8_t to[PAGE_BYTES];
    const void *content;
    uint64_t page;
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(live_take(&page, to, &content), E_DMA);
        ck_assert(guest_writes(3 * MIB, 1));
    }
    live_end();
    make_cut();
    ck_assert_uint_eq(take_all(1).whole, RAM_PAGES);
}
END_TEST

/* Devices that may write after a cut: from there to the next one nobody knows what has changed, nor from the one before. */
START_TEST(after_others_wrote_nothing_is_left_out)
{
    static const bool write[] = {false, false, true, false, false, true, true, false, false};
    fresh(sources[_i]);
    for (unsigned i = 0; i < ARRAY_LEN(write); i++) {
        devices_write = write[i];
        make_cut();
        live_skip_clean();
        bool unknown = !i || write[i] || write[i - 1];
        ck_assert_uint_eq(take_all(0).left_out, unknown ? 0 : RAM_PAGES);
        open_all(0);
        if (write[i])
            memory[3 * MIB] = (uint8_t)~memory[3 * MIB];
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("live");
    TCase *t = tcase_create("all");
    tcase_add_test(t, no_memory_no_checkpoints);
    tcase_add_loop_test(t, what_is_taken_is_the_cut, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, what_is_left_out_has_not_been_written, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, opened_memory_does_not_fault, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, unwatched_nothing_is_left_out, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, what_is_known_is_not_read, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, what_is_held_is_not_written, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, a_full_pool_lets_nobody_write, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, other_faults_are_left_to_others, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, without_tables_the_guest_goes_on, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, device_memory_takes_no_tables, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, what_a_device_writes_to_is_kept, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, a_device_waits_for_room, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, a_watched_page_faults_once, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, what_was_given_up_is_not_taken, 0, ARRAY_LEN(sources));
    tcase_add_loop_test(t, after_others_wrote_nothing_is_left_out, 0, ARRAY_LEN(sources));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("live", suite)
