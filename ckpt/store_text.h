/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What list and show say about a checkpoint, for people and as JSON: the console and sojstore print the same. */
#ifndef SOJOURN_CKPT_STORE_TEXT_H
#define SOJOURN_CKPT_STORE_TEXT_H

#include "ckpt/format.h"
#include "types.h"

#define STORE_TIME_TEXT 32 /* "2026-11-22T04:00:00Z" and its 0, with room for absurd years */

/* Seconds since 1970 UTC as ISO 8601. */
void store_time_text(int64_t seconds, char text[STORE_TIME_TEXT]);
/* And back from calendar fields, month 1..12, as an RTC gives them. */
int64_t store_time_seconds(int year, int month, int day, int hour, int minute, int second);

/* "committed", or "merging" while it is being taken over. */
const char *store_state_name(const struct disk_entry *e);
const char *store_kind_name(uint32_t kind); /* "full", "incremental" */
const char *store_disk_name(uint32_t disk); /* "consistent", "memory-only", "none" */

/* One object of list --json, without newline; fits in 512 bytes. Returns its length. */
int store_entry_json(const struct disk_entry *e, char *buf, size_t len);
/* One line of list, without newline, and the heading over its columns. */
int store_entry_line(const struct disk_entry *e, char *buf, size_t len);
extern const char store_entry_heading[];

#endif
