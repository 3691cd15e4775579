/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMCS fields, rows and entry rules: the states that really occur pass, each rule broken in turn is named, and a state
   comes back from rows as it went in. */
/* UNITS: vmx/caps.c vmx/rows.c vmx/entry_check.c kernel/segments.c */
#include "kernel/segments.h"
#include "unit.h"
#include "vmx/entry_check.h"
#include "vmx_models.h"

#include <string.h>

#define KERNEL_RIP 0xffffffff81000123ull

static struct vmx_caps caps;

static struct vmx_host good_host(void)
{
    return (struct vmx_host){.cr0 = 0x80000033,
                             .cr3 = 0x7f01000,
                             .cr4 = 0x2620,
                             .efer = 0xd00,
                             .pat = PAT_RESET,
                             .gdt_base = 0x528000001000,
                             .idt_base = 0x528000002000,
                             .tss_base = 0x528000003000,
                             .rip = 0x528000100000,
                             .rsp = 0x528000200000,
                             .cs = 8,
                             .ss = 16,
                             .tr = 24,
                             .vpid = 1,
                             .io_bitmap_pa = 0x7f02000,
                             .msr_bitmap_pa = 0x7f04000,
                             .ept_root_pa = 0x7f05000,
                             .pml_pa = 0x77000};
}

static void segment(struct vcpu_state *s, enum sreg r, uint16_t selector, uint32_t ar, uint32_t limit, uint64_t base)
{
    s->seg[r] = (struct segment){.selector = selector, .access_rights = ar, .limit = limit, .base = base};
}

/* As Linux is started: 32-bit flat, no paging. */
static struct vcpu_state boot_state(void)
{
    static struct vcpu_state s;
    memset(&s, 0, sizeof s);
    segment(&s, SREG_CS, 0x10, 0xc09b, UINT32_MAX, 0);
    for (int r = SREG_ES; r <= SREG_GS; r++) {
        if (r != SREG_CS)
            segment(&s, (enum sreg)r, 0x18, 0xc093, UINT32_MAX, 0);
    }
    segment(&s, SREG_LDTR, 0, AR_UNUSABLE, 0, 0);
    segment(&s, SREG_TR, 0, 0x8b, 0xffff, 0);
    s.gdtr = (struct table_register){0x21000, 31};
    s.cr0 = 0x11;
    s.rip = 0x1000000;
    s.rflags = 2;
    s.dr7 = 0x400;
    s.msr_present = BIT(VMSR_EFER) | BIT(VMSR_PAT);
    s.msr[VMSR_PAT] = PAT_RESET;
    return s;
}

/* Reset and SIPI: real mode. */
static struct vcpu_state real_state(void)
{
    struct vcpu_state s = boot_state();
    s.cr0 = 0x60000010;
    segment(&s, SREG_CS, 0x9a00, 0x9b, 0xffff, 0x9a000);
    for (int r = SREG_ES; r <= SREG_GS; r++) {
        if (r != SREG_CS)
            segment(&s, (enum sreg)r, 0, 0x93, 0xffff, 0);
    }
    s.rip = 0;
    return s;
}

static struct vcpu_state kernel_state(void)
{
    struct vcpu_state s = boot_state();
    segment(&s, SREG_CS, 0x10, 0xa09b, UINT32_MAX, 0);
    segment(&s, SREG_SS, 0x18, 0xc093, UINT32_MAX, 0);
    segment(&s, SREG_DS, 0, AR_UNUSABLE, 0, 0);
    segment(&s, SREG_ES, 0, AR_UNUSABLE, 0, 0);
    segment(&s, SREG_FS, 0, AR_UNUSABLE, 0, 0);
    segment(&s, SREG_GS, 0, AR_UNUSABLE, 0, 0xffff88800f600000);
    segment(&s, SREG_TR, 0x40, 0x8b, 0x206f, 0xfffffe0000003000);
    s.gdtr = (struct table_register){0xfffffe0000001000, 0x7f};
    s.idtr = (struct table_register){0xfffffe0000000000, 0xfff};
    s.cr0 = 0x80050033;
    s.cr3 = 0x260a801;
    s.cr4 = 0x1606f0 & ~CR4_VMXE;
    s.rip = KERNEL_RIP;
    s.rflags = 0x246;
    s.gpr[GPR_RSP] = 0xffffffff82603e00;
    s.msr[VMSR_EFER] = 0xd01;
    s.msr[VMSR_SYSENTER_CS] = 0x10;
    s.msr[VMSR_SYSENTER_ESP] = 0xfffffe0000003000;
    s.msr[VMSR_SYSENTER_EIP] = 0xffffffff81c01000;
    return s;
}

