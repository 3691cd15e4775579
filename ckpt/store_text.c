/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See store_text.h. */
#include "ckpt/store_text.h"

#include "ckpt/store.h"
#include "str.h"

#define SECONDS_PER_DAY 86400

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Years are counted from March, so that the leap
   day is the last of its year; 400 years are 146097 days; 719468 days lie between 0000-03-01 and 1970-01-01. */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

int64_t store_time_seconds(int year, int month, int day, int hour, int minute, int second)
{
    return days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
}

void store_time_text(int64_t seconds, char text[STORE_TIME_TEXT])
{
    /* A clock that was never set, or a forged entry: keep the arithmetic, and the text, in bounds. */
    const int64_t year_9999_ends = 253402300799;
    seconds = seconds < 0 ? 0 : seconds > year_9999_ends ? year_9999_ends : seconds;
    int64_t days = seconds / SECONDS_PER_DAY, rest = seconds % SECONDS_PER_DAY;
    int64_t z = days + 719468, era = z / 146097, day_of_era = z % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    str_format(text, STORE_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, (int)month,
               (int)(day_of_year - (153 * march_month + 2) / 5 + 1), (int)(rest / 3600), (int)(rest / 60 % 60),
               (int)(rest % 60));
}

const char *store_kind_name(uint32_t kind)
{
    return kind == CKPT_INCREMENTAL ? "incremental" : "full";
}

const char *store_state_name(const struct disk_entry *e)
{
    return format_is_rest(e) ? "merging" : "committed";
}

const char *store_disk_name(uint32_t disk)
{
    return disk == CKPT_DISK_CONSISTENT ? "consistent" : disk == CKPT_DISK_MEMORY_ONLY ? "memory-only" : "none";
}

/* Labels are printable ASCII, so that quote and backslash are all there is to escape; a forged one gets '?'. */
static void json_label(const char *label, char out[2 * STORE_LABEL_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < STORE_LABEL_BYTES - 1 && label[i]; i++) {
        if (label[i] == '"' || label[i] == '\\')
            out[n++] = '\\';
        out[n++] = label[i] >= ' ' && label[i] <= '~' ? label[i] : '?';
    }
    out[n] = 0;
}

int store_entry_json(const struct disk_entry *e, char *buf, size_t len)
{
    char label[2 * STORE_LABEL_BYTES], time[STORE_TIME_TEXT], parent[24] = "null";
    json_label(e->label, label);
    store_time_text(e->time, time);
    if (e->parent)
        str_format(parent, sizeof parent, "%lu", e->parent);
    return str_format(buf, len,
                      "{\"id\":%lu,\"label\":\"%s\",\"kind\":\"%s\",\"parent\":%s,\"time\":\"%s\",\"pages\":%lu,"
                      "\"bytes\":%lu,\"disk\":\"%s\",\"pinned\":%s,\"state\":\"%s\"}",
                      e->id, label, store_kind_name(e->kind), parent, time, e->pages, store_entry_bytes(e),
                      store_disk_name(e->disk), e->flags & ENTRY_FLAG_PINNED ? "true" : "false", store_state_name(e));
}

const char store_entry_heading[] =
    "  ID  TIME                  KIND         PARENT    PAGES      KIB  DISK         PIN  LABEL";

int store_entry_line(const struct disk_entry *e, char *buf, size_t len)
{
    char time[STORE_TIME_TEXT], parent[24] = "-";
    store_time_text(e->time, time);
    if (e->parent)
        str_format(parent, sizeof parent, "%lu", e->parent);
    return str_format(buf, len, "%4lu  %s  %-11s  %6s  %7lu %8lu  %-11s  %-3s  %.63s", e->id, time,
                      store_kind_name(e->kind), parent, e->pages, store_entry_bytes(e) / 1024, store_disk_name(e->disk),
                      e->flags & ENTRY_FLAG_PINNED ? "yes" : "-", format_is_rest(e) ? "(merging)" : e->label);
}
