/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit decoding: every reason number, and tables for the qualifications. */
/* UNITS: vmx/decode.c */
#include "unit.h"
#include "vmx/decode.h"

#include <string.h>

static struct vm_exit decode(uint32_t reason, uint64_t qualification)
{
    struct vmx_exit_info info = {.reason = reason,
                                 .qualification = qualification,
                                 .insn_len = 3,
                                 .gpa = 0x12345678,
                                 .linear_address = 0xabc,
                                 .cr0 = 0x80050033};
    struct vm_exit x;
    vmx_decode(&info, &x);
    ck_assert_uint_eq(x.raw, reason);
    ck_assert_uint_eq(x.raw_info1, qualification);
    ck_assert_uint_eq(x.raw_info2, 0xabc);
    return x;
}

START_TEST(every_reason)
{
    static const struct {
        uint32_t first, last;
        enum exit_kind kind;
        bool has_len;
    } expect[] = {
        {0, 0, EXIT_EXCEPTION, false},   {1, 1, EXIT_INTR, false},        {2, 2, EXIT_TRIPLE_FAULT, false},
        {3, 3, EXIT_INIT, false},        {4, 4, EXIT_SIPI, false},        {5, 6, EXIT_UNKNOWN, false},
        {7, 7, EXIT_INTR_WINDOW, false}, {8, 8, EXIT_NMI_WINDOW, false},  {9, 9, EXIT_TASK_SWITCH, true},
        {10, 10, EXIT_CPUID, true},      {11, 11, EXIT_VMINSN, true},     {12, 12, EXIT_HLT, true},
        {13, 13, EXIT_INVD, true},       {14, 16, EXIT_UNKNOWN, false},   {17, 17, EXIT_RSM, true},
        {18, 27, EXIT_VMINSN, true},     {28, 28, EXIT_CR, true},         {29, 29, EXIT_UNKNOWN, false},
        {30, 30, EXIT_IO, true},         {31, 31, EXIT_RDMSR, true},      {32, 32, EXIT_WRMSR, true},
        {33, 35, EXIT_UNKNOWN, false},   {36, 36, EXIT_MONITOR, true},    {37, 38, EXIT_UNKNOWN, false},
        {39, 39, EXIT_MONITOR, true},    {40, 47, EXIT_UNKNOWN, false},   {48, 48, EXIT_NPF, false},
        {49, 49, EXIT_UNKNOWN, false},   {50, 50, EXIT_VMINSN, true},     {51, 51, EXIT_UNKNOWN, false},
        {52, 52, EXIT_TICK, false},      {53, 53, EXIT_VMINSN, true},     {54, 54, EXIT_WBINVD, true},
        {55, 55, EXIT_XSETBV, true},     {56, 58, EXIT_UNKNOWN, false},   {59, 59, EXIT_VMINSN, true},
        {60, 61, EXIT_UNKNOWN, false},   {62, 62, EXIT_DIRTY_LOG, false}, {63, 0xffff, EXIT_UNKNOWN, false},
    };
    uint32_t next = 0;
    for (size_t i = 0; i < ARRAY_LEN(expect); i++) {
        ck_assert_uint_eq(expect[i].first, next);
        next = expect[i].last + 1;
        for (uint32_t reason = expect[i].first; reason <= expect[i].last; reason++) {
            struct vm_exit x = decode(reason, 0);
            ck_assert_msg(x.kind == expect[i].kind, "reason %u", reason);
            ck_assert_msg(x.insn_len == (expect[i].has_len ? 3 : 0), "reason %u", reason);
            ck_assert_int_eq(decode(reason | EXIT_REASON_ENTRY_FAILED, 0).kind, EXIT_ENTRY_FAILED);
        }
    }
    ck_assert_int_eq(decode(4, 0x9a).sipi_vector, 0x9a);
}
END_TEST

START_TEST(exceptions_and_nmis)
{
    struct vmx_exit_info info = {.intr_info = 0x80000202, .qualification = 0xdead};
    struct vm_exit x;
    vmx_decode(&info, &x);
    ck_assert_int_eq(x.kind, EXIT_NMI);
    ck_assert(vmx_exit_blocks_nmi(&info));
    info.intr_info = 0x80000b0e;
    info.intr_error = 7;
    vmx_decode(&info, &x);
    ck_assert_int_eq(x.kind, EXIT_EXCEPTION);
    ck_assert_int_eq(x.exception.vector, 14);
    ck_assert(x.exception.has_error_code);
    ck_assert_uint_eq(x.exception.error_code, 7);
    ck_assert_uint_eq(x.exception.address, 0xdead);
    ck_assert(!vmx_exit_blocks_nmi(&info));
    info.intr_info = 0x80000306;
    vmx_decode(&info, &x);
    ck_assert(!x.exception.has_error_code && x.exception.error_code == 0 && x.exception.address == 0);
    info.intr_info = 0x202; /* not valid */
    ck_assert(!vmx_exit_blocks_nmi(&info));
    info.intr_info = 0x80000202;
    info.reason = REASON_CPUID;
    ck_assert(!vmx_exit_blocks_nmi(&info));
    info.reason = EXIT_REASON_ENTRY_FAILED;
    ck_assert(!vmx_exit_blocks_nmi(&info));
}
END_TEST

