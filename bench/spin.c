/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the guest: a fixed piece of work (arithmetic, memory, page faults, system calls) and the TSC cycles it took, several
   times over. On Bochs the TSC counts instructions, so the smallest one is the work itself, without timer interrupts. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#define ROUNDS 12
#define PAGES 256
#define PAGE_BYTES 4096

static uint64_t work(void)
{
    uint64_t sum = 0;
    uint8_t *p = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return 0;
    for (uint32_t i = 0; i < PAGES; i++)
        p[i * PAGE_BYTES] = (uint8_t)i;
    for (uint32_t i = 0; i < 200000; i++)
        sum = sum * 6364136223846793005u + p[sum % (PAGES * PAGE_BYTES)];
    for (uint32_t i = 0; i < 500; i++)
        sum += (uint64_t)syscall(SYS_getppid);
    munmap(p, PAGES * PAGE_BYTES);
    return sum;
}

int main(void)
{
    volatile uint64_t sink = 0;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = __rdtsc();
        sink += work();
        uint64_t took = __rdtsc() - start;
        least = took < least ? took : least;
    }
    printf("SPIN %llu\n", (unsigned long long)least);
    return 0;
}
