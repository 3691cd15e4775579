/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that are followed while a checkpoint is written, with a model that says what the test wants: when a write is carried out, when
   it has to wait, when the checkpoint is given up, and what is watched. dma_watch.c is included. */
#include "kernel/dma_watch.c"
#include "unit.h"

#include <string.h>

#define AHCI_BAR 0xFEB00000ull
#define IDE_BASE 0xC040u
#define CARD_BAR 0xFE000000ull
#define FUNCTIONS 4u
#define AHCI_FUNCTION 0u
#define IDE_FUNCTION 1u
#define CARD_FUNCTION 2u
#define UNKNOWN_FUNCTION 3u
#define PAGES_MAX 8u

static struct pci_function functions[FUNCTIONS] = {
    {.bdf = 0x10, .vendor = 0x8086, .device = 0x2922, .class_code = 0x010601},
    {.bdf = 0x18, .vendor = 0x8086, .device = 0x7010, .class_code = 0x010180},
    {.bdf = 0x20, .vendor = 0x8086, .device = 0x10D3, .class_code = 0x020000},
    {.bdf = 0x28, .vendor = 0x1AF4, .device = 0x1000, .class_code = 0x020000},
};
static bool on[FUNCTIONS];
static struct pci_bar bars[FUNCTIONS];
static uint32_t decodes;
static enum dma_verdict given, answer;
static struct dma_write asked;
static uint64_t page[PAGES_MAX], written_at;
static uint32_t written_value, trapped, read_back;
static unsigned pages, pages_max, writes;
static enum err lost_with;

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
    ck_assert(reg_at == PCI_COMMAND && bytes == 2);
    return decodes;
}

struct pci_bar pci_read_bar(uint16_t bdf, unsigned index)
{
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

bool live_keep(uint64_t gpa, uint64_t bytes)
{
    return gpa + bytes <= PAGE_BYTES;
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

void mmio_write32(hpa_t where, uint32_t value)
{
    writes++;
    written_at = where.v;
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
    pages = writes = 0;
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
    ck_assert_ptr_null(strstr(env_log, "stands still"));
    on[UNKNOWN_FUNCTION] = true;
    ck_assert_int_eq(dma_watch_masters(), DMA_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(env_log, "00:05.0 may write memory"));
    ck_assert(!dma_watch_begin());
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
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("dma_watch", suite)
