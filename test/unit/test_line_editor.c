/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line editor: keys and their echo, line ends, over-long lines, and 100,000 random bytes. */
/* UNITS: kernel/line_editor.c */
#include "kernel/line_editor.h"
#include "unit.h"

#include <string.h>

static struct line_editor ed;
static char echoed[8192];
static size_t echoed_length;

static void put(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    if (echoed_length + n >= sizeof echoed)
        echoed_length = 0;
    memcpy(echoed + echoed_length, bytes, n);
    echoed_length += n;
    echoed[echoed_length] = 0;
}

static void start(void)
{
    struct sink sink = {put, NULL};
    line_editor_init(&ed, sink);
    echoed_length = 0;
    echoed[0] = 0;
}

/* All bytes; the last one's event. */
static enum line_event type(const char *keys)
{
    enum line_event event = LINE_NONE;
    for (; *keys; keys++)
        event = line_editor_feed(&ed, (uint8_t)*keys);
    return event;
}

START_TEST(a_line_with_its_echo)
{
    start();
    line_editor_show(&ed);
    ck_assert_int_eq(type("status"), LINE_NONE);
    ck_assert_int_eq(type("\r"), LINE_COMPLETE);
    ck_assert_str_eq(line_editor_line(&ed), "status");
    ck_assert_str_eq(echoed, "sojourn> status\r\n");
}
END_TEST

START_TEST(line_ends)
{
    static const struct {
        const char *keys;
        int lines;
    } cases[] = {{"\r", 1},   {"\n", 1},       {"\r\n", 1},   {"\n\r", 2},       {"\r\r", 2},
                 {"\n\n", 2}, {"\r\n\r\n", 2}, {"\r\n\n", 2}, {"a\r\nb\nc\r", 3}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int lines = 0;
        start();
        for (const char *k = cases[i].keys; *k; k++)
            lines += line_editor_feed(&ed, (uint8_t)*k) == LINE_COMPLETE;
        ck_assert_int_eq(lines, cases[i].lines);
    }
}
END_TEST

START_TEST(editing_keys)
{
    static const struct {
        const char *keys, *line;
    } cases[] = {
        {"statsu\b\bus\r", "status"},
        {"x\x7fhelp\r", "help"},
        {"\b\b\x7f\x7fok\r", "ok"},
        {"one two  \x17three\r", "one three"},
        {"one\x17\x17two\r", "two"},
        {"wrong\x15right\r", "right"},
        {"a\tb\r", "a b"},
        {"lo\x1b[Cg\r", "log"},           /* right arrow: swallowed */
        {"lo\x1bOPg\r", "log"},           /* F1 */
        {"lo\x1b[15~g\r", "log"},         /* F5 */
        {"lo\x1b[1;5Dg\r", "log"},        /* control left */
        {"lo\x1bxg\r", "log"},            /* alt x */
        {"lo\x1b\rnext\r", "next"},       /* escape broken off by the end of the line */
        {"l\xc3\xa4o\x80g\xff\r", "log"}, /* beyond ASCII */
        {"l\x01o\x02\x04g\r", "log"},
        {"lo\x1b[1111111111111111g\r", "log"} /* an endless sequence ends itself */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start();
        ck_assert_int_eq(type(cases[i].keys), LINE_COMPLETE);
        ck_assert_str_eq(line_editor_line(&ed), cases[i].line);
    }
}
END_TEST

START_TEST(nul_is_nothing)
{
    start();
    static const uint8_t keys[] = {0, 'h', 0, 0, 'e', 'l', 0, 'p', 0, '\r'};
    enum line_event event = LINE_NONE;
    for (size_t i = 0; i < sizeof keys; i++)
        event = line_editor_feed(&ed, keys[i]);
    ck_assert_int_eq(event, LINE_COMPLETE);
    ck_assert_str_eq(line_editor_line(&ed), "help");
    ck_assert_str_eq(echoed, "help\r\n");
}
END_TEST

START_TEST(cancel)
{
    start();
    ck_assert_int_eq(type("format --yes\x03"), LINE_CANCELLED);
    ck_assert_int_eq(type("\r"), LINE_COMPLETE);
    ck_assert_str_eq(line_editor_line(&ed), "");
}
END_TEST

START_TEST(up_arrow_brings_the_last_line)
{
    start();
    type("status\r\x1b[A");
    ck_assert_str_eq(echoed, "status\r\nstatus");
    ck_assert_int_eq(type(" --json\r"), LINE_COMPLETE);
    ck_assert_str_eq(line_editor_line(&ed), "status --json");
    /* An empty line does not replace it; down clears; application mode works, too. */
    type("\rgarbage\x1bOA\x1b[B\x1bOA\r");
    ck_assert_str_eq(line_editor_line(&ed), "status --json");
    start();
    type("\x1b[A\r");
    ck_assert_str_eq(line_editor_line(&ed), "");
}
END_TEST

