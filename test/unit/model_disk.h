/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the model's controllers and its disks. */
#ifndef SOJOURN_TEST_MODEL_DISK_H
#define SOJOURN_TEST_MODEL_DISK_H

#include "model_machine.h"

/* Scatter-gather over what the controller found in its tables. */
struct piece {
    uint8_t *at;
    uint32_t bytes;
};

enum outcome { DONE, ERROR, FAULT, HANG, VANISH };

/* Carry out one ATA command. */
enum outcome disk_run(struct model_disk *d, uint8_t command, uint64_t lba, uint32_t count, struct piece *pieces,
                      size_t n, uint32_t *moved);
void disk_identify(const struct model_disk *d, uint16_t *w);
/* A driver did what its specification forbids. */
void model_violation(const char *what);

#endif
