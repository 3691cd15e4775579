/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk that records every write and flush, and then shows each state a power cut could have left: everything that was
   written before the last completed flush is there; of what was written after it any sectors are, in any order. A
   sector is whole, a command of several is not. Where an epoch has few sectors that matter, all their subsets are
   shown; else all subsets of whole commands, each command torn, and random sectors of shuffled commands. It can lie
   about flushes, and refuse a request, so that a test shows that the search finds what it is there to find. */
#ifndef SOJOURN_TEST_CRASH_DISK_H
#define SOJOURN_TEST_CRASH_DISK_H

#include "block.h"
#include "ckpt/format.h"

#define CRASH_SECTOR 512u
#define CRASH_FIRST 64u /* the partition begins here */
#define CRASH_PART_SECTORS (STORE_MIN_BLOCKS * STORE_BLOCK_SECTORS)
#define CRASH_SECTORS (CRASH_FIRST + CRASH_PART_SECTORS + 64u)
#define CRASH_OPS_MAX 2048u

enum crash_lie {
    CRASH_HONEST,
    CRASH_NO_FLUSH,              /* a flush does nothing */
    CRASH_NO_FLUSH_BEFORE_SUPER, /* nor does one behind data and table */
    CRASH_NO_FLUSH_AFTER_SUPER,  /* nor one behind a superblock */
    CRASH_COPY_B_LOST,           /* what is written to superblock and table B never arrives */
    CRASH_LIES
};

enum crash_fault {
    CRASH_REFUSED, /* the request fails and did nothing; what was pending before a flush stays pending */
    CRASH_ARRIVED, /* it fails, but a write is in the disk's cache all the same, and a flush was one */
    CRASH_LOST,    /* a flush fails, and nothing of what it was for will ever arrive */
    CRASH_FAULTS
};

struct crash_op {
    bool flush, lost, marked; /* marked: a moment before this request to cut at, whatever it is */
    uint64_t lba;
    uint32_t count;
    uint8_t *data;
};

struct crash_disk {
    struct block_dev dev;
    uint8_t *bytes; /* what a read finds */
    uint8_t *base;  /* the medium when the recording began */
    bool recording, exploring, busy, pending_fails;
    enum crash_lie lie;
    uint64_t requests, fail_at; /* writes and flushes; the one that fails */
    enum crash_fault fault;
    bool super_last; /* the last write was a superblock */
    struct crash_op op[CRASH_OPS_MAX + 1];
    uint32_t ops;
    struct crash_undo *undo; /* while exploring: what a sector was */
    uint32_t undos, undo_room;
};

struct crash_report {
    uint64_t cases, cuts, cuts_exhaustive;
    bool violated;
    char first[320]; /* the first violation in words */
};

/* Look at the disk as a cut before request cut left it, reading and writing as it likes. NULL: all is well; else what
   is not. */
typedef const char *(*crash_probe)(void *ctx, uint32_t cut);

void crash_disk_make(struct crash_disk *d, uint32_t max_sectors, uint8_t fill);
void crash_disk_copy(struct crash_disk *d, const struct crash_disk *from); /* what from holds now, as the medium */
struct block_part crash_part(struct crash_disk *d);
/* From here on what is written counts, on top of what the disk holds now. */
void crash_record(struct crash_disk *d);
void crash_mark(struct crash_disk *d);
/* Stop recording and show every state, about budget of them for an epoch that is not shown in full. Ends at the first
   violation. The disk is as it was recorded in the end. */
void crash_explore(struct crash_disk *d, uint32_t budget, crash_probe probe, void *ctx, struct crash_report *report);

uint64_t crash_random(void);
void crash_seed(uint64_t seed);

#endif
