/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The stopped guest's memory and descriptor tables, read through its own page tables. */
#ifndef SOJOURN_KERNEL_GUEST_ACCESS_H
#define SOJOURN_KERNEL_GUEST_ACCESS_H

#include "err.h"
#include "kernel/cpus.h"
#include "kernel/gateway_slot.h"
#include "vcpu_state.h"

/* The highest guest-physical address with RAM behind it, for readers. At boot. */
/* Who has to know of each write to guest memory beforehand, within one page; false: not now. */
void guest_access_ask_before_write(bool (*may)(uint64_t pa));
void guest_access_init(uint64_t ram_end);
/* Guest-physical memory outside the hidden range. */
struct phys_reader guest_phys_reader(enum paging_format format);
/* The same by bytes, within one page; ctx is not used. */
bool guest_phys_read(void *ctx, gpa_t gpa, void *buf, size_t len);
bool guest_phys_write(void *ctx, gpa_t gpa, const void *buf, size_t len);
/* False when a page is not mapped. */
bool guest_read_linear(enum paging_format format, uint64_t cr3, uint64_t va, void *out, size_t len);
/* This native CPU's segment registers, into its state: selectors from the CPU, the rest from the guest's tables. */
enum err guest_capture_segments(struct cpu *c) MUST_USE;
/* Would loading the selectors give what the (captured) registers hold? E_SEGMENT, E_GDT. Copies the descriptors that
   leaving will load into the CPU's private tables; the selectors were checked (leave_check_state). */
enum err guest_check_segments(struct cpu *c) MUST_USE;

#endif
