# SPDX-License-Identifier: GPL-2.0-or-later
"""The two serial consoles of a test machine: a byte stream with expect/send, the guest's shell on it, and Sojourn's
command protocol on it. Every wait has a deadline; end of stream and timeout raise RigError with the last output."""
import os
import re
import select
import threading
import time


class RigError(Exception):
    """The machine did not do what the test waited for."""


class Stream:
    """Bytes in both directions over a file descriptor (socket or pty). A thread reads all the time, so that the machine
    never waits for the test; everything is written to the log file. expect() consumes what it matched."""

    def __init__(self, name, fd, log_path, pace_s=0.0):
        self.name, self.fd, self.pace_s = name, fd, pace_s
        self.text, self.taken, self.closed = "", 0, False
        self.changed = threading.Condition()
        self.log = open(log_path, "ab", buffering=0)
        self.stop_pipe = os.pipe()
        os.set_blocking(fd, False)
        self.thread = threading.Thread(target=self._read_all, daemon=True)
        self.thread.start()

    def _read_all(self):
        while True:
            ready, _, _ = select.select([self.fd, self.stop_pipe[0]], [], [])
            if self.stop_pipe[0] in ready:
                break
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                break
            self.log.write(data)
            with self.changed:
                self.text += data.decode("latin-1")
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def close(self):
        os.write(self.stop_pipe[1], b"x")
        self.thread.join(5)
        for fd in (self.fd, *self.stop_pipe):
            os.close(fd)
        self.log.close()

    def send(self, text):
        """All of it, or RigError. With a pace, byte by byte."""
        data, end = text.encode("latin-1"), time.monotonic() + 30 + len(text) * self.pace_s
        while data:
            if time.monotonic() > end or self.closed:
                raise RigError(f"{self.name}: cannot send {text!r}")
            if not select.select([], [self.fd], [], 0.5)[1]:
                continue
            try:
                n = os.write(self.fd, data[:1] if self.pace_s else data)
            except BlockingIOError:
                continue
            except OSError as e:
                raise RigError(f"{self.name}: cannot send {text!r}: {e}") from e
            data = data[n:]
            if self.pace_s:
                time.sleep(self.pace_s)

    def drop(self):
        """Forget what has come so far."""
        with self.changed:
            self.taken = len(self.text)

    def seen(self, since=0):
        """All output of this boot from that character on, taken or not."""
        with self.changed:
            return self.text[since:]

    def expect(self, pattern, timeout=30.0, never=None):
        """Wait for a regular expression in what was not taken yet; take everything up to its end; return the match.
        A match of `never` that comes first is a failure at once."""
        wanted, unwanted = re.compile(pattern), re.compile(never) if never else None
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                found = wanted.search(self.text, self.taken)
                wrong = unwanted.search(self.text, self.taken) if unwanted else None
                if wrong and (not found or wrong.start() < found.start()):
                    self.taken = wrong.end()
                    raise RigError(f"{self.name}: saw {wrong.group(0)!r} while waiting for {pattern!r}")
                if found:
                    self.taken = found.end()
                    return found
                left = end - time.monotonic()
                if left <= 0 or self.closed:
                    why = "ended" if self.closed else f"gave nothing in {timeout:g} s"
                    raise RigError(f"{self.name}: {why} while waiting for {pattern!r}; last: {self.text[-400:]!r}")
                self.changed.wait(min(left, 1.0))


