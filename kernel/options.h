/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Sojourn's own command line, as GRUB hands it over, becomes struct options. Nothing here can fail: an unknown
   option or value leaves the default and adds a warning that the caller shows on screen, console and log. */
#ifndef SOJOURN_OPTIONS_H
#define SOJOURN_OPTIONS_H

#include "ckpt/seal.h"
#include "types.h"

#define OPTIONS_WARNING_COUNT 8
#define OPTIONS_WARNING_MAX 160
#define OPTIONS_LABEL_MAX 36 /* UEFI 2.10 5.3.3 "GPT Partition Entry Array": PartitionName holds 36 characters */
#define OPTIONS_SETTLE_MAX_S 86400u
#define OPTIONS_GSI_UNKNOWN UINT32_MAX /* 0xPORT without ,GSI: the port is not wired to a known interrupt */

enum option_store { STORE_CHOICE_AUTO, STORE_CHOICE_GPT, STORE_CHOICE_NONE };
enum option_restore { RESTORE_CHOICE_NEVER, RESTORE_CHOICE_LATEST, RESTORE_CHOICE_ID, RESTORE_CHOICE_ASK };
/* Each in the order of the words in kernel/options.c. */
enum option_clock { CLOCK_CHOICE_RUN, CLOCK_CHOICE_CUT };
enum option_start { START_CHOICE_VIRTUAL, START_CHOICE_NATIVE };
enum option_crash { CRASH_CHOICE_BOOT, CRASH_CHOICE_RESTORE, CRASH_CHOICE_HOLD };
enum option_dma { DMA_CHOICE_WARN, DMA_CHOICE_REFUSE };
enum option_backend { BACKEND_CHOICE_AUTO, BACKEND_CHOICE_VMX, BACKEND_CHOICE_SVM };
enum option_guest { GUEST_CHOICE_DEFAULT, GUEST_CHOICE_DISK, GUEST_CHOICE_MSDOS, GUEST_CHOICE_GPT };

struct options {
    bool console; /* false: console=none */
    uint16_t console_port;
    uint32_t console_gsi; /* or OPTIONS_GSI_UNKNOWN */
    char console_name[16];
    bool settle_never;
    uint32_t settle_s;
    enum option_store store;
    char store_label[OPTIONS_LABEL_MAX + 1];
    enum option_restore restore;
    uint64_t restore_id;   /* RESTORE_CHOICE_ID */
    uint8_t restore_clock; /* enum option_clock */
    uint8_t start;         /* enum option_start */
    uint8_t on_crash;      /* enum option_crash */
    uint8_t protect;       /* 0, 1 */
    uint8_t unknown_dma;   /* enum option_dma */
    uint8_t backend;       /* enum option_backend */
    uint8_t visible;       /* 0, 1 */
    enum option_guest guest;
    uint32_t guest_disk;              /* hdN */
    uint32_t guest_partition;         /* counted from 1; 0: the whole disk */
    uint64_t rate_mib_s;              /* rate=, 0: no limit */
    char key[2 * SEAL_KEY_BYTES + 1]; /* 64 hexadecimal digits, or "": none */
    char warning[OPTIONS_WARNING_COUNT][OPTIONS_WARNING_MAX];
    uint32_t warnings;        /* in warning[] */
    uint32_t warnings_hidden; /* further ones that did not fit */
};

/* line may be NULL (no command line): all defaults. */
void options_parse(const char *line, struct options *out);

#endif
