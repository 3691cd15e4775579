/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See twins.h. */
#include "ckpt/twins.h"

#include <string.h>

void twins_begin(struct twins *t, const struct hash128 *hash, uint32_t *next, uint64_t pages, void *head,
                 size_t head_bytes)
{
    *t = (struct twins){.hash = hash, .next = next, .pages = pages, .head = head, .heads = 1};
    while (t->heads * 2 * sizeof *t->head <= head_bytes)
        t->heads *= 2;
    memset(head, 0, t->heads * sizeof *t->head);
    memset(next, 0, pages * sizeof *next);
}

void twins_look(struct twins *t, uint64_t page)
{
    const struct hash128 *h = &t->hash[page];
    if (page > UINT32_MAX || !(h->low | h->high))
        return;
    uint32_t *head = &t->head[h->low & (t->heads - 1)];
    if (*head && t->hash[*head].low == h->low && t->hash[*head].high == h->high)
        t->next[*head] = (uint32_t)page;
    *head = (uint32_t)page;
}

uint64_t twins_next(const struct twins *t, uint64_t page)
{
    return page < t->pages ? t->next[page] : 0;
}
