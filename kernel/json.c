/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The JSON writer. Everything beyond ASCII is written as \uXXXX (a serial line and a log file carry ASCII best),
   numbers are unsigned 64 bit, written in full. */
#include "kernel/json.h"

#include <string.h>

#define UNICODE_REPLACEMENT 0xfffdu
#define UNICODE_MAX 0x10ffffu
#define SURROGATE_FIRST 0xd800u
#define SURROGATE_LAST 0xdfffu
#define SURROGATE_LOW 0xdc00u
#define PLANE_1 0x10000u

static void put(struct json *j, const char *text)
{
    sink_text(&j->sink, text);
}

/* Comma and bookkeeping before any value. False: no value may come here. */
static bool before_value(struct json *j)
{
    bool in_object = j->depth > 0 && j->open[j->depth - 1] == '{';
    if (in_object != j->keyed || (j->depth == 0 && j->filled[0]))
        j->broken = true;
    if (j->broken)
        return false;
    if (!j->keyed && j->filled[j->depth])
        put(j, ",");
    j->filled[j->depth] = true;
    j->keyed = false;
    return true;
}

static void open(struct json *j, char bracket)
{
    char text[2] = {bracket, 0};
    if (!before_value(j))
        return;
    if (j->depth == JSON_DEPTH_MAX) {
        j->broken = true;
        return;
    }
    j->open[j->depth++] = bracket;
    j->filled[j->depth] = false;
    put(j, text);
}

static void close(struct json *j, char opened, const char *bracket)
{
    if (j->broken || j->keyed || j->depth == 0 || j->open[j->depth - 1] != opened) {
        j->broken = true;
        return;
    }
    j->depth--;
    put(j, bracket);
}

void json_begin(struct json *j, struct sink sink)
{
    memset(j, 0, sizeof *j);
    j->sink = sink;
}

bool json_done(const struct json *j)
{
    return !j->broken && j->depth == 0 && j->filled[0];
}

void json_object(struct json *j)
{
    open(j, '{');
}

void json_object_end(struct json *j)
{
    close(j, '{', "}");
}

void json_array(struct json *j)
{
    open(j, '[');
}

void json_array_end(struct json *j)
{
    close(j, '[', "]");
}

/* One code point off the text, by RFC 3629 section 3 "UTF-8 definition". Always takes at least one byte. */
static uint32_t take_utf8(const unsigned char **text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, PLANE_1};
    const unsigned char *p = *text;
    uint32_t c = *p++, more;
    *text = p;
    if (c < 0x80)
        return c;
    if (c >= 0xc0 && c < 0xe0)
        more = 1;
    else if (c >= 0xe0 && c < 0xf0)
        more = 2;
    else if (c >= 0xf0 && c < 0xf8)
        more = 3;
    else
        return UNICODE_REPLACEMENT;
    c &= 0x3fu >> more;
    for (uint32_t i = 0; i < more; i++, p++) {
        if ((*p & 0xc0) != 0x80)
            return UNICODE_REPLACEMENT;
        c = c << 6 | (*p & 0x3fu);
    }
    if (c < least[more] || c > UNICODE_MAX || (c >= SURROGATE_FIRST && c <= SURROGATE_LAST))
        return UNICODE_REPLACEMENT;
    *text = p;
    return c;
}

static void put_escaped(struct json *j, uint32_t c)
{
    if (c == '"')
        put(j, "\\\"");
    else if (c == '\\')
        put(j, "\\\\");
    else if (c == '\n')
        put(j, "\\n");
    else if (c >= PLANE_1)
        sink_format(&j->sink, "\\u%04x\\u%04x", (unsigned)(SURROGATE_FIRST + ((c - PLANE_1) >> 10)),
                    (unsigned)(SURROGATE_LOW + ((c - PLANE_1) & 0x3ff)));
    else
        sink_format(&j->sink, "\\u%04x", (unsigned)c);
}

static void quoted(struct json *j, const char *text)
{
    const unsigned char *p = (const unsigned char *)text, *plain = p;
    put(j, "\"");
    while (*p) {
        const unsigned char *start = p;
        uint32_t c = take_utf8(&p);
        if (c >= ' ' && c <= '~' && c != '"' && c != '\\')
            continue;
        j->sink.put(j->sink.ctx, (const char *)plain, (size_t)(start - plain));
        put_escaped(j, c);
        plain = p;
    }
    j->sink.put(j->sink.ctx, (const char *)plain, (size_t)(p - plain));
    put(j, "\"");
}

void json_key(struct json *j, const char *key)
{
    if (j->broken || j->keyed || j->depth == 0 || j->open[j->depth - 1] != '{') {
        j->broken = true;
        return;
    }
    if (j->filled[j->depth])
        put(j, ",");
    j->filled[j->depth] = true;
    quoted(j, key);
    put(j, ":");
    j->keyed = true;
}

void json_string(struct json *j, const char *text)
{
    if (!text)
        json_null(j);
    else if (before_value(j))
        quoted(j, text);
}

void json_u64(struct json *j, uint64_t value)
{
    if (before_value(j))
        sink_format(&j->sink, "%llu", (unsigned long long)value);
}

void json_bool(struct json *j, bool value)
{
    if (before_value(j))
        put(j, value ? "true" : "false");
}

void json_null(struct json *j)
{
    if (before_value(j))
        put(j, "null");
}

void json_put_string(struct json *j, const char *key, const char *text)
{
    json_key(j, key);
    json_string(j, text);
}

void json_put_u64(struct json *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_u64(j, value);
}

void json_put_bool(struct json *j, const char *key, bool value)
{
    json_key(j, key);
    json_bool(j, value);
}
