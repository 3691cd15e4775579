# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU for guests with several CPUs: the installed one without one store (docs/testing.md, "A fault of QEMU's")."""
import os
import shutil

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAME = "qemu-system-x86_64"
# cpu_clear_ignne(): andl $~HF2_IGNNE_MASK, hflags2(%rax). Not atomic, on the first CPU's flags, from every CPU's thread.
STORE = bytes.fromhex("81a0641400007fffffff")
NOP = b"\x90"


def without_the_store(installed):
    """A copy of the program that lacks it, made once; None if this QEMU does not have that store just once."""
    root = os.path.join(TOP, "build/qemu/usr")
    copy = os.path.join(root, "bin", NAME)
    if os.path.exists(copy) and os.path.getmtime(copy) >= os.path.getmtime(installed):
        return copy
    with open(installed, "rb") as f:
        program = f.read()
    if program.count(STORE) != 1:
        return None
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    for name in ("lib", "share"):  # firmware and modules are looked for beside the program
        link = os.path.join(root, name)
        if not os.path.islink(link):
            os.symlink("/usr/" + name, link)
    fresh = f"{copy}.{os.getpid()}"
    with open(fresh, "wb") as f:
        f.write(program.replace(STORE, NOP * len(STORE)))
    os.chmod(fresh, 0o755)
    os.rename(fresh, copy)
    return copy


def program(cpus, log):
    """The QEMU to start; None if none is installed. log: a text stream that is told when the fault has to be lived with."""
    installed = shutil.which(NAME)
    if not installed or cpus == 1:
        return installed
    copy = without_the_store(os.path.realpath(installed))
    if not copy:
        print("this QEMU is run as it is: the store that harms guests with several CPUs was not found in it", file=log)
    return copy or installed