static struct vcpu_state user_state(void)
{
    struct vcpu_state s = kernel_state();
    segment(&s, SREG_CS, 0x33, 0xa0fb, UINT32_MAX, 0);
    segment(&s, SREG_SS, 0x2b, 0xc0f3, UINT32_MAX, 0);
    segment(&s, SREG_FS, 0, AR_UNUSABLE, 0, 0x7f1234567740);
    s.rip = 0x401234;
    return s;
}

/* In the kernel after an interrupt from user mode: SS is null. */
static struct vcpu_state null_ss_state(void)
{
    struct vcpu_state s = kernel_state();
    segment(&s, SREG_SS, 0, AR_UNUSABLE, 0, 0);
    return s;
}

static struct vcpu_state halted_state(void)
{
    struct vcpu_state s = kernel_state();
    s.activity = ACTIVITY_HLT;
    s.block_nmi = 1;
    return s;
}

static struct vcpu_state event_state(void)
{
    struct vcpu_state s = kernel_state();
    s.event =
        (struct vcpu_event){.valid = 1, .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = 1, .error_code = 6};
    return s;
}

static struct vcpu_state pae_state(void)
{
    struct vcpu_state s = boot_state();
    s.cr0 = 0x80000011;
    s.cr4 = CR4_PAE;
    s.cr3 = 0x3000;
    return s;
}

static struct vcpu_state v86_state(void)
{
    struct vcpu_state s = pae_state();
    for (int r = SREG_ES; r <= SREG_GS; r++)
        segment(&s, (enum sreg)r, 0x1234, 0xf3, 0xffff, 0x12340);
    s.rflags = 0x20202;
    return s;
}

static struct vcpu_state sti_state(void)
{
    struct vcpu_state s = kernel_state();
    s.block_sti = 1;
    return s;
}

static struct vcpu_state (*const states[])(void) = {boot_state,   real_state,  kernel_state, user_state, null_ss_state,
                                                    halted_state, event_state, pae_state,    v86_state,  sti_state};
static const uint64_t pdpte[4] = {0x4001, 0x5001, 0, 0};

static struct vmx_rows built(const struct vcpu_state *s)
{
    struct vmx_host host = good_host();
    struct vmx_rows rows = {{0}};
    vmx_rows_build_fixed(&rows, &caps, &host);
    vmx_rows_build(&rows, &caps, &host, s, pdpte);
    return rows;
}

static struct vmx_rows built_from(struct vcpu_state (*make)(void))
{
    struct vcpu_state s = make();
    return built(&s);
}

static const char *entry_check(const struct vmx_rows *rows, const struct vmx_caps *of)
{
    const char *broken = vmx_entry_check_fixed(rows, of);
    return broken ? broken : vmx_entry_check(rows, of);
}

static void resolve(void)
{
    struct backend_report report;
    ck_assert_int_eq(model_resolve(&vmx_models[MODEL_HASWELL], &caps, &report), E_OK);
}

START_TEST(encodings_are_unique)
{
    ck_assert_uint_gt(vmcs_field_count, VMCS_ROW_COUNT);
    for (size_t i = 0; i < vmcs_field_count; i++) {
        for (size_t j = 0; j < i; j++) {
            ck_assert_uint_ne(vmcs_fields[i].field.encoding, vmcs_fields[j].field.encoding);
            ck_assert_str_ne(vmcs_fields[i].name, vmcs_fields[j].name);
        }
        /* bits 11:10: 1 is read-only information; rows are none of those */
        ck_assert_int_eq((vmcs_fields[i].field.encoding >> 10 & 3) == 1, i >= VMCS_ROW_COUNT);
    }
    ck_assert_str_eq(vmcs_field_name(VMCS_GUEST_RIP), "GUEST_RIP");
    ck_assert_str_eq(vmcs_field_name((struct vmcs_field){0x7ffe}), "?");
    ck_assert_uint_eq(vmcs_fields[VI_GUEST_RIP].field.encoding, VMCS_GUEST_RIP.encoding);
}
END_TEST

