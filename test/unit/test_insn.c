/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instruction classes: encoded bytes against what they mean, in 16-, 32- and 64-bit code; truncation; garbage. */
/* UNITS: kernel/insn.c */
/* LIBS: -lZydis */
#include "kernel/insn.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

struct want {
    enum insn_mode mode;
    const char *bytes; /* hex */
    uint8_t len;
    enum insn_class class;
    uint8_t op_bytes;
    int reg; /* -1: not looked at */
};

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned v;
    for (; hex[0] && hex[1]; hex += 2) {
        ck_assert_int_eq(sscanf(hex, "%2x", &v), 1);
        out[n++] = (uint8_t)v;
    }
    return n;
}

static const struct want table[] = {
    /* MOV stores and loads, all widths */
    {INSN_64, "8807", 2, INSN_STORE, 1, GPR_RAX},
    {INSN_64, "8907", 2, INSN_STORE, 4, GPR_RAX},
    {INSN_64, "668907", 3, INSN_STORE, 2, GPR_RAX},
    {INSN_64, "488907", 3, INSN_STORE, 8, GPR_RAX},
    {INSN_64, "4c8907", 3, INSN_STORE, 8, GPR_R8},
    {INSN_32, "8907", 2, INSN_STORE, 4, GPR_RAX},
    {INSN_16, "8905", 2, INSN_STORE, 2, GPR_RAX},
    {INSN_16, "668905", 3, INSN_STORE, 4, GPR_RAX},
    {INSN_64, "c60755", 3, INSN_STORE, 1, -1},
    {INSN_64, "c70778563412", 6, INSN_STORE, 4, -1},
    {INSN_64, "48c707ffffffff", 7, INSN_STORE, 8, -1},
    {INSN_16, "c7053412", 4, INSN_STORE, 2, -1},
    {INSN_64, "8b07", 2, INSN_LOAD, 4, GPR_RAX},
    {INSN_64, "448b8f44332211", 7, INSN_LOAD, 4, GPR_R9},
    {INSN_64, "8a27", 2, INSN_LOAD, 1, GPR_RAX},   /* AH */
    {INSN_64, "408a27", 3, INSN_LOAD, 1, GPR_RSP}, /* SPL */
    {INSN_64, "48a18877665544332211", 10, INSN_LOAD, 8, GPR_RAX},
    {INSN_64, "a38877665544332211", 9, INSN_STORE, 4, GPR_RAX},
    {INSN_32, "a344332211", 5, INSN_STORE, 4, GPR_RAX},
    {INSN_32, "67a32211", 4, INSN_STORE, 4, GPR_RAX},
    {INSN_16, "a02211", 3, INSN_LOAD, 1, GPR_RAX},
    {INSN_64, "8c07", 2, INSN_STORE, 2, -1},
    {INSN_64, "89c7", 2, INSN_OTHER, 0, -1}, /* register to register */
    {INSN_64, "0fb607", 3, INSN_LOAD_ZX, 1, GPR_RAX},
    {INSN_64, "480fb707", 4, INSN_LOAD_ZX, 2, GPR_RAX},
    {INSN_64, "0fbe07", 3, INSN_LOAD_SX, 1, GPR_RAX},
    {INSN_64, "4c0fbf37", 4, INSN_LOAD_SX, 2, GPR_R14},
    {INSN_64, "486307", 3, INSN_LOAD_SX, 4, GPR_RAX},
    {INSN_32, "6307", 2, INSN_OTHER, 0, -1}, /* ARPL */
    {INSN_64, "0fc307", 3, INSN_STORE, 4, GPR_RAX},
    {INSN_64, "480fc307", 4, INSN_STORE, 8, GPR_RAX},
    {INSN_64, "0f9407", 3, INSN_STORE, 1, -1},
    /* RMW */
    {INSN_64, "f0480107", 4, INSN_STORE_ALU, 8, GPR_RAX},
    {INSN_64, "0007", 2, INSN_STORE_ALU, 1, GPR_RAX},
    {INSN_64, "0307", 2, INSN_OTHER, 0, -1},
    {INSN_64, "3907", 2, INSN_OTHER, 0, -1}, /* CMP reads */
    {INSN_64, "800f01", 3, INSN_STORE_ALU, 1, -1},
    {INSN_64, "803f01", 3, INSN_OTHER, 0, -1},
    {INSN_64, "f7d8", 2, INSN_OTHER, 0, -1},
    {INSN_64, "f71f", 2, INSN_STORE_ALU, 4, -1},
    {INSN_64, "f627", 2, INSN_OTHER, 0, -1}, /* MUL */
    {INSN_64, "ff07", 2, INSN_STORE_ALU, 4, -1},
    {INSN_64, "fe0f", 2, INSN_STORE_ALU, 1, -1},
    {INSN_64, "ff27", 2, INSN_OTHER, 0, -1}, /* JMP */
    {INSN_64, "ff37", 2, INSN_OTHER, 0, -1}, /* PUSH */
    {INSN_64, "488707", 3, INSN_STORE_XCHG, 8, GPR_RAX},
    {INSN_64, "0fc107", 3, INSN_OTHER, 0, -1}, /* XADD */
    {INSN_64, "0fb107", 3, INSN_OTHER, 0, -1}, /* CMPXCHG */
    /* vector stores */
    {INSN_64, "0f1107", 3, INSN_STORE, 0, -1},
    {INSN_64, "0f1007", 3, INSN_OTHER, 0, -1},
    {INSN_64, "660fe707", 4, INSN_STORE, 0, -1},
    {INSN_64, "660f7f07", 4, INSN_STORE, 0, -1},
    {INSN_64, "f30f7e07", 4, INSN_OTHER, 0, -1},
    {INSN_64, "660f7e07", 4, INSN_STORE, 0, -1},
    {INSN_64, "c5fc1107", 4, INSN_OTHER, 0, -1}, /* VEX: left alone */
    /* strings and ports */
    {INSN_64, "f348ab", 3, INSN_STOS, 8, -1},
    {INSN_64, "aa", 1, INSN_STOS, 1, -1},
    {INSN_16, "66ab", 2, INSN_STOS, 4, -1},
    {INSN_64, "f3a4", 2, INSN_MOVS, 1, -1},
    {INSN_64, "ac", 1, INSN_LODS, 1, -1},
    {INSN_64, "e460", 2, INSN_IN, 1, -1},
    {INSN_64, "ed", 1, INSN_IN, 4, -1},
    {INSN_64, "66ed", 2, INSN_IN, 2, -1},
    {INSN_64, "48ed", 2, INSN_IN, 4, -1},
    {INSN_16, "ef", 1, INSN_OUT, 2, -1},
    {INSN_64, "f36c", 2, INSN_INS, 1, -1},
    {INSN_64, "f36f", 2, INSN_OUTS, 4, -1},
    /* lengths the exit handlers need */
    {INSN_64, "0fa2", 2, INSN_OTHER, 0, -1},
    {INSN_64, "0f32", 2, INSN_OTHER, 0, -1},
    {INSN_64, "0f30", 2, INSN_OTHER, 0, -1},
    {INSN_64, "0f01d1", 3, INSN_OTHER, 0, -1},
    {INSN_64, "0f08", 2, INSN_OTHER, 0, -1},
    {INSN_64, "0f01d9", 3, INSN_OTHER, 0, -1},
    {INSN_16, "670fa2", 3, INSN_OTHER, 0, -1},
    {INSN_16, "0f20c0", 3, INSN_OTHER, 0, -1},
};

