/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Absent memory and ports: bytes against effects. The ALU's flags are compared with what this very CPU computes. */
/* UNITS: kernel/emulate.c kernel/insn.c */
/* LIBS: -lZydis */
#include "kernel/emulate.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define STATUS 0x8d5u

static struct insn decode(enum insn_mode mode, const char *hex)
{
    uint8_t bytes[16];
    size_t n = 0;
    unsigned v;
    struct insn in;
    for (const char *h = hex; h[0] && h[1]; h += 2) {
        ck_assert_int_eq(sscanf(h, "%2x", &v), 1);
        bytes[n++] = (uint8_t)v;
    }
    ck_assert_msg(insn_decode(mode, bytes, n, &in), "%s", hex);
    return in;
}

static struct emu_regs fresh(void)
{
    struct emu_regs r = {.rip = 0x1000, .rflags = 2};
    for (unsigned i = 0; i < GPR_COUNT; i++)
        r.gpr[i] = 0x1111111111111111ull * (i + 1) & 0x7777777777777777ull;
    return r;
}

START_TEST(plain_stores_only_move_rip)
{
    static const char *const list[] = {"8907", "488907", "c60755", "0f1107", "0fc307", "0f9407", "a38877665544332211"};
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        struct insn in = decode(INSN_64, list[i]);
        struct emu_regs r = fresh(), before = r;
        ck_assert(emu_drop_write(&in, &r));
        before.rip += in.len;
        before.shadow_ends = true;
        ck_assert_mem_eq(&r, &before, sizeof r);
    }
}
END_TEST

START_TEST(what_it_cannot_do_it_leaves_alone)
{
    static const char *const list[] = {"0fc107", "0fb107", "ff37", "c5fc1107", "8b07", "0fa2", "e460", "f3a6"};
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        struct insn in = decode(INSN_64, list[i]);
        struct emu_regs r = fresh(), before = r;
        ck_assert_msg(!emu_drop_write(&in, &r), "%s", list[i]);
        ck_assert_mem_eq(&r, &before, sizeof r);
    }
    struct insn store = decode(INSN_64, "8907");
    struct emu_regs r = fresh(), before = r;
    struct emu_store s;
    ck_assert(!emu_absent_read(&store, &r));
    ck_assert(!emu_absent_port(&store, &r, &s));
    ck_assert_mem_eq(&r, &before, sizeof r);
    /* ADD reg, mem reads memory: flags and register would both be wrong if it were taken for a load. */
    struct insn add = decode(INSN_64, "0307");
    ck_assert(!emu_absent_read(&add, &r));
}
END_TEST

/* LAHF and SETO together give the six status flags without touching the stack. */
#define CPU_FLAGS(name, type, text)                                                                                    \
    static uint64_t name(type b, uint64_t carry)                                                                       \
    {                                                                                                                  \
        type a = (type)~0ull;                                                                                          \
        uint64_t flags = 0;                                                                                            \
        __asm__ volatile("btq $0, %3\n" text "\nlahf\nseto %%al" : "+m"(a), "+&a"(flags) : "r"(b), "r"(carry) : "cc"); \
        return (flags >> 8 & 0xd5) | (flags & 1) << 11;                                                                \
    }
CPU_FLAGS(add8, uint8_t, "addb %2, %0")
CPU_FLAGS(adc8, uint8_t, "adcb %2, %0")
CPU_FLAGS(sub8, uint8_t, "subb %2, %0")
CPU_FLAGS(sbb8, uint8_t, "sbbb %2, %0")
CPU_FLAGS(and8, uint8_t, "andb %2, %0")
CPU_FLAGS(or8, uint8_t, "orb %2, %0")
CPU_FLAGS(xor8, uint8_t, "xorb %2, %0")
CPU_FLAGS(inc8, uint8_t, "incb %0")
CPU_FLAGS(dec8, uint8_t, "decb %0")
CPU_FLAGS(neg8, uint8_t, "negb %0")
CPU_FLAGS(add64, uint64_t, "addq %2, %0")
CPU_FLAGS(sbb64, uint64_t, "sbbq %2, %0")
CPU_FLAGS(adc32, uint32_t, "adcl %2, %0")
CPU_FLAGS(sub16, uint16_t, "subw %2, %0")