START_TEST(real_states_pass_and_come_back)
{
    resolve();
    struct vcpu_state s = states[_i]();
    struct vmx_rows rows = built(&s);
    const char *broken = entry_check(&rows, &caps);
    ck_assert_msg(broken == NULL, "state %d: %s", _i, broken);
    ck_assert_uint_eq(rows.value[VI_GUEST_CR0] & CR0_NE, CR0_NE);
    ck_assert_uint_eq(rows.value[VI_GUEST_CR4] & CR4_VMXE, CR4_VMXE);
    ck_assert_uint_eq(rows.value[VI_CR4_SHADOW] & CR4_VMXE, 0);
    ck_assert_uint_eq(rows.value[VI_GUEST_PDPTE0], vmx_is_pae(s.cr0, s.cr4, s.msr[VMSR_EFER]) ? 0x4001 : 0);
    /* Everything rows hold comes back; msr_present gains what the VMCS always has; the rest is untouched. */
    static struct vcpu_state back;
    back = s;
    back.cr0 = back.cr3 = back.cr4 = back.rip = back.rflags = back.dr7 = 1;
    memset(back.seg, 0xee, sizeof back.seg);
    memset(&back.gdtr, 0xee, sizeof back.gdtr);
    memset(&back.idtr, 0xee, sizeof back.idtr);
    back.gpr[GPR_RSP] = back.msr[VMSR_EFER] = back.msr[VMSR_PAT] = back.msr[VMSR_SYSENTER_EIP] = 1;
    back.msr[VMSR_SYSENTER_ESP] = back.msr[VMSR_SYSENTER_CS] = back.msr[VMSR_DEBUGCTL] = back.pending_debug = 1;
    back.block_nmi = !s.block_nmi;
    back.block_sti = !s.block_sti;
    back.activity = 7;
    vmx_rows_to_state(&rows, &back);
    back.msr_present = s.msr_present;
    ck_assert_mem_eq(&back, &s, sizeof s);
}
END_TEST

START_TEST(fields_of_older_cpus)
{
    struct backend_report report;
    ck_assert_int_eq(model_resolve(&vmx_models[MODEL_SANDY], &caps, &report), E_OK);
    ck_assert(!vmx_field_exists(&caps, &vmcs_fields[VI_XSS_EXIT_BITMAP]));
    ck_assert(vmx_field_exists(&caps, &vmcs_fields[VI_VPID]) && vmx_field_exists(&caps, &vmcs_fields[VI_GUEST_RIP]));
    struct vmx_rows rows = built_from(boot_state);
    ck_assert_ptr_null(entry_check(&rows, &caps));
    rows.value[VI_EPT_POINTER] |= EPTP_AD;
    ck_assert_str_eq(entry_check(&rows, &caps), "EPT_POINTER: the CPU has no A/D bits");
    ck_assert(!vmx_field_exists(&caps, &vmcs_fields[VI_PML_ADDRESS]));
    ck_assert_int_eq(model_resolve(&vmx_models[MODEL_SKYLAKE], &caps, &report), E_OK);
    ck_assert(vmx_field_exists(&caps, &vmcs_fields[VI_XSS_EXIT_BITMAP]));
    ck_assert(vmx_field_exists(&caps, &vmcs_fields[VI_PML_ADDRESS]));
    rows = built_from(boot_state);
    ck_assert_ptr_null(entry_check(&rows, &caps));
}
END_TEST

/* As an enter decodes them, from tables with one or two bits changed: what it takes for plain, the CPU must take, too. */
START_TEST(plain_segments_break_no_rule)
{
    static const uint64_t code[] = {0x00af9b000000ffff, 0x00affb000000ffff},
                          data[] = {0x00cf93000000ffff, 0x00cff3000000ffff};
    uint64_t dice = 1;
    unsigned plain = 0, refused = 0;
    resolve();
    for (unsigned round = 0; round < 200000; round++) {
        struct vcpu_state s = round & 1 ? user_state() : kernel_state();
        uint64_t gdt[SREG_COUNT][2] = {{0}};
        gdt[SREG_CS][0] = code[round & 1];
        gdt[SREG_SS][0] = data[round & 1];
        gdt[SREG_DS][0] = round & 2 ? data[1] : 0;
        if (round & 4) {
            gdt[SREG_LDTR][0] = 0x0040820000000fff;
            gdt[SREG_LDTR][1] = 0xfffffe00;
        }
        gdt[SREG_TR][0] = 0x00008b000000206f;
        gdt[SREG_TR][1] = 0xfffffe00;
        for (unsigned changes = round % 3; changes; changes--) {
            dice = dice * 6364136223846793005ull + 1442695040888963407ull;
            gdt[dice >> 60 & 7][dice >> 59 & dice >> 50 & 1] ^= BIT(dice >> 40 & 63);
        }
        for (unsigned i = 0; i < SREG_COUNT; i++) {
            if (i == SREG_LDTR && !(gdt[i][0] & BIT(47)))
                continue;
            uint64_t base = s.seg[i].base;
            s.seg[i] = gdt[i][0] ? segment_decode(s.seg[i].selector, gdt[i][0], gdt[i][1]) : segment_unusable(0);
            if (i == SREG_FS || i == SREG_GS)
                s.seg[i].base = base;
        }
        struct vmx_rows rows = built(&s);
        const char *broken = entry_check(&rows, &caps);
        ck_assert_msg(!segments_are_plain(&s) || !broken, "round %u: plain, but %s", round, broken);
        plain += segments_are_plain(&s);
        refused += broken != NULL;
        if (round % 3 == 0)
            ck_assert(segments_are_plain(&s));
    }
    ck_assert_msg(plain > 80000 && refused > 40000, "%u plain, %u refused", plain, refused);
}
END_TEST

