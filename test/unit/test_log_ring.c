/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log ring and the logger upon it: order, overwriting, what a warm reset leaves, damage at every header byte. */
/* UNITS: kernel/log_ring.c */
#include "clock.h"
#include "kernel/log_ring.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* The image's logger, beside the one that env.c gives everybody. */
#define log_line image_log_line
void image_log_line(const char *module, const char *fmt, ...);
#include "kernel/log.c"
#undef log_line

#define AREA_BYTES 4096

static ALIGNED(8) unsigned char area[AREA_BYTES];
static char back[AREA_BYTES * 2];
static size_t back_length;
static struct log_ring r;

static void append(const char *text)
{
    log_ring_append(&r, text, strlen(text));
}

static enum log_ring_found recover(size_t max)
{
    memset(back, 0, sizeof back);
    return log_ring_recover(area, sizeof area, back, max, &back_length);
}

START_TEST(lines_come_back_in_order)
{
    char out[256];
    uint64_t position = 0;
    log_ring_init(&r, area, sizeof area);
    ck_assert_uint_eq(log_ring_read(&r, &position, out, sizeof out), 0);
    append("one");
    append("two\n\x01");
    size_t n = log_ring_read(&r, &position, out, sizeof out);
    ck_assert_uint_eq(n, 10);
    ck_assert(memcmp(out, "one\ntwo??\n", 10) == 0);
    append("three");
    ck_assert_uint_eq(log_ring_read(&r, &position, out, 3), 3);
    ck_assert(memcmp(out, "thr", 3) == 0);
    ck_assert_uint_eq(log_ring_read(&r, &position, out, sizeof out), 3);
    ck_assert_uint_eq(log_ring_read(&r, &position, out, sizeof out), 0);
    position = UINT64_MAX;
    ck_assert_uint_eq(log_ring_read(&r, &position, out, sizeof out), 0);
}
END_TEST

START_TEST(the_oldest_lines_go_first)
{
    char line[64];
    static char out[AREA_BYTES + 1];
    uint64_t position = 0;
    log_ring_init(&r, area, sizeof area);
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof line, "line number %d of many", i);
        append(line);
    }
    size_t n = log_ring_read(&r, &position, out, AREA_BYTES);
    out[n] = 0;
    ck_assert_uint_gt(n, AREA_BYTES - 200);
    int first = -1, count = 0;
    for (char *p = out; *p; p = strchr(p, '\n') + 1, count++) {
        int number = -1;
        ck_assert_int_eq(sscanf(p, "line number %d of many\n", &number), 1);
        if (first < 0)
            first = number;
        ck_assert_int_eq(number, first + count);
    }
    ck_assert_int_eq(first + count, 1000);
    /* A reader that was overtaken goes on at a whole line. */
    position = 5;
    n = log_ring_read(&r, &position, out, 12);
    ck_assert(n == 12 && memcmp(out, "line number ", 12) == 0);
}
END_TEST

START_TEST(a_warm_reset_keeps_it)
{
    log_ring_init(&r, area, sizeof area);
    append("before the reset");
    ck_assert_int_eq(recover(sizeof back), LOG_RING_GOOD);
    ck_assert_str_eq(back, "before the reset\n");
    for (int i = 0; i < 500; i++)
        append("a line of text that fills");
    append("the last");
    ck_assert_int_eq(recover(sizeof back), LOG_RING_GOOD);
    ck_assert(strncmp(back, "a line", 6) == 0);
    ck_assert_str_eq(back + back_length - 9, "the last\n");
    ck_assert_int_eq(recover(40), LOG_RING_GOOD); /* only the newest fit, whole lines */
    ck_assert_str_eq(back, "a line of text that fills\nthe last\n");
    ck_assert_int_eq(recover(0), LOG_RING_GOOD);
    ck_assert_uint_eq(back_length, 0);
}
END_TEST

START_TEST(nothing_there)
{
    memset(area, 0, sizeof area);
    ck_assert_int_eq(recover(sizeof back), LOG_RING_NONE);
    memset(area, 0xff, sizeof area);
    ck_assert_int_eq(recover(sizeof back), LOG_RING_NONE);
    ck_assert_uint_eq(back_length, 0);
    ck_assert_int_eq(log_ring_recover(area, 64, back, sizeof back, &back_length), LOG_RING_NONE);
    ck_assert_int_eq(log_ring_recover(area, 0, back, sizeof back, &back_length), LOG_RING_NONE);
}
END_TEST

START_TEST(one_broken_header_harms_nothing)
{
    for (size_t byte = 0; byte < 64; byte++) {
        for (int bit = 0; bit < 8; bit++) {
            log_ring_init(&r, area, sizeof area);
            append("text");
            area[byte] ^= (unsigned char)(1u << bit);
            ck_assert_int_eq(recover(sizeof back), LOG_RING_GOOD);
            ck_assert_str_eq(back, "text\n");
        }
    }
}
END_TEST

