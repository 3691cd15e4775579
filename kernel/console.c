/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The console's state machine.

     IDLE --line--> RUNNING --op returns--> IDLE          answer written at once
                    RUNNING --console_defer--> LATER --console_finish--> IDLE
                    RUNNING --list, log--> STREAM --last piece fits--> IDLE

   Outside IDLE received bytes are held and executed later, in order, so that answers never mix. While a STREAM answer
   is under way unsolicited lines are held, too, because a JSON answer is one line. */
#include "kernel/console.h"

#include "bits.h"

#include "kernel/console_help.h"
#include "kernel/console_tx.h"
#include "kernel/line_editor.h"
#include "log.h"

#include <string.h>

#define HOLD_BYTES 2048u /* two per received byte: how it came, and the byte */
#define HELD_NOTICES_BYTES 2048
#define STREAM_ROOM                                                                                                    \
    8192u /* more than one row of list --json, or one piece of the log and all held notices, can need  \
                           */
#define LOG_PIECE_BYTES 256
#define LINE_BYTES 320
#define CTRL_C 0x03

enum console_state { IDLE, RUNNING, LATER, STREAM };

static uint8_t tx_data[CONSOLE_TX_BYTES];
static uint8_t hold_data[HOLD_BYTES];
static struct console_tx tx = CONSOLE_TX_INIT(tx_data);
static struct byte_ring hold = {.mask = HOLD_BYTES - 1};

static struct {
    const struct console_ops *ops;
    enum console_state state;
    bool polling;
    bool deferred; /* console_defer() was called by the op that runs */
    bool answered; /* the line that ends the answer is out */
    uint64_t gaps_before;
    uint64_t held_lost; /* received bytes that did not fit */
    struct line_editor editor;
    struct command command;
    char text[REPORT_TEXT_MAX];
    bool asking, asked;
    /* STREAM */
    uint32_t row;
    uint64_t position;
    bool log_mid_line;
    struct json json;
    /* Unsolicited lines that wait, each ended by \n. */
    char held[HELD_NOTICES_BYTES];
    size_t held_length;
    uint32_t held_dropped;
    union {
        struct status_report status;
        struct checkpoint_detail detail;
    } scratch;
} con;

static void put_raw(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    console_tx_raw(&tx, bytes, n);
}

static void put_text(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    console_tx_text(&tx, bytes, n);
}

static const struct sink answer = {put_text, NULL};

/* One line whatever is in it: programs count on it. */
static void one_line(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = ' ';
}

static void show_prompt(void)
{
    if (con.ops)
        line_editor_show(&con.editor);
}

static void notice(const char *text)
{
    if (con.state == STREAM) {
        size_t n = strlen(text);
        if (con.held_length + n + 1 > sizeof con.held) {
            con.held_dropped++;
            return;
        }
        memcpy(con.held + con.held_length, text, n);
        con.held_length += n;
        con.held[con.held_length++] = '\n';
        return;
    }
    console_tx_fresh_line(&tx);
    sink_format(&answer, "* %s\n", text);
    if (con.state == IDLE)
        show_prompt();
}

void console_notice(const char *fmt, ...)
{
    char line[LINE_BYTES - 8];
    va_list args;
    va_start(args, fmt);
    (void)str_vformat(line, sizeof line, fmt, args);
    va_end(args);
    one_line(line);
    notice(line);
}

void console_log_sink(const char *line, size_t length)
{
    console_notice("%.*s", (int)(length < LINE_BYTES ? length : LINE_BYTES), line);
}

static void release_held_notices(void)
{
    for (size_t i = 0, from = 0; i < con.held_length; i++) {
        if (con.held[i] != '\n')
            continue;
        con.held[i] = 0;
        sink_format(&answer, "* %s\n", con.held + from);
        from = i + 1;
    }
    if (con.held_dropped)
        sink_format(&answer, "* %u more lines were dropped meanwhile; see log\n", (unsigned)con.held_dropped);
    con.held_length = 0;
    con.held_dropped = 0;
}

/* As much of the parts as fits; always ended. */
static void join(char *text, size_t len, const char *const parts[], size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        for (const char *from = parts[i]; *from && used + 1 < len; from++)
            text[used++] = *from;
    text[used] = 0;
}