#define NMI_INFO (INTR_INFO_VALID | EVENT_NMI << 8 | 2)
#define NON_CANONICAL 0x800000000000ull

/* Index of the state in states[] that the break starts from; up to two rows changed; the words that must come. */
static const struct {
    int state;
    enum vmcs_index row;
    uint64_t value;
    const char *words;
    enum vmcs_index also;
    uint64_t also_value;
} breaks[] = {
    {2, VI_PIN_CONTROLS, 0, "PIN_CONTROLS: a bit the CPU", VI_VPID, 1},
    {2, VI_PROC_CONTROLS, 1, "PROC_CONTROLS: a bit the CPU", VI_VPID, 1},
    {2, VI_PROC2_CONTROLS, BIT(30), "PROC2_CONTROLS: a bit the CPU", VI_VPID, 1},
    {2, VI_EXIT_CONTROLS, 0, "EXIT_CONTROLS: a bit the CPU", VI_VPID, 1},
    {2, VI_ENTRY_CONTROLS, 0, "ENTRY_CONTROLS: a bit the CPU", VI_VPID, 1},
    {2, VI_CR3_TARGET_COUNT, 5, "CR3_TARGET_COUNT", VI_VPID, 1},
    {2, VI_IO_BITMAP_A, 0x7f02010, "IO_BITMAP", VI_VPID, 1},
    {2, VI_IO_BITMAP_B, BIT(41), "IO_BITMAP", VI_VPID, 1},
    {2, VI_MSR_BITMAP, 8, "MSR_BITMAP", VI_VPID, 1},
    {2, VI_PIN_CONTROLS, 0x36, "virtual NMIs need NMI exiting", VI_VPID, 1},
    {2, VI_PIN_CONTROLS, 0x1e, "NMI-window exiting needs", VI_PROC_CONTROLS, 0x96406172 | PROC_NMI_WINDOW},
    {2, VI_VPID, 0, "VPID", VI_TSC_OFFSET, 0},
    {2, VI_PROC2_CONTROLS, PROC2_UNRESTRICTED, "unrestricted guest needs EPT", VI_VPID, 1},
    {2, VI_EPT_POINTER, 0x7f05000 | EPTP_WALK_4, "EPT_POINTER: write-back", VI_VPID, 1},
    {2, VI_EPT_POINTER, 0x7f05000 | EPTP_TYPE_WB | 4 << 3, "EPT_POINTER: write-back, four", VI_VPID, 1},
    {2, VI_EPT_POINTER, 0x7f05800 | EPTP_TYPE_WB | EPTP_WALK_4, "EPT_POINTER: reserved", VI_VPID, 1},
    {2, VI_PML_ADDRESS, 0x77008, "PML_ADDRESS", VI_VPID, 1},
    {2, VI_PML_ADDRESS, BIT(41), "PML_ADDRESS", VI_VPID, 1},
    {2, VI_EXIT_MSR_LOAD_COUNT, 1, "EXIT_MSR_STORE_COUNT", VI_VPID, 1},
    {2, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | 1 << 8, "type 1 and 7", VI_VPID, 1},
    {2, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | 7 << 8, "type 1 and 7", VI_VPID, 1},
    {2, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | EVENT_NMI << 8 | 3, "an NMI has vector 2", VI_VPID, 1},
    {2, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | EVENT_EXCEPTION << 8 | 32, "vector up to 31", VI_VPID, 1},
    {2, VI_ENTRY_INTR_INFO, NMI_INFO | BIT(12), "ENTRY_INTR_INFO: reserved", VI_VPID, 1},
    {2, VI_ENTRY_INTR_INFO, NMI_INFO | INTR_INFO_ERROR, "error codes are for exceptions", VI_VPID, 1},
    {1, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | EVENT_EXCEPTION << 8 | 13 | INTR_INFO_ERROR, "error codes are for",
     VI_VPID, 1},
    {6, VI_ENTRY_INTR_ERROR, BIT(15), "ENTRY_INTR_ERROR", VI_VPID, 1},
    {2, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | EVENT_SOFT_INT << 8 | 0x80, "ENTRY_INSN_LEN", VI_ENTRY_INSN_LEN, 0},
    {2, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | EVENT_SOFT_EXC << 8 | 3, "ENTRY_INSN_LEN", VI_ENTRY_INSN_LEN, 16},
    {2, VI_HOST_CR0, 0x80000013, "HOST_CR0", VI_VPID, 1},
    {2, VI_HOST_CR4, 0x620, "HOST_CR4: a fixed", VI_VPID, 1},
    {2, VI_HOST_CR4, 0x2600, "HOST_CR4: PAE", VI_VPID, 1},
    {2, VI_HOST_CR3, BIT(40), "HOST_CR3", VI_VPID, 1},
    {2, VI_HOST_SYSENTER_EIP, NON_CANONICAL, "HOST_SYSENTER", VI_VPID, 1},
    {2, VI_HOST_PAT, 2, "HOST_PAT", VI_VPID, 1},
    {2, VI_HOST_EFER, 0x100, "HOST_EFER", VI_VPID, 1},
    {2, VI_HOST_DS_SELECTOR, 3, "HOST_SELECTOR: RPL", VI_VPID, 1},
    {2, VI_HOST_TR_SELECTOR, 0x1c, "HOST_SELECTOR: RPL", VI_VPID, 1},
    {2, VI_HOST_CS_SELECTOR, 0, "HOST_SELECTOR: CS", VI_VPID, 1},
    {2, VI_HOST_TR_SELECTOR, 0, "HOST_SELECTOR: CS and TR", VI_VPID, 1},
    {2, VI_HOST_GDTR_BASE, NON_CANONICAL, "HOST_BASE", VI_VPID, 1},
    {2, VI_HOST_RIP, 0, "HOST_RIP", VI_VPID, 1},
    {2, VI_GUEST_CR0, 0x80050013, "GUEST_CR0: a fixed", VI_VPID, 1},
    {2, VI_GUEST_CR0, BIT(32) | 0x80050033, "GUEST_CR0: a fixed", VI_VPID, 1},
    {0, VI_GUEST_CR0, CR0_PG | CR0_NE, "GUEST_CR0: PG needs PE", VI_VPID, 1},
    {2, VI_GUEST_CR4, 0x620, "GUEST_CR4: a fixed", VI_VPID, 1},
    {2, VI_GUEST_CR4, 0x2020 | BIT(30), "GUEST_CR4: a fixed", VI_VPID, 1},
    {2, VI_GUEST_DEBUGCTL, BIT(3), "GUEST_DEBUGCTL", VI_VPID, 1},
    {2, VI_GUEST_CR0, 0x31, "PG set in IA-32e", VI_VPID, 1},
    {2, VI_GUEST_CR4, 0x2000, "PAE set in IA-32e", VI_VPID, 1},
    {0, VI_GUEST_CR4, 0x2000 | CR4_PCIDE, "PCIDE needs", VI_VPID, 1},
    {2, VI_GUEST_CR3, BIT(40), "GUEST_CR3", VI_VPID, 1},
    {2, VI_GUEST_DR7, BIT(32), "GUEST_DR7", VI_VPID, 1},
    {2, VI_GUEST_SYSENTER_ESP, NON_CANONICAL, "GUEST_SYSENTER", VI_VPID, 1},
    {2, VI_GUEST_PAT, 0x0300, "GUEST_PAT", VI_VPID, 1},
    {2, VI_GUEST_EFER, 0x1d01, "GUEST_EFER: reserved", VI_VPID, 1},
    {2, VI_GUEST_EFER, 0x901, "GUEST_EFER: LMA as the IA-32e", VI_VPID, 1},
    {2, VI_GUEST_EFER, 0xc01, "GUEST_EFER: LMA as LME", VI_VPID, 1},
    {2, VI_GUEST_TR_AR, AR_UNUSABLE, "GUEST_TR_AR: usable", VI_VPID, 1},
    {2, VI_GUEST_TR_AR, 0x89, "GUEST_TR_AR: a busy", VI_VPID, 1},
    {2, VI_GUEST_TR_AR, 0x83, "GUEST_TR_AR: a busy", VI_VPID, 1},
    {2, VI_GUEST_TR_SELECTOR, 0x44, "GUEST_TR_SELECTOR", VI_VPID, 1},
    {2, VI_GUEST_TR_AR, 0x0b, "GUEST_TR_AR: a present", VI_VPID, 1},
    {2, VI_GUEST_TR_LIMIT, 0x100000, "GUEST_TR_LIMIT", VI_VPID, 1},
    {2, VI_GUEST_TR_BASE, NON_CANONICAL, "GUEST_TR_BASE", VI_VPID, 1},
    {2, VI_GUEST_LDTR_AR, 0x82, "GUEST_LDTR_SELECTOR", VI_GUEST_LDTR_SELECTOR, 4},
    {2, VI_GUEST_LDTR_AR, 0x8b, "GUEST_LDTR_AR", VI_VPID, 1},
    {2, VI_GUEST_LDTR_AR, 0x8082, "GUEST_LDTR_LIMIT", VI_VPID, 1},
    {2, VI_GUEST_LDTR_AR, 0x82, "GUEST_LDTR_BASE", VI_GUEST_LDTR_BASE, NON_CANONICAL},
    {2, VI_GUEST_GS_BASE, NON_CANONICAL, "GS_BASE: canonical", VI_VPID, 1},
    {2, VI_GUEST_CS_BASE, BIT(32), "GUEST_CS_BASE", VI_VPID, 1},
    {2, VI_GUEST_SS_BASE, BIT(32), "SS_BASE or DS_BASE", VI_VPID, 1},
    {8, VI_GUEST_ES_BASE, 0x12350, "virtual-8086 base", VI_VPID, 1},
    {8, VI_GUEST_GS_LIMIT, 0xfffff, "virtual-8086 limit", VI_VPID, 1},
    {8, VI_GUEST_CS_AR, 0x9b, "virtual-8086 access", VI_VPID, 1},
    {2, VI_GUEST_CS_AR, AR_UNUSABLE, "GUEST_CS_AR: usable", VI_VPID, 1},
    {2, VI_GUEST_CS_AR, 0xa09a, "accessed code", VI_VPID, 1},
    {3, VI_GUEST_CS_AR, 0xc0f3, "DPL 0 for type 3", VI_VPID, 1},
    {2, VI_GUEST_CS_AR, 0xa0fb, "DPL as that of SS", VI_VPID, 1},
    {2, VI_GUEST_CS_AR, 0xa0fd, "DPL at most", VI_VPID, 1},
    {2, VI_GUEST_CS_AR, 0xe09b, "L and D", VI_VPID, 1},
    {2, VI_GUEST_SS_AR, 0xc091, "GUEST_SS_AR: writable", VI_VPID, 1},
    {1, VI_GUEST_SS_AR, 0xf3, "GUEST_SS_AR: DPL 0", VI_GUEST_CS_AR, 0xfb},
    {0, VI_GUEST_DS_AR, 0xc083, "GUEST_SEGMENT: present", VI_VPID, 1},
    {0, VI_GUEST_ES_AR, 0xc013, "GUEST_SEGMENT: present", VI_VPID, 1},
    {0, VI_GUEST_FS_AR, 0x4093, "GUEST_SEGMENT: granularity", VI_VPID, 1},
    {0, VI_GUEST_GS_LIMIT, 0xfffff000, "GUEST_SEGMENT: granularity", VI_VPID, 1},
    {0, VI_GUEST_DS_AR, 0xc092, "accessed and readable", VI_VPID, 1},
    {0, VI_GUEST_DS_AR, 0xc099, "accessed and readable", VI_VPID, 1},
    {2, VI_GUEST_GDTR_BASE, NON_CANONICAL, "GUEST_GDTR_BASE", VI_VPID, 1},
    {2, VI_GUEST_IDTR_BASE, NON_CANONICAL, "GUEST_IDTR_BASE", VI_VPID, 1},
    {2, VI_GUEST_GDTR_LIMIT, 0x10000, "GUEST_GDTR_LIMIT", VI_VPID, 1},
    {2, VI_GUEST_IDTR_LIMIT, 0x10000, "GUEST_IDTR_LIMIT", VI_VPID, 1},
    {0, VI_GUEST_RIP, BIT(32), "GUEST_RIP: bits 63:32", VI_VPID, 1},
    {2, VI_GUEST_RIP, NON_CANONICAL, "GUEST_RIP: canonical", VI_VPID, 1},
    {2, VI_GUEST_RFLAGS, 0x244, "GUEST_RFLAGS: reserved", VI_VPID, 1},
    {2, VI_GUEST_RFLAGS, 0x24e, "GUEST_RFLAGS: reserved", VI_VPID, 1},
    {8, VI_GUEST_CR0, CR0_NE, "GUEST_RFLAGS: VM only", VI_GUEST_CR4, 0x2000},
    {2, VI_GUEST_RFLAGS, 0x46, "IF set to inject", VI_ENTRY_INTR_INFO, INTR_INFO_VALID | 0x30},
    {2, VI_GUEST_ACTIVITY, 4, "GUEST_ACTIVITY: 0 to 3", VI_VPID, 1},
    {3, VI_GUEST_ACTIVITY, ACTIVITY_HLT, "HLT only at CPL 0", VI_VPID, 1},
    {9, VI_GUEST_ACTIVITY, ACTIVITY_HLT, "active while STI", VI_VPID, 1},
    {5, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | EVENT_EXCEPTION << 8 | 6, "not into HLT", VI_VPID, 1},
    {2, VI_GUEST_ACTIVITY, ACTIVITY_SHUTDOWN, "not into shutdown", VI_ENTRY_INTR_INFO, INTR_INFO_VALID | 0x30},
    {2, VI_GUEST_ACTIVITY, ACTIVITY_WAIT_SIPI, "not into wait-for-SIPI", VI_ENTRY_INTR_INFO, NMI_INFO},
    {9, VI_ENTRY_INTR_INFO, INTR_INFO_VALID | 0x30, "an interrupt is blocked", VI_VPID, 1},
    {9, VI_ENTRY_INTR_INFO, NMI_INFO, "blocked by STI or MOV SS", VI_VPID, 1},
    {5, VI_ENTRY_INTR_INFO, NMI_INFO, "NMIs are blocked", VI_VPID, 1},
    {2, VI_GUEST_INTERRUPTIBILITY, BIT(5), "GUEST_INTERRUPTIBILITY: reserved", VI_VPID, 1},
    {2, VI_GUEST_INTERRUPTIBILITY, BLOCK_STI | BLOCK_MOV_SS, "exclude each other", VI_VPID, 1},
    {9, VI_GUEST_RFLAGS, 0x46, "STI blocks only", VI_VPID, 1},
    {2, VI_GUEST_PENDING_DEBUG, BIT(5), "GUEST_PENDING_DEBUG: reserved", VI_VPID, 1},
    {9, VI_GUEST_RFLAGS, 0x346, "BS as TF", VI_VPID, 1},
    {9, VI_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS, "BS as TF", VI_VPID, 1},
    {2, VI_GUEST_LINK_POINTER, 0, "GUEST_LINK_POINTER", VI_VPID, 1},
    {7, VI_GUEST_PDPTE1, 0x5003, "GUEST_PDPTE", VI_VPID, 1},
    {7, VI_GUEST_PDPTE0, BIT(40) | 1, "GUEST_PDPTE", VI_VPID, 1},
};