START_TEST(port_accesses)
{
    static const struct {
        uint64_t qualification;
        uint16_t port;
        uint8_t bytes;
        bool in, string, rep;
    } cases[] = {
        {0x02f80000, 0x2f8, 1, false, false, false}, {0x02fd0008, 0x2fd, 1, true, false, false},
        {0x0cf80003, 0xcf8, 4, false, false, false}, {0x01f00039, 0x1f0, 2, true, true, true},
        {0xffff0010, 0xffff, 1, false, true, false}, {0x00800040, 0x80, 1, false, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vm_exit x = decode(REASON_IO, cases[i].qualification);
        ck_assert_uint_eq(x.io.port, cases[i].port);
        ck_assert_uint_eq(x.io.bytes, cases[i].bytes);
        ck_assert_int_eq(x.io.in, cases[i].in);
        ck_assert_int_eq(x.io.string, cases[i].string);
        ck_assert_int_eq(x.io.rep, cases[i].rep);
    }
}
END_TEST

START_TEST(control_registers)
{
    struct vm_exit x = decode(REASON_CR, 0x304); /* mov cr4, rbx */
    ck_assert(x.cr.number == 4 && x.cr.gpr == GPR_RBX && x.cr.write && !x.cr.has_value);
    x = decode(REASON_CR, 0xf00); /* mov cr0, r15 */
    ck_assert(x.cr.number == 0 && x.cr.gpr == GPR_R15 && x.cr.write && !x.cr.has_value);
    x = decode(REASON_CR, 0x413); /* mov rsp, cr3 */
    ck_assert(x.cr.number == 3 && x.cr.gpr == GPR_RSP && !x.cr.write && !x.cr.has_value);
    struct vmx_exit_info info = {.reason = REASON_CR, .qualification = 0x20, .cr0 = 0x8005003b};
    vmx_decode(&info, &x); /* clts */
    ck_assert(x.cr.number == 0 && x.cr.write && x.cr.has_value);
    ck_assert_uint_eq(x.cr.value, 0x80050033);
    info.qualification = 0xfff80030; /* lmsw 0xfff8: TS set, PE not cleared, MP cleared, the rest out of reach */
    info.cr0 = 0x80050033;
    vmx_decode(&info, &x);
    ck_assert(x.cr.write && x.cr.has_value);
    ck_assert_uint_eq(x.cr.value, 0x80050039);
    info.cr0 = 0x10;
    info.qualification = 0x00010030; /* lmsw 1 enters protected mode */
    vmx_decode(&info, &x);
    ck_assert_uint_eq(x.cr.value, 0x11);
}
END_TEST

START_TEST(ept_violations)
{
    static const struct {
        uint64_t qualification;
        bool read, write, fetch, present, walk;
    } cases[] = {
        {0x181, true, false, false, false, false}, {0x182, false, true, false, false, false},
        {0x1aa, false, true, false, true, false},  {0x184, false, false, true, false, false},
        {0x083, true, true, false, false, true},   {0x001, true, false, false, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vm_exit x = decode(REASON_EPT_VIOLATION, cases[i].qualification);
        ck_assert_uint_eq(x.npf.gpa.v, 0x12345678);
        ck_assert_int_eq(x.npf.read, cases[i].read);
        ck_assert_int_eq(x.npf.write, cases[i].write);
        ck_assert_int_eq(x.npf.fetch, cases[i].fetch);
        ck_assert_int_eq(x.npf.present, cases[i].present);
        ck_assert_int_eq(x.npf.table_walk, cases[i].walk);
    }
    struct vmx_exit_info info = {.reason = REASON_EPT_VIOLATION, .qualification = 0x1181};
    ck_assert(vmx_exit_undid_iret(&info, 0));
    ck_assert(!vmx_exit_undid_iret(&info, 0x80000b0e)); /* an event was being delivered: the bit is undefined */
    info.qualification = 0x181;
    ck_assert(!vmx_exit_undid_iret(&info, 0));
    info.qualification = 0x1181;
    info.reason = REASON_PML_FULL;
    ck_assert(vmx_exit_undid_iret(&info, 0) && !vmx_exit_undid_iret(&info, 0x80000b0e));
    info.reason = REASON_IO;
    ck_assert(!vmx_exit_undid_iret(&info, 0));
}
END_TEST

START_TEST(texts)
{
    ck_assert_str_eq(vmx_error_text(7), "VM entry with invalid control field(s)");
    ck_assert_str_eq(vmx_error_text(0), "no current VMCS");
    for (uint32_t i = 0; i < 40; i++)
        ck_assert_uint_ge(strlen(vmx_error_text(i)), 10);
    ck_assert_str_eq(vmx_error_text(14), "unknown VM-instruction error");
    ck_assert_str_eq(vmx_error_text(UINT32_MAX), "unknown VM-instruction error");
    ck_assert_ptr_nonnull(strstr(vmx_entry_failure_text(0x80000021, 3), "STI"));
    ck_assert_ptr_nonnull(strstr(vmx_entry_failure_text(0x80000021, 2), "PDPTE"));
    ck_assert_ptr_nonnull(strstr(vmx_entry_failure_text(0x80000021, 4), "link pointer"));
    ck_assert_str_eq(vmx_entry_failure_text(0x80000021, 0), "invalid guest state");
    ck_assert_str_eq(vmx_entry_failure_text(0x80000022, 1), "MSR loading");
    ck_assert_str_eq(vmx_entry_failure_text(0x80000029, 0), "machine check during VM entry");
    ck_assert_str_eq(vmx_entry_failure_text(0, 0), "unknown reason");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("vmx_decode");
    TCase *t = tcase_create("all");
    tcase_add_test(t, every_reason);
    tcase_add_test(t, exceptions_and_nmis);
    tcase_add_test(t, port_accesses);
    tcase_add_test(t, control_registers);
    tcase_add_test(t, ept_violations);
    tcase_add_test(t, texts);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("vmx_decode", suite)
