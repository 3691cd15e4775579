/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Every failure Sojourn can report: the code programs read, and the text people read, which says the
   next step where there is one. The origin logs the numbers once; callers pass the code up. */
#ifndef SOJOURN_ERR_H
#define SOJOURN_ERR_H

#include "types.h"

/* clang-format off */
#define ERR_LIST(X) \
    X(E_OK, "done") \
    /* console and options */ \
    X(E_SYNTAX, "not understood; type help for the commands") \
    X(E_UNKNOWN, "no such command; type help for the commands") \
    X(E_AMBIGUOUS, "abbreviation fits several commands; type more of it") \
    X(E_USAGE, "wrong arguments; type help COMMAND") \
    X(E_TOOLONG, "line too long") \
    X(E_CONFIRM, "this destroys data; add --yes") \
    X(E_OPTION, "unknown option or value; the default is used") \
    X(E_NOTYET, "not available in this version") \
    X(E_CUT, "the answer was cut short; ask again") \
    X(E_BUSY, "another activity is under way; try again when it has ended") \
    /* boot */ \
    X(E_NOMULTIBOOT, "not started by a Multiboot2 loader; load sojourn.elf with GRUB's multiboot2 command") \
    X(E_BADTAG, "the loader's information is damaged") \
    X(E_NOMODULE, "no guest module; add a module2 line for the kernel") \
    X(E_BADMODULE, "the guest module is neither a Linux bzImage nor a Multiboot 1 ELF kernel") \
    X(E_BADKERNEL, "the guest kernel's header is damaged or too old") \
    X(E_NOMEM, "not enough memory") \
    X(E_OVERLAP, "the guest's pieces do not fit into memory without overlapping") \
    X(E_NOCPU, "this CPU has neither VMX nor SVM") \
    X(E_LOCKED, "virtualization is locked off by the firmware: enable it in Setup") \
    X(E_NOEPT, "this CPU has VMX or SVM but no second-level translation (EPT or NPT)") \
    X(E_NOFEATURE, "this CPU lacks a required virtualization feature") \
    X(E_ACPI, "the firmware's ACPI tables are damaged") \
    X(E_SMP, "this machine has more CPUs than can be told apart; 64 with APIC ids up to 254") \
    /* virtualization */ \
    X(E_VMXFAIL, "a VMX instruction failed") \
    X(E_VMENTRY, "the CPU refused the guest state") \
    X(E_SVMFAIL, "VMRUN refused the guest state") \
    X(E_STATE, "the guest state breaks a rule of VM entry") \
    X(E_PARKED, "the guest is parked; restore a checkpoint or reboot") \
    X(E_NOGUEST, "no guest is running") \
    /* transitions */ \
    X(E_MODE, "the guest's CPU mode cannot be switched in; it stays as it is") \
    X(E_SEGMENT, "a segment register differs from the guest's descriptor table") \
    X(E_BLOCKED, "the guest is in an interrupt shadow or an event is being delivered") \
    X(E_NOIDT, "the guest's interrupt descriptor table is not usable") \
    X(E_NOSLOT, "no free slot beside the guest's interrupt descriptor table") \
    X(E_GATE, "the guest's NMI gate is not an interrupt gate that can be patched") \
    X(E_LA57, "the guest runs five-level paging, which cannot be left yet") \
    X(E_CET, "the guest uses supervisor CET, which cannot be left yet") \
    X(E_GDT, "the guest's descriptor table cannot be carried over") \
    X(E_NOAPIC, "the local APIC is switched off, so there would be no way back in") \
    X(E_NOCONSOLE, "no console line can raise an NMI, so there would be no way back in") \
    X(E_GATEWAY, "the guest moved or overwrote its interrupt table or what lies beside it; it stays as it is") \
    X(E_CPU, "a CPU did not come in time; nothing was changed, try again") \
    X(E_DIGEST, "the resident image changed while the guest ran native") \
    X(E_VMXBUSY, "the guest itself uses VMX or SVM") \
    X(E_TIMEOUT, "the deadline passed") \
    X(E_NOTIMER, "no timer is free for it: the guest uses the HPET's last one, or there is none; use checkpoint") \
    X(E_ALREADY, "already so") \
    X(E_TSC, "the time-stamp counter cannot be set on this CPU") \
    /* disks and store */ \
    X(E_NODISK, "no usable disk") \
    X(E_NOSTORE, "no store; make a partition of Sojourn's type and run sojstore format, or format --yes") \
    X(E_BADSTORE, "the store is damaged; sojstore verify tells more") \
    X(E_STOREVERSION, "the store was made by another version") \
    X(E_KEY, "the store is encrypted; give its key: key= or a sojourn-key module in GRUB, --key-file to sojstore") \
    X(E_LAYOUT, "the checkpoint is from another machine layout") \
    X(E_TRUNCATED, "the store is shorter than it says") \
    X(E_CHECKSUM, "a checksum does not match") \
    X(E_FULL, "the store is full; delete a checkpoint") \
    X(E_TOOSMALL, "the partition is too small for a store") \
    X(E_NOTFOUND, "no such checkpoint; type list") \
    X(E_DMA, "a device may write memory meanwhile; the log names it; stop it, or start with unknown-dma=warn") \
    X(E_PINNED, "the checkpoint is pinned; pin ID off first") \
    X(E_SHARED, "the store's disk controller is shared with the guest; give the store a controller of its own") \
    X(E_BOUNDS, "outside the partition") \
    X(E_IO, "the disk reported an error") \
    X(E_GONE, "the disk does not answer any more") \
    X(E_DEVICE, "a device cannot be brought to the checkpoint's state") \
    X(E_INTERNAL, "internal error; please report it with the log")
/* clang-format on */

enum err {
#define X(code, text) code,
    ERR_LIST(X)
#undef X
        ERR_COUNT
};

/* The code's identifier, "E_NOSTORE", and its text. Any value: out of range gives "E_INTERNAL". */
const char *err_name(enum err e);
const char *err_text(enum err e);

#endif
