/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The console grammar: every command, every abbreviation, every option, and what is said about mistakes. */
/* UNITS: kernel/command.c kernel/console_help.c */
#include "kernel/command.h"
#include "kernel/console_help.h"
#include "unit.h"

#include <string.h>

static struct command c;
static char why[COMMAND_WHY_MAX];

static enum err parse(const char *line)
{
    enum err e = command_parse(line, &c, why, sizeof why);
    ck_assert_msg((e == E_OK) == !why[0], "%s: %s: %s", line, err_name(e), why);
    return e;
}

START_TEST(every_abbreviation)
{
    for (int i = 0; i < CMD_COUNT; i++) {
        const char *name = command_helps[i].name;
        for (size_t len = 1; len <= strlen(name); len++) {
            char line[64];
            int hits = 0;
            for (int k = 0; k < CMD_COUNT; k++)
                hits += strncmp(name, command_helps[k].name, len) == 0;
            memcpy(line, name, len);
            line[len] = 0;
            enum err e = parse(line);
            if (hits > 1 && name[len]) {
                ck_assert_int_eq(e, E_AMBIGUOUS);
                ck_assert(strstr(why, name)); /* names what it could be */
            } else {
                ck_assert_msg(e != E_AMBIGUOUS && e != E_UNKNOWN, "%s", line);
                ck_assert_int_eq((int)c.id, i);
            }
        }
    }
}
END_TEST

START_TEST(whole_lines)
{
    ck_assert_int_eq(parse("status --json"), E_OK);
    ck_assert_uint_eq(c.options, OPT_JSON);
    ck_assert_int_eq(parse("  checkpoint   --full --label \"before the upgrade\" --wait  "), E_OK);
    ck_assert_int_eq(c.id, CMD_CHECKPOINT);
    ck_assert_uint_eq(c.options, OPT_FULL | OPT_LABEL | OPT_WAIT);
    ck_assert_str_eq(c.label, "before the upgrade");
    ck_assert_int_eq(parse("che --label=short"), E_OK);
    ck_assert_str_eq(c.label, "short");
    ck_assert_int_eq(parse("che --label=\"two words\""), E_OK);
    ck_assert_str_eq(c.label, "two words");
    ck_assert_int_eq(parse("che --label \"a \\\"b\\\" \\\\ c\""), E_OK);
    ck_assert_str_eq(c.label, "a \"b\" \\ c");
    ck_assert_int_eq(parse("che --label \"--full\""), E_OK);
    ck_assert_str_eq(c.label, "--full");
    ck_assert_uint_eq(c.options, OPT_LABEL);
    ck_assert_int_eq(parse("restore 18446744073709551615 --force --eager"), E_OK);
    ck_assert_uint_eq(c.checkpoint, UINT64_MAX);
    ck_assert_uint_eq(c.options, OPT_FORCE | OPT_EAGER);
    ck_assert_int_eq(parse("restore --lazy latest"), E_OK);
    ck_assert_int_eq(c.arg, ARG_LATEST);
    ck_assert_int_eq(parse("show 7 --json"), E_OK);
    ck_assert_int_eq(c.arg, ARG_ID);
    ck_assert_int_eq(parse("delete 1"), E_OK);
    ck_assert_int_eq(parse("pin 12"), E_OK);
    ck_assert_int_eq(c.arg, ARG_ID);
    ck_assert_uint_eq(c.checkpoint, 12);
    ck_assert_int_eq(parse("pin 12 off"), E_OK);
    ck_assert_int_eq(c.id, CMD_PIN);
    ck_assert_int_eq(c.arg, ARG_OFF);
    ck_assert_uint_eq(c.checkpoint, 12);
    ck_assert_int_eq(parse("verify"), E_OK);
    ck_assert_int_eq(c.arg, ARG_NONE);
    ck_assert_int_eq(parse("verify 2"), E_OK);
    ck_assert_int_eq(c.arg, ARG_ID);
    ck_assert_int_eq(parse("auto"), E_OK);
    ck_assert_int_eq(parse("auto off"), E_OK);
    ck_assert_int_eq(c.arg, ARG_OFF);
    ck_assert_int_eq(parse("auto keep=2 every=600"), E_OK);
    ck_assert_int_eq(c.arg, ARG_EVERY);
    ck_assert_uint_eq(c.every_s, 600);
    ck_assert_uint_eq(c.keep, 2);
    ck_assert_int_eq(parse("auto every=30s keep=10"), E_OK);
    ck_assert_uint_eq(c.every_s, 30);
    ck_assert_uint_eq(c.keep, 10);
    ck_assert_int_eq(parse("auto every=60"), E_OK);
    ck_assert_uint_eq(c.keep, 0);
    ck_assert_int_eq(parse("protect"), E_OK);
    ck_assert_int_eq(parse("protect on"), E_OK);
    ck_assert_int_eq(c.arg, ARG_ON);
    ck_assert_int_eq(parse("protect off"), E_OK);
    ck_assert_int_eq(c.arg, ARG_OFF);
    ck_assert_int_eq(parse("log previous"), E_OK);
    ck_assert_int_eq(c.arg, ARG_PREVIOUS);
    ck_assert_int_eq(parse("help rest"), E_OK);
    ck_assert_int_eq(c.arg, ARG_TOPIC);
    ck_assert_int_eq(c.topic, CMD_RESTORE);
    ck_assert_int_eq(parse("format --yes"), E_OK);
}
END_TEST

