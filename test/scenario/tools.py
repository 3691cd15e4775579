# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host tool sojstore makes of a disk that a machine has left behind."""
import json
import re
import shutil
import subprocess

import steps
from saving_tools import sojstore
from scenario import Skip, check, scenario

KERNEL_HALF = 0xFFFF800000000000


def gdb(core, *commands):
    """What gdb says to these commands, with the core file and nothing else: no symbols."""
    words = [word for command in commands for word in ("-ex", command)]
    done = subprocess.run(["gdb", "-nx", "-batch", *words, "-c", core], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, check=False)
    check(done.returncode == 0, f"gdb ended with {done.returncode}: {done.stdout[-400:]}")
    return done.stdout


def register(text, name):
    found = re.search(rf"^{name} +0x([0-9a-f]+) ", text, re.M)
    check(found, f"gdb shows no {name}: {text[-400:]!r}")
    return int(found.group(1), 16)


@scenario(rigs=("qemu",), timeout=120)
def extract_core(m):
    """A checkpoint as a core file: gdb sees each CPU's registers, its stack, and the kernel's banner at its address."""
    if not shutil.which("gdb"):
        raise Skip("gdb is not installed")
    image = steps.boot(m, cpus=2)
    banner = int(m.guest.run("grep ' linux_banner$' /proc/kallsyms").split()[0], 16)
    check(banner >= KERNEL_HALF, f"the guest hides its symbols: linux_banner is at {banner:#x}")
    steps.to_native(m)
    row = steps.checkpoint(m, "for gdb")
    m.power_cut()

    core = m.path("core")
    done = sojstore("extract", image, "latest", core)
    check(done.returncode == 0 and "note:" not in done.stdout, f"sojstore extract: {done.stdout}")
    shown = json.loads(sojstore("show", image, str(row["id"]), "--json").stdout)
    check(f"checkpoint {row['id']}, 2 CPUs" in done.stdout and "VMCOREINFO" in done.stdout, f"extract said {done.stdout}")

    said = gdb(core, f"x/s {banner:#x}")
    check('"Linux version 6.' in said, f"no banner at {banner:#x}: {said[-400:]!r}")
    check(len(shown["cpu"]) == 2, f"sojstore show knows {shown['cpu']}")
    for cpu in shown["cpu"]:
        thread = f"thread {cpu['number'] + 1}"
        said = gdb(core, thread, "info registers rip rsp cs")
        rip, rsp, cs = (register(said, name) for name in ("rip", "rsp", "cs"))
        check(rip == int(cpu["rip"], 16) and cpu["mode"] == "64-bit", f"rip is {rip:#x} in gdb, and {cpu} in sojstore show")
        check((rip >= KERNEL_HALF) == (cs & 3 == 0), f"rip {rip:#x} does not go with cs {cs:#x}")
        if rip < KERNEL_HALF:
            continue
        said = gdb(core, thread, "x/gx $rsp", "x/2i $rip")
        check(re.search(rf"{rsp:#x}:\s+0x[0-9a-f]{{16}}", said), f"the stack at {rsp:#x} cannot be read: {said[-400:]!r}")
        check("Cannot access" not in said, f"the code at {rip:#x} cannot be read: {said[-400:]!r}")
    # The same bytes by their physical address.
    headers = subprocess.run(["readelf", "-lW", core], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    loads = [[int(x, 16) for x in line.split()[1:5]] for line in headers.splitlines() if line.split()[:1] == ["LOAD"]]
    physical = [paddr + banner - vaddr for _, vaddr, paddr, size in loads if vaddr <= banner < vaddr + size]
    check(len(physical) == 1, f"{len(physical)} segments show the banner")
    check('"Linux version 6.' in gdb(core, f"x/s {physical[0]:#x}"), f"no banner at physical {physical[0]:#x}")
