"""One running sidecar as the tests see it: start it on a free port, talk HTTP to it, stop it.

Owns the process (its log is read all the time, so that a full pipe never blocks it) and the plain HTTP
client. Tests that speak broken HTTP on purpose open their own sockets.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import exposition

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("MONASCA_SIDECAR_BIN") or ROOT / "target/release/monasca-sidecar")
CACHE = ROOT / ".cache"
LISTENING = re.compile(r"listening.*?addr\"?[=:]\"?127\.0\.0\.1:(\d+)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def eventually(probe, what, deadline=60.0):
    """Asks until the answer is true and returns it; after the deadline says what never came."""
    end = time.monotonic() + deadline
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.02)


@dataclass
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["code"]


def clean_environment(extra=None):
    """The caller's environment without any setting of the sidecar's, plus `extra`."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith("MONASCA_SIDECAR_") and key != "DECAY_SECONDS"}
    env.update(extra or {})
    return env


def run_binary(*args, env=None, timeout=20):
    """Runs the binary to its end (for `check`, usage errors and failing starts)."""
    return subprocess.run([str(BINARY), *args], env=clean_environment(env), timeout=timeout,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


class Sidecar:
    def __init__(self, *args, env=None, listen=True, under=()):
        """`under`: a command that becomes the sidecar, such as one that limits what it may have."""
        if not BINARY.is_file():
            raise AssertionError(f"{BINARY} is missing: build it with `cargo build --release`, "
                                 "or set MONASCA_SIDECAR_BIN")
        self.log = []
        self.process = subprocess.Popen(
            [*under, str(BINARY), *(["--listen", "127.0.0.1:0"] if listen else []), *args], env=clean_environment(env),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        try:
            self.port = eventually(self._find_port, "the log line with the port")
        except AssertionError:
            self.kill()
            raise

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(COLOUR.sub("", line.rstrip("\n")))

    def _find_port(self):
        for line in list(self.log):
            match = LISTENING.search(line)
            if match:
                return int(match.group(1))
        if self.process.poll() is not None:
            raise AssertionError(f"ended at start with {self.process.returncode}: {self.log}")
        return None

    # -- the process

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=20):
        code = self.process.wait(timeout)
        self.reader.join(timeout)
        return code

    def stop(self, number=signal.SIGTERM):
        """Asks it to stop and returns the exit code."""
        if self.process.poll() is None:
            self.send_signal(number)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.wait()

    def resident_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def logged(self, text):
        return [line for line in list(self.log) if text in line]

    # -- HTTP

    def request(self, method, path, body=None, headers=None, timeout=20):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, families, path="/v1/ingest", **headers):
        """Pushes and returns the answer, whatever it is. Keywords are headers, `_` read as `-`."""
        body = families if isinstance(families, (bytes, str)) else json.dumps(families)
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        named = {"Content-Type": "application/json"}
        named.update({key.replace("_", "-"): value for key, value in headers.items()})
        return self.request("POST", path, body, named)

    def push(self, families, path="/v1/ingest", **headers):
        """A push that must be applied whole."""
        answer = self.post(families, path, **headers)
        assert (answer.status, answer.body) == (200, b"true"), (answer.status, answer.text)
        return answer

    def page(self):
        """The scrape, held to every rule of the format."""
        answer = self.get("/metrics")
        assert answer.status == 200, (answer.status, answer.text)
        return exposition.parse(answer.body)

    def own(self):
        answer = self.get("/-/metrics")
        assert answer.status == 200, answer.status
        return exposition.parse(answer.body)

    def own_sum(self, name, **labels):
        """The sum of an own metric over its series that carry these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(sample.value for sample in self.own().samples()
                   if sample.name == name and wanted <= set(sample.labels))

    def goodbye(self, instance, erase=False):
        path = "/v1/instances/" + quote(instance, safe="")
        return self.request("DELETE", path + ("?erase=true" if erase else ""))

    def instances(self):
        return self.get("/v1/instances").json()


# -- families, written short

def family(name, kind, *values, **more):
    return {"name": name, "type": kind, "help": more.pop("help", ""), "values": list(values), **more}


def value(name, number, labels=None, instance=None, **more):
    """One sample; `instance` becomes the label `_id`."""
    labels = dict(labels or {})
    if instance is not None:
        labels["_id"] = instance
    return {"name": name, "labels": labels, "value": number, **more}


def counter(name, number, instance=None, **labels):
    return family(name, "counter", value(name, number, labels, instance))


def gauge(name, number, instance=None, aggregate=None, **labels):
    if aggregate is not None:
        labels["_aggregate"] = aggregate
    return family(name, "gauge", value(name, number, labels, instance))


def histogram(name, buckets, total, instance=None, **labels):
    """`buckets`: {le text: cumulative count}; the count is that of +Inf."""
    values = [value(name + "_bucket", count, {**labels, "le": le}, instance)
              for le, count in buckets.items()]
    values.append(value(name + "_sum", total, labels, instance))
    values.append(value(name + "_count", buckets["+Inf"], labels, instance))
    return family(name, "histogram", *values)
