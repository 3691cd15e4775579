/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. IDENTIFY DEVICE data and command registers; see ata_command.h. */
#include "drivers/ata_command.h"

#include "bits.h"

#include <string.h>

/* Words of IDENTIFY DEVICE data. */
#define ID_GENERAL 0
#define ID_SERIAL 10
#define ID_MODEL 27
#define ID_CAPABILITIES 49
#define ID_LBA28_SECTORS 60
#define ID_COMMAND_SETS_2 83
#define ID_LBA48_SECTORS 100
#define ID_SECTOR_SIZE 106
#define ID_LOGICAL_SECTOR_WORDS 117
#define ID_INTEGRITY 255

#define GENERAL_NOT_ATA BIT32(15)
#define CAPABILITIES_DMA BIT32(8)
#define CAPABILITIES_LBA BIT32(9)
#define WORD_VALID_MASK (BIT32(15) | BIT32(14)) /* words 83 and 106 hold something when bits 15:14 are 01 */
#define WORD_VALID BIT32(14)
#define COMMAND_SETS_LBA48 BIT32(10)
#define COMMAND_SETS_FLUSH_EXT BIT32(13)
#define SECTOR_SIZE_LONG BIT32(12)
#define INTEGRITY_SIGNATURE 0xA5u

#define LBA28_LIMIT (1ull << 28)
#define LBA48_LIMIT (1ull << 48)
#define COUNT28_MAX 256u
#define COUNT48_MAX 65536u
#define NATIVE_4K_BYTES 4096u

/* ATA strings: two characters a word, high byte first, padded with spaces. */
static void copy_string(const uint16_t *words, size_t count, char *out)
{
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = (char)(words[i] >> 8);
        out[2 * i + 1] = (char)(words[i] & 0xFF);
    }
    for (size_t i = 0; i < 2 * count; i++) {
        if (out[i] < ' ' || out[i] > '~')
            out[i] = ' ';
        if (out[i] != ' ')
            end = i + 1;
    }
    out[end] = 0;
}

/* Word 255: a checksum over all 512 bytes when its low byte is A5 (ATA8-ACS 7.16.7.88 "Word 255: Integrity word"). */
static bool integrity_ok(const uint16_t *words)
{
    if ((words[ID_INTEGRITY] & 0xFF) != INTEGRITY_SIGNATURE)
        return true;
    uint32_t sum = 0;
    for (size_t i = 0; i < ATA_IDENTIFY_WORDS; i++)
        sum += (uint32_t)(words[i] & 0xFF) + (uint32_t)(words[i] >> 8);
    return (sum & 0xFF) == 0;
}

static bool valid_word(uint16_t word)
{
    return (word & WORD_VALID_MASK) == WORD_VALID;
}

static enum err refuse(enum err e, const char **why, const char *text)
{
    *why = text;
    return e;
}

enum err ata_parse_identify(const uint16_t words[ATA_IDENTIFY_WORDS], struct ata_identity *id, const char **why)
{
    memset(id, 0, sizeof *id);
    if (!integrity_ok(words))
        return refuse(E_IO, why, "IDENTIFY data has a wrong checksum");
    if (words[ID_GENERAL] & GENERAL_NOT_ATA)
        return refuse(E_NODISK, why, "not an ATA disk");
    if (!(words[ID_CAPABILITIES] & CAPABILITIES_LBA) || !(words[ID_CAPABILITIES] & CAPABILITIES_DMA))
        return refuse(E_NODISK, why, "no LBA or no DMA");

