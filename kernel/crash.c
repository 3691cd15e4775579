/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. on-crash=: restore the newest checkpoint, hold the guest for a look, or boot again. */
#include "kernel/crash.h"

#include "ckpt/store.h"
#include "kernel/checkpoint.h"
#include "kernel/commands.h"
#include "kernel/guest.h"
#include "kernel/machine.h"
#include "kernel/policy.h"

#include <string.h>

void crash_policy(void)
{
    char how[sizeof guest.park_reason];
    memcpy(how, guest.park_reason, sizeof how);
    console_notice("guest died: %s", how);
    if (machine.options.on_crash == CRASH_CHOICE_RESTORE) {
        char text[160] = "";
        enum err e = checkpoint_restore_check(STORE_LATEST, text, sizeof text);
        if (!e)
            e = checkpoint_restore(text, sizeof text);
        if (!e) {
            console_notice("restored the newest checkpoint");
            return;
        }
        console_notice("cannot restore: %s: %s", err_name(e), *text ? text : err_text(e));
    } else if (machine.options.on_crash == CRASH_CHOICE_BOOT) {
        console_notice("booting again (on-crash=boot)");
        commands.flush();
        machine_reset();
    }
    policy_park(cpus[0], "%s", how);
}
