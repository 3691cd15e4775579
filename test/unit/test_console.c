/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The console as a program sees it through the wire: commands in, answers out, each ended by exactly one ok or error
   line; nobody reading; long answers; deferred ones; unsolicited lines; and 100,000 random bytes. */
/* UNITS: kernel/console.c kernel/console_tx.c kernel/line_editor.c kernel/command.c kernel/console_help.c */
/* UNITS: kernel/json.c kernel/report.c */
#include "kernel/console.h"

#include "json_check.h"
#include "kernel/console_tx.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define SCREEN_BYTES (4 * CONSOLE_TX_BYTES)

static char screen[SCREEN_BYTES];
static size_t screen_length;

/* What the machine below does in this test. */
static struct {
    enum err next; /* what the next op answers */
    const char *text;
    bool defer;
    bool finish_at_once;
    const char *say; /* an unsolicited line from inside the op */
    uint32_t rows;
    enum err list_end;
    uint64_t id;
    bool pinned;
    char label[COMMAND_LABEL_MAX + 1];
    char calls[4096];
    size_t log_bytes;
    bool log_damaged;
} world;

static enum err op(const char *name, char *text, size_t len)
{
    if (strlen(world.calls) + 32 < sizeof world.calls) {
        strcat(world.calls, name);
        strcat(world.calls, " ");
    }
    if (world.say)
        console_notice("%s", world.say);
    if (world.text)
        snprintf(text, len, "%s", world.text);
    if (world.defer)
        console_defer();
    if (world.finish_at_once)
        console_finish(world.next, "%s", world.text ? world.text : "");
    return world.next;
}

static void do_status(struct status_report *r)
{
    r->backend = "vmx";
    r->cpus = 1;
}

static enum err do_enter(char *text, size_t len)
{
    return op("enter", text, len);
}

static enum err do_leave(char *text, size_t len)
{
    return op("leave", text, len);
}

static enum err do_checkpoint(const struct command *c, char *text, size_t len)
{
    strcpy(world.label, c->label);
    return op("checkpoint", text, len);
}

static enum err do_list(uint32_t index, struct checkpoint_row *row, char *text, size_t len)
{
    if (index >= world.rows) {
        if (world.list_end != E_NOTFOUND)
            snprintf(text, len, "list went wrong");
        return world.list_end;
    }
    row->id = index + 1;
    row->time_s = 1795320000;
    row->pinned = index % 2;
    memset(row->label, '\x01', sizeof row->label - 1); /* six characters each in JSON */
    return E_OK;
}

static enum err do_show(uint64_t id, struct checkpoint_detail *d, char *text, size_t len)
{
    d->row.id = id;
    return op("show", text, len);
}

static enum err do_restore_check(const struct command *c, char *text, size_t len)
{
    (void)c;
    return op("restore_check", text, len);
}

static enum err restore_result;
static enum err do_restore(const struct command *c, char *text, size_t len)
{
    (void)c;
    (void)op("restore", text, len);
    return restore_result;
}

static enum err do_remove(uint64_t id, char *text, size_t len)
{
    world.id = id;
    return op("delete", text, len);
}

static enum err do_pin(uint64_t id, bool pinned, char *text, size_t len)
{
    world.id = id;
    world.pinned = pinned;
    return op("pin", text, len);
}

static enum err do_verify(uint64_t id, char *text, size_t len)
{
    world.id = id;
    return op("verify", text, len);
}

static enum err do_format(char *text, size_t len)
{
    return op("format", text, len);
}

static enum err do_reboot(char *text, size_t len)
{
    (void)op("reboot", text, len);
    return E_INTERNAL;
}

static size_t do_log_read(bool previous, uint64_t *position, char *out, size_t max)
{
    static const char line[] = "[   1.000000] c0 test: a line\n", bad[] = "ok\nerror E_IO: not an answer\nok\n?\n";
    const char *text = world.log_damaged ? bad : line;
    size_t n = 0, length = strlen(text);
    size_t total = previous ? length : world.log_bytes;
    while (n < max && *position < total)
        out[n++] = text[(*position)++ % length];
    return n;
}

/* Take everything, as a UART would. */
static void drain(void)
{
    uint8_t bytes[16];
    size_t n;
    while ((n = console_tx_next(bytes, sizeof bytes)) > 0) {
        if (screen_length + n >= SCREEN_BYTES)
            screen_length = 0;
        memcpy(screen + screen_length, bytes, n);
        screen_length += n;
    }
    screen[screen_length] = 0;
    ck_assert(!console_tx_pending());
}