class GuestConsole(Stream):
    """The guest's console, COM1, with a shell on it."""

    PANIC = r"Kernel panic - not syncing[^\r\n]*|BUG: [^\r\n]*|Oops: [^\r\n]*"
    serial = 0

    def wait_boot(self, timeout=60.0):
        """Until the initramfs has its shell; returns the line's values, e.g. {"cpus": "1", "up": "3.1"}."""
        line = self.expect(r"BOOTED-SHELL ([^\r\n]*)\r?\n", timeout, never=self.PANIC).group(1)
        self.expect(r"# ", timeout)
        return dict(part.split("=", 1) for part in line.split())

    def sh(self, command, timeout=30.0):
        """Run a command line in the guest's shell; returns (exit code, output). The marker is sent in two pieces, so
        that the echo of the command cannot be taken for its end."""
        GuestConsole.serial += 1
        mark = f"{GuestConsole.serial:04d}"
        self.drop()
        self.send(f"echo '@'BEGIN{mark}; {command}; echo '@'END{mark}:$?\n")
        self.expect(rf"@BEGIN{mark}\r?\n", timeout, never=self.PANIC)
        with self.changed:
            start = self.taken
        found = self.expect(rf"@END{mark}:(\d+)\r?\n", timeout, never=self.PANIC)
        with self.changed:
            out = self.text[start : found.start()]
        return int(found.group(1)), out.replace("\r\n", "\n").rstrip("\n")

    def run(self, command, timeout=30.0):
        """As sh(), but the command has to succeed; returns its output."""
        code, out = self.sh(command, timeout)
        if code != 0:
            raise RigError(f"guest: {command!r} ended with {code}: {out[-300:]}")
        return out

    def work_start(self, arguments="", timeout=60.0):
        out = self.run(f"work start {arguments}", timeout)
        if "WORK-STARTED" not in out:
            raise RigError(f"guest: work start said {out!r}")

    def work_check(self, timeout=60.0):
        """The workload's own verdict: a dict of its figures, or RigError with its reason."""
        _, out = self.sh("work check", timeout)
        found = re.search(r"WORK-(OK|BAD) ([^\n]*)", out)
        if not found or found.group(1) != "OK":
            raise RigError(f"guest: {found.group(0) if found else out!r}")
        return {key: int(value) for key, value in (part.split("=", 1) for part in found.group(2).split())}


class Answer:
    """What Sojourn's console said to one command: lines, and ok or the error's code and text."""

    def __init__(self, command, lines, code, text):
        self.command, self.lines, self.code, self.text = command, lines, code, text
        self.ok = code == "ok"

    def __iter__(self):
        return iter((self.lines, self.code))

    def __repr__(self):
        return f"<{self.command!r}: {self.code} {self.text} {self.lines!r}>"


class SojournConsole(Stream):
    """Sojourn's console, COM2: any number of lines, then `ok` or `error CODE: text`. Lines that begin with "* " come
    unasked; they are kept in self.events."""

    END = re.compile(r"(?m)^(?:ok|error ([A-Z][A-Z0-9_]*): ([^\r\n]*))\r?\n")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.events = []

    def cmd(self, command, timeout=20.0):
        """Send one command, wait for its whole answer. RigError only when there is none; error answers are returned."""
        self.drop()
        with self.changed:
            start = self.taken
        self.send(command + "\r")
        end = time.monotonic() + timeout
        while True:
            found = self.expect(self.END.pattern, max(0.01, end - time.monotonic()))
            with self.changed:
                body = self.text[start : found.start()]
            before, echo, rest = body.partition(command)
            if echo:  # else it is the answer to something sent before
                break
        lines = []
        self.events += [line[2:] for line in re.split(r"\r?\n", before) if line.startswith("* ")]
        for line in re.split(r"\r?\n", rest):
            # A bare CR redraws the line: what counts is what was drawn last.
            line = line.rstrip("\r").split("\r")[-1].replace("\x1b[K", "")
            if line.startswith("* "):
                self.events.append(line[2:])
            elif line and not line.startswith("sojourn> "):
                lines.append(line)
        return Answer(command, lines, found.group(1) or "ok", found.group(2) or "")

    def run(self, command, timeout=20.0):
        """As cmd(), but the answer has to be ok; returns its lines."""
        answer = self.cmd(command, timeout)
        if not answer.ok:
            raise RigError(f"sojourn: {answer!r}")
        return answer.lines

    def wake(self, timeout=30.0):
        """Until the console answers at all; returns the version line."""
        end = time.monotonic() + timeout
        while True:
            try:
                lines = self.run("version", min(3.0, timeout))
                time.sleep(0.3)  # those of earlier attempts may still be on their way
                return lines
            except RigError:
                if time.monotonic() > end or self.closed:
                    raise