/* The line that ends the answer, or, if that is already out, an unsolicited one with the outcome. */
static void end_answer(enum err e)
{
    static const char plain[] = "ok\r\n";
    char line[LINE_BYTES];
    const size_t room = sizeof line - (sizeof "\r\n" - 1);
    const char *name = command_helps[con.command.id].name;
    one_line(con.text);
    if (!con.answered && e == E_OK && con.text[0])
        sink_format(&answer, "%s\n", con.text);
    if (!con.answered && e == E_OK && tx.gaps != con.gaps_before) {
        e = E_CUT;
        con.text[0] = 0;
    }
    const char *reason = con.text[0] ? con.text : err_text(e);
    if (con.answered && e == E_OK)
        (void)str_format(line, room, "* %s: done%s%s", name, con.text[0] ? ", " : "", con.text);
    else if (con.answered)
        (void)str_format(line, room, "* %s: %s: %s", name, err_name(e), reason);
    else if (e != E_OK) {
        /* Without formatting: that code may be what is damaged (E_DIGEST). */
        const char *const parts[] = {"error ", err_name(e), ": ", reason};
        join(line, room, parts, ARRAY_LEN(parts));
    }
    if (!con.answered && e == E_OK) {
        console_tx_last_line(&tx, plain, sizeof plain - 1); /* a leave comes here with all CPUs stopped */
    } else {
        size_t n = strlen(line);
        memcpy(line + n, "\r\n", 2);
        console_tx_last_line(&tx, line, n + 2);
    }
    con.answered = true;
}

static void finish(enum err e)
{
    end_answer(e);
    con.state = IDLE;
    release_held_notices();
    show_prompt();
}

static void flush(void)
{
    if (con.ops->flush)
        con.ops->flush();
}

static void reason(const char *text)
{
    (void)str_format(con.text, sizeof con.text, "%s", text);
}

/* --- one function per command; con.text is empty at the start ------------------------------------------------------
 */

static enum err run_help(const struct command *c)
{
    if (c->arg == ARG_TOPIC)
        console_help_one(&answer, c->topic);
    else
        console_help_all(&answer);
    return E_OK;
}

static enum err run_status(const struct command *c)
{
    if (!con.ops->status)
        return E_NOTYET;
    memset(&con.scratch.status, 0, sizeof con.scratch.status);
    con.scratch.status.version = con.ops->version;
    con.scratch.status.backend = "none";
    con.ops->status(&con.scratch.status);
    if (c->options & OPT_JSON) {
        report_status_json(&answer, &con.scratch.status);
        sink_text(&answer, "\n");
    } else {
        report_status_text(&answer, &con.scratch.status);
    }
    return E_OK;
}

