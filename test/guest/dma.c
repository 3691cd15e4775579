/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that write to the guest's memory while it is saved, and the check that none of it is in the checkpoint.
 *   dma reads FILE   buffers full of known words, read over past the page cache, one by one and again and again; FILE holds READ_BYTE only
 *   dma net ADDRESS PORT   fetches 1.5 MiB of counted words by TCP, again and again; a connection that breaks is no fault
 *   dma frames IFACE   receives numbered frames, and keeps the last one's number behind a word that nobody has but it: what is numbered
 *                      higher in the checkpoint's memory came from the card after the cut (test/scenario/dma.py looks there)
 *   dma frames IFACE   receives numbered frames, and keeps the last one's number behind a word that nothing else has: a frame with a
 *                      much higher one in the checkpoint's memory came from the card after the cut (test/scenario/dma.py looks)
 *   dma screen         writes the next number to each word of the text screen that held the one before: what a device has in
 *                      its own memory is of the cut, too
 *   dma pci            reads two functions' ids in turn on CPU 1, by the kernel, whose way to them is two ports one after the other: nobody
 *                      may come between
 * All print a line DMA-BAD and end when a buffer holds what it should not, and keep a count of rounds in /tmp/dma-rounds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ROUNDS "/tmp/dma-rounds"
#define BUFFERS 96u
#define BUFFER_BYTES 16384u
#define WORDS (BUFFER_BYTES / sizeof(uint64_t))
#define READ_BYTE 0x5a
#define READ_WORD 0x5a5a5a5a5a5a5a5aull
#define ODD 0x9e3779b97f4a7c15ull

#define PAGE 4096u

static volatile uint64_t *rounds;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void bad(const char *what, unsigned buffer, uint64_t found, uint64_t wanted)
{
    printf("DMA-BAD round=%llu %s: buffer=%u found=%#llx wanted=%#llx\n", (unsigned long long)*rounds, what, buffer,
           (unsigned long long)found, (unsigned long long)wanted);
    fflush(stdout);
    exit(1);
}

static void count_rounds(void)
{
    int fd = open(ROUNDS, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, PAGE) != 0)
        die(ROUNDS);
    rounds = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (rounds == MAP_FAILED)
        die(ROUNDS);
}

/* The half that a console of 25 lines does not show. */
#define SCREEN 0xbc000
#define SCREEN_WORDS (0x4000 / sizeof(uint32_t))
#define SCREEN_ASKS 256u
#define VGA_MISC 0x3cc

static void screen(void)
{
    int fd = open("/dev/mem", O_RDWR | O_SYNC);
    if (fd < 0)
        die("/dev/mem");
    volatile uint32_t *at = mmap(NULL, SCREEN_WORDS * sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SCREEN);
    if (at == MAP_FAILED || ioperm(VGA_MISC, 1, 1))
        die("/dev/mem");
    for (size_t i = 0; i < SCREEN_WORDS; i++)
        at[i] = 0;
    for (;; ++*rounds)
        for (size_t i = 0; i < SCREEN_WORDS; i++) {
            if (at[i] != (uint32_t)*rounds)
                bad("on the screen", (unsigned)i, at[i], (uint32_t)*rounds);
            at[i] = (uint32_t)*rounds + 1;
            if (i % SCREEN_ASKS == 0)
                (void)inb(VGA_MISC); /* its ports are held, too */
        }
}

static uint64_t word(unsigned buffer, uint64_t generation, size_t i)
{
    return (generation * BUFFERS + buffer + 1) * ODD ^ i;
}

static void fill(uint64_t *at, unsigned buffer, uint64_t generation)
{
    for (size_t i = 0; i < WORDS; i++)
        at[i] = word(buffer, generation, i);
}

static void look(const uint64_t *at, unsigned buffer, uint64_t generation)
{
    for (size_t i = 0; i < WORDS; i++)
        if (at[i] != word(buffer, generation, i))
            bad("written to before it was read over", buffer, at[i], word(buffer, generation, i));
}

static void *locked_pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

