/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where devices may write: each model against registers and rings made here, and a list of what it says. */
/* UNITS: ckpt/dma_ahci.c ckpt/dma_ide.c ckpt/dma_e1000.c */
#include "ckpt/dma.h"
#include "drivers/ahci_core.h"
#include "drivers/ata_core.h"
#include "drivers/e1000.h"
#include "unit.h"

#include <string.h>

#define MEMORY_BYTES 0x80000u /* at 0; beyond is nothing */
#define REGISTERS 0x4000u
#define TARGETS_MAX 9000u
#define PXFBS 0x40u

struct target {
    uint64_t at, bytes;
};

static uint32_t regs[REGISTERS / 4];
static uint8_t memory[MEMORY_BYTES];
static struct target targets[TARGETS_MAX];
static unsigned target_count, room;

static uint32_t reg(void *ctx, uint32_t offset)
{
    (void)ctx;
    ck_assert_uint_lt(offset, REGISTERS);
    return regs[offset / 4];
}

static bool mem(void *ctx, uint64_t gpa, void *to, size_t bytes)
{
    (void)ctx;
    if (gpa > MEMORY_BYTES || bytes > MEMORY_BYTES - gpa)
        return false;
    memcpy(to, memory + gpa, bytes);
    return true;
}

static bool target(void *ctx, uint64_t gpa, uint64_t bytes)
{
    (void)ctx;
    if (target_count == room)
        return false;
    ck_assert_uint_lt(target_count, TARGETS_MAX);
    targets[target_count++] = (struct target){gpa, bytes};
    return true;
}

static const struct dma_view view = {.reg = reg, .mem = mem, .target = target};

static void setup(void)
{
    memset(regs, 0, sizeof regs);
    memset(memory, 0, sizeof memory);
    target_count = 0;
    room = TARGETS_MAX;
}

static void put32(uint64_t at, uint32_t value)
{
    memcpy(memory + at, &value, sizeof value);
}

static enum dma_verdict wr(const struct dma_model *m, uint32_t offset, uint32_t value)
{
    target_count = 0;
    return m->write(&view, &(struct dma_write){offset, value, 4});
}

static void is_target(unsigned i, uint64_t at, uint64_t bytes)
{
    ck_assert_uint_lt(i, target_count);
    ck_assert_uint_eq(targets[i].at, at);
    ck_assert_uint_eq(targets[i].bytes, bytes);
}

/* ---- AHCI ------------------------------------------------------------------------------------------------------- */

#define PORT AHCI_PORT(1)
#define LIST 0x1000u
#define TABLE 0x2000u

static void command(uint32_t slot, uint32_t flags, uint32_t prds)
{
    uint64_t at = LIST + slot * sizeof(struct ahci_command_header);
    put32(at, flags | prds << AHCI_HEADER_PRDTL_SHIFT);
    put32(at + 8, TABLE + slot * 0x1000);
}

static void prd(uint32_t slot, uint32_t i, uint64_t at, uint32_t dbc)
{
    uint64_t entry = TABLE + slot * 0x1000 + 0x80 + i * sizeof(struct ahci_prd);
    put32(entry, (uint32_t)at);
    put32(entry + 4, (uint32_t)(at >> 32));
    put32(entry + 12, dbc);
}

START_TEST(ahci_given_lists_and_fis)
{
    regs[AHCI_PI / 4] = 0x5;
    for (uint32_t n = 0; n < 3; n++) {
        regs[(AHCI_PORT(n) + PXCLB) / 4] = 0x10000 * (n + 1);
        regs[(AHCI_PORT(n) + PXCLBU) / 4] = 2;
        regs[(AHCI_PORT(n) + PXFB) / 4] = 0x10000 * (n + 1) + 0x400;
    }
    regs[(AHCI_PORT(2) + PXFBS) / 4] = 1;
    ck_assert_int_eq(dma_ahci.given(&view), DMA_GO);
    ck_assert_uint_eq(target_count, 4);
    is_target(0, 0x200010000, 1024);
    is_target(1, 0x10400, 256);
    is_target(2, 0x200030000, 1024);
    is_target(3, 0x30400, 4096);
    room = 5;
    ck_assert_int_eq(dma_ahci.given(&view), DMA_LATER);
    regs[AHCI_PI / 4] = BIT32(30); /* its registers are on another page */
    ck_assert_int_eq(dma_ahci.given(&view), DMA_LOST);
}
END_TEST