START_TEST(each_broken_rule_is_named)
{
    resolve();
    struct vmx_rows rows = built_from(states[breaks[_i].state]);
    ck_assert_ptr_null(entry_check(&rows, &caps));
    rows.value[breaks[_i].row] = breaks[_i].value;
    rows.value[breaks[_i].also] = breaks[_i].also_value;
    const char *broken = entry_check(&rows, &caps);
    ck_assert_msg(broken && strstr(broken, breaks[_i].words), "%d: wanted \"%s\", got \"%s\"", _i, breaks[_i].words,
                  broken ? broken : "nothing");
}
END_TEST

START_TEST(rules_other_cpus_reach)
{
    resolve();
    caps.cr4_fixed1 |= CR4_CET;
    struct vmx_rows rows = built_from(kernel_state);
    rows.value[VI_GUEST_CR4] |= CR4_CET;
    ck_assert_ptr_null(entry_check(&rows, &caps));
    rows.value[VI_GUEST_CR0] &= ~CR0_WP;
    ck_assert_str_eq(entry_check(&rows, &caps), "GUEST_CR4: CET needs CR0.WP");
    rows = built_from(kernel_state);
    rows.value[VI_EXIT_CONTROLS] &= ~(uint64_t)EXIT_CTL_HOST_64;
    ck_assert_str_eq(entry_check(&rows, &caps), "EXIT_CONTROLS: the host is 64-bit");
}
END_TEST

