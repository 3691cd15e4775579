/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See store_key.h. What is looked for is kept as its complement, so that the search does not find itself. */
#include "kernel/store_key.h"

#include "bits.h"
#include "clock.h"
#include "cpu.h"
#include "hostmem.h"
#include "kernel/machine.h"
#include "kernel/paging.h"
#include "kernel/wallclock.h"
#include "log.h"

#include <string.h>

#define MODULE_NAME "sojourn-key"
#define TEXT_BYTES (2 * SEAL_KEY_BYTES)

static void next_nonce(uint8_t nonce[SEAL_NONCE_BYTES], uint64_t generation)
{
    static uint64_t count;
    seal_count_nonce(nonce, &count, cpu_rdtsc(), wallclock_unix_s(), generation);
}

static struct seal_key key = {.nonce = next_nonce};
static bool present;
static struct trace {
    uint8_t complement[TEXT_BYTES];
    uint32_t bytes;      /* 0: nothing to look for */
} traces[2];             /* as it was given, and as it is used */
static bool begins[256]; /* some eight bytes of a trace begin with this one */

static void look_for(struct trace *t, const void *data, uint32_t bytes)
{
    t->bytes = bytes;
    for (uint32_t i = 0; i < bytes; i++) {
        t->complement[i] = (uint8_t) ~((const uint8_t *)data)[i];
        begins[((const uint8_t *)data)[i]] = true;
    }
}

static bool take(const void *text, uint64_t bytes)
{
    present = bytes <= TEXT_BYTES + 2 && seal_read_key(text, bytes, key.bytes);
    if (!present)
        return false;
    look_for(&traces[0], text, (uint32_t)min_u64(bytes, TEXT_BYTES));
    look_for(&traces[1], key.bytes, SEAL_KEY_BYTES);
    return true;
}

const char *store_key_take(struct boot_info *boot, struct options *o)
{
    struct boot_module m;
    bool module = boot_remove_module(boot, MODULE_NAME, &m), good = !module;
    if (module) {
        void *data = phys_to_virt((hpa_t){m.start});
        good = take(data, m.end - m.start);
        memset(data, 0, m.end - m.start);
    }
    if (o->key[0])
        good = take(o->key, TEXT_BYTES);
    memset(o->key, 0, sizeof o->key);
    char *line = boot->strings + boot->cmdline; /* has been read */
    memset(line, 0, strlen(line));
    return good ? NULL : "module " MODULE_NAME ": neither 32 bytes nor 64 hexadecimal digits; there is no key";
}

/* The eight bytes at word are those of a trace from offset on: with what goes on before and behind them they go. */
static void wipe_at(const struct trace *t, uint32_t offset, uint8_t *word, const uint8_t *low, const uint8_t *high)
{
    uint8_t *first = word, *end = word + 8;
    const uint8_t *before = t->complement + offset, *after = before + 8;
    while (before > t->complement && first > low && (first[-1] ^ before[-1]) == 0xff)
        first--, before--;
    while (after < t->complement + t->bytes && end < high && (*end ^ *after) == 0xff)
        *end++ = 0, after++;
    memset(first, 0, (size_t)(end - first));
}

static bool wipe_word(uint8_t *word, const uint8_t *low, const uint8_t *high)
{
    uint64_t wanted = ~load64(word);
    for (size_t i = 0; i < ARRAY_LEN(traces); i++)
        for (uint32_t at = 0; at + 8 <= traces[i].bytes; at++)
            if (load64(traces[i].complement + at) == wanted) {
                wipe_at(&traces[i], at, word, low, high);
                return true;
            }
    return false;
}

/* Where there is none, or what there is has to stay as it is. */
static bool is_left_alone(uint64_t page)
{
    bool alone = hidden_contains(page);
    for (uint32_t i = 0; i < machine.boot.module_count; i++)
        alone |= page + PAGE_BYTES > machine.boot.module[i].start && page < machine.boot.module[i].end;
    return alone;
}

static uint32_t wipe_range(uint64_t base, uint64_t end)
{
    uint8_t *low = phys_to_virt((hpa_t){base}), *high = low + (end - base);
    uint32_t found = 0;
    for (uint64_t page = align_down(base, PAGE_BYTES); page < end; page += PAGE_BYTES) {
        if (is_left_alone(page))
            continue;
        uint8_t *at = phys_to_virt((hpa_t){max_u64(page, align_up(base, 8))});
        uint8_t *stop = phys_to_virt((hpa_t){min_u64(page + PAGE_BYTES, align_down(end, 8))});
        for (; at < stop; at += 8)
            if (begins[*at] && wipe_word(at, low, high))
                found++;
    }
    return found;
}

void store_key_wipe_traces(void)
{
    uint64_t start = clock_us();
    uint32_t found = 0;
    if (!traces[1].bytes)
        return;
    for (uint32_t i = 0; i < machine.map.count; i++) {
        const struct memmap_entry *e = &machine.map.entry[i];
        if (e->type == MEMMAP_RAM && e->base < MEMMAP_BELOW_4G)
            found += wipe_range(e->base, min_u64(e->end, MEMMAP_BELOW_4G));
    }
    memset(traces, 0, sizeof traces);
    log_line("boot", "the store's key is in hidden memory; traces wiped: %u in %llu us", found,
             (unsigned long long)(clock_us() - start));
}

void store_key_forget(void)
{
    memset(key.bytes, 0, sizeof key.bytes);
    present = false;
    store_key_wipe_traces();
}

const struct seal_key *store_key(void)
{
    return present ? &key : NULL;
}
