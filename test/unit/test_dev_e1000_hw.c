/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of network cards, out of a model and back into it: what is stopped, in which order it starts again, and where the next packet
   goes. */
/* UNITS: ckpt/dev_e1000.c ckpt/dev_e1000_hw.c ckpt/dev_common.c */
#include "bits.h"
#include "ckpt/dev_e1000.h"
#include "ckpt/dev_pci.h"
#include "drivers/pci.h"
#include "io.h"
#include "kernel/guest_access.h"
#include "unit.h"

#include <string.h>

#define SPACE 0x20000u
#define BASE 0xFEB00000ull
#define RAM_BASE 0x200000000ull
#define RING_AT (RAM_BASE + 0x40)
#define DESCRIPTORS 16u
#define CARD 1u /* of the functions */

/* By the manual. */
enum { CTRL = 0x0, ICS = 0xC8, IMS = 0xD0, IMC = 0xD8, RCTL = 0x100, TCTL = 0x400, RFCTL = 0x5008, EXTENDED = 1 << 15 };
enum {
    RX0 = 0x2800,
    RX1 = 0x2900,
    TX0 = 0x3800,
    BAL = 0,
    BAH = 4,
    LEN = 8,
    HEAD = 0x10,
    TAIL = 0x18,
    EN = 2,
    SPLIT = 1 << 10
};
#define RST (BIT32(26) | BIT32(31))

static struct dev_pci_id ids[] = {{.bdf = 8, .vendor = 0x8086, .device = 0x7010},
                                  {.bdf = 0x18, .vendor = 0x8086, .device = 0x10D3},
                                  {.bdf = 0x20, .vendor = 0x15AD, .device = 0x100E}};
static uint32_t regs[SPACE / 4], wrote_at[SPACE / 4], writes, causes, command;
static uint8_t ram[0x1000];
static struct dev_e1000_state s;

const struct dev_pci_id *pci_state_functions(size_t *count)
{
    *count = ARRAY_LEN(ids);
    return ids;
}

uint32_t pci_read(uint16_t bdf, uint16_t reg, unsigned bytes)
{
    ck_assert(bdf == ids[CARD].bdf && reg == PCI_COMMAND && bytes == 2);
    return command;
}

struct pci_bar pci_read_bar(uint16_t bdf, unsigned index)
{
    ck_assert(bdf == ids[CARD].bdf && index == 0);
    return (struct pci_bar){.base = BASE};
}

uint32_t mmio_read32(hpa_t where)
{
    ck_assert(where.v % 4 == 0 && where.v - BASE < SPACE);
    return regs[(where.v - BASE) / 4];
}

void mmio_write32(hpa_t where, uint32_t value)
{
    ck_assert(where.v % 4 == 0 && where.v - BASE < SPACE);
    uint32_t reg = (uint32_t)(where.v - BASE);
    wrote_at[reg / 4] = ++writes;
    if (reg == IMC)
        regs[IMS / 4] &= ~value;
    else if (reg == IMS)
        regs[IMS / 4] |= value;
    else if (reg == ICS)
        causes |= value;
    else
        regs[reg / 4] = value;
}

bool guest_phys_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
    ck_assert_ptr_null(ctx);
    if (gpa.v < RAM_BASE || gpa.v + len > RAM_BASE + sizeof ram)
        return false;
    memcpy(buf, ram + (gpa.v - RAM_BASE), len);
    return true;
}

static void set_ring(uint32_t ring, uint32_t head, uint32_t tail)
{
    regs[(ring + BAL) / 4] = (uint32_t)RING_AT;
    regs[(ring + BAH) / 4] = (uint32_t)(RING_AT >> 32);
    regs[(ring + LEN) / 4] = DESCRIPTORS * 16;
    regs[(ring + HEAD) / 4] = head;
    regs[(ring + TAIL) / 4] = tail;
}

static void fresh(uint16_t device)
{
    ids[CARD].device = device;
    memset(regs, 0, sizeof regs);
    memset(ram, 0, sizeof ram);
    memset(&s, 0, sizeof s);
    command = PCI_COMMAND_MEMORY;
    writes = causes = 0;
}

static enum err capture(void)
{
    memset(&s, 0, sizeof s);
    return e1000_state_capture(&s);
}

static enum err restore(void)
{
    memset(wrote_at, 0, sizeof wrote_at);
    writes = causes = 0;
    return e1000_state_restore(&s);
}

START_TEST(captured_and_restored)
{
    static uint32_t before[SPACE / 4];
    fresh(0x10D3);
    ck_assert(e1000_state_present());
    for (uint32_t i = 0; i < SPACE / 4; i++)
        regs[i] = 0x01000000 + i;
    set_ring(RX0, 3, 3);
    set_ring(RX1, 4, 4);
    regs[RCTL / 4] = EN | 0x8000;
    regs[TCTL / 4] = EN | 0x8;
    regs[IMS / 4] = 0x9D;
    regs[CTRL / 4] |= RST;
    memcpy(before, regs, sizeof regs);
    ck_assert(capture() == E_OK && writes == 0);
    ck_assert(s.head.version == DEV_E1000_VERSION && s.head.bytes == sizeof s);
    ck_assert(s.cards == 1 && s.card[0].bdf == 0x18 && s.card[0].device == 0x10D3 && s.card[0].mapped);

    ck_assert_int_eq(e1000_state_quiesce(), E_OK);
    ck_assert(regs[RCTL / 4] == 0x8000 && regs[TCTL / 4] == 0x8 && regs[IMS / 4] == 0);
    memset(regs, 0x55, sizeof regs);
    ck_assert_int_eq(restore(), E_OK);
    uint32_t last = 0;
    for (uint32_t i = 0, reg; !i || dev_e1000_register(0x10D3, i); i++) {
        reg = dev_e1000_register(0x10D3, i);
        ck_assert_msg(regs[reg / 4] == (reg == CTRL ? before[reg / 4] & ~RST : before[reg / 4]), "register %x", reg);
        ck_assert_uint_gt(wrote_at[reg / 4], 0);
        last = reg < RCTL || reg == RCTL || reg == TCTL || reg == RX0 + TAIL ? last : wrote_at[reg / 4];
        ck_assert_uint_lt(last, wrote_at[RCTL / 4]); /* the receiver behind its ring and filters */
    }
    ck_assert(wrote_at[(RX0 + TAIL) / 4] > wrote_at[RCTL / 4]);
    ck_assert_uint_eq(causes, 0x9D);
    ck_assert(wrote_at[ICS / 4] > wrote_at[IMS / 4] && wrote_at[ICS / 4] == writes);
}
END_TEST

