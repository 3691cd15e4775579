/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The console's output: a ring of bytes in hidden memory that never blocks. What does not fit is counted, and the
   gap is marked by a line "* output cut: N bytes" as soon as there is room. The last bytes of the ring are kept free
   for the line that ends an answer, so that a program never waits for one that was lost. */
#ifndef SOJOURN_CONSOLE_TX_H
#define SOJOURN_CONSOLE_TX_H

#include "kernel/ring.h"
#include "kernel/sink.h"
#include "types.h"

#define CONSOLE_TX_BYTES 131072u
#define CONSOLE_TX_RESERVE 2048u

struct console_tx {
    struct byte_ring ring; /* init with CONSOLE_TX_INIT; the bytes are the owner's */
    uint8_t *data;
    bool mid_line; /* the last byte did not end a line */
    bool cutting;
    uint64_t cut_bytes; /* in this gap */
    uint64_t gaps;      /* ever */
};

#define CONSOLE_TX_INIT(bytes)                                                                                         \
    {                                                                                                                  \
        .ring = {.mask = sizeof(bytes) - 1}, .data = (bytes)                                                           \
    }

/* Bytes as they are. */
void console_tx_raw(struct console_tx *tx, const char *bytes, size_t n);
/* Text whose lines end in \n: sent as CR LF. */
void console_tx_text(struct console_tx *tx, const char *text, size_t n);
/* A whole line, its CR LF included, that may use the reserve; first ends an unfinished line and marks a gap. */
void console_tx_last_line(struct console_tx *tx, const char *line, size_t n);
/* Start a new line unless the output is at the start of one. */
void console_tx_fresh_line(struct console_tx *tx);
/* Can n more bytes be put without touching the reserve? */
bool console_tx_room(const struct console_tx *tx, uint32_t n);
size_t console_tx_take(struct console_tx *tx, uint8_t *out, size_t max);

#endif
