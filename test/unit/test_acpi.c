/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real tables of both emulators, and the same tables with every byte damaged. */
/* UNITS: drivers/acpi.c */
#include "bits.h"
#include "drivers/acpi.h"
#include "test/data/load.h"
#include "unit.h"

#include <string.h>

#define ARENA (256u << 20)
#define QEMU "test/data/acpi-qemu-q35.hex"
#define BOCHS "test/data/acpi-bochs.hex"

static uint8_t *memory;
static struct acpi_info info;
static char why[200];

static bool readable(uint64_t pa, uint64_t bytes)
{
    return pa <= ARENA && bytes <= ARENA - pa;
}

static bool nothing_readable(uint64_t pa, uint64_t bytes)
{
    return pa + bytes == 0;
}

static void load(const char *file)
{
    free(memory);
    memory = calloc(1, ARENA);
    env_phys_offset = (uintptr_t)memory;
    data_load_dump(file, memory, ARENA);
}

static enum err read_found(void)
{
    uint64_t at = acpi_find_rsdp(readable);
    ck_assert_uint_ne(at, 0);
    return acpi_read(memory + at, memory[at + 15] >= 2 ? 36 : 20, readable, &info, why, sizeof why);
}

static void fix_sum(uint32_t table)
{
    uint32_t len = load32(memory + table + 4);
    uint8_t sum = 0;
    memory[table + 9] = 0;
    for (uint32_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + memory[table + i]);
    memory[table + 9] = (uint8_t)-sum;
}

START_TEST(qemu_q35)
{
    load(QEMU);
    ck_assert_uint_eq(acpi_find_rsdp(readable), 0xf59e0);
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.tables, 5);
    ck_assert_uint_eq(info.bad_tables, 0);
    ck_assert_uint_eq(info.cpu_count, 2);
    ck_assert_uint_eq(info.apic_id[1], 1);
    ck_assert_uint_eq(info.lapic_address, 0xfee00000);
    ck_assert(info.pcat_compat);
    ck_assert_uint_eq(info.ioapic_count, 1);
    ck_assert_uint_eq(info.ioapic[0].address, 0xfec00000);
    ck_assert_uint_eq(info.override_count, 5);
    uint16_t flags;
    ck_assert_uint_eq(acpi_isa_gsi(&info, 0, &flags), 2);
    ck_assert_uint_eq(flags, 0);
    ck_assert_uint_eq(acpi_isa_gsi(&info, 9, &flags), 9);
    ck_assert_uint_eq(flags, 0xd);
    ck_assert_uint_eq(acpi_isa_gsi(&info, 3, &flags), 3);
    ck_assert_int_eq(acpi_gsi_ioapic(&info, 3), 0);
    ck_assert_uint_eq(info.hpet_address, 0xfed00000);
    ck_assert_uint_eq(info.mcfg_count, 1);
    ck_assert_uint_eq(info.mcfg[0].base, 0xb0000000);
    ck_assert_uint_eq(info.mcfg[0].bus_end, 255);
    ck_assert(info.pm_timer.present);
    ck_assert_uint_eq(info.pm_timer.space, ACPI_SPACE_IO);
    ck_assert_uint_eq(info.pm_timer.address, 0x608);
    ck_assert(!info.pm_timer_32bit);
    memory[0xffe211b + 113] |= 1; /* TMR_VAL_EXT */
    fix_sum(0xffe211b);
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert(info.pm_timer_32bit);
    ck_assert(info.reset.present);
    ck_assert_uint_eq(info.reset.address, 0xcf9);
    ck_assert_uint_eq(info.reset_value, 0xf);
    ck_assert_uint_eq(info.pm1a_control.address, 0x604);
    ck_assert_uint_eq(info.sci_irq, 9);
}
END_TEST

START_TEST(bochs)
{
    load(BOCHS);
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.tables, 4);
    ck_assert_uint_eq(info.bad_tables, 1); /* the SSDT, which the dump leaves out */
    ck_assert_uint_eq(info.cpu_count, 1);
    ck_assert_uint_eq(info.ioapic[0].id, 1);
    ck_assert_uint_eq(info.hpet_address, 0xfed00000);
    ck_assert_uint_eq(info.mcfg_count, 0);
    ck_assert_uint_eq(info.pm_timer.address, 0xb008);
    ck_assert(!info.pm_timer_32bit);
    ck_assert(!info.reset.present);
    ck_assert_uint_eq(info.pm1a_event.address, 0xb000);
    uint16_t flags;
    ck_assert_uint_eq(acpi_isa_gsi(&info, 0, &flags), 2);
}
END_TEST

