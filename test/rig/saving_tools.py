# SPDX-License-Identifier: GPL-2.0-or-later
"""The host tool sojstore, as scenarios use it on a disk image."""
import json
import os
import subprocess

import machine
from scenario import check

SOJSTORE = os.path.join(machine.TOP, "build/sojstore")


def sojstore(*arguments):
    return subprocess.run([SOJSTORE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                          check=False)


def committed(image):
    done = sojstore("list", image, "--json")
    check(done.returncode == 0, f"sojstore list failed: {done.stdout}")
    found = json.loads(done.stdout)
    return [c["id"] for c in (found if isinstance(found, list) else found["checkpoints"]) if c["state"] == "committed"]
