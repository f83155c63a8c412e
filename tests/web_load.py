"""The gunicorn example under load: starts it with `monasca-sidecar-run`, sends it requests at a steady pace, and
keeps the true count: which requests were answered, and when."""

import http.client
import os
import re
import signal
import subprocess
import threading
import time

from sidecar import CACHE, ROOT, clean_environment, eventually

LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
BIN = CACHE / "venv/bin"


class Gunicorn:
    """`monasca-sidecar-run gunicorn ARGUMENTS` in a folder, on a free port; with `runner=()` without the runner."""

    def __init__(self, sidecar, interval, *arguments, folder=ROOT / "examples/gunicorn", runner=("monasca-sidecar-run",), **more):
        env = clean_environment({
            "MONASCA_SIDECAR_URL": sidecar.url, "MONASCA_SIDECAR_INTERVAL": str(interval),
            "PATH": f"{BIN}:{os.environ['PATH']}", **more,
        })
        self.log = []
        self.process = subprocess.Popen(
            [*[str(BIN / word) for word in (*runner, "gunicorn")], "--bind", "127.0.0.1:0", *arguments],
            cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        self.port = eventually(self._find_port, "gunicorn's port", 30)

    def _read_log(self):
        for line in self.process.stdout:
            self.log.append(line.rstrip("\n"))

    def _find_port(self):
        assert self.process.poll() is None, self.log
        found = [LISTENING.search(line) for line in list(self.log)]
        return next((int(match.group(1)) for match in found if match), None)

    def workers(self):
        """The processes that answer requests now."""
        tasks = f"/proc/{self.process.pid}/task"
        pids = []
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/children") as children:
                pids += map(int, children.read().split())
        return pids

    def recycled(self):
        return sum("Autorestarting worker" in line or "Maximum request limit" in line for line in list(self.log))

    def stop(self):
        """The orderly end: workers finish and push their last values."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.reader.join(10)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)


def ask(port, path="/"):
    """One request over a connection of its own, as most load balancers make them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, (answer.status, body)
        return body
    finally:
        connection.close()


class Load:
    """Clients that ask at a steady pace from `start` to `stop`."""

    def __init__(self, port, clients, per_second):
        self.port, self.pause = port, clients / per_second
        self.clients = clients
        self.answers = []  # (moment at which an answer had come, process that gave it); list.append is atomic
        self.unanswered = []
        self.running = False
        self.threads = []

    def ask(self):
        try:
            said = re.fullmatch(r"answered by process (\d+)\n", ask(self.port))
            self.answers.append((time.time(), int(said.group(1))))
        except (OSError, http.client.HTTPException):
            self.unanswered.append(time.time())

    def _run(self):
        due = time.monotonic()
        while self.running:
            self.ask()
            due += self.pause
            time.sleep(max(0.0, due - time.monotonic()))

    def start(self):
        self.running = True
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.clients)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join(30)

    @property
    def answered(self):
        return len(self.answers)

    def answered_between(self, begin, end, process=None):
        return sum(begin <= moment <= end and process in (None, by) for moment, by in list(self.answers))


class Watch(threading.Thread):
    """Scrapes all the time; every page must be valid, and nothing on it may fall."""

    def __init__(self, sidecar):
        super().__init__(daemon=True)
        self.sidecar = sidecar
        self.scrapes, self.failure, self.ending = 0, None, threading.Event()

    def run(self):
        seen = {}
        try:
            while not self.ending.wait(0.1):
                now = self.sidecar.page().cumulative()
                fallen = {key: (number, now.get(key)) for key, number in seen.items() if now.get(key, -1) < number}
                assert not fallen, fallen
                seen = now
                self.scrapes += 1
        except BaseException as problem:  # told by `end`
            self.failure = problem

    def end(self):
        self.ending.set()
        self.join(30)
        if self.failure is not None:
            raise self.failure