START_TEST(both_headers_broken_shows_what_lies_there)
{
    for (size_t byte = 0; byte < 32; byte++) {
        log_ring_init(&r, area, sizeof area);
        append("text");
        memcpy(area + sizeof(struct log_ring_area) + 100, "\x80\x01", 2);
        area[byte] ^= 0x10;
        area[byte + 32] ^= 0x10;
        enum log_ring_found found = recover(sizeof back);
        if (byte < 8) {
            ck_assert_int_eq(found, LOG_RING_NONE); /* not even the magic number */
        } else {
            ck_assert_int_eq(found, LOG_RING_DAMAGED);
            ck_assert(strncmp(back, "text\n?", 6) == 0);
            ck_assert_uint_eq(back_length, 102);
        }
    }
}
END_TEST

START_TEST(random_areas)
{
    srand(5);
    for (int round = 0; round < 3000; round++) {
        log_ring_init(&r, area, sizeof area);
        for (int i = rand() % 400; i > 0; i--)
            append("some text");
        for (int i = rand() % 40; i > 0; i--)
            area[rand() % (rand() % 2 ? 64 : AREA_BYTES)] = (unsigned char)rand();
        size_t max = (size_t)rand() % sizeof back;
        recover(max);
        ck_assert_uint_le(back_length, max);
        for (size_t i = 0; i < back_length; i++)
            ck_assert(back[i] == '\n' || (back[i] >= ' ' && back[i] <= '~'));
    }
}
END_TEST

static char seen[4096];
static int nested;

static void remember(const char *line, size_t length)
{
    strncat(seen, line, length);
    strcat(seen, "\n");
    if (nested-- > 0)
        image_log_line("sink", "from inside");
}

static char all_text[16384];
static const char *whole_log(bool old)
{
    uint64_t position = 0;
    size_t length = 0, n;
    while ((n = log_read(old, &position, all_text + length, 100)) > 0)
        length += n;
    all_text[length] = 0;
    return all_text;
}

START_TEST(the_logger)
{
    static ALIGNED(8) char now_area[AREA_BYTES], old_area[AREA_BYTES];
    env_clock_us = 12345678;
    env_clock_step_us = 0;
    image_log_line("vmx", "exit kind=%s gpa=0x%x", "npf", 0x1000);
    ck_assert_str_eq(whole_log(false), "[  12.345678] c0 vmx: exit kind=npf gpa=0x1000\n");

    /* Early lines move along; the area's old content becomes the previous log. */
    struct log_ring last;
    log_ring_init(&last, now_area, sizeof now_area);
    log_ring_append(&last, "[   1.000000] c0 boot: older", 28);
    log_start(now_area, sizeof now_area, old_area, sizeof old_area);
    ck_assert_str_eq(whole_log(true), "[   1.000000] c0 boot: older\n");
    ck_assert(strncmp(whole_log(false), "[  12.345678] c0 vmx: exit", 26) == 0);
    ck_assert(strstr(whole_log(false), "c0 log: previous=good bytes=29\n"));

    /* Sinks; a line logged by a sink is dropped and counted, never looped. */
    ck_assert(log_attach(remember));
    nested = 2;
    image_log_line("a", "first");
    nested = 0;
    image_log_line("a", "second");
    ck_assert_str_eq(seen, "[  12.345678] c0 a: first\n[  12.345678] c0 log: dropped=1 lines logged while logging\n"
                           "[  12.345678] c0 a: second\n");
    ck_assert_ptr_null(strstr(whole_log(false), "inside"));
    log_detach(remember);
    seen[0] = 0;
    image_log_line("a", "third");
    ck_assert_str_eq(seen, "");

    /* Cut at LOG_LINE_MAX, one line, terminated. */
    char big[400];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    image_log_line("big", "%s", big);
    const char *log = whole_log(false);
    const char *line = strstr(log, "big: ") - 17;
    ck_assert_uint_eq(strcspn(line, "\n"), LOG_LINE_MAX - 1);

    /* A panic inside the logger. */
    busy = true;
    image_log_line("a", "lost");
    log_break_guard();
    image_log_line("a", "found");
    ck_assert(strstr(whole_log(false), "a: found"));
    ck_assert_ptr_null(strstr(whole_log(false), "a: lost"));

    for (int i = 0; i < SINKS_MAX; i++)
        ck_assert(log_attach(remember));
    ck_assert(!log_attach(remember));
    log_detach(remember);
    env_clock_step_us = 1;
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("log_ring");
    TCase *t = tcase_create("all");
    tcase_add_test(t, lines_come_back_in_order);
    tcase_add_test(t, the_oldest_lines_go_first);
    tcase_add_test(t, a_warm_reset_keeps_it);
    tcase_add_test(t, nothing_there);
    tcase_add_test(t, one_broken_header_harms_nothing);
    tcase_add_test(t, both_headers_broken_shows_what_lies_there);
    tcase_add_test(t, random_areas);
    tcase_add_test(t, the_logger);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("log_ring", suite)
