/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The console: received bytes become commands, commands call the functions handed down at start, answers go
   into a ring that whoever drives the UART empties. Nothing here waits for the line.

     console_rx()      host context: may execute a command
     console_poll()    host context: executes what was typed ahead while a command was under way
     console_tx_next() any host context on the same CPU: never executes a command; may ask ops->list and ops->log_read
                       for the next piece of a long answer

   An answer is any number of lines, then exactly one "ok" or "error CODE: text"; unsolicited lines begin with "* ". */
#ifndef SOJOURN_KERNEL_CONSOLE_H
#define SOJOURN_KERNEL_CONSOLE_H

#include "err.h"
#include "kernel/command.h"
#include "kernel/report.h"
#include "types.h"

/* What the commands do. text: with E_OK a line of the answer, else the reason; left empty, err_text() is used. A
   function left NULL answers E_NOTYET.
   A function may call console_defer() and return: the answer is then what console_finish() says later. */
struct console_ops {
    const char *version;
    void (*status)(struct status_report *r); /* r is zeroed */
    enum err (*enter)(char *text, size_t len);
    enum err (*leave)(char *text, size_t len);
    enum err (*checkpoint)(const struct command *c, char *text, size_t len); /* label, OPT_FULL, OPT_WAIT */
    /* Row number index in ID order; E_NOTFOUND: there is none any more. */
    enum err (*list)(uint32_t index, struct checkpoint_row *row, char *text, size_t len);
    enum err (*show)(uint64_t id, struct checkpoint_detail *d, char *text, size_t len); /* d is zeroed */
    /* Checks everything, touches nothing. E_OK: the console answers ok, flushes, and calls restore, whose outcome
       becomes a "* restore: ..." line. */
    enum err (*restore_check)(const struct command *c, char *text, size_t len);
    enum err (*restore)(const struct command *c, char *text, size_t len);
    enum err (*remove)(uint64_t id, char *text, size_t len);
    enum err (*pin)(uint64_t id, bool pinned, char *text, size_t len);
    enum err (*verify)(uint64_t id, char *text, size_t len); /* id 0: the whole store */
    enum err (*format)(char *text, size_t len);
    enum err (*bench)(char *text, size_t len);
    enum err (*automatic)(const struct command *c, char *text, size_t len);
    enum err (*reboot)(char *text, size_t len); /* called after ok and flush; returns only if it failed */
    size_t (*log_read)(bool previous, uint64_t *position, char *out, size_t max); /* kernel/log_control.h */
    void (*flush)(void); /* send what console_tx_next() gives, with a deadline; may be NULL */
};

/* Shows the greeting and the prompt. ops must stay. */
void console_init(const struct console_ops *ops);

void console_rx(uint8_t byte);
/* Bytes that came through the gateway, which has echoed the printable ones. Returns how many were taken, at least one: a
   stretch of text, or one of the others, so that what is received while a command runs comes after it. */
size_t console_rx_echoed(const uint8_t *bytes, size_t n);
void console_poll(void);

/* The next bytes to send: 0 if there are none. */
size_t console_tx_next(uint8_t *out, size_t max);
bool console_tx_pending(void);

/* An unsolicited line; the "* " is added. Also before console_init(). */
void console_notice(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A log sink (log_attach) that shows every log line as an unsolicited one. */
void console_log_sink(const char *line, size_t length);

/* From inside an ops function: the answer comes later, by console_finish(). Until then input is held. */
void console_defer(void);
void console_finish(enum err e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same with the text that the code has. */
void console_finish_plain(enum err e);
/* Something was typed ahead and waits for console_poll(). */
bool console_typed_ahead(void);
/* No command is under way, nothing is typed ahead, and the line is empty: the next byte begins a command. */
bool console_at_prompt(void);
/* A command is under way, or its answer is not yet out completely. */
bool console_busy(void);

/* A question instead of the prompt; the next line is not a command but the answer. question must stay. */
void console_ask(const char *question);
/* True once: the answer is there. */
bool console_answer(char *line, size_t len) MUST_USE;
/* Back to the prompt. */
void console_ask_end(void);

#endif
