/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that are followed while a checkpoint is written, with a model that says what the test wants: when a write is carried out, when
   it has to wait, when the checkpoint is given up, and what is watched. dma_watch.c is included. */
#include "kernel/dma_watch.c"
#include "unit.h"

#include <string.h>

#define AHCI_BAR 0xFEB00000ull
#define IDE_BASE 0xC040u
#define CARD_BAR 0xFE000000ull
#define VIRTIO_AT 0xFD004000ull
#define AVAIL 0x2FF0u /* across two pages */
#define AVAIL_BYTES 0x20u
#define OTHER_AVAIL 0x2200u
#define FUNCTIONS 5u
#define AHCI_FUNCTION 0u
#define IDE_FUNCTION 1u
#define CARD_FUNCTION 2u
#define UNKNOWN_FUNCTION 3u
#define VIRTIO_FUNCTION 4u
#define PAGES_MAX 80u

static struct pci_function functions[FUNCTIONS] = {
    {.bdf = 0x10, .vendor = 0x8086, .device = 0x2922, .class_code = 0x010601},
    {.bdf = 0x18, .vendor = 0x8086, .device = 0x7010, .class_code = 0x010180},
    {.bdf = 0x20, .vendor = 0x8086, .device = 0x10D3, .class_code = 0x020000},
    {.bdf = 0x28, .vendor = 0x10EC, .device = 0x8139, .class_code = 0x020000},
    {.bdf = 0x30, .vendor = 0x1AF4, .device = 0x1041, .class_code = 0x020000},
};
static bool on[FUNCTIONS];
static struct pci_bar bars[FUNCTIONS];
static uint32_t decodes;
static enum dma_verdict given, answer;
static struct dma_write asked;
static uint64_t page[PAGES_MAX], written_at, written_value, virtio_at;
static uint32_t trapped, read_back;
static unsigned pages, pages_max, writes, written_bytes, published, rings_wanted;
static enum err lost_with;
struct lock policy_pci_lock;

const struct pci_function *bus_masters_next(size_t *at)
{
    while (*at < FUNCTIONS)
        if (on[(*at)++])
            return &functions[*at - 1];
    return NULL;
}

static unsigned function_of(uint16_t bdf)
{
    unsigned i = 0;
    while (functions[i].bdf != bdf)
        i++;
    return i;
}

uint32_t pci_read(uint16_t bdf, uint16_t reg_at, unsigned bytes)
{
    (void)bdf;
    ck_assert(policy_pci_lock.taken);
    ck_assert(reg_at == PCI_COMMAND && bytes == 2);
    return decodes;
}

uint64_t virtio_structure(uint16_t bdf, uint8_t kind)
{
    ck_assert(bdf == 0x30 && kind == 1 && policy_pci_lock.taken);
    return virtio_at;
}

struct pci_bar pci_read_bar(uint16_t bdf, unsigned index)
{
    ck_assert(policy_pci_lock.taken);
    ck_assert_uint_eq(index, bdf == 0x10 ? 5 : bdf == 0x18 ? 4 : 0);
    return bars[function_of(bdf)];
}

bool guest_phys_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
    (void)ctx;
    ck_assert_uint_le(gpa.v % PAGE_BYTES + len, PAGE_BYTES);
    memset(buf, (int)(gpa.v / PAGE_BYTES), len);
    return gpa.v < 4 * PAGE_BYTES;
}

static uint64_t kept_below = PAGE_BYTES;

bool live_keep(uint64_t gpa, uint64_t bytes)
{
    return gpa + bytes <= kept_below;
}

bool live_watch(uint64_t gpa)
{
    if (pages == pages_max)
        return false;
    page[pages++] = gpa;
    return true;
}

void live_lose(enum err e)
{
    lost_with = e;
}

void policy_trap_port(uint16_t port, bool now)
{
    ck_assert(port >= IDE_BASE && port < IDE_BASE + 16);
    trapped = now ? trapped | BIT32(port - IDE_BASE) : trapped & ~BIT32(port - IDE_BASE);
}

uint32_t mmio_read32(hpa_t where)
{
    return (uint32_t)where.v ^ read_back;
}

uint64_t mmio_read(hpa_t where, unsigned bytes)
{
    return where.v << 8 | bytes;
}

