/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. What a virtualization vendor must do for the core: one table of functions for VMX, one for SVM, chosen
   once from CPUID. The vendor decodes an exit into struct vm_exit; kernel/policy.c handles it once for both. */
#ifndef SOJOURN_BACKEND_H
#define SOJOURN_BACKEND_H

#include "err.h"
#include "types.h"
#include "vcpu_state.h"

/* clang-format off */
#define EXIT_LIST(X) \
    X(EXIT_UNKNOWN, "unknown") X(EXIT_EXCEPTION, "exception") X(EXIT_NMI, "nmi") X(EXIT_INTR, "intr") \
    X(EXIT_TICK, "tick") X(EXIT_INTR_WINDOW, "intr_window") X(EXIT_NMI_WINDOW, "nmi_window") X(EXIT_IRET, "iret") \
    X(EXIT_CPUID, "cpuid") X(EXIT_HLT, "hlt") X(EXIT_IO, "io") X(EXIT_RDMSR, "rdmsr") X(EXIT_WRMSR, "wrmsr") \
    X(EXIT_CR, "cr") X(EXIT_XSETBV, "xsetbv") X(EXIT_NPF, "npf") X(EXIT_INVD, "invd") X(EXIT_WBINVD, "wbinvd") X(EXIT_VMINSN, "vminsn") \
    X(EXIT_TRIPLE_FAULT, "triple_fault") X(EXIT_INIT, "init") X(EXIT_SIPI, "sipi") X(EXIT_TASK_SWITCH, "task_switch") \
    X(EXIT_MONITOR, "monitor") X(EXIT_RSM, "rsm") X(EXIT_ENTRY_FAILED, "entry_failed") \
    X(EXIT_NMI_HOST, "nmi_host") X(EXIT_DIRTY_LOG, "dirty_log")
/* clang-format on */

enum exit_kind {
#define X(kind, name) kind,
    EXIT_LIST(X)
#undef X
        EXIT_KIND_COUNT
};

/* One exit, decoded. Only the members that belong to kind are meaningful. */
struct vm_exit {
    enum exit_kind kind;
    uint64_t raw;       /* the vendor's own number, for the dump */
    uint64_t raw_info1; /* exit qualification; EXITINFO1 */
    uint64_t raw_info2; /* guest linear address; EXITINFO2 */
    uint32_t insn_len;  /* bytes to skip once handled; 0: not known from the exit */
    union {
        struct {
            uint16_t port;
            uint8_t bytes; /* 1, 2, 4 */
            bool in, string, rep;
        } io;
        struct {
            uint8_t number; /* 0, 3, 4, 8 */
            uint8_t gpr;    /* source register of a MOV to CR (enum gpr); for CLTS/LMSW see value */
            bool write, has_value;
            uint64_t value; /* when has_value: the whole new CR value */
        } cr;
        struct {
            gpa_t gpa;
            bool read, write, fetch, present; /* the access; present: a mapping existed but refused it */
            bool table_walk;                  /* the guest's own page walk did it, not an operand */
        } npf;
        struct {
            uint8_t vector;
            bool has_error_code;
            uint32_t error_code;
            uint64_t address; /* #PF */
        } exception;
        uint8_t sipi_vector;
    };
};

/* Registers the policy may read and write one by one between two entries; the general ones are vcpu->gpr[]. */
enum vreg {
    VREG_RIP,
    VREG_RFLAGS,
    VREG_CR0,
    VREG_CR3,
    VREG_CR4,
    VREG_EFER,
    VREG_CS_AR,
    VREG_CS_BASE,
    VREG_SS_AR,
    VREG_IDT_BASE,
    VREG_IDT_LIMIT
};

#define INTERRUPTIBILITY_NMI BIT32(3)

/* Optional interceptions, off unless asked for. */
enum vtrap {
    VTRAP_TICK,        /* value: microseconds to the next EXIT_TICK while the guest runs; 0 off. E_NOTYET: no timer */
    VTRAP_INTR,        /* value 1: exit before the next external interrupt is delivered */
    VTRAP_IRET,        /* value 1: exit on the next IRET (SVM) */
    VTRAP_INTR_WINDOW, /* value 1: exit when the guest can take an interrupt (VMX) */
    VTRAP_HLT,         /* value 1: exit on HLT. E_NOTYET: the timer does as well */
    VTRAP_ICR,         /* value 1: exit on writes of x2APIC's ICR. Memory only: any CPU may call it, at any time */
};

