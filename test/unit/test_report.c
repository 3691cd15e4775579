/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, list and show: the JSON that programs rely on, key by key, and the text for people. */
/* UNITS: kernel/report.c kernel/json.c */
#include "kernel/report.h"

#include "json_check.h"
#include "unit.h"

#include <string.h>
#include <time.h>

static char text[16384];
static size_t used;

static void put(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    ck_assert_uint_lt(used + n, sizeof text);
    memcpy(text + used, bytes, n);
    used += n;
    text[used] = 0;
}

static const struct sink sink = {put, NULL};

static void start(void)
{
    used = 0;
    text[0] = 0;
}

static void fill(struct status_report *r)
{
    memset(r, 0, sizeof *r);
    r->version = "0.1";
    r->backend = "svm";
    r->mode = REPORT_VIRTUAL;
    r->cpus = 1;
    r->ram_bytes = 256ull << 20;
    r->hidden_bytes = 12ull << 20;
    r->store.bytes = 1ull << 30;
    r->store.used = 4096;
    r->store.checkpoints = 2;
    strcpy(r->store.text, "ahci0.1 partition 2");
    r->transitions.enter = 3;
    r->transitions.leave = 4;
    r->transitions.refused = 1;
    strcpy(r->transitions.last_refusal, "E_MODE: real mode");
    r->exits[EXIT_CPUID] = 890;
    r->exits[EXIT_NMI] = 7;
    r->first_guest_us = 77;
    r->cycles.enter = 11;
    r->cycles.leave = 22;
    r->cycles.stop = 33;
    r->checkpoint.bytes = 1;
    r->checkpoint.capture_us = 2;
    r->checkpoint.look_us = 9;
    r->checkpoint.write_us = 3;
    r->checkpoint.wait_us = 4;
    r->checkpoint.commit_us = 5;
    r->stops_us.last = 1500;
    r->stops_us.max = 2500;
}

START_TEST(status_json_is_the_contract)
{
    static const char *const expected =
        "{\"version\":\"0.1\",\"backend\":\"svm\",\"mode\":\"virtual\",\"activity\":\"idle\",\"guest\":\"running\","
        "\"cpus\":1,\"ram_bytes\":268435456,\"hidden_bytes\":12582912,\"store\":{\"state\":\"ready\",\"bytes\":"
        "1073741824,"
        "\"used\":4096,\"checkpoints\":2,\"text\":\"ahci0.1 partition 2\"},\"transitions\":{\"enter\":3,\"leave\":4,"
        "\"refused\":1,\"last_refusal\":\"E_MODE: real mode\"},\"exits\":{\"total\":897,";
    struct status_report r;
    fill(&r);
    start();
    report_status_json(&sink, &r);
    ck_assert(json_check(text));
    ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "%s", text);
    ck_assert(strstr(text, ",\"cpuid\":890,"));
    ck_assert(strstr(text, ",\"nmi\":7,"));
    ck_assert(strstr(text, ",\"hlt\":0,"));
    ck_assert(strstr(text, "},\"stops_us\":{\"last\":1500,\"max\":2500},"));
    /* Beyond the contract: at the end, in this order. */
    ck_assert(strstr(
        text, "],\"first_guest_us\":77,\"cycles\":{\"enter\":11,\"leave\":22,\"stop\":33},\"checkpoint\":{\"bytes\":1,"
              "\"capture_us\":2,\"look_us\":9,\"write_us\":3,\"wait_us\":4,\"commit_us\":5}"));
    ck_assert_ptr_null(strchr(text, '\n'));
}
END_TEST

