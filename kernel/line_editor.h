/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Bytes typed on the console become echoed bytes and complete lines: backspace and DEL, ^W (word), ^U (line),
   ^C (cancel), up arrow (the last line again), down arrow (empty line), CR, LF or CRLF as one end of line. Whatever
   else comes over a serial wire (NULs, escape sequences, line noise) is swallowed. */
#ifndef SOJOURN_LINE_EDITOR_H
#define SOJOURN_LINE_EDITOR_H

#include "kernel/sink.h"
#include "types.h"

#define LINE_EDITOR_MAX 240
#define LINE_EDITOR_PROMPT "sojourn> "

enum line_event {
    LINE_NONE,      /* nothing to do yet */
    LINE_COMPLETE,  /* line_editor_line() is ready (possibly empty), its end has been echoed */
    LINE_CANCELLED, /* ^C: the line is gone */
    LINE_TOO_LONG,  /* a line ended that did not fit: it must not be executed */
};

struct line_editor {
    struct sink echo;
    const char *prompt;
    size_t prompt_bytes;
    bool echoed; /* printable bytes were already echoed on their way here */
    uint32_t length;
    bool overflow;
    bool after_cr;      /* a LF now belongs to the CR before */
    uint8_t escape;     /* where in an escape sequence we are */
    uint8_t escape_len; /* its parameter bytes so far */
    char line[LINE_EDITOR_MAX + 1];
    char last[LINE_EDITOR_MAX + 1];
};

void line_editor_init(struct line_editor *editor, struct sink sink);
enum line_event line_editor_feed(struct line_editor *editor, uint8_t byte);
/* A byte that the gateway took while the guest ran native: it has echoed printable ones itself. */
enum line_event line_editor_feed_echoed(struct line_editor *editor, uint8_t byte);
/* Several such bytes: how many of them, from the first one on, are plain text of the line and have been added to it. The
   next one takes line_editor_feed_echoed(). */
size_t line_editor_feed_text(struct line_editor *editor, const uint8_t *bytes, size_t n);
/* Another prompt than LINE_EDITOR_PROMPT; NULL: that one again. text must stay. */
void line_editor_set_prompt(struct line_editor *editor, const char *text);
/* The line that LINE_COMPLETE announced; valid until the next feed. */
const char *line_editor_line(const struct line_editor *editor);
/* Nothing was typed since the last line's end. */
bool line_editor_is_empty(const struct line_editor *editor);
/* Prompt and what has been typed so far: at the start, after an answer, after an unsolicited line. */
void line_editor_show(const struct line_editor *editor);

#endif
