"""What README shows is what happens: its quickstart command by command, its five-line application, its configuration."""

import os
import re
import subprocess

import pytest

from sidecar import ROOT, eventually, run_binary
from web_load import BIN, Gunicorn, ask

README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title):
    """The text under a heading of the second level."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S).group(1)


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def steps(block):
    """The commands of a console block with what each prints. A command goes on while a quote is open or a pipe leads on."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        elif found[-1][0].count("'") % 2 or found[-1][0].endswith("|"):
            found[-1][0] += "\n" + line
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(output)) for command, output in found]


@pytest.fixture
def shell(sidecar, tmp_path):
    """Runs a command of README against this test's sidecar."""
    (tmp_path / "config.json").write_text('{"disable_update_warnings": true}')
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HTTPIE_CONFIG_DIR": str(tmp_path), "NO_PROXY": "*"}

    def run(command):
        command = re.sub(r"(127\.0\.0\.1|localhost)?:4888\b", lambda found: f"{found.group(1) or ''}:{sidecar.port}", command)
        answer = subprocess.run(["bash", "-c", command], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=60, check=False)
        assert answer.returncode == 0, (command, answer.stderr)
        return answer.stdout

    return run


def test_the_quickstart_prints_what_readme_says(shell):
    shown = [step for block in blocks(section("Quickstart"), "console") for step in steps(block)]
    assert len(shown) >= 5 and any("curl" in command for command, _ in shown) and any("http " in command for command, _ in shown)
    for command, output in shown:
        assert shell(command).strip("\n") == output, command


def test_the_gunicorn_application_of_readme_counts_its_requests(sidecar, shell, tmp_path):
    text = section("A gunicorn application")
    (tmp_path / "app.py").write_text(blocks(text, "python")[0])
    shown = [step for block in blocks(text, "console") for step in steps(block)]
    start = next(command for command, _ in shown if command.startswith("monasca-sidecar-run "))
    look, output = next((command, output) for command, output in shown if command.startswith("curl "))
    requests = int(re.search(r"After (\d+) requests", text).group(1))

    gunicorn = Gunicorn(sidecar, 0.2, *start.split()[2:], folder=tmp_path)
    try:
        for _ in range(requests):
            assert ask(gunicorn.port) == "hello\n"
        eventually(lambda: shell(look).strip("\n") == output, output, 20)
    finally:
        gunicorn.stop()
    assert shell(look).strip("\n") == output, "nothing is lost when it stops"


def test_pushes_as_to_a_pushgateway_give_what_readme_shows(sidecar, shell, tmp_path):
    text = section("Instead of a Pushgateway")
    first, last = [steps(block) for block in blocks(text, "console")]
    for command, output in first:
        assert shell(command).strip("\n") == output, command
    (tmp_path / "worker.py").write_text(blocks(text, "python")[0].replace("localhost:4888", f"localhost:{sidecar.port}"))
    assert "two runs" in text
    for _ in range(2):
        shell(f"python {tmp_path / 'worker.py'}")
    for command, output in last:
        assert shell(command).strip("\n") == output, command


def test_the_configuration_of_readme_is_right(tmp_path):
    for index, block in enumerate(blocks(section("Configuration"), "yaml")):
        path = tmp_path / f"{index}.yaml"
        path.write_text(block)
        answer = run_binary("check", str(path))
        assert answer.returncode == 0, answer.stderr