START_TEST(status_words)
{
    struct status_report r;
    fill(&r);
    r.mode = REPORT_NATIVE;
    r.activity = REPORT_GUARDING;
    r.guest = REPORT_PARKED;
    r.store.state = REPORT_STORE_BAD;
    r.notes = 2;
    strcpy(r.note[0], "e1000 \"00:03.0\" is not quiesced");
    strcpy(r.note[1], "second");
    strcpy(r.reason, "triple fault");
    r.percent = 42;
    r.dirty = "log";
    r.hidden_writes = 7;
    r.automatic = (struct auto_report){30, 4, 5, 6, 1, E_DMA};
    start();
    report_status_json(&sink, &r);
    ck_assert(json_check(text));
    ck_assert(strstr(text, "\"mode\":\"native\",\"activity\":\"guarding\",\"guest\":\"parked\""));
    ck_assert(strstr(text, "\"state\":\"bad\""));
    ck_assert(
        strstr(text, "\"reason\":\"triple fault\",\"notes\":[\"e1000 \\\"00:03.0\\\" is not quiesced\",\"second\"]"));
    ck_assert(strstr(text, "\"hidden_writes\":7,\"auto\":{\"every_s\":30,\"keep\":4,\"next_s\":5,"
                           "\"taken\":6,\"failed\":1,"
                           "\"last_error\":\"E_DMA\"},\"dirty\":\"log\"}"));
    r.activity = REPORT_SAVING;
    r.guest = REPORT_NO_GUEST;
    r.store.state = REPORT_STORE_ABSENT;
    start();
    report_status_json(&sink, &r);
    ck_assert(strstr(text, "\"activity\":\"saving\",\"guest\":\"none\""));
    ck_assert(strstr(text, "\"state\":\"absent\""));
    r.activity = REPORT_LOADING;
    start();
    report_status_text(&sink, &r);
    ck_assert(strstr(text, "activity     loading 42%\n"));
    ck_assert(strstr(text, "mode         native: triple fault\n"));
    ck_assert(strstr(text, "hidden       7 guest writes to hidden memory dropped\n"));
    ck_assert(strstr(text, "note         second\n"));
    /* Values that no enum has, and too many notes, are shown and not followed. */
    r.mode = (enum report_mode)77;
    r.notes = 1000;
    start();
    report_status_json(&sink, &r);
    ck_assert(json_check(text));
    ck_assert(strstr(text, "\"mode\":\"?\""));
}
END_TEST

START_TEST(status_text)
{
    struct status_report r;
    fill(&r);
    start();
    report_status_text(&sink, &r);
    ck_assert(strstr(text, "mode         virtual\n"));
    ck_assert(strstr(text, "guest        running, 1 CPU, 256 MiB RAM, 12.0 MiB hidden\n"));
    ck_assert(strstr(text, "store        ready, 2 checkpoints, 4096 bytes of 1.0 GiB used (ahci0.1 partition 2)\n"));
    ck_assert(strstr(text, "transitions  3 enter, 4 leave, 1 refused; last: E_MODE: real mode\n"));
    ck_assert(strstr(text, "exits        897: nmi 7, cpuid 890\n"));
    ck_assert(strstr(text, "stops        last 1500 us, longest 2500 us\n"));
    ck_assert_ptr_null(strstr(text, "note"));
}
END_TEST

START_TEST(rows)
{
    struct checkpoint_row row = {
        .id = 1, .time_s = 1795320000, .pages = 5, .bytes = 20480, .disk = REPORT_DISK_NONE, .state = "committed"};
    struct json j;
    start();
    json_begin(&j, sink);
    json_array(&j);
    report_row_json(&j, &row);
    row.id = 2;
    row.incremental = true;
    row.parent = 1;
    row.disk = REPORT_DISK_MEMORY_ONLY;
    row.pinned = true;
    row.state = NULL;
    strcpy(row.label, "a \"b\"");
    report_row_json(&j, &row);
    json_array_end(&j);
    ck_assert(json_done(&j));
    ck_assert(json_check(text));
    ck_assert_str_eq(text,
                     "[{\"id\":1,\"label\":\"\",\"kind\":\"full\",\"parent\":null,\"time\":\"2026-11-22T04:00:00Z\","
                     "\"pages\":5,\"bytes\":20480,\"disk\":\"none\",\"state\":\"committed\",\"pinned\":false},"
                     "{\"id\":2,\"label\":\"a \\\"b\\\"\",\"kind\":\"incremental\",\"parent\":1,"
                     "\"time\":\"2026-11-22T04:00:00Z\",\"pages\":5,\"bytes\":20480,\"disk\":\"memory-only\","
                     "\"state\":\"committed\",\"pinned\":true}]");
    start();
    report_list_head_text(&sink);
    size_t column = (size_t)(strstr(text, "LABEL") - text), pin = (size_t)(strstr(text, "PIN") - text);
    size_t kind = (size_t)(strstr(text, "KIND") - text), parent = (size_t)(strstr(text, "PARENT") - text);
    start();
    report_row_text(&sink, &row);
    ck_assert_uint_eq((size_t)(strstr(text, "a \"b\"") - text), column);
    ck_assert(strncmp(text + kind, "incremental       1  2026", 25) == 0 && parent == kind + 13);
    ck_assert(strncmp(text + pin, "yes  a \"b\"\n", 11) == 0);
    row.pinned = row.incremental = false;
    row.parent = 0;
    start();
    report_row_text(&sink, &row);
    ck_assert(strncmp(text + kind, "full              -  2026", 25) == 0);
    ck_assert(strncmp(text + pin, "-    a \"b\"\n", 11) == 0);
}
END_TEST

