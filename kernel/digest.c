/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Digests over the image. After a native interval it is checked before it runs:
 *
 *   door     the gateway's code and what a way in needs on this CPU: checked by the first C function of every visit
 *   way out  what leaving takes, the way back of a visit, and what is done when something was changed: never closed.
 *            Checked with the rest; the way back runs unchecked, because there is no other
 *   rest     all other code, and the constants: no-execute in the host's tables from the moment the guest gets the CPU
 *            (digest_close_rest) until it was checked (digest_open_rest). Lines other than "enter" open it first, and
 *            so does the first exit after an enter. Whatever gets there by another way (an error's log line) faults,
 *            and the page fault opens it (kernel/traps.c), so that the list of what belongs to the door, kernel/door.ld,
 *            decides about speed and not about correctness.
 *
 * Checking all of it each time took three quarters of the instructions of an enter (docs/figures.md).
 *
 * With the CPU's AES instructions sixteen bytes each (kernel/digest_aes.asm); without them CRC-32C (SDM 2 "CRC32": eight
 * bytes each, in a general register), in four lanes, because it has a latency of three cycles and a throughput of one;
 * without that a multiplicative hash. */
#include "kernel/digest.h"

#include "bits.h"
#include "cpu.h"
#include "kernel/digest_aes.h"
#include "kernel/paging.h"
#include "msr.h"

#define CPUID1_ECX_SSE42 BIT32(20)
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

static bool has_aes, has_crc32;
static uint64_t key;
static bool rest_open = true;

#define CRC(acc, word) __asm__("crc32q %1, %0" : "+r"(acc) : "m"(word))
#define CRC4(p, i)                                                                                                     \
    do {                                                                                                               \
        CRC(a, (p)[i]);                                                                                                \
        CRC(b, (p)[(i) + 1]);                                                                                          \
        CRC(c, (p)[(i) + 2]);                                                                                          \
        CRC(d, (p)[(i) + 3]);                                                                                          \
    } while (0)

/* These two are in the way out: they are for CPUs without AES instructions (kernel/door.ld). */
static __attribute__((noinline)) uint64_t digest_crc32(const struct whole *w)
{
    uint64_t a = ~0ull, b = ~0ull, c = ~0ull, d = ~0ull;
    for (uint64_t i = 0; i < w->ranges; i++)
        for (const uint64_t *p = w->range[i].start; p < w->range[i].end; p += WORDS_PER_ROUND) {
            CRC4(p, 0);
            CRC4(p, 4);
            CRC4(p, 8);
            CRC4(p, 12);
            CRC4(p, 16);
            CRC4(p, 20);
            CRC4(p, 24);
            CRC4(p, 28);
        }
    return (a ^ b << 32) * FNV_PRIME ^ c ^ d << 32; /* each lane has 32 bits */
}

static __attribute__((noinline)) uint64_t digest_fnv(const struct whole *w)
{
    uint64_t a = ~0ull;
    for (uint64_t i = 0; i < w->ranges; i++)
        for (const uint64_t *p = w->range[i].start; p < w->range[i].end; p++)
            a = (a ^ *p) * FNV_PRIME;
    return a;
}

static struct digest_value digest(const struct whole *w)
{
    struct digest_value v = {{0, 0}};
    if (has_aes)
        digest_aes(w->range, w->ranges, key, &v);
    else
        v.word[0] = has_crc32 ? digest_crc32(w) : digest_fnv(w);
    return v;
}

static bool same(const struct whole *w)
{
    struct digest_value now = digest(w);
    return now.word[0] == w->sealed.word[0] && now.word[1] == w->sealed.word[1];
}

static void add(struct whole *w, enum image_part part)
{
    w->range[w->ranges++] = paging_image_part(part);
}

void digest_seal_image(void)
{
    uint32_t features = cpu_cpuid(1, 0).ecx;
    has_aes = features & CPUID1_ECX_AES;
    has_crc32 = features & CPUID1_ECX_SSE42;
    key = cpu_rdtsc();
    add(&door, IMAGE_GATEWAY);
    add(&door, IMAGE_DOOR);
    /* The other vendor's code never runs on this CPU. */
    add(&door, features & CPUID1_ECX_VMX ? IMAGE_DOOR_VMX : IMAGE_DOOR_SVM);
    add(&way_out, IMAGE_WAY_OUT);
    add(&rest, IMAGE_REST);
    add(&rest, IMAGE_CONSTANTS);
    add(&bridge_part, IMAGE_BRIDGE);
    bridge_part.sealed = digest(&bridge_part);
    door.sealed = digest(&door);
    way_out.sealed = digest(&way_out);
    rest.sealed = digest(&rest);
}

bool digest_check_door(bool bridge_too)
{
    return same(&door) && (!bridge_too || same(&bridge_part));
}

bool digest_check_way_out(void)
{
    return same(&way_out);
}

bool digest_open_rest(void)
{
    if (rest_open)
        return true;
    if (!same(&way_out) || !same(&rest))
        return false;
    paging_rest_executable(true);
    rest_open = true;
    return true;
}

/* Endless if both were changed: nothing of the host is left that could be trusted with the guest. */
void digest_after_exit(void)
{
    while (!digest_open_rest() && !digest_check_way_out())
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
    paging_rest_executable(false);
    rest_open = false;
}

bool digest_is_rest(uint64_t rip)
{
    struct image_range r = paging_image_part(IMAGE_REST);
    return rip >= (uint64_t)r.start && rip < (uint64_t)r.end;
}