/* Without registers it is neither read nor written to. */
START_TEST(cards_that_are_not_used)
{
    fresh(0x100E);
    command = PCI_COMMAND_IO;
    ck_assert(capture() == E_OK && s.cards == 1 && !s.card[0].mapped && e1000_state_quiesce() == E_OK);
    command = PCI_COMMAND_MEMORY; /* then not now either, whatever was there */
    ck_assert(restore() == E_OK && writes == 0);
    s.card[0].mapped = 1;
    command = 0;
    ck_assert(restore() == E_OK && writes == 0);
    ids[CARD].device = 0x100D;
    ck_assert(!e1000_state_present());
    ck_assert(capture() == E_OK && s.cards == 0);
}
END_TEST

/* Descriptors that were done between the registers and memory are behind the head. */
START_TEST(the_head_follows_the_ring)
{
    static const struct {
        uint32_t rctl, rfctl, bytes, status_at;
    } kinds[] = {{EN, 0, 16, 12}, {EN, EXTENDED, 16, 8}, {EN | SPLIT, EXTENDED, 32, 8}, {EN | SPLIT, 0, 32, 8}};
    static const struct {
        uint32_t head, tail, first_done, done, then; /* of eight descriptors */
    } cases[] = {
        {2, 6, 0, 0, 2}, {2, 6, 2, 1, 3}, {2, 6, 2, 6, 6}, {2, 2, 0, 8, 2}, {6, 3, 6, 4, 2},
        {6, 3, 0, 8, 3}, {2, 6, 3, 3, 2}, {7, 6, 7, 1, 0}, {9, 6, 0, 8, 9},
    };
    for (unsigned device = 0; device < 2; device++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                uint32_t ring = device ? RX1 : RX0;
                fresh(device ? 0x10D3 : 0x100E);
                if (kinds[k].rfctl && !device)
                    continue; /* it has no such descriptors */
                set_ring(ring, cases[i].head, cases[i].tail);
                regs[(ring + LEN) / 4] = 8 * kinds[k].bytes;
                regs[(ring + BAL) / 4] |= 0xF; /* not there */
                regs[RCTL / 4] = kinds[k].rctl;
                regs[RFCTL / 4] = kinds[k].rfctl;
                ck_assert_int_eq(capture(), E_OK);
                for (uint32_t n = 0; n < cases[i].done; n++)
                    ram[0x40 + (cases[i].first_done + n) % 8 * kinds[k].bytes + kinds[k].status_at] = 7;
                ck_assert_int_eq(restore(), E_OK);
                ck_assert_uint_eq(regs[(ring + HEAD) / 4], cases[i].then);
                ck_assert_uint_eq(regs[(ring + TAIL) / 4], cases[i].tail);
            }
}
END_TEST

/* A tail of nowhere, and a ring that is done all around: there is an end to looking. */
START_TEST(a_ring_without_end)
{
    fresh(0x100E);
    set_ring(RX0, 2, 99);
    regs[RCTL / 4] = EN;
    ck_assert_int_eq(capture(), E_OK);
    memset(ram, 0xFF, sizeof ram);
    ck_assert_int_eq(restore(), E_OK);
    ck_assert_uint_lt(regs[(RX0 + HEAD) / 4], DESCRIPTORS);
    for (unsigned off = 0; off < 2; off++) { /* a head of nowhere, and a card that does not receive */
        set_ring(RX0, off ? 2 : 20, 5);
        regs[RCTL / 4] = off ? 0 : EN;
        ck_assert(capture() == E_OK && restore() == E_OK);
        ck_assert_uint_eq(regs[(RX0 + HEAD) / 4], off ? 2 : 20);
    }
    fresh(0x100E); /* and one that is nowhere */
    set_ring(RX0, 2, 5);
    regs[(RX0 + BAH) / 4] = 7;
    regs[RCTL / 4] = EN;
    ck_assert(capture() == E_OK && restore() == E_OK);
    ck_assert_uint_eq(regs[(RX0 + HEAD) / 4], 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("dev_e1000_hw");
    TCase *t = tcase_create("all");
    tcase_add_test(t, captured_and_restored);
    tcase_add_test(t, cards_that_are_not_used);
    tcase_add_test(t, the_head_follows_the_ring);
    tcase_add_test(t, a_ring_without_end);
    suite_add_tcase(all, t);
    return all;
}

UNIT_MAIN("dev_e1000_hw", suite)
