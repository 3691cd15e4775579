/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The loader puts the guest's pieces anywhere, even on top of each other's targets. Targets are chosen first,
   disjoint by construction. Then the moves are ordered: a piece may move once its target covers no other piece still
   waiting. When none may, the waiting pieces block each other in a cycle; the smallest is moved to a scratch place
   that is no target and no source, after which it blocks nobody, so every piece is put aside at most once and the
   loop ends after at most two moves per piece. */
#include "boot/place.h"

#include "bits.h"
#include "str.h"

#include <string.h>

static bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
    return a < b_end && b < a_end && a < a_end && b < b_end;
}

void place_free_from_map(struct place_free *f, const struct memmap *map)
{
    f->count = 0;
    for (uint32_t i = 0; i < map->count && f->count < PLACE_RANGES_MAX; i++) {
        const struct memmap_entry *e = &map->entry[i];
        uint64_t base = max_u64(e->base, PAGE_BYTES), end = min_u64(e->end, MEMMAP_BELOW_4G);
        if (e->type == MEMMAP_RAM && base < end)
            f->range[f->count++] = (struct place_range){base, end};
    }
}

void place_free_remove(struct place_free *f, uint64_t base, uint64_t end)
{
    for (uint32_t i = 0; i < f->count; i++) {
        struct place_range *r = &f->range[i];
        if (!overlap(r->base, r->end, base, end))
            continue;
        struct place_range high = {end, r->end};
        r->end = max_u64(r->base, base);
        if (r->base == r->end) {
            if (high.base < high.end) {
                *r = high;
            } else {
                f->count--;
                memmove(r, r + 1, (f->count - i) * sizeof *r);
                i--;
            }
        } else if (high.base < high.end && f->count < PLACE_RANGES_MAX) {
            memmove(r + 2, r + 1, (f->count - i - 1) * sizeof *r);
            r[1] = high;
            f->count++;
            i++;
        }
    }
}

/* One search for a place, shared by targets and scratch. */
struct search {
    uint64_t bytes, align, min, max;
    bool high;
    const struct place_range *avoid;
    size_t avoid_count;
};

/* The first of s->avoid that [at, at + bytes) touches, or NULL. */
static const struct place_range *hit(const struct search *s, uint64_t at)
{
    for (size_t i = 0; i < s->avoid_count; i++)
        if (overlap(at, at + s->bytes, s->avoid[i].base, s->avoid[i].end))
            return &s->avoid[i];
    return NULL;
}

/* Addresses are below 4 GiB and sizes below 2^40, so no sum wraps. Each step passes one avoided range for good. */
static bool find_in_range(const struct search *s, uint64_t base, uint64_t end, uint64_t *at)
{
    base = max_u64(base, s->min);
    end = min_u64(end, s->max);
    for (size_t step = 0; step <= s->avoid_count; step++) {
        if (base > end || end - base < s->bytes)
            return false;
        uint64_t try = s->high ? align_down(end - s->bytes, s->align) : align_up(base, s->align);
        if (try < base || try + s->bytes > end)
            return false;
        const struct place_range *h = hit(s, try);
        if (!h) {
            *at = try;
            return true;
        }
        if (s->high)
            end = h->base;
        else
            base = h->end;
    }
    return false;
}

static bool find(const struct search *s, const struct place_free *f, uint64_t *at)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const struct place_range *r = &f->range[s->high ? f->count - 1 - i : i];
        if (find_in_range(s, r->base, r->end, at))
            return true;
    }
    return false;
}

static enum err choose_one(struct place_piece *p, const struct place_free *f, const struct place_range *taken,
                           size_t taken_count)
{
    struct search s = {
        .bytes = p->reserve,
        .align = p->align,
        .min = p->min,
        .max = p->max,
        .high = p->mode == PLACE_HIGH,
        .avoid = taken,
        .avoid_count = taken_count,
    };
    if (p->reserve > MEMMAP_BELOW_4G || p->bytes > p->reserve)
        return E_NOMEM;
    if (p->mode != PLACE_FIXED)
        return find(&s, f, &p->to) ? E_OK : E_NOMEM;
    s.align = 1;
    s.min = p->to;
    s.max = p->to > MEMMAP_BELOW_4G ? p->to : p->to + p->reserve;
    uint64_t at;
    return find(&s, f, &at) ? E_OK : E_OVERLAP;
}

