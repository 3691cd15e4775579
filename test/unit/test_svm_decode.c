/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit codes, EXITINTINFO with its repair, and what a CPU must have. */
/* UNITS: svm/decode.c svm/caps.c svm/vmcb_build.c svm/entry_check.c */
#include "svm/caps.h"
#include "svm/decode.h"
#include "svm/vmcb_build.h"
#include "unit.h"

#include <string.h>

static struct vm_exit decode(uint64_t code, uint64_t info1, uint64_t info2)
{
    struct vmcb v;
    struct vm_exit x;
    memset(&v, 0, sizeof v);
    memset(&x, 0xff, sizeof x);
    v.control.exitcode = code;
    v.control.exitinfo1 = info1;
    v.control.exitinfo2 = info2;
    v.save.rip = 0x1000;
    svm_decode_exit(&v, false, &x);
    ck_assert_uint_eq(x.raw, code);
    ck_assert_uint_eq(x.raw_info1, info1);
    ck_assert_uint_eq(x.raw_info2, info2);
    return x;
}

START_TEST(kinds)
{
    static const struct {
        uint64_t code;
        enum exit_kind kind;
    } table[] = {
        {0x60, EXIT_INTR},          {0x61, EXIT_NMI},           {0x62, EXIT_UNKNOWN},
        {0x63, EXIT_INIT},          {0x64, EXIT_INTR_WINDOW},   {0x72, EXIT_CPUID},
        {0x73, EXIT_RSM},           {0x74, EXIT_IRET},          {0x76, EXIT_INVD},
        {0x78, EXIT_HLT},           {0x7a, EXIT_VMINSN},        {0x7d, EXIT_TASK_SWITCH},
        {0x7f, EXIT_TRIPLE_FAULT},  {0x80, EXIT_VMINSN},        {0x81, EXIT_VMINSN},
        {0x82, EXIT_VMINSN},        {0x83, EXIT_VMINSN},        {0x84, EXIT_VMINSN},
        {0x85, EXIT_VMINSN},        {0x86, EXIT_VMINSN},        {0x8a, EXIT_MONITOR},
        {0x8b, EXIT_MONITOR},       {0x8c, EXIT_MONITOR},       {0x8d, EXIT_XSETBV},
        {0x66, EXIT_UNKNOWN},       {0x89, EXIT_WBINVD},        {0x8e, EXIT_UNKNOWN},
        {0x401, EXIT_UNKNOWN},      {0x20, EXIT_UNKNOWN},       {~0ull - 1, EXIT_UNKNOWN},
        {1ull << 32, EXIT_UNKNOWN}, {~0ull, EXIT_ENTRY_FAILED}, {0xffffffff, EXIT_ENTRY_FAILED},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct vm_exit x = decode(table[i].code, 0, 0);
        ck_assert_msg(x.kind == table[i].kind, "code %llx: kind %d", (unsigned long long)table[i].code, (int)x.kind);
        ck_assert_uint_eq(x.insn_len, 0);
    }
}
END_TEST

START_TEST(msr_exits)
{
    ck_assert_int_eq(decode(0x7c, 0, 0).kind, EXIT_RDMSR);
    ck_assert_int_eq(decode(0x7c, 1, 0).kind, EXIT_WRMSR);
}
END_TEST

START_TEST(io_exits)
{
    struct vm_exit x = decode(0x7b, 0x03f80000 | 1 << 4 | 1, 0x1001);
    ck_assert_int_eq(x.kind, EXIT_IO);
    ck_assert_uint_eq(x.io.port, 0x3f8);
    ck_assert_uint_eq(x.io.bytes, 1);
    ck_assert(x.io.in && !x.io.string && !x.io.rep);
    ck_assert_uint_eq(x.insn_len, 1);
    x = decode(0x7b, 0xffff0000 | 1 << 6, 0x1003);
    ck_assert_uint_eq(x.io.port, 0xffff);
    ck_assert_uint_eq(x.io.bytes, 4);
    ck_assert(!x.io.in);
    ck_assert_uint_eq(x.insn_len, 3);
    x = decode(0x7b, 1 << 5 | 1 << 2 | 1 << 3 | 1, 0x1002);
    ck_assert_uint_eq(x.io.bytes, 2);
    ck_assert(x.io.in && x.io.string && x.io.rep);
    /* A next RIP that cannot be: length not known. */
    ck_assert_uint_eq(decode(0x7b, 1 << 4, 0x1000).insn_len, 0);
    ck_assert_uint_eq(decode(0x7b, 1 << 4, 0x1010).insn_len, 0);
    ck_assert_uint_eq(decode(0x7b, 1 << 4, 0xfff).insn_len, 0);
    /* No size: not an exit we know. */
    ck_assert_int_eq(decode(0x7b, 0, 0x1001).kind, EXIT_UNKNOWN);
}
END_TEST