static enum err run_enter(const struct command *c)
{
    (void)c;
    return con.ops->enter ? con.ops->enter(con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_leave(const struct command *c)
{
    (void)c;
    return con.ops->leave ? con.ops->leave(con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_checkpoint(const struct command *c)
{
    return con.ops->checkpoint ? con.ops->checkpoint(c, con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_list(const struct command *c)
{
    if (!con.ops->list)
        return E_NOTYET;
    con.row = 0;
    con.state = STREAM;
    if (c->options & OPT_JSON) {
        json_begin(&con.json, answer);
        json_array(&con.json);
    }
    return E_OK;
}

static enum err run_show(const struct command *c)
{
    if (!con.ops->show)
        return E_NOTYET;
    memset(&con.scratch.detail, 0, sizeof con.scratch.detail);
    enum err e = con.ops->show(c->checkpoint, &con.scratch.detail, con.text, sizeof con.text);
    if (e != E_OK)
        return e;
    if (c->options & OPT_JSON) {
        report_show_json(&answer, &con.scratch.detail);
        sink_text(&answer, "\n");
    } else {
        report_show_text(&answer, &con.scratch.detail);
    }
    return E_OK;
}

static enum err run_restore(const struct command *c)
{
    if (c->options & OPT_LAZY) {
        reason("--lazy comes in a later version; without it everything is read before the guest resumes");
        return E_NOTYET;
    }
    if (!con.ops->restore)
        return E_NOTYET;
    enum err e = con.ops->restore_check ? con.ops->restore_check(c, con.text, sizeof con.text) : E_OK;
    if (e != E_OK)
        return e;
    end_answer(E_OK);
    flush();
    con.text[0] = 0;
    return con.ops->restore(c, con.text, sizeof con.text);
}

static enum err run_delete(const struct command *c)
{
    return con.ops->remove ? con.ops->remove(c->checkpoint, con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_pin(const struct command *c)
{
    return con.ops->pin ? con.ops->pin(c->checkpoint, c->arg != ARG_OFF, con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_verify(const struct command *c)
{
    uint64_t id = c->arg == ARG_ID ? c->checkpoint : 0;
    return con.ops->verify ? con.ops->verify(id, con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_auto(const struct command *c)
{
    return con.ops->automatic ? con.ops->automatic(c, con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_protect(const struct command *c)
{
    reason(c->arg == ARG_ON ? "protect comes in a later version; checkpoints cover memory only" : "protect off");
    return c->arg == ARG_ON ? E_NOTYET : E_OK;
}

static enum err run_log(const struct command *c)
{
    (void)c;
    if (!con.ops->log_read)
        return E_NOTYET;
    con.position = 0;
    con.log_mid_line = false;
    con.state = STREAM;
    return E_OK;
}

static enum err run_format(const struct command *c)
{
    (void)c;
    return con.ops->format ? con.ops->format(con.text, sizeof con.text) : E_NOTYET;
}

static enum err run_reboot(const struct command *c)
{
    (void)c;
    if (!con.ops->reboot)
        return E_NOTYET;
    end_answer(E_OK);
    flush();
    return con.ops->reboot(con.text, sizeof con.text);
}

static enum err run_version(const struct command *c)
{
    (void)c;
    sink_format(&answer, "sojourn %s\n", con.ops->version);
    return E_OK;
}

static enum err run_bench(const struct command *c)
{
    (void)c;
    return con.ops->bench ? con.ops->bench(con.text, sizeof con.text) : E_NOTYET;
}

static enum err (*const runners[CMD_COUNT])(const struct command *c) = {
    [CMD_HELP] = run_help,
    [CMD_STATUS] = run_status,
    [CMD_ENTER] = run_enter,
    [CMD_LEAVE] = run_leave,
    [CMD_CHECKPOINT] = run_checkpoint,
    [CMD_LIST] = run_list,
    [CMD_SHOW] = run_show,
    [CMD_RESTORE] = run_restore,
    [CMD_DELETE] = run_delete,
    [CMD_PIN] = run_pin,
    [CMD_VERIFY] = run_verify,
    [CMD_AUTO] = run_auto,
    [CMD_PROTECT] = run_protect,
    [CMD_LOG] = run_log,
    [CMD_FORMAT] = run_format,
    [CMD_REBOOT] = run_reboot,
    [CMD_VERSION] = run_version,
    [CMD_BENCH] = run_bench,
};

_Static_assert(CMD_BENCH + 1 == CMD_COUNT, "a new command needs its row above");

/* --- long answers, piece by piece ----------------------------------------------------------------------------------
 */

/* Log text with every line beginning in "[", which no end of an answer does; damaged lines get a "? ". */
static void put_log(const char *bytes, size_t n)
{
    for (size_t i = 0, from = 0; i < n; i++) {
        if (!con.log_mid_line && bytes[i] != '[')
            sink_text(&answer, "? ");
        con.log_mid_line = bytes[i] != '\n';
        if (con.log_mid_line && i + 1 < n)
            continue;
        put_text(NULL, bytes + from, i + 1 - from);
        from = i + 1;
    }
}

/* The next piece. true: more to come; else *end is how the answer ends, which may be any error. */
static bool stream_log(enum err *end)
{
    char piece[LOG_PIECE_BYTES];
    size_t n = con.ops->log_read(con.command.arg == ARG_PREVIOUS, &con.position, piece, sizeof piece);
    put_log(piece, n);
    if (n > 0)
        return true;
    if (con.log_mid_line)
        sink_text(&answer, "\n");
    *end = E_OK;
    return false;
}

static bool stream_list(enum err *end)
{
    struct checkpoint_row row;
    bool json = con.command.options & OPT_JSON;
    memset(&row, 0, sizeof row);
    enum err e = con.ops->list(con.row, &row, con.text, sizeof con.text);
    if (e == E_OK) {
        if (json) {
            report_row_json(&con.json, &row);
        } else {
            if (con.row == 0)
                report_list_head_text(&answer);
            report_row_text(&answer, &row);
        }
        con.text[0] = 0;
        con.row++;
        return true;
    }
    if (json) {
        json_array_end(&con.json);
        sink_text(&answer, "\n");
    }
    *end = e;
    if (e == E_NOTFOUND) {
        reason(con.row == 0 && !json ? "no checkpoints" : "");
        *end = E_OK;
    }
    return false;
}

static void stream(void)
{
    if (con.state != STREAM)
        return;
    enum err e = E_OK;
    bool more = true;
    while (con.state == STREAM && more && console_tx_room(&tx, STREAM_ROOM))
        more = con.command.id == CMD_LOG ? stream_log(&e) : stream_list(&e);
    if (con.state == STREAM && !more)
        finish(e);
}

/* --- input ----------------------------------------------------------------------------------------------------------
 */

static enum err run(const char *line)
{
    enum err e = command_parse(line, &con.command, con.text, sizeof con.text);
    return e == E_OK ? runners[con.command.id](&con.command) : e;
}

static void execute(const char *line)
{
    con.state = RUNNING;
    con.deferred = false;
    con.answered = false;
    con.gaps_before = tx.gaps;
    con.text[0] = 0;
    enum err e = run(line);
    if (con.state == STREAM)
        stream();
    else if (con.deferred)
        con.state = LATER;
    else if (con.state == RUNNING)
        finish(e);
}

static bool blank(const char *line)
{
    return line[strspn(line, " ")] == 0;
}

static void feed(uint8_t byte, bool echoed)
{
    enum line_event event = echoed ? line_editor_feed_echoed(&con.editor, byte) : line_editor_feed(&con.editor, byte);
    if (event == LINE_COMPLETE && con.asking) {
        con.asked = true;
    } else if (event == LINE_COMPLETE && !blank(line_editor_line(&con.editor))) {
        execute(line_editor_line(&con.editor));
    } else if (event == LINE_TOO_LONG) {
        (void)str_format(con.text, sizeof con.text, "the line is longer than %d characters", LINE_EDITOR_MAX);
        con.answered = false;
        con.gaps_before = tx.gaps;
        finish(E_TOOLONG);
    } else if (event != LINE_NONE) {
        show_prompt();
    }
}

/* The editor takes bytes right now. */
static bool takes_bytes(void)
{
    return con.state == IDLE && !con.asked;
}

void console_poll(void)
{
    uint8_t echoed, byte;
    if (con.polling || !con.ops)
        return;
    con.polling = true;
    while (takes_bytes() && ring_get(&hold, hold_data, &echoed) && ring_get(&hold, hold_data, &byte))
        feed(byte, echoed);
    con.polling = false;
}

/* Nothing waits in front of a byte that comes now. */
static bool at_once(void)
{
    return takes_bytes() && !con.polling && con.ops && ring_used(&hold) == 0;
}

static void receive(uint8_t byte, bool echoed)
{
    if (byte == CTRL_C && con.state == STREAM) {
        reason("stopped by ^C");
        if (con.log_mid_line || (con.command.options & OPT_JSON))
            sink_text(&answer, "\n");
        finish(E_CUT);
        return;
    }
    if (at_once()) {
        con.polling = true;
        feed(byte, echoed);
        con.polling = false;
    } else if (ring_free(&hold) < 2 && byte != CTRL_C) {
        con.held_lost++;
        return;
    } else {
        if (ring_free(&hold) < 2)
            ring_init(&hold, HOLD_BYTES); /* ^C has to get through: what waits in front of it is given up */
        (void)ring_put(&hold, hold_data, echoed);
        (void)ring_put(&hold, hold_data, byte);
    }
    console_poll();
}

void console_rx(uint8_t byte)
{
    receive(byte, false);
}

size_t console_rx_echoed(const uint8_t *bytes, size_t n)
{
    size_t taken = at_once() ? line_editor_feed_text(&con.editor, bytes, n) : 0;
    if (taken > 0 || n == 0)
        return taken;
    receive(*bytes, true);
    return 1;
}

void console_init(const struct console_ops *ops)
{
    struct sink echo = {put_raw, NULL};
    memset(&con, 0, sizeof con);
    ring_init(&hold, HOLD_BYTES);
    line_editor_init(&con.editor, echo);
    con.state = RUNNING;
    console_notice("sojourn %s; type help", ops->version);
    con.ops = ops;
    con.state = IDLE;
    show_prompt();
}

/* --- output and the rest of the interface --------------------------------------------------------------------------
 */

size_t console_tx_next(uint8_t *out, size_t max)
{
    stream();
    return console_tx_take(&tx, out, max);
}

bool console_tx_pending(void)
{
    return con.state == STREAM || ring_used(&tx.ring) > 0;
}

void console_defer(void)
{
    con.deferred = true;
}

void console_finish_plain(enum err e)
{
    if (!con.deferred) {
        log_line("console", "finish without a command: %s", err_name(e));
        return;
    }
    con.deferred = false;
    finish(e);
}

void console_finish(enum err e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)str_vformat(con.text, sizeof con.text, fmt, args);
    va_end(args);
    console_finish_plain(e);
}

bool console_typed_ahead(void)
{
    return ring_used(&hold) != 0;
}

bool console_at_prompt(void)
{
    return at_once() && line_editor_is_empty(&con.editor) && !con.asking;
}

bool console_busy(void)
{
    return con.state != IDLE;
}

void console_ask(const char *question)
{
    console_tx_fresh_line(&tx);
    line_editor_set_prompt(&con.editor, question);
    con.asking = true;
    con.asked = false;
    show_prompt();
}

bool console_answer(char *line, size_t len)
{
    if (!con.asked)
        return false;
    (void)str_format(line, len, "%s", line_editor_line(&con.editor));
    con.asked = false;
    return true;
}

void console_ask_end(void)
{
    line_editor_set_prompt(&con.editor, NULL);
    con.asking = false;
    con.asked = false;
    console_tx_fresh_line(&tx);
    show_prompt();
}
