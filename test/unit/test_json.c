/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The JSON writer, checked against exact texts, an independent checker, and Python's json module. */
/* UNITS: kernel/json.c */
#include "kernel/json.h"

#include "json_check.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static char text[65536];
static size_t used;

static void put(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    ck_assert_uint_lt(used + n, sizeof text);
    memcpy(text + used, bytes, n);
    used += n;
    text[used] = 0;
}

static void start(struct json *j)
{
    struct sink sink = {put, NULL};
    used = 0;
    text[0] = 0;
    json_begin(j, sink);
}

START_TEST(the_checker_checks)
{
    static const char *const good[] = {
        "0",      "\"\"",      "[]", "{}", "[1,2]", "{\"a\":[{},[]],\"b\":null}", "true", "[\"\\u00e4\\n\"]",
        "[[[]]]", "{\"a\":{}}"};
    static const char *const bad[] = {"",
                                      "[",
                                      "]",
                                      "[1,]",
                                      "[,1]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{a:1}",
                                      "[1 2]",
                                      "01",
                                      "\"a",
                                      "\"\\x\"",
                                      "[1}",
                                      "{\"a\":1,}",
                                      "1,2",
                                      "[]]",
                                      "\"\n\"",
                                      "nul",
                                      "{\"a\":1 \"b\":2}",
                                      "{,}",
                                      "[1][2]",
                                      "\"\x80\"",
                                      "-"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(json_check(good[i]), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!json_check(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(nesting_and_commas)
{
    struct json j;
    start(&j);
    json_object(&j);
    json_put_u64(&j, "a", 0);
    json_put_u64(&j, "b", UINT64_MAX);
    json_put_bool(&j, "c", true);
    json_key(&j, "d");
    json_array(&j);
    json_object(&j);
    json_object_end(&j);
    json_null(&j);
    json_array(&j);
    json_array_end(&j);
    json_bool(&j, false);
    json_array_end(&j);
    json_put_string(&j, "e", NULL);
    json_put_string(&j, "f", "");
    ck_assert(!json_done(&j));
    json_object_end(&j);
    ck_assert(json_done(&j));
    ck_assert_str_eq(text,
                     "{\"a\":0,\"b\":18446744073709551615,\"c\":true,\"d\":[{},null,[],false],\"e\":null,\"f\":\"\"}");
    ck_assert(json_check(text));
}
END_TEST

START_TEST(escaping)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "\"plain\""},
        {"q\"b\\", "\"q\\\"b\\\\\""},
        {"\n\t\r\x01\x1f\x7f", "\"\\n\\u0009\\u000d\\u0001\\u001f\\u007f\""},
        {"\xc3\xa4", "\"\\u00e4\""},
        {"\xe2\x82\xac", "\"\\u20ac\""},
        {"\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\""},
        {"\xf4\x8f\xbf\xbf", "\"\\udbff\\udfff\""},
        {"a\xff"
         "b",
         "\"a\\ufffdb\""},
        {"\xc3", "\"\\ufffd\""}, /* cut short */
        {"\xe2\x82", "\"\\ufffd\\ufffd\""},
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},                       /* overlong */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},            /* surrogate */
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* beyond Unicode */
        {"\xc3(", "\"\\ufffd(\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json j;
        start(&j);
        json_string(&j, cases[i].in);
        ck_assert(json_done(&j));
        ck_assert_str_eq(text, cases[i].out);
        ck_assert(json_check(text));
    }
}
END_TEST

START_TEST(misuse_is_told)
{
    struct json j;
    start(&j);
    ck_assert(!json_done(&j)); /* nothing written */
    json_object(&j);
    json_u64(&j, 1); /* value without a key */
    json_object_end(&j);
    ck_assert(!json_done(&j));
    start(&j);
    json_key(&j, "x"); /* key outside an object */
    ck_assert(!json_done(&j));
    start(&j);
    json_object(&j);
    json_key(&j, "x");
    json_object_end(&j); /* key without a value */
    ck_assert(!json_done(&j));
    start(&j);
    json_array(&j);
    json_object_end(&j); /* wrong bracket */
    ck_assert(!json_done(&j));
    start(&j);
    json_u64(&j, 1);
    json_u64(&j, 2); /* two documents */
    ck_assert(!json_done(&j));
    start(&j);
    json_array_end(&j);
    ck_assert(!json_done(&j));
    start(&j);
    for (int i = 0; i < JSON_DEPTH_MAX + 1; i++)
        json_array(&j);
    for (int i = 0; i < JSON_DEPTH_MAX + 1; i++)
        json_array_end(&j);
    ck_assert(!json_done(&j));
    start(&j);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_array(&j);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_array_end(&j);
    ck_assert(json_done(&j));
    ck_assert(json_check(text));
}
END_TEST

START_TEST(random_documents)
{
    srand(4);
    char path[] = "/tmp/sojourn-test-json-XXXXXX", command[256];
    int fd = mkstemp(path);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    ck_assert_ptr_nonnull(out);
    for (int round = 0; round < 2000; round++) {
        struct json j;
        start(&j);
        json_array(&j);
        int depth = 1;
        bool object[JSON_DEPTH_MAX + 1] = {0};
        for (int step = rand() % 60; step > 0; step--) {
            char junk[16];
            size_t n = (size_t)rand() % sizeof junk;
            for (size_t i = 0; i < n; i++)
                junk[i] = (char)(1 + rand() % 255);
            junk[n] = 0;
            int what = rand() % 6;
            if (what == 0 && depth > 1) {
                object[--depth + 1] ? json_object_end(&j) : json_array_end(&j);
                continue;
            }
            if (object[depth])
                json_key(&j, junk);
            if (what == 1 && depth < JSON_DEPTH_MAX) {
                object[++depth] = rand() % 2;
                object[depth] ? json_object(&j) : json_array(&j);
            } else if (what == 2) {
                json_u64(&j, (uint64_t)rand() * (uint64_t)rand());
            } else if (what == 3) {
                json_null(&j);
            } else {
                json_string(&j, junk);
            }
        }
        for (; depth > 1; depth--)
            object[depth] ? json_object_end(&j) : json_array_end(&j);
        json_array_end(&j);
        ck_assert(json_done(&j));
        ck_assert_msg(json_check(text), "%s", text);
        fprintf(out, "%s\n", text);
    }
    fclose(out);
    snprintf(command, sizeof command,
             "python3 -c 'import json\nassert len([json.loads(l) for l in open(\"%s\")]) == 2000'", path);
    ck_assert_int_eq(system(command), 0);
    remove(path);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_checker_checks);
    tcase_add_test(t, nesting_and_commas);
    tcase_add_test(t, escaping);
    tcase_add_test(t, misuse_is_told);
    tcase_add_test(t, random_documents);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("json", suite)
