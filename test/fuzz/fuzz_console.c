/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes on the console's line: editor, grammar, commands whose operations answer what the input says, at once or
   later, with questions in between and a reader that is slow. Afterwards the console still answers a command, once.
   Input: bytes as typed; FF and one more is something else that happens. */
/* UNITS: kernel/console.c kernel/console_tx.c kernel/line_editor.c kernel/command.c kernel/console_help.c */
/* UNITS: kernel/json.c kernel/report.c */
#include "fuzz.h"
#include "kernel/console.h"
#include "kernel/console_tx.h"
#include "kernel/line_editor.h"

#include <string.h>

static struct {
    enum err next;
    bool text, defer, say, deferred, echoed;
    uint32_t rows;
    size_t log_bytes;
} machine;

static enum err op(char *text, size_t len)
{
    if (machine.say)
        console_notice("something\nelse %d", 1);
    if (machine.text)
        snprintf(text, len, "a line\r\nok\nerror E_IO: \x01%0200d", 1);
    if (machine.defer) {
        console_defer();
        machine.deferred = true;
    }
    return machine.next;
}

static void do_status(struct status_report *r)
{
    r->backend = "vmx";
    memset(r->reason, machine.text ? '"' : 0, sizeof r->reason - 1);
    r->notes = machine.rows % (REPORT_NOTES_MAX + 1);
}

static enum err do_plain(char *text, size_t len)
{
    return op(text, len);
}

static void command_sane(const struct command *c)
{
    FUZZ_CHECK(c->id < CMD_COUNT && memchr(c->label, 0, sizeof c->label));
}

static enum err do_command(const struct command *c, char *text, size_t len)
{
    command_sane(c);
    return op(text, len);
}

static enum err do_list(uint32_t index, struct checkpoint_row *row, char *text, size_t len)
{
    (void)text, (void)len;
    if (index >= machine.rows)
        return machine.next ? machine.next : E_NOTFOUND;
    row->id = index;
    row->time_s = UINT64_MAX / (index + 1);
    row->pages = row->bytes = UINT64_MAX;
    memset(row->label, index % 2 ? 1 : '"', sizeof row->label - 1);
    return E_OK;
}

static enum err do_show(uint64_t id, struct checkpoint_detail *d, char *text, size_t len)
{
    d->row.id = id;
    d->sections = machine.rows % (REPORT_SECTIONS_MAX + 1);
    return op(text, len);
}

static enum err do_id(uint64_t id, char *text, size_t len)
{
    (void)id;
    return op(text, len);
}

static enum err do_pin(uint64_t id, bool pinned, char *text, size_t len)
{
    (void)pinned;
    FUZZ_CHECK(id);
    return op(text, len);
}

static size_t do_log_read(bool previous, uint64_t *position, char *out, size_t max)
{
    static const char text[] = "[   1.000000] c0 test: a line\nok\nerror E_IO: \x1b?\n";
    size_t n = 0, total = previous ? 40 : machine.log_bytes;
    while (n < max && *position < total)
        out[n++] = text[(*position)++ % (sizeof text - 1)];
    return n;
}

static char screen[1u << 20];
static size_t shown;

static void take(size_t pieces)
{
    uint8_t bytes[64];
    size_t n;
    while (pieces-- && (n = console_tx_next(bytes, sizeof bytes)) > 0) {
        FUZZ_CHECK(n <= sizeof bytes);
        if (shown + n >= sizeof screen)
            shown = 0;
        memcpy(screen + shown, bytes, n);
        shown += n;
    }
}

static void do_flush(void)
{
    take(SIZE_MAX);
}

static const struct console_ops ops = {
    .version = "0.1-fuzz",
    .status = do_status,
    .enter = do_plain,
    .leave = do_plain,
    .checkpoint = do_command,
    .list = do_list,
    .show = do_show,
    .restore_check = do_command,
    .restore = do_command,
    .remove = do_id,
    .pin = do_pin,
    .verify = do_id,
    .format = do_plain,
    .bench = do_plain,
    .reboot = do_plain,
    .log_read = do_log_read,
    .flush = do_flush,
};

static void finish(bool plain)
{
    if (!machine.deferred)
        return;
    machine.deferred = machine.defer = false;
    if (plain)
        console_finish_plain(machine.next);
    else
        console_finish(machine.next, "%s", machine.text ? "so\nit went" : "");
}

static void happens(uint8_t what)
{
    static char answer[LINE_EDITOR_MAX + 1];
    switch (what % 16) {
    case 0:
        machine.next = (enum err)(what / 16 % ERR_COUNT);
        break;
    case 1:
        machine.text = !machine.text;
        break;
    case 2:
        machine.defer = !machine.defer;
        break;
    case 3:
        machine.say = !machine.say;
        break;
    case 4:
        machine.echoed = !machine.echoed;
        break;
    case 5:
        machine.rows = what;
        break;
    case 6:
        machine.log_bytes = (size_t)what << 6;
        break;
    case 7:
        take(what);
        break;
    case 8:
        finish(what & 16);
        break;
    case 9:
        console_poll();
        break;
    case 10:
        console_ask("who? ");
        break;
    case 11:
        (void)!console_answer(answer, what & 16 ? sizeof answer : 5);
        break;
    case 12:
        console_ask_end();
        break;
    case 13:
        console_notice("%s", "* odd\n\n");
        break;
    case 14:
        console_log_sink("a log line", 10);
        break;
    default:
        console_rx(0xff);
        break;
    }
}

static void settle(void)
{
    for (int i = 0; i < 4096 && (console_busy() || console_typed_ahead() || console_tx_pending()); i++) {
        machine.defer = false;
        finish(false);
        console_poll();
        take(SIZE_MAX);
    }
    FUZZ_CHECK(!console_busy() && !console_tx_pending());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&machine, 0, sizeof machine);
    shown = 0;
    console_init(&ops);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0xff && i + 1 < size) {
            happens(data[++i]);
        } else if (machine.echoed) {
            const uint8_t *end = memchr(data + i, 0xff, size - i);
            size_t most = end ? (size_t)(end - data) - i : size - i;
            size_t n = most ? console_rx_echoed(data + i, most) : 0;
            FUZZ_CHECK(n <= most && (n || !most));
            i += n ? n - 1 : 0;
        } else {
            console_rx(data[i]);
        }
    }
    machine.say = machine.echoed = false;
    settle();
    console_ask_end();
    console_rx(3); /* ^C: whatever was begun */
    settle();
    shown = 0;
    machine.next = E_OK;
    for (const char *p = "version\r"; *p; p++)
        console_rx((uint8_t)*p);
    settle();
    screen[shown] = 0;
    FUZZ_CHECK(strstr(screen, "sojourn 0.1-fuzz\r\nok\r\n" LINE_EDITOR_PROMPT));
    return 0;
}
