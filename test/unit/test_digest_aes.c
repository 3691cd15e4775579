/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The digest by AES instructions against a model of AES's round in plain C: every bit counts, ranges are one sequence of
   bytes, and the vector registers, in which a guest's values lie, come back. */
/* UNITS: kernel/digest_aes.asm */
#include "kernel/digest_aes.h"
#include "unit.h"

#include <string.h>

#define BLOCK 16
#define LANES 8
#define KEY 0x0123456789abcdefull
#define BUFFER_BYTES (4 * DIGEST_CHUNK_BYTES)

static _Alignas(DIGEST_CHUNK_BYTES) uint8_t buffer[BUFFER_BYTES + DIGEST_CHUNK_BYTES];

static void fill(void)
{
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
}

static struct image_range range(size_t from, size_t to)
{
    return (struct image_range){(const uint64_t *)(const void *)(buffer + from),
                                (const uint64_t *)(const void *)(buffer + to)};
}

static struct digest_value digest(uint64_t key, const struct image_range *ranges, uint64_t count)
{
    struct digest_value v = {{0, 0}};
    digest_aes(ranges, count, key, &v);
    return v;
}

static struct digest_value digest_all(void)
{
    struct image_range all = range(0, BUFFER_BYTES);
    return digest(KEY, &all, 1);
}

