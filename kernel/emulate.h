/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What an instruction would have done on a machine where the memory or the port it touched does not exist:
   reads give all ones, writes vanish; and what it would have stored, where the host stores in its place. Everything else about it (registers, flags, RIP, string counters) is exact, or
   the verdict is "cannot" and the guest is parked. */
#ifndef SOJOURN_KERNEL_EMULATE_H
#define SOJOURN_KERNEL_EMULATE_H

#include "kernel/insn.h"

struct emu_regs {
    uint64_t gpr[GPR_COUNT];
    uint64_t rip, rflags;
    bool shadow_ends; /* out: the instruction completed, so an STI/MOV SS shadow is over */
};

/* A write to guest memory that the caller must carry out (INS): offset into ES, before adding ES's base. */
struct emu_store {
    bool wanted;
    uint64_t offset;
    uint8_t bytes;
    uint64_t value;
};

/* All of them: true: done, r is updated. false: cannot, r is untouched. A REP string instruction does one step and keeps
   RIP until its counter is zero, like an interrupted one. */

/* The write of in (the instruction at r->rip) hit memory that takes no writes and reads as all ones. */
bool emu_drop_write(const struct insn *in, struct emu_regs *r) MUST_USE;
/* The write of in hit a device's register, which held old: *value (op_bytes wide) is what it gets. Strings and vector
   stores: cannot. */
bool emu_device_write(const struct insn *in, struct emu_regs *r, uint64_t old, uint64_t *value) MUST_USE;
/* The read of in hit memory that is not there. */
bool emu_absent_read(const struct insn *in, struct emu_regs *r) MUST_USE;
/* in is IN, OUT, INS or OUTS of a port that is not there. */
bool emu_absent_port(const struct insn *in, struct emu_regs *r, struct emu_store *store) MUST_USE;

#endif
