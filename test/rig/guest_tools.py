# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests are made of: kernels and programs from Debian, an initramfs, a disk of the guest's own."""
import os
import subprocess

import machine
from scenario import Skip

GUEST = os.path.join(machine.TOP, "build/guest")
DISK_MIB = 32
AHCI = ("--module", "ahci", "--module", "sd_mod")  # what "amd64" has and "cloud" has not
DEVICES = (*AHCI, "--module", "ata_piix", "--module", "e1000", "--module", "e1000e", "--module", "virtio_pci",
           "--module", "virtio_net", "--test-program", "dma")


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


def own_disk(m):
    path = m.path("guest-disk.img")
    with open(path, "wb") as f:
        f.truncate(DISK_MIB << 20)
    return path, ["-device", "ahci,id=ahci1", "-drive", f"if=none,id=own,file={path},format=raw,cache=writeback",
                  "-device", "ide-hd,drive=own,bus=ahci1.0"]
