/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. What the guest finds where something is hidden: memory that reads as all ones and takes no writes, ports
   that are not there. */
#ifndef SOJOURN_KERNEL_HIDDEN_ACCESS_H
#define SOJOURN_KERNEL_HIDDEN_ACCESS_H

#include "backend.h"
#include "ept/second_level.h"
#include "kernel/cpus.h"

/* Cover the hidden range in the second level with one page of ones. At boot. */
enum err hidden_access_init(struct second_level *sl) MUST_USE;
/* The same for one page of registers: a hidden function's configuration space in ECAM. */
enum err hidden_access_cover(struct second_level *sl, gpa_t gpa) MUST_USE;
/* EXIT_NPF: hidden memory, the local APIC's page while it is watched, device memory not mapped yet. */
void hidden_access_fault(struct cpu *c, const struct vm_exit *x);
/* EXIT_IO of an absent port. */
void hidden_access_port(struct cpu *c, const struct vm_exit *x);
/* For backend->dump. */
void hidden_access_dump_line(const char *text);

#endif
