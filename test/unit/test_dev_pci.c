/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI configuration, AHCI and IDE registers against models: order of the writes, hidden and kept functions, refusals.
 */
/* UNITS: ckpt/dev_common.c ckpt/dev_pci.c ckpt/dev_pci_hw.c ckpt/dev_ahci.c ckpt/dev_ahci_hw.c */
/* UNITS: ckpt/dev_ide.c ckpt/dev_ide_hw.c drivers/ata_core.c */
#include "bits.h"
#include "ckpt/dev_ahci.h"
#include "ckpt/dev_ide.h"
#include "ckpt/dev_pci.h"
#include "drivers/pci.h"
#include "io.h"
#include "unit.h"

#include <string.h>

#define ABAR 0xfebf0000u
#define MSIX_BAR 0xfebe0000u
#define BM_PORT 0xc000u

enum { HOST_BRIDGE, ISA, IDE, NIC, AHCI_GUEST, AHCI_HOST, BRIDGE, KEPT, FUNCTIONS };

static struct model {
    uint8_t config[FUNCTIONS][256];
    uint32_t msix[4 * 3];
    uint32_t ghc, port[2][0x80 / 4];
    struct {
        uint8_t device, status, control, bm_command, bm_status;
        uint32_t prd;
    } ide[2];
} m;
static const uint16_t bdf_of[FUNCTIONS] = {0x0000, 0x0008, 0x0009, 0x0018, 0x0020, 0x0028, 0x0030, 0x0100};
static const uint32_t class_of[FUNCTIONS] = {0x060000, 0x060100, 0x010180, 0x020000,
                                             0x010601, 0x010601, 0x060400, 0x010601};
static char why[200], text[200];
static struct dev_pci_state s, bad;
static struct dev_ahci_state a, bad_a;
static unsigned config_writes, stuck_port;
static bool never_host;

static int index_of(uint16_t bdf)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (bdf_of[i] == bdf)
            return i;
    ck_abort_msg("function %04x", bdf);
    return -1;
}

uint32_t pci_read(uint16_t bdf, uint16_t reg, unsigned bytes)
{
    const uint8_t *c = m.config[index_of(bdf)];
    return bytes == 1 ? c[reg] : bytes == 2 ? load16(c + reg) : load32(c + reg);
}

void pci_write(uint16_t bdf, uint16_t reg, unsigned bytes, uint32_t v)
{
    int i = index_of(bdf);
    uint8_t *c = m.config[i];
    config_writes++;
    ck_assert(!never_host || (i != AHCI_HOST && i != KEPT));
    bool decoding = load16(c + 4) & 3;
    /* An address must not change under a decoder that is on. */
    ck_assert_msg(!(reg >= 0x10 && reg < 0x34 && decoding), "address register %02x of %04x written while decoding", reg,
                  bdf);
    if (bytes == 1)
        c[reg] = (uint8_t)v;
    else if (bytes == 2)
        store16(c + reg, (uint16_t)v);
    else
        store32(c + reg, v);
}

size_t pci_scan(struct pci_function *out, size_t max)
{
    for (size_t i = 0; i < FUNCTIONS && i < max; i++)
        out[i] = (struct pci_function){bdf_of[i], load16(m.config[i]), load16(m.config[i] + 2), class_of[i],
                                       m.config[i][0xe]};
    return FUNCTIONS;
}

void pci_read_all(uint16_t bdf, uint8_t *out)
{
    for (unsigned reg = 0; reg < 256; reg += 4)
        store32(out + reg, pci_read(bdf, (uint16_t)reg, 4));
}

struct pci_bar pci_read_bar(uint16_t bdf, unsigned index)
{
    uint32_t low = pci_read(bdf, (uint16_t)(0x10 + 4 * index), 4);
    return (struct pci_bar){.io = low & 1, .base = low & ~(low & 1 ? 3u : 15u)};
}

uint32_t mmio_read32(hpa_t where)
{
    if (where.v >= MSIX_BAR + 0x1000 && where.v < MSIX_BAR + 0x1000 + sizeof m.msix)
        return m.msix[(where.v - MSIX_BAR - 0x1000) / 4];
    ck_assert(where.v >= ABAR && where.v < ABAR + 0x200);
    uint32_t reg = (uint32_t)(where.v - ABAR);
    if (reg == AHCI_GHC)
        return m.ghc;
    if (reg == AHCI_PI)
        return 3;
    ck_assert_uint_ge(reg, 0x100);
    return m.port[(reg - 0x100) / 0x80][(reg & 0x7f) / 4];
}