enum err place_choose(struct place_piece *pieces, size_t count, const struct place_free *f, char *why, size_t why_bytes)
{
    struct place_range taken[PLACE_PIECES_MAX];
    if (count > PLACE_PIECES_MAX)
        return E_INTERNAL;
    for (size_t i = 0; i < count; i++) {
        struct place_piece *p = &pieces[i];
        enum err e = choose_one(p, f, taken, i);
        if (e == E_OVERLAP)
            str_format(why, why_bytes, "%s: 0x%lx-0x%lx is not free RAM", p->name, (unsigned long)p->to,
                       (unsigned long)(p->to + p->reserve));
        else if (e != E_OK)
            str_format(why, why_bytes, "%s: no %lu KiB free in 0x%lx-0x%lx", p->name, (unsigned long)(p->reserve >> 10),
                       (unsigned long)p->min, (unsigned long)p->max);
        if (e != E_OK)
            return e;
        taken[i] = (struct place_range){p->to, p->to + p->reserve};
    }
    return E_OK;
}

struct order {
    const struct place_piece *piece;
    size_t count;
    uint64_t from[PLACE_PIECES_MAX]; /* moves when a piece is put aside */
    bool waiting[PLACE_PIECES_MAX];
};

static bool may_move(const struct order *o, size_t i)
{
    uint64_t to = o->piece[i].to, end = to + o->piece[i].bytes;
    for (size_t j = 0; j < o->count; j++)
        if (j != i && o->waiting[j] && overlap(to, end, o->from[j], o->from[j] + o->piece[j].bytes))
            return false;
    return true;
}

/* Put the smallest waiting piece aside. */
static enum err put_aside(struct order *o, const struct place_free *f, struct place_ops *out)
{
    struct place_range avoid[2 * PLACE_PIECES_MAX];
    size_t pick = o->count, avoid_count = 0;
    for (size_t i = 0; i < o->count; i++) {
        const struct place_piece *p = &o->piece[i];
        avoid[avoid_count++] = (struct place_range){p->to, p->to + p->bytes};
        if (!o->waiting[i])
            continue;
        avoid[avoid_count++] = (struct place_range){o->from[i], o->from[i] + p->bytes};
        /* Only one that another's target covers: anything else would not help. */
        bool blocks = false;
        for (size_t j = 0; j < o->count; j++)
            blocks |= j != i && o->waiting[j] &&
                      overlap(o->from[i], o->from[i] + p->bytes, o->piece[j].to, o->piece[j].to + o->piece[j].bytes);
        if (blocks && (pick == o->count || p->bytes < o->piece[pick].bytes))
            pick = i;
    }
    if (pick == o->count)
        return E_INTERNAL;
    struct search s = {
        .bytes = o->piece[pick].bytes,
        .align = PAGE_BYTES,
        .max = MEMMAP_BELOW_4G,
        .high = true,
        .avoid = avoid,
        .avoid_count = avoid_count,
    };
    uint64_t at;
    if (!find(&s, f, &at))
        return E_NOMEM;
    out->op[out->count++] = (struct place_op){o->from[pick], at, s.bytes};
    o->from[pick] = at;
    return E_OK;
}

enum err place_order(const struct place_piece *pieces, size_t count, const struct place_free *f, struct place_ops *out,
                     char *why, size_t why_bytes)
{
    struct order o = {.piece = pieces, .count = count};
    out->count = 0;
    if (count > PLACE_PIECES_MAX)
        return E_INTERNAL;
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        o.from[i] = pieces[i].from;
        o.waiting[i] = pieces[i].bytes != 0 && pieces[i].from != pieces[i].to;
        left += o.waiting[i];
    }
    /* A piece that already lies at its target takes no part: targets are disjoint, so nothing will be put on it. */
    while (left > 0) {
        bool moved = false;
        for (size_t i = 0; i < count; i++) {
            if (!o.waiting[i] || !may_move(&o, i))
                continue;
            out->op[out->count++] = (struct place_op){o.from[i], pieces[i].to, pieces[i].bytes};
            o.waiting[i] = false;
            left--;
            moved = true;
        }
        if (moved)
            continue;
        enum err e = put_aside(&o, f, out);
        if (e != E_OK) {
            str_format(why, why_bytes, "no free memory to move the guest's pieces around each other");
            return e;
        }
    }
    return E_OK;
}
