"""A real Prometheus that scrapes a sidecar every second, and what it saw."""

import json
import re
import subprocess
import threading
import urllib.parse
import urllib.request

from sidecar import eventually

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1h}}
scrape_configs:
  - job_name: application
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
{more}"""
LISTENING = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')


class Prometheus:
    def __init__(self, binary, folder, target_port, features=(), more=""):
        (folder / "prometheus.yml").write_text(CONFIG.format(port=target_port, more=more))
        self.log = []
        self.process = subprocess.Popen(
            [str(binary), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             "--web.listen-address=127.0.0.1:0", "--log.level=info",
             *(f"--enable-feature={feature}" for feature in features)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read_log, daemon=True).start()
        self.port = eventually(self._find_port, f"Prometheus's port in {self.log}", 30)
        eventually(self.is_ready, "Prometheus's readiness", 30)

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def _find_port(self):
        assert self.process.poll() is None, self.log
        found = [LISTENING.search(line) for line in list(self.log)]
        return next((int(match.group(1)) for match in found if match), None)

    def is_ready(self):
        try:
            return self._get("/-/ready") is not None
        except OSError:
            return False

    def _get(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
            return answer.read()

    def query(self, expression, at=None):
        """The vector or matrix that an instant query gives."""
        arguments = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        answer = json.loads(self._get("/api/v1/query?" + urllib.parse.urlencode(arguments)))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def number(self, expression, at=None):
        """The value of an expression that gives one series."""
        found = self.query(expression, at)
        assert len(found) == 1, (expression, found)
        return float(found[0]["value"][1])

    def raw(self, selector, window="10m"):
        """Every sample as it was scraped: [(seconds, value), ...] of the one series."""
        found = self.query(f"{selector}[{window}]")
        assert len(found) <= 1, found
        return [(seconds, float(text)) for seconds, text in found[0]["values"]] if found else []

    def exemplars(self, selector, start, end):
        """The exemplars of the one series that has some, oldest first."""
        arguments = {"query": selector, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        answer = json.loads(self._get("/api/v1/query_exemplars?" + urllib.parse.urlencode(arguments)))
        assert answer["status"] == "success", answer
        assert len(answer["data"]) <= 1, answer
        return answer["data"][0]["exemplars"] if answer["data"] else []

    def scrape_errors(self):
        """The targets that are not up, with the reason."""
        answer = json.loads(self._get("/api/v1/targets"))
        return [target["lastError"] for target in answer["data"]["activeTargets"] if target["lastError"]]

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)
