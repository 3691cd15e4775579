/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What the guest wrote to registers that cannot be read back. While the guest is virtual, its writes to a few
   ports are trapped, passed on to the hardware unchanged, and fed to the state machines here: 8259A initialisation
   words, 8254 reload values, the CMOS index with its NMI mask, the UARTs' FIFO control. Device classes take the values
   from here and fall back to what the common systems use where nothing was seen. No hardware is touched. */
#ifndef SOJOURN_KERNEL_IOWATCH_H
#define SOJOURN_KERNEL_IOWATCH_H

#include "types.h"

#define IOWATCH_VERSION 1
#define IOWATCH_UARTS 4
#define PIC_MASTER 0
#define PIC_SLAVE 1

/* One 8259A. icw[0] is ICW1. */
struct iowatch_pic {
    uint8_t seen;         /* a whole initialisation sequence was observed: icw[] hold */
    uint8_t step;         /* 0: idle, else the ICW (2, 3, 4) that the next write to the odd port is */
    uint8_t icw[4];       /* icw[2] (ICW3) only if cascaded, icw[3] (ICW4) only if ICW1.IC4 */
    uint8_t read_isr;     /* OCW3: a read of the even port gives ISR, else IRR */
    uint8_t special_mask; /* OCW3 special mask mode */
    uint8_t rotate_aeoi;  /* OCW2 rotate in automatic EOI mode */
    uint8_t lowest;       /* input with the lowest priority; 7 after initialisation, 0xff: unknown since a rotation */
    uint8_t pending[4];   /* ICWs of a sequence that is under way */
    uint8_t zero[2];
};

/* One 8254 counter. */
struct iowatch_pit {
    uint8_t control; /* last control word that programmed this counter */
    uint8_t control_seen;
    uint8_t reload_seen; /* reload holds */
    uint8_t half;        /* the low byte of a low/high pair was written and waits in low */
    uint8_t low;
    uint8_t zero;
    uint16_t reload; /* 0 means 65536 */
};

struct iowatch {
    uint16_t version;
    uint16_t zero;
    struct iowatch_pic pic[2];
    struct iowatch_pit pit[3]; /* only counter 0's data port is trapped: 1 and 2 have a control word at most */
    uint8_t rtc_seen;
    uint8_t rtc_index; /* as written to port 70h: bit 7 masks NMI */
    uint8_t fcr_seen[IOWATCH_UARTS], fcr[IOWATCH_UARTS];
    uint8_t zero2[2];
};

_Static_assert(sizeof(struct iowatch_pic) == 16, "saved layout");
_Static_assert(sizeof(struct iowatch_pit) == 8, "saved layout");
_Static_assert(sizeof(struct iowatch) == 72, "saved layout");

void iowatch_reset(void);
/* Calls back for each port whose writes are to be trapped. */
void iowatch_ports(void (*trap)(uint16_t port));
/* A guest write of bytes (1, 2, 4) that reached the hardware; a wide access is split into ports as the bus does. */
void iowatch_out(uint16_t port, unsigned bytes, uint32_t value);
const struct iowatch *iowatch_state(void);
/* After a restore: the observations that belong to the restored guest. */
void iowatch_set(const struct iowatch *state);
bool iowatch_valid(const struct iowatch *state);

#endif
