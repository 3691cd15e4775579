/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two I/O APICs as models behind MMIO. */
/* UNITS: ckpt/dev_common.c ckpt/dev_ioapic.c drivers/ioapic.c */
#include "bits.h"
#include "drivers/ioapic.h"
#include "io.h"
#include "unit.h"

#include <string.h>

#define BASE0 0xfec00000u
#define BASE1 0xfec01000u

static struct ioapic_model {
    uint32_t select, id;
    uint64_t entry[32];
} m[2];
static const uint32_t entries[2] = {24, 32};
static unsigned mixed; /* times an open entry had a half-written value */
static char why[200], text[200];
static struct dev_ioapic_state s, bad;

static struct ioapic_model *unit(hpa_t where, uint32_t *n)
{
    *n = where.v >= BASE1;
    ck_assert((where.v & ~0x1fffull) == BASE0);
    return &m[*n];
}

uint32_t mmio_read32(hpa_t where)
{
    uint32_t n;
    struct ioapic_model *u = unit(where, &n);
    if ((where.v & 0xfff) == 0)
        return u->select;
    ck_assert_uint_eq(where.v & 0xfff, 0x10);
    if (u->select == 0)
        return u->id;
    if (u->select == 1)
        return (entries[n] - 1) << 16 | 0x20;
    ck_assert_uint_lt(u->select - 0x10, 2 * entries[n]);
    uint64_t e = u->entry[(u->select - 0x10) / 2];
    return (uint32_t)(u->select & 1 ? e >> 32 : e);
}

void mmio_write32(hpa_t where, uint32_t v)
{
    uint32_t n;
    struct ioapic_model *u = unit(where, &n);
    if ((where.v & 0xfff) == 0) {
        u->select = v;
        return;
    }
    if (u->select == 0) {
        u->id = v;
        return;
    }
    ck_assert_uint_ge(u->select, 0x10);
    uint64_t *e = &u->entry[(u->select - 0x10) / 2];
    if (u->select & 1) {
        mixed += !(*e & IOAPIC_ENTRY_MASKED);
        *e = (uint32_t)*e | (uint64_t)v << 32;
        return;
    }
    uint64_t read_only = *e & IOAPIC_ENTRY_READ_ONLY;
    if (!(v & IOAPIC_ENTRY_LEVEL))
        read_only &= ~IOAPIC_ENTRY_REMOTE_IRR;
    *e = (*e & ~MASK(31, 0)) | (v & ~IOAPIC_ENTRY_READ_ONLY) | read_only;
}

static void boot(void)
{
    const struct ioapic_location at[2] = {{{BASE0}, 0}, {{BASE1}, 24}};
    ioapic_init(at, 2);
    mixed = 0;
    for (unsigned i = 0; i < 2; i++) {
        m[i].select = 0x12 + i;
        m[i].id = (i + 2) << 24;
        for (unsigned n = 0; n < 32; n++)
            m[i].entry[n] = n >= entries[i] ? 0
                                            : (uint64_t)(n + 1) << 56 | (n % 3 ? 0u : IOAPIC_ENTRY_MASKED) |
                                                  (0x30 + n) | (n == 9 ? IOAPIC_ENTRY_LEVEL | BIT(13) : 0);
    }
    memset(&s, 0, sizeof s);
}

START_TEST(round_trip)
{
    boot();
    m[0].entry[9] |= IOAPIC_ENTRY_REMOTE_IRR;
    struct ioapic_model before[2];
    memcpy(before, m, sizeof m);
    struct dev_ioapic_machine machine;
    ck_assert(ioapic_present());
    ioapic_machine(&machine);
    ck_assert_int_eq(ioapic_capture(&s), E_OK);
    ck_assert(!memcmp(before, m, sizeof m));
    ck_assert_int_eq(dev_ioapic_check(&s, &machine, why, sizeof why), E_OK);
    ck_assert_int_eq(ioapic_quiesce(), E_OK);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned n = 0; n < entries[i]; n++)
            ck_assert(m[i].entry[n] & IOAPIC_ENTRY_MASKED);
    ck_assert_uint_eq(m[0].select, before[0].select);
    memset(m, 0, sizeof m);
    m[0].entry[9] = IOAPIC_ENTRY_LEVEL | IOAPIC_ENTRY_REMOTE_IRR | IOAPIC_ENTRY_MASKED; /* stuck */
    ck_assert_int_eq(ioapic_restore(&s), E_OK);
    before[0].entry[9] &= ~IOAPIC_ENTRY_READ_ONLY;
    ck_assert(!memcmp(before, m, sizeof m));
    ck_assert_uint_eq(mixed, 0);
    dev_ioapic_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "2 units, 37 of 56 entries open, 1 levels"));
}
END_TEST

