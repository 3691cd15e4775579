# SPDX-License-Identifier: GPL-2.0-or-later
"""The two test machines behind one interface: Qemu (SVM, AHCI, q35) and Bochs (VMX, IDE, i440fx).

    with Qemu("name") as m:
        m.start(image, mem_mib=256)
        m.guest.wait_boot(); m.guest.work_start(); m.guest.work_check()       # COM1, a shell in the guest
        lines, code = m.sojourn.cmd("status --json")                         # COM2, Sojourn's console
        m.power_cut(); m.start(image)                                        # pull the plug, boot again
        m.virtualization_on()                                                # CR4.VMXE / EFER.SVME, from the emulator

Logs go to build/test/NAME/: com1.log, com2.log, emulator.log and the configuration. Only processes started here are
ended, by their own id. Every wait has a deadline."""
import ctypes
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import qemu_smp  # noqa: E402
from console import GuestConsole, RigError, SojournConsole  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CR4_VMXE = 1 << 13
DEBUGGER_TRIES = 3
HOST_MEM_MIB = 2048  # Bochs takes no more; the rest of a larger guest lies in a file
EFER_SVME = 1 << 12


def mk_image(path, *arguments):
    """tools/mk-image with these arguments; returns path."""
    done = subprocess.run([os.path.join(TOP, "tools/mk-image"), path, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RigError(f"mk-image {' '.join(arguments)}: {done.stdout.strip()}")
    return path


def wait_until(what, timeout, condition, every=0.05):
    """Poll until condition() is true; its value. RigError when the deadline passes."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RigError(f"{what}: not within {timeout:g} s")
        time.sleep(every)


class Machine:
    """What both have in common. `slow` scales a scenario's own deadlines: Bochs runs at a tenth of QEMU's speed."""

    rig = backend = ""
    slow = 1.0
    cpus = 1

    def __init__(self, name, keep_logs=True):
        self.name, self.keep_logs = name, keep_logs
        self.dir = os.path.join(TOP, "build/test", name)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.guest = self.sojourn = self.process = None
        self.boots = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and self.alive():
            self.write_state()
        self.power_cut()

    def write_state(self):
        """A scenario failed: what the machine is doing, into state.txt, as far as it can still be asked."""
        with open(self.path("state.txt"), "w", encoding="utf-8") as f:
            for what, ask in self.questions():
                try:
                    f.write(f"--- {what}\n{ask()}\n")
                except Exception as e:
                    f.write(f"--- {what}: {e}\n")
                f.flush()

    def questions(self):
        return [("log", lambda: "\n".join(self.sojourn.run("log", 10)))]

    def path(self, name):
        """A file of this test's own, below build/test/NAME/."""
        return os.path.join(self.dir, name)

    def image(self, *arguments, name="disk.img"):
        """Build a disk image for this test (arguments as of tools/mk-image); returns its path."""
        return mk_image(self.path(name), *arguments)

    def spawn(self, command, **how):
        self.log = open(self.path("emulator.log"), "ab")
        self.log.write(("\n$ " + " ".join(command) + "\n").encode())
        self.log.flush()
        self.process = subprocess.Popen(command, start_new_session=True, cwd=self.dir, preexec_fn=die_with_parent, **how)
        self.boots += 1

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def power_cut(self):
        """Pull the plug: SIGKILL, no flush, no goodbye. What the emulator gave to write(2) is on the disk image."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None
            self.log.close()
        for stream in (self.guest, self.sojourn):
            if stream is not None:
                stream.close()
        self.guest = self.sojourn = None
        self.cleanup()

    def cleanup(self):
        """Files a killed emulator leaves behind."""

    def wait_exit(self, timeout=30.0):
        """Until the emulator ends by itself; its exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as e:
            raise RigError(f"{self.rig} still runs after {timeout:g} s") from e

    def virtual_cpus(self):
        """How many CPUs are in their virtualization mode, as the emulator sees it? Intel: CR4.VMXE, AMD: EFER.SVME."""
        every = self.registers_of_all()
        return sum(bool(regs["CR4"] & CR4_VMXE or regs["EFER"] & EFER_SVME) for regs in every)

    def registers_of_all(self):
        return [self.registers(cpu) for cpu in range(self.cpus)]

    def virtualization_on(self):
        return self.virtual_cpus() > 0


class Qemu(Machine):
    """QEMU TCG: q35, EPYC with SVM and NPT, disks on AHCI, both UARTs on sockets, QMP for the rest."""

    rig, backend = "qemu-svm", "svm"

    def start(self, image, mem_mib=256, cpus=1, disks=(), cpu="EPYC", extra=(), gdb=False, timeout=20.0):
        """disks: further raw images, or ready -drive values for if=none,id=diskN (blkdebug, for instance)."""
        with open(self.path("emulator.log"), "a", encoding="utf-8") as log:
            qemu = qemu_smp.program(cpus, log)
        if not qemu:
            raise RigError("no qemu-system-x86_64; install qemu-system-x86")
        self.cpus = cpus
        self.sockets = tempfile.mkdtemp(prefix="sojourn-")  # a socket's path must be short
        command = [qemu, "-machine", "q35", "-accel", "tcg", "-cpu", cpu, "-m", str(mem_mib), "-smp", str(cpus),
                   "-display", "none", "-nodefaults", "-vga", "std", "-no-user-config", "-S",
                   "-qmp", f"unix:{self.sockets}/qmp,server=on,wait=off"]
        for name in ("com1", "com2"):
            command += ["-chardev", f"socket,id={name},path={self.sockets}/{name},server=on,wait=off", "-serial", "chardev:" + name]
        for number, disk in enumerate((image, *disks)):
            drive = f"file={disk},format=raw,cache=writeback" if os.path.exists(disk) else disk
            command += ["-drive", f"if=none,id=disk{number},{drive}",
                        "-device", f"ide-hd,drive=disk{number},bus=ide.{number},bootindex={number}"]
        command += ["-gdb", f"unix:{self.sockets}/gdb,server=on,wait=off"] if gdb else []
        self.spawn(command + list(extra), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=open(self.path("emulator.log"), "ab"))
        self.qmp_id, self.qmp_rest = 0, b""
        self.qmp_socket = self.connect("qmp", timeout)
        self.qmp_receive(timeout)
        self.qmp("qmp_capabilities")
        self.guest = GuestConsole("guest", self.connect("com1", timeout).detach(), self.path("com1.log"))
        self.sojourn = SojournConsole("sojourn", self.connect("com2", timeout).detach(), self.path("com2.log"))
        self.qmp("cont")
        return self

    def connect(self, name, timeout):
        end = time.monotonic() + timeout
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(f"{self.sockets}/{name}")
                return s
            except OSError as e:
                s.close()
                if time.monotonic() > end or not self.alive():
                    raise RigError(f"QEMU did not come up; see {self.path('emulator.log')}") from e
                time.sleep(0.02)

    def qmp_receive(self, timeout):
        end = time.monotonic() + timeout
        while b"\n" not in self.qmp_rest:
            self.qmp_socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.qmp_socket.recv(65536)
            except OSError as e:
                raise RigError(f"QEMU's monitor is silent: {e}") from e
            if not data:
                raise RigError("QEMU has ended")
            self.qmp_rest += data
        line, self.qmp_rest = self.qmp_rest.split(b"\n", 1)
        return json.loads(line)

    def qmp(self, command, timeout=10.0, **arguments):
        """One monitor command; its return value."""
        self.qmp_id += 1
        message = {"execute": command, "id": self.qmp_id}
        if arguments:
            message["arguments"] = arguments
        self.qmp_socket.sendall(json.dumps(message).encode() + b"\n")
        end = time.monotonic() + timeout
        while True:
            answer = self.qmp_receive(end - time.monotonic())
            if answer.get("id") == self.qmp_id:
                if "error" in answer:
                    raise RigError(f"QEMU: {command}: {answer['error']['desc']}")
                return answer["return"]

    def monitor(self, line, timeout=10.0):
        """A line for the human monitor, e.g. "info tlb"; its text."""
        return self.qmp("human-monitor-command", timeout, **{"command-line": line})

    def registers(self, cpu=0):
        """Name -> value of what `info registers` shows: RIP, CR0, CR3, CR4, EFER, CPL ..."""
        text = self.qmp("human-monitor-command", **{"command-line": "info registers", "cpu-index": cpu})
        return {name: int(value, 16) for name, value in re.findall(r"\b([A-Z][A-Z0-9]{1,3})=([0-9a-fA-F]+)\b", text)}

    def questions(self):
        asked = [(f"{line} of CPU {cpu}", lambda line=line, cpu=cpu: self.qmp("human-monitor-command", **{"command-line": line, "cpu-index": cpu}))
                 for cpu in range(self.cpus) for line in ("info registers", "info lapic")]
        # The console's UART: interrupt enable, line status; its identification last, since asking may take it back.
        asked += [(line, lambda line=line: self.monitor(line)) for line in ("info pic", "i /b 0x2f9", "i /b 0x2fd", "i /b 0x2fa")]
        return asked * 2 + super().questions()  # twice: does anything move?

    def memory(self, physical, count):
        """Bytes of guest-physical memory."""
        path = os.path.join(self.sockets, "memory")
        self.qmp("pmemsave", val=physical, size=count, filename=path)
        with open(path, "rb") as f:
            return f.read()

    def reset(self):
        """The reset button: RAM keeps its content."""
        self.guest.drop()
        self.sojourn.drop()
        self.qmp("system_reset")

    def nmi(self):
        self.monitor("nmi")

    def pause(self):
        self.qmp("stop")

    def resume(self):
        self.qmp("cont")

    def cleanup(self):
        if getattr(self, "qmp_socket", None):
            self.qmp_socket.close()
            self.qmp_socket = None
        if getattr(self, "sockets", None):
            shutil.rmtree(self.sockets, ignore_errors=True)
            self.sockets = None


BOCHSRC = """plugin_ctrl: unmapped=1, biosdev=1, extfpuirq=1, serial=1
config_interface: textconfig
display_library: term
memory: guest={mem}, host={host_mem}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
boot: disk
{disks}
cpu: model={cpu}, count={cpus}, ips=50000000, reset_on_triple_fault={reset}, ignore_bad_msrs=1, quantum=16
clock: sync=none, time0=1700000000
pci: enabled=1, chipset=i440fx
vga: extension=vbe, update_freq=1
com1: enabled=1, mode=term, dev={com1}
com2: enabled=1, mode=term, dev={com2}
port_e9_hack: enabled=1
panic: action=fatal
error: action=report
info: action=ignore{info}
debug: action=ignore
log: {log}
mouse: enabled=0
"""


class Bochs(Machine):
    """Bochs 2.7: VMX with EPT, disks on IDE, both UARTs on ptys. Its text display needs a terminal: another pty, on
    which the built-in debugger listens too."""

    rig, backend = "bochs-vmx", "vmx"
    slow = 10.0
    continued = 0.0

    def start(self, image, mem_mib=256, cpus=1, disks=(), cpu="corei7_haswell_4770", reset_on_triple_fault=False):
        if not shutil.which("bochs"):
            raise RigError("no bochs; install bochs, bochs-term, bochsbios and vgabios")
        self.cpus = cpus
        lines, where = [], ["ata0-master", "ata0-slave", "ata1-master", "ata1-slave"]
        lines.append("ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14")
        lines.append("ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15")
        self.locks = []
        for slot, disk in zip(where, (image, *disks)):
            lines.append(f"{slot}: type=disk, path={os.path.abspath(disk)}, mode=flat")
            self.locks.append(os.path.abspath(disk) + ".lock")
        self.cleanup()
        ptys = {name: pty.openpty() for name in ("com1", "com2", "screen")}
        for name in ("com1", "com2"):
            raw_tty(ptys[name][1])
        # Of CPUs alone (a register dump after a triple fault). What its handler of SIGINT says must not be logged: it would wait for ever for
        # the log's lock if it had interrupted the one that holds it.
        info = "".join(f", cpu{number}=report" for number in range(cpus))
        config = BOCHSRC.format(mem=mem_mib, info=info, host_mem=min(mem_mib, HOST_MEM_MIB), cpu=cpu, cpus=cpus, disks="\n".join(lines), reset=int(reset_on_triple_fault),
                                com1=os.ttyname(ptys["com1"][1]), com2=os.ttyname(ptys["com2"][1]), log=self.path("bochs.log"))
        with open(self.path("bochsrc"), "w", encoding="ascii") as f:
            f.write(config)
        with open(self.path("bochs.rc"), "w", encoding="ascii") as f:
            f.write("c\n")
        fcntl.ioctl(ptys["screen"][1], termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        screen = ptys["screen"][1]
        self.spawn(["bochs", "-q", "-f", "bochsrc", "-rc", "bochs.rc"], stdin=screen, stdout=screen, stderr=screen,
                   env=dict(os.environ, TERM="linux"))
        self.spare = [ptys[name][1] for name in ("com1", "com2")]  # kept open, or reading the master gives EIO
        os.close(screen)
        self.screen = Screen(ptys["screen"][0], self.path("screen.log"))
        self.guest = GuestConsole("guest", ptys["com1"][0], self.path("com1.log"))
        self.sojourn = SojournConsole("sojourn", ptys["com2"][0], self.path("com2.log"))
        time.sleep(0.3)
        if not self.alive():
            raise RigError(f"Bochs ended at once; {self.path('screen.log')} says why")
        return self

    def debugger(self, *commands, timeout=10.0):
        """Interrupt the machine, run debugger commands, let it go on; their output."""
        time.sleep(max(0.0, self.continued + 0.3 - time.monotonic()))  # an interrupt at its prompt would be lost
        mark = self.screen.length()
        for left in range(DEBUGGER_TRIES, 0, -1):  # on a busy build machine one can be lost all the same
            os.kill(self.process.pid, signal.SIGINT)
            try:
                self.screen.wait(mark, rb"<bochs:\d+>", timeout / DEBUGGER_TRIES)
                break
            except RigError:
                if left == 1:
                    raise
        text = b""
        for command in (*commands, "c"):
            mark = self.screen.length()
            self.screen.write(command.encode() + b"\n")
            if command != "c":
                text += self.screen.wait(mark, rb"<bochs:\d+>", timeout)
        if left < DEBUGGER_TRIES:  # the first one may have been late, and the second stop the machine again
            try:
                self.screen.wait(mark, rb"<bochs:\d+>", 1.0)
                self.screen.write(b"c\n")
            except RigError:
                pass
        self.continued = time.monotonic()
        return text.decode("latin-1")

    def registers_of_all(self):
        commands = []
        for cpu in range(self.cpus):
            commands += [f"set $cpu = {cpu}"] if self.cpus > 1 else []
            commands += ["creg"]
        found, every = re.findall(r"\b(CR\d|EFER|XCR0)\s*=\s*0x([0-9a-fA-F]+)", self.debugger(*commands)), []
        for name, value in found:
            if name == "CR0":
                every.append({})
            every[-1][name] = int(value, 16)
        return every

    def registers(self, cpu=0):
        return self.registers_of_all()[cpu]

    def reset(self):
        raise RigError("Bochs has no reset button from outside: cut the power and start again, or reset from inside")

    def cleanup(self):
        if getattr(self, "screen", None):
            self.screen.close()
            self.screen = None
        for fd in getattr(self, "spare", []):
            os.close(fd)
        self.spare = []
        for lock in getattr(self, "locks", []):
            if os.path.exists(lock):
                os.unlink(lock)


def raw_tty(fd):
    mode = termios.tcgetattr(fd)
    mode[0] = mode[1] = mode[3] = 0
    mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    termios.tcsetattr(fd, termios.TCSANOW, mode)


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """In the child: an emulator never outlives the test that started it; a terminal on stdin becomes its own."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    """Bochs's text screen: drained by a thread, kept in memory and in a log."""

    def __init__(self, fd, log_path):
        self.fd, self.data, self.closed = fd, b"", False
        self.changed = threading.Condition()
        self.log = open(log_path, "ab", buffering=0)
        self.thread = threading.Thread(target=self._read_all, daemon=True)
        self.thread.start()

    def _read_all(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            with self.changed:
                self.data, self.closed = self.data + data, not data
                self.changed.notify_all()
            if not data:
                return
            self.log.write(data)

    def length(self):
        with self.changed:
            return len(self.data)

    def wait(self, mark, pattern, timeout):
        """What came since mark, once it holds the pattern."""
        end = time.monotonic() + timeout
        with self.changed:
            while not re.search(pattern, self.data[mark:]):
                if time.monotonic() > end or self.closed:
                    raise RigError(f"Bochs's debugger does not answer; last: {self.data[-200:]!r}")
                self.changed.wait(0.5)
            return self.data[mark:]

    def write(self, data):
        os.write(self.fd, data)

    def close(self):
        self.thread.join(5)  # ends when the last process on the pty is gone
        os.close(self.fd)
        self.log.close()


RIGS = {"qemu": Qemu, "bochs": Bochs}
