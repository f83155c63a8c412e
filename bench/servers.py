"""Starting and stopping a server, and reading what it uses."""
import contextlib
import os
import shlex
import socket
import subprocess
import tempfile
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_DEADLINE_S = 30
STOP_DEADLINE_S = 15
# Nothing may decay while a phase runs that does not push.
ENVIRONMENT = {"DECAY_SECONDS": "36000"}


class ServerError(Exception):
    """The server did not start, or ended by itself."""


@contextlib.contextmanager
def on_cpu(cpu):
    """What is started inside runs on this CPU alone (None: on all): affinity is inherited."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One process under test. `command` is a template with `{port}`."""

    def __init__(self, command, cpu):
        self.port = free_port()
        self.addr = f"127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile()
        args = shlex.split(command.replace("{port}", str(self.port)))
        with on_cpu(cpu):
            self.started = time.perf_counter()
            self.child = subprocess.Popen(args, env={**os.environ, **ENVIRONMENT},
                                          stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.first_answer_ms = None

    def __enter__(self):
        try:
            self.first_answer_ms = self._await_answer()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def usage(self):
        """CPU seconds so far, resident bytes now and at most."""
        pid = self.child.pid
        out = {"cpu": cpu_seconds(pid), "rss": 0, "hwm": 0}
        try:
            with open(f"/proc/{pid}/status") as f:
                for line in f:
                    if line.startswith("VmRSS:"):
                        out["rss"] = int(line.split()[1]) * 1024
                    elif line.startswith("VmHWM:"):
                        out["hwm"] = int(line.split()[1]) * 1024
        except OSError:
            pass
        return out

    def alive(self):
        return self.child.poll() is None

    def log_tail(self):
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace")

    def stop(self):
        if self.alive():
            self.child.terminate()
            try:
                self.child.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()

    def _await_answer(self):
        """Milliseconds from exec to the first byte of any HTTP answer."""
        request = f"GET /-/healthy HTTP/1.1\r\nHost: {self.addr}\r\nConnection: close\r\n\r\n".encode()
        while time.perf_counter() - self.started < START_DEADLINE_S:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    s.sendall(request)
                    if s.recv(1):
                        return (time.perf_counter() - self.started) * 1e3
            except OSError:
                pass
            if not self.alive():
                raise ServerError(f"exited with {self.child.returncode}: {self.log_tail()}")
            time.sleep(0.0002)
        raise ServerError(f"no answer in {START_DEADLINE_S} s: {self.log_tail()}")


def cpu_seconds(pid):
    """CPU time of all threads of a process, ended ones too; 0 when it is gone."""
    try:
        # The process's own CPU clock (clock_getcpuclockid) counts nanoseconds, /proc/PID/stat ticks of 10 ms.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
    except OSError:
        return 0.0


def machine_busy_seconds():
    """CPU time that anybody on this machine has used."""
    with open("/proc/stat") as f:
        user, nice, system, _idle, _wait, irq, softirq = [int(x) for x in f.readline().split()[1:8]]
    return (user + nice + system + irq + softirq) / TICKS_PER_SECOND
