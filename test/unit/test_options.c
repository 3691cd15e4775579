/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GRUB line: defaults, every documented value, and that nothing wrong is taken silently. */
/* UNITS: kernel/options.c ckpt/seal.c */
/* LIBS: -lmbedcrypto */
#include "kernel/options.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static struct options o;

static void defaults_hold(void)
{
    ck_assert(o.console);
    ck_assert_uint_eq(o.console_port, 0x2f8);
    ck_assert_uint_eq(o.console_gsi, 3);
    ck_assert_str_eq(o.console_name, "com2");
    ck_assert(!o.settle_never);
    ck_assert_uint_eq(o.settle_s, 5);
    ck_assert_int_eq(o.store, STORE_CHOICE_AUTO);
    ck_assert_int_eq(o.restore, RESTORE_CHOICE_NEVER);
    ck_assert_int_eq(o.restore_clock, CLOCK_CHOICE_RUN);
    ck_assert_int_eq(o.start, START_CHOICE_VIRTUAL);
    ck_assert_int_eq(o.on_crash, CRASH_CHOICE_BOOT);
    ck_assert(!o.protect);
    ck_assert_int_eq(o.unknown_dma, DMA_CHOICE_WARN);
    ck_assert_int_eq(o.backend, BACKEND_CHOICE_AUTO);
    ck_assert(!o.visible);
    ck_assert_int_eq(o.guest, GUEST_CHOICE_DEFAULT);
    ck_assert_uint_eq(o.rate_mib_s, 0);
}

START_TEST(nothing_gives_defaults)
{
    static const char *const lines[] = {NULL, "", "   \t ", "/boot/sojourn.elf", "(hd0,gpt1)/sojourn.elf"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        options_parse(lines[i], &o);
        defaults_hold();
        ck_assert_uint_eq(o.warnings, 0);
    }
}
END_TEST

START_TEST(ports)
{
    static const struct {
        const char *value;
        uint16_t port;
        uint32_t gsi;
    } cases[] = {
        {"com1", 0x3f8, 4},        {"com2", 0x2f8, 3},
        {"com3", 0x3e8, 4},        {"com4", 0x2e8, 3},
        {"0x3f8", 0x3f8, 4},       {"0X2E8", 0x2e8, 3},
        {"0xe000,17", 0xe000, 17}, {"0xE0A8", 0xe0a8, OPTIONS_GSI_UNKNOWN},
        {"0x3f8,7", 0x3f8, 7},     {"0xfff8,255", 0xfff8, 255},
    };
    char line[64];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(line, sizeof line, "console=%s", cases[i].value);
        options_parse(line, &o);
        ck_assert_msg(o.warnings == 0, "%s: %s", line, o.warning[0]);
        ck_assert(o.console);
        ck_assert_uint_eq(o.console_port, cases[i].port);
        ck_assert_uint_eq(o.console_gsi, cases[i].gsi);
        ck_assert_str_eq(o.console_name, cases[i].value);
    }
    options_parse("console=none", &o);
    ck_assert(!o.console);
}
END_TEST