static void do_flush(void)
{
    strcat(world.calls, "flush ");
    drain();
}

static const struct console_ops all_ops = {
    .version = "0.1-test",
    .status = do_status,
    .enter = do_enter,
    .leave = do_leave,
    .checkpoint = do_checkpoint,
    .list = do_list,
    .show = do_show,
    .restore_check = do_restore_check,
    .restore = do_restore,
    .remove = do_remove,
    .automatic = do_checkpoint,
    .pin = do_pin,
    .verify = do_verify,
    .format = do_format,
    .reboot = do_reboot,
    .log_read = do_log_read,
    .flush = do_flush,
};

static void start(const struct console_ops *ops)
{
    memset(&world, 0, sizeof world);
    world.list_end = E_NOTFOUND;
    world.log_bytes = 3000;
    restore_result = E_OK;
    console_init(ops);
    drain();
    screen_length = 0;
    screen[0] = 0;
}

static void type(const char *keys)
{
    for (; *keys; keys++)
        console_rx((uint8_t)*keys);
}

/* Types a line; gives back the answer without the echo and the prompt after it, CR removed. */
static const char *ask(const char *line)
{
    static char reply[SCREEN_BYTES];
    screen_length = 0;
    type(line);
    type("\r");
    drain();
    char *from = strchr(screen, '\n');
    ck_assert_msg(from != NULL, "%s: %s", line, screen);
    size_t n = 0;
    for (from++; *from; from++)
        if (*from != '\r')
            reply[n++] = *from;
    reply[n] = 0;
    if (n >= 9 && strcmp(reply + n - 9, "sojourn> ") == 0)
        reply[n - 9] = 0;
    return reply;
}

/* How many lines end an answer. */
static int ends(const char *reply)
{
    int count = 0;
    for (const char *p = reply; *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : p + strlen(p))
        count += strncmp(p, "ok\n", 3) == 0 || strncmp(p, "error E_", 8) == 0;
    return count;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

START_TEST(greeting_and_prompt)
{
    console_init(&all_ops);
    screen_length = 0;
    drain();
    ck_assert(ends_with(screen, "* sojourn 0.1-test; type help\r\nsojourn> "));
    screen_length = 0;
    type("version\r\n");
    drain();
    ck_assert_str_eq(screen, "version\r\nsojourn 0.1-test\r\nok\r\nsojourn> ");
    screen_length = 0;
    type("\r\n  \n");
    drain();
    ck_assert_str_eq(screen, "\r\nsojourn>   \r\nsojourn> "); /* an empty line is no command */
}
END_TEST

START_TEST(every_command_ends_once)
{
    static const char *const lines[] = {
        "help",
        "help log",
        "status",
        "status --json",
        "enter",
        "leave",
        "checkpoint --label x",
        "list",
        "list --json",
        "show 1",
        "show 1 --json",
        "restore 1",
        "restore 1 --lazy",
        "restore latest",
        "delete 1",
        "pin 1",
        "pin 1 off",
        "verify",
        "verify 1",
        "auto",
        "auto off",
        "auto every=5",
        "protect",
        "protect on",
        "protect off",
        "log",
        "log previous",
        "format",
        "format --yes",
        "reboot",
        "version",
        "x",
        "\"",
        "show",
        "re",
    };
    static const struct console_ops no_ops = {.version = "0"};
    for (int bare = 0; bare < 2; bare++) {
        for (int e = 0; e < ERR_COUNT; e++) {
            start(bare ? &no_ops : &all_ops);
            for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
                world.next = (enum err)e;
                world.rows = 2;
                world.text = e % 2 ? "a\nreason\r\nwith lines\x01" : NULL;
                const char *reply = ask(lines[i]);
                ck_assert_msg(ends(reply) == 1, "%s: %s", lines[i], reply);
                ck_assert(!console_busy());
            }
        }
    }
}
END_TEST

