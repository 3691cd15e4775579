/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Memory as of a cut while the virtual guest goes on: write permission is withdrawn at the cut, a first write
 * faults, its page is copied into a bounded pool, and the writer goes on. When the pool is full the writer comes back
 * again and again until there is room: nothing is lost, nothing grows. */
#ifndef SOJOURN_KERNEL_LIVE_H
#define SOJOURN_KERNEL_LIVE_H

#include "backend.h"
#include "ckpt/cow.h"
#include "kernel/cpus.h"
#include "kernel/lock.h"

/* Whoever edits the second-level tree while CPUs run holds this. Never together with another lock inside it. */
extern struct lock second_level_lock;

/* Boot: pool, bitmap, and table pages to split all RAM. E_NOMEM: then live_ready() is false. */
enum err live_init(const struct ckpt_layout *layout) MUST_USE;
bool live_ready(void);

/* Leader. In this order: prepare (the guest may run), begin (all CPUs stopped: the cut), take until E_NOTFOUND while the
   guest runs, end. E_NOMEM from take: tables ran out, the checkpoint cannot be had. */
void live_prepare(void);
void live_begin(
    bool others_write); /* past the second-level tables: nobody knows what changes from this cut to the next */
/* The next page as of the cut, as cow_take() gives it; E_ALREADY: only its number, for nobody has written to it since the cut
   before, if live_skip_clean() was asked for, or base_known() has it. */
enum err live_take(uint64_t *page, void *to, const void **content) MUST_USE;
/* The page, if it is still as it was at the cut, was not taken yet, and may have changed since the cut before; NULL otherwise. It may be written at any moment. */
const void *live_peek(uint64_t page);
/* Take this page, if live_peek() would give it and its content is the one given. */
bool live_take_same(uint64_t page, const void *content) MUST_USE;
void live_end(void);
/* Afterwards, where the CPU has dirty bits: some more of memory may be written without a fault; what the guest writes there is
   known by them. False: there is nothing left to do. */
bool live_open(void);
/* After live_begin, the CPUs still stopped: the guest's writes to this device memory wait, as for room in the pool, until
   live_hold(0, 0). */
void live_hold(uint64_t gpa, uint64_t bytes);
/* After live_begin: was the guest virtual, and watched, ever since the cut before? Then leave out what it did not write.
   Without it, or if it was not, every page has to be looked at. */
void live_skip_clean(void);
/* Memory was written past the second-level tables: what is known about who wrote what is worth nothing. */
void live_lost_track(void);

/* Any CPU: a device is going to write there. False: not all of it is kept yet, tell it later. */
bool live_keep(uint64_t gpa, uint64_t bytes) MUST_USE;
/* All CPUs are stopped: the guest's writes to this page fault from now on, until one has been left to live_write_fault(). */
bool live_watch(uint64_t gpa) MUST_USE;
/* The checkpoint cannot be had; live_take() says so. The guest goes on. */
void live_lose(enum err e);

/* Any CPU: something else than a write waits for what is held. */
void live_press(void);
/* A writer waits for room in the pool, or for what is held: take some pages, or let it go, soon. */
bool live_pressed(void);

/* Any CPU. True: the fault was about tracking and is dealt with; the instruction is to be executed again. */
bool live_write_fault(struct cpu *c, const struct vm_exit *x);

/* Any CPU, about itself, its guest loaded: empties the log in which the CPU has written down dirty pages, if it has one. */
void live_read_log(struct cpu *c);

struct live_counts {
    uint64_t kept;  /* pages copied before a first write, in the last or current checkpoint */
    uint64_t waits; /* first writes that found the pool full */
};
struct live_counts live_counts(void);

#endif