/* What tells which pages a virtual guest writes to, from worst to best. */
enum dirty_source {
    DIRTY_BY_FAULT, /* write permission is withdrawn, and the first write faults */
    DIRTY_BY_BIT,   /* the CPU sets the dirty bit of the second-level entry */
    DIRTY_BY_LOG,   /* it does, and logs the page when it does */
};

struct vcpu {
    uint64_t gpr[GPR_COUNT];    /* RSP included: valid between entries */
    uint32_t cpu;               /* index */
    bool nmi_pending;           /* a guest NMI to inject as soon as the guest can take it */
    struct vcpu_event event;    /* to inject at the next entry; the vendor fills it from an interrupted delivery */
    volatile uint64_t host_nmi; /* NMIs the host's own handler took and nobody has looked at yet */
    uint64_t cr2;               /* VMX: no control structure holds it */
    void *vendor;               /* the vendor's per-CPU structures */
    /* VMSR_* bits: what the control structure switches, or a VM exit clobbers. All other MSRs are the guest's all the
       time. Set by init_cpu. */
    uint64_t switched_msrs;
    uint64_t entry_tsc;                    /* right before the last entry */
    uint64_t host_gdt_base, host_tss_base; /* this CPU's, for the VMCS host state */
    enum dirty_source dirty;               /* set by init_cpu; the same on all CPUs */
    uint32_t flush_seen;                   /* virt_env.flush_epoch at the last flush */
};

/* What the CPU lacks, in words; filled by probe for screen and log. */
struct backend_report {
    enum err why;
    char text[160];
};

struct second_level; /* ept/second_level.h: the translation tree */

struct backend {
    const char *name; /* "vmx", "svm" */
    /* Can this CPU carry us? Reads CPUID and MSRs, changes nothing. */
    enum err (*probe)(struct backend_report *report);
    /* Once per CPU, at boot, by the leader: allocates from the pool, resolves controls for the leader's capabilities.
       Root and bitmaps belong to the core. */
    enum err (*init_cpu)(struct vcpu *v);
    /* The same CPU itself, later: is it as capable as the leader? */
    enum err (*check_cpu)(struct vcpu *v);
    /* VMXON / EFER.SVME=1, and off again. The caller has saved what they clobber in native state. */
    enum err (*on)(struct vcpu *v);
    enum err (*off)(struct vcpu *v);
    /* Build the control structure from s, from scratch. check: by the pure entry rules, before anything is built; else the
       caller knows that they hold (segments_are_plain()). CPU must be on. */
    enum err (*load)(struct vcpu *v, const struct vcpu_state *s, bool check);
    /* Read everything the control structure (or a register the CPU switches with it) holds back into s. Members that
       the guest owns in place while virtual (CR2, DR0-3, DR6, XCR0, XSAVE, most MSRs) are captured by kernel/state.c. */
    enum err (*save)(struct vcpu *v, struct vcpu_state *s);
    /* One entry and one exit. E_OK with x filled (EXIT_NMI_HOST when an NMI hit the host before entry), else E_VMENTRY
       / E_SVMFAIL with the reason logged. */
    enum err (*run)(struct vcpu *v, struct vm_exit *x);
    uint64_t (*get)(struct vcpu *v, enum vreg r);
    void (*set)(struct vcpu *v, enum vreg r, uint64_t value);
    enum err (*trap)(struct vcpu *v, enum vtrap t, uint64_t value);
    /* STI / MOV SS / NMI blocking now in force, as bits 0, 1, 3 (SDM 3C table "Interruptibility State"). */
    uint32_t (*interruptibility)(struct vcpu *v);
    void (*clear_interrupt_shadow)(struct vcpu *v); /* after skipping an instruction */
    /* Guest TSC = TSC + offset from the next entry on; 0 is what leaving needs. NULL: the vendor's CPUs never need it. */
    void (*set_tsc_offset)(struct vcpu *v, int64_t offset);
    void (*flush)(struct vcpu *v); /* second-level rights were withdrawn, or the guest's TLB must go */
    /* DIRTY_BY_LOG only, else NULL: each page in this CPU's log, and empty it. On that CPU, guest loaded. */
    void (*dirty_log)(struct vcpu *v, void (*note)(gpa_t page));
    /* Everything about v for the park dump, line by line. */
    void (*dump)(struct vcpu *v, void (*line)(const char *text));
};

extern const struct backend vmx_backend;
extern const struct backend svm_backend;

const char *exit_name(enum exit_kind kind);

#endif