START_TEST(longest_line_and_one_more)
{
    start();
    for (int i = 0; i < LINE_EDITOR_MAX; i++)
        ck_assert_int_eq(line_editor_feed(&ed, 'x'), LINE_NONE);
    ck_assert(!strchr(echoed, '\a'));
    ck_assert_int_eq(type("\r"), LINE_COMPLETE);
    ck_assert_uint_eq(strlen(line_editor_line(&ed)), LINE_EDITOR_MAX);

    start();
    for (int i = 0; i < LINE_EDITOR_MAX + 1000; i++)
        ck_assert_int_eq(line_editor_feed(&ed, 'x'), LINE_NONE);
    ck_assert_ptr_nonnull(strchr(echoed, '\a'));
    ck_assert_ptr_null(strchr(strchr(echoed, '\a') + 1, '\a'));
    ck_assert_int_eq(type("\r"), LINE_TOO_LONG);
    ck_assert_int_eq(type("help\r"), LINE_COMPLETE);
    ck_assert_str_eq(line_editor_line(&ed), "help");
    /* Cut text does not become whole by rubbing out its end: ^U does. */
    for (int i = 0; i < LINE_EDITOR_MAX + 1; i++)
        line_editor_feed(&ed, 'x');
    ck_assert_int_eq(type("\b\b\r"), LINE_TOO_LONG);
    for (int i = 0; i < LINE_EDITOR_MAX + 1; i++)
        line_editor_feed(&ed, 'x');
    ck_assert_int_eq(type("\x15list\r"), LINE_COMPLETE);
    ck_assert_str_eq(line_editor_line(&ed), "list");
}
END_TEST

START_TEST(what_the_gateway_echoed_is_not_echoed_again)
{
    start();
    for (const char *k = "leave"; *k; k++)
        line_editor_feed_echoed(&ed, (uint8_t)*k);
    ck_assert_str_eq(echoed, "");
    ck_assert_int_eq(line_editor_feed_echoed(&ed, '\r'), LINE_COMPLETE);
    ck_assert_str_eq(line_editor_line(&ed), "leave");
    ck_assert_str_eq(echoed, "\r\n");
    line_editor_feed(&ed, 'x');
    ck_assert_str_eq(echoed, "\r\nx");
    /* The recalled line was typed by nobody, so it is echoed. */
    start();
    for (const char *k = "ab\r\x1b[A"; *k; k++)
        line_editor_feed_echoed(&ed, (uint8_t)*k);
    ck_assert_str_eq(echoed, "\r\nab");
}
END_TEST

START_TEST(other_prompt)
{
    start();
    line_editor_set_prompt(&ed, "which? ");
    type("3");
    line_editor_show(&ed);
    ck_assert_str_eq(echoed, "3which? 3");
    line_editor_set_prompt(&ed, NULL);
    line_editor_show(&ed);
    ck_assert_str_eq(echoed, "3which? 3sojourn> 3");
}
END_TEST

START_TEST(random_bytes)
{
    start();
    srand(2);
    for (int i = 0; i < 100000; i++) {
        int r = rand();
        uint8_t byte = (uint8_t)(r % 3 ? ' ' + r / 3 % 95 : r / 3 % 256);
        if (byte == '\r' || byte == '\n')
            byte = rand() % 4 ? 'x' : byte;
        enum line_event event = (r & 1024) ? line_editor_feed(&ed, byte) : line_editor_feed_echoed(&ed, byte);
        ck_assert_int_le(event, LINE_TOO_LONG);
        ck_assert_uint_le(ed.length, LINE_EDITOR_MAX);
        ck_assert_uint_le(strlen(line_editor_line(&ed)), LINE_EDITOR_MAX);
        for (const char *p = line_editor_line(&ed); *p; p++)
            ck_assert(*p >= ' ' && *p <= '~');
    }
}
END_TEST

START_TEST(text_at_once_is_text_byte_by_byte)
{
    static struct line_editor one;
    static char echoed_one[sizeof echoed];
    uint8_t bytes[600];
    srand(9);
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)rand() % sizeof bytes;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(rand() % 40 ? 'a' + rand() % 26 : "\r\n\x1b[A\x15\x7f\x08\x17\t\xff"[rand() % 11]);
        start();
        for (size_t i = 0; i < n; i++)
            line_editor_feed_echoed(&ed, bytes[i]);
        one = ed;
        memcpy(echoed_one, echoed, sizeof echoed);
        start();
        for (size_t i = 0; i < n;) {
            size_t taken = line_editor_feed_text(&ed, bytes + i, n - i);
            ck_assert_uint_le(taken, n - i);
            i += taken;
            if (i < n)
                line_editor_feed_echoed(&ed, bytes[i++]);
        }
        ck_assert_str_eq(echoed, echoed_one);
        ck_assert_str_eq(line_editor_line(&ed), line_editor_line(&one));
        ck_assert_str_eq(ed.last, one.last);
        ck_assert(ed.length == one.length && ed.overflow == one.overflow && ed.after_cr == one.after_cr &&
                  ed.escape == one.escape);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("line_editor");
    TCase *t = tcase_create("all");
    tcase_add_test(t, a_line_with_its_echo);
    tcase_add_test(t, line_ends);
    tcase_add_test(t, editing_keys);
    tcase_add_test(t, nul_is_nothing);
    tcase_add_test(t, cancel);
    tcase_add_test(t, up_arrow_brings_the_last_line);
    tcase_add_test(t, longest_line_and_one_more);
    tcase_add_test(t, what_the_gateway_echoed_is_not_echoed_again);
    tcase_add_test(t, other_prompt);
    tcase_add_test(t, random_bytes);
    tcase_add_test(t, text_at_once_is_text_byte_by_byte);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("line_editor", suite)