START_TEST(no_hlt_state)
{
    resolve();
    caps.activity_hlt = false;
    struct vmx_rows rows = built_from(halted_state);
    ck_assert_str_eq(entry_check(&rows, &caps), "GUEST_ACTIVITY: the CPU has no HLT state");
}
END_TEST

START_TEST(control_registers_and_efer)
{
    resolve();
    ck_assert_uint_eq(vmx_cr_visible(0x2620, CR4_VMXE, 0), 0x620);
    ck_assert_uint_eq(vmx_cr_visible(0x31, CR0_NE, 0x11), 0x11);
    ck_assert_uint_eq(vmx_cr0_actual(&caps, 0), CR0_NE);
    ck_assert_uint_eq(vmx_cr4_actual(&caps, CR4_PAE), CR4_PAE | CR4_VMXE);
    ck_assert_uint_eq(vmx_efer_for_cr0(CR0_PG | CR0_PE, EFER_LME), EFER_LME | EFER_LMA);
    ck_assert_uint_eq(vmx_efer_for_cr0(CR0_PE, EFER_LME | EFER_LMA), EFER_LME);
    ck_assert_uint_eq(vmx_efer_for_cr0(CR0_PG | CR0_PE, EFER_LMA | EFER_NXE), EFER_NXE);
    ck_assert(vmx_is_pae(CR0_PG, CR4_PAE, 0));
    ck_assert(!vmx_is_pae(CR0_PG, CR4_PAE, EFER_LMA) && !vmx_is_pae(0, CR4_PAE, 0) && !vmx_is_pae(CR0_PG, 0, 0));
}
END_TEST

