/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The guest died while virtual: on-crash= says what happens. */
#ifndef SOJOURN_KERNEL_CRASH_H
#define SOJOURN_KERNEL_CRASH_H

/* Leader, between two entries, when guest.run is GUEST_CRASHED. */
void crash_policy(void);

#endif
