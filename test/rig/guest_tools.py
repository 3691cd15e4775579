# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests are made of: kernels and programs from Debian, an initramfs, a disk of the guest's own."""
import os
import subprocess

import machine
from scenario import Skip, check

GUEST = os.path.join(machine.TOP, "build/guest")
DISK_MIB = 32
AHCI = ("--module", "ahci", "--module", "sd_mod")  # what "amd64" has and "cloud" has not
DEVICES = (*AHCI, "--module", "ata_piix", "--module", "e1000", "--module", "e1000e", "--module", "virtio_pci",
           "--module", "virtio_net", "--module", "8139cp", "--test-program", "dma", "--test-program", "user")


def tool(name, *arguments):
    try:
        done = subprocess.run([os.path.join(machine.TOP, "tools", name), *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired as e:
        raise Skip(f"{name}: not within {e.timeout} s") from e
    if done.returncode != 0:
        raise Skip(f"{name}: {done.stdout.strip()[-200:]}")


def debian(kind, initrd, *arguments):
    """The arguments of mk-image for Debian's kernel of that kind with an initramfs of its own."""
    initrd, kernel = os.path.join(GUEST, initrd), os.path.join(GUEST, kind)
    tool("fetch-kernel", kind)
    tool("mk-initramfs", initrd, "--kernel", kernel, *arguments)
    return "--kernel", os.path.join(kernel, "vmlinuz"), "--initrd", initrd


def user_starts(m):
    """A process that uses what a process has of the CPU (test/guest/user.c), all the time."""
    m.guest.run(f"((user {'nowatch' if m.rig == 'qemu-svm' else ''}; echo ended) >/tmp/user.log 2>&1 &)", 60 * m.slow)


def user_goes_on(m):
    """It has found nothing wrong."""
    def rounds():
        said = m.guest.run("cat /tmp/user.log; echo; [ -s /tmp/user-rounds ] && cat /tmp/user-rounds || echo 0", 60 * m.slow)
        check(said.startswith("\n"), f"in the guest: {said}")
        return int(said.split()[0])

    before = rounds()
    machine.wait_until("the process goes on", 60 * m.slow, lambda: rounds() > before, every=0.5)


def own_disk(m):
    path = m.path("guest-disk.img")
    with open(path, "wb") as f:
        f.truncate(DISK_MIB << 20)
    return path, ["-device", "ahci,id=ahci1", "-drive", f"if=none,id=own,file={path},format=raw,cache=writeback",
                  "-device", "ide-hd,drive=own,bus=ahci1.0"]