START_TEST(events_both_ways)
{
    static const struct {
        uint32_t info, error, len;
        struct vcpu_event event;
    } cases[] = {
        {0, 5, 3, {0}},
        {0x80000b0e, 6, 3, {.valid = 1, .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = 1, .error_code = 6}},
        {0x80000202, 9, 3, {.valid = 1, .type = EVENT_NMI, .vector = 2}},
        {0x800000ec, 9, 3, {.valid = 1, .type = EVENT_EXTINT, .vector = 0xec}},
        {0x80000480, 9, 2, {.valid = 1, .type = EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2}},
        {0x80000603, 9, 1, {.valid = 1, .type = EVENT_SOFT_EXC, .vector = 3, .insn_len = 1}},
        {0x80000501, 9, 1, {.valid = 1, .type = EVENT_PRIV_SOFT, .vector = 1, .insn_len = 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vcpu_event event;
        vmx_event_from_vectoring(cases[i].info, cases[i].error, cases[i].len, &event);
        ck_assert_mem_eq(&event, &cases[i].event, sizeof event);
        ck_assert_uint_eq(vmx_event_info(&event), cases[i].info);
    }
    struct vcpu_event event;
    vmx_event_from_vectoring(0x80001b0e, 6, 0, &event); /* bit 12, undefined: not passed on */
    ck_assert_uint_eq(vmx_event_info(&event), 0x80000b0e);
}
END_TEST

static bool msr_exits(const uint8_t *bitmap, uint32_t msr, bool write)
{
    size_t byte = (write ? 2048u : 0u) + (msr >= 0xc0000000 ? 1024u : 0u) + (msr & 0x1fff) / 8;
    return bitmap[byte] >> (msr & 7) & 1;
}

START_TEST(msr_bitmap)
{
    static uint8_t bitmap[PAGE_BYTES];
    vmx_msr_bitmap_build(bitmap);
    for (uint32_t msr = 0; msr < 0x2000; msr++) {
        bool vmx = (msr >= 0x480 && msr <= 0x491) || msr == 0x3a, microcode = msr == 0x79 || msr == 0x8b,
             apic = msr == 0x1b;
        ck_assert_msg(msr_exits(bitmap, msr, false) == vmx, "read %#x", msr);
        ck_assert_msg(msr_exits(bitmap, msr, true) == (vmx || microcode || apic), "write %#x", msr);
        ck_assert(!msr_exits(bitmap, 0xc0000000 + msr, false) && !msr_exits(bitmap, 0xc0000000 + msr, true));
    }
    /* x2APIC's ICR, when it is watched: writes alone, and back to what it was. */
    static uint8_t trapped[PAGE_BYTES];
    memcpy(trapped, bitmap, sizeof bitmap);
    vmx_msr_bitmap_trap_icr(trapped, true);
    for (uint32_t msr = 0; msr < 0x2000; msr++) {
        ck_assert_int_eq(msr_exits(trapped, msr, true), msr == 0x830 || msr_exits(bitmap, msr, true));
        ck_assert_int_eq(msr_exits(trapped, msr, false), msr_exits(bitmap, msr, false));
    }
    vmx_msr_bitmap_trap_icr(trapped, false);
    ck_assert_mem_eq(trapped, bitmap, sizeof bitmap);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("vmx_rows");
    TCase *t = tcase_create("all");
    tcase_add_test(t, encodings_are_unique);
    tcase_add_loop_test(t, real_states_pass_and_come_back, 0, (int)ARRAY_LEN(states));
    tcase_add_test(t, plain_segments_break_no_rule);
    tcase_add_test(t, fields_of_older_cpus);
    tcase_add_loop_test(t, each_broken_rule_is_named, 0, (int)ARRAY_LEN(breaks));
    tcase_add_test(t, rules_other_cpus_reach);
    tcase_add_test(t, no_hlt_state);
    tcase_add_test(t, control_registers_and_efer);
    tcase_add_test(t, events_both_ways);
    tcase_add_test(t, msr_bitmap);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("vmx_rows", suite)