void mmio_write(hpa_t where, unsigned bytes, uint64_t value)
{
    writes++;
    written_at = where.v;
    written_bytes = bytes;
    written_value = value;
}

uint32_t io_in32(uint16_t port)
{
    return port;
}

/* What a model asks for gets to the right place. */
static enum dma_verdict look_around(const struct dma_view *v)
{
    uint8_t across[8];
    ck_assert(v->mem(v->ctx, PAGE_BYTES - 4, across, sizeof across));
    ck_assert(across[3] == 0 && across[4] == 1);
    ck_assert(!v->mem(v->ctx, 4 * PAGE_BYTES - 4, across, sizeof across));
    ck_assert(v->target(v->ctx, 0, PAGE_BYTES) && !v->target(v->ctx, 1, PAGE_BYTES));
    return given;
}

static enum dma_verdict model_write(const struct dma_view *v, const struct dma_write *w)
{
    asked = *w;
    asked.value = v->reg(v->ctx, w->offset);
    return answer;
}

static enum dma_verdict give_rings(const struct dma_view *v)
{
    bool done = true;
    ck_assert_uint_eq(v->field(v->ctx, 0x16, 2), (uint32_t)((VIRTIO_AT + 0x16) << 8 | 2));
    v->set_field(v->ctx, 0x16, 2, 3);
    ck_assert(written_at == VIRTIO_AT + 0x16 && written_bytes == 2 && written_value == 3);
    for (unsigned i = 0; i < rings_wanted && done; i++)
        done = v->ring(v->ctx, &(struct dma_ring){.avail = i ? OTHER_AVAIL : AVAIL,
                                                  .avail_bytes = i ? 6 : AVAIL_BYTES,
                                                  .size = (uint16_t)i});
    writes = 0;
    return done ? given : DMA_LOST;
}

static enum dma_verdict model_publish(const struct dma_view *v, const struct dma_ring *r, const struct dma_write *w)
{
    (void)v;
    ck_assert_uint_eq(r->avail, r->size ? OTHER_AVAIL : AVAIL);
    published++;
    asked = *w;
    return answer;
}

#define VIRTIO(id)                                                                                                     \
    {                                                                                                                  \
        .name = "virtio", .structure = 1, .vendor = 0x1AF4, .device = id, .page_map = 1, .given = give_rings,          \
        .write = model_write, .publish = model_publish                                                                 \
    }
const struct dma_model dma_virtio_net = VIRTIO(0x1041);
const struct dma_model dma_virtio_net_transitional = VIRTIO(0x1000);
const struct dma_model dma_ahci = {.name = "AHCI",
                                   .bar = 5,
                                   .class_code = 0x010601,
                                   .class_mask = 0xFFFFFF,
                                   .page_map = 1,
                                   .given = look_around,
                                   .write = model_write};
const struct dma_model dma_ide = {.name = "IDE",
                                  .bar = 4,
                                  .class_code = 0x010100,
                                  .class_mask = 0xFFFF00,
                                  .port_count = 16,
                                  .given = look_around,
                                  .write = model_write};
const struct dma_model dma_82540em = {
    .vendor = 0x8086, .device = 0x100E, .page_map = 0xD, .given = look_around, .write = model_write};
const struct dma_model dma_82545em = {
    .vendor = 0x8086, .device = 0x100F, .page_map = 0xD, .given = look_around, .write = model_write};
const struct dma_model dma_82574l = {
    .name = "82574L", .vendor = 0x8086, .device = 0x10D3, .page_map = 0xD, .given = look_around, .write = model_write};

static void setup(void)
{
    dma_watch_end();
    memset(on, 0, sizeof on);
    bars[AHCI_FUNCTION] = (struct pci_bar){.base = AHCI_BAR};
    bars[IDE_FUNCTION] = (struct pci_bar){.io = true, .base = IDE_BASE};
    bars[CARD_FUNCTION] = (struct pci_bar){.base = CARD_BAR};
    decodes = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
    given = answer = DMA_GO;
    pages = writes = published = 0;
    virtio_at = VIRTIO_AT;
    rings_wanted = 2;
    kept_below = PAGE_BYTES;
    pages_max = PAGES_MAX;
    trapped = 0;
    lost_with = E_OK;
    memset(env_log, ' ', strlen(env_log)); /* what comes is appended */
}

