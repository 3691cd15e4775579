/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The console's line editor; what it understands is in the header. Echo uses nothing but backspace, space and
   bell, so any terminal and any log file can show it. */
#include "kernel/line_editor.h"

#include <string.h>

#define CTRL(letter) ((letter) - '@')
#define ASCII_ESC 0x1b
#define ASCII_DEL 0x7f
#define ESCAPE_LEN_MAX 16 /* parameter bytes; a longer sequence is noise and ends here */

enum { ESCAPE_NONE, ESCAPE_START, ESCAPE_CSI, ESCAPE_SS3 };

static void echo(const struct line_editor *e, const char *text)
{
    sink_text(&e->echo, text);
}

static void rub_out(struct line_editor *e, uint32_t count)
{
    for (; count > 0 && e->length > 0; count--) {
        e->length--;
        echo(e, "\b \b");
    }
    e->line[e->length] = 0;
}

static void rub_out_word(struct line_editor *e)
{
    uint32_t n = e->length;
    while (n > 0 && e->line[n - 1] == ' ')
        n--;
    while (n > 0 && e->line[n - 1] != ' ')
        n--;
    rub_out(e, e->length - n);
}

static bool printable(uint8_t byte)
{
    return byte >= ' ' && byte < ASCII_DEL;
}

static void clear(struct line_editor *e)
{
    e->length = 0;
    e->line[0] = 0;
    e->overflow = false;
}

bool line_editor_is_empty(const struct line_editor *e)
{
    return !e->length && !e->overflow && e->escape == ESCAPE_NONE;
}

static void add(struct line_editor *e, char c)
{
    if (e->length == LINE_EDITOR_MAX) {
        if (!e->overflow)
            echo(e, "\a");
        e->overflow = true;
        return;
    }
    e->line[e->length++] = c;
    e->line[e->length] = 0;
    if (!e->echoed)
        e->echo.put(e->echo.ctx, &c, 1);
}

static void replace(struct line_editor *e, const char *text)
{
    e->echoed = false; /* what comes now was typed by nobody */
    rub_out(e, e->length);
    e->overflow = false;
    while (*text)
        add(e, *text++);
}

/* One byte of an escape sequence (ECMA-48 5.4 "Control sequences"). False: it was not part of it. */
static bool feed_escape(struct line_editor *e, uint8_t byte)
{
    if (byte < ' ' || byte >= ASCII_DEL) {
        e->escape = ESCAPE_NONE; /* broken off: the byte means itself */
        return false;
    }
    if (e->escape == ESCAPE_START && (byte == '[' || byte == 'O')) {
        e->escape = byte == '[' ? ESCAPE_CSI : ESCAPE_SS3;
        e->escape_len = 0;
        return true;
    }
    if (e->escape == ESCAPE_CSI && byte < '@') {
        if (++e->escape_len >= ESCAPE_LEN_MAX)
            e->escape = ESCAPE_NONE;
        return true;
    }
    if (e->escape != ESCAPE_START && byte == 'A')
        replace(e, e->last);
    else if (e->escape != ESCAPE_START && byte == 'B')
        replace(e, "");
    e->escape = ESCAPE_NONE;
    return true;
}

static enum line_event end_of_line(struct line_editor *e)
{
    bool too_long = e->overflow;
    echo(e, "\r\n");
    if (too_long) {
        clear(e);
        return LINE_TOO_LONG;
    }
    if (e->length > 0)
        memcpy(e->last, e->line, e->length + 1);
    /* The text stays readable for line_editor_line(); the next byte starts a new line. */
    e->length = 0;
    return LINE_COMPLETE;
}

/* A control character that ends no line, or noise. */
static SELDOM enum line_event key(struct line_editor *e, uint8_t byte)
{
    switch (byte) {
    case CTRL('C'):
        clear(e);
        echo(e, "^C\r\n");
        return LINE_CANCELLED;
    case CTRL('H'):
    case ASCII_DEL:
        rub_out(e, 1);
        break;
    case CTRL('U'):
        replace(e, "");
        break;
    case CTRL('W'):
        rub_out_word(e);
        break;
    case '\t':
        e->echoed = false; /* the gateway echoes no control characters */
        add(e, ' ');
        break;
    case ASCII_ESC:
        e->escape = ESCAPE_START;
        break;
    default:
        break;
    }
    return LINE_NONE;
}

void line_editor_init(struct line_editor *e, struct sink sink)
{
    memset(e, 0, sizeof *e);
    e->echo = sink;
    line_editor_set_prompt(e, NULL);
}

void line_editor_set_prompt(struct line_editor *e, const char *text)
{
    e->prompt = text ? text : LINE_EDITOR_PROMPT;
    e->prompt_bytes = strlen(e->prompt);
}

enum line_event line_editor_feed_echoed(struct line_editor *e, uint8_t byte)
{
    e->echoed = true;
    enum line_event event = line_editor_feed(e, byte);
    e->echoed = false;
    return event;
}

size_t line_editor_feed_text(struct line_editor *e, const uint8_t *bytes, size_t n)
{
    size_t taken = 0;
    if (e->escape != ESCAPE_NONE)
        return 0;
    for (uint32_t at = e->length; taken < n && at < LINE_EDITOR_MAX && printable(bytes[taken]); taken++)
        e->line[at++] = (char)bytes[taken];
    if (taken > 0) {
        e->length += (uint32_t)taken;
        e->line[e->length] = 0;
        e->after_cr = false;
    }
    return taken;
}

enum line_event line_editor_feed(struct line_editor *e, uint8_t byte)
{
    bool lf_of_cr = e->after_cr && byte == '\n';
    e->line[e->length] = 0;
    e->after_cr = byte == '\r';
    if (lf_of_cr)
        return LINE_NONE;
    if (e->escape != ESCAPE_NONE && feed_escape(e, byte))
        return LINE_NONE;

    if (byte == '\r' || byte == '\n')
        return end_of_line(e);
    if (!printable(byte))
        return key(e, byte);
    add(e, (char)byte);
    return LINE_NONE;
}

const char *line_editor_line(const struct line_editor *e)
{
    return e->line;
}

void line_editor_show(const struct line_editor *e)
{
    e->echo.put(e->echo.ctx, e->prompt, e->prompt_bytes);
    if (e->length > 0)
        e->echo.put(e->echo.ctx, e->line, e->length);
}