START_TEST(npf_exits)
{
    struct vm_exit x = decode(0x400, 0x100000007, 0xfee00300);
    ck_assert_int_eq(x.kind, EXIT_NPF);
    ck_assert_uint_eq(x.npf.gpa.v, 0xfee00300);
    ck_assert(x.npf.write && !x.npf.read && !x.npf.fetch && x.npf.present && !x.npf.table_walk);
    x = decode(0x400, 0x100000004, 5);
    ck_assert(x.npf.read && !x.npf.write && !x.npf.present);
    x = decode(0x400, 0x100000015, 5);
    ck_assert(x.npf.fetch && !x.npf.read && x.npf.present);
    x = decode(0x400, 0x200000006, 5);
    ck_assert(x.npf.table_walk && x.npf.write);
    x = decode(0x400, 0x10000000c, 5); /* QEMU: RSV without P */
    ck_assert(x.npf.present);
}
END_TEST

START_TEST(exception_exits)
{
    struct vm_exit x = decode(0x4e, 0x6, 0x7fff0000);
    ck_assert_int_eq(x.kind, EXIT_EXCEPTION);
    ck_assert_uint_eq(x.exception.vector, 14);
    ck_assert(x.exception.has_error_code);
    ck_assert_uint_eq(x.exception.error_code, 6);
    ck_assert_uint_eq(x.exception.address, 0x7fff0000);
    x = decode(0x41, 0x6, 0x7fff0000);
    ck_assert_uint_eq(x.exception.vector, 1);
    ck_assert(!x.exception.has_error_code);
    ck_assert_uint_eq(x.exception.error_code, 0);
    ck_assert_uint_eq(x.exception.address, 0);
    ck_assert_uint_eq(decode(0x5f, 0, 0).exception.vector, 31);
}
END_TEST

START_TEST(cr_exits)
{
    struct vm_exit x = decode(0x14, 1ull << 63 | 3, 0);
    ck_assert_int_eq(x.kind, EXIT_CR);
    ck_assert_uint_eq(x.cr.number, 4);
    ck_assert(x.cr.write && !x.cr.has_value);
    ck_assert_uint_eq(x.cr.gpr, GPR_RBX);
    x = decode(0x03, 0, 0);
    ck_assert_uint_eq(x.cr.number, 3);
    ck_assert(!x.cr.write);
    ck_assert_uint_eq(x.cr.gpr, GPR_COUNT); /* no decode assists */
    x = decode(0x65, 0, 0);
    ck_assert_uint_eq(x.cr.number, 0);
    ck_assert(x.cr.write);
}
END_TEST

START_TEST(length_from_next_rip)
{
    struct vmcb v;
    struct vm_exit x;
    static const struct {
        uint64_t code, nrip;
        uint32_t len;
    } table[] = {{0x72, 0x1002, 2},  {0x72, 0x100f, 15}, {0x72, 0x1010, 0}, {0x72, 0x1000, 0},
                 {0x72, 0, 0},       {0x7c, 0x1002, 2},  {0x89, 0x1002, 2}, {0x61, 0x1002, 0},
                 {0x400, 0x1002, 0}, {0x4e, 0x1002, 0},  {0x74, 0x1002, 2}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        memset(&v, 0, sizeof v);
        v.save.rip = 0x1000;
        v.control.exitcode = table[i].code;
        v.control.nrip = table[i].nrip;
        svm_decode_exit(&v, true, &x);
        ck_assert_uint_eq(x.insn_len, table[i].len);
        svm_decode_exit(&v, false, &x);
        ck_assert_uint_eq(x.insn_len, 0);
    }
}
END_TEST