void mmio_write32(hpa_t where, uint32_t v)
{
    if (where.v >= MSIX_BAR && where.v < MSIX_BAR + 0x2000) {
        const uint8_t *c = m.config[NIC];
        ck_assert(load16(c + 4) & 2); /* not decoded: the write would be lost */
        ck_assert(load16(c + 0x82) & 0x4000);
        m.msix[(where.v - MSIX_BAR - 0x1000) / 4] = v;
        return;
    }
    uint32_t reg = (uint32_t)(where.v - ABAR);
    if (reg == AHCI_GHC) {
        m.ghc = v;
        return;
    }
    ck_assert(reg >= 0x100 && reg < 0x200);
    uint32_t n = (reg - 0x100) / 0x80, *p = m.port[n];
    switch (reg & 0x7f) {
    case PXCLB:
    case PXCLBU:
    case PXFB:
    case PXFBU:
        ck_assert(!(p[PXCMD / 4] & (PXCMD_ST | PXCMD_CR | PXCMD_FRE | PXCMD_FR)));
        break;
    case PXCMD:
        ck_assert(!(v & PXCMD_ST) || v & PXCMD_FRE); /* receive first */
        v &= ~(PXCMD_CR | PXCMD_FR);
        v |= v & PXCMD_ST || stuck_port == n + 1 ? PXCMD_CR : 0;
        v |= v & PXCMD_FRE ? PXCMD_FR : 0;
        break;
    case PXIS:
    case PXSERR:
        v = p[(reg & 0x7f) / 4] & ~v;
        break;
    default:
        break;
    }
    p[(reg & 0x7f) / 4] = v;
}

static void *ide_at(uint16_t port)
{
    unsigned k = port < 0x180 || port == 0x376 || (port >= BM_PORT + 8 && port < BM_PORT + 16);
    ck_assert(port == 0x1F6 || port == 0x176 || port == 0x3F6 || port == 0x376 ||
              (port >= BM_PORT && port < BM_PORT + 16));
    return &m.ide[k];
}

uint8_t io_in8(uint16_t port)
{
    __typeof__(&m.ide[0]) c = ide_at(port);
    if (port < 0x200)
        return c->device;
    if (port < BM_PORT)
        return c->status;
    return (port & 7) == 0 ? c->bm_command : c->bm_status;
}

uint32_t io_in32(uint16_t port)
{
    __typeof__(&m.ide[0]) c = ide_at(port);
    return c->prd;
}

void io_out8(uint16_t port, uint8_t v)
{
    __typeof__(&m.ide[0]) c = ide_at(port);
    if (port < 0x200)
        c->device = v;
    else if (port < BM_PORT)
        c->control = v;
    else if ((port & 7) == 0)
        c->bm_command = v;
    else
        c->bm_status = (uint8_t)((c->bm_status & ~(v & 6) & 7) | (v & 0x60));
}

void io_out32(uint16_t port, uint32_t v)
{
    __typeof__(&m.ide[0]) c = ide_at(port);
    c->prd = v;
}

static void boot(void)
{
    memset(&m, 0, sizeof m);
    memset(&s, 0, sizeof s);
    memset(&a, 0, sizeof a);
    never_host = false;
    stuck_port = config_writes = 0;
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        uint8_t *c = m.config[i];
        store16(c, 0x8086), store16(c + 2, (uint16_t)(0x1000 + i));
        store16(c + 4, 0x0107);
        c[9] = (uint8_t)class_of[i], c[10] = (uint8_t)(class_of[i] >> 8), c[11] = (uint8_t)(class_of[i] >> 16);
        c[0x0c] = 16, c[0x3c] = (uint8_t)(i + 3);
    }
    m.config[BRIDGE][0xe] = 1;
    store32(m.config[BRIDGE] + 0x18, 0x00010100);
    store32(m.config[BRIDGE] + 0x20, 0xfe00fd00);
    store32(m.config[IDE] + 0x20, BM_PORT | 1);
    store32(m.config[IDE] + 0x40, 0xe377e377);
    store32(m.config[ISA] + 0x60, 0x0a0b0a0b);
    store32(m.config[AHCI_GUEST] + 0x24, ABAR);
    uint8_t *nic = m.config[NIC];
    store16(nic + 6, 0x10), nic[0x34] = 0x40;
    store32(nic + 0x10, MSIX_BAR);
    nic[0x40] = 0x01, nic[0x41] = 0x50; /* power management */
    nic[0x50] = 0x05, nic[0x51] = 0x80, store16(nic + 0x52, 0x0180), store32(nic + 0x54, 0xfee00000); /* MSI, off */
    nic[0x80] = 0x11, nic[0x81] = 0, store16(nic + 0x82, 0x8002), store32(nic + 0x84, 0x1000); /* MSI-X, 3 entries */
    for (unsigned i = 0; i < 12; i++)
        m.msix[i] = 0xfee00000 + i * 0x111;
    m.ghc = GHC_AE | GHC_IE;
    for (unsigned p = 0; p < 2; p++) {
        m.port[p][PXCLB / 4] = 0x100400 + p * 0x10000, m.port[p][PXFB / 4] = 0x101100;
        m.port[p][PXIE / 4] = 0x7d00007f, m.port[p][PXSCTL / 4] = 0x300, m.port[p][PXSSTS / 4] = 0x123;
        m.port[p][PXCMD / 4] = PXCMD_ST | PXCMD_FRE | PXCMD_SUD | PXCMD_POD | PXCMD_CR | PXCMD_FR;
        m.port[p][PXTFD / 4] = 0x50;
    }
    m.config[IDE][9] = 0x80;
    m.ide[0].device = 0xe0, m.ide[0].status = 0x50, m.ide[0].bm_command = 8, m.ide[0].bm_status = 0x60,
    m.ide[0].prd = 0x5000;
    m.ide[1].status = 0xff;
    const uint16_t hidden[] = {bdf_of[AHCI_HOST]}, kept[] = {bdf_of[KEPT]};
    pci_state_init(hidden, 1, kept, 1);
}

