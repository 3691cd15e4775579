/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Text and JSON of status, list and show. Columns are wide enough for usual values; a wider value shifts the
   rest of its line and is never cut. */
#include "kernel/report.h"

#define SECONDS_PER_DAY 86400u
#define YEAR_9999_LAST_SECOND 253402300799ull
#define DAYS_0000_03_01_TO_1970 719468u /* from the first of March of the year 0 */
#define DAYS_PER_400_YEARS 146097u

static const char *const mode_names[] = {[REPORT_NATIVE] = "native", [REPORT_VIRTUAL] = "virtual"};
static const char *const activity_names[] = {
    [REPORT_IDLE] = "idle", [REPORT_SAVING] = "saving", [REPORT_LOADING] = "loading", [REPORT_GUARDING] = "guarding"};
static const char *const guest_names[] = {
    [REPORT_RUNNING] = "running", [REPORT_PARKED] = "parked", [REPORT_NO_GUEST] = "none"};
static const char *const store_names[] = {[REPORT_STORE_READY] = "ready",
                                          [REPORT_STORE_ABSENT] = "absent",
                                          [REPORT_STORE_BAD] = "bad",
                                          [REPORT_STORE_LOCKED] = "locked"};
static const char *const disk_names[] = {
    [REPORT_DISK_CONSISTENT] = "consistent", [REPORT_DISK_MEMORY_ONLY] = "memory-only", [REPORT_DISK_NONE] = "none"};

static const char *const exit_names[EXIT_KIND_COUNT] = {
#define X(kind, name) [kind] = name,
    EXIT_LIST(X)
#undef X
};

#define NAME_OF(table, value) name_of(table, ARRAY_LEN(table), (uint32_t)(value))
static const char *name_of(const char *const *table, size_t count, uint32_t value)
{
    return value < count ? table[value] : "?";
}

static unsigned long long ull(uint64_t value)
{
    return value;
}

/* Days to a civil date with the year beginning in March, so that the leap day comes last; exact for the proleptic
   Gregorian calendar. */
void report_time(uint64_t unix_s, char text[REPORT_TIME_MAX])
{
    if (unix_s > YEAR_9999_LAST_SECOND)
        unix_s = YEAR_9999_LAST_SECOND;
    uint32_t second = (uint32_t)(unix_s % SECONDS_PER_DAY);
    uint32_t days = (uint32_t)(unix_s / SECONDS_PER_DAY) + DAYS_0000_03_01_TO_1970;
    uint32_t era = days / DAYS_PER_400_YEARS;
    uint32_t day_of_era = days % DAYS_PER_400_YEARS;
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t march_month = (5 * day_of_year + 2) / 153;
    uint32_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
    uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    uint32_t year = year_of_era + era * 400 + (month <= 2);
    (void)str_format(text, REPORT_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year, (unsigned)month,
                     (unsigned)day, (unsigned)(second / 3600), (unsigned)(second / 60 % 60), (unsigned)(second % 60));
}

void report_bytes(uint64_t bytes, char text[REPORT_TIME_MAX])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint32_t unit = 0;
    uint64_t whole = bytes, tenths = 0;
    while (whole >= 10240 || (unit > 0 && whole >= 1024)) {
        tenths = (whole & 1023) * 10 / 1024;
        whole >>= 10;
        unit++;
    }
    if (unit == 0 || whole >= 100)
        (void)str_format(text, REPORT_TIME_MAX, "%llu %s", ull(whole), units[unit]);
    else
        (void)str_format(text, REPORT_TIME_MAX, "%llu.%llu %s", ull(whole), ull(tenths), units[unit]);
}

static uint64_t exits_total(const struct status_report *r)
{
    uint64_t total = 0;
    for (int i = 0; i < EXIT_KIND_COUNT; i++)
        total += r->exits[i];
    return total;
}

static uint32_t notes_shown(const struct status_report *r)
{
    return r->notes < REPORT_NOTES_MAX ? r->notes : REPORT_NOTES_MAX;
}