static void compare(const char *hex, uint64_t operand, uint64_t carry, uint64_t cpu, uint64_t ignore)
{
    struct insn in = decode(INSN_64, hex);
    struct emu_regs r = fresh(), before = r;
    r.gpr[GPR_RAX] = before.gpr[GPR_RAX] = operand;
    r.rflags = 2 | carry;
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_msg(((r.rflags ^ cpu) & STATUS & ~ignore) == 0, "%s b=%llx c=%llu: %llx, CPU %llx", hex,
                  (unsigned long long)operand, (unsigned long long)carry, (unsigned long long)r.rflags,
                  (unsigned long long)cpu);
    ck_assert_uint_eq(r.rip, 0x1000u + in.len);
    ck_assert_mem_eq(r.gpr, before.gpr, sizeof r.gpr);
}

START_TEST(alu_flags_are_the_cpus)
{
    static const uint64_t wide[] = {0,
                                    1,
                                    2,
                                    0xf,
                                    0x10,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    0x7fffffffffffffff,
                                    0x8000000000000000,
                                    0xffffffffffffffff,
                                    0x123456789abcdef0,
                                    0x8000,
                                    0x7fff,
                                    0xffff};
    const uint64_t af = 0x10; /* undefined after AND, OR, XOR */
    for (uint64_t carry = 0; carry < 2; carry++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t v = (uint8_t)b;
            compare("0007", b, carry, add8(v, carry), 0);
            compare("1007", b, carry, adc8(v, carry), 0);
            compare("2807", b, carry, sub8(v, carry), 0);
            compare("1807", b, carry, sbb8(v, carry), 0);
            compare("2007", b, carry, and8(v, carry), af);
            compare("0807", b, carry, or8(v, carry), af);
            compare("3007", b, carry, xor8(v, carry), af);
        }
        compare("fe07", 0, carry, inc8(0, carry), 0);
        compare("fe0f", 0, carry, dec8(0, carry), 0);
        compare("f61f", 0, carry, neg8(0, carry), 0);
        for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
            compare("480107", wide[i], carry, add64(wide[i], carry), 0);
            compare("481907", wide[i], carry, sbb64(wide[i], carry), 0);
            compare("1107", wide[i], carry, adc32((uint32_t)wide[i], carry), 0);
            compare("662907", wide[i], carry, sub16((uint16_t)wide[i], carry), 0);
        }
        compare("488307ff", 0, carry, add64(~0ull, carry), 0);
    }
    /* NOT changes no flag. */
    struct insn in = decode(INSN_64, "f717");
    struct emu_regs r = fresh();
    r.rflags = 2 | STATUS;
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.rflags, 2 | STATUS);
}
END_TEST

START_TEST(exchange_reads_ones)
{
    struct emu_regs r = fresh();
    struct insn in = decode(INSN_64, "8707");
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.gpr[GPR_RAX], 0xffffffff);
    r = fresh();
    in = decode(INSN_64, "8627"); /* XCHG [rdi], AH */
    uint64_t rax = r.gpr[GPR_RAX];
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.gpr[GPR_RAX], rax | 0xff00);
}
END_TEST

START_TEST(string_stores)
{
    struct insn in = decode(INSN_64, "f348ab");
    struct emu_regs r = fresh();
    r.gpr[GPR_RCX] = 2;
    r.gpr[GPR_RDI] = 0x7000;
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.rip, 0x1000);
    ck_assert_uint_eq(r.gpr[GPR_RCX], 1);
    ck_assert_uint_eq(r.gpr[GPR_RDI], 0x7008);
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.rip, 0x1003);
    ck_assert_uint_eq(r.gpr[GPR_RCX], 0);
    ck_assert_uint_eq(r.gpr[GPR_RDI], 0x7010);
    /* A counter of zero ends at once. */
    r.rip = 0x1000;
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.rip, 0x1003);
    ck_assert_uint_eq(r.gpr[GPR_RDI], 0x7010);
    /* Backwards, 16-bit addresses wrap and leave the upper half alone. */
    in = decode(INSN_16, "f366a5");
    r = fresh();
    r.rflags |= 1u << 10;
    r.gpr[GPR_RCX] = 0xaaaa0001;
    r.gpr[GPR_RDI] = 0xbbbb0002;
    r.gpr[GPR_RSI] = 0xcccc0004;
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.gpr[GPR_RCX], 0xaaaa0000);
    ck_assert_uint_eq(r.gpr[GPR_RDI], 0xbbbbfffe);
    ck_assert_uint_eq(r.gpr[GPR_RSI], 0xcccc0000);
    ck_assert_uint_eq(r.rip, 0x1003);
    /* Without REP one element and on; RCX is not a counter. */
    in = decode(INSN_32, "aa");
    r = fresh();
    r.gpr[GPR_RDI] = 0xffffffff;
    uint64_t rcx = r.gpr[GPR_RCX];
    ck_assert(emu_drop_write(&in, &r));
    ck_assert_uint_eq(r.gpr[GPR_RDI], 0);
    ck_assert_uint_eq(r.gpr[GPR_RCX], rcx);
    ck_assert_uint_eq(r.rip, 0x1001);
}
END_TEST

