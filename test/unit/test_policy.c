/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host does about each exit, for both vendors' tables. policy.c is included, not linked, so that the CPU's
   instructions in it can be replaced; ports, registers and the other engines are fakes that remember. */
/* UNITS: kernel/exit_name.c kernel/iowatch.c kernel/settle.c */
#include "policy_model.h"

enum outcome { OUTCOME_MISSING, SKIPPED, UD, GP, PARKED, LEFT_ALONE, CRASHED, FAULT };

START_TEST(every_kind)
{
    static const enum outcome outcomes[EXIT_KIND_COUNT + 1] = {
        [EXIT_UNKNOWN] = PARKED,
        [EXIT_EXCEPTION] = PARKED,
        [EXIT_NMI] = LEFT_ALONE,
        [EXIT_INTR] = LEFT_ALONE,
        [EXIT_TICK] = LEFT_ALONE,
        [EXIT_INTR_WINDOW] = LEFT_ALONE,
        [EXIT_NMI_WINDOW] = LEFT_ALONE,
        [EXIT_IRET] = LEFT_ALONE,
        [EXIT_CPUID] = SKIPPED,
        [EXIT_HLT] = LEFT_ALONE, /* with interrupts off it halts again */
        [EXIT_IO] = SKIPPED,
        [EXIT_RDMSR] = GP,
        [EXIT_WRMSR] = GP,
        [EXIT_CR] = PARKED,
        [EXIT_XSETBV] = UD,
        [EXIT_NPF] = FAULT,
        [EXIT_INVD] = SKIPPED,
        [EXIT_WBINVD] = SKIPPED,
        [EXIT_VMINSN] = UD,
        [EXIT_TRIPLE_FAULT] = CRASHED,
        [EXIT_INIT] = CRASHED,
        [EXIT_SIPI] = PARKED,
        [EXIT_TASK_SWITCH] = PARKED,
        [EXIT_MONITOR] = PARKED,
        [EXIT_RSM] = PARKED,
        [EXIT_ENTRY_FAILED] = PARKED,
        [EXIT_NMI_HOST] = LEFT_ALONE,
        [EXIT_DIRTY_LOG] = LEFT_ALONE,
        [EXIT_KIND_COUNT] = PARKED,
    };
    for (int kind = 0; kind <= EXIT_KIND_COUNT; kind++) {
        start(_i, (enum exit_kind)kind);
        if (kind == EXIT_IO)
            x.io.bytes = 1;
        run();
        switch (outcomes[kind]) {
        case SKIPPED:
            expect_skipped();
            break;
        case UD:
            expect_fault(VECTOR_UD);
            break;
        case GP:
            expect_fault(VECTOR_GP);
            break;
        case PARKED:
            expect_parked(kind == EXIT_CR ? "CR0" : exit_name((enum exit_kind)kind));
            break;
        case CRASHED:
            expect_crashed(kind == EXIT_INIT ? "INIT signal" : "triple fault");
            break;
        case LEFT_ALONE:
        case FAULT:
            expect_nothing_done();
            ck_assert(!cpu->event.valid);
            ck_assert_int_eq(guest.run, GUEST_RUNNING);
            break;
        case OUTCOME_MISSING:
            ck_abort_msg("%s has no outcome", exit_name((enum exit_kind)kind));
        }
        if (guest.run == GUEST_RUNNING)
            expect_told(0);
        ck_assert_uint_eq(seen.hidden_faults, outcomes[kind] == FAULT);
        ck_assert_uint_eq(seen.logs_read, kind == EXIT_DIRTY_LOG);
        ck_assert_uint_eq(seen.wbinvds, kind == EXIT_INVD || kind == EXIT_WBINVD);
    }
    /* Not even a kind that does not exist. */
    start(_i, (enum exit_kind)1000);
    run();
    expect_parked("unknown");
    ck_assert_ptr_nonnull(strstr(guest.park_reason, "0x7b")); /* the vendor's own number */
}
END_TEST

START_TEST(hlt_is_a_spurious_wake_up)
{
    start(_i, EXIT_HLT);
    vreg[VREG_RFLAGS] |= RFLAGS_IF;
    run();
    ck_assert_uint_eq(vreg[VREG_RIP], RIP + INSN_LEN);
    ck_assert(vreg[VREG_RFLAGS] & RFLAGS_IF);
    ck_assert_uint_eq(seen.shadow_ends, 1); /* else the interrupt that waits would wait for another HLT */
    ck_assert_int_eq(guest.run, GUEST_RUNNING);
}
END_TEST