static void store_text(const struct sink *out, const struct status_report *r)
{
    char size[REPORT_TIME_MAX], used[REPORT_TIME_MAX];
    report_bytes(r->store.bytes, size);
    report_bytes(r->store.used, used);
    sink_format(out, "store        %s", NAME_OF(store_names, r->store.state));
    if (r->store.state == REPORT_STORE_READY || r->store.state == REPORT_STORE_LOCKED)
        sink_format(out, ", %llu checkpoints, %s of %s used", ull(r->store.checkpoints), used, size);
    if (r->store.text[0])
        sink_format(out, " (%s)", r->store.text);
    sink_text(out, "\n");
}

static void exits_text(const struct sink *out, const struct status_report *r)
{
    uint32_t shown = 0;
    sink_format(out, "exits        %llu", ull(exits_total(r)));
    for (int i = 0; i < EXIT_KIND_COUNT; i++)
        if (r->exits[i])
            sink_format(out, "%s%s %llu", shown++ ? ", " : ": ", exit_names[i], ull(r->exits[i]));
    sink_text(out, "\n");
}

void report_status_text(const struct sink *out, const struct status_report *r)
{
    char ram[REPORT_TIME_MAX], hidden[REPORT_TIME_MAX];
    report_bytes(r->ram_bytes, ram);
    report_bytes(r->hidden_bytes, hidden);
    sink_format(out, "sojourn      %s, backend %s, up %llu s\n", r->version, r->backend, ull(r->uptime_us / 1000000));
    sink_format(out, "mode         %s%s%s\n", NAME_OF(mode_names, r->mode), r->reason[0] ? ": " : "", r->reason);
    sink_format(out, "activity     %s", NAME_OF(activity_names, r->activity));
    if (r->activity != REPORT_IDLE)
        sink_format(out, " %u%%", (unsigned)r->percent);
    sink_format(out, "\nguest        %s, %u CPU%s, %s RAM, %s hidden\n", NAME_OF(guest_names, r->guest),
                (unsigned)r->cpus, r->cpus == 1 ? "" : "s", ram, hidden);
    store_text(out, r);
    sink_format(out, "transitions  %llu enter, %llu leave, %llu refused%s%s\n", ull(r->transitions.enter),
                ull(r->transitions.leave), ull(r->transitions.refused),
                r->transitions.last_refusal[0] ? "; last: " : "", r->transitions.last_refusal);
    exits_text(out, r);
    if (r->stops_us.max)
        sink_format(out, "stops        last %llu us, longest %llu us\n", ull(r->stops_us.last), ull(r->stops_us.max));
    if (r->hidden_writes)
        sink_format(out, "hidden       %llu guest writes to hidden memory dropped\n", ull(r->hidden_writes));
    for (uint32_t i = 0; i < notes_shown(r); i++)
        sink_format(out, "note         %s\n", r->note[i]);
}

