/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Where text goes: the console's ring, a test's buffer. Writers of text and JSON know nothing else. */
#ifndef SOJOURN_SINK_H
#define SOJOURN_SINK_H

#include "str.h"
#include "types.h"

struct sink {
    void (*put)(void *ctx, const char *bytes, size_t n);
    void *ctx;
};

static inline void sink_text(const struct sink *sink, const char *text)
{
    sink->put(sink->ctx, text, __builtin_strlen(text));
}

/* One formatted piece of at most SINK_PIECE_MAX - 1 characters; a longer one ends in "..." so that the cut shows. */
#define SINK_PIECE_MAX 320
static inline PRINTF_LIKE(2, 3) void sink_format(const struct sink *sink, const char *fmt, ...)
{
    char piece[SINK_PIECE_MAX];
    va_list args;
    va_start(args, fmt);
    int n = str_vformat(piece, sizeof piece, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof piece)
        __builtin_memcpy(piece + sizeof piece - 4, "...", 4);
    sink_text(sink, piece);
}

#endif
