/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every error has an identifier that programs can match and a text that people can read. */
/* UNITS: */
#include "err.h"
#include "unit.h"

#include <string.h>

START_TEST(every_code_has_name_and_text)
{
    for (int e = 0; e < ERR_COUNT; e++) {
        ck_assert_msg(strncmp(err_name((enum err)e), "E_", 2) == 0, "%d", e);
        ck_assert_uint_ge(strlen(err_text((enum err)e)), 4);
    }
}
END_TEST

START_TEST(out_of_range_is_internal)
{
    ck_assert_str_eq(err_name((enum err)ERR_COUNT), "E_INTERNAL");
    ck_assert_str_eq(err_text((enum err)(-1)), err_text(E_INTERNAL));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("err");
    TCase *t = tcase_create("all");
    tcase_add_test(t, every_code_has_name_and_text);
    tcase_add_test(t, out_of_range_is_internal);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("err", suite)
