/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Bus masters while a checkpoint is written and the guest runs: their writes go past the second-level tables, so what they were
 * given to write to is kept at the cut, and from then on the guest's writes to the registers that give them more, or to
 * the rings in memory by which virtio's drivers do, are carried out by the host, after it has kept that too. Devices
 * that ckpt/dma.h has a model of can be followed; for the others the guest stands still. */
#ifndef SOJOURN_KERNEL_DMA_WATCH_H
#define SOJOURN_KERNEL_DMA_WATCH_H

#include "drivers/pci.h"

enum dma_masters {
    DMA_NOBODY,   /* nobody may master the bus */
    DMA_FOLLOWED, /* those that may can be followed */
    DMA_UNKNOWN,  /* not all of them */
};
/* Who may now? No other CPU runs natively. */
enum dma_masters dma_watch_masters(void);
/* The i-th of those that nobody can follow, as of the last look, or NULL. */
const struct pci_function *dma_watch_unknown(unsigned i);

/* All CPUs are stopped, after live_begin(): keep what the devices were given, and watch. False: it does not fit into the
   pool, or something is odd (logged); nothing is watched. */
bool dma_watch_begin(void);
/* The leader, when all is taken: was nobody lost, and are the masters those of the beginning, where they were? */
bool dma_watch_holds(void);
void dma_watch_end(void);
/* For an answer: what became of the last E_DMA. */
const char *dma_watch_why(void);

/* Any CPU: a write to this page is to be carried out by dma_watch_write(). */
bool dma_watch_covers(uint64_t gpa);
/* What is there now; of a register that a read changes nobody asks. bytes: 1, 2, 4 or 8. */
uint64_t dma_watch_read(uint64_t gpa, unsigned bytes);
/* False: not carried out, the instruction is to come again. */
bool dma_watch_write(uint64_t gpa, unsigned bytes, uint64_t value);
/* False: it may not be carried out yet. */
bool dma_watch_port(uint16_t port, unsigned bytes, uint32_t value);
/* A write to a page that is watched cannot be understood: the checkpoint is given up, the guest goes on. */
void dma_watch_lose(void);

#endif
