/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a write of the interrupt command register asks for: every delivery mode, shorthand and destination. */
/* UNITS: kernel/icr.c */
#include "bits.h"
#include "kernel/icr.h"
#include "unit.h"

#define MODE(n) ((uint32_t)(n) << 8)
#define MODE_INIT MODE(5)
#define MODE_STARTUP MODE(6)
#define LOGICAL BIT32(11)
#define ASSERT BIT32(14)
#define LEVEL BIT32(15)
#define SHORTHAND(n) ((uint32_t)(n) << 18)

static void expect(uint32_t low, uint32_t high, bool x2apic, enum icr_kind kind, enum icr_target target, uint32_t id)
{
    struct icr_command c = icr_decode(low, high, x2apic);
    ck_assert_msg(c.kind == kind, "%08x %08x: kind %d", low, high, (int)c.kind);
    ck_assert_msg(c.target == target, "%08x %08x: target %d", low, high, (int)c.target);
    if (target == ICR_TARGET_ONE)
        ck_assert_uint_eq(c.apic_id, id);
    ck_assert_uint_eq(c.vector, low & 0xff);
}

/* As systems send them: SDM 3A 8.4.4.1 "Typical BSP Initialization Sequence", and Linux. */
START_TEST(what_systems_send)
{
    expect(0x000c4500, 0, false, ICR_INIT, ICR_TARGET_OTHERS, 0);
    expect(0x000c4699, 0, false, ICR_STARTUP, ICR_TARGET_OTHERS, 0);
    expect(0x0000c500, 0x03000000, false, ICR_INIT, ICR_TARGET_ONE, 3);
    expect(0x00008500, 0x03000000, false, ICR_DEASSERT, ICR_TARGET_ONE, 3);
    expect(0x0000069a, 0x03000000, false, ICR_STARTUP, ICR_TARGET_ONE, 3);
    expect(0x0000069a, 0x00000103, true, ICR_STARTUP, ICR_TARGET_ONE, 0x103);
    expect(0x000000fb, 0x01000000, false, ICR_OTHER, ICR_TARGET_ONE, 1); /* a reschedule */
    expect(0x000008fd, 0x03000000, false, ICR_OTHER, ICR_TARGET_LOGICAL, 0);
    expect(0x000c0002 | MODE(4), 0, false, ICR_OTHER, ICR_TARGET_OTHERS, 0); /* NMI to all others */
    expect(0x00088500, 0, false, ICR_DEASSERT, ICR_TARGET_ALL, 0);           /* arbitration ids, long ago */
}
END_TEST

START_TEST(every_delivery_mode)
{
    for (uint32_t mode = 0; mode < 8; mode++)
        for (uint32_t flags = 0; flags < 4; flags++) {
            uint32_t low = MODE(mode) | (flags & 1 ? ASSERT : 0) | (flags & 2 ? LEVEL : 0) | 0x77;
            enum icr_kind kind = mode == 5 ? flags == 2 ? ICR_DEASSERT : ICR_INIT : mode == 6 ? ICR_STARTUP : ICR_OTHER;
            for (int x2apic = 0; x2apic < 2; x2apic++)
                expect(low, x2apic ? 5 : 5u << 24, x2apic, kind, ICR_TARGET_ONE, 5);
            /* Delivery status and reserved bits mean nothing here. */
            expect(low | BIT32(12) | BIT32(13) | 0xfff20000, 5u << 24, false, kind, ICR_TARGET_ONE, 5);
        }
}
END_TEST

/* With a shorthand the destination field and its mode are ignored. */
START_TEST(every_shorthand)
{
    static const enum icr_target targets[] = {ICR_TARGET_ONE, ICR_TARGET_SELF, ICR_TARGET_ALL, ICR_TARGET_OTHERS};
    for (uint32_t n = 1; n < 4; n++)
        for (int x2apic = 0; x2apic < 2; x2apic++)
            for (int logical = 0; logical < 2; logical++) {
                uint32_t low = SHORTHAND(n) | (logical ? LOGICAL : 0);
                expect(low | MODE_INIT | ASSERT, 0x12345678, x2apic, ICR_INIT, targets[n], 0);
                expect(low | MODE_STARTUP | 0x10, UINT32_MAX, x2apic, ICR_STARTUP, targets[n], 0);
                expect(low | 0x40, 0, x2apic, ICR_OTHER, targets[n], 0);
            }
}
END_TEST

START_TEST(destinations)
{
    /* xAPIC: the top byte alone, and FF is everybody. x2APIC: all of it, and only all ones are everybody. */
    expect(MODE_INIT, 0x05ffffff, false, ICR_INIT, ICR_TARGET_ONE, 5);
    expect(MODE_INIT, 0x00000005, false, ICR_INIT, ICR_TARGET_ONE, 0);
    expect(MODE_INIT, 0xff000000, false, ICR_INIT, ICR_TARGET_ALL, 0);
    expect(MODE_INIT, 0xfe000000, false, ICR_INIT, ICR_TARGET_ONE, 0xfe);
    expect(MODE_INIT, 0x000000ff, true, ICR_INIT, ICR_TARGET_ONE, 0xff);
    expect(MODE_INIT, 0xff000000, true, ICR_INIT, ICR_TARGET_ONE, 0xff000000);
    expect(MODE_INIT, 0xfffffffe, true, ICR_INIT, ICR_TARGET_ONE, 0xfffffffe);
    expect(MODE_STARTUP, 0xffffffff, true, ICR_STARTUP, ICR_TARGET_ALL, 0);
    /* Logical: whoever that is, broadcast included, it is not decided here. */
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        expect(MODE_INIT | LOGICAL, 0x01000001, x2apic, ICR_INIT, ICR_TARGET_LOGICAL, 0);
        expect(MODE_STARTUP | LOGICAL, 0xffffffff, x2apic, ICR_STARTUP, ICR_TARGET_LOGICAL, 0);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("icr");
    TCase *t = tcase_create("all");
    tcase_add_test(t, what_systems_send);
    tcase_add_test(t, every_delivery_mode);
    tcase_add_test(t, every_shorthand);
    tcase_add_test(t, destinations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("icr", suite)
