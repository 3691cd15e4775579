/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What status, list and show say, as data and as text for people or JSON for programs. The engines fill the
   structs; this file alone knows how they look. JSON keys, their order and their values are an interface: programs
   read them. New keys go to the end of their object. */
#ifndef SOJOURN_REPORT_H
#define SOJOURN_REPORT_H

#include "backend.h"
#include "kernel/json.h"
#include "kernel/sink.h"
#include "types.h"

enum report_mode { REPORT_NATIVE, REPORT_VIRTUAL };
enum report_activity { REPORT_IDLE, REPORT_SAVING, REPORT_LOADING, REPORT_GUARDING };
enum report_guest { REPORT_RUNNING, REPORT_PARKED, REPORT_NO_GUEST };
enum report_store { REPORT_STORE_READY, REPORT_STORE_ABSENT, REPORT_STORE_BAD, REPORT_STORE_LOCKED };
enum report_disk { REPORT_DISK_CONSISTENT, REPORT_DISK_MEMORY_ONLY, REPORT_DISK_NONE };

#define REPORT_TEXT_MAX 160
#define REPORT_LABEL_MAX 64
#define REPORT_NOTES_MAX 8
#define REPORT_SECTIONS_MAX 32
#define REPORT_TIME_MAX 32

/* Checkpoints by the clock. */
struct auto_report {
    uint64_t every_s; /* 0: off */
    uint64_t keep, next_s, taken, failed;
    enum err last; /* what the last refusal was for */
};

struct status_report {
    const char *version;
    const char *backend; /* "vmx", "svm", "none" */
    enum report_mode mode;
    enum report_activity activity;
    enum report_guest guest;
    uint32_t cpus;
    uint64_t ram_bytes, hidden_bytes;
    struct {
        enum report_store state;
        uint64_t bytes, used, checkpoints;
        char text[REPORT_TEXT_MAX]; /* where it is, or why there is none */
    } store;
    struct {
        uint64_t enter, leave, refused;
        char last_refusal[REPORT_TEXT_MAX]; /* "E_CODE: text"; empty: none yet */
    } transitions;
    uint64_t exits[EXIT_KIND_COUNT]; /* the total is their sum */
    struct {
        uint64_t last, max; /* microseconds; 0: no cut yet */
    } stops_us;
    /* Beyond the contract's keys; appended. */
    uint64_t uptime_us, first_guest_us; /* first_guest_us: when a guest ran first, or again; 0: not yet */
    struct {
        uint64_t enter,
            leave, /* TSC cycles of the last one, on the slowest CPU: NMI, or decision, until the guest runs */
            stop;  /* of the last checkpoint's stop, on the leader */
    } cycles;
    struct {
        uint64_t bytes, capture_us, look_us, write_us, wait_us,
            commit_us; /* of the last checkpoint; kernel/checkpoint.h */
    } checkpoint;
    struct auto_report automatic;
    const char *dirty;            /* "fault", "bit", "log": what tells which pages the virtual guest writes */
    uint64_t hidden_writes;       /* guest writes to hidden memory, dropped */
    uint32_t percent;             /* of the activity under way */
    char reason[REPORT_TEXT_MAX]; /* why the guest is virtual or parked, if not by choice; may be empty */
    uint32_t notes;               /* devices not quiesced, options not understood ... */
    char note[REPORT_NOTES_MAX][REPORT_TEXT_MAX];
};

struct checkpoint_row {
    uint64_t id;
    char label[REPORT_LABEL_MAX];
    bool incremental;
    uint64_t parent; /* 0: none */
    uint64_t time_s; /* Unix seconds, UTC */
    uint64_t pages, bytes;
    enum report_disk disk;
    bool pinned;
    const char *state; /* "committed" */
};

struct checkpoint_section {
    char name[12];
    uint64_t bytes;
    char text[REPORT_TEXT_MAX];
};

struct checkpoint_detail {
    struct checkpoint_row row;
    uint32_t cpus;
    uint64_t ram_bytes, stop_us;
    char made_by[REPORT_LABEL_MAX]; /* version and backend */
    bool restorable;
    char why_not[REPORT_TEXT_MAX];
    uint32_t sections;
    struct checkpoint_section section[REPORT_SECTIONS_MAX];
};

/* Text lines end in \n. JSON is one document without a line end. */
void report_status_text(const struct sink *out, const struct status_report *r);
void report_status_json(const struct sink *out, const struct status_report *r);
void report_list_head_text(const struct sink *out);
void report_row_text(const struct sink *out, const struct checkpoint_row *row);
/* One row as an element of the array that the caller opened. */
void report_row_json(struct json *j, const struct checkpoint_row *row);
void report_show_text(const struct sink *out, const struct checkpoint_detail *d);
void report_show_json(const struct sink *out, const struct checkpoint_detail *d);

/* "2026-11-22T04:00:00Z"; times beyond the year 9999 are shown as its last second. */
void report_time(uint64_t unix_s, char text[REPORT_TIME_MAX]);
/* "16.2 MiB", "4096 bytes": three to four digits for people. */
void report_bytes(uint64_t bytes, char text[REPORT_TIME_MAX]);

#endif