void report_status_json(const struct sink *out, const struct status_report *r)
{
    struct json j;
    json_begin(&j, *out);
    json_object(&j);
    json_put_string(&j, "version", r->version);
    json_put_string(&j, "backend", r->backend);
    json_put_string(&j, "mode", NAME_OF(mode_names, r->mode));
    json_put_string(&j, "activity", NAME_OF(activity_names, r->activity));
    json_put_string(&j, "guest", NAME_OF(guest_names, r->guest));
    json_put_u64(&j, "cpus", r->cpus);
    json_put_u64(&j, "ram_bytes", r->ram_bytes);
    json_put_u64(&j, "hidden_bytes", r->hidden_bytes);
    json_key(&j, "store");
    json_object(&j);
    json_put_string(&j, "state", NAME_OF(store_names, r->store.state));
    json_put_u64(&j, "bytes", r->store.bytes);
    json_put_u64(&j, "used", r->store.used);
    json_put_u64(&j, "checkpoints", r->store.checkpoints);
    json_put_string(&j, "text", r->store.text);
    json_object_end(&j);
    json_key(&j, "transitions");
    json_object(&j);
    json_put_u64(&j, "enter", r->transitions.enter);
    json_put_u64(&j, "leave", r->transitions.leave);
    json_put_u64(&j, "refused", r->transitions.refused);
    json_put_string(&j, "last_refusal", r->transitions.last_refusal);
    json_object_end(&j);
    json_key(&j, "exits");
    json_object(&j);
    json_put_u64(&j, "total", exits_total(r));
    for (int i = 0; i < EXIT_KIND_COUNT; i++)
        json_put_u64(&j, exit_names[i], r->exits[i]);
    json_object_end(&j);
    json_key(&j, "stops_us");
    json_object(&j);
    json_put_u64(&j, "last", r->stops_us.last);
    json_put_u64(&j, "max", r->stops_us.max);
    json_object_end(&j);
    json_put_u64(&j, "uptime_us", r->uptime_us);
    json_put_u64(&j, "percent", r->percent);
    json_put_string(&j, "reason", r->reason);
    json_key(&j, "notes");
    json_array(&j);
    for (uint32_t i = 0; i < notes_shown(r); i++)
        json_string(&j, r->note[i]);
    json_array_end(&j);
    json_put_u64(&j, "first_guest_us", r->first_guest_us);
    json_key(&j, "cycles");
    json_object(&j);
    json_put_u64(&j, "enter", r->cycles.enter);
    json_put_u64(&j, "leave", r->cycles.leave);
    json_put_u64(&j, "stop", r->cycles.stop);
    json_object_end(&j);
    json_key(&j, "checkpoint");
    json_object(&j);
    json_put_u64(&j, "bytes", r->checkpoint.bytes);
    json_put_u64(&j, "capture_us", r->checkpoint.capture_us);
    json_put_u64(&j, "look_us", r->checkpoint.look_us);
    json_put_u64(&j, "write_us", r->checkpoint.write_us);
    json_put_u64(&j, "wait_us", r->checkpoint.wait_us);
    json_put_u64(&j, "commit_us", r->checkpoint.commit_us);
    json_object_end(&j);
    json_put_u64(&j, "hidden_writes", r->hidden_writes);
    json_key(&j, "auto");
    json_object(&j);
    json_put_u64(&j, "every_s", r->automatic.every_s);
    json_put_u64(&j, "keep", r->automatic.keep);
    json_put_u64(&j, "next_s", r->automatic.next_s);
    json_put_u64(&j, "taken", r->automatic.taken);
    json_put_u64(&j, "failed", r->automatic.failed);
    json_put_string(&j, "last_error", r->automatic.last ? err_name(r->automatic.last) : "");
    json_object_end(&j);
    json_put_string(&j, "dirty", r->dirty);
    json_object_end(&j);
}

static const char *kind_name(const struct checkpoint_row *row)
{
    return row->incremental ? "incremental" : "full";
}

void report_list_head_text(const struct sink *out)
{
    sink_format(out, "%5s  %-11s  %6s  %-20s  %8s  %10s  %-11s  %-3s  %s\n", "ID", "KIND", "PARENT", "TIME (UTC)",
                "PAGES", "SIZE", "DISK", "PIN", "LABEL");
}

void report_row_text(const struct sink *out, const struct checkpoint_row *row)
{
    char time[REPORT_TIME_MAX], size[REPORT_TIME_MAX], parent[REPORT_TIME_MAX] = "-";
    report_time(row->time_s, time);
    report_bytes(row->bytes, size);
    if (row->parent)
        (void)str_format(parent, sizeof parent, "%llu", ull(row->parent));
    sink_format(out, "%5llu  %-11s  %6s  %-20s  %8llu  %10s  %-11s  %-3s  %s\n", ull(row->id), kind_name(row), parent,
                time, ull(row->pages), size, NAME_OF(disk_names, row->disk), row->pinned ? "yes" : "-", row->label);
}

