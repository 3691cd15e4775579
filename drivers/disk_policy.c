/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See disk_policy.h. */
#include "drivers/disk_policy.h"

bool disk_controller_ours(const struct disk_controller *c)
{
    return c->stores != 0 && c->disks == c->stores;
}
