/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A JSON writer (RFC 8259) into a sink: no document in memory, commas by itself, output all ASCII. Misuse (a
   value where a key must come, brackets that do not match, too deep) is remembered and told by json_done(). */
#ifndef SOJOURN_JSON_H
#define SOJOURN_JSON_H

#include "kernel/sink.h"
#include "types.h"

#define JSON_DEPTH_MAX 16

struct json {
    struct sink sink;
    uint32_t depth;
    char open[JSON_DEPTH_MAX]; /* '{' or '[' per level */
    bool filled[JSON_DEPTH_MAX + 1];
    bool keyed; /* a key is out, its value is due */
    bool broken;
};

void json_begin(struct json *j, struct sink sink);
/* True: exactly one complete document was written. */
bool json_done(const struct json *j) MUST_USE;

void json_object(struct json *j);
void json_object_end(struct json *j);
void json_array(struct json *j);
void json_array_end(struct json *j);
void json_key(struct json *j, const char *key);

/* text: UTF-8; what is not becomes U+FFFD. NULL writes null. */
void json_string(struct json *j, const char *text);
void json_u64(struct json *j, uint64_t value);
void json_bool(struct json *j, bool value);
void json_null(struct json *j);

/* Key and value in one. */
void json_put_string(struct json *j, const char *key, const char *text);
void json_put_u64(struct json *j, const char *key, uint64_t value);
void json_put_bool(struct json *j, const char *key, bool value);

#endif