START_TEST(pci_round_trip)
{
    size_t count;
    boot();
    static struct dev_pcibm_state bm;
    struct model before = m;
    const struct dev_pci_id *ids = pci_state_functions(&count);
    ck_assert_uint_eq(count, FUNCTIONS - 1);
    ck_assert_int_eq(pci_state_capture(&s), E_OK);
    ck_assert_int_eq(pcibm_state_capture(&bm), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m) && !config_writes);
    ck_assert_uint_eq(s.msix_entries, 3);
    ck_assert_int_eq(dev_pci_check(&s, ids, count, why, sizeof why), E_OK);
    ck_assert_int_eq(dev_pcibm_check(&bm, why, sizeof why), E_OK);
    never_host = true;
    ck_assert_int_eq(pci_state_quiesce(), E_OK);
    ck_assert_uint_eq(load16(m.config[NIC] + 4) & 4, 0);
    ck_assert_uint_eq(load16(m.config[AHCI_HOST] + 4) & 4, 4);
    ck_assert_uint_eq(load16(m.config[KEPT] + 4) & 4, 4);
    ck_assert_uint_eq(load16(m.config[BRIDGE] + 4) & 4, 4);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        if (i == AHCI_HOST || i == KEPT)
            continue;
        uint8_t *c = m.config[i];
        for (unsigned r = 0x10; r < 0x30; r++)
            c[r] ^= 0x55;
        c[0x0c] = c[0x3c] = 0;
        store16(c + 4, 3);
    }
    store32(m.config[IDE] + 0x40, 0), store32(m.config[ISA] + 0x60, 0);
    store16(m.config[NIC] + 0x82, 2); /* MSI-X off */
    store16(m.config[NIC] + 0x44, 3); /* asleep */
    store32(m.config[NIC] + 0x54, 0);
    memset(m.msix, 0, sizeof m.msix);
    ck_assert_int_eq(pci_state_restore(&s), E_OK);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        if (i != AHCI_HOST && i != KEPT && i != BRIDGE) /* DMA is not on yet */
            ck_assert_uint_eq(load16(m.config[i] + 4) & 4, 0);
    ck_assert_int_eq(pcibm_state_restore(&bm), E_OK);
    /* 2C..2F of a device is not a register we restore: give it back for the comparison. */
    for (unsigned i = 0; i < FUNCTIONS; i++)
        if (i != BRIDGE)
            memcpy(m.config[i] + 0x28, before.config[i] + 0x28, 8);
    memcpy(m.config[BRIDGE] + 0x1e, before.config[BRIDGE] + 0x1e, 2); /* secondary status */
    for (unsigned i = 0; i < FUNCTIONS; i++)
        for (unsigned r = 0; r < 256; r++)
            ck_assert_msg(m.config[i][r] == before.config[i][r], "function %u register %02x: %02x, was %02x", i, r,
                          m.config[i][r], before.config[i][r]);
    ck_assert(!memcmp(&before, &m, sizeof m));
    dev_pci_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "7 functions"));
}
END_TEST