START_TEST(every_value_is_taken)
{
    options_parse("settle=0 store=none restore=latest start=native on-crash=restore protect=on unknown-dma=refuse "
                  "restore-clock=cut backend=vmx visible=1 guest=hd1,msdos3 rate=250",
                  &o);
    ck_assert_uint_eq(o.warnings, 0);
    ck_assert_uint_eq(o.settle_s, 0);
    ck_assert_int_eq(o.store, STORE_CHOICE_NONE);
    ck_assert_int_eq(o.restore, RESTORE_CHOICE_LATEST);
    ck_assert_int_eq(o.restore_clock, CLOCK_CHOICE_CUT);
    ck_assert_int_eq(o.start, START_CHOICE_NATIVE);
    ck_assert_int_eq(o.on_crash, CRASH_CHOICE_RESTORE);
    ck_assert(o.protect);
    ck_assert_int_eq(o.unknown_dma, DMA_CHOICE_REFUSE);
    ck_assert_int_eq(o.backend, BACKEND_CHOICE_VMX);
    ck_assert(o.visible);
    ck_assert_int_eq(o.guest, GUEST_CHOICE_MSDOS);
    ck_assert_uint_eq(o.guest_disk, 1);
    ck_assert_uint_eq(o.guest_partition, 3);
    ck_assert_uint_eq(o.rate_mib_s, 250);
    options_parse("settle=never store=gpt:sojourn-store restore=17 on-crash=hold backend=svm guest=hd0,gpt2", &o);
    ck_assert_uint_eq(o.warnings, 0);
    ck_assert(o.settle_never);
    ck_assert_int_eq(o.store, STORE_CHOICE_GPT);
    ck_assert_str_eq(o.store_label, "sojourn-store");
    ck_assert_int_eq(o.restore, RESTORE_CHOICE_ID);
    ck_assert_uint_eq(o.restore_id, 17);
    ck_assert_int_eq(o.on_crash, CRASH_CHOICE_HOLD);
    ck_assert_int_eq(o.backend, BACKEND_CHOICE_SVM);
    ck_assert_int_eq(o.guest, GUEST_CHOICE_GPT);
    ck_assert_uint_eq(o.guest_partition, 2);
    options_parse("restore=ask guest=hd127", &o);
    ck_assert_uint_eq(o.warnings, 0);
    ck_assert_int_eq(o.restore, RESTORE_CHOICE_ASK);
    ck_assert_int_eq(o.guest, GUEST_CHOICE_DISK);
    ck_assert_uint_eq(o.guest_disk, 127);
    options_parse("restore=18446744073709551615 settle=86400", &o);
    ck_assert_uint_eq(o.warnings, 0);
    ck_assert_uint_eq(o.restore_id, UINT64_MAX);
}
END_TEST

START_TEST(wrong_values_warn_and_default)
{
    static const char *const words[] = {
        "console=com5",
        "console=",
        "console",
        "console=0x",
        "console=0x3f8,",
        "console=0x3f8,256",
        "console=0x3f8x",
        "console=0x10000",
        "console=0xff",
        "console=3f8",
        "console=COM1",
        "settle=-1",
        "settle=86401",
        "settle=5s",
        "settle=99999999999999999999",
        "settle=",
        "store=gpt:",
        "store=disk",
        "store=gpt:1234567890123456789012345678901234567",
        "restore=0",
        "restore=newest",
        "restore=18446744073709551616",
        "start=real",
        "on-crash=panic",
        "on-crash=bootrestore",
        "\"on-crash=boot restore\"",
        "restore-clock=now",
        "restore-clock=ru",
        "protect=yes",
        "unknown-dma=ok",
        "backend=kvm",
        "visible=2",
        "guest=sda",
        "guest=hd",
        "guest=hd0,",
        "guest=hd0,msdos",
        "guest=hd0,gpt0",
        "guest=hd128",
        "guest=hd0,ext2",
        "guest=hd0,gpt1x",
        "guest=hd0x",
        "rate=fast",
        "Console=com1",
        "quiet",
        "=",
        "settle=5=5",
        "=x",
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        options_parse(words[i], &o);
        ck_assert_msg(o.warnings == 1, "%s: %u warnings", words[i], o.warnings);
        ck_assert_str_ne(o.warning[0], "");
        defaults_hold();
    }
}
END_TEST

START_TEST(a_bad_later_value_gives_the_default_too)
{
    options_parse("settle=never settle=x console=none console=what restore=3 restore=", &o);
    ck_assert_uint_eq(o.warnings, 3);
    defaults_hold();
    ck_assert(strstr(o.warning[0], "using 5"));
    ck_assert(strstr(o.warning[1], "com1 com2"));
    options_parse("settle=never settle=7", &o);
    ck_assert(!o.settle_never);
    ck_assert_uint_eq(o.settle_s, 7);
}
END_TEST

#define KEY_TEXT "00112233445566778899AABBccddeeff00112233445566778899aabbccddeeff"