/* Without pinned, which is younger than what follows in show. */
static void row_members(struct json *j, const struct checkpoint_row *row)
{
    char time[REPORT_TIME_MAX];
    report_time(row->time_s, time);
    json_put_u64(j, "id", row->id);
    json_put_string(j, "label", row->label);
    json_put_string(j, "kind", kind_name(row));
    json_key(j, "parent");
    if (row->parent)
        json_u64(j, row->parent);
    else
        json_null(j);
    json_put_string(j, "time", time);
    json_put_u64(j, "pages", row->pages);
    json_put_u64(j, "bytes", row->bytes);
    json_put_string(j, "disk", NAME_OF(disk_names, row->disk));
    json_put_string(j, "state", row->state ? row->state : "committed");
}

void report_row_json(struct json *j, const struct checkpoint_row *row)
{
    json_object(j);
    row_members(j, row);
    json_put_bool(j, "pinned", row->pinned);
    json_object_end(j);
}

static uint32_t sections_shown(const struct checkpoint_detail *d)
{
    return d->sections < REPORT_SECTIONS_MAX ? d->sections : REPORT_SECTIONS_MAX;
}

void report_show_text(const struct sink *out, const struct checkpoint_detail *d)
{
    const struct checkpoint_row *row = &d->row;
    char time[REPORT_TIME_MAX], size[REPORT_TIME_MAX], ram[REPORT_TIME_MAX];
    report_time(row->time_s, time);
    report_bytes(row->bytes, size);
    report_bytes(d->ram_bytes, ram);
    sink_format(out, "checkpoint   %llu%s%s\n", ull(row->id), row->label[0] ? ": " : "", row->label);
    sink_format(out, "kind         %s", kind_name(row));
    if (row->parent)
        sink_format(out, " upon %llu", ull(row->parent));
    sink_format(out, ", %s%s\ntime         %s\n", row->state ? row->state : "committed", row->pinned ? ", pinned" : "",
                time);
    sink_format(out, "made by      %s\n", d->made_by);
    sink_format(out, "machine      %u CPU%s, %s RAM\n", (unsigned)d->cpus, d->cpus == 1 ? "" : "s", ram);
    sink_format(out, "memory       %llu pages stored, %s\n", ull(row->pages), size);
    sink_format(out, "guest disks  %s\n", NAME_OF(disk_names, row->disk));
    sink_format(out, "stop         %llu us\n", ull(d->stop_us));
    sink_format(out, "restorable   %s%s\n", d->restorable ? "yes" : "no: ", d->restorable ? "" : d->why_not);
    for (uint32_t i = 0; i < sections_shown(d); i++)
        sink_format(out, "  %-10.12s %6llu bytes  %s\n", d->section[i].name, ull(d->section[i].bytes),
                    d->section[i].text);
}

void report_show_json(const struct sink *out, const struct checkpoint_detail *d)
{
    struct json j;
    json_begin(&j, *out);
    json_object(&j);
    row_members(&j, &d->row);
    json_put_u64(&j, "cpus", d->cpus);
    json_put_u64(&j, "ram_bytes", d->ram_bytes);
    json_put_u64(&j, "stop_us", d->stop_us);
    json_put_string(&j, "made_by", d->made_by);
    json_put_bool(&j, "restorable", d->restorable);
    json_put_string(&j, "why_not", d->why_not);
    json_key(&j, "sections");
    json_array(&j);
    for (uint32_t i = 0; i < sections_shown(d); i++) {
        json_object(&j);
        json_put_string(&j, "name", d->section[i].name);
        json_put_u64(&j, "bytes", d->section[i].bytes);
        json_put_string(&j, "text", d->section[i].text);
        json_object_end(&j);
    }
    json_array_end(&j);
    json_put_bool(&j, "pinned", d->row.pinned);
    json_object_end(&j);
}