START_TEST(answers)
{
    start(&all_ops);
    ck_assert_str_eq(ask("enter"), "ok\n");
    world.next = E_ALREADY;
    ck_assert_str_eq(ask("enter"), "error E_ALREADY: already so\n");
    world.text = "the guest is in real mode";
    world.next = E_MODE;
    ck_assert_str_eq(ask("leave"), "error E_MODE: the guest is in real mode\n");
    world.next = E_OK;
    world.text = "checkpoint 3: 1234 pages";
    world.say = "saving 42%";
    ck_assert_str_eq(ask("checkpoint --label \"a b\""), "* saving 42%\ncheckpoint 3: 1234 pages\nok\n");
    ck_assert_str_eq(world.label, "a b");
    start(&all_ops);
    ck_assert_str_eq(ask("verify 7"), "ok\n");
    ck_assert_uint_eq(world.id, 7);
    ck_assert_str_eq(ask("verify"), "ok\n");
    ck_assert_uint_eq(world.id, 0);
    ck_assert_str_eq(ask("delete 9"), "ok\n");
    ck_assert_uint_eq(world.id, 9);
    ck_assert_str_eq(ask("bogus"), "error E_UNKNOWN: no command \"bogus\"; type help for the commands\n");
    ck_assert_str_eq(ask("protect"), "protect off\nok\n");
    ck_assert_str_eq(ask("pin 11"), "ok\n");
    ck_assert_uint_eq(world.id, 11);
    ck_assert(world.pinned);
    ck_assert_str_eq(ask("pin 12 off"), "ok\n");
    ck_assert_uint_eq(world.id, 12);
    ck_assert(!world.pinned);
    world.next = E_NOTFOUND;
    ck_assert_str_eq(ask("pin 13"), "error E_NOTFOUND: no such checkpoint; type list\n");
    world.next = E_PINNED;
    ck_assert_str_eq(ask("delete 9"), "error E_PINNED: the checkpoint is pinned; pin ID off first\n");
    world.next = E_OK;
    world.calls[0] = 0;
    ck_assert(strncmp(ask("pin off"), "error E_USAGE: ", 15) == 0);
    ck_assert_str_eq(world.calls, "");
    ck_assert(strncmp(ask("restore 1 --lazy"), "error E_NOTYET: ", 16) == 0);
    ck_assert_ptr_null(strstr(world.calls, "restore"));
    ck_assert(strncmp(ask("format"), "error E_CONFIRM: ", 17) == 0);
    ck_assert_ptr_null(strstr(world.calls, "format"));
    char big[1000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    ck_assert(strncmp(ask(big), "error E_TOOLONG: ", 17) == 0);
    const char *json = ask("status --json");
    char *end = strchr(json, '\n');
    ck_assert_str_eq(end, "\nok\n");
    *end = 0;
    ck_assert(json_check(json));
    json = ask("show 5 --json");
    end = strchr(json, '\n');
    ck_assert_str_eq(end, "\nok\n");
    *end = 0;
    ck_assert(json_check(json));
}
END_TEST

START_TEST(restore_answers_first)
{
    start(&all_ops);
    ck_assert_str_eq(ask("restore 1"), "ok\n* restore: done\n");
    ck_assert_str_eq(world.calls, "restore_check flush restore ");
    restore_result = E_IO;
    ck_assert_str_eq(ask("restore latest --force"), "ok\n* restore: E_IO: the disk reported an error\n");
    world.calls[0] = 0;
    world.next = E_CHECKSUM;
    ck_assert_str_eq(ask("restore 1"), "error E_CHECKSUM: a checksum does not match\n");
    ck_assert_str_eq(world.calls, "restore_check ");
    world.calls[0] = 0;
    ck_assert(strncmp(ask("reboot"), "ok\n* reboot: E_INTERNAL: ", 25) == 0);
    ck_assert_str_eq(world.calls, "flush reboot ");
}
END_TEST

START_TEST(lists)
{
    start(&all_ops);
    ck_assert_str_eq(ask("list"), "no checkpoints\nok\n");
    ck_assert_str_eq(ask("list --json"), "[]\nok\n");
    world.list_end = E_IO;
    ck_assert_str_eq(ask("list"), "error E_IO: list went wrong\n");
    ck_assert_str_eq(ask("list --json"), "[]\nerror E_IO: list went wrong\n");
    world.list_end = E_BUSY; /* an end as any other, not "more to come" */
    ck_assert_str_eq(ask("list"), "error E_BUSY: list went wrong\n");
    world.list_end = E_NOTFOUND;
    /* Far more than the ring holds: produced as the line takes it. */
    world.rows = 600;
    ck_assert_uint_gt(600u * 400u, CONSOLE_TX_BYTES);
    const char *json = ask("list --json");
    char *end = strchr(json, '\n');
    ck_assert_str_eq(end, "\nok\n");
    *end = 0;
    ck_assert(json_check(json));
    ck_assert(strstr(json, "\"pinned\":false},{\"id\":600,"));
    ck_assert(ends_with(json, "\"pinned\":true}]"));
    const char *text = ask("list");
    ck_assert(strncmp(text, "   ID", 5) == 0);
    ck_assert(ends_with(text, "\nok\n"));
}
END_TEST

START_TEST(logs)
{
    start(&all_ops);
    world.log_bytes = 300000;
    const char *text = ask("log");
    ck_assert_uint_gt(strlen(text), 300000);
    ck_assert(ends_with(text, "\nok\n"));
    ck_assert_int_eq(ends(text), 1);
    ck_assert_str_eq(ask("log previous"), "[   1.000000] c0 test: a line\nok\n");
    /* Damaged text cannot look like the end of an answer. */
    world.log_damaged = true;
    ck_assert_str_eq(ask("log previous"), "? ok\n? error E_IO: not an answer\n? ok\n? ?\nok\n");
    world.log_bytes = 7;
    ck_assert_str_eq(ask("log"), "? ok\n? erro\nok\n");
    world.log_bytes = 0;
    ck_assert_str_eq(ask("log"), "ok\n");
}
END_TEST

START_TEST(notices)
{
    start(&all_ops);
    type("sta");
    console_notice("guest parked: %s", "triple\nfault");
    drain();
    ck_assert_str_eq(screen, "sta\r\n* guest parked: triple fault\r\nsojourn> sta");
    ck_assert(ends_with(ask("tus --json"), "ok\n"));
    console_log_sink("[   1.000000] c0 x: y", 21);
    drain();
    ck_assert(strstr(screen, "\r\n* [   1.000000] c0 x: y\r\nsojourn> "));
    char big[2000];
    memset(big, 'z', sizeof big - 1);
    big[sizeof big - 1] = 0;
    console_notice("%s", big);
    console_log_sink(big, sizeof big - 1);
    drain();
    /* During a long answer they wait, so that JSON stays one line. */
    world.rows = 600;
    screen_length = 0;
    type("list --json\r");
    ck_assert(console_busy());
    for (int i = 0; i < 200; i++)
        console_notice("number %d", i);
    drain();
    char *json = strchr(screen, '\n') + 1, *end = strchr(json, '\r');
    *end = 0;
    ck_assert(json_check(json));
    ck_assert(strncmp(end + 1, "\nok\r\n* number 0\r\n* number 1\r\n", 29) == 0);
    ck_assert_msg(strstr(end + 1, "more lines were dropped") != NULL, "%s", end + 1);
    ck_assert(ends_with(end + 1, "\r\nsojourn> "));
}
END_TEST

START_TEST(deferred_answers)
{
    start(&all_ops);
    world.defer = true;
    type("leave\rversion\rstat");
    drain();
    ck_assert_str_eq(screen, "leave\r\n");
    ck_assert(console_busy());
    console_notice("working");
    console_finish(E_BLOCKED, "%s", "");
    ck_assert(!console_busy());
    console_poll(); /* now what was typed ahead */
    drain();
    ck_assert(strncmp(screen, "leave\r\n* working\r\nerror E_BLOCKED: ", 35) == 0);
    ck_assert(ends_with(screen, "sojourn> version\r\nsojourn 0.1-test\r\nok\r\nsojourn> stat"));
    type("\x15");
    /* Finished before the op returns; and finished twice. */
    world.finish_at_once = true;
    ck_assert_str_eq(ask("leave"), "ok\n");
    env_log[0] = 0;
    console_finish(E_OK, "%s", "again");
    ck_assert(strstr(env_log, "finish without a command"));
    drain();
    ck_assert_str_eq(ask("version"), "sojourn 0.1-test\nok\n");
    /* A restore that ends later tells so by an unsolicited line. */
    world.finish_at_once = false;
    world.defer = true;
    screen_length = 0;
    world.next = E_OK;
    static struct console_ops ops;
    ops = all_ops;
    ops.restore_check = NULL;
    console_init(&ops);
    drain();
    screen_length = 0;
    type("restore 2\r");
    drain();
    ck_assert_str_eq(screen, "restore 2\r\nok\r\n");
    console_finish(E_OK, "checkpoint %d", 2);
    drain();
    ck_assert_str_eq(screen, "restore 2\r\nok\r\n* restore: done, checkpoint 2\r\nsojourn> ");
}
END_TEST

/* When "enter" may be carried out before the console was given the line: if it would be the next command. */
START_TEST(at_the_prompt)
{
    static const char *const in_between[] = {"e", "\x1b", "\x1b[", " "};
    start(&all_ops);
    ck_assert(console_at_prompt());
    for (size_t i = 0; i < ARRAY_LEN(in_between); i++) {
        type(in_between[i]);
        ck_assert_msg(!console_at_prompt(), "after %zu", i);
        type("\x03");
        ck_assert_msg(console_at_prompt(), "after %zu and ^C", i);
    }
    for (int i = 0; i < 1000; i++)
        console_rx('x');
    ck_assert(!console_at_prompt());
    type("\r");
    ck_assert(console_at_prompt());
    world.defer = true;
    type("leave\r");
    ck_assert(!console_at_prompt());
    world.defer = false;
    console_rx('x'); /* ahead */
    console_finish(E_OK, "%s", "");
    ck_assert(!console_at_prompt());
    console_poll();
    ck_assert(!console_at_prompt());
    type("\x7f");
    ck_assert(console_at_prompt());
    console_ask("key: ");
    ck_assert(!console_at_prompt());
    console_ask_end();
    ck_assert(console_at_prompt());
    world.rows = 100000;
    type("list\r");
    ck_assert(!console_at_prompt());
}
END_TEST

START_TEST(typed_ahead_is_bounded)
{
    start(&all_ops);
    world.defer = true;
    type("leave\r");
    for (int i = 0; i < 100000; i++)
        console_rx(i % 50 ? 'x' : '\r');
    world.defer = false;
    console_finish(E_OK, "%s", "");
    console_poll();
    drain();
    type("\x03");
    drain();
    ck_assert_str_eq(ask("version"), "sojourn 0.1-test\nok\n");
    /* ^C finds room, and what it finds there goes. */
    world.defer = true;
    type("leave\r");
    for (int i = 0; i < 100000; i++)
        console_rx('x');
    type("\x03");
    world.defer = false;
    console_finish(E_OK, "%s", "");
    console_poll();
    drain();
    ck_assert_str_eq(ask("version"), "sojourn 0.1-test\nok\n");
}
END_TEST

START_TEST(control_c_stops_a_long_answer)
{
    start(&all_ops);
    world.rows = 100000;
    static const char *const lines[] = {"list --json\r", "list\r", "log\r"};
    world.log_bytes = 1000000;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        screen_length = 0;
        type(lines[i]);
        ck_assert(console_busy());
        console_rx(3);
        ck_assert(!console_busy());
        drain();
        ck_assert(ends_with(screen, "\r\nerror E_CUT: stopped by ^C\r\nsojourn> "));
        ck_assert_str_eq(ask("version"), "sojourn 0.1-test\nok\n");
    }
}
END_TEST