static void reads(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECT);
    if (fd < 0)
        die(path);
    uint64_t *all = locked_pages((size_t)BUFFERS * BUFFER_BYTES);
    static uint64_t generation[BUFFERS];
    for (unsigned b = 0; b < BUFFERS; b++)
        fill(all + b * WORDS, b, 0);
    for (;; ++*rounds) {
        unsigned b = (unsigned)(*rounds * 37 % BUFFERS);
        uint64_t *at = all + b * WORDS;
        look(at, b, generation[b]);
        if (pread(fd, at, BUFFER_BYTES, (off_t)(*rounds % 64 * BUFFER_BYTES)) != (ssize_t)BUFFER_BYTES)
            die("pread");
        for (size_t i = 0; i < WORDS; i++)
            if (at[i] != READ_WORD)
                bad("not what is on the disk", b, at[i], READ_WORD);
        fill(at, b, ++generation[b]);
    }
}

/* False: the connection broke. */
static bool fetch(const struct sockaddr_in *from)
{
    const struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t at[WORDS];
    bool done = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                connect(fd, (const struct sockaddr *)from, sizeof *from) == 0;
    for (unsigned b = 0; done && b < BUFFERS; b++) {
        done = recv(fd, at, sizeof at, MSG_WAITALL) == (ssize_t)sizeof at;
        for (size_t i = 0; done && i < WORDS; i++)
            if (at[i] != b * WORDS + i)
                bad("not what was sent", b, at[i], b * WORDS + i);
    }
    close(fd);
    return done;
}

static void net(const char *address, const char *port)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &from.sin_addr) != 1)
        die(address);
    for (;;) {
        if (fetch(&from))
            ++*rounds;
        else
            usleep(200000);
    }
}

/* An experimental EtherType: IEEE 802 9.2.3. The words themselves are not to be found in this program's image. */
#define FRAME_TYPE 0x88b5
#define FRAME_AT 14u
static volatile uint64_t not_frame_word = 0xb19a8d99acb2ba91, not_seen_word = 0xb19a9a8cacb2ba91;

static void frames(const char *name)
{
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(FRAME_TYPE), .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(FRAME_TYPE));
    volatile uint64_t *seen = locked_pages(PAGE);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at))
        die(name);
    seen[0] = ~not_seen_word;
    for (;;) {
        uint8_t frame[1600];
        uint64_t word[2];
        if (recv(fd, frame, sizeof frame, 0) < (ssize_t)(FRAME_AT + sizeof word))
            die("recv");
        memcpy(word, frame + FRAME_AT, sizeof word);
        if (word[0] != ~not_frame_word || word[1] <= seen[1])
            bad("not the next frame", 0, word[1], seen[1] + 1);
        seen[1] = word[1];
        ++*rounds;
    }
}

static void pci(void)
{
    static const char *const paths[] = {"/sys/bus/pci/devices/0000:00:00.0/config",
                                        "/sys/bus/pci/devices/0000:00:01.0/config"};
    cpu_set_t second;
    uint32_t id[2], now;
    int fd[2];
    CPU_ZERO(&second);
    CPU_SET(1, &second);
    for (unsigned i = 0; i < 2; i++) {
        fd[i] = open(paths[i], O_RDONLY);
        if (fd[i] < 0 || pread(fd[i], &id[i], sizeof id[i], 0) != sizeof id[i])
            die(paths[i]);
    }
    if (id[0] == id[1] || sched_setaffinity(0, sizeof second, &second))
        die("pci");
    for (;; ++*rounds) {
        unsigned i = *rounds % 2;
        if (pread(fd[i], &now, sizeof now, 0) != sizeof now || now != id[i])
            bad("another function's, or none", i, now, id[i]);
    }
}

int main(int argc, char **argv)
{
    bool is_net = argc == 4 && strcmp(argv[1], "net") == 0, is_reads = argc == 3 && strcmp(argv[1], "reads") == 0,
         is_screen = argc == 2 && strcmp(argv[1], "screen") == 0,
         is_frames = argc == 3 && strcmp(argv[1], "frames") == 0, is_pci = argc == 2 && strcmp(argv[1], "pci") == 0;
    if (!is_net && !is_reads && !is_screen && !is_frames && !is_pci) {
        fprintf(stderr, "usage: dma reads FILE | dma net ADDRESS PORT | dma frames IFACE | dma screen | dma pci\n");
        return 2;
    }
    count_rounds();
    if (is_screen)
        screen();
    if (is_pci)
        pci();
    if (is_frames)
        frames(argv[2]);
    if (is_net)
        net(argv[2], argv[3]);
    reads(argv[2]);
    return 0;
}
