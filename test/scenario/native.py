# SPDX-License-Identifier: GPL-2.0-or-later
"""The rig itself, without Sojourn: what a failure here says is that the machine, the image or the guest is at fault."""
from scenario import RigError, check, scenario


@scenario(rigs=("qemu",), timeout=60)
def plain_boot(m):
    """GRUB starts the guest without Sojourn; work, power cut, and a second boot."""
    image = m.image("--sojourn", "none")
    m.start(image)
    check(m.guest.wait_boot(10 * m.slow)["cpus"] == "1", "not one CPU")
    m.guest.work_start("mib=8")
    first = m.guest.work_check()
    check(m.guest.work_check()["counter"] > first["counter"], "the counter stands still")
    check(not m.virtualization_on(), "virtualization is on without Sojourn")
    m.power_cut()
    m.start(image)
    m.guest.wait_boot(10 * m.slow)


@scenario(rigs=("qemu",), timeout=60)
def harm_is_seen(m):
    """The workload's check goes red when a file, a process or the date is harmed."""
    m.start(m.image("--sojourn", "none", "--mbr"))
    m.guest.wait_boot()
    m.guest.work_start("mib=4")
    m.guest.work_check()
    for harm, word in (("printf x | dd of=/load/tree/00/0003 bs=1 seek=4097 conv=notrunc 2>/dev/null", "checksum"),
                       ("work start mib=4; kill -STOP $(pidof work)", "stands still")):
        m.guest.sh(harm)
        try:
            m.guest.work_check()
        except RigError as e:
            check(word in str(e), f"after {harm!r} the check said {e}")
        else:
            check(False, f"the check did not see {harm!r}")