START_TEST(nobody_reads)
{
    start(&all_ops);
    /* Far more output than the ring holds: never blocks, keeps the ends of answers while the reserve lasts. */
    int commands = 0;
    for (; commands < 1000; commands++)
        type("help\r");
    drain();
    ck_assert(strstr(screen, "error E_CUT: the answer was cut short"));
    /* As soon as somebody reads, the gap is marked, and everything works. */
    const char *reply = ask("version");
    ck_assert_msg(ends_with(reply, "sojourn 0.1-test\nok\n"), "%s", reply);
    ck_assert(strstr(screen, "* output cut: "));
    ck_assert_str_eq(ask("version"), "sojourn 0.1-test\nok\n");
}
END_TEST

START_TEST(questions)
{
    char line[16];
    start(&all_ops);
    console_ask("restore which? ");
    drain();
    ck_assert(ends_with(screen, "\r\nrestore which? "));
    ck_assert(!console_answer(line, sizeof line));
    type("latest\rversion\r");
    ck_assert(console_answer(line, sizeof line));
    ck_assert_str_eq(line, "latest");
    ck_assert(!console_answer(line, sizeof line));
    ck_assert_str_eq(world.calls, "");
    console_ask_end();
    console_poll();
    drain();
    ck_assert(ends_with(screen, "sojourn> version\r\nsojourn 0.1-test\r\nok\r\nsojourn> "));
}
END_TEST

