# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoints by the clock, without the guest's help: native and virtual, idle, busy with interrupts off, hung, dead."""
import steps
from scenario import check, scenario


def state(m):
    return steps.status(m)["auto"]


@scenario(timeout=100, alone=("qemu",))
def auto_first(m):
    """first."""
    steps.boot(m, mem_mib=128)
    m.guest.work_start("mib=6", 60 * m.slow)
    steps.to_native(m)
    print(m.sojourn.run("auto every=3s keep=3"))
    import time
    for i in range(8):
        time.sleep(3*m.slow/2)
        print(m.sojourn.run("auto"), [(c["id"], c["kind"], c["label"]) for c in steps.checkpoints(m)])
    print(m.sojourn.run("auto off"))
    m.guest.work_check(60 * m.slow)
    print("\n".join(m.sojourn.run("log")[-30:]))
