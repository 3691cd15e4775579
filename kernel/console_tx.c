/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The console's output ring: cutting, marking and the reserve. */
#include "kernel/console_tx.h"

#include <string.h>

#define MARK_MAX 64

/* All or nothing, so that a cut never splits a piece. */
static bool put(struct console_tx *tx, const char *bytes, size_t n, uint32_t reserve)
{
    if (n == 0)
        return true;
    if (ring_free(&tx->ring) < n + reserve)
        return false;
    if (!ring_put_all(&tx->ring, tx->data, bytes, (uint32_t)n))
        return false;
    tx->mid_line = bytes[n - 1] != '\n';
    return true;
}

static SELDOM bool mark_gap(struct console_tx *tx, uint32_t reserve)
{
    char mark[MARK_MAX];
    (void)str_format(mark, sizeof mark, "%s* output cut: %llu bytes\r\n", tx->mid_line ? "\r\n" : "",
                     (unsigned long long)tx->cut_bytes);
    if (!put(tx, mark, strlen(mark), reserve))
        return false;
    tx->cutting = false;
    tx->cut_bytes = 0;
    return true;
}

void console_tx_raw(struct console_tx *tx, const char *bytes, size_t n)
{
    /* Once cut, stay so until there is room for more than the next few bytes. */
    if (tx->cutting && (!console_tx_room(tx, CONSOLE_TX_RESERVE) || !mark_gap(tx, CONSOLE_TX_RESERVE))) {
        tx->cut_bytes += n;
        return;
    }
    if (put(tx, bytes, n, CONSOLE_TX_RESERVE))
        return;
    tx->cutting = true;
    tx->cut_bytes += n;
    tx->gaps++;
}

void console_tx_text(struct console_tx *tx, const char *text, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\n')
            continue;
        console_tx_raw(tx, text + from, i - from);
        console_tx_raw(tx, "\r\n", 2);
        from = i + 1;
    }
    if (from < n)
        console_tx_raw(tx, text + from, n - from);
}

void console_tx_last_line(struct console_tx *tx, const char *line, size_t n)
{
    bool whole = !tx->cutting || mark_gap(tx, 0);
    if (whole && tx->mid_line)
        whole = put(tx, "\r\n", 2, 0);
    if (whole && put(tx, line, n, 0))
        return;
    tx->gaps += !tx->cutting;
    tx->cutting = true;
    tx->cut_bytes += n;
}

void console_tx_fresh_line(struct console_tx *tx)
{
    if (tx->mid_line)
        console_tx_raw(tx, "\r\n", 2);
}

bool console_tx_room(const struct console_tx *tx, uint32_t n)
{
    return ring_free(&tx->ring) >= n + CONSOLE_TX_RESERVE;
}

size_t console_tx_take(struct console_tx *tx, uint8_t *out, size_t max)
{
    return ring_get_all(&tx->ring, tx->data, out, max < CONSOLE_TX_BYTES ? (uint32_t)max : CONSOLE_TX_BYTES);
}
