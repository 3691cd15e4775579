/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each reason not to leave, alone; and the names of the exit kinds. */
/* UNITS: kernel/leave_check.c kernel/leave_check32.c kernel/exit_name.c */
#include "backend.h"
#include "kernel/leave_check.h"
#include "msr.h"
#include "unit.h"

#include <string.h>

#define SELECTOR_TI 4u

static struct vcpu_state s;

/* A 64-bit kernel, running. */
static void good(void)
{
    memset(&s, 0, sizeof s);
    s.cr0 = CR0_PE | CR0_PG;
    s.cr4 = CR4_PAE;
    s.msr[VMSR_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
    s.rflags = RFLAGS_IF | 2;
    s.gdtr.limit = 0x7f;
    s.seg[SREG_CS] = (struct segment){.selector = 0x10, .access_rights = 0xa09b};
    s.seg[SREG_SS] = (struct segment){.selector = 0x18, .access_rights = 0xc093};
    s.seg[SREG_LDTR].access_rights = AR_UNUSABLE;
    s.seg[SREG_TR] = (struct segment){.selector = 0x40, .access_rights = 0x8b};
}

#define ONE_CHANGE(change, code)                                                                                       \
    do {                                                                                                               \
        good();                                                                                                        \
        ck_assert_int_eq(leave_check_state(&s), E_OK);                                                                 \
        change;                                                                                                        \
        ck_assert_int_eq(leave_check_state(&s), code);                                                                 \
    } while (0)

START_TEST(each_condition_alone)
{
    ONE_CHANGE(s.cr0 &= ~CR0_PG, E_MODE);
    ONE_CHANGE(s.msr[VMSR_EFER] = 0, E_OK); /* 32-bit paging: leave_check_32() has more to say */
    ONE_CHANGE(s.msr[VMSR_EFER] = 0; s.rflags |= RFLAGS_VM, E_MODE);
    ONE_CHANGE(s.rflags |= RFLAGS_VM, E_MODE);
    ONE_CHANGE(s.cr4 |= CR4_LA57, E_LA57);
    ONE_CHANGE(s.cr4 |= CR4_CET, E_CET);
    ONE_CHANGE(s.cr4 |= CR4_VMXE, E_VMXBUSY);
    ONE_CHANGE(s.msr[VMSR_EFER] |= EFER_SVME, E_VMXBUSY);
    ONE_CHANGE(s.event.valid = 1, E_BLOCKED);
    ONE_CHANGE(s.block_sti = 1, E_BLOCKED);
    ONE_CHANGE(s.block_mov_ss = 1, E_BLOCKED);
    ONE_CHANGE(s.block_nmi = 1, E_BLOCKED);
    ONE_CHANGE(s.pending_debug = BIT(14), E_BLOCKED);
    ONE_CHANGE(s.activity = ACTIVITY_SHUTDOWN, E_MODE);
    ONE_CHANGE(s.activity = ACTIVITY_WAIT_SIPI, E_MODE);
    /* Halted: only with interrupts on. */
    ONE_CHANGE(s.activity = ACTIVITY_HLT, E_OK);
    ONE_CHANGE(s.activity = ACTIVITY_HLT; s.rflags &= ~RFLAGS_IF, E_BLOCKED);
    /* Not in the way: interrupts off, a user-mode context, features that IRETQ and MOV CR4 carry over. */
    ONE_CHANGE(s.rflags &= ~RFLAGS_IF, E_OK);
    ONE_CHANGE(s.cr4 |= CR4_PCIDE | CR4_PGE | CR4_SMEP | CR4_SMAP, E_OK);
    ONE_CHANGE(s.seg[SREG_CS].access_rights |= 3u << AR_DPL_SHIFT, E_OK);
}
END_TEST

/* Loaded before the guest's address space is back, through copies of 512 descriptors of the GDT and of the LDT. */
START_TEST(selectors_that_are_loaded_early)
{
    static const enum sreg early[] = {SREG_ES, SREG_DS, SREG_FS, SREG_GS};
    for (size_t i = 0; i < ARRAY_LEN(early); i++) {
        ONE_CHANGE(s.seg[early[i]].selector = 0xff8 | 3, E_OK);
        ONE_CHANGE(s.seg[early[i]].selector = 0x1000, E_GDT);
        ONE_CHANGE(s.seg[early[i]].selector = 0x08 | SELECTOR_TI, E_OK);
        ONE_CHANGE(s.seg[early[i]].selector = 0xff8 | SELECTOR_TI | 3, E_OK);
        ONE_CHANGE(s.seg[early[i]].selector = 0x1000 | SELECTOR_TI, E_GDT);
    }
    ONE_CHANGE(s.seg[SREG_TR].selector = 0xff0, E_OK);
    /* TR and LDTR can only be in the GDT. */
    ONE_CHANGE(s.seg[SREG_TR].selector |= SELECTOR_TI, E_SEGMENT);
    ONE_CHANGE(s.seg[SREG_LDTR] = ((struct segment){.selector = 0x50 | SELECTOR_TI, .access_rights = 0x82}), E_SEGMENT);
    ONE_CHANGE(s.seg[SREG_TR].selector = 0xff8, E_GDT); /* sixteen bytes reach beyond */
    ONE_CHANGE(s.seg[SREG_LDTR] = ((struct segment){.selector = 0xff0, .access_rights = 0x82}), E_OK);
    ONE_CHANGE(s.seg[SREG_LDTR] = ((struct segment){.selector = 0xff8, .access_rights = 0x82}), E_GDT);
    ONE_CHANGE(s.seg[SREG_LDTR].selector = 0xfff8, E_OK); /* unusable: null is loaded */
    /* CS and SS come with IRETQ, in the guest's own world. */
    ONE_CHANGE(s.seg[SREG_CS].selector = 0xfff8 | SELECTOR_TI, E_OK);
    ONE_CHANGE(s.seg[SREG_SS].selector = 0xfff8 | SELECTOR_TI, E_OK);
}
END_TEST

START_TEST(what_may_pass)
{
    static const enum err transient[] = {E_BLOCKED, E_SEGMENT, E_MODE, E_NOSLOT,
                                         E_NOIDT,   E_TIMEOUT, E_GATE /* a CPU that Linux has just started */};
    static const enum err lasting[] = {E_OK,        E_LA57,   E_CET, E_GDT,    E_VMXBUSY, E_NOAPIC,
                                       E_NOCONSOLE, E_DIGEST, E_TSC, E_PARKED, E_NOGUEST};
    for (size_t i = 0; i < ARRAY_LEN(transient); i++)
        ck_assert_msg(leave_is_transient(transient[i]), "%s", err_name(transient[i]));
    for (size_t i = 0; i < ARRAY_LEN(lasting); i++)
        ck_assert_msg(!leave_is_transient(lasting[i]), "%s", err_name(lasting[i]));
}
END_TEST

START_TEST(formats)
{
    ck_assert_int_eq(leave_format(CR0_PG | CR0_PE, CR4_PAE, EFER_LMA | EFER_LME), PAGING_LONG);
    ck_assert_int_eq(leave_format(CR0_PE, CR4_PAE, EFER_LMA), PAGING_NONE);
    ck_assert_int_eq(leave_format(CR0_PE, 0, 0), PAGING_NONE);
    ck_assert_int_eq(leave_format(CR0_PG | CR0_PE, CR4_PAE, EFER_NXE), PAGING_PAE);
    ck_assert_int_eq(leave_format(CR0_PG | CR0_PE, CR4_PAE | CR4_PSE, 0), PAGING_PAE);
    ck_assert_int_eq(leave_format(CR0_PG | CR0_PE, CR4_PSE | CR4_PGE, 0), PAGING_32_PSE);
    ck_assert_int_eq(leave_format(CR0_PG | CR0_PE, CR4_PGE, 0), PAGING_32);
}
END_TEST

/* A 32-bit kernel, running: everything flat. */
static void good_32(void)
{
    good();
    s.msr[VMSR_EFER] = 0;
    s.seg[SREG_CS] = (struct segment){.selector = 0x60, .access_rights = 0xc09b, .limit = UINT32_MAX};
    s.seg[SREG_SS] = (struct segment){.selector = 0x68, .access_rights = 0xc093, .limit = UINT32_MAX};
}

START_TEST(modes_of_32_bits)
{
    static const struct {
        const char *what;
        struct segment ss, tr;
        enum err expected;
    } cases[] = {
        {"base", {0x68, 0, 0xc093, UINT32_MAX, 0, 0x1000}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_SEGMENT},
        {"limit", {0x68, 0, 0xc093, UINT32_MAX - PAGE_BYTES, 0, 0}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_SEGMENT},
        {"16-bit", {0x68, 0, 0x8093, UINT32_MAX, 0, 0}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_SEGMENT},
        {"expand-down", {0x68, 0, 0xc097, UINT32_MAX, 0, 0}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_SEGMENT},
        {"read-only", {0x68, 0, 0xc091, UINT32_MAX, 0, 0}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_SEGMENT},
        {"unusable", {0x68, 0, 0x1c093, UINT32_MAX, 0, 0}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_SEGMENT},
        {"from the LDT", {0x6c, 0, 0xc093, UINT32_MAX, 0, 0}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_SEGMENT},
        {"a user's may be anything", {0x0f, 0, 0xf3, 0xfff, 0, 0x1234}, {0x80, 0, 0x8b, 0x67, 0, 0}, E_OK},
        {"no task register", {0x68, 0, 0xc093, UINT32_MAX, 0, 0}, {0, 0, 0x83, 0xffff, 0, 0}, E_OK},
        {"16-bit TSS", {0x68, 0, 0xc093, UINT32_MAX, 0, 0}, {0x80, 0, 0x83, 0x2b, 0, 0}, E_SEGMENT},
    };
    good_32();
    ck_assert_int_eq(leave_check_state(&s), E_OK);
    ck_assert_int_eq(leave_check_32(&s), E_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        s.seg[SREG_SS] = cases[i].ss;
        s.seg[SREG_TR] = cases[i].tr;
        ck_assert_msg(leave_check_32(&s) == cases[i].expected, "%s", cases[i].what);
    }
    struct segment code = {0x60, 0, 0xc09b, UINT32_MAX, 0, 0};
    ck_assert(leave_flat(&code, true));
    ck_assert(!leave_flat(&code, false));
    code.access_rights = 0xc099; /* cannot be read */
    ck_assert(!leave_flat(&code, true));
    code.access_rights = 0xc0fb; /* ring 3's */
    ck_assert(!leave_flat(&code, true));
    code.access_rights = 0xa09b; /* 64-bit */
    ck_assert(!leave_flat(&code, true));
    code = s.seg[SREG_SS];
    ck_assert(!leave_flat(&code, true));
}
END_TEST

START_TEST(every_exit_has_a_name_of_its_own)
{
    for (unsigned i = 0; i < EXIT_KIND_COUNT; i++) {
        const char *name = exit_name((enum exit_kind)i);
        ck_assert_ptr_nonnull(name);
        ck_assert_uint_gt(strlen(name), 0);
        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name)); /* a JSON key */
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(name, exit_name((enum exit_kind)j));
    }
    ck_assert_str_eq(exit_name(EXIT_CPUID), "cpuid");
    ck_assert_str_eq(exit_name(EXIT_NPF), "npf");
    ck_assert_str_eq(exit_name(EXIT_KIND_COUNT), "unknown");
    ck_assert_str_eq(exit_name((enum exit_kind) - 1), "unknown");
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("leave_check");
    TCase *t = tcase_create("all");
    tcase_add_test(t, each_condition_alone);
    tcase_add_test(t, selectors_that_are_loaded_early);
    tcase_add_test(t, what_may_pass);
    tcase_add_test(t, formats);
    tcase_add_test(t, modes_of_32_bits);
    tcase_add_test(t, every_exit_has_a_name_of_its_own);
    suite_add_tcase(suite, t);
    return suite;
}

UNIT_MAIN("leave_check", suite)
