/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hash of a page against the library's own, as scalar code and with AVX2; the vector registers, in which a guest's values lie,
   come back. */
/* UNITS: ckpt/hash.c ckpt/hash_avx2.asm */
/* LIBS: -lxxhash */
#include "ckpt/hash_avx2.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define XCR0_VECTORS 0xe6u
#define VECTORS 16
#define VECTOR_BYTES 64

static _Alignas(PAGE_BYTES) uint8_t page[PAGE_BYTES + 1];

static bool has_avx2(void)
{
    if (!__builtin_cpu_supports("avx2")) {
        printf("this machine has no AVX2: not tested\n");
        return false;
    }
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    hash_avx2_components = low & XCR0_VECTORS;
    return true;
}

static void fill(uint32_t x)
{
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
}

static void check_as_library(hash_fold_fn *fold, size_t offset, uint64_t seed)
{
    struct hash_key key;
    hash_key_init(&key, seed);
    struct hash128 h = hash_page(page + offset, &key, fold);
    XXH128_hash_t expected = XXH3_128bits_withSeed(page + offset, PAGE_BYTES, seed);
    ck_assert_uint_eq(h.low, expected.low64);
    ck_assert_uint_eq(h.high, expected.high64);
}

static void check_fold(hash_fold_fn *fold)
{
    static const uint64_t seeds[] = {0, 1, 0x0123456789abcdef, UINT64_MAX};
    for (uint32_t x = 0; x < 100; x++)
        for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
            fill(x);
            check_as_library(fold, x % 2, seeds[i] + x);
        }
    memset(page, 0, sizeof page);
    check_as_library(fold, 0, 1);
}

START_TEST(scalar_is_the_librarys)
{
    check_fold(hash_fold);
}
END_TEST

START_TEST(avx2_is_the_librarys)
{
    if (has_avx2())
        check_fold(hash_fold_avx2);
}
END_TEST

START_TEST(every_bit_counts)
{
    struct hash_key key;
    hash_key_init(&key, 42);
    fill(1);
    hash_fold_fn *fold = has_avx2() ? hash_fold_avx2 : hash_fold;
    struct hash128 all = hash_page(page, &key, fold);
    for (size_t bit = 0; bit < 8 * PAGE_BYTES; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct hash128 h = hash_page(page, &key, fold);
        ck_assert(h.low != all.low && h.high != all.high);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

#define EACH_VECTOR(do)                                                                                                \
    do                                                                                                                 \
    (0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(14) do(15)
#define LOAD_YMM(n) "vmovdqu 64*" #n "(%[in]), %%ymm" #n "\n"
#define STORE_YMM(n) "vmovdqu %%ymm" #n ", 64*" #n "(%[out])\n"
#define LOAD_ZMM(n) "vmovdqu64 64*" #n "(%[in]), %%zmm" #n "\n"
#define STORE_ZMM(n) "vmovdqu64 %%zmm" #n ", 64*" #n "(%[out])\n"
/* With the stack below the red zone. */
#define AROUND(load, store)                                                                                            \
    __asm__ volatile(                                                                                                  \
        "ldmxcsr %[mxcsr]\n" EACH_VECTOR(load) "mov %%rsp, %%r12\n"                                                    \
                                               "sub $128, %%rsp\n"                                                     \
                                               "call *%%rbx\n"                                                         \
                                               "mov %%r12, %%rsp\n" EACH_VECTOR(store) "stmxcsr %[mxcsr]\n"            \
        : "+D"(to), "+S"(at), "+d"(secret), [mxcsr] "+m"(mxcsr)                                                        \
        : "b"(fold), [in] "r"((const uint8_t *)in), [out] "r"((uint8_t *)out)                                          \
        : "rax", "rcx", "r8", "r9", "r10", "r11", "r12", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",       \
          "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

START_TEST(vector_registers_come_back)
{
    if (!has_avx2())
        return;
    static uint8_t in[VECTORS * VECTOR_BYTES], out[sizeof in];
    uint64_t lanes[HASH_LANES] = {0}, *to = lanes;
    struct hash_key key;
    const uint8_t *secret = key.secret;
    const void *at = page;
    hash_fold_fn *fold = hash_fold_avx2;
    uint32_t mxcsr = 0x3f80;
    bool avx512 = __builtin_cpu_supports("avx512f");
    hash_key_init(&key, 42);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = i % VECTOR_BYTES < VECTOR_BYTES / 2 || avx512 ? (uint8_t)(i * 7 + 1) : 0;
    if (avx512)
        AROUND(LOAD_ZMM, STORE_ZMM);
    else
        AROUND(LOAD_YMM, STORE_YMM);
    ck_assert_mem_eq(in, out, sizeof in);
    ck_assert_uint_eq(mxcsr, 0x3f80);
    ck_assert_uint_ne(lanes[0], 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hash");
    TCase *t = tcase_create("all");
    tcase_add_test(t, scalar_is_the_librarys);
    tcase_add_test(t, avx2_is_the_librarys);
    tcase_add_test(t, every_bit_counts);
    tcase_add_test(t, vector_registers_come_back);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("hash", suite)