static bool equal(struct digest_value a, struct digest_value b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* --- the model: FIPS 197 5.1 "CIPHER()", with the S-box computed from its definition ---------------------------- */

static uint8_t times_x(uint8_t a)
{
    return (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
}

static uint8_t product(uint8_t a, uint8_t b)
{
    uint8_t sum = 0;
    for (; b; b >>= 1, a = times_x(a))
        if (b & 1)
            sum ^= a;
    return sum;
}

static uint8_t sub_byte(uint8_t a)
{
    uint8_t inverse = 0;
    for (unsigned b = 1; a && b < 256; b++)
        if (product(a, (uint8_t)b) == 1)
            inverse = (uint8_t)b;
    uint8_t out = 0x63;
    for (unsigned turn = 0; turn < 5; turn++)
        out ^= (uint8_t)(inverse << turn | inverse >> (8 - turn));
    return out;
}

static void round_of_aes(uint8_t state[BLOCK], const uint8_t key[BLOCK])
{
    static uint8_t box[256];
    uint8_t s[BLOCK];
    for (unsigned i = 0; !box[0] && i < 256; i++)
        box[255 - i] = sub_byte((uint8_t)(255 - i));
    for (unsigned column = 0; column < 4; column++)
        for (unsigned row = 0; row < 4; row++)
            s[4 * column + row] = box[state[4 * ((column + row) % 4) + row]];
    for (unsigned column = 0; column < 4; column++)
        for (unsigned row = 0; row < 4; row++) {
            const uint8_t *c = s + 4 * column;
            state[4 * column + row] = (uint8_t)(product(c[row], 2) ^ product(c[(row + 1) % 4], 3) ^ c[(row + 2) % 4] ^
                                                c[(row + 3) % 4] ^ key[4 * column + row]);
        }
}

static struct digest_value model(uint64_t key, const uint8_t *bytes, size_t count)
{
    uint8_t lane[LANES][BLOCK], start[BLOCK], last[BLOCK] = {0};
    struct digest_value out;
    memcpy(start, &key, 8);
    memcpy(start + 8, &key, 8);
    memcpy(last, &key, 8);
    for (unsigned i = 0; i < LANES; i++)
        memcpy(lane[i], start, BLOCK);
    for (size_t i = 0; i < count / BLOCK; i++)
        round_of_aes(lane[i % LANES], bytes + i * BLOCK);
    for (unsigned i = 1; i < LANES; i++)
        round_of_aes(lane[0], lane[i]);
    for (unsigned i = 0; i < 4; i++)
        round_of_aes(lane[0], last);
    memcpy(&out, lane[0], sizeof out);
    return out;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

START_TEST(is_the_model)
{
    fill();
    for (size_t bytes = 0; bytes <= BUFFER_BYTES; bytes += DIGEST_CHUNK_BYTES)
        for (uint64_t key = 0; key < 3; key++) {
            struct image_range some = range(0, bytes);
            ck_assert(equal(digest(key, &some, 1), model(key, buffer, bytes)));
        }
}
END_TEST

START_TEST(every_bit_counts)
{
    fill();
    struct digest_value whole = digest_all();
    for (unsigned bit = 0; bit < BUFFER_BYTES * 8; bit++) {
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct digest_value v = digest_all();
        /* Each of them reaches both halves. */
        ck_assert(v.word[0] != whole.word[0] && v.word[1] != whole.word[1]);
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert(equal(digest_all(), whole));
}
END_TEST

START_TEST(order_and_length_count)
{
    fill();
    struct digest_value whole = digest_all();
    /* Two blocks of one lane, of two lanes, of the first and the last chunk change places. */
    static const size_t pairs[][2] = {{0, LANES}, {0, 1}, {3, 4}, {0, BUFFER_BYTES / BLOCK - 1}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        uint8_t kept[BLOCK], *a = buffer + pairs[i][0] * BLOCK, *b = buffer + pairs[i][1] * BLOCK;
        memcpy(kept, a, BLOCK);
        memcpy(a, b, BLOCK);
        memcpy(b, kept, BLOCK);
        ck_assert(!equal(digest_all(), whole));
        fill();
    }
    /* More zeros are not the same zeros. */
    memset(buffer, 0, sizeof buffer);
    struct image_range one = range(0, DIGEST_CHUNK_BYTES), two = range(0, 2 * DIGEST_CHUNK_BYTES), none = range(0, 0);
    ck_assert(!equal(digest(KEY, &one, 1), digest(KEY, &two, 1)));
    ck_assert(!equal(digest(KEY, &one, 1), digest(KEY, &none, 1)));
    ck_assert(!equal(digest(KEY, &one, 1), digest(KEY + 1, &one, 1)));
}
END_TEST

START_TEST(ranges_are_one_sequence)
{
    fill();
    struct digest_value whole = digest_all();
    struct image_range parts[] = {range(0, 256), range(256, 256), range(256, 768), range(768, BUFFER_BYTES)};
    ck_assert(equal(digest(KEY, parts, ARRAY_LEN(parts)), whole));
    struct image_range turned[] = {range(256, BUFFER_BYTES), range(0, 256)};
    ck_assert(!equal(digest(KEY, turned, ARRAY_LEN(turned)), whole));
    buffer[BUFFER_BYTES] ^= 1; /* what lies behind does not matter */
    ck_assert(equal(digest_all(), whole));
}
END_TEST

struct vectors {
    _Alignas(64) uint8_t byte[576 + 16 * BLOCK]; /* SDM 1 13.4 "XSAVE Area": legacy, header, upper halves */
};

#define XSAVE_ALL "mov $7, %%eax\n xor %%edx, %%edx\n xsave64 (%0)\n"

START_TEST(registers_come_back)
{
    static struct vectors before, after;
    static uint8_t value[16][32];
    struct image_range all = range(0, BUFFER_BYTES);
    struct digest_value v;
    ck_assert_msg(__builtin_cpu_supports("avx"), "the build machine has no AVX");
    fill();
    memcpy(value, buffer, sizeof value);
    /* Nothing of the compiler's between the two. */
#define LOAD(n) "vmovups " #n "*32(%3), %%ymm" #n "\n"
    __asm__ volatile(
        LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7) LOAD(8) LOAD(9) LOAD(10) LOAD(11) LOAD(12)
            LOAD(13) LOAD(14) LOAD(15) XSAVE_ALL
        "push %1\n push %1\n mov %2, %%rdi\n mov $1, %%esi\n mov %5, %%rdx\n mov %4, %%rcx\n call digest_aes\n"
        "pop %0\n pop %0\n" XSAVE_ALL "vzeroupper\n"
        : "+&b"((uintptr_t){(uintptr_t)&before})
        : "r"(&after), "r"(&all), "r"(value), "r"(&v), "i"(0x1234567)
        : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
          "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    for (unsigned i = 0; i < 16; i++) {
        ck_assert(memcmp(after.byte + 160 + i * BLOCK, value[i], BLOCK) == 0);
        ck_assert(memcmp(after.byte + 576 + i * BLOCK, value[i] + BLOCK, BLOCK) == 0);
    }
    ck_assert(memcmp(before.byte, after.byte, 416) == 0); /* x87 and MXCSR, too */
    ck_assert(equal(v, digest(0x1234567, &all, 1)));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("digest_aes");
    TCase *t = tcase_create("all");
    tcase_add_test(t, is_the_model);
    tcase_add_test(t, every_bit_counts);
    tcase_add_test(t, order_and_length_count);
    tcase_add_test(t, ranges_are_one_sequence);
    tcase_add_test(t, registers_come_back);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("digest_aes", suite)