static void begin_all(void)
{
    on[AHCI_FUNCTION] = on[IDE_FUNCTION] = on[CARD_FUNCTION] = true;
    ck_assert(dma_watch_begin());
}

START_TEST(who_may_write)
{
    ck_assert_int_eq(dma_watch_masters(), DMA_NOBODY);
    on[AHCI_FUNCTION] = on[CARD_FUNCTION] = true;
    ck_assert_int_eq(dma_watch_masters(), DMA_FOLLOWED);
    ck_assert_ptr_null(dma_watch_unknown(0));
    on[UNKNOWN_FUNCTION] = true;
    ck_assert_int_eq(dma_watch_masters(), DMA_UNKNOWN);
    ck_assert(dma_watch_unknown(0) == &functions[UNKNOWN_FUNCTION] && !dma_watch_unknown(1));
    ck_assert(!dma_watch_begin() && !policy_pci_lock.taken);
    on[UNKNOWN_FUNCTION] = false;
    ck_assert_int_eq(dma_watch_masters(), DMA_FOLLOWED);
    ck_assert_ptr_null(dma_watch_unknown(0));
    bars[CARD_FUNCTION].io = true; /* not where it should be */
    ck_assert_int_eq(dma_watch_masters(), DMA_UNKNOWN);
    ck_assert(dma_watch_unknown(0) == &functions[CARD_FUNCTION] && !dma_watch_unknown(1));
}
END_TEST

START_TEST(what_is_watched)
{
    begin_all();
    ck_assert_uint_eq(pages, 4);
    ck_assert(page[0] == AHCI_BAR && page[1] == CARD_BAR && page[2] == CARD_BAR + 2 * PAGE_BYTES);
    ck_assert_uint_eq(trapped, 0xFFFF);
    ck_assert(dma_watch_covers(AHCI_BAR + 0xFFC) && !dma_watch_covers(AHCI_BAR + PAGE_BYTES));
    ck_assert(dma_watch_covers(CARD_BAR + 3 * PAGE_BYTES) && !dma_watch_covers(CARD_BAR + PAGE_BYTES));
    ck_assert(!dma_watch_covers(IDE_BASE) && !dma_watch_covers(CARD_BAR - 4));
    ck_assert(dma_watch_holds());
    dma_watch_end();
    ck_assert_uint_eq(trapped, 0);
    ck_assert(!dma_watch_covers(AHCI_BAR));
    ck_assert(dma_watch_port(IDE_BASE, 1, 9));
}
END_TEST

START_TEST(what_cannot_be_watched)
{
    on[AHCI_FUNCTION] = on[IDE_FUNCTION] = true;
    for (given = DMA_LATER; given <= DMA_LOST; given++) {
        ck_assert(!dma_watch_begin());
        ck_assert(!dma_watch_covers(AHCI_BAR) && !trapped);
    }
    ck_assert_ptr_nonnull(strstr(env_log, "than the pool holds"));
    ck_assert_ptr_nonnull(strstr(env_log, "cannot be followed"));
    given = DMA_GO;
    pages_max = 0;
    ck_assert(!dma_watch_begin());
    ck_assert(!dma_watch_covers(AHCI_BAR) && !trapped);
    decodes = 0; /* registers that nobody can reach */
    ck_assert(dma_watch_begin());
    ck_assert(!dma_watch_covers(AHCI_BAR) && dma_watch_holds());
    dma_watch_end();
    pages_max = PAGES_MAX;
    decodes = PCI_COMMAND_IO; /* by other registers */
    ck_assert(!dma_watch_begin());
    decodes = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
    bars[AHCI_FUNCTION].io = true;
    ck_assert(!dma_watch_begin());
    bars[AHCI_FUNCTION] = (struct pci_bar){0}; /* not assigned */
    ck_assert(dma_watch_begin() && dma_watch_holds());
}
END_TEST