/* A key is taken as it is, or not at all; whatever is wrong with it, no warning repeats it. */
START_TEST(keys)
{
    static const char *const bad[] = {"key=" KEY_TEXT "0",
                                      "key=0011223344556677",
                                      "\"key=" KEY_TEXT " \"",
                                      "key=g" KEY_TEXT,
                                      "key=" KEY_TEXT KEY_TEXT KEY_TEXT,
                                      "key=",
                                      "kye=" KEY_TEXT,
                                      "key=" KEY_TEXT " key=0011223344556677"};
    options_parse("settle=3 key=" KEY_TEXT " rate=1", &o);
    ck_assert_str_eq(o.key, KEY_TEXT);
    ck_assert_uint_eq(o.warnings, 0);
    options_parse("key=" KEY_TEXT " key=none", &o);
    ck_assert_str_eq(o.key, "");
    ck_assert_uint_eq(o.warnings, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        options_parse(bad[i], &o);
        ck_assert_msg(!o.key[0] && o.warnings == 1, "%s", bad[i]);
        ck_assert_msg(!strstr(o.warning[0], "00112233"), "%s", o.warning[0]);
        ck_assert_msg(strstr(o.warning[0], i == 6 ? "kye" : "key"), "%s", o.warning[0]);
    }
}
END_TEST

START_TEST(grub_quoting)
{
    options_parse("\"store=gpt:my store\" settle=9", &o);
    ck_assert_uint_eq(o.warnings, 0);
    ck_assert_str_eq(o.store_label, "my store");
    ck_assert_uint_eq(o.settle_s, 9);
    options_parse("store=gpt:it\\'s\\ \\\\mine", &o);
    ck_assert_str_eq(o.store_label, "it's \\mine");
    options_parse("'store=gpt:a b' \"settle=1", &o);
    ck_assert_str_eq(o.store_label, "a b");
    ck_assert_uint_eq(o.settle_s, 1);
    options_parse("\"\" '' \\", &o);
    ck_assert_uint_eq(o.warnings, 1); /* the lone backslash */
}
END_TEST

START_TEST(many_and_long_are_bounded)
{
    char line[4096] = "";
    for (int i = 0; i < 200; i++)
        strcat(line, "bad=word ");
    options_parse(line, &o);
    ck_assert_uint_eq(o.warnings, OPTIONS_WARNING_COUNT);
    ck_assert_uint_eq(o.warnings_hidden, 200 - OPTIONS_WARNING_COUNT);
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = 0;
    memcpy(line, "settle=", 7);
    options_parse(line, &o);
    ck_assert_uint_eq(o.warnings, 1);
    defaults_hold();
    ck_assert_uint_lt(strlen(o.warning[0]), OPTIONS_WARNING_MAX);
}
END_TEST

START_TEST(random_lines)
{
    static const char *const pieces[] = {"console=", "settle=", "store=gpt:", "guest=hd", ",",       "0x",
                                         "\"",       "'",       "\\",         " ",        "never",   "com1",
                                         "99",       "=",       "\x01",       "\xff",     "restore="};
    srand(1);
    for (int round = 0; round < 100000; round++) {
        char line[300] = "";
        for (int n = rand() % 16; n > 0; n--)
            strcat(line, pieces[(size_t)rand() % ARRAY_LEN(pieces)]);
        options_parse(line, &o);
        ck_assert_uint_le(o.warnings, OPTIONS_WARNING_COUNT);
        ck_assert(memchr(o.store_label, 0, sizeof o.store_label));
        ck_assert(memchr(o.console_name, 0, sizeof o.console_name));
        ck_assert_uint_le(o.settle_s, OPTIONS_SETTLE_MAX_S);
        for (uint32_t i = 0; i < o.warnings; i++)
            for (const char *p = o.warning[i]; *p; p++)
                ck_assert(*p >= ' ' && *p <= '~');
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("options");
    TCase *t = tcase_create("all");
    tcase_add_test(t, nothing_gives_defaults);
    tcase_add_test(t, ports);
    tcase_add_test(t, every_value_is_taken);
    tcase_add_test(t, wrong_values_warn_and_default);
    tcase_add_test(t, a_bad_later_value_gives_the_default_too);
    tcase_add_test(t, keys);
    tcase_add_test(t, grub_quoting);
    tcase_add_test(t, many_and_long_are_bounded);
    tcase_add_test(t, random_lines);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("options", suite)
