/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NMI blocking without virtual NMIs, played through entry by entry. */
/* UNITS: svm/nmi.c */
#include "svm/nmi.h"
#include "unit.h"

#include <string.h>

#define TF BIT(8)

static struct vmcb v;
static struct svm_nmi n;
static struct vcpu_event e;
static bool pending;

static void setup(void)
{
    memset(&v, 0, sizeof v);
    memset(&n, 0, sizeof n);
    memset(&e, 0, sizeof e);
    pending = false;
    v.save.rip = 0x1000;
    v.save.efer = EFER_LMA | EFER_LME | EFER_SVME;
    v.save.dr6 = 0xffff0ff0;
}

static void enter(void)
{
    svm_nmi_before_entry(&n, &v, &e, &pending);
}

static bool leave(uint64_t code, uint64_t rip)
{
    v.control.exitcode = code;
    v.save.rip = rip;
    e.valid = 0;
    return svm_nmi_after_exit(&n, &v);
}

static bool traps_iret(void)
{
    return v.control.intercept_misc1 & INTERCEPT_IRET;
}

START_TEST(quiet)
{
    enter();
    ck_assert(!e.valid && !traps_iret() && !n.blocked);
    ck_assert(!leave(VMEXIT_CPUID, 0x1000));
}
END_TEST

START_TEST(one_nmi)
{
    pending = true;
    enter();
    ck_assert(e.valid && e.type == EVENT_NMI && e.vector == 2);
    ck_assert(!pending && n.blocked && traps_iret());
    ck_assert(!leave(VMEXIT_CPUID, 0x2000)); /* inside the handler */
    enter();
    ck_assert(n.blocked && traps_iret() && !e.valid);
    ck_assert(!leave(VMEXIT_IRET, 0x2100));
    enter();
    ck_assert(!traps_iret() && !n.stepping && n.blocked);
    ck_assert(!leave(VMEXIT_CPUID, 0x1000));
    ck_assert(!n.blocked);
    enter();
    ck_assert(!traps_iret());
}
END_TEST

START_TEST(second_nmi_waits_for_the_iret)
{
    pending = true;
    enter();
    ck_assert(!leave(VMEXIT_NMI, 0x2000));
    pending = true;
    enter();
    ck_assert(pending && !e.valid && traps_iret());
    ck_assert(!leave(VMEXIT_IRET, 0x2100));
    enter();
    ck_assert(pending && !e.valid && n.stepping);
    ck_assert(v.save.rflags & TF);
    ck_assert(v.control.intercept_exceptions == BIT32(1));
    /* IRET loads RFLAGS; the #DB behind it is ours. */
    v.save.rflags = 0x202;
    v.save.dr6 |= BIT(14);
    ck_assert(leave(VMEXIT_EXCP + 1, 0x1000));
    ck_assert(!n.blocked && !n.stepping);
    ck_assert_uint_eq(v.save.dr6, 0xffff0ff0);
    ck_assert_uint_eq(v.save.rflags, 0x202);
    ck_assert_uint_eq(v.control.intercept_exceptions, 0);
    enter();
    ck_assert(e.valid && !pending && n.blocked);
}
END_TEST

START_TEST(iret_that_did_not_run)
{
    pending = true;
    enter();
    ck_assert(!leave(VMEXIT_IRET, 0x2100));
    pending = true;
    v.save.rflags = 2;
    enter();
    ck_assert(v.save.rflags & TF);
    /* A nested page fault at the IRET itself: nothing happened yet. */
    ck_assert(!leave(VMEXIT_NPF, 0x2100));
    ck_assert(n.blocked && !n.stepping);
    ck_assert_uint_eq(v.save.rflags & TF, 0);
    ck_assert_uint_eq(v.control.intercept_exceptions, 0);
    enter();
    ck_assert(!e.valid && pending && traps_iret());
    /* The guest's own instruction breakpoint there stays its own. */
    ck_assert(!leave(VMEXIT_IRET, 0x2100));
    enter();
    ck_assert(!leave(VMEXIT_EXCP + 1, 0x2100));
    ck_assert(n.blocked);
    /* A guest that traces itself keeps its TF. */
    v.save.rflags = 2 | TF;
    enter();
    ck_assert(!leave(VMEXIT_IRET, 0x2100));
    enter();
    ck_assert(!leave(VMEXIT_NPF, 0x2100));
    ck_assert(v.save.rflags & TF);
}
END_TEST

START_TEST(shadows)
{
    v.control.interrupt_shadow = INTERRUPT_SHADOW;
    pending = true;
    enter();
    ck_assert(e.valid); /* long mode: the handler has its own stack */
    setup();
    v.control.interrupt_shadow = INTERRUPT_SHADOW;
    v.save.efer = EFER_SVME;
    pending = true;
    enter();
    ck_assert(!e.valid && pending);
    v.control.interrupt_shadow = 0;
    enter();
    ck_assert(e.valid);
}
END_TEST

START_TEST(other_events_go_first)
{
    pending = true;
    e = (struct vcpu_event){.valid = 1, .type = EVENT_EXTINT, .vector = 0x30};
    enter();
    ck_assert(e.type == EVENT_EXTINT && pending && !n.blocked);
    /* An NMI whose delivery was interrupted is blocked again and not counted twice. */
    setup();
    e = (struct vcpu_event){.valid = 1, .type = EVENT_NMI, .vector = 2};
    pending = true;
    enter();
    ck_assert(n.blocked && pending && traps_iret());
}
END_TEST

START_TEST(asked_for_iret)
{
    n.trap_iret = true;
    enter();
    ck_assert(traps_iret());
    ck_assert(!leave(VMEXIT_IRET, 0x3000));
    ck_assert(!n.trap_iret);
    enter();
    ck_assert(!traps_iret());
    ck_assert(!leave(VMEXIT_CPUID, 0x4000));
    /* Asked for while the handler's IRET is passing: that one must get through. */
    pending = true;
    enter();
    ck_assert(!leave(VMEXIT_IRET, 0x2100));
    n.trap_iret = true;
    enter();
    ck_assert(!traps_iret());
    ck_assert(!leave(VMEXIT_CPUID, 0x1000));
    enter();
    ck_assert(traps_iret() && !n.blocked);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("svm_nmi");
    TCase *t = tcase_create("nmi");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, quiet);
    tcase_add_test(t, one_nmi);
    tcase_add_test(t, second_nmi_waits_for_the_iret);
    tcase_add_test(t, iret_that_did_not_run);
    tcase_add_test(t, shadows);
    tcase_add_test(t, other_events_go_first);
    tcase_add_test(t, asked_for_iret);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("svm_nmi", suite)