START_TEST(writes_wait_and_happen_once)
{
    begin_all();
    answer = DMA_LATER;
    ck_assert(!dma_watch_write(CARD_BAR + 0x2818, 4, 0x12345));
    ck_assert_uint_eq(writes, 0);
    ck_assert(asked.offset == 0x2818 && asked.value == (uint32_t)(CARD_BAR + 0x2818));
    ck_assert(!dma_watch_port(IDE_BASE + 8, 1, 9));
    ck_assert(asked.offset == 8 && asked.bytes == 1 && asked.value == IDE_BASE + 8);
    ck_assert_int_eq(lost_with, E_OK);
    answer = DMA_GO;
    ck_assert(dma_watch_write(CARD_BAR + 0x2818, 4, 0x12345));
    ck_assert(writes == 1 && written_at == CARD_BAR + 0x2818 && written_value == 0x12345);
    ck_assert(dma_watch_port(IDE_BASE + 8, 1, 9) && dma_watch_port(IDE_BASE + 16, 1, 9));
    ck_assert(dma_watch_holds());
}
END_TEST

START_TEST(what_is_not_understood_costs_the_checkpoint)
{
    for (unsigned how = 0; how < 5; how++) {
        setup();
        begin_all();
        answer = how < 2 ? DMA_LOST : DMA_GO;
        if (how == 0)
            ck_assert(!dma_watch_write(AHCI_BAR + 0x138, 4, 1));
        else if (how == 1)
            ck_assert(!dma_watch_port(IDE_BASE, 1, 9));
        else if (how == 4)
            dma_watch_lose();
        else
            ck_assert(!dma_watch_write(AHCI_BAR + (how == 2 ? 0x138 : 0x13A), how == 2 ? 2 : 4, 1));
        ck_assert_int_eq(lost_with, E_DMA);
        ck_assert_uint_eq(writes, 0);
        ck_assert(!dma_watch_covers(AHCI_BAR) && dma_watch_port(IDE_BASE, 1, 9)); /* the guest goes on */
        ck_assert(!dma_watch_holds() && *dma_watch_why());
        dma_watch_end();
        ck_assert_uint_eq(trapped, 0);
        memset(on, 0, sizeof on);
        ck_assert(dma_watch_holds()); /* the next checkpoint, with nobody to follow */
    }
    setup();
    begin_all();
    ck_assert(!dma_watch_port(IDE_BASE - 1, 2, 9)); /* begins below, and reaches the command */
    ck_assert_int_eq(lost_with, E_DMA);
    (void)dma_watch_masters();
    ck_assert_str_eq(dma_watch_why(), "");
}
END_TEST

START_TEST(who_comes_later)
{
    begin_all();
    on[IDE_FUNCTION] = false; /* less is no harm */
    ck_assert(dma_watch_holds());
    bars[CARD_FUNCTION].base += 0x20000;
    ck_assert(!dma_watch_holds() && *dma_watch_why());
    setup();
    begin_all();
    on[UNKNOWN_FUNCTION] = true;
    ck_assert(!dma_watch_holds());
    setup();
    on[AHCI_FUNCTION] = true;
    ck_assert(dma_watch_begin());
    on[CARD_FUNCTION] = true;
    ck_assert(!dma_watch_holds());
}
END_TEST

static void begin_virtio(void)
{
    on[VIRTIO_FUNCTION] = true;
    ck_assert(dma_watch_begin());
}

START_TEST(rings_are_watched)
{
    begin_virtio();
    ck_assert_uint_eq(pages, 4);
    ck_assert(page[0] == 0x2000 && page[1] == 0x3000 && page[2] == 0x2000 && page[3] == VIRTIO_AT);
    ck_assert(dma_watch_covers(0x2000) && dma_watch_covers(0x3FFF) && dma_watch_covers(VIRTIO_AT + 0xFFF));
    ck_assert(!dma_watch_covers(0x1FFF) && !dma_watch_covers(0x4000) && !dma_watch_covers(VIRTIO_AT + PAGE_BYTES));
    ck_assert_uint_eq(dma_watch_read(0x2FF2, 2), 0x2FF202);
    ck_assert(dma_watch_holds());
    dma_watch_end();
    ck_assert(!dma_watch_covers(0x2000));
    pages_max = pages + 2; /* no table for the second ring */
    ck_assert(!dma_watch_begin() && !dma_watch_covers(0x2000));
    pages_max = PAGES_MAX;
    pages = 0;
    virtio_at += 0x80; /* registers in the middle of a page */
    ck_assert(!dma_watch_begin());
    virtio_at = 0; /* a legacy device */
    ck_assert(!dma_watch_begin());
    decodes = PCI_COMMAND_IO;
    virtio_at = VIRTIO_AT;
    ck_assert(!dma_watch_begin());
    decodes = 0;
    ck_assert(dma_watch_begin() && !dma_watch_covers(0x2000));
    dma_watch_end();
    decodes = PCI_COMMAND_MEMORY;
    pages = 0;
    rings_wanted = 33; /* more than there is room for */
    ck_assert(!dma_watch_begin() && pages == 2 + 31);
    rings_wanted = 32;
    pages = 0;
    ck_assert(dma_watch_begin());
}
END_TEST