START_TEST(override_hides_the_hosts_entry)
{
    boot();
    const uint64_t nmi = 0x400;
    uint32_t lo, hi;
    uint64_t e, guest = m[0].entry[3];
    ck_assert_int_eq(ioapic_set_override(3, (uint32_t)guest, (uint32_t)(guest >> 32)), E_OK);
    ck_assert_int_eq(ioapic_write_entry(3, nmi), E_OK);
    ck_assert_uint_eq(m[0].entry[3], nmi);
    ck_assert_int_eq(ioapic_capture(&s), E_OK);
    ck_assert_uint_eq(s.unit[0].entry[3], guest);
    ck_assert_int_eq(ioapic_quiesce(), E_OK);
    ck_assert_uint_eq(m[0].entry[3], nmi);
    ck_assert_int_eq(ioapic_set_override(3, 0x10000, 0), E_OK); /* replaces: no second slot */
    ck_assert_int_eq(ioapic_restore(&s), E_OK);
    ck_assert_uint_eq(m[0].entry[3], nmi);
    ck_assert(ioapic_get_override(3, &lo, &hi));
    ck_assert_uint_eq((uint64_t)hi << 32 | lo, guest);
    ioapic_clear_override(3);
    ck_assert(!ioapic_get_override(3, &lo, &hi));
    ck_assert_int_eq(ioapic_read_entry(24 + 5, &e), E_OK);
    ck_assert_uint_eq(e, m[1].entry[5]);
    ck_assert_int_eq(ioapic_read_entry(56, &e), E_NOTFOUND);
    ck_assert_int_eq(ioapic_write_entry(56, 0), E_NOTFOUND);
    ck_assert_uint_eq(m[0].select, 0x12);
    for (uint32_t i = 0; i < IOAPIC_OVERRIDES_MAX; i++)
        ck_assert_int_eq(ioapic_set_override(i, 0, 0), E_OK);
    ck_assert_int_eq(ioapic_set_override(20, 0, 0), E_FULL);
}
END_TEST

START_TEST(refusals)
{
    boot();
    struct dev_ioapic_machine machine, other;
    ioapic_machine(&machine);
    ck_assert_int_eq(ioapic_capture(&s), E_OK);
    other = machine, other.units = 1;
    ck_assert_int_eq(dev_ioapic_check(&s, &other, why, sizeof why), E_LAYOUT);
    other = machine, other.entries[1] = 24;
    ck_assert_int_eq(dev_ioapic_check(&s, &other, why, sizeof why), E_LAYOUT);
    other = machine, other.gsi_base[1] = 32;
    ck_assert_int_eq(dev_ioapic_check(&s, &other, why, sizeof why), E_LAYOUT);
    bad = s, bad.units = 9;
    ck_assert_int_eq(dev_ioapic_check(&bad, &machine, why, sizeof why), E_DEVICE);
    bad = s, bad.unit[0].version = 0xff0020;
    ck_assert_int_eq(dev_ioapic_check(&bad, &machine, why, sizeof why), E_DEVICE);
    bad = s, bad.unit[0].entry[24] = 1;
    ck_assert_int_eq(dev_ioapic_check(&bad, &machine, why, sizeof why), E_DEVICE);
    bad = s, bad.unit[0].entry[1] = 0x0f;
    ck_assert_int_eq(dev_ioapic_check(&bad, &machine, why, sizeof why), E_DEVICE);
    bad = s, bad.unit[0].entry[1] = 0x400; /* NMI needs no vector */
    ck_assert_int_eq(dev_ioapic_check(&bad, &machine, why, sizeof why), E_OK);
    bad = s, bad.head.bytes = 0;
    ck_assert_int_eq(dev_ioapic_check(&bad, &machine, why, sizeof why), E_DEVICE);
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("ioapic");
    TCase *c = tcase_create("all");
    tcase_add_test(c, round_trip);
    tcase_add_test(c, override_hides_the_hosts_entry);
    tcase_add_test(c, refusals);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("ioapic", suite)