START_TEST(pci_in_place_writes_no_address)
{
    boot();
    struct pci_config_write plan[DEV_PCI_PLAN_MAX];
    ck_assert_int_eq(pci_state_capture(&s), E_OK);
    for (unsigned i = 0; i < s.functions; i++) {
        size_t n = dev_pci_plan_addresses(&s.function[i], s.function[i].config, plan);
        ck_assert_uint_eq(n, s.function[i].msix_count ? 1 : 0);
    }
}
END_TEST

START_TEST(pci_refusals)
{
    size_t count;
    boot();
    const struct dev_pci_id *ids = pci_state_functions(&count);
    ck_assert_int_eq(pci_state_capture(&s), E_OK);
    ck_assert_int_eq(dev_pci_check(&s, ids, count - 1, why, sizeof why), E_LAYOUT);
    bad = s, bad.functions--;
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_LAYOUT);
    bad = s, bad.functions = 65;
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_DEVICE);
    bad = s, bad.function[3].config[0] ^= 1;
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_DEVICE);
    bad = s, store16(bad.function[3].config, 0x1234), bad.function[3].id.vendor = 0x1234;
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_LAYOUT);
    bad = s, bad.function[3].cap_msi = 0xf0;
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_DEVICE);
    bad = s, bad.function[3].msix_count = 4;
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_DEVICE);
    bad = s, bad.msix_entries = 2;
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_DEVICE);
    bad = s, bad.function[3].config[0x41] = 0x40; /* a list that loops ends; the rest is then missing */
    ck_assert_int_eq(dev_pci_check(&bad, ids, count, why, sizeof why), E_DEVICE);
    /* Every bit of the identification and capability area, flipped: never a crash, never a write beyond the plan. */
    for (unsigned r = 0; r < 256; r++)
        for (unsigned b = 0; b < 8; b++) {
            struct pci_config_write plan[DEV_PCI_PLAN_MAX];
            bad.function[3] = s.function[3];
            bad.function[3].config[r] ^= (uint8_t)(1 << b);
            dev_pci_parse(&bad.function[3]);
            ck_assert_uint_le(dev_pci_plan_addresses(&bad.function[3], s.function[3].config, plan), DEV_PCI_PLAN_MAX);
            ck_assert_uint_le(dev_pci_plan_enables(&bad.function[3], plan), 4);
        }
    store16(m.config[NIC], 0xffff);
    memset(&s, 0, sizeof s);
    ck_assert_int_eq(pci_state_capture(&s), E_DEVICE);
}
END_TEST

START_TEST(ahci_round_trip)
{
    boot();
    struct model before = m;
    uint16_t bdf[DEV_AHCI_CONTROLLERS];
    ck_assert(ahci_state_present());
    ck_assert_uint_eq(ahci_state_list(bdf), 1); /* neither the hidden nor the kept one */
    ck_assert_int_eq(ahci_state_capture(&a), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m));
    ck_assert_int_eq(dev_ahci_check(&a, bdf, 1, why, sizeof why), E_OK);
    ck_assert_int_eq(ahci_state_quiesce(), E_OK);
    for (unsigned p = 0; p < 2; p++)
        ck_assert_uint_eq(m.port[p][PXCMD / 4] & (PXCMD_ST | PXCMD_FRE | PXCMD_CR | PXCMD_FR), 0);
    ck_assert_uint_eq(m.ghc & GHC_IE, 0);
    for (unsigned p = 0; p < 2; p++) {
        m.port[p][PXCLB / 4] = m.port[p][PXFB / 4] = m.port[p][PXSCTL / 4] = 0;
        m.port[p][PXIS / 4] = 0x41;
    }
    ck_assert_int_eq(ahci_state_restore(&a), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m));
    dev_ahci_show(&a, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "2 ports running"));
}
END_TEST