static void cpuid(uint32_t leaf, uint32_t subleaf)
{
    cpu->gpr[GPR_RAX] = UNTOUCHED << 32 | leaf;
    cpu->gpr[GPR_RCX] = UNTOUCHED << 32 | subleaf;
    run();
    expect_skipped();
    ck_assert_uint_eq(cpuid_leaf, leaf);
    ck_assert_uint_eq(cpuid_subleaf, subleaf);
}

static void expect_regs(uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    ck_assert_uint_eq(cpu->gpr[GPR_RAX], eax);
    ck_assert_uint_eq(cpu->gpr[GPR_RBX], ebx);
    ck_assert_uint_eq(cpu->gpr[GPR_RCX], ecx);
    ck_assert_uint_eq(cpu->gpr[GPR_RDX], edx);
}

START_TEST(cpuid_hides_and_mirrors)
{
    static const struct cpuid_regs all = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    for (int full = 0; full < 2; full++)
        for (int visible = 0; visible < 2; visible++)
            for (int os = 0; os < 2; os++) {
                uint32_t ones = full ? UINT32_MAX : 0;
                start(_i, EXIT_CPUID);
                cpuid_answer = full ? all : cpuid_answer;
                virt_env.visible = visible;
                vreg[VREG_CR4] = os ? CR4_OSXSAVE | CR4_PKE : 0;
                cpuid(CPUID_BASIC, 0);
                uint32_t ecx = ones & ~CPUID1_ECX_VMX & ~CPUID1_ECX_OSXSAVE;
                expect_regs(ones, ones, ecx | (os ? CPUID1_ECX_OSXSAVE : 0) | (visible ? CPUID1_ECX_HYPERVISOR : 0),
                            ones);
                start(_i, EXIT_CPUID);
                cpuid_answer = full ? all : cpuid_answer;
                vreg[VREG_CR4] = os ? CR4_OSXSAVE | CR4_PKE : 0;
                cpuid(CPUID_STRUCTURED, 0);
                expect_regs(ones, ones & ~CPUID7_EBX_TSC_ADJUST,
                            (ones & ~CPUID7_ECX_OSPKE) | (os ? CPUID7_ECX_OSPKE : 0), ones);
            }
    start(_i, EXIT_CPUID);
    cpuid_answer = all;
    cpuid(CPUID_STRUCTURED, 1);
    expect_regs(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    start(_i, EXIT_CPUID);
    cpuid_answer = all;
    cpuid(CPUID_SVM, 0);
    expect_regs(0, 0, 0, 0);
    start(_i, EXIT_CPUID);
    cpuid_answer = all;
    cpuid(0x80000002u, 0);
    expect_regs(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
}
END_TEST

START_TEST(cpuid_syscall_bit_follows_the_mode_on_intel)
{
    for (int code64 = 0; code64 < 2; code64++)
        for (int lma = 0; lma < 2; lma++) {
            start(_i, EXIT_CPUID);
            cpuid_answer = (struct cpuid_regs){0, 0, UINT32_MAX, UINT32_MAX};
            vreg[VREG_CS_AR] = AR_P | AR_S | (code64 ? AR_L : 0);
            vreg[VREG_EFER] = lma ? EFER_LME | EFER_LMA : 0;
            cpuid(CPUID_EXT, 0);
            bool shown = guest.backend == &svm_backend || (code64 && lma);
            expect_regs(0, 0, ~CPUID_8000_0001_ECX_SVM, shown ? UINT32_MAX : ~CPUID_8000_0001_EDX_SYSCALL);
        }
}
END_TEST

static void io(uint16_t port, uint8_t bytes, bool is_in)
{
    x.io.port = port;
    x.io.bytes = bytes;
    x.io.in = is_in;
    run();
}

START_TEST(ports_that_are_there)
{
    static const struct {
        uint8_t bytes;
        uint64_t in, out; /* RAX after IN of 0xfedcba98; what OUT of UNTOUCHED sends */
    } widths[] = {{1, 0x1122334455667798, 0x88}, {2, 0x112233445566ba98, 0x7788}, {4, 0xfedcba98, 0x55667788}};
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        start(_i, EXIT_IO);
        port_answer = 0xfedcba98;
        io(0x64, widths[i].bytes, true);
        expect_skipped();
        ck_assert_uint_eq(cpu->gpr[GPR_RAX], widths[i].in);
        ck_assert(seen.ins == 1 && seen.port == 0x64 && seen.bytes == widths[i].bytes && !seen.outs);
        start(_i, EXIT_IO);
        io(0x64, widths[i].bytes, false);
        expect_skipped();
        ck_assert_uint_eq(cpu->gpr[GPR_RAX], UNTOUCHED);
        ck_assert(seen.outs == 1 && seen.port == 0x64 && seen.bytes == widths[i].bytes && !seen.ins);
        ck_assert_uint_eq(seen.out, widths[i].out);
    }
    port_later = true; /* a device is not to be told yet: the instruction comes again */
    start(_i, EXIT_IO);
    io(0x70, 1, false);
    expect_nothing_done();
    ck_assert(!seen.outs && !iowatch_state()->rtc_seen);
    port_later = false;
    /* What is written to an observed port is observed, and only then. */
    start(_i, EXIT_IO);
    io(0x70, 1, true);
    ck_assert(!iowatch_state()->rtc_seen);
    start(_i, EXIT_IO);
    io(0x70, 1, false);
    ck_assert(iowatch_state()->rtc_seen);
    ck_assert_uint_eq(iowatch_state()->rtc_index, 0x88);
    start(_i, EXIT_IO);
    x.io.string = true;
    io(0x70, 1, false);
    expect_parked("string");
    ck_assert_uint_eq(seen.outs, 0);
}
END_TEST

START_TEST(a_screen_that_is_held)
{
    static const struct {
        uint16_t port;
        uint8_t bytes;
        bool held;
    } cases[] = {
        {0x3af, 1, false}, {0x3b0, 1, true}, {0x3ae, 4, true}, {0x3df, 1, true}, {0x3e0, 1, false},
        {0x1cd, 1, false}, {0x1cd, 2, true}, {0x1ce, 2, true}, {0x1cf, 2, true}, {0x1d0, 2, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int direction = 0; direction < 4; direction++) {
            start(_i, EXIT_IO);
            x.io.string = (direction & 2) && cases[i].held;
            io(cases[i].port, cases[i].bytes, direction & 1);
            ck_assert_uint_eq(seen.presses, cases[i].held);
            ck_assert_uint_eq(seen.ins + seen.outs, !cases[i].held);
            if (cases[i].held)
                expect_nothing_done();
        }
}
END_TEST

START_TEST(ports_that_are_absent)
{
    static const struct {
        uint16_t port;
        uint8_t bytes;
        bool hidden;
    } cases[] = {
        {0x3f7, 1, false}, {0x3f8, 1, true},  {0x3ff, 1, true},  {0x400, 1, false}, {0x3f7, 2, true},
        {0x3f6, 2, false}, {0x3f5, 4, true},  {0x3f4, 4, false}, {0x3ff, 4, true},  {0x2e7, 1, false},
        {0x2e8, 1, true},  {0x2e9, 1, false}, {0x63, 2, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int direction = 0; direction < 4; direction++) {
            start(_i, EXIT_IO);
            policy_hide_ports(0x3f8, 8);
            policy_hide_ports(0x2e8, 1);
            policy_hide_ports(0x64, 0);
            x.io.string = (direction & 2) && cases[i].hidden; /* strings are the instruction emulation's, too */
            io(cases[i].port, cases[i].bytes, direction & 1);
            ck_assert_msg(seen.hidden_ports == cases[i].hidden, "%#x", cases[i].port);
            ck_assert_uint_eq(seen.ins + seen.outs, !cases[i].hidden);
            ck_assert_uint_eq(guest.settle.since_us != 0, cases[i].hidden); /* the guest looks for devices */
            if (cases[i].hidden)
                expect_nothing_done();
        }
}
END_TEST

START_TEST(pci_functions_that_are_absent)
{
    static const struct {
        uint32_t address;
        uint16_t port;
        uint8_t bytes;
        bool hidden;
    } cases[] = {
        {0x80012300, 0xcfc, 4, true},  {0x800123fc, 0xcff, 1, true},  {0x80012300, 0xcfe, 2, true},
        {0x00012300, 0xcfc, 4, false}, /* CF8 does not enable configuration cycles */
        {0x80012200, 0xcfc, 4, false}, {0x80012400, 0xcfc, 4, false}, {0x80002300, 0xcfc, 4, false},
        {0x80012300, 0xcf8, 4, false}, {0x80012300, 0xcf8, 1, false}, {0x80012300, 0xcfb, 1, false},
        {0x80012300, 0xcfa, 4, true}, /* reaches into the data */
        {0x80012300, 0xd00, 4, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start(_i, EXIT_IO);
        policy_hide_pci(0x0123);
        config_address = cases[i].address;
        io(cases[i].port, cases[i].bytes, false);
        ck_assert_msg(seen.hidden_ports == cases[i].hidden, "case %zu", i);
        ck_assert_uint_eq(seen.outs, !cases[i].hidden);
        ck_assert(!policy_pci_lock.taken);
        ck_assert_uint_eq(guest.settle.since_us != 0, cases[i].port < 0xd00);
    }
    /* A command register is written: from there on a device may write memory unseen. */
    static const struct {
        uint32_t address;
        bool out;
    } commands[] = {{0x80002304, true}, {0x80002304, false}, {0x80002308, true}, {0x80002300, true}};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        start(_i, EXIT_IO);
        config_address = commands[i].address;
        io(0xcfc, 2, !commands[i].out);
        ck_assert_uint_eq(seen.tracks_lost, i == 0);
    }
    start(_i, EXIT_IO);
    for (uint16_t bdf = 1; bdf <= HIDDEN_PCI_MAX + 1; bdf++)
        policy_hide_pci(bdf);
    for (uint16_t bdf = 0; bdf <= HIDDEN_PCI_MAX + 1; bdf++)
        ck_assert_int_eq(policy_pci_hidden(bdf), bdf >= 1 && bdf <= HIDDEN_PCI_MAX);
}
END_TEST

static bool trapped(uint16_t port)
{
    return bitmap[port / 8] >> (port % 8) & 1;
}

START_TEST(the_io_bitmap)
{
    static unsigned observed;
    start(_i, EXIT_IO);
    policy_trap_ports();
    observed = 0;
    for (uint32_t port = 0; port < 65536; port++)
        observed += trapped((uint16_t)port);
    ck_assert_uint_gt(observed, 0);
    ck_assert(trapped(0x70) && !trapped(0x3f8) && !trapped(PCI_CONFIG_ADDRESS) && !trapped(0x80));

    start(_i, EXIT_IO);
    policy_hide_ports(0xffff, 1);
    policy_hide_ports(0x9001, 7);
    policy_hide_pci(1);
    policy_trap_ports();
    for (uint16_t p = 0; p < 10; p++)
        ck_assert_int_eq(trapped((uint16_t)(0x9000 + p)), p >= 1 && p <= 7);
    for (uint16_t p = 0; p < 10; p++)
        ck_assert_int_eq(trapped((uint16_t)(PCI_CONFIG_ADDRESS - 1 + p)), p >= 1 && p <= 8);
    ck_assert(trapped(0xffff));
    unsigned all = 0;
    for (uint32_t port = 0; port < 65536; port++)
        all += trapped((uint16_t)port);
    ck_assert_uint_eq(all, observed + 1 + 7 + PCI_CONFIG_PORTS);
    for (size_t i = 2 * PAGE_BYTES; i < sizeof bitmap; i++)
        ck_assert_uint_eq(bitmap[i], 0);

    /* Held for a while, and as before again. */
    static uint8_t before[sizeof bitmap];
    policy_hide_ports(0x3b4, 2);
    policy_trap_ports();
    memcpy(before, bitmap, sizeof bitmap);
    policy_hold_vga(true);
    for (uint16_t p = 0x3a0; p < 0x3f0; p++)
        ck_assert_int_eq(trapped(p), p >= 0x3b0 && p < 0x3e0);
    for (uint16_t p = 0x1c0; p < 0x1e0; p++)
        ck_assert_int_eq(trapped(p), p == 0x1ce || p == 0x1cf);
    policy_hold_vga(false);
    ck_assert_mem_eq(before, bitmap, sizeof bitmap);

    /* One range too many does no harm. */
    start(_i, EXIT_IO);
    for (uint16_t i = 0; i < POLICY_ABSENT_MAX + 3; i++)
        policy_hide_ports((uint16_t)(0xa000 + i), 1);
    policy_trap_ports();
    for (uint16_t i = 0; i < POLICY_ABSENT_MAX + 3; i++)
        ck_assert_int_eq(trapped((uint16_t)(0xa000 + i)), i < POLICY_ABSENT_MAX);
}
END_TEST

static void msr(uint32_t number, uint64_t value)
{
    cpu->gpr[GPR_RCX] = UNTOUCHED << 32 | number;
    cpu->gpr[GPR_RAX] = UNTOUCHED << 32 | (uint32_t)value;
    cpu->gpr[GPR_RDX] = UNTOUCHED << 32 | value >> 32;
    run();
}

START_TEST(efer)
{
    static const struct {
        uint64_t cr0, old, value, now; /* now 0: #GP */
    } cases[] = {
        {CR0_PG, EFER_LME | EFER_LMA, EFER_LME | EFER_LMA | EFER_NXE, EFER_LME | EFER_LMA | EFER_NXE},
        {CR0_PG, EFER_LME | EFER_LMA, EFER_LME | EFER_SCE, EFER_LME | EFER_LMA | EFER_SCE}, /* LMA is the CPU's */
        {CR0_PG, EFER_LME | EFER_LMA, EFER_LMA, 0},
        {CR0_PG, EFER_SCE, EFER_LME, 0},
        {0, EFER_SCE, EFER_LME | EFER_NXE, EFER_LME | EFER_NXE},
        {0, EFER_LME, EFER_SCE, EFER_SCE},
        {0, EFER_LME, EFER_LME | EFER_LMA, EFER_LME},
        {0, EFER_LME, EFER_LME | EFER_SVME, 0},
        {CR0_PG, EFER_LME | EFER_LMA, EFER_LME | EFER_LMA | EFER_SVME, 0},
        {0, EFER_SCE, EFER_SCE | EFER_FFXSR, EFER_SCE | EFER_FFXSR},
        {0, EFER_SCE, EFER_SCE | BIT(13), 0}, /* what the CPU lacks is the CPU's to judge */
        {CR0_PG, EFER_LME | EFER_LMA, EFER_LME | EFER_LMA | BIT(63), 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start(_i, EXIT_WRMSR);
        vreg[VREG_CR0] = CR0_PE | cases[i].cr0;
        vreg[VREG_EFER] = cases[i].old;
        msr(MSR_EFER, cases[i].value);
        if (cases[i].now)
            expect_skipped();
        else
            expect_fault(VECTOR_GP);
        ck_assert_msg(vreg[VREG_EFER] == (cases[i].now ? cases[i].now : cases[i].old), "case %zu", i);
        ck_assert_uint_eq(host_efer, HOST_EFER);
    }
    start(_i, EXIT_RDMSR);
    vreg[VREG_EFER] = 0x7700000000ull | EFER_LME | EFER_LMA | EFER_SVME;
    msr(MSR_EFER, 0);
    expect_skipped();
    ck_assert_uint_eq(cpu->gpr[GPR_RAX], EFER_LME | EFER_LMA);
    ck_assert_uint_eq(cpu->gpr[GPR_RDX], 0x77);
}
END_TEST

START_TEST(msrs_the_guest_is_not_to_see)
{
    /* IA32_FEATURE_CONTROL, the VMX capability MSRs, VM_CR, IGNNE, SMM_CTL, VM_HSAVE_PA, SVM_KEY. */
    static const uint32_t numbers[] = {0x3a,       0x480,      0x481,      0x48b,      0x48c,
                                       0x491,      0xc0010114, 0xc0010115, 0xc0010116, 0xc0010117,
                                       0xc0010118, 0x12345678, 0xffffffff};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        for (int write = 0; write < 2; write++) {
            start(_i, write ? EXIT_WRMSR : EXIT_RDMSR);
            msr(numbers[i], 1);
            expect_fault(VECTOR_GP);
            ck_assert_uint_eq(cpu->gpr[GPR_RAX], UNTOUCHED << 32 | 1);
            ck_assert_uint_eq(seen.wrmsrs, 0);
        }
}
END_TEST

START_TEST(microcode)
{
    static const uint32_t triggers[] = {MSR_IA32_BIOS_UPDT_TRIG, MSR_AMD_PATCH_LOADER};
    for (size_t i = 0; i < ARRAY_LEN(triggers); i++) {
        start(_i, EXIT_WRMSR);
        msr(triggers[i], 0xffff888000001000);
        expect_skipped();
        ck_assert_uint_eq(seen.wrmsrs, 0);
        start(_i, EXIT_RDMSR);
        msr(triggers[i], 0);
        expect_fault(VECTOR_GP);
    }
    start(_i, EXIT_WRMSR);
    msr(MSR_IA32_BIOS_SIGN_ID, 0x500000000);
    expect_skipped();
    ck_assert_uint_eq(seen.value, 0x500000000);
    start(_i, EXIT_WRMSR);
    instruction_works = false;
    msr(MSR_IA32_BIOS_SIGN_ID, 0);
    expect_fault(VECTOR_GP);
}
END_TEST

START_TEST(control_registers)
{
    start(_i, EXIT_CR);
    x.cr.number = 0;
    x.cr.write = x.cr.has_value = true;
    x.cr.value = CR0_PE | CR0_PG | BIT(16);
    run();
    expect_skipped();
    ck_assert_uint_eq(vreg[VREG_CR0], CR0_PE | CR0_PG | BIT(16));
    start(_i, EXIT_CR);
    x.cr.number = 4;
    x.cr.write = true;
    x.cr.gpr = GPR_R11;
    cpu->gpr[GPR_R11] = CR4_PAE | CR4_PGE;
    run();
    ck_assert_uint_eq(vreg[VREG_CR4], CR4_PAE | CR4_PGE);
    ck_assert_uint_eq(vreg[VREG_CR0], CR0_PE | CR0_PG);
    ck_assert_uint_eq(vreg[VREG_RIP], RIP + INSN_LEN);
    start(_i, EXIT_CR);
    x.cr.number = 4;
    x.cr.write = x.cr.has_value = true;
    x.cr.value = CR4_PAE | CR4_VMXE;
    run();
    expect_fault(VECTOR_GP);
    for (uint8_t number = 0; number < 9; number++)
        for (int write = 0; write < 2; write++) {
            if (write && (number == 0 || number == 4))
                continue;
            start(_i, EXIT_CR);
            x.cr.number = number;
            x.cr.write = write;
            run();
            expect_parked("CR");
        }
}
END_TEST

START_TEST(xsetbv)
{
    static const struct {
        bool osxsave, works;
        uint64_t dpl;
        int fault; /* 0: carried out */
    } cases[] = {{true, true, 0, 0},          {true, true, 3, VECTOR_GP},  {true, true, 1, VECTOR_GP},
                 {true, false, 0, VECTOR_GP}, {false, true, 0, VECTOR_UD}, {false, true, 3, VECTOR_UD}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start(_i, EXIT_XSETBV);
        vreg[VREG_CR4] = cases[i].osxsave ? CR4_OSXSAVE : 0;
        vreg[VREG_SS_AR] = AR_P | AR_S | cases[i].dpl << AR_DPL_SHIFT;
        instruction_works = cases[i].works;
        msr(0, 0x200000007); /* the same operands */
        if (cases[i].fault)
            expect_fault((uint8_t)cases[i].fault);
        else
            expect_skipped();
        ck_assert_uint_eq(seen.xsetbvs, cases[i].osxsave && cases[i].dpl == 0);
        ck_assert(!seen.xsetbvs || seen.value == 0x200000007);
    }
}
END_TEST

START_TEST(parking_says_why)
{
    start(_i, EXIT_UNKNOWN);
    char longest[500];
    memset(longest, 'y', sizeof longest);
    longest[sizeof longest - 1] = 0;
    policy_park(self, "because %d %s", 42, longest);
    ck_assert_int_eq(guest.run, GUEST_PARKED);
    ck_assert_uint_eq(strlen(guest.park_reason), sizeof guest.park_reason - 1);
    ck_assert(!strncmp(guest.park_reason, "because 42 yyy", 14));
    ck_assert_ptr_nonnull(strstr(env_log, "policy: guest parked: cpu=1 because 42 yyy"));
}
END_TEST

/* The first CPU that says so ends the guest; only parking goes beyond a crash. */
START_TEST(the_first_end_counts)
{
    start(_i, EXIT_UNKNOWN);
    policy_crash(self, "first %d", 1);
    policy_crash(self, "second");
    ck_assert_int_eq(guest.run, GUEST_CRASHED);
    ck_assert_str_eq(guest.park_reason, "first 1");
    ck_assert_ptr_nonnull(strstr(env_log, "policy: guest died: cpu=1 first 1"));
    ck_assert_ptr_null(strstr(env_log, "second"));
    expect_told(1);
    policy_park(self, "third");
    ck_assert_int_eq(guest.run, GUEST_PARKED);
    ck_assert_str_eq(guest.park_reason, "third");
    ck_assert_uint_eq(seen.dumps, 1);
    expect_told(2);
    policy_park(self, "fourth");
    policy_crash(self, "fifth");
    ck_assert_int_eq(guest.run, GUEST_PARKED);
    ck_assert_str_eq(guest.park_reason, "third");
    ck_assert_uint_eq(seen.dumps, 1);
    expect_told(2);
    start(_i, EXIT_UNKNOWN);
    guest.run = GUEST_NONE;
    policy_crash(self, "no guest, no end");
    policy_park(self, "no guest, no end");
    ck_assert_int_eq(guest.run, GUEST_NONE);
    expect_told(0);
}
END_TEST

/* A CPU on its way offline writes its caches back with interrupts off; elsewhere it is an everyday thing. */
START_TEST(wbinvd_makes_suspect_with_interrupts_off)
{
    for (int interrupts = 0; interrupts < 2; interrupts++)
        for (int kind = 0; kind < 2; kind++) {
            start(_i, kind ? EXIT_WBINVD : EXIT_INVD);
            vreg[VREG_RFLAGS] |= interrupts ? RFLAGS_IF : 0;
            run();
            ck_assert_uint_eq(seen.wbinvds, 1);
            ck_assert_uint_eq(seen.suspects, kind && !interrupts);
            vreg[VREG_RFLAGS] &= ~RFLAGS_IF;
            expect_skipped();
        }
}
END_TEST

START_TEST(local_apic_msrs)
{
    static const struct {
        uint32_t msr;
        bool works, parks;
    } cases[] = {{MSR_IA32_APIC_BASE, true, false},
                 {MSR_IA32_APIC_BASE, false, false},
                 {MSR_IA32_X2APIC_ICR, true, false},
                 {MSR_IA32_X2APIC_ICR, false, true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start(_i, EXIT_WRMSR);
        instruction_works = cases[i].works;
        msr(cases[i].msr, 0x1000008fa);
        ck_assert_uint_eq(seen.apic_writes, 1);
        ck_assert_uint_eq(seen.value, 0x1000008fa);
        if (cases[i].works)
            expect_skipped();
        else if (cases[i].parks)
            expect_parked("0x1000008fa");
        else
            expect_fault(VECTOR_GP);
        ck_assert_uint_eq(seen.wrmsrs, 0); /* carried out by whoever watches, or not at all */
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("policy");
    TCase *t = tcase_create("both vendors");
    tcase_add_loop_test(t, every_kind, 0, 2);
    tcase_add_loop_test(t, hlt_is_a_spurious_wake_up, 0, 2);
    tcase_add_loop_test(t, cpuid_hides_and_mirrors, 0, 2);
    tcase_add_loop_test(t, cpuid_syscall_bit_follows_the_mode_on_intel, 0, 2);
    tcase_add_loop_test(t, ports_that_are_there, 0, 2);
    tcase_add_loop_test(t, a_screen_that_is_held, 0, 2);
    tcase_add_loop_test(t, ports_that_are_absent, 0, 2);
    tcase_add_loop_test(t, pci_functions_that_are_absent, 0, 2);
    tcase_add_loop_test(t, the_io_bitmap, 0, 2);
    tcase_add_loop_test(t, efer, 0, 2);
    tcase_add_loop_test(t, msrs_the_guest_is_not_to_see, 0, 2);
    tcase_add_loop_test(t, microcode, 0, 2);
    tcase_add_loop_test(t, control_registers, 0, 2);
    tcase_add_loop_test(t, xsetbv, 0, 2);
    tcase_add_loop_test(t, parking_says_why, 0, 2);
    tcase_add_loop_test(t, the_first_end_counts, 0, 2);
    tcase_add_loop_test(t, wbinvd_makes_suspect_with_interrupts_off, 0, 2);
    tcase_add_loop_test(t, local_apic_msrs, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("policy", suite)