START_TEST(writes_to_rings)
{
    begin_virtio();
    kept_below = 0x4000;
    answer = DMA_LATER;
    ck_assert(!dma_watch_write(AVAIL + 2, 2, 0x1234));
    ck_assert(published == 1 && asked.offset == 2 && asked.value == 0x1234 && asked.bytes == 2 && !writes);
    ck_assert(dma_watch_write(0x2100, 8, 0x1122334455667788)); /* beside them */
    ck_assert(published == 1 && writes == 1 && written_at == 0x2100 && written_bytes == 8);
    ck_assert_uint_eq(written_value, 0x1122334455667788);
    ck_assert(dma_watch_write(AVAIL + AVAIL_BYTES, 1, 1) && published == 1);
    answer = DMA_GO;
    ck_assert(dma_watch_write(AVAIL + 2, 2, 0x1234));
    ck_assert(published == 2 && writes == 3 && written_at == AVAIL + 2 && written_bytes == 2 &&
              written_value == 0x1234);
    ck_assert(dma_watch_write(OTHER_AVAIL, 2, 7) && published == 3 && asked.offset == 0);
    kept_below = 0x2000; /* the pool is full */
    ck_assert(!dma_watch_write(AVAIL + 2, 2, 0x1235) && !dma_watch_write(0x2100, 1, 0));
    ck_assert_uint_eq(writes, 4);
    ck_assert_int_eq(lost_with, E_OK);
    ck_assert(dma_watch_holds());
}
END_TEST

START_TEST(writes_to_rings_that_are_not_understood)
{
    for (unsigned how = 0; how < 4; how++) {
        setup();
        begin_virtio();
        kept_below = 0x4000;
        answer = how ? DMA_GO : DMA_LOST;
        bool done = how == 0   ? dma_watch_write(AVAIL + 2, 2, 1)
                    : how == 1 ? dma_watch_write(AVAIL - 1, 4, 1)  /* begins before it */
                    : how == 2 ? dma_watch_write(0x2FFE, 4, 1)     /* across pages */
                               : dma_watch_write(VIRTIO_AT, 8, 1); /* no register is as wide */
        ck_assert(!done && !writes && lost_with == E_DMA);
        ck_assert(!dma_watch_covers(AVAIL) && !dma_watch_holds());
    }
}
END_TEST

START_TEST(registers_of_every_width)
{
    begin_virtio();
    for (unsigned bytes = 1; bytes <= 4; bytes *= 2) {
        ck_assert(dma_watch_write(VIRTIO_AT + 0x14, bytes, 9));
        ck_assert(written_at == VIRTIO_AT + 0x14 && written_bytes == bytes && asked.offset == 0x14);
    }
    ck_assert(!dma_watch_write(VIRTIO_AT + 0x15, 2, 9) && lost_with == E_DMA);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dma_watch");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, who_may_write);
    tcase_add_test(c, what_is_watched);
    tcase_add_test(c, what_cannot_be_watched);
    tcase_add_test(c, writes_wait_and_happen_once);
    tcase_add_test(c, what_is_not_understood_costs_the_checkpoint);
    tcase_add_test(c, who_comes_later);
    tcase_add_test(c, rings_are_watched);
    tcase_add_test(c, writes_to_rings);
    tcase_add_test(c, writes_to_rings_that_are_not_understood);
    tcase_add_test(c, registers_of_every_width);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("dma_watch", suite)
