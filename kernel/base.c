/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See base.h. */
#include "kernel/base.h"

#include "bits.h"
#include "ckpt/hash_avx2.h"
#include "ckpt/pages.h"
#include "ckpt/twins.h"
#include "clock.h"
#include "cpu.h"
#include "hostmem.h"
#include "kernel/state.h"
#include "log.h"

#include <string.h>

#define FOLD_TRIALS 4u

/* By page number: of the checkpoint `id`, or of the one under way. */
static struct hash128 *hashes;
static uint32_t *next_twin;
static uint8_t *known, *same; /* a bit each: its hash is that of the one under way; it is as in the parent */
static uint64_t pages;
static struct hash_key key;
static hash_fold_fn *fold = hash_fold;
static uint64_t id, seed; /* 0: none */
static uint64_t parent;   /* of the one under way */
static bool surveyed;
static struct twins twins;

static void *pages_of(uint64_t bytes)
{
    return pool_alloc_pages(align_up(bytes, PAGE_BYTES) / PAGE_BYTES);
}

_Static_assert(VCPU_XSAVE_BYTES == 4096, "as large as the area in ckpt/hash_avx2.asm");

/* Whichever takes less time: an emulator may carry out vector instructions one element after the other. */
static hash_fold_fn *choose_fold(const void *page)
{
    static hash_fold_fn *const folds[] = {hash_fold, hash_fold_avx2};
    uint64_t cycles[] = {UINT64_MAX, UINT64_MAX};
    hash_avx2_components = state_vector_components();
    if (!hash_avx2_components)
        return hash_fold;
    for (unsigned i = 0; i < 2 * FOLD_TRIALS; i++) {
        uint64_t from = cpu_rdtsc(), *best = &cycles[i % 2];
        (void)hash_page(page, &key, folds[i % 2]);
        *best = min_u64(*best, cpu_rdtsc() - from);
    }
    log_line("ckpt", "page hash: cycles=%llu avx2=%llu", (unsigned long long)cycles[0], (unsigned long long)cycles[1]);
    return folds[cycles[1] < cycles[0]];
}

enum err base_init(const struct ckpt_layout *layout)
{
    for (uint32_t i = 0; i < layout->ram_count; i++)
        pages = max_u64(pages, (layout->ram[i].base + layout->ram[i].bytes) / PAGE_BYTES);
    known = pages_of(pages / 8 + 1);
    same = pages_of(pages / 8 + 1);
    next_twin = pages_of(pages * sizeof *next_twin);
    hashes = known && same && next_twin ? pages_of(pages * sizeof *hashes) : NULL;
    uint64_t noise[2] = {cpu_rdtsc(), clock_us()};
    hash_key_init(&key, hash64(noise, sizeof noise, (uint64_t)hashes));
    if (!hashes)
        return E_NOMEM;
    fold = choose_fold(known);
    return E_OK;
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
    surveyed = false;
    twins.pages = 0;
}

struct hash128 base_hash(const void *content)
{
    struct hash128 of_zeros = {0, 0}; /* which most pages that are empty are */
    return page_is_zero(content) ? of_zeros : hash_page(content, &key, fold);
}

uint64_t base_stamp(uint64_t page, const void *content)
{
    if (!hashes || page >= pages)
        return 0;
    struct hash128 h = content ? base_hash(content) : hashes[page];
    return hash64(&h, sizeof h, page);
}

/* True: as in the parent. */
static bool note(uint64_t page, struct hash128 now)
{
    struct hash128 *was = &hashes[page];
    bool equal = parent && was->low == now.low && was->high == now.high;
    *was = now;
    return equal;
}

static bool looked_at(uint64_t page)
{
    return surveyed && page < pages && (known[page / 8] >> page % 8 & 1);
}

static bool found_same(uint64_t page)
{
    return same[page / 8] >> page % 8 & 1;
}

enum base_known base_known(uint64_t page)
{
    if (!looked_at(page))
        return BASE_UNKNOWN;
    if (found_same(page))
        return BASE_UNCHANGED;
    return hashes[page].low | hashes[page].high ? BASE_UNKNOWN : BASE_ZEROS;
}

bool base_unchanged(uint64_t page, const void *content)
{
    if (!hashes || page >= pages)
        return false;
    return looked_at(page) ? found_same(page) : note(page, base_hash(content));
}

void base_survey_begin(bool last, void *scratch, size_t bytes)
{
    if (!hashes)
        return;
    surveyed = last;
    memset(known, 0, pages / 8 + 1);
    twins_begin(&twins, hashes, next_twin, pages, scratch, bytes);
}

void base_survey(uint64_t page, struct hash128 now)
{
    if (!hashes || page >= pages)
        return;
    uint8_t bit = (uint8_t)(1u << page % 8);
    bool equal = note(page, now);
    known[page / 8] |= bit;
    same[page / 8] = equal ? same[page / 8] | bit : same[page / 8] & (uint8_t)~bit;
    if (!equal)
        twins_look(&twins, page);
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
