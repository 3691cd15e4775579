# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario file (test/scenario/*.py) imports.

    from scenario import Skip, check, scenario

    @scenario(timeout=120)                       # on both rigs; rigs=("qemu",) for one; long=True or a list of rigs: only with --all
    def leave_and_enter(m):                      # m: a Qemu or Bochs of its own, logs in build/test/leave_and_enter.qemu/
        m.start(m.image("--store", "256", "--format"))
        m.guest.wait_boot(60 * m.slow)
        check(not m.virtualization_on(), "the emulator still sees CR4.VMXE or EFER.SVME")
        if nothing_to_test: raise Skip("why")
"""
from console import RigError


class Skip(Exception):
    """This scenario cannot run here; the argument is the reason that is printed."""


REGISTERED = []


def scenario(rigs=("qemu", "bochs"), timeout=180, long=False, alone=()):
    """Mark a function as a scenario; timeout is for QEMU and tripled on Bochs. alone: on these rigs nothing else runs
    beside it, because several CPUs' threads, or clocks that are compared, suffer from waiting for a CPU."""

    def mark(function):
        for rig in rigs:
            REGISTERED.append({"name": f"{function.__name__}.{rig}", "function": function, "rig": rig, "alone": rig in alone,
                               "long": long is True or bool(long) and rig in long, "timeout": timeout * (3 if rig == "bochs" else 1),
                               "doc": (function.__doc__ or "").strip()})
        return function

    return mark


def check(condition, text):
    """The scenario fails with this text unless the condition holds."""
    if not condition:
        raise RigError(text)
