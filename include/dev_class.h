/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. A device state class: how one kind of device gets into a checkpoint and back. The engine checks name,
   version and length before a class sees a byte; check() then looks at the content, before anything is touched. */
#ifndef SOJOURN_DEV_CLASS_H
#define SOJOURN_DEV_CLASS_H

#include "err.h"
#include "types.h"

/* Clock facts of this restore, so that every clock of the machine agrees afterwards. */
struct dev_restore_clock {
    bool run_on; /* they have counted since the cut, and the guest sees that; else they continue at the cut */
};

struct dev_class {
    char name[8]; /* section name in the store, zero padded: "pic", "hpet" */
    uint16_t version;
    uint32_t bytes; /* exact length of the encoded state */
    /* Of restore, ascending: clocks 10, interrupt controllers 20, PCI 30, rest 40, bus mastering 60, what masters by itself 61. */
    uint16_t order;
    bool (*present)(void);            /* does this machine have it */
    enum err (*capture)(void *state); /* guest stopped; bytes long, zeroed before */
    /* Guest stopped, perhaps not the whole time since: the next piece of what is slow to read, into what capture() began; the
       caller sees to it that nobody has written to it since. E_NOTYET: there is more. E_DEVICE: it is lost, log says why.
       May be NULL. */
    enum err (*capture_more)(void *state);
    enum err (*check)(const void *state, char *why, size_t why_len); /* pure look: may this be restored here */
    enum err (*quiesce)(void); /* before memory is overwritten: stop DMA and interrupts; may be NULL */
    enum err (*restore)(const void *state, const struct dev_restore_clock *clock);
    void (*show)(const void *state, char *text, size_t len); /* one line for show ID; says what was normalised */
};

/* All classes in restore order; ckpt/devices.c. */
extern const struct dev_class *const dev_classes[];
extern const size_t dev_class_count;

#endif
