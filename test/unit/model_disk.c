/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disks behind model_machine.c's controllers: IDENTIFY, reads and writes, and misbehaviour on demand. */
#include "model_disk.h"

#include <stdlib.h>
#include <string.h>

void disk_make(struct model_disk *d, uint64_t sectors, bool lba48)
{
    memset(d, 0, sizeof *d);
    d->present = true;
    d->lba48 = lba48;
    d->block_bytes = 512;
    d->blocks = sectors;
    d->image_blocks = sectors < 65536 ? sectors : 65536;
    d->image = calloc(d->image_blocks, 512);
    memcpy(d->serial, "MODEL0001           ", 20);
}

static void identify_string(uint16_t *words, const char *text, size_t chars)
{
    for (size_t i = 0; i < chars; i += 2) {
        char a = i < strlen(text) ? text[i] : ' ', b = i + 1 < strlen(text) ? text[i + 1] : ' ';
        words[i / 2] = (uint16_t)((uint8_t)a << 8 | (uint8_t)b);
    }
}

void disk_identify(const struct model_disk *d, uint16_t *w)
{
    char serial[21] = {0};
    memset(w, 0, 512);
    memcpy(serial, d->serial, 20);
    w[0] = d->atapi ? 0x8500 : 0x0040;
    identify_string(&w[10], serial, 20);
    identify_string(&w[27], "MODEL DISK", 40);
    w[49] = 0x0300;
    uint64_t n28 = d->blocks < 0x0FFFFFFF ? d->blocks : 0x0FFFFFFF;
    w[60] = (uint16_t)n28;
    w[61] = (uint16_t)(n28 >> 16);
    w[83] = (uint16_t)(0x4000 | 0x1000 | (d->lba48 ? 0x2400 : 0));
    if (d->lba48)
        for (int i = 0; i < 4; i++)
            w[100 + i] = (uint16_t)(d->blocks >> (16 * i));
    if (d->block_bytes != 512) {
        w[106] = 0x5000;
        w[117] = (uint16_t)(d->block_bytes / 2);
    }
    uint8_t sum = 0xA5;
    for (int i = 0; i < 255; i++)
        sum = (uint8_t)(sum + (w[i] & 0xFF) + (w[i] >> 8));
    w[255] = (uint16_t)((uint8_t)-sum << 8 | 0xA5);
}

static bool take(int *counter)
{
    if (*counter <= 0)
        return false;
    (*counter)--;
    return true;
}

static uint32_t move(struct piece *pieces, size_t n, uint8_t *image, uint32_t bytes, bool to_memory)
{
    uint32_t done = 0;
    for (size_t i = 0; i < n && done < bytes; i++) {
        uint32_t part = pieces[i].bytes < bytes - done ? pieces[i].bytes : bytes - done;
        if (image)
            memcpy(to_memory ? pieces[i].at : image + done, to_memory ? image + done : pieces[i].at, part);
        else if (to_memory)
            memset(pieces[i].at, 0, part);
        done += part;
    }
    return done;
}

enum outcome disk_run(struct model_disk *d, uint8_t command, uint64_t lba, uint32_t count, struct piece *pieces,
                      size_t n, uint32_t *moved)
{
    uint64_t room = 0;
    for (size_t i = 0; i < n; i++)
        room += pieces[i].bytes;
    *moved = 0;
    if (command == 0xEC) {
        uint16_t words[256];
        if (d->identify_fails || d->atapi)
            return ERROR;
        disk_identify(d, words);
        *moved = move(pieces, n, (uint8_t *)words, 512, true);
        return DONE;
    }
    d->commands++;
    d->last_command = command;
    d->last_lba = lba;
    d->last_count = count;
    if (take(&d->vanish_next))
        return VANISH;
    if (take(&d->hang_next))
        return HANG;
    if (take(&d->fail_next))
        return ERROR;
    if (take(&d->fault_next))
        return FAULT;
    if (command == 0xE7 || command == 0xEA) {
        d->flushes++;
        return take(&d->flush_fail_next) ? ERROR : DONE;
    }
    bool ext = command == 0x25 || command == 0x35, read = command == 0x25 || command == 0xC8;
    if (!ext && !read && command != 0xCA)
        return ERROR;
    if (ext && !d->lba48)
        return ERROR;
    if (lba > d->blocks || count > d->blocks - lba)
        return ERROR;
    uint32_t bytes = count * d->block_bytes;
    if (room != bytes)
        model_violation("table does not describe exactly the command's bytes");
    uint8_t *image = lba + count <= d->image_blocks ? d->image + lba * d->block_bytes : NULL;
    if (take(&d->short_next))
        bytes -= 512;
    *moved = move(pieces, n, image, bytes, read);
    d->writes += !read;
    return DONE;
}
