/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See cow.h. */
#include "ckpt/cow.h"

#include "bits.h"

#include <string.h>

const char cow_unchanged[1], cow_zeros[1];

static bool is_settled(const struct cow *c, uint64_t page)
{
    return c->settled[page / 8] >> (page % 8) & 1;
}

static void settle(struct cow *c, uint64_t page)
{
    c->settled[page / 8] |= (uint8_t)(1u << (page % 8));
}

void cow_begin(struct cow *c, const struct ckpt_layout *layout)
{
    memset(c->settled, 0, (size_t)(align_up(c->pages, 8) / 8));
    c->used = 0;
    c->kept = c->was_full = 0;
    page_cursor_start(&c->cursor, layout);
}

static bool in_layout(const struct ckpt_layout *layout, uint64_t page)
{
    for (uint32_t i = 0; i < layout->ram_count; i++)
        if (page - layout->ram[i].base / PAGE_BYTES < layout->ram[i].bytes / PAGE_BYTES)
            return !format_page_hidden(layout, page);
    return false;
}

enum cow_keep cow_keep(struct cow *c, uint64_t page, const void *content)
{
    if (page >= c->pages || !in_layout(c->cursor.layout, page))
        return COW_FOREIGN;
    if (is_settled(c, page))
        return COW_KEPT;
    if (c->used == c->slots) {
        c->was_full++;
        return COW_FULL;
    }
    page_copy(c->pool + (size_t)c->used * PAGE_BYTES, content);
    c->pool_page[c->used++] = page;
    settle(c, page);
    c->kept++;
    return COW_KEPT;
}

enum err cow_take(struct cow *c, cow_reader read, void *ctx, uint64_t *page, void *to, const void **content)
{
    *content = to;
    if (c->used) {
        c->used--;
        *page = c->pool_page[c->used];
        page_copy(to, c->pool + (size_t)c->used * PAGE_BYTES);
        return E_OK;
    }
    do
        if (!page_cursor_step(&c->cursor, page))
            return E_NOTFOUND;
    while (is_settled(c, *page));
    const void *from = read(ctx, *page);
    if (!from)
        return E_INTERNAL;
    settle(c, *page);
    if (from == cow_unchanged)
        return E_ALREADY;
    if (from == cow_zeros)
        *content = NULL;
    else
        page_copy(to, from);
    return E_OK;
}

bool cow_untouched(const struct cow *c, uint64_t page)
{
    return page < c->pages && !is_settled(c, page);
}

bool cow_take_same(struct cow *c, uint64_t page, const void *now, const void *content)
{
    if (!cow_untouched(c, page) || !in_layout(c->cursor.layout, page) || memcmp(now, content, PAGE_BYTES) != 0)
        return false;
    settle(c, page);
    return true;
}