static void type_through_gateway(const char *text, size_t at_a_time)
{
    for (size_t left = strlen(text), taken; left > 0; text += taken, left -= taken) {
        taken = console_rx_echoed((const uint8_t *)text, left < at_a_time ? left : at_a_time);
        ck_assert_uint_ge(taken, 1);
        ck_assert_uint_le(taken, left);
    }
}

START_TEST(through_the_gateway)
{
    for (size_t at_a_time = 1; at_a_time < 10; at_a_time++) {
        start(&all_ops);
        type_through_gateway("version\r", at_a_time);
        drain();
        ck_assert_str_eq(screen, "\r\nsojourn 0.1-test\r\nok\r\nsojourn> ");
    }
    /* Behind a command whose answer comes later everything is held, and then comes in order. */
    start(&all_ops);
    world.defer = true;
    type_through_gateway("checkpoint\rversion\rno", 64);
    world.defer = false;
    type_through_gateway("thing\r", 64);
    drain();
    ck_assert_str_eq(screen, "\r\n");
    console_finish(E_OK, "%s", "");
    console_poll();
    drain();
    ck_assert_ptr_nonnull(strstr(screen, "ok\r\nsojourn> \r\nsojourn 0.1-test\r\nok\r\nsojourn> \r\nerror E_UNKNOWN"));
    ck_assert_ptr_nonnull(strstr(screen, "\"nothing\""));
}
END_TEST