START_TEST(exitintinfo)
{
    static const struct {
        uint64_t info;
        struct vcpu_event e;
        uint64_t inj; /* what is injected again */
    } table[] = {
        {0, {0}, 0},
        {0x341, {0}, 0}, /* V clear: stale */
        {0x7fffffff, {0}, 0},
        {0x80000041, {1, EVENT_EXTINT, 0x41, 0, 0, 0, 0}, 0x80000041},
        {0x80000202, {1, EVENT_NMI, 2, 0, 0, 0, 0}, 0x80000202},
        {0x80000306, {1, EVENT_EXCEPTION, 6, 0, 0, 0, 0}, 0x80000306},
        {0x0000000280000b0e, {1, EVENT_EXCEPTION, 14, 1, 2, 0, 0}, 0x0000000280000b0e},
        {0x80000480, {1, EVENT_SOFT_INT, 0x80, 0, 0, 0, 0}, 0},
        {0x80000303, {1, EVENT_EXCEPTION, 3, 0, 0, 0, 0}, 0},
        /* QEMU */
        {0x80000341, {1, EVENT_EXTINT, 0x41, 0, 0, 0, 0}, 0x80000041},
        {0x80000320, {1, EVENT_EXTINT, 0x20, 0, 0, 0, 0}, 0x80000020},
        {0x80000302, {1, EVENT_NMI, 2, 0, 0, 0, 0}, 0x80000202},
        {0x8000031f, {1, EVENT_EXCEPTION, 31, 0, 0, 0, 0}, 0x8000031f},
        {0x0000000780000b41, {1, EVENT_EXTINT, 0x41, 0, 0, 0, 0}, 0x80000041},
        /* reserved types */
        {0x80000141, {0, 0, 0x41, 0, 0, 0, 0}, 0},
        {0x80000741, {0, 0, 0x41, 0, 0, 0, 0}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct vcpu_event e = svm_decode_exitintinfo(table[i].info);
        ck_assert_uint_eq(e.valid, table[i].e.valid);
        ck_assert_uint_eq(svm_eventinj(&e), table[i].inj);
        if (!e.valid)
            continue;
        ck_assert_uint_eq(e.type, table[i].e.type);
        ck_assert_uint_eq(e.vector, table[i].e.vector);
        ck_assert_uint_eq(e.has_error_code, table[i].e.has_error_code);
        ck_assert_uint_eq(e.error_code, table[i].e.error_code);
    }
}
END_TEST

static struct svm_cpu_facts epyc(void)
{
    return (struct svm_cpu_facts){.max_extended_leaf = 0x8000001e,
                                  .leaf7 = {0, BIT32(0) | BIT32(7) | BIT32(20), 0, 0},
                                  .leaf_8000_0001 = {0, 0, BIT32(2), BIT32(29)},
                                  .leaf_8000_0008 = {0x3028, 0, 0, 0},
                                  .leaf_8000_000a = {1, 16, 0, 0x1}};
}

START_TEST(caps)
{
    struct svm_caps c;
    struct backend_report r;
    struct svm_cpu_facts f = epyc();
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_OK);
    ck_assert_int_eq(r.why, E_OK);
    ck_assert(!c.nrip && !c.flush_by_asid && !c.decode_assists && !c.spec_ctrl && !c.clear_svmdis);
    ck_assert_uint_eq(c.limits.phys_bits, 40);
    ck_assert_uint_eq(c.limits.asids, 16);
    ck_assert(c.limits.long_mode);
    ck_assert(c.limits.cr4_valid & BIT(20));
    ck_assert(!(c.limits.cr4_valid & (BIT(12) | BIT(22) | BIT(23) | BIT(13))));
    f.leaf7.ecx = BIT32(16) | BIT32(3) | BIT32(7);
    f.leaf_8000_000a.edx = BIT32(0) | BIT32(3) | BIT32(6) | BIT32(7) | BIT32(20);
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_OK);
    ck_assert(c.nrip && c.flush_by_asid && c.decode_assists && c.spec_ctrl);
    ck_assert_uint_eq(c.limits.cr4_valid & (BIT(12) | BIT(22) | BIT(23)), BIT(12) | BIT(22) | BIT(23));

    f = epyc();
    f.leaf_8000_0001.ecx = 0;
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_NOCPU);
    f = epyc();
    f.max_extended_leaf = 0x80000009;
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_NOCPU);
    f = epyc();
    f.vm_cr = BIT(4) | BIT(3);
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_LOCKED);
    ck_assert_ptr_nonnull(strstr(r.text, "Setup"));
    f.leaf_8000_000a.edx |= BIT32(2);
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_LOCKED);
    ck_assert_ptr_nonnull(strstr(r.text, "Setup"));
    f = epyc();
    f.vm_cr = BIT(4);
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_OK);
    ck_assert(c.clear_svmdis);
    f = epyc();
    f.vm_cr = BIT(3);
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_OK);
    ck_assert(!c.clear_svmdis);
    f = epyc();
    f.leaf_8000_000a.edx = 0;
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_NOEPT);
    ck_assert_int_eq(r.why, E_NOEPT);
    ck_assert_ptr_nonnull(strstr(r.text, "nested paging"));
    f = epyc();
    f.leaf_8000_000a.ebx = 1;
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_NOFEATURE);
    f = epyc();
    f.leaf_8000_0008.eax = 0;
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_NOFEATURE);
    f.leaf_8000_0008.eax = 64;
    ck_assert_int_eq(svm_caps_evaluate(&f, &c, &r), E_NOFEATURE);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("svm_decode");
    TCase *t = tcase_create("decode");
    tcase_add_test(t, kinds);
    tcase_add_test(t, msr_exits);
    tcase_add_test(t, io_exits);
    tcase_add_test(t, npf_exits);
    tcase_add_test(t, exception_exits);
    tcase_add_test(t, cr_exits);
    tcase_add_test(t, length_from_next_rip);
    tcase_add_test(t, exitintinfo);
    tcase_add_test(t, caps);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("svm_decode", suite)
