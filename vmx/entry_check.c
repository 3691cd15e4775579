/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. One function per section of the manual, one RULE per sentence. A RULE that does not hold ends the check with
   its text. Rules about controls that Sojourn never sets (posted interrupts, SMM, TPR shadow, MSR lists) are reduced
   to "the field is zero" or to the allowed-bits check, which covers them. */
#include "vmx/entry_check.h"

#define RULE(holds, text)                                                                                              \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            return text;                                                                                               \
    } while (0)

#define V(name) (v[VI_##name])

#define DEBUGCTL_RESERVED (MASK(63, 16) | MASK(5, 3)) /* bit 2: bus-lock trap */
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define RFLAGS_RESERVED (MASK(63, 22) | BIT(15) | BIT(5) | BIT(3))
#define INTERRUPTIBILITY_RESERVED (~(uint64_t)MASK(4, 0))
#define PENDING_DEBUG_RESERVED (MASK(63, 17) | BIT(15) | BIT(13) | MASK(11, 4))
#define INTR_INFO_RESERVED MASK(30, 12)
#define ERROR_CODE_RESERVED MASK(31, 15)
#define SELECTOR_TI BIT(2)
#define SELECTOR_RPL MASK(1, 0)
#define AR_RESERVED (MASK(31, 17) | MASK(11, 8))
#define PDPTE_RESERVED (MASK(63, 52) | MASK(8, 5) | MASK(2, 1))
#define MAX_INSN_LEN 15u
#define VECTOR_DB 1u
#define VECTOR_NMI_ 2u
#define VECTOR_MC 18u
/* Types of code and data segments: SDM 3A table "Code- and Data-Segment Types"; system: "System-Segment Types". */
#define TYPE_ACCESSED 1u
#define TYPE_WRITABLE 2u
#define TYPE_CODE 8u
#define TYPE_DATA_RW 3u
#define TYPE_LDT 2u
#define TYPE_TSS16_BUSY 3u
#define TYPE_TSS_BUSY 11u
#define V86_AR 0xf3u
#define V86_LIMIT 0xffffu

static bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static bool physical(const struct vmx_caps *caps, uint64_t address)
{
    return !(address >> caps->phys_bits);
}