START_TEST(ahci_command_names_its_buffers)
{
    regs[(PORT + PXCLB) / 4] = LIST;
    command(0, 5, 20); /* more than are read at once */
    command(3, 5, 1);
    command(4, 5 | AHCI_HEADER_WRITE, 1);
    for (uint32_t i = 0; i < 20; i++)
        prd(0, i, 0x100000000ull * i + 0x10000 + i, 0xFFC00000 | (511 + i));
    prd(3, 0, 0x7000, 0x3FFFFF);
    prd(4, 0, 0x8000, 511);
    ck_assert_int_eq(wr(&dma_ahci, PORT + PXCI, BIT32(0) | BIT32(3) | BIT32(4)), DMA_GO);
    ck_assert_uint_eq(target_count, 21);
    for (uint32_t i = 0; i < 20; i++)
        is_target(i, 0x100000000ull * i + 0x10000 + i, 512 + i);
    is_target(20, 0x7000, 0x400000);
    ck_assert_int_eq(wr(&dma_ahci, PORT + PXCI, BIT32(4)), DMA_GO);
    ck_assert_uint_eq(target_count, 0);
    room = 19;
    ck_assert_int_eq(wr(&dma_ahci, PORT + PXCI, BIT32(0)), DMA_LATER);
}
END_TEST

START_TEST(ahci_odd_commands_are_lost)
{
    regs[(PORT + PXCLB) / 4] = LIST;
    command(0, 5, 1);
    put32(LIST + 8, MEMORY_BYTES);
    ck_assert_int_eq(wr(&dma_ahci, PORT + PXCI, BIT32(0)), DMA_LOST);
    put32(LIST + 12, 1); /* the high half counts */
    put32(LIST + 8, TABLE);
    ck_assert_int_eq(wr(&dma_ahci, PORT + PXCI, BIT32(0)), DMA_LOST);
    regs[(PORT + PXCLBU) / 4] = 1;
    ck_assert_int_eq(wr(&dma_ahci, PORT + PXCI, BIT32(0)), DMA_LOST);
}
END_TEST

START_TEST(ahci_addresses_as_they_will_be)
{
    regs[(PORT + PXCLB) / 4] = 0x1000;
    regs[(PORT + PXCLBU) / 4] = 1;
    regs[(PORT + PXFB) / 4] = 0x2000;
    static const struct {
        uint32_t offset, value;
        uint64_t list, fis, fis_bytes;
    } cases[] = {
        {PXCLB, 0x5000, 0x100005000, 0x2000, 256}, {PXCLBU, 7, 0x700001000, 0x2000, 256},
        {PXFB, 0x6000, 0x100001000, 0x6000, 256},  {PXFBU, 9, 0x100001000, 0x900002000, 256},
        {PXFBS, 1, 0x100001000, 0x2000, 4096},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_int_eq(wr(&dma_ahci, PORT + cases[i].offset, cases[i].value), DMA_GO);
        ck_assert_uint_eq(target_count, 2);
        is_target(0, cases[i].list, 1024);
        is_target(1, cases[i].fis, cases[i].fis_bytes);
    }
    static const uint32_t others[] = {AHCI_GHC, PORT + PXIS, PORT + PXIE, PORT + PXCMD, PORT + PXSACT, PORT + PXSERR};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ck_assert_int_eq(wr(&dma_ahci, others[i], UINT32_MAX), DMA_GO);
        ck_assert_uint_eq(target_count, 0);
    }
}
END_TEST

/* ---- IDE --------------------------------------------------------------------------------------------------------- */

#define READ (BM_COMMAND_START | BM_COMMAND_TO_MEMORY)