START_TEST(ahci_busy_stuck_and_odd)
{
    boot();
    uint16_t bdf[] = {bdf_of[AHCI_GUEST]}, other[] = {0x77};
    m.port[1][PXCI / 4] = 4;
    ck_assert_int_eq(ahci_state_capture(&a), E_BUSY);
    ck_assert_ptr_nonnull(strstr(env_log, "port=1 slots=00000004"));
    boot();
    ck_assert_int_eq(ahci_state_capture(&a), E_OK);
    stuck_port = 2;
    env_clock_step_us = 1000;
    ck_assert_int_eq(ahci_state_restore(&a), E_TIMEOUT);
    stuck_port = 0;
    m.port[0][PXTFD / 4] = ATA_STATUS_BSY;
    ck_assert_int_eq(ahci_state_restore(&a), E_TIMEOUT);
    env_clock_step_us = 1;
    ck_assert_int_eq(dev_ahci_check(&a, bdf, 0, why, sizeof why), E_LAYOUT);
    ck_assert_int_eq(dev_ahci_check(&a, other, 1, why, sizeof why), E_LAYOUT);
    bad_a = a, bad_a.controller[0].port[0].clb |= 4;
    ck_assert_int_eq(dev_ahci_check(&bad_a, bdf, 1, why, sizeof why), E_DEVICE);
    bad_a = a, bad_a.controller[0].port[0].in_flight = 1;
    ck_assert_int_eq(dev_ahci_check(&bad_a, bdf, 1, why, sizeof why), E_DEVICE);
    bad_a = a, bad_a.controller[0].port[2].cmd = 1;
    ck_assert_int_eq(dev_ahci_check(&bad_a, bdf, 1, why, sizeof why), E_DEVICE);
    bad_a = a, bad_a.controllers = 5;
    ck_assert_int_eq(dev_ahci_check(&bad_a, bdf, 1, why, sizeof why), E_DEVICE);
}
END_TEST

/* Without a driver in the guest what the firmware left in BMIS stays there, on whichever channel. */
START_TEST(ide_interrupt_nobody_sees)
{
    struct dev_ide_state i = {0};
    for (unsigned which = 1; which < 4; which++) {
        for (unsigned k = 0; k < 2; k++) {
            m.ide[k].status = 0x50, m.ide[k].bm_command = 0;
            m.ide[k].bm_status = which & BIT32(k) ? 0x60 | BM_STATUS_INTERRUPT : 0x60;
        }
        for (unsigned round = 0; round < 2; round++) {
            unsigned looks = 0;
            while (ide_state_capture(&i) == E_BUSY)
                ck_assert_uint_lt(++looks, 20);
            ck_assert_uint_gt(looks, 5); /* a guest that has a driver gets its time */
        }
    }
    ck_assert_int_eq(ide_state_capture(&i), E_BUSY);
    m.ide[0].bm_status = m.ide[1].bm_status = 0x60;
    ck_assert_int_eq(ide_state_capture(&i), E_OK);
}
END_TEST

START_TEST(ide_round_trip_and_refusals)
{
    boot();
    struct dev_ide_state i = {0}, bad_i;
    struct model before = m;
    uint16_t bdf[DEV_IDE_CONTROLLERS];
    ck_assert(ide_state_present());
    ck_assert_uint_eq(ide_state_list(bdf), 1);
    ck_assert_int_eq(ide_state_capture(&i), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m));
    ck_assert_int_eq(dev_ide_check(&i, bdf, 1, why, sizeof why), E_OK);
    ck_assert_int_eq(ide_state_quiesce(), E_OK);
    ck_assert_uint_eq(m.ide[0].control, ATA_CONTROL_NIEN);
    m.ide[0].device = 0xf0, m.ide[0].prd = 0, m.ide[0].bm_command = 0, m.ide[0].bm_status = 6;
    ck_assert_int_eq(ide_state_restore(&i), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m));
    dev_ide_show(&i, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "1 channels"));
    bad_i = i, bad_i.channel[0][0].status = 0xd0;
    ck_assert_int_eq(dev_ide_check(&bad_i, bdf, 1, why, sizeof why), E_DEVICE);
    bad_i = i, bad_i.channel[0][0].prd_table = 2;
    ck_assert_int_eq(dev_ide_check(&bad_i, bdf, 1, why, sizeof why), E_DEVICE);
    ck_assert_int_eq(dev_ide_check(&i, bdf, 0, why, sizeof why), E_LAYOUT);
    m.ide[0].bm_status |= BM_STATUS_ACTIVE;
    memset(&i, 0, sizeof i);
    ck_assert_int_eq(ide_state_capture(&i), E_BUSY);
    m.ide[0].bm_status = 0x60, m.ide[0].status = ATA_STATUS_DRQ;
    memset(&i, 0, sizeof i);
    ck_assert_int_eq(ide_state_capture(&i), E_BUSY);
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("dev_pci");
    TCase *c = tcase_create("all");
    tcase_add_test(c, pci_round_trip);
    tcase_add_test(c, pci_in_place_writes_no_address);
    tcase_add_test(c, pci_refusals);
    tcase_add_test(c, ahci_round_trip);
    tcase_add_test(c, ahci_busy_stuck_and_odd);
    tcase_add_test(c, ide_interrupt_nobody_sees);
    tcase_add_test(c, ide_round_trip_and_refusals);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("dev_pci", suite)