START_TEST(absent_reads)
{
    static const struct {
        const char *hex;
        unsigned reg;
        uint64_t keep, value;
    } list[] = {
        {"8b07", GPR_RAX, 0, 0xffffffff},        {"488b07", GPR_RAX, 0, ~0ull},
        {"668b07", GPR_RAX, ~0xffffull, 0xffff}, {"8a07", GPR_RAX, ~0xffull, 0xff},
        {"8a27", GPR_RAX, ~0xff00ull, 0xff00},   {"0fb607", GPR_RAX, 0, 0xff},
        {"480fb707", GPR_RAX, 0, 0xffff},        {"0fbe07", GPR_RAX, 0, 0xffffffff},
        {"660fb607", GPR_RAX, ~0xffffull, 0xff}, {"4863c7", 0, 0, 0},
        {"486307", GPR_RAX, 0, ~0ull},           {"448b07", GPR_R8, 0, 0xffffffff},
    };
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        struct insn in = decode(INSN_64, list[i].hex);
        struct emu_regs r = fresh(), before = r;
        if (!in.memory) {
            ck_assert(!emu_absent_read(&in, &r));
            continue;
        }
        ck_assert(emu_absent_read(&in, &r));
        before.gpr[list[i].reg] = (before.gpr[list[i].reg] & list[i].keep) | list[i].value;
        before.rip += in.len;
        before.shadow_ends = true;
        ck_assert_msg(!memcmp(&r, &before, sizeof r), "%s", list[i].hex);
    }
    struct insn in = decode(INSN_64, "f3ac");
    struct emu_regs r = fresh();
    r.gpr[GPR_RCX] = 1;
    ck_assert(emu_absent_read(&in, &r));
    ck_assert_uint_eq(r.gpr[GPR_RAX] & 0xff, 0xff);
    ck_assert_uint_eq(r.rip, 0x1002);
}
END_TEST

START_TEST(absent_ports)
{
    struct emu_store s;
    struct emu_regs r = fresh();
    uint64_t rax = r.gpr[GPR_RAX];
    struct insn in = decode(INSN_64, "ec");
    ck_assert(emu_absent_port(&in, &r, &s));
    ck_assert_uint_eq(r.gpr[GPR_RAX], rax | 0xff);
    ck_assert(!s.wanted);
    in = decode(INSN_64, "66ed");
    ck_assert(emu_absent_port(&in, &r, &s));
    ck_assert_uint_eq(r.gpr[GPR_RAX], rax | 0xffff);
    in = decode(INSN_64, "ed");
    ck_assert(emu_absent_port(&in, &r, &s));
    ck_assert_uint_eq(r.gpr[GPR_RAX], 0xffffffff);
    r = fresh();
    in = decode(INSN_16, "e780");
    r.rip = 0xfffe;
    ck_assert(emu_absent_port(&in, &r, &s));
    ck_assert_uint_eq(r.rip, 0);
    ck_assert_uint_eq(r.gpr[GPR_RAX], rax);
    r = fresh();
    in = decode(INSN_64, "f36d");
    r.gpr[GPR_RCX] = 2;
    r.gpr[GPR_RDI] = 0x5000;
    ck_assert(emu_absent_port(&in, &r, &s));
    ck_assert(s.wanted);
    ck_assert_uint_eq(s.offset, 0x5000);
    ck_assert_uint_eq(s.bytes, 4);
    ck_assert_uint_eq(s.value, 0xffffffff);
    ck_assert_uint_eq(r.rip, 0x1000);
    ck_assert_uint_eq(r.gpr[GPR_RDI], 0x5004);
    in = decode(INSN_64, "f36e");
    r = fresh();
    r.gpr[GPR_RCX] = 0;
    ck_assert(emu_absent_port(&in, &r, &s));
    ck_assert(!s.wanted);
    ck_assert_uint_eq(r.rip, 0x1002);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("emulate");
    TCase *t = tcase_create("emulate");
    tcase_add_test(t, plain_stores_only_move_rip);
    tcase_add_test(t, what_it_cannot_do_it_leaves_alone);
    tcase_add_test(t, alu_flags_are_the_cpus);
    tcase_add_test(t, exchange_reads_ones);
    tcase_add_test(t, string_stores);
    tcase_add_test(t, absent_reads);
    tcase_add_test(t, absent_ports);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("emulate", suite)
