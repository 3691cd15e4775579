/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An independent check that a text is exactly one JSON value (RFC 8259), for tests. Iterative; knows nothing of
   kernel/json.c. */
#ifndef SOJOURN_TEST_JSON_CHECK_H
#define SOJOURN_TEST_JSON_CHECK_H

#include <stdbool.h>
#include <string.h>

static const char *json_check_string(const char *p)
{
    for (p++; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            return NULL;
        if (*p != '\\')
            continue;
        p++;
        if (*p == 'u') {
            for (int i = 0; i < 4; i++)
                if (!*++p || !strchr("0123456789abcdefABCDEF", *p))
                    return NULL;
        } else if (!*p || !strchr("\"\\/bfnrt", *p)) {
            return NULL;
        }
    }
    return p + 1;
}

static const char *json_check_scalar(const char *p)
{
    static const char *const words[] = {"true", "false", "null"};
    if (*p == '"')
        return json_check_string(p);
    for (int i = 0; i < 3; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    if (*p == '0')
        return p + 1;
    size_t digits = strspn(p, "0123456789");
    return digits ? p + digits : NULL;
}

/* Unsigned integers are all the numbers it accepts: the writer promises no others. */
static bool json_check(const char *p)
{
    char open[64];
    int depth = 0;
    bool want_value = true, may_close = false;
    do {
        if (want_value && depth > 0 && open[depth - 1] == '{' && *p != '}') {
            if (*p != '"' || !(p = json_check_string(p)) || *p++ != ':')
                return false;
            may_close = false;
        }
        if (want_value && (*p == '{' || *p == '[')) {
            if (depth == 64)
                return false;
            open[depth++] = *p++;
            may_close = true;
            continue;
        }
        if (depth > 0 && (*p == '}' || *p == ']')) {
            if ((want_value && !may_close) || *p != (open[depth - 1] == '{' ? '}' : ']'))
                return false;
            depth--;
            p++;
            want_value = may_close = false;
            continue;
        }
        if (want_value) {
            if (!(p = json_check_scalar(p)))
                return false;
            want_value = may_close = false;
        } else if (*p == ',') {
            p++;
            want_value = true;
            may_close = false;
        } else {
            return false;
        }
    } while (depth > 0);
    return *p == 0 && !want_value;
}

#endif