START_TEST(classes)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uint8_t bytes[16] = {0};
        const struct want *w = &table[i];
        struct insn in;
        size_t n = unhex(w->bytes, bytes);
        ck_assert_msg(insn_decode(w->mode, bytes, n, &in), "%s does not decode", w->bytes);
        ck_assert_msg(in.len == w->len, "%s: len %u", w->bytes, in.len);
        ck_assert_msg(in.class == w->class, "%s: class %d, want %d", w->bytes, (int)in.class, (int)w->class);
        if (w->class != INSN_OTHER)
            ck_assert_msg(in.op_bytes == w->op_bytes, "%s: op_bytes %u", w->bytes, in.op_bytes);
        if (w->reg >= 0)
            ck_assert_msg(in.reg == w->reg, "%s: reg %u", w->bytes, in.reg);
    }
}
END_TEST

START_TEST(truncated_never_decodes)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uint8_t bytes[16] = {0};
        struct insn in;
        size_t n = unhex(table[i].bytes, bytes);
        for (size_t cut = 0; cut < n; cut++)
            ck_assert_msg(!insn_decode(table[i].mode, bytes, cut, &in), "%s cut to %zu", table[i].bytes, cut);
    }
}
END_TEST

START_TEST(prefixes)
{
    struct insn in;
    uint8_t bytes[16];
    ck_assert(insn_decode(INSN_64, bytes, unhex("f36567f0488907", bytes), &in) ||
              insn_decode(INSN_64, bytes, unhex("6567488907", bytes), &in));
    ck_assert(insn_decode(INSN_64, bytes, unhex("6567f0480107", bytes), &in));
    ck_assert_int_eq(in.len, 6);
    ck_assert(in.lock);
    ck_assert_int_eq(in.address_bytes, 4);
    ck_assert_int_eq(in.segment, SREG_GS);
    ck_assert(insn_decode(INSN_64, bytes, unhex("2e8907", bytes), &in));
    ck_assert_int_eq(in.segment, SREG_DS);
    ck_assert(insn_decode(INSN_32, bytes, unhex("2ef2a4", bytes), &in));
    ck_assert_int_eq(in.segment, SREG_CS);
    ck_assert_int_eq(in.rep, INSN_REPNE);
    ck_assert(insn_decode(INSN_16, bytes, unhex("67f3aa", bytes), &in));
    ck_assert_int_eq(in.address_bytes, 4);
    ck_assert_int_eq(in.rep, INSN_REP);
    /* An immediate is sign-extended to the operand. */
    ck_assert(insn_decode(INSN_64, bytes, unhex("488307ff", bytes), &in));
    ck_assert(in.has_imm);
    ck_assert_uint_eq(in.imm, ~0ull);
    ck_assert_int_eq(in.alu, INSN_ALU_ADD);
    ck_assert(insn_decode(INSN_64, bytes, unhex("8a27", bytes), &in));
    ck_assert(in.high_byte);
    ck_assert(insn_decode(INSN_64, bytes, unhex("408a27", bytes), &in));
    ck_assert(!in.high_byte);
    /* 15 bytes are legal, 16 are not. */
    ck_assert(insn_decode(INSN_64, bytes, unhex("666666666666666666666666660fa2", bytes), &in));
    ck_assert_int_eq(in.len, 15);
    uint8_t long_one[17];
    memset(long_one, 0x66, sizeof long_one);
    ck_assert(!insn_decode(INSN_64, long_one, sizeof long_one, &in));
    ck_assert(!insn_decode((enum insn_mode)7, bytes, 2, &in));
}
END_TEST

