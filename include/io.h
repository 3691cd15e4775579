/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Port and memory-mapped I/O. drivers/io.c does it for real; unit tests link a model of the device
   instead, so drivers hold no inline assembly. MMIO addresses are host-physical. */
#ifndef SOJOURN_IO_H
#define SOJOURN_IO_H

#include "types.h"

uint8_t io_in8(uint16_t port);
uint16_t io_in16(uint16_t port);
uint32_t io_in32(uint16_t port);
void io_out8(uint16_t port, uint8_t value);
/* Byte after byte to or from one port. */
void io_out8_all(uint16_t port, const uint8_t *bytes, size_t count);
void io_in8_all(uint16_t port, uint8_t *bytes, size_t count);
void io_out16(uint16_t port, uint16_t value);
void io_out32(uint16_t port, uint32_t value);

/* bytes: 1, 2, 4 or 8, one access. */
uint64_t mmio_read(hpa_t where, unsigned bytes);
void mmio_write(hpa_t where, unsigned bytes, uint64_t value);
uint32_t mmio_read32(hpa_t where);
/* words times 64 bits, ascending: the one instruction for it. */
void mmio_read64_all(void *to, hpa_t from, uint64_t words);
uint64_t mmio_read64(hpa_t where);
void mmio_write32(hpa_t where, uint32_t value);
void mmio_write64(hpa_t where, uint64_t value);

#endif
