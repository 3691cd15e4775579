/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Digests over the image. After a native interval it is checked before it runs:
 *
 *   door     the gateway's code and what a way in needs on this CPU: checked by the first C function of every visit
 *   way out  what leaving takes, the way back of a visit, what is done when something was changed, and all constants. Never
 *            closed, because nothing else could take its place: where it was changed it is put back from a copy, and what was asked
 *            for is refused all the same. Checked with the rest, and by itself where a visit ends without that
 *   rest     all other code: no-execute in the host's tables from the moment the guest gets the CPU
 *            (digest_close_rest) until it was checked (digest_open_rest). Lines other than "enter" open it first, and
 *            so does the first exit after an enter. Whatever gets there by another way (an error's log line) faults,
 *            and the page fault opens it (kernel/traps.c), so that the list of what belongs to the door, kernel/door.ld,
 *            decides about speed and not about correctness.
 *
 * Checking all of it each time took three quarters of the instructions of an enter (docs/figures.md).
 *
 * With the CPU's AES instructions sixteen bytes each (kernel/digest_aes.asm); without them a multiplicative hash in four
 * lanes, because a multiplication has a latency of three cycles and a throughput of one. */
#include "kernel/digest.h"

#include "bits.h"
#include "cpu.h"
#include "hostmem.h"
#include "kernel/digest_aes.h"
#include "kernel/paging.h"
#include "log.h"
#include "msr.h"

#include <string.h>

#define CPUID1_ECX_AES BIT32(25)
#define FNV_PRIME 0x100000001b3ull
#define WORDS_PER_ROUND 32u

_Static_assert(WORDS_PER_ROUND * sizeof(uint64_t) == DIGEST_CHUNK_BYTES, "linker.ld checks one number");

/* What is checked together. */
static struct whole {
    struct image_range range[3];
    uint64_t ranges;
    struct digest_value sealed;
} door, way_out, rest, bridge_part;

static bool has_aes;
static uint64_t key;
static bool rest_open = true;
static bool mended;                 /* and nobody was told yet */
static const void *way_out_copy[2]; /* of its ranges, as they were sealed: pool pages */

static __attribute__((noinline)) uint64_t digest_fnv(const struct whole *w)
{
    uint64_t a = 1, b = 2, c = 3, d = 4;
    for (uint64_t i = 0; i < w->ranges; i++)
        for (const uint64_t *p = w->range[i].start; p < w->range[i].end; p += 4) {
            a = (a ^ p[0]) * FNV_PRIME;
            b = (b ^ p[1]) * FNV_PRIME;
            c = (c ^ p[2]) * FNV_PRIME;
            d = (d ^ p[3]) * FNV_PRIME;
        }
    return (((a * FNV_PRIME ^ b) * FNV_PRIME ^ c) * FNV_PRIME ^ d) * FNV_PRIME;
}

static struct digest_value digest(const struct whole *w)
{
    struct digest_value v = {{0, 0}};
    if (has_aes)
        digest_aes(w->range, w->ranges, key, &v);
    else
        v.word[0] = digest_fnv(w);
    return v;
}

static bool same(const struct whole *w)
{
    struct digest_value now = digest(w);
    return now.word[0] == w->sealed.word[0] && now.word[1] == w->sealed.word[1];
}

static uint64_t bytes_of(const struct image_range *r)
{
    return (uint64_t)r->end - (uint64_t)r->start;
}

static void add(struct whole *w, enum image_part part)
{
    w->range[w->ranges++] = paging_image_part(part);
}

static SELDOM void seal(struct whole *w)
{
    w->sealed = digest(w);
}

SELDOM void digest_seal_image(void)
{
    uint32_t features = cpu_cpuid(1, 0).ecx;
    has_aes = features & CPUID1_ECX_AES;
    key = cpu_rdtsc();
    add(&door, IMAGE_GATEWAY);
    add(&door, IMAGE_DOOR);
    /* The other vendor's code never runs on this CPU. */
    add(&door, features & CPUID1_ECX_VMX ? IMAGE_DOOR_VMX : IMAGE_DOOR_SVM);
    add(&way_out, IMAGE_WAY_OUT);
    add(&way_out, IMAGE_CONSTANTS);
    add(&rest, IMAGE_REST);
    add(&bridge_part, IMAGE_BRIDGE);
    seal(&bridge_part);
    seal(&door);
    seal(&way_out);
    seal(&rest);
    for (uint64_t i = 0; i < way_out.ranges; i++) {
        uint64_t bytes = bytes_of(&way_out.range[i]);
        void *copy = pool_alloc_pages(align_up(bytes, PAGE_BYTES) / PAGE_BYTES);
        if (!copy)
            panic("hidden memory too small for a copy of the way out");
        way_out_copy[i] = memcpy(copy, way_out.range[i].start, bytes);
    }
}

bool digest_check_door(bool bridge_too)
{
    return same(&door) && (!bridge_too || same(&bridge_part));
}

bool digest_mend_way_out(void)
{
    if (same(&way_out))
        return !mended;
    mended = true; /* first: then no other CPU finds it mended and goes on as if nothing had been */
    uint64_t cr0 = cpu_read_cr0();
    cpu_write_cr0(cr0 & ~CR0_WP); /* serializes, too, as what follows does */
    for (uint64_t i = 0; i < way_out.ranges; i++)
        memcpy((void *)way_out.range[i].start, way_out_copy[i], bytes_of(&way_out.range[i]));
    cpu_write_cr0(cr0);
    return false;
}

bool digest_open_rest(void)
{
    if (rest_open)
        return true;
    if (!digest_mend_way_out() || !same(&rest))
        return false;
    paging_rest_executable(true);
    rest_open = true;
    return true;
}

bool digest_found_closed(void)
{
    if (!rest_open)
        return digest_open_rest();
    if (!same(&rest))
        return false;
    paging_rest_executable(true);
    return true;
}

/* Endless if the copy was changed, too: nothing of the host is left that could be trusted with the guest. */
void digest_after_exit(void)
{
    while (!digest_open_rest() && !same(&way_out))
        cpu_cli_hlt();
}

bool digest_rest_is_open(void)
{
    return rest_open;
}

void digest_close_rest(void)
{
    if (!rest_open)
        return;
    /* In this order: another CPU that opens it meanwhile may leave it closed and noted as open, which the next fetch puts
       right, but never the other way round. */
    rest_open = false;
    paging_rest_executable(false);
}

void digest_told(void)
{
    mended = false;
}

bool digest_is_rest(uint64_t rip)
{
    struct image_range r = paging_image_part(IMAGE_REST);
    return rip >= (uint64_t)r.start && rip < (uint64_t)r.end;
}
