/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See base.h. */
#include "kernel/base.h"

#include "bits.h"
#include "ckpt/hash.h"
#include "ckpt/pages.h"
#include "ckpt/twins.h"
#include "clock.h"
#include "cpu.h"
#include "hostmem.h"

static struct hash128 *hashes; /* by page number; of the checkpoint `id`, or of the one under way */
static uint64_t pages, key;
static uint64_t id, seed;  /* 0: none */
static uint64_t parent;    /* of the one under way */
static struct twins twins; /* in hashes, where those of a full one under way are not known yet */

enum err base_init(const struct ckpt_layout *layout)
{
    for (uint32_t i = 0; i < layout->ram_count; i++)
        pages = max_u64(pages, (layout->ram[i].base + layout->ram[i].bytes) / PAGE_BYTES);
    hashes = pool_alloc_pages(align_up(pages * sizeof *hashes, PAGE_BYTES) / PAGE_BYTES);
    uint64_t noise[2] = {cpu_rdtsc(), clock_us()};
    key = hash64(noise, sizeof noise, (uint64_t)hashes);
    return hashes ? E_OK : E_NOMEM;
}

uint64_t base_find(const struct store *s)
{
    const struct disk_entry *e = id && hashes ? store_find(s, id) : NULL;
    return e && e->seed == seed && store_chain_length(s, id) < STORE_CHAIN_MAX ? id : 0;
}

void base_begin(uint64_t on)
{
    parent = on;
    id = 0;
    twins.end = 0;
}

static struct hash128 hash_of(const void *content)
{
    struct hash128 of_zeros = {0, 0}; /* which most pages that are empty are */
    return page_is_zero(content) ? of_zeros : hash128_keyed(content, PAGE_BYTES, key);
}

uint64_t base_stamp(uint64_t page, const void *content)
{
    if (!hashes || page >= pages)
        return 0;
    struct hash128 h = content ? hash_of(content) : hashes[page];
    return hash64(&h, sizeof h, page);
}

bool base_unchanged(uint64_t page, const void *content)
{
    if (!hashes || page >= pages)
        return false;
    struct hash128 *was = &hashes[page], now = hash_of(content);
    bool same = parent && was->low == now.low && was->high == now.high;
    *was = now;
    return same;
}

void base_survey_begin(void *scratch, size_t bytes)
{
    if (hashes)
        twins_begin(&twins, hashes, scratch, bytes);
}

void base_survey(uint64_t page, const void *content)
{
    if (hashes && page < pages)
        twins_look(&twins, page, content);
}

uint64_t base_twin(uint64_t page)
{
    return twins_next(&twins, page);
}

void base_is(const struct store *s, uint64_t committed)
{
    const struct disk_entry *e = store_find(s, committed);
    id = e ? committed : 0;
    seed = e ? e->seed : 0;
}

void base_forget(void)
{
    id = 0;
}