/* An XSDT is preferred; a broken one falls back to the RSDT; a short RSDP of version 2 too. */
START_TEST(xsdt)
{
    load(QEMU);
    const uint32_t at = 0x80000, rsdt = 0xffe232b;
    uint8_t *rsdp = memory + 0xf59e0;
    memcpy(memory + at, "XSDT", 4);
    store32(memory + at + 4, 36 + 8);
    store64(memory + at + 36, 0xffe228f); /* only the HPET */
    fix_sum(at);
    rsdp[15] = 2;
    rsdp[8] = (uint8_t)(rsdp[8] - 2);
    store32(rsdp + 20, 36);
    store64(rsdp + 24, at);
    rsdp[32] = 0;
    uint8_t sum = 0;
    for (int i = 0; i < 36; i++)
        sum = (uint8_t)(sum + (i == 32 ? 0 : rsdp[i]));
    rsdp[32] = (uint8_t)-sum;
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.tables, 1);
    ck_assert(!info.has_madt && info.hpet_address == 0xfed00000);
    ck_assert_int_eq(acpi_read(rsdp, 20, readable, &info, why, sizeof why), E_OK);
    ck_assert_uint_eq(info.tables, 5);
    memory[at + 36] ^= 1;
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.tables, 5);
    memory[rsdt] ^= 1;
    ck_assert_int_eq(read_found(), E_ACPI);
    ck_assert_ptr_nonnull(strstr(why, "0xffe232b"));
}
END_TEST

START_TEST(rsdp_search)
{
    load(QEMU);
    uint8_t rsdp[20];
    memcpy(rsdp, memory + 0xf59e0, 20);
    memset(memory + 0xf59e0, 0, 20);
    ck_assert_uint_eq(acpi_find_rsdp(readable), 0);
    memcpy(memory + 0xffff0 - 4, rsdp, 20); /* not on a 16-byte boundary, and the last one is too short for it */
    ck_assert_uint_eq(acpi_find_rsdp(readable), 0);
    memcpy(memory + 0xfffe0, rsdp, 20);
    ck_assert_uint_eq(acpi_find_rsdp(readable), 0xfffe0);
    memcpy(memory + 0x9fc00 + 1008, rsdp, 20); /* would end outside the first KiB */
    ck_assert_uint_eq(acpi_find_rsdp(readable), 0xfffe0);
    memcpy(memory + 0x9fc00 + 992, rsdp, 20);
    ck_assert_uint_eq(acpi_find_rsdp(readable), 0x9fc00 + 992);
    store16(memory + 0x40e, 0x1000); /* no EBDA lies that low */
    ck_assert_uint_eq(acpi_find_rsdp(readable), 0xfffe0);
    ck_assert_uint_eq(acpi_find_rsdp(nothing_readable), 0);
    rsdp[10] ^= 1;
    ck_assert_int_eq(acpi_read(rsdp, 20, readable, &info, why, sizeof why), E_ACPI);
    ck_assert_int_eq(acpi_read(memory + 0xfffe0, 19, readable, &info, why, sizeof why), E_ACPI);
    ck_assert_int_eq(acpi_read(memory + 0xfffe0, 20, nothing_readable, &info, why, sizeof why), E_ACPI);
}
END_TEST

/* Each byte of each table damaged, with the checksum left wrong and with it repaired. */
START_TEST(every_byte)
{
    static const uint32_t tables[] = {0xffe211b, 0xffe220f, 0xffe228f, 0xffe22c7, 0xffe232b};
    load(QEMU);
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        uint32_t len = load32(memory + tables[t] + 4);
        for (uint32_t i = 0; i < len; i++) {
            static const uint8_t flips[] = {1, 0x80, 0xff};
            for (size_t f = 0; f < sizeof flips; f++) {
                uint8_t *p = memory + tables[t];
                uint8_t saved[256];
                memcpy(saved, p, len);
                p[i] ^= flips[f];
                enum err e = read_found();
                if (t == 4)
                    ck_assert_int_eq(e, E_ACPI);
                else
                    ck_assert(e == E_OK && info.bad_tables == (i < 4 ? 1 : info.bad_tables) && info.bad_tables >= 1);
                if (load32(p + 4) <= len && load32(p + 4) >= 36) {
                    fix_sum(tables[t]);
                    e = read_found(); /* whatever it says now: no read outside, no endless walk */
                    ck_assert_uint_le(info.ioapic_count, ACPI_IOAPICS_MAX);
                }
                memcpy(p, saved, len);
            }
        }
    }
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.bad_tables, 0);
}
END_TEST

