/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See store_speed.h. The buffers are filled with a pattern first, so that neither an earlier record nor memory of
   the guest is written again, and no disk can take zeros for less. */
#include "ckpt/store_speed.h"

#include "bits.h"
#include "clock.h"

#include <string.h>

#define PATTERN 0xa5

static enum err write_run(struct store *s, uint64_t first, uint64_t count)
{
    bool in_flight = false;
    uint32_t buffer = 0;
    enum err e = E_OK;
    while (count && !e) {
        uint64_t n = min_u64(count, s->io_blocks);
        e = in_flight ? block_finish(&s->part) : E_OK;
        if (!e)
            e = block_begin_write(&s->part, first * STORE_BLOCK_SECTORS, (uint32_t)n * STORE_BLOCK_SECTORS,
                                  s->io[buffer]);
        in_flight = !e;
        buffer ^= 1;
        first += n;
        count -= n;
    }
    return in_flight ? block_finish(&s->part) : e;
}

enum err store_measure_write(struct store *s, uint64_t max_bytes, struct store_speed *out)
{
    *out = (struct store_speed){0};
    if (s->writing)
        return E_BUSY;
    enum err e = store_sync(s); /* only what both copies call free may be written */
    if (e)
        return e;
    struct disk_run gap = store_largest_gap(s, NULL);
    uint64_t blocks = min_u64(gap.count, max_bytes / STORE_BLOCK_BYTES);
    if (!blocks)
        return E_FULL;
    for (unsigned i = 0; i < ARRAY_LEN(s->io); i++)
        memset(s->io[i], PATTERN, STORE_IO_BYTES);
    uint64_t start = clock_us();
    e = write_run(s, gap.first, blocks);
    if (e)
        return e;
    out->write_us = clock_us() - start;
    e = block_flush(&s->part);
    out->flush_us = clock_us() - start - out->write_us;
    out->bytes = blocks * STORE_BLOCK_BYTES;
    return e;
}