START_TEST(ide_start_names_its_buffers)
{
    const uint32_t second = BM_CHANNEL_STRIDE;
    regs[BM_TABLE / 4] = 0x3003;
    regs[(second + BM_TABLE) / 4] = 0x4000;
    put32(0x3000, 0x10000), put32(0x3004, 0x200);
    put32(0x3008, 0x20000), put32(0x300C, 0);
    put32(0x3010, 0x40000), put32(0x3014, 0x80001000);
    put32(0x3018, 0x50000), put32(0x301C, 0x80001000);
    put32(0x4000, 0x60000), put32(0x4004, 0x80000800);
    ck_assert_int_eq(wr(&dma_ide, BM_COMMAND, READ), DMA_GO);
    ck_assert_uint_eq(target_count, 3);
    is_target(0, 0x10000, 0x200);
    is_target(1, 0x20000, 0x10000);
    is_target(2, 0x40000, 0x1000);
    ck_assert_int_eq(wr(&dma_ide, second + BM_COMMAND, READ), DMA_GO);
    ck_assert_uint_eq(target_count, 1);
    is_target(0, 0x60000, 0x800);
    static const uint32_t nothing[] = {0, BM_COMMAND_START, BM_COMMAND_TO_MEMORY};
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        ck_assert_int_eq(wr(&dma_ide, BM_COMMAND, nothing[i]), DMA_GO);
        ck_assert_uint_eq(target_count, 0);
    }
    ck_assert_int_eq(wr(&dma_ide, BM_TABLE, 0x5000), DMA_GO);
    ck_assert_int_eq(wr(&dma_ide, BM_TABLE + 2, 0x5000), DMA_LOST); /* into the second channel's command */
    room = 2;
    ck_assert_int_eq(wr(&dma_ide, BM_COMMAND, READ), DMA_LATER);
}
END_TEST

START_TEST(ide_odd_tables_end)
{
    regs[BM_TABLE / 4] = MEMORY_BYTES - 16; /* no end, and then no memory */
    ck_assert_int_eq(wr(&dma_ide, BM_COMMAND, READ), DMA_LOST);
    regs[BM_TABLE / 4] = 0; /* 64 KiB without an end */
    room = 0;
    ck_assert_int_eq(wr(&dma_ide, BM_COMMAND, READ), DMA_LATER);
    regs[BM_TABLE / 4] = 0;
    room = TARGETS_MAX;
    ck_assert_int_eq(wr(&dma_ide, BM_COMMAND, READ), DMA_LOST);
    ck_assert_int_eq(dma_ide.given(&view), DMA_GO);
}
END_TEST

/* ---- network cards ----------------------------------------------------------------------------------------------- */

#define RX 0x10000u
#define TX 0x20000u
#define DESCRIPTORS 40u /* more than are read at once */

static void ring(uint32_t at, uint32_t base, uint32_t bytes)
{
    regs[(at + E1000_BAL) / 4] = base;
    regs[(at + E1000_LEN) / 4] = bytes;
}

static void card(uint32_t rctl)
{
    setup();
    regs[E1000_RCTL / 4] = rctl;
    ring(E1000_RX_RING(0), RX | 0xF, DESCRIPTORS * 16); /* the card ignores these bits */
    ring(E1000_TX_RING(0), TX, 256);
    ring(E1000_RX_RING(1), RX + 0x1000, 128);
    ring(E1000_TX_RING(1), TX + 0x1000, 128);
    for (uint32_t i = 0; i < DESCRIPTORS; i++) {
        put32(RX + i * 16, 0x40000 + i * 0x800);
        put32(RX + i * 16 + 8, 0xDEAD); /* length, status: no address */
    }
    put32(RX + 0x1000, 0x7000);
}

START_TEST(card_given_rings_and_buffers)
{
    card(RCTL_EN);
    ck_assert_int_eq(dma_82540em.given(&view), DMA_GO);
    ck_assert_uint_eq(target_count, 2 + DESCRIPTORS);
    is_target(0, RX, DESCRIPTORS * 16);
    for (uint32_t i = 0; i < DESCRIPTORS; i++)
        is_target(1 + i, 0x40000 + i * 0x800, 2048);
    is_target(1 + DESCRIPTORS, TX, 256);
    target_count = 0;
    ck_assert_int_eq(dma_82574l.given(&view), DMA_GO);
    ck_assert_uint_eq(target_count, 5 + DESCRIPTORS);
    is_target(2 + DESCRIPTORS, RX + 0x1000, 128);
    is_target(3 + DESCRIPTORS, 0x7000, 2048);
    is_target(4 + DESCRIPTORS, TX + 0x1000, 128);
    card(0); /* it does not listen */
    ck_assert_int_eq(dma_82545em.given(&view), DMA_GO);
    ck_assert_uint_eq(target_count, 2);
    card(RCTL_EN);
    room = DESCRIPTORS;
    ck_assert_int_eq(dma_82540em.given(&view), DMA_LATER);
    ring(E1000_RX_RING(0), MEMORY_BYTES, 128);
    room = TARGETS_MAX;
    ck_assert_int_eq(dma_82540em.given(&view), DMA_LOST);
}
END_TEST