/* SDM 3A 12.12.2 "IA32_PAT MSR": each byte is 0, 1, 4, 5, 6 or 7. */
static bool pat_valid(uint64_t pat)
{
    for (unsigned i = 0; i < 64; i += 8) {
        unsigned type = (unsigned)(pat >> i & 0xff);
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool allowed(const struct vmx_caps *caps, enum vmx_ctl which, uint64_t value)
{
    return (value & caps->allowed0[which]) == caps->allowed0[which] && !(value & ~(uint64_t)caps->allowed1[which]);
}

/* 27.2.1 "Checks on VMX Controls" */
static const char *check_controls(const uint64_t *v, const struct vmx_caps *caps)
{
    static const struct {
        enum vmcs_index row;
        const char *text;
    } ctl[] = {
        [CTL_PIN] = {VI_PIN_CONTROLS, "PIN_CONTROLS: a bit the CPU does not allow"},
        [CTL_PROC] = {VI_PROC_CONTROLS, "PROC_CONTROLS: a bit the CPU does not allow"},
        [CTL_PROC2] = {VI_PROC2_CONTROLS, "PROC2_CONTROLS: a bit the CPU does not allow"},
        [CTL_EXIT] = {VI_EXIT_CONTROLS, "EXIT_CONTROLS: a bit the CPU does not allow"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(ctl); i++)
        RULE(allowed(caps, (enum vmx_ctl)i, v[ctl[i].row]), ctl[i].text);
    RULE(V(CR3_TARGET_COUNT) <= 4, "CR3_TARGET_COUNT: at most 4");
    RULE(!((V(IO_BITMAP_A) | V(IO_BITMAP_B)) & (PAGE_BYTES - 1)) && physical(caps, V(IO_BITMAP_A)) &&
             physical(caps, V(IO_BITMAP_B)),
         "IO_BITMAP: a page-aligned physical address");
    RULE(!(V(MSR_BITMAP) & (PAGE_BYTES - 1)) && physical(caps, V(MSR_BITMAP)),
         "MSR_BITMAP: a page-aligned physical address");
    RULE((V(PIN_CONTROLS) & PIN_NMI_EXIT) || !(V(PIN_CONTROLS) & PIN_VIRTUAL_NMIS),
         "PIN_CONTROLS: virtual NMIs need NMI exiting");
    RULE((V(PIN_CONTROLS) & PIN_VIRTUAL_NMIS) || !(V(PROC_CONTROLS) & PROC_NMI_WINDOW),
         "PROC_CONTROLS: NMI-window exiting needs virtual NMIs");
    RULE(!(V(PROC2_CONTROLS) & PROC2_VPID) || V(VPID) != 0, "VPID: not 0");
    RULE((V(PROC2_CONTROLS) & PROC2_EPT) || !(V(PROC2_CONTROLS) & PROC2_UNRESTRICTED),
         "PROC2_CONTROLS: unrestricted guest needs EPT");
    RULE((V(EPT_POINTER) & MASK(2, 0)) == EPTP_TYPE_WB && (V(EPT_POINTER) & MASK(5, 3)) == EPTP_WALK_4,
         "EPT_POINTER: write-back, four levels");
    RULE(!(V(EPT_POINTER) & EPTP_AD) || caps->ad, "EPT_POINTER: the CPU has no A/D bits");
    RULE(!(V(PML_ADDRESS) & (PAGE_BYTES - 1)) && physical(caps, V(PML_ADDRESS)),
         "PML_ADDRESS: a page-aligned physical address");
    RULE(!(V(EPT_POINTER) & MASK(11, 7)) && physical(caps, V(EPT_POINTER)), "EPT_POINTER: reserved bits");
    RULE(V(GUEST_LINK_POINTER) == ~0ull, "GUEST_LINK_POINTER: none");
    RULE(!V(EXIT_MSR_STORE_COUNT) && !V(EXIT_MSR_LOAD_COUNT) && !V(ENTRY_MSR_LOAD_COUNT),
         "EXIT_MSR_STORE_COUNT and its like: no MSR lists are used");
    return NULL;
}

/* 27.2.1.3 "VM-Entry Control Fields", event injection */
static const char *check_event(const uint64_t *v)
{
    uint64_t info = V(ENTRY_INTR_INFO), vector = info & INTR_INFO_VECTOR;
    if (!(info & INTR_INFO_VALID))
        return NULL;
    unsigned type = (unsigned)bits_get(info, INTR_INFO_TYPE_HI, INTR_INFO_TYPE_LO);
    bool software = type == EVENT_SOFT_INT || type == EVENT_PRIV_SOFT || type == EVENT_SOFT_EXC;
    RULE(type != 1 && type != 7, "ENTRY_INTR_INFO: type 1 and 7 are reserved");
    RULE(type != EVENT_NMI || vector == VECTOR_NMI_, "ENTRY_INTR_INFO: an NMI has vector 2");
    RULE(type != EVENT_EXCEPTION || vector <= 31, "ENTRY_INTR_INFO: an exception has a vector up to 31");
    RULE(!(info & INTR_INFO_RESERVED), "ENTRY_INTR_INFO: reserved bits");
    if (info & INTR_INFO_ERROR) {
        RULE(type == EVENT_EXCEPTION && (V(GUEST_CR0) & CR0_PE),
             "ENTRY_INTR_INFO: error codes are for exceptions in protected mode");
        RULE(!(V(ENTRY_INTR_ERROR) & ERROR_CODE_RESERVED), "ENTRY_INTR_ERROR: bits 31:15 are 0");
    }
    RULE(!software || (V(ENTRY_INSN_LEN) >= 1 && V(ENTRY_INSN_LEN) <= MAX_INSN_LEN),
         "ENTRY_INSN_LEN: 1 to 15 for a software event");
    return NULL;
}

/* 27.2.2 "Checks on Host Control Registers, MSRs, and SSP" to 27.2.4 "Checks Related to Address-Space Size" */
static const char *check_host(const uint64_t *v, const struct vmx_caps *caps)
{
    RULE(physical(caps, V(HOST_CR3)), "HOST_CR3: beyond the physical address width");
    RULE(canonical(V(HOST_SYSENTER_ESP)) && canonical(V(HOST_SYSENTER_EIP)), "HOST_SYSENTER: not canonical");
    RULE(pat_valid(V(HOST_PAT)), "HOST_PAT: a reserved memory type");
    RULE(!(V(HOST_EFER) & ~(uint64_t)EFER_KNOWN) && (V(HOST_EFER) & EFER_LME) && (V(HOST_EFER) & EFER_LMA),
         "HOST_EFER: LMA and LME set, no reserved bit");
    static const enum vmcs_index selectors[] = {VI_HOST_CS_SELECTOR, VI_HOST_SS_SELECTOR, VI_HOST_DS_SELECTOR,
                                                VI_HOST_ES_SELECTOR, VI_HOST_FS_SELECTOR, VI_HOST_GS_SELECTOR,
                                                VI_HOST_TR_SELECTOR};
    for (unsigned i = 0; i < ARRAY_LEN(selectors); i++)
        RULE(!(v[selectors[i]] & (SELECTOR_TI | SELECTOR_RPL)), "HOST_SELECTOR: RPL and TI are 0");
    RULE(V(HOST_CS_SELECTOR) && V(HOST_TR_SELECTOR), "HOST_SELECTOR: CS and TR are not null");
    RULE(canonical(V(HOST_FS_BASE)) && canonical(V(HOST_GS_BASE)) && canonical(V(HOST_GDTR_BASE)) &&
             canonical(V(HOST_IDTR_BASE)) && canonical(V(HOST_TR_BASE)),
         "HOST_BASE: not canonical");
    RULE(V(EXIT_CONTROLS) & EXIT_CTL_HOST_64, "EXIT_CONTROLS: the host is 64-bit");
    RULE(V(HOST_RIP) && canonical(V(HOST_RIP)), "HOST_RIP: canonical and there");
    return NULL;
}

/* The rest of 27.2.1 and 27.2.2: what each load may change. */
static const char *check_loaded(const uint64_t *v, const struct vmx_caps *caps)
{
    RULE(allowed(caps, CTL_ENTRY, V(ENTRY_CONTROLS)), "ENTRY_CONTROLS: a bit the CPU does not allow");
    RULE((V(HOST_CR0) & caps->host_cr0_fixed0) == caps->host_cr0_fixed0 && !(V(HOST_CR0) & ~caps->cr0_fixed1),
         "HOST_CR0: a fixed bit");
    RULE((V(HOST_CR4) & caps->cr4_fixed0) == caps->cr4_fixed0 && !(V(HOST_CR4) & ~caps->cr4_fixed1),
         "HOST_CR4: a fixed bit");
    RULE(V(HOST_CR4) & CR4_PAE, "HOST_CR4: PAE set");
    return NULL;
}

/* 27.3.1.1 "Checks on Guest Control Registers, Debug Registers, and MSRs" */
static const char *check_guest_control(const uint64_t *v, const struct vmx_caps *caps)
{
    bool ia32e = V(ENTRY_CONTROLS) & ENTRY_CTL_IA32E;
    RULE((V(GUEST_CR0) & caps->cr0_fixed0) == caps->cr0_fixed0 && !(V(GUEST_CR0) & ~caps->cr0_fixed1),
         "GUEST_CR0: a fixed bit");
    RULE((V(GUEST_CR0) & CR0_PE) || !(V(GUEST_CR0) & CR0_PG), "GUEST_CR0: PG needs PE");
    RULE((V(GUEST_CR4) & caps->cr4_fixed0) == caps->cr4_fixed0 && !(V(GUEST_CR4) & ~caps->cr4_fixed1),
         "GUEST_CR4: a fixed bit");
    RULE((V(GUEST_CR0) & CR0_WP) || !(V(GUEST_CR4) & CR4_CET), "GUEST_CR4: CET needs CR0.WP");
    RULE(!(V(GUEST_DEBUGCTL) & DEBUGCTL_RESERVED), "GUEST_DEBUGCTL: reserved bits");
    if (ia32e) {
        RULE(V(GUEST_CR0) & CR0_PG, "GUEST_CR0: PG set in IA-32e mode");
        RULE(V(GUEST_CR4) & CR4_PAE, "GUEST_CR4: PAE set in IA-32e mode");
    } else {
        RULE(!(V(GUEST_CR4) & CR4_PCIDE), "GUEST_CR4: PCIDE needs IA-32e mode");
    }
    RULE(physical(caps, V(GUEST_CR3)), "GUEST_CR3: beyond the physical address width");
    RULE(!(V(GUEST_DR7) >> 32), "GUEST_DR7: bits 63:32 are 0");
    RULE(canonical(V(GUEST_SYSENTER_ESP)) && canonical(V(GUEST_SYSENTER_EIP)), "GUEST_SYSENTER: not canonical");
    RULE(pat_valid(V(GUEST_PAT)), "GUEST_PAT: a reserved memory type");
    RULE(!(V(GUEST_EFER) & ~(uint64_t)EFER_KNOWN), "GUEST_EFER: reserved bits");
    RULE(ia32e == !!(V(GUEST_EFER) & EFER_LMA), "GUEST_EFER: LMA as the IA-32e mode control");
    RULE(!(V(GUEST_CR0) & CR0_PG) || !!(V(GUEST_EFER) & EFER_LMA) == !!(V(GUEST_EFER) & EFER_LME),
         "GUEST_EFER: LMA as LME while paging");
    return NULL;
}

static bool usable(const uint64_t *v, enum sreg seg)
{
    return !(v[VI_GUEST_ES_AR + seg] & AR_UNUSABLE);
}

static unsigned dpl(const uint64_t *v, enum sreg seg)
{
    return (unsigned)bits_get(v[VI_GUEST_ES_AR + seg], AR_DPL_SHIFT + 1, AR_DPL_SHIFT);
}

static unsigned type_of(const uint64_t *v, enum sreg seg)
{
    return (unsigned)(v[VI_GUEST_ES_AR + seg] & AR_TYPE_MASK);
}

/* "If any bit in the limit field in the range 11:0 is 0, G must be 0; if any in 31:20 is 1, G must be 1." */
static bool granular(const uint64_t *v, enum sreg seg)
{
    uint64_t limit = v[VI_GUEST_ES_LIMIT + seg];
    bool g = v[VI_GUEST_ES_AR + seg] & AR_G;
    return !((limit & MASK(11, 0)) != MASK(11, 0) && g) && !((limit & MASK(31, 20)) && !g);
}

static const char *check_v86(const uint64_t *v)
{
    for (unsigned i = SREG_ES; i <= SREG_GS; i++) {
        RULE(v[VI_GUEST_ES_BASE + i] == v[VI_GUEST_ES_SELECTOR + i] << 4, "GUEST_SEGMENT: virtual-8086 base");
        RULE(v[VI_GUEST_ES_LIMIT + i] == V86_LIMIT, "GUEST_SEGMENT: virtual-8086 limit");
        RULE(v[VI_GUEST_ES_AR + i] == V86_AR, "GUEST_SEGMENT: virtual-8086 access rights");
    }
    return NULL;
}

static const char *check_cs_ss(const uint64_t *v)
{
    bool real = !(V(GUEST_CR0) & CR0_PE), ia32e = V(ENTRY_CONTROLS) & ENTRY_CTL_IA32E;
    unsigned cs = type_of(v, SREG_CS), ss = type_of(v, SREG_SS);
    RULE(usable(v, SREG_CS), "GUEST_CS_AR: usable");
    RULE(cs == TYPE_DATA_RW || ((cs & TYPE_CODE) && (cs & TYPE_ACCESSED)),
         "GUEST_CS_AR: accessed code, or data type 3");
    if (cs == TYPE_DATA_RW)
        RULE(dpl(v, SREG_CS) == 0, "GUEST_CS_AR: DPL 0 for type 3");
    else if (cs == 9 || cs == 11)
        RULE(dpl(v, SREG_CS) == dpl(v, SREG_SS), "GUEST_CS_AR: DPL as that of SS");
    else
        RULE(dpl(v, SREG_CS) <= dpl(v, SREG_SS), "GUEST_CS_AR: DPL at most that of SS");
    RULE(!(ia32e && (V(GUEST_CS_AR) & AR_L) && (V(GUEST_CS_AR) & AR_DB)), "GUEST_CS_AR: L and D exclude each other");
    RULE(!usable(v, SREG_SS) || ss == TYPE_DATA_RW || ss == 7, "GUEST_SS_AR: writable accessed data");
    RULE(!(real || cs == TYPE_DATA_RW) || dpl(v, SREG_SS) == 0, "GUEST_SS_AR: DPL 0 in real mode or with CS type 3");
    return NULL;
}

static const char *check_system_segments(const uint64_t *v)
{
    bool ia32e = V(ENTRY_CONTROLS) & ENTRY_CTL_IA32E;
    unsigned tr = type_of(v, SREG_TR);
    RULE(usable(v, SREG_TR), "GUEST_TR_AR: usable");
    RULE(tr == TYPE_TSS_BUSY || (!ia32e && tr == TYPE_TSS16_BUSY), "GUEST_TR_AR: a busy TSS");
    RULE(!(V(GUEST_TR_SELECTOR) & SELECTOR_TI), "GUEST_TR_SELECTOR: TI is 0");
    RULE(!(V(GUEST_TR_AR) & AR_S) && (V(GUEST_TR_AR) & AR_P) && !(V(GUEST_TR_AR) & AR_RESERVED),
         "GUEST_TR_AR: a present system segment");
    RULE(granular(v, SREG_TR), "GUEST_TR_LIMIT: granularity");
    RULE(canonical(V(GUEST_TR_BASE)), "GUEST_TR_BASE: canonical");
    if (usable(v, SREG_LDTR)) {
        RULE(!(V(GUEST_LDTR_SELECTOR) & SELECTOR_TI), "GUEST_LDTR_SELECTOR: TI is 0");
        RULE(type_of(v, SREG_LDTR) == TYPE_LDT && !(V(GUEST_LDTR_AR) & AR_S) && (V(GUEST_LDTR_AR) & AR_P) &&
                 !(V(GUEST_LDTR_AR) & AR_RESERVED),
             "GUEST_LDTR_AR: a present LDT");
        RULE(granular(v, SREG_LDTR), "GUEST_LDTR_LIMIT: granularity");
        RULE(canonical(V(GUEST_LDTR_BASE)), "GUEST_LDTR_BASE: canonical");
    }
    return NULL;
}

/* 27.3.1.2 "Checks on Guest Segment Registers", for an unrestricted guest */
static const char *check_segments(const uint64_t *v)
{
    const char *broken = check_system_segments(v);
    if (broken)
        return broken;
    RULE(canonical(V(GUEST_FS_BASE)) && canonical(V(GUEST_GS_BASE)), "GUEST_FS_BASE or GS_BASE: canonical");
    RULE(!(V(GUEST_CS_BASE) >> 32), "GUEST_CS_BASE: bits 63:32 are 0");
    for (unsigned i = SREG_ES; i <= SREG_DS; i++) {
        if (i != SREG_CS && usable(v, (enum sreg)i))
            RULE(!(v[VI_GUEST_ES_BASE + i] >> 32), "GUEST_ES_BASE, SS_BASE or DS_BASE: bits 63:32 are 0");
    }
    if (V(GUEST_RFLAGS) & RFLAGS_VM)
        return check_v86(v);
    broken = check_cs_ss(v);
    if (broken)
        return broken;
    for (unsigned i = SREG_ES; i <= SREG_GS; i++) {
        enum sreg seg = (enum sreg)i;
        if (!usable(v, seg))
            continue;
        uint64_t ar = v[VI_GUEST_ES_AR + i];
        unsigned type = (unsigned)(ar & AR_TYPE_MASK);
        RULE((ar & AR_S) && (ar & AR_P) && !(ar & AR_RESERVED), "GUEST_SEGMENT: present, not system, no reserved bit");
        RULE(granular(v, seg), "GUEST_SEGMENT: granularity");
        if (seg == SREG_CS || seg == SREG_SS)
            continue;
        RULE((type & TYPE_ACCESSED) && (!(type & TYPE_CODE) || (type & TYPE_WRITABLE)),
             "GUEST_SEGMENT: accessed and readable");
    }
    return NULL;
}

/* 27.3.1.3 "Checks on Guest Descriptor-Table Registers", 27.3.1.4 "Checks on Guest RIP, RFLAGS, and SSP" */
static const char *check_tables_rip(const uint64_t *v)
{
    bool ia32e = V(ENTRY_CONTROLS) & ENTRY_CTL_IA32E, long_code = ia32e && (V(GUEST_CS_AR) & AR_L);
    uint64_t info = V(ENTRY_INTR_INFO);
    RULE(canonical(V(GUEST_GDTR_BASE)), "GUEST_GDTR_BASE: canonical");
    RULE(canonical(V(GUEST_IDTR_BASE)), "GUEST_IDTR_BASE: canonical");
    RULE(V(GUEST_GDTR_LIMIT) <= UINT16_MAX, "GUEST_GDTR_LIMIT: bits 31:16 are 0");
    RULE(V(GUEST_IDTR_LIMIT) <= UINT16_MAX, "GUEST_IDTR_LIMIT: bits 31:16 are 0");
    RULE(long_code || !(V(GUEST_RIP) >> 32), "GUEST_RIP: bits 63:32 are 0 outside 64-bit code");
    RULE(!long_code || canonical(V(GUEST_RIP)), "GUEST_RIP: canonical");
    RULE(!(V(GUEST_RFLAGS) & RFLAGS_RESERVED) && (V(GUEST_RFLAGS) & RFLAGS_FIXED), "GUEST_RFLAGS: reserved bits");
    RULE(!(V(GUEST_RFLAGS) & RFLAGS_VM) || (!ia32e && (V(GUEST_CR0) & CR0_PE)),
         "GUEST_RFLAGS: VM only in protected mode");
    RULE(!(info & INTR_INFO_VALID) || bits_get(info, INTR_INFO_TYPE_HI, INTR_INFO_TYPE_LO) != EVENT_EXTINT ||
             (V(GUEST_RFLAGS) & RFLAGS_IF),
         "GUEST_RFLAGS: IF set to inject an interrupt");
    return NULL;
}

/* 27.3.1.5 "Checks on Guest Non-Register State" */
static const char *check_nonregister(const uint64_t *v, const struct vmx_caps *caps)
{
    uint64_t block = V(GUEST_INTERRUPTIBILITY), info = V(ENTRY_INTR_INFO), activity = V(GUEST_ACTIVITY);
    unsigned type = (unsigned)bits_get(info, INTR_INFO_TYPE_HI, INTR_INFO_TYPE_LO);
    uint64_t vector = info & INTR_INFO_VECTOR;
    bool valid = info & INTR_INFO_VALID, shadow = block & (BLOCK_STI | BLOCK_MOV_SS);
    RULE(activity <= ACTIVITY_WAIT_SIPI, "GUEST_ACTIVITY: 0 to 3");
    RULE(activity != ACTIVITY_HLT || caps->activity_hlt, "GUEST_ACTIVITY: the CPU has no HLT state");
    RULE(activity != ACTIVITY_HLT || dpl(v, SREG_SS) == 0, "GUEST_ACTIVITY: HLT only at CPL 0");
    RULE(!shadow || activity == ACTIVITY_ACTIVE, "GUEST_ACTIVITY: active while STI or MOV SS blocks");
    if (valid) {
        bool wakes = type == EVENT_EXTINT || type == EVENT_NMI ||
                     (type == EVENT_EXCEPTION && (vector == VECTOR_DB || vector == VECTOR_MC));
        bool ends = type == EVENT_NMI || (type == EVENT_EXCEPTION && vector == VECTOR_MC);
        RULE(activity != ACTIVITY_HLT || wakes, "ENTRY_INTR_INFO: not into HLT");
        RULE(activity != ACTIVITY_SHUTDOWN || ends, "ENTRY_INTR_INFO: not into shutdown");
        RULE(activity != ACTIVITY_WAIT_SIPI, "ENTRY_INTR_INFO: not into wait-for-SIPI");
        RULE(!shadow || type != EVENT_EXTINT, "GUEST_INTERRUPTIBILITY: an interrupt is blocked");
        RULE(!shadow || type != EVENT_NMI, "GUEST_INTERRUPTIBILITY: an NMI is blocked by STI or MOV SS");
        RULE(!(block & BLOCK_NMI) || type != EVENT_NMI || !(V(PIN_CONTROLS) & PIN_VIRTUAL_NMIS),
             "GUEST_INTERRUPTIBILITY: NMIs are blocked");
    }
    RULE(!(block & INTERRUPTIBILITY_RESERVED), "GUEST_INTERRUPTIBILITY: reserved bits");
    RULE((block & (BLOCK_STI | BLOCK_MOV_SS)) != (BLOCK_STI | BLOCK_MOV_SS),
         "GUEST_INTERRUPTIBILITY: STI and MOV SS exclude each other");
    RULE((V(GUEST_RFLAGS) & RFLAGS_IF) || !(block & BLOCK_STI), "GUEST_INTERRUPTIBILITY: STI blocks only with IF");
    RULE(!(V(GUEST_PENDING_DEBUG) & PENDING_DEBUG_RESERVED), "GUEST_PENDING_DEBUG: reserved bits");
    if (shadow || activity == ACTIVITY_HLT) {
        bool steps = (V(GUEST_RFLAGS) & RFLAGS_TF) && !(V(GUEST_DEBUGCTL) & DEBUGCTL_BTF);
        RULE(steps == !!(V(GUEST_PENDING_DEBUG) & PENDING_DEBUG_BS), "GUEST_PENDING_DEBUG: BS as TF while blocked");
    }
    return NULL;
}

/* 27.3.1.6 "Checks on Guest Page-Directory-Pointer-Table Entries" */
static const char *check_pdptes(const uint64_t *v, const struct vmx_caps *caps)
{
    if (!vmx_is_pae(V(GUEST_CR0), V(GUEST_CR4), V(GUEST_EFER)))
        return NULL;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t pdpte = v[VI_GUEST_PDPTE0 + i];
        RULE(!(pdpte & BIT(0)) || (!(pdpte & PDPTE_RESERVED) && physical(caps, pdpte)), "GUEST_PDPTE: reserved bits");
    }
    return NULL;
}

SELDOM const char *vmx_entry_check_fixed(const struct vmx_rows *rows, const struct vmx_caps *caps)
{
    const char *broken = check_controls(rows->value, caps);
    return broken ? broken : check_host(rows->value, caps);
}

const char *vmx_entry_check(const struct vmx_rows *rows, const struct vmx_caps *caps)
{
    const uint64_t *v = rows->value;
    const char *broken = check_loaded(v, caps);
    if (!broken)
        broken = check_event(v);
    if (!broken)
        broken = check_guest_control(v, caps);
    if (!broken)
        broken = check_segments(v);
    if (!broken)
        broken = check_tables_rip(v);
    if (!broken)
        broken = check_nonregister(v, caps);
    if (!broken)
        broken = check_pdptes(v, caps);
    return broken;
}