START_TEST(madt_limits)
{
    load(QEMU);
    const uint32_t madt = 0x80000;
    /* A MADT of our own in the place of WAET: 100 CPUs by both kinds, 10 IOAPICs, 20 overrides, an address override. */
    uint8_t *p = memory + madt;
    memcpy(p, "APIC", 4);
    uint32_t at = 44;
    for (uint32_t i = 0; i < 100; i++) {
        if (i % 2) {
            p[at] = 9;
            p[at + 1] = 16;
            store32(p + at + 4, i);
            store32(p + at + 8, 1);
        } else {
            p[at] = 0;
            p[at + 1] = 8;
            p[at + 3] = (uint8_t)i;
            store32(p + at + 4, i == 50 ? 0 : 1); /* one is disabled */
        }
        at += p[at + 1];
    }
    for (uint32_t i = 0; i < 10; i++, at += 12) {
        p[at] = 1;
        p[at + 1] = 12;
        p[at + 2] = (uint8_t)i;
        store32(p + at + 8, 24 * i);
    }
    for (uint32_t i = 0; i < 20; i++, at += 10) {
        p[at] = 2;
        p[at + 1] = 10;
        p[at + 3] = (uint8_t)i;
    }
    p[at] = 5;
    p[at + 1] = 12;
    store64(p + at + 4, 0x1fee00000);
    at += 12;
    store32(p + 4, at);
    fix_sum(madt);
    memory[0xffe220f + 9] ^= 1; /* the firmware's own is damaged */
    store32(memory + 0xffe232b + 52, madt);
    fix_sum(0xffe232b);
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.bad_tables, 1);
    ck_assert_uint_eq(info.cpu_count, 99);
    ck_assert_uint_eq(info.apic_id[51], 52);
    ck_assert_uint_eq(info.ioapic_count, ACPI_IOAPICS_MAX);
    ck_assert_uint_eq(info.override_count, ACPI_OVERRIDES_MAX);
    ck_assert_uint_eq(info.lapic_address, 0x1fee00000);
    ck_assert_int_eq(acpi_gsi_ioapic(&info, 23), 0);
    ck_assert_int_eq(acpi_gsi_ioapic(&info, 24), 1);
    info.ioapic[0].gsi_base = 5;
    ck_assert_int_eq(acpi_gsi_ioapic(&info, 4), -1);
}
END_TEST

/* The last entry reaches beyond the table: a CPU that is not there. What came before it stays. */
START_TEST(madt_entry_cut)
{
    load(QEMU);
    const uint32_t madt = 0xffe220f;
    store32(memory + madt + 4, 44 + 8 + 6);
    fix_sum(madt);
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.cpu_count, 1);
    ck_assert_uint_eq(info.bad_tables, 1);
    store32(memory + madt + 4, 44 + 8 + 1); /* not even a whole entry header */
    fix_sum(madt);
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.cpu_count, 1);
    ck_assert_uint_eq(info.bad_tables, 1);
    memory[madt + 45] = 0; /* an entry of no length would be walked for ever */
    store32(memory + madt + 4, 128);
    fix_sum(madt);
    ck_assert_int_eq(read_found(), E_OK);
    ck_assert_uint_eq(info.cpu_count, 0);
    ck_assert_uint_eq(info.bad_tables, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("acpi");
    TCase *t = tcase_create("all");
    tcase_add_test(t, qemu_q35);
    tcase_add_test(t, bochs);
    tcase_add_test(t, xsdt);
    tcase_add_test(t, rsdp_search);
    tcase_add_test(t, every_byte);
    tcase_add_test(t, madt_limits);
    tcase_add_test(t, madt_entry_cut);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("acpi", suite)
