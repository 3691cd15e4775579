/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The section of all CPUs' local APICs: which checkpoints fit which machine, and what is no such section at all. */
/* UNITS: ckpt/dev_common.c ckpt/dev_lapic.c ckpt/dev_lapics.c */
#include "ckpt/dev_lapics.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define CPUS 4u

static struct dev_lapics_state s;
static struct dev_lapics_machine machine;
static char why[200], text[300];

/* Four CPUs at the cut, and the same four now. */
static void start(void)
{
    memset(&s, 0, sizeof s);
    memset(&machine, 0, sizeof machine);
    memset(why, 0, sizeof why);
    s.head = DEV_HEAD(DEV_LAPICS_VERSION, struct dev_lapics_state);
    s.count = machine.count = CPUS;
    for (uint32_t i = 0; i < CPUS; i++) {
        s.cpu[i].head = DEV_HEAD(DEV_LAPIC_VERSION, struct dev_lapic_state);
        s.cpu[i].mode = machine.cpu[i].mode = LAPIC_MODE_XAPIC;
        s.cpu[i].id = machine.cpu[i].id = i << 25;
        machine.cpu[i].present = true;
    }
}

static enum err check(void)
{
    why[0] = 0;
    return dev_lapics_check(&s, &machine, why, sizeof why);
}

START_TEST(the_same_machine)
{
    start();
    ck_assert_int_eq(check(), E_OK);
    ck_assert_str_eq(why, "");
    dev_lapics_show(&s, text, sizeof text);
    ck_assert_msg(strncmp(text, "4 CPUs; 0: ", 11) == 0 && strlen(text) > 20, "%s", text);
    for (size_t len = 1; len < 20; len++) {
        memset(text, '#', sizeof text);
        dev_lapics_show(&s, text, len);
        ck_assert_uint_eq(strlen(text), len - 1);
        ck_assert_int_eq(text[len], '#');
    }
    for (uint32_t count = 1; count <= CPUS_MAX; count += CPUS_MAX - 1) {
        start();
        for (uint32_t i = CPUS; i < CPUS_MAX; i++) {
            s.cpu[i] = s.cpu[0];
            s.cpu[i].id = machine.cpu[i].id = i << 24;
            machine.cpu[i].present = true;
            machine.cpu[i].mode = LAPIC_MODE_XAPIC;
        }
        s.count = machine.count = count;
        ck_assert_int_eq(check(), E_OK);
    }
}
END_TEST

START_TEST(the_head)
{
    start();
    s.head.version = 1; /* of one CPU */
    ck_assert_int_eq(check(), E_STOREVERSION);
    ck_assert_str_ne(why, "");
    start();
    s.head.bytes--;
    ck_assert_int_eq(check(), E_DEVICE);
    start();
    s.head.zero = 1;
    ck_assert_int_eq(check(), E_DEVICE);
}
END_TEST

START_TEST(the_count)
{
    static const struct {
        uint32_t count, now;
        enum err code;
    } cases[] = {{0, 4, E_DEVICE}, {0, 0, E_DEVICE},  {65, 4, E_DEVICE}, {65, 65, E_DEVICE}, {UINT32_MAX, 4, E_DEVICE},
                 {3, 4, E_LAYOUT}, {64, 4, E_LAYOUT}, {4, 3, E_LAYOUT},  {1, 4, E_LAYOUT},   {4, 1, E_LAYOUT}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start();
        s.count = cases[i].count;
        machine.count = cases[i].now;
        ck_assert_msg(check() == cases[i].code, "case %zu: %s", i, why);
        char number[12];
        snprintf(number, sizeof number, "%u", cases[i].count);
        ck_assert_ptr_nonnull(strstr(why, number));
    }
}
END_TEST

/* A CPU that the host never got up has nothing in the checkpoint; whether it is there now does not matter. */
START_TEST(absent_cpus)
{
    for (uint32_t i = 0; i < CPUS; i++) {
        start();
        ck_assert(dev_lapics_has(&s, i));
        ck_assert(!dev_lapics_has(&s, CPUS));
        ck_assert(!dev_lapics_has(&s, UINT32_MAX));
        /* There at the cut, but it did not come up this time. */
        machine.cpu[i].present = false;
        ck_assert_int_eq(check(), E_LAYOUT);
        ck_assert_ptr_nonnull(strstr(why, "did not come up"));
        char number[12];
        snprintf(number, sizeof number, "CPU %u ", i);
        ck_assert_ptr_nonnull(strstr(why, number));
    }
    for (uint32_t i = 1; i < CPUS; i++) {
        start();
        memset(&s.cpu[i], 0, sizeof s.cpu[i]);
        ck_assert(!dev_lapics_has(&s, i));
        ck_assert_int_eq(check(), E_OK);
        machine.cpu[i].present = false;
        ck_assert_int_eq(check(), E_OK);
    }
}
END_TEST

/* Each CPU's own state is looked at with that CPU's id and mode, and the first that is wrong says so. */
START_TEST(a_bad_entry)
{
    for (uint32_t i = 0; i < CPUS; i++) {
        start();
        s.cpu[i].mode = 3;
        ck_assert_int_eq(check(), E_DEVICE);
        start();
        s.cpu[i].id ^= 1u << 24;
        ck_assert_int_eq(check(), E_LAYOUT);
        start();
        machine.cpu[i].mode = LAPIC_MODE_OFF;
        ck_assert_int_eq(check(), E_LAYOUT);
        start();
        s.cpu[i].irr[0] = 1; /* vector 0 */
        ck_assert_int_eq(check(), E_DEVICE);
        ck_assert_str_ne(why, "");
        start();
        s.cpu[i].head.version++;
        ck_assert_int_eq(check(), E_STOREVERSION);
        start();
        s.cpu[i].head.bytes = 1; /* neither there nor absent */
        ck_assert_int_eq(check(), E_DEVICE);
        for (uint32_t later = i + 1; later < CPUS; later++)
            s.cpu[later].head.version = 9;
        ck_assert_int_eq(check(), E_DEVICE);
    }
    /* What lies behind the count is nobody's. */
    start();
    s.count = machine.count = 2;
    s.cpu[2].mode = 3;
    ck_assert_int_eq(check(), E_OK);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("lapics");
    TCase *t = tcase_create("all");
    tcase_add_test(t, the_same_machine);
    tcase_add_test(t, the_head);
    tcase_add_test(t, the_count);
    tcase_add_test(t, absent_cpus);
    tcase_add_test(t, a_bad_entry);
    suite_add_tcase(suite, t);
    return suite;
}

UNIT_MAIN("lapics", suite)
