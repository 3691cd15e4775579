/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On the host: instructions that one page's hash takes, counted one by one: of the image's own objects with AVX2 (ckpt/hash_avx2.asm) and without
 * (ckpt/hash.c), of the library's scalar code as this compiler makes it for speed, and of the library as Debian has it. Four numbers. */
#include "ckpt/hash_avx2.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#define XXH_VECTOR 0 /* XXH_SCALAR */
#include <xxhash.h>

#define PAGE 4096
#define SSE_AND_AVX 6u

/* Debian's; the header above has made the library's own names local. */
XXH128_hash_t debian(const void *data, size_t bytes, uint64_t seed) __asm__("XXH3_128bits_withSeed");

static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
static volatile uint64_t sink;

static struct hash_key key;

static void image(void)
{
    sink = hash_page(page, &key, hash_fold_avx2).low;
}

static void image_scalar(void)
{
    sink = hash_page(page, &key, hash_fold).low;
}

static void scalar(void)
{
    sink = XXH3_128bits_withSeed(page, PAGE, 1).low64;
}

static void library(void)
{
    sink = debian(page, PAGE, 1).low64;
}

/* Instructions of the child between two signals that it sends itself; 0: it cannot be traced. */
static uint64_t count(void (*work)(void))
{
    pid_t child = fork();
    if (child == 0) {
        work(); /* the dynamic linker's part */
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGUSR1);
        work();
        raise(SIGUSR2);
        _exit(0);
    }
    uint64_t n = 0;
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) != SIGUSR2) {
        n++;
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL))
            break;
    }
    bool complete = child > 0 && WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR2;
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    return complete ? n : 0;
}

static void nothing(void)
{
}

int main(void)
{
    static void (*const works[])(void) = {image, image_scalar, scalar, library};
    hash_key_init(&key, 1);
    hash_avx2_components = SSE_AND_AVX;
    if (!__builtin_cpu_supports("avx2"))
        return 1;
    uint64_t around = count(nothing);
    for (size_t i = 0; i < PAGE; i++)
        page[i] = (uint8_t)(i * i);
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        uint64_t n = count(works[i]);
        if (!around || n <= around)
            return 1;
        printf("%llu ", (unsigned long long)(n - around));
    }
    printf("\n");
    return 0;
}
