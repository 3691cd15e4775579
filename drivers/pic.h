/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The 8259A pair: reads and writes its ports as ckpt/dev_pic says; decides nothing. */
#ifndef SOJOURN_DRIVERS_PIC_H
#define SOJOURN_DRIVERS_PIC_H

#include "ckpt/dev_pic.h"

bool pic_present(void);
enum err pic_capture(struct dev_pic_state *s) MUST_USE;
enum err pic_quiesce(void) MUST_USE;
enum err pic_restore(const struct dev_pic_state *s) MUST_USE;
/* An interrupt taken through the PIC has not had its EOI yet: better run on until it has, and cut then. */
bool pic_in_service(void);

#endif