START_TEST(random_bytes)
{
    static const char *const words[] = {
        "status", "list --json", "log", "restore 1", "checkpoint --label \"", "\r",   "\r",    "\n", "\x03",
        "\x1b[A", "leave",       " ",   "help",      "format --yes",          "\x15", "reboot"};
    start(&all_ops);
    srand(6);
    for (int i = 0; i < 100000; i++) {
        world.next = (enum err)(rand() % ERR_COUNT);
        world.rows = (uint32_t)rand() % 400;
        world.defer = rand() % 50 == 0;
        world.calls[0] = 0;
        if (rand() % 4)
            console_rx((uint8_t)rand());
        else
            type(words[(size_t)rand() % ARRAY_LEN(words)]);
        if (rand() % 100 == 0)
            console_notice("%d", i);
        if (rand() % 20 == 0)
            drain();
        if (world.defer && console_busy() && rand() % 2) {
            world.defer = false;
            console_finish(E_OK, "%s", "");
            console_poll();
        }
        if (rand() % 200 == 0) {
            drain();
            world.defer = false;
            if (console_busy())
                console_finish(E_IO, "%s", "");
            console_poll();
        }
    }
    drain();
    world.defer = false;
    if (console_busy())
        console_finish(E_IO, "%s", "");
    console_poll();
    drain();
    type("\x03\r");
    drain();
    ck_assert_str_eq(ask("version"), "sojourn 0.1-test\nok\n");
}
END_TEST

START_TEST(the_reference_is_complete)
{
    static char doc[65536];
    FILE *in = fopen("docs/console.md", "r");
    ck_assert_ptr_nonnull(in);
    size_t n = fread(doc, 1, sizeof doc - 1, in);
    fclose(in);
    doc[n] = 0;
    for (int e = 1; e < ERR_COUNT; e++) {
        char row[256];
        snprintf(row, sizeof row, "| `%s` | %s |", err_name((enum err)e), err_text((enum err)e));
        ck_assert_msg(strstr(doc, row) != NULL, "docs/console.md lacks: %s", row);
    }
    for (int i = 0; i < CMD_COUNT; i++)
        ck_assert_msg(strstr(doc, command_helps[i].usage) != NULL, "docs/console.md lacks: %s", command_helps[i].usage);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("console");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, greeting_and_prompt);
    tcase_add_test(t, every_command_ends_once);
    tcase_add_test(t, answers);
    tcase_add_test(t, restore_answers_first);
    tcase_add_test(t, lists);
    tcase_add_test(t, logs);
    tcase_add_test(t, notices);
    tcase_add_test(t, deferred_answers);
    tcase_add_test(t, at_the_prompt);
    tcase_add_test(t, typed_ahead_is_bounded);
    tcase_add_test(t, control_c_stops_a_long_answer);
    tcase_add_test(t, nobody_reads);
    tcase_add_test(t, questions);
    tcase_add_test(t, through_the_gateway);
    tcase_add_test(t, random_bytes);
    tcase_add_test(t, the_reference_is_complete);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("console", suite)
