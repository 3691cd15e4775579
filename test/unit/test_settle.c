/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rule that keeps a booting guest from being left before it has looked for its devices. */
/* UNITS: kernel/settle.c */
#include "kernel/settle.h"
#include "unit.h"

#define PERIOD 1000u
#define IDT 0xfffffe0000000000ull

START_TEST(linux_settles_a_period_after_user_mode)
{
    struct settle s = {0};
    ck_assert(!settle_look(&s, 0, PERIOD, false, 0, false));
    ck_assert(!settle_look(&s, 10, PERIOD, true, IDT, false));
    ck_assert(!settle_look(&s, 10 + PERIOD, PERIOD, true, IDT, false));
    ck_assert(!settle_look(&s, 2000, PERIOD, true, IDT, true));
    ck_assert(!settle_look(&s, 2999, PERIOD, true, IDT, false));
    ck_assert(settle_look(&s, 3000, PERIOD, true, IDT, false));
}
END_TEST

START_TEST(kernel_only_guest_settles_later)
{
    struct settle s = {0};
    ck_assert(!settle_look(&s, 5, PERIOD, true, IDT, false));
    ck_assert(!settle_look(&s, 5 + 4 * PERIOD - 1, PERIOD, true, IDT, false));
    ck_assert(settle_look(&s, 5 + 4 * PERIOD, PERIOD, true, IDT, false));
}
END_TEST

START_TEST(device_search_restarts)
{
    struct settle s = {0};
    ck_assert(!settle_look(&s, 0, PERIOD, true, IDT, true));
    settle_disturb(&s, 900);
    ck_assert(!settle_look(&s, 1000, PERIOD, true, IDT, true));
    ck_assert(settle_look(&s, 1900, PERIOD, true, IDT, true));
}
END_TEST

START_TEST(new_idt_restarts_and_forgets_user_mode)
{
    struct settle s = {0};
    ck_assert(!settle_look(&s, 0, PERIOD, true, IDT, true));
    ck_assert(!settle_look(&s, 999, PERIOD, true, IDT + 4096, false));
    ck_assert(!settle_look(&s, 999 + PERIOD, PERIOD, true, IDT + 4096, false));
    ck_assert(settle_look(&s, 999 + 4 * PERIOD, PERIOD, true, IDT + 4096, false));
}
END_TEST

/* The leader may never be seen in user mode; another CPU tells, once, for the leader's next look. */
START_TEST(user_mode_on_another_cpu)
{
    struct settle s = {0};
    ck_assert(!settle_look(&s, 0, PERIOD, true, IDT, false));
    s.user_elsewhere = true;
    ck_assert(!settle_look(&s, 2000, PERIOD, true, IDT, false)); /* the period begins with the look */
    ck_assert(!settle_look(&s, 2999, PERIOD, true, IDT, false)); /* and only once, though it stays true */
    ck_assert(settle_look(&s, 3000, PERIOD, true, IDT, false));
    settle_disturb(&s, 3500);
    ck_assert(!settle_look(&s, 4499, PERIOD, true, IDT, false));
    ck_assert(settle_look(&s, 4500, PERIOD, true, IDT, false));
    /* Seen here already: what another says changes nothing. */
    s = (struct settle){0};
    ck_assert(!settle_look(&s, 0, PERIOD, true, IDT, true));
    s.user_elsewhere = true;
    ck_assert(!settle_look(&s, 999, PERIOD, true, IDT, true));
    ck_assert(settle_look(&s, 1000, PERIOD, true, IDT, false));
    /* A new system is running: what was seen was the old one's. */
    ck_assert(!settle_look(&s, 5000, PERIOD, true, IDT + 4096, false));
    ck_assert(!s.user_elsewhere);
    ck_assert(!settle_look(&s, 5000 + PERIOD, PERIOD, true, IDT + 4096, false));
    ck_assert(settle_look(&s, 5000 + 4 * PERIOD, PERIOD, true, IDT + 4096, false));
    s = (struct settle){.user_elsewhere = true};
    ck_assert(!settle_look(&s, 1000 * PERIOD, PERIOD, false, 0, false));
}
END_TEST

START_TEST(never_outside_long_mode)
{
    struct settle s = {0};
    ck_assert(!settle_look(&s, 0, PERIOD, false, IDT, true));
    ck_assert(!settle_look(&s, 1000 * PERIOD, PERIOD, false, IDT, true));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("settle");
    TCase *t = tcase_create("all");
    tcase_add_test(t, linux_settles_a_period_after_user_mode);
    tcase_add_test(t, kernel_only_guest_settles_later);
    tcase_add_test(t, device_search_restarts);
    tcase_add_test(t, new_idt_restarts_and_forgets_user_mode);
    tcase_add_test(t, user_mode_on_another_cpu);
    tcase_add_test(t, never_outside_long_mode);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("settle", suite)
