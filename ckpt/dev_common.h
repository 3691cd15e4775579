/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What every device state begins with, and how check() says no. The engine has compared name, version and length
   of the section; the head repeats version and length inside, so that a state is self-describing in a dump. */
#ifndef SOJOURN_CKPT_DEV_COMMON_H
#define SOJOURN_CKPT_DEV_COMMON_H

#include "err.h"
#include "types.h"

struct dev_head {
    uint16_t version;
    uint16_t zero;
    uint32_t bytes; /* of the whole state */
};

_Static_assert(sizeof(struct dev_head) == 8, "saved layout");

/* One step of a restore plan: pure code lists them, a shell sends them in this order. */
struct port_write {
    uint16_t port;
    uint8_t value;
};

#define DEV_HEAD(version_, type) ((struct dev_head){.version = (version_), .bytes = sizeof(type)})

/* E_OK, or E_STOREVERSION / E_DEVICE with the reason in why. */
enum err dev_head_check(const struct dev_head *head, uint16_t version, size_t bytes, char *why,
                        size_t why_len) MUST_USE;
/* Puts the reason into why and returns code. */
enum err dev_refuse(enum err code, char *why, size_t why_len, const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