START_TEST(mistakes)
{
    static const struct {
        const char *line;
        enum err e;
        const char *says;
    } cases[] = {
        {"", E_SYNTAX, "empty"},
        {"frobnicate", E_UNKNOWN, "help"},
        {"statusx", E_UNKNOWN, "statusx"},
        {"STATUS", E_UNKNOWN, "STATUS"},
        {"\"\"", E_UNKNOWN, "help"},
        {"re", E_AMBIGUOUS, "restore reboot"},
        {"help re", E_AMBIGUOUS, "restore reboot"},
        {"help nothing", E_UNKNOWN, "nothing"},
        {"help status enter", E_USAGE, "help [COMMAND]"},
        {"status --js", E_USAGE, "status [--json]"},
        {"status --json --json", E_USAGE, "twice"},
        {"status now", E_USAGE, "status [--json]"},
        {"enter --force", E_USAGE, "enter"},
        {"show", E_USAGE, "show ID"},
        {"show latest", E_USAGE, "show ID"},
        {"show 0", E_USAGE, "list"},
        {"show -1", E_USAGE, "show ID"},
        {"show 1x", E_USAGE, "show ID"},
        {"show 18446744073709551616", E_USAGE, "show ID"},
        {"show 1 2", E_USAGE, "show ID"},
        {"show \"\"", E_USAGE, "show ID"},
        {"restore", E_USAGE, "restore ID|latest"},
        {"restore lat", E_USAGE, "restore ID|latest"},
        {"restore 1 --lazy --eager", E_USAGE, "exclude"},
        {"restore 1 latest", E_USAGE, "restore ID|latest"},
        {"checkpoint 3", E_USAGE, "checkpoint [--label"},
        {"checkpoint --label", E_USAGE, "needs a text"},
        {"checkpoint --label \"\"", E_USAGE, "1 to 63"},
        {"checkpoint --label=", E_USAGE, "1 to 63"},
        {"checkpoint --label \"open", E_SYNTAX, "closing quote"},
        {"checkpoint --labelx", E_USAGE, "--labelx"},
        {"delete", E_USAGE, "delete ID"},
        {"delete all", E_USAGE, "delete ID"},
        {"delete 1 off", E_USAGE, "delete ID"},
        {"pin", E_USAGE, "pin ID [off]"},
        {"pin off", E_USAGE, "pin ID [off]"},
        {"pin off 1", E_USAGE, "pin ID [off]"},
        {"pin latest", E_USAGE, "pin ID [off]"},
        {"pin 0", E_USAGE, "pin ID [off]"},
        {"pin 1 on", E_USAGE, "pin ID [off]"},
        {"pin 1 2", E_USAGE, "pin ID [off]"},
        {"pin 1 of", E_USAGE, "pin ID [off]"},
        {"pin 1 off off", E_USAGE, "pin ID [off]"},
        {"pin 1 off 2", E_USAGE, "pin ID [off]"},
        {"pin 1 --off", E_USAGE, "pin ID [off]"},
        {"auto on", E_USAGE, "every=SECONDS"},
        {"auto keep=3", E_USAGE, "every=SECONDS"},
        {"auto off every=5", E_USAGE, "every=SECONDS"},
        {"auto every=5 off", E_USAGE, "every=SECONDS"},
        {"auto every=5 every=6", E_USAGE, "every=SECONDS"},
        {"auto every=0", E_USAGE, "1 to"},
        {"auto every=s", E_USAGE, "1 to"},
        {"auto every=30ss", E_USAGE, "1 to"},
        {"auto every=30m", E_USAGE, "1 to"},
        {"auto every=30 keep=5s", E_USAGE, "2 to"},
        {"auto every=30 keep=49", E_USAGE, "2 to 48"},
        {"show 3s", E_USAGE, "no checkpoint"},
        {"auto every=1 keep=1", E_USAGE, "2 to"},
        {"auto every=99999999999999999999", E_USAGE, "1 to"},
        {"protect maybe", E_USAGE, "on|off"},
        {"log next", E_USAGE, "previous"},
        {"format", E_CONFIRM, "--yes"},
        {"format --force", E_USAGE, "--yes"},
        {"reboot now", E_USAGE, "reboot"},
        {"log 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", E_SYNTAX, "words"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum err e = parse(cases[i].line);
        ck_assert_msg(e == cases[i].e, "%s: %s: %s", cases[i].line, err_name(e), why);
        ck_assert_msg(strstr(why, cases[i].says) != NULL, "%s: %s", cases[i].line, why);
    }
}
END_TEST

START_TEST(long_things)
{
    char line[600] = "checkpoint --label ";
    size_t used = strlen(line);
    memset(line + used, 'x', COMMAND_LABEL_MAX);
    ck_assert_int_eq(parse(line), E_OK);
    ck_assert_uint_eq(strlen(c.label), COMMAND_LABEL_MAX);
    line[used + COMMAND_LABEL_MAX] = 'x';
    ck_assert_int_eq(parse(line), E_USAGE);
    memset(line + used, 'x', 500);
    ck_assert_int_eq(parse(line), E_TOOLONG);
    /* Around the text buffer's end, with and without spaces. */
    for (size_t n = 240; n < 270; n++) {
        memset(line, 'a', n);
        line[n] = 0;
        enum err e = parse(line);
        ck_assert(e == E_UNKNOWN || e == E_TOOLONG);
        line[n - 1] = ' ';
        line[n - 2] = ' ';
        e = parse(line);
        ck_assert(e == E_UNKNOWN || e == E_TOOLONG);
    }
    /* A small buffer for the reason is never overrun. */
    char small[4] = "zzz";
    ck_assert_int_eq(command_parse("re", &c, small, sizeof small), E_AMBIGUOUS);
    ck_assert_uint_eq(strlen(small), 3);
}
END_TEST

static char text[16384];
static void put(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    size_t used = strlen(text);
    ck_assert_uint_lt(used + n, sizeof text);
    memcpy(text + used, bytes, n);
    text[used + n] = 0;
}

START_TEST(help_is_complete)
{
    struct sink sink = {put, NULL};
    text[0] = 0;
    console_help_all(&sink);
    for (int i = 0; i < CMD_COUNT; i++) {
        const struct command_help *h = &command_helps[i];
        ck_assert_msg(h->name && h->usage && h->summary && h->details && h->example, "%d", i);
        ck_assert(strstr(text, h->usage));
        ck_assert(strncmp(h->usage, h->name, strlen(h->name)) == 0);
        /* The example is a line that works, and of this command. */
        ck_assert_msg(command_parse(h->example, &c, why, sizeof why) == E_OK, "%s: %s", h->example, why);
        ck_assert_int_eq((int)c.id, i);
        ck_assert(!h->details[0] || h->details[strlen(h->details) - 1] == '\n');
    }
    for (int i = 0; i < CMD_COUNT; i++) {
        text[0] = 0;
        console_help_one(&sink, (enum command_id)i);
        ck_assert(strstr(text, command_helps[i].summary));
        ck_assert(strstr(text, "example: "));
        for (char *line = text, *end; *line; line = end + 1) {
            end = strchr(line, '\n');
            ck_assert_ptr_nonnull(end);
            ck_assert_int_le(end - line, 100);
        }
    }
}
END_TEST

START_TEST(random_lines)
{
    static const char *const pieces[] = {
        "status", "che",    "restore", "--label", "--label=", "--json", "\"",
        "\\",     " ",      " ",       " ",       "latest",   "1",      "999999999999999999999",
        "auto",   "every=", "keep=",   "off",     "x",        "\xff",   "-",
        "--",     "format", "--yes",   "help"};
    int good = 0;
    srand(3);
    for (int round = 0; round < 100000; round++) {
        char line[256] = "";
        for (int n = rand() % 10; n > 0; n--)
            strcat(line, pieces[(size_t)rand() % ARRAY_LEN(pieces)]);
        enum err e = parse(line);
        good += e == E_OK;
        ck_assert_int_lt((int)c.id, CMD_COUNT);
        ck_assert(memchr(c.label, 0, sizeof c.label));
    }
    ck_assert_int_gt(good, 100);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("command");
    TCase *t = tcase_create("all");
    tcase_add_test(t, every_abbreviation);
    tcase_add_test(t, whole_lines);
    tcase_add_test(t, mistakes);
    tcase_add_test(t, long_things);
    tcase_add_test(t, help_is_complete);
    tcase_add_test(t, random_lines);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("command", suite)