START_TEST(card_buffer_sizes)
{
    static const struct {
        uint32_t rctl, bytes;
    } cases[] = {
        {0, 2048},
        {1u << RCTL_BSIZE_SHIFT, 1024},
        {3u << RCTL_BSIZE_SHIFT, 256},
        {RCTL_BSEX | 1u << RCTL_BSIZE_SHIFT, 16384},
        {RCTL_BSEX | 3u << RCTL_BSIZE_SHIFT, 4096},
        {9u << RCTL_FLXBUF_SHIFT, 9 * 1024},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        card(RCTL_EN | cases[i].rctl);
        ck_assert_int_eq(dma_82540em.given(&view), DMA_GO);
        is_target(1, 0x40000, cases[i].bytes);
    }
    card(RCTL_EN | RCTL_DTYP_SPLIT); /* four addresses each */
    ck_assert_int_eq(dma_82574l.given(&view), DMA_GO);
    is_target(1, 0x40000, E1000_BUFFER_MAX);
    is_target(2, 0xDEAD, E1000_BUFFER_MAX);
}
END_TEST

START_TEST(card_told_more)
{
    card(RCTL_EN);
    ck_assert_int_eq(wr(&dma_82574l, E1000_RX_RING(0) + E1000_TAIL, 3), DMA_GO);
    ck_assert_uint_eq(target_count, 1 + DESCRIPTORS);
    ck_assert_int_eq(wr(&dma_82574l, E1000_RX_RING(1) + E1000_TAIL, 3), DMA_GO);
    ck_assert_uint_eq(target_count, 2);
    ck_assert_int_eq(wr(&dma_82574l, E1000_TX_RING(0) + E1000_TAIL, 3), DMA_GO);
    ck_assert_uint_eq(target_count, 0);
    ck_assert_int_eq(wr(&dma_82574l, E1000_IMS, UINT32_MAX), DMA_GO);
    ck_assert_uint_eq(target_count, 0);
    ck_assert_int_eq(wr(&dma_82540em, E1000_TX_RING(0) + E1000_BAL, 0x33000), DMA_GO);
    is_target(target_count - 1, 0x33000, 256);
    ck_assert_int_eq(wr(&dma_82540em, E1000_TX_RING(0) + E1000_BAH, 4), DMA_GO);
    is_target(target_count - 1, 0x400000000 + TX, 256);
    ck_assert_int_eq(wr(&dma_82540em, E1000_RX_RING(0) + E1000_LEN, 128), DMA_GO);
    is_target(0, RX, 128);
    card(0);
    ck_assert_int_eq(wr(&dma_82540em, E1000_RCTL, RCTL_EN | 3u << RCTL_BSIZE_SHIFT), DMA_GO);
    is_target(1, 0x40000, 256);
    static const uint32_t old[] = {E1000_OLD_RX_FIRST, 0x128, E1000_OLD_TX_FIRST, 0x438};
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        ck_assert_int_eq(wr(&dma_82540em, old[i], 1), DMA_LOST);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dma");
    TCase *c = tcase_create("models");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, ahci_given_lists_and_fis);
    tcase_add_test(c, ahci_command_names_its_buffers);
    tcase_add_test(c, ahci_odd_commands_are_lost);
    tcase_add_test(c, ahci_addresses_as_they_will_be);
    tcase_add_test(c, ide_start_names_its_buffers);
    tcase_add_test(c, ide_odd_tables_end);
    tcase_add_test(c, card_given_rings_and_buffers);
    tcase_add_test(c, card_buffer_sizes);
    tcase_add_test(c, card_told_more);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("dma", suite)
