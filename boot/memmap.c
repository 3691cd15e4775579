/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Edits the physical memory map. Everything is built on one operation, memmap_set: cut the entries at both
   ends of a range, drop what lies between, put the new entry in, merge equal neighbours. Overlaps in what the firmware
   says are resolved by setting the types in ascending order of caution, so that reserved wins over RAM. */
#include "boot/memmap.h"

#include "bits.h"
#include "str.h"

#include <string.h>

#define MIB (1ull << 20)
#define HIDDEN_BASE_BYTES (8 * MIB)
#define HIDDEN_RAM_SHARE 80

/* How much a type forbids: RAM can be used, ACPI data freed later, reserved never. */
static unsigned caution(uint32_t type)
{
    switch (type) {
    case MEMMAP_RAM:
        return 0;
    case MEMMAP_ACPI:
        return 1;
    case MEMMAP_NVS:
        return 2;
    case MEMMAP_BAD:
        return 4;
    case MEMMAP_RESERVED:
        return 5;
    default:
        return 3;
    }
}
#define CAUTION_MAX 5

static void insert_at(struct memmap *map, uint32_t i, struct memmap_entry e)
{
    memmove(&map->entry[i + 1], &map->entry[i], (map->count - i) * sizeof e);
    map->entry[i] = e;
    map->count++;
}

static void remove_at(struct memmap *map, uint32_t i)
{
    map->count--;
    memmove(&map->entry[i], &map->entry[i + 1], (map->count - i) * sizeof map->entry[0]);
}

static void split_at(struct memmap *map, uint64_t where)
{
    for (uint32_t i = 0; i < map->count; i++) {
        struct memmap_entry high = map->entry[i];
        if (high.base < where && where < high.end) {
            map->entry[i].end = where;
            high.base = where;
            insert_at(map, i + 1, high);
            return;
        }
    }
}

enum err memmap_set(struct memmap *map, uint64_t base, uint64_t end, uint32_t type)
{
    if (base >= end)
        return E_OK;
    /* At most two cuts and one new entry at a time. */
    if (map->count + 3 > MEMMAP_MAX)
        return E_NOMEM;
    split_at(map, base);
    split_at(map, end);
    uint32_t i = 0;
    while (i < map->count && map->entry[i].base < base)
        i++;
    while (i < map->count && map->entry[i].end <= end)
        remove_at(map, i);
    insert_at(map, i, (struct memmap_entry){.base = base, .end = end, .type = type});
    if (i + 1 < map->count && map->entry[i + 1].base == end && map->entry[i + 1].type == type) {
        map->entry[i].end = map->entry[i + 1].end;
        remove_at(map, i + 1);
    }
    if (i > 0 && map->entry[i - 1].end == base && map->entry[i - 1].type == type) {
        map->entry[i - 1].end = map->entry[i].end;
        remove_at(map, i);
    }
    return E_OK;
}

enum err memmap_build(struct memmap *map, const struct memmap_entry *entries, size_t count)
{
    map->count = 0;
    for (unsigned level = 0; level <= CAUTION_MAX; level++) {
        for (size_t i = 0; i < count; i++) {
            if (caution(entries[i].type) != level)
                continue;
            enum err e = memmap_set(map, entries[i].base, entries[i].end, entries[i].type);
            if (e != E_OK)
                return e;
        }
    }
    return E_OK;
}

uint64_t memmap_usable_bytes(const struct memmap *map)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memmap_entry *e = &map->entry[i];
        if (e->type != MEMMAP_RAM || e->base > UINT64_MAX - PAGE_BYTES)
            continue;
        uint64_t base = align_up(e->base, PAGE_BYTES), end = align_down(e->end, PAGE_BYTES);
        if (base < end)
            total += end - base;
    }
    return total;
}

uint64_t memmap_hidden_bytes(uint64_t usable_bytes)
{
    return align_up(HIDDEN_BASE_BYTES + usable_bytes / HIDDEN_RAM_SHARE, LARGE_PAGE_BYTES);
}

enum err memmap_choose_top(const struct memmap *map, uint64_t bytes, uint64_t *base)
{
    if (bytes == 0 || bytes % LARGE_PAGE_BYTES != 0)
        return E_INTERNAL;
    for (uint32_t i = map->count; i-- > 0;) {
        const struct memmap_entry *e = &map->entry[i];
        uint64_t top = align_down(min_u64(e->end, MEMMAP_BELOW_4G), LARGE_PAGE_BYTES);
        /* The first megabyte stays the guest's: it starts its other CPUs there. */
        uint64_t bottom = max_u64(e->base, MIB);
        if (e->type == MEMMAP_RAM && top >= bytes && top - bytes >= bottom) {
            *base = top - bytes;
            return E_OK;
        }
    }
    return E_NOMEM;
}

enum err memmap_choose_log(const struct memmap *map, uint64_t bytes, uint64_t *base)
{
    uint64_t best = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memmap_entry *e = &map->entry[i];
        uint64_t end = min_u64(e->end, MEMMAP_BELOW_4G);
        if (e->type != MEMMAP_RAM || e->base >= end || end - e->base < MEMMAP_LOG_MIN_BYTES || end - e->base <= best)
            continue;
        best = end - e->base;
        *base = align_down(e->base + best / 2, LARGE_PAGE_BYTES);
    }
    return best && bytes <= LARGE_PAGE_BYTES ? E_OK : E_NOMEM;
}

enum err memmap_choose_hidden(const struct memmap *map, uint64_t bytes, uint64_t *base, char *why, size_t why_bytes)
{
    uint64_t usable = memmap_usable_bytes(map);
    if (usable < bytes + MEMMAP_GUEST_MIN_BYTES) {
        str_format(why, why_bytes, "%u MiB of RAM; hidden memory takes %u MiB and the guest needs %u MiB",
                   (unsigned)(usable / MIB), (unsigned)(bytes / MIB), (unsigned)(MEMMAP_GUEST_MIN_BYTES / MIB));
        return E_NOMEM;
    }
    enum err e = memmap_choose_top(map, bytes, base);
    if (e != E_OK)
        str_format(why, why_bytes, "no %u MiB of RAM in one piece below 4 GiB (%u MiB of RAM in all)",
                   (unsigned)(bytes / MIB), (unsigned)(usable / MIB));
    return e;
}

bool memmap_is(const struct memmap *map, uint64_t base, uint64_t end, uint32_t type)
{
    /* Neighbours of one type are merged, so one entry must hold all of it. */
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memmap_entry *e = &map->entry[i];
        if (e->type == type && e->base <= base && end <= e->end)
            return base < end;
    }
    return false;
}
