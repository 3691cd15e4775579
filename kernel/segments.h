/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What a segment register would hold after loading a selector: SDM 3A 3.4.5 "Segment Descriptors", 3.5 "System
   Descriptor Types", 3.4.2 "Segment Selectors". Used to capture a native CPU, whose hidden parts cannot be read, and to
   tell whether a virtual one can be left without changing them. */
#ifndef SOJOURN_KERNEL_SEGMENTS_H
#define SOJOURN_KERNEL_SEGMENTS_H

#include "err.h"
#include "types.h"
#include "vcpu_state.h"

/* Reads len bytes of guest-linear memory; false: not mapped. */
struct linear_reader {
    bool (*read)(void *ctx, uint64_t va, void *out, size_t len);
    void *ctx;
};

/* Decode an 8-byte (or, for system descriptors in long mode, 16-byte) descriptor. */
struct segment segment_decode(uint16_t selector, uint64_t low, uint64_t high);
/* Change the base in a 16-byte system descriptor. */
void segment_set_base(uint64_t descriptor[2], uint64_t base);
/* A null or absent selector's register. */
struct segment segment_unusable(uint16_t selector);
/* The register that loading selector gives, from the GDT or, with TI set, the LDT. E_GDT: not readable or beyond the
   limit. System descriptors (LDTR, TR): long mode's 16 bytes. raw: the descriptor as it is there. */
enum err segment_load(const struct linear_reader *r, const struct table_register *gdtr, const struct segment *ldtr,
                      uint16_t selector, bool system, struct segment *out, uint64_t raw[2]) MUST_USE;
/* Are the parts equal that matter in long mode? which: the register; bases of FS and GS are MSRs and do not count. */
bool segment_same_in_long_mode(enum sreg which, const struct segment *held, const struct segment *would_load);

#endif
