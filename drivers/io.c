/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The real port and memory-mapped I/O behind include/io.h: one instruction each, no decision. Not part of any
   unit test, which link a model of the device instead. MMIO goes through the physical map. */
#include "io.h"

#include "hostmem.h"

uint8_t io_in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

uint16_t io_in16(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

uint32_t io_in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

void io_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

void io_out8_all(uint16_t port, const uint8_t *bytes, size_t count)
{
    __asm__ volatile("rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}

void io_in8_all(uint16_t port, uint8_t *bytes, size_t count)
{
    __asm__ volatile("rep insb" : "+D"(bytes), "+c"(count) : "d"(port) : "memory");
}

void io_out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

void io_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* Inline assembly instead of volatile pointers: one access of exactly this width, and a compiler barrier, so that a DMA
   structure is complete in memory before the doorbell, and is read only after the status. x86 keeps the rest in order.
 */
void mmio_read64_all(void *to, hpa_t from, uint64_t words)
{
    const void *source = phys_to_virt(from);
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(source), "+c"(words) : : "memory");
}

uint32_t mmio_read32(hpa_t where)
{
    uint32_t value;
    __asm__ volatile("movl %1, %0" : "=r"(value) : "m"(*(const volatile uint32_t *)phys_to_virt(where)) : "memory");
    return value;
}

uint64_t mmio_read64(hpa_t where)
{
    uint64_t value;
    __asm__ volatile("movq %1, %0" : "=r"(value) : "m"(*(const volatile uint64_t *)phys_to_virt(where)) : "memory");
    return value;
}

void mmio_write32(hpa_t where, uint32_t value)
{
    __asm__ volatile("movl %1, %0" : "=m"(*(volatile uint32_t *)phys_to_virt(where)) : "r"(value) : "memory");
}

void mmio_write64(hpa_t where, uint64_t value)
{
    __asm__ volatile("movq %1, %0" : "=m"(*(volatile uint64_t *)phys_to_virt(where)) : "r"(value) : "memory");
}

uint64_t mmio_read(hpa_t where, unsigned bytes)
{
    const void *at = phys_to_virt(where);
    uint64_t value;
    if (bytes == 8)
        return mmio_read64(where);
    if (bytes == 4)
        return mmio_read32(where);
    if (bytes == 2)
        __asm__ volatile("movzwl %1, %k0" : "=r"(value) : "m"(*(const volatile uint16_t *)at) : "memory");
    else
        __asm__ volatile("movzbl %1, %k0" : "=r"(value) : "m"(*(const volatile uint8_t *)at) : "memory");
    return value;
}

void mmio_write(hpa_t where, unsigned bytes, uint64_t value)
{
    void *at = phys_to_virt(where);
    if (bytes == 8)
        mmio_write64(where, value);
    else if (bytes == 4)
        mmio_write32(where, (uint32_t)value);
    else if (bytes == 2)
        __asm__ volatile("movw %1, %0" : "=m"(*(volatile uint16_t *)at) : "r"((uint16_t)value) : "memory");
    else
        __asm__ volatile("movb %1, %0" : "=m"(*(volatile uint8_t *)at) : "r"((uint8_t)value) : "memory");
}