START_TEST(garbage)
{
    uint32_t x = 2463534242u;
    unsigned good = 0;
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t bytes[15];
        struct insn in;
        for (size_t k = 0; k < sizeof bytes; k++) {
            x ^= x << 13, x ^= x >> 17, x ^= x << 5;
            bytes[k] = (uint8_t)x;
        }
        if (insn_decode((enum insn_mode)(i % 3), bytes, 1 + x % 15, &in)) {
            good++;
            ck_assert(in.len >= 1 && in.len <= 1 + x % 15);
            ck_assert_int_lt(in.reg, GPR_COUNT);
        }
    }
    ck_assert_uint_gt(good, 1000);
}
END_TEST

START_TEST(modes)
{
    const uint64_t pe = 1, lma = 1u << 10, vm = 1u << 17;
    ck_assert_int_eq(insn_mode_of(pe, lma, 0, AR_L), INSN_64);
    ck_assert_int_eq(insn_mode_of(pe, lma, 0, AR_DB), INSN_32);
    ck_assert_int_eq(insn_mode_of(pe, lma, 0, 0), INSN_16);
    ck_assert_int_eq(insn_mode_of(pe, 0, 0, AR_DB | AR_L), INSN_32);
    ck_assert_int_eq(insn_mode_of(pe, 0, vm, AR_DB), INSN_16);
    ck_assert_int_eq(insn_mode_of(0, 0, 0, 0), INSN_16);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("insn");
    TCase *t = tcase_create("insn");
    tcase_add_test(t, classes);
    tcase_add_test(t, truncated_never_decodes);
    tcase_add_test(t, prefixes);
    tcase_add_test(t, garbage);
    tcase_add_test(t, modes);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("insn", suite)
