/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See twins.h. */
#include "ckpt/twins.h"

#include "bits.h"
#include "ckpt/pages.h"

#include <string.h>

void twins_begin(struct twins *t, struct hash128 *link, void *head, size_t head_bytes)
{
    *t = (struct twins){.link = link, .head = head, .heads = 1};
    while (t->heads * 2 * sizeof *t->head <= head_bytes)
        t->heads *= 2;
    memset(head, 0, t->heads * sizeof *t->head);
}

void twins_look(struct twins *t, uint64_t page, const void *content)
{
    struct hash128 *this = &t->link[page];
    /* What is between two looks, device memory or the hidden range, is nobody's twin. */
    if (page > t->end)
        memset(&t->link[t->end], 0, (page - t->end) * sizeof *t->link);
    *this = (struct hash128){0, 0};
    t->end = page + 1;
    if (!content || page_is_zero(content) || page > UINT32_MAX)
        return;
    this->low = hash64(content, PAGE_BYTES, 0);
    uint32_t *head = &t->head[this->low & (t->heads - 1)];
    if (*head && t->link[*head].low == this->low)
        t->link[*head].high = page;
    *head = (uint32_t)page;
}

uint64_t twins_next(const struct twins *t, uint64_t page)
{
    return page < t->end ? t->link[page].high : 0;
}