    uint64_t blocks = (uint64_t)words[ID_LBA28_SECTORS] | (uint64_t)words[ID_LBA28_SECTORS + 1] << 16;
    if (blocks > LBA28_LIMIT)
        blocks = LBA28_LIMIT;
    if (valid_word(words[ID_COMMAND_SETS_2])) {
        id->lba48 = (words[ID_COMMAND_SETS_2] & COMMAND_SETS_LBA48) != 0;
        id->flush_ext = id->lba48 && (words[ID_COMMAND_SETS_2] & COMMAND_SETS_FLUSH_EXT) != 0;
    }
    if (id->lba48) {
        uint64_t blocks48 = load64(&words[ID_LBA48_SECTORS]) & (LBA48_LIMIT - 1);
        if (blocks48) /* some emulated disks fill in the 28-bit size only */
            blocks = blocks48;
    }
    uint32_t block_bytes = ATA_SECTOR_BYTES;
    if (valid_word(words[ID_SECTOR_SIZE]) && (words[ID_SECTOR_SIZE] & SECTOR_SIZE_LONG)) {
        uint32_t long_words = load32(&words[ID_LOGICAL_SECTOR_WORDS]);
        if (long_words != ATA_SECTOR_BYTES / 2 && long_words != NATIVE_4K_BYTES / 2)
            return refuse(E_NODISK, why, "logical sectors of neither 512 nor 4096 bytes");
        block_bytes = long_words * 2;
    }
    if (blocks == 0)
        return refuse(E_NODISK, why, "no capacity");

    id->block_sectors = block_bytes / ATA_SECTOR_BYTES;
    id->sectors = blocks * id->block_sectors;
    copy_string(&words[ID_MODEL], 20, id->model);
    copy_string(&words[ID_SERIAL], 10, id->serial);
    *why = "";
    return E_OK;
}

bool ata_same_disk(const struct ata_identity *a, const struct ata_identity *b)
{
    return a->sectors == b->sectors && a->block_sectors == b->block_sectors && strcmp(a->model, b->model) == 0 &&
           strcmp(a->serial, b->serial) == 0;
}

uint32_t ata_max_sectors(const struct ata_identity *id, uint32_t controller_max)
{
    uint32_t most = (id->lba48 ? COUNT48_MAX : COUNT28_MAX) * id->block_sectors;
    most = most < controller_max ? most : controller_max;
    return most - most % id->block_sectors;
}

enum err ata_build_command(const struct ata_identity *id, enum block_op op, uint64_t lba, uint32_t count,
                           struct ata_registers *r)
{
    memset(r, 0, sizeof *r);
    r->ext = id->lba48;
    r->device = ATA_DEVICE_LBA;
    if (op == BLOCK_FLUSH) {
        r->ext = id->flush_ext;
        r->command = id->flush_ext ? ATA_CMD_FLUSH_CACHE_EXT : ATA_CMD_FLUSH_CACHE;
        return E_OK;
    }
    if (count == 0 || lba > id->sectors || count > id->sectors - lba || lba % id->block_sectors ||
        count % id->block_sectors || count > ata_max_sectors(id, UINT32_MAX))
        return E_BOUNDS;

    r->write = op == BLOCK_WRITE;
    r->bytes = count * ATA_SECTOR_BYTES;
    lba /= id->block_sectors;
    count /= id->block_sectors;
    if (r->ext) {
        r->command = r->write ? ATA_CMD_WRITE_DMA_EXT : ATA_CMD_READ_DMA_EXT;
        r->count = (uint16_t)count; /* 65536 is written as 0 */
        r->lba = lba;
    } else {
        r->command = r->write ? ATA_CMD_WRITE_DMA : ATA_CMD_READ_DMA;
        r->count = (uint8_t)count; /* 256 is written as 0 */
        r->lba = bits_get(lba, 23, 0);
        r->device |= (uint8_t)bits_get(lba, 27, 24);
    }
    return E_OK;
}

void ata_build_identify(struct ata_registers *r)
{
    memset(r, 0, sizeof *r);
    r->command = ATA_CMD_IDENTIFY_DEVICE;
    r->bytes = ATA_IDENTIFY_WORDS * 2;
}

uint64_t ata_timeout_us(enum block_op op)
{
    return op == BLOCK_FLUSH ? ATA_FLUSH_TIMEOUT_US : ATA_COMMAND_TIMEOUT_US;
}