START_TEST(show)
{
    struct checkpoint_detail d;
    memset(&d, 0, sizeof d);
    d.row.id = 4;
    d.row.disk = REPORT_DISK_CONSISTENT;
    d.row.parent = 3;
    d.row.incremental = true;
    d.cpus = 2;
    d.ram_bytes = 1 << 28;
    strcpy(d.made_by, "0.1 vmx");
    strcpy(d.why_not, "other machine");
    d.sections = 1;
    strcpy(d.section[0].name, "pic");
    d.section[0].bytes = 16;
    strcpy(d.section[0].text, "master 11 slave 22");
    start();
    report_show_json(&sink, &d);
    ck_assert(json_check(text));
    ck_assert(strncmp(text, "{\"id\":4,\"label\":\"\",\"kind\":\"incremental\",\"parent\":3,", 47) == 0);
    ck_assert(strstr(
        text, "\"restorable\":false,\"why_not\":\"other machine\",\"sections\":[{\"name\":\"pic\",\"bytes\":16,"));
    start();
    report_show_text(&sink, &d);
    ck_assert(strstr(text, "incremental upon 3, committed\n"));
    ck_assert_ptr_null(strstr(text, "pinned"));
    ck_assert(strstr(text, "restorable   no: other machine\n"));
    ck_assert(strstr(text, "master 11 slave 22\n"));
    d.sections = 4000;
    d.restorable = true;
    d.row.pinned = true;
    start();
    report_show_json(&sink, &d);
    ck_assert(json_check(text));
    ck_assert_str_eq(strstr(text, ",\"pinned\""), ",\"pinned\":true}");
    start();
    report_show_text(&sink, &d);
    ck_assert(strstr(text, "incremental upon 3, committed, pinned\n"));
    ck_assert(strstr(text, "restorable   yes\n"));
}
END_TEST

START_TEST(times)
{
    static const struct {
        uint64_t unix_s;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {951782399, "2000-02-28T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {951868800, "2000-03-01T00:00:00Z"},
        {1709164799, "2024-02-28T23:59:59Z"},
        {1709251199, "2024-02-29T23:59:59Z"},
        {2147483648, "2038-01-19T03:14:08Z"},
        {4107542400, "2100-03-01T00:00:00Z"},
        {4107542399, "2100-02-28T23:59:59Z"},
        {253402300799, "9999-12-31T23:59:59Z"},
        {253402300800, "9999-12-31T23:59:59Z"},
        {UINT64_MAX, "9999-12-31T23:59:59Z"},
    };
    char t[REPORT_TIME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        report_time(cases[i].unix_s, t);
        ck_assert_str_eq(t, cases[i].text);
    }
}
END_TEST

START_TEST(times_as_libc_says)
{
    char ours[REPORT_TIME_MAX], theirs[REPORT_TIME_MAX];
    for (uint64_t day = 0; day < 365ull * 8000; day += 13) {
        time_t t = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        ck_assert_ptr_nonnull(gmtime_r(&t, &tm));
        ck_assert_uint_gt(strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%SZ", &tm), 0);
        report_time((uint64_t)t, ours);
        ck_assert_str_eq(ours, theirs);
    }
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 bytes"},        {10239, "10239 bytes"}, {10240, "10.0 KiB"},    {102400, "100 KiB"},
                 {1048575, "1023 KiB"}, {1048576, "1.0 MiB"},   {17000000, "16.2 MiB"}, {UINT64_MAX, "15.9 EiB"}};
    char t[REPORT_TIME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        report_bytes(cases[i].bytes, t);
        ck_assert_str_eq(t, cases[i].text);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("report");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, status_json_is_the_contract);
    tcase_add_test(t, status_words);
    tcase_add_test(t, status_text);
    tcase_add_test(t, rows);
    tcase_add_test(t, show);
    tcase_add_test(t, times);
    tcase_add_test(t, times_as_libc_says);
    tcase_add_test(t, sizes);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("report", suite)
