"""TLS, credentials, rights and origins, asked by real clients: curl, openssl, Prometheus."""

import base64
import json
import re
import socket
import ssl
import subprocess
import sys
import time

import pytest

from authority import Authority
from prometheus_server import Prometheus
from sidecar import ROOT, clean_environment, eventually, run_binary

PUSH = '[{"name":"g","type":"gauge","values":[{"value":1}]}]'
# bcrypt of "pushpass", argon2id of "password".
BCRYPT = "$2y$10$ZbcdefghijklmnopqrstuuAPK88LCRB6OZGnjH/cAmpQslsPi4hBC"
ARGON2 = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
RIGHTS = f"""
basic_auth_users:
  pusher: {BCRYPT}
  scraper: {ARGON2}
monasca_sidecar:
  users:
    pusher: {{rights: [push]}}
    scraper: {{rights: [scrape]}}
  bearer_tokens:
    - {{file: token, rights: [push]}}
"""


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path)
    made.issue("server", "DNS:localhost,IP:127.0.0.1")
    return made


@pytest.fixture
def serve(launch, tmp_path):
    """A sidecar with this web configuration."""

    def start(web, *args, listeners=None, **more):
        path = tmp_path / "web.yml"
        path.write_text(web)
        if listeners is not None:
            return launch("--web.config.file", str(path), *args, config=f"listeners: {listeners}\n", listen=False, **more)
        return launch("--web.config.file", str(path), *args, **more)

    return start


def curl(*args):
    """Status, protocol version and body; a status of 0 is no answer at all."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20",
                           "--write-out", "\n%{http_code} %{http_version}", *map(str, args)],
                          capture_output=True, text=True, timeout=60, check=False)
    body, _, last = done.stdout.rpartition("\n")
    status, version = last.split()
    return int(status), version, body


def push_with(url, *args):
    return curl(f"{url}/v1/ingest", "--data", PUSH, *args)[0]


def scrape_with(url, *args):
    return curl(f"{url}/metrics", *args)[0]


def handshake(sidecar, *args):
    """What openssl tells of a handshake; None when there was none."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{sidecar.port}", "-brief", *args],
                          input="", capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"Protocol version: (\S+)\nCiphersuite: (\S+)", done.stderr)
    return found.groups() if found else None


def served_certificate(sidecar):
    return ssl.get_server_certificate(("127.0.0.1", sidecar.port), timeout=20)


def test_tls_speaks_http_1_and_2(serve, authority):
    sidecar = serve(TLS)
    url, trust = f"https://localhost:{sidecar.port}", ("--cacert", authority.certificate)
    assert curl(f"{url}/metrics", "--http1.1", *trust)[:2] == (200, "1.1")
    assert curl(f"{url}/metrics", "--http2", *trust)[:2] == (200, "2")
    assert push_with(url, "--http1.1", *trust) == push_with(url, "--http2", *trust) == 200
    assert "\ng 1\n" in curl(f"{url}/metrics", *trust)[2]
    assert curl(f"http://localhost:{sidecar.port}/metrics")[0] == 0, "without TLS there is no answer"
    assert curl(f"{url}/metrics")[0] == 0, "an authority that is not known is not trusted"
    assert sidecar.logged("tls=true")
    page = curl(f"{url}/-/metrics", *trust)[2]
    assert re.search(r"monasca_sidecar_tls_handshake_failures_total [1-9]", page)


def test_http_2_can_be_switched_off(serve, authority):
    sidecar = serve(TLS + "http_server_config: {http2: false, headers: {X-Frame-Options: deny}}\n")
    url = f"https://localhost:{sidecar.port}"
    assert curl(f"{url}/metrics", "--http2", "--cacert", authority.certificate)[:2] == (200, "1.1")
    _, _, answer = curl(f"{url}/-/healthy", "--include", "--cacert", authority.certificate)
    assert "x-frame-options: deny" in answer and "x-content-type-options: nosniff" in answer


def test_protocol_versions_and_ciphers_are_those_configured(serve, authority):
    authority.issue("server", "IP:127.0.0.1", key_type="rsa")
    sidecar = serve(TLS)
    assert handshake(sidecar, "-tls1_3")[0] == "TLSv1.3"
    assert handshake(sidecar, "-tls1_2")[0] == "TLSv1.2"
    assert handshake(sidecar, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") is None
    assert handshake(sidecar, "-tls1_2", "-cipher", "AES128-SHA") is None
    only = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    sidecar = serve(TLS.replace("}", f", cipher_suites: [{only}], curve_preferences: [CurveP256]}}"))
    assert handshake(sidecar, "-tls1_2") == ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
    assert handshake(sidecar, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384") is None
    assert handshake(sidecar, "-tls1_2", "-curves", "X25519") is None
    sidecar = serve(TLS.replace("}", ", min_version: TLS13}"))
    assert handshake(sidecar, "-tls1_2") is None
    assert handshake(sidecar, "-tls1_3")[0] == "TLSv1.3"
    sidecar = serve(TLS.replace("}", ", max_version: TLS12}"))
    assert handshake(sidecar, "-tls1_3") is None


def test_clients_show_a_certificate_of_the_authority_with_an_allowed_name(serve, authority, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    verified = TLS.replace("}", ", client_ca_file: authority.crt, client_auth_type: RequireAndVerifyClientCert}")
    sidecar = serve(verified.replace("}", ", client_allowed_sans: [agent.example, 10.1.2.3]}"))
    url = f"https://localhost:{sidecar.port}"

    def status(certificate, key):
        return scrape_with(url, "--cacert", authority.certificate, "--cert", certificate, "--key", key)

    assert scrape_with(url, "--cacert", authority.certificate) == 0
    assert status(*authority.issue("agent", "DNS:agent.example")) == 200
    assert status(*authority.issue("address", "IP:10.1.2.3")) == 200
    assert status(*authority.issue("other", "DNS:other.example")) == 0
    assert status(*stranger.issue("false", "DNS:agent.example")) == 0


def test_certificates_carry_rights(serve, authority):
    sidecar = serve(TLS.replace(
        "}", ", client_ca_file: authority.crt, client_auth_type: VerifyClientCertIfGiven}") + f"""
basic_auth_users: {{pusher: {BCRYPT}}}
monasca_sidecar:
  client_certificates:
    - {{san: agent.example, rights: [scrape]}}
    - {{san: worker.example, rights: [push]}}
""")
    url = f"https://localhost:{sidecar.port}"

    def asked(names):
        certificate, key = authority.issue("client", names)
        args = ("--cacert", authority.certificate, "--cert", certificate, "--key", key)
        return push_with(url, *args), scrape_with(url, *args)

    assert asked("DNS:agent.example") == (403, 200)
    assert asked("DNS:worker.example") == (200, 403)
    assert asked("DNS:worker.example,DNS:agent.example") == (200, 200)
    assert asked("DNS:nobody.example") == (401, 401)
    assert push_with(url, "--cacert", authority.certificate) == 401
    assert push_with(url, "--cacert", authority.certificate, "--user", "pusher:pushpass") == 200


def test_users_and_tokens_have_their_rights(serve, authority, tmp_path):
    (tmp_path / "token").write_text("first-token-of-the-test\nsecond-token-of-the-test\n")
    sidecar = serve(TLS + RIGHTS, "--log-level", "trace")
    url, trust = f"https://localhost:{sidecar.port}", ("--cacert", authority.certificate)
    for _ in range(2):  # the second time it is remembered
        assert push_with(url, *trust, "--user", "pusher:pushpass") == 200
        assert scrape_with(url, *trust, "--user", "pusher:pushpass") == 403
        assert scrape_with(url, *trust, "--user", "scraper:password") == 200
        assert push_with(url, *trust, "--user", "scraper:password") == 403
        assert push_with(url, *trust, "--user", "pusher:password") == 401
        assert push_with(url, *trust, "--user", "nobody:pushpass") == 401
        assert push_with(url, *trust) == 401
    for token in ("first-token-of-the-test", "second-token-of-the-test"):
        assert push_with(url, *trust, "--oauth2-bearer", token) == 200
        assert scrape_with(url, *trust, "--oauth2-bearer", token) == 403
    assert push_with(url, *trust, "--oauth2-bearer", "first-token-of-the-tes") == 401
    asked = curl(f"{url}/metrics", "--include", *trust)[2]
    assert 'www-authenticate: Basic realm="monasca-sidecar", charset="UTF-8", Bearer realm=' in asked
    assert curl(f"{url}/-/ready", *trust)[0] == 200, "probes need no credential"
    told = "\n".join(sidecar.log) + curl(f"{url}/-/metrics", *trust, "--user", "scraper:password")[2]
    command = open(f"/proc/{sidecar.pid}/cmdline", encoding="utf-8").read()
    encoded = base64.b64encode(b"pusher:pushpass").decode()
    for secret in ("pushpass", encoded, "first-token", BCRYPT, ARGON2):
        assert secret not in told and secret not in command


def test_a_token_is_changed_while_it_runs(serve, tmp_path):
    token = tmp_path / "token"
    token.write_text("the-old-token-of-the-test")
    sidecar = serve(RIGHTS)
    assert push_with(sidecar.url, "--oauth2-bearer", "the-old-token-of-the-test") == 200
    token.write_text("the-new-token-of-the-test")
    eventually(lambda: push_with(sidecar.url, "--oauth2-bearer", "the-new-token-of-the-test") == 200, "the new token")
    assert push_with(sidecar.url, "--oauth2-bearer", "the-old-token-of-the-test") == 401
    token.write_text("")
    eventually(lambda: sidecar.logged("the old one stays"), "the complaint about an empty file")
    assert push_with(sidecar.url, "--oauth2-bearer", "the-new-token-of-the-test") == 200


def test_a_user_is_taken_away_by_a_reload_at_once(serve, tmp_path):
    (tmp_path / "token").write_text("a-token-of-the-test")
    (tmp_path / "admin").write_text("an-admin-of-the-test")
    sidecar = serve(RIGHTS + "    - {file: admin, rights: [admin]}\n")
    assert push_with(sidecar.url, "--user", "pusher:pushpass") == 200
    web = tmp_path / "web.yml"
    web.write_text(web.read_text().replace(BCRYPT, ARGON2))
    reload = curl(f"{sidecar.url}/-/reload", "--request", "POST", "--oauth2-bearer", "an-admin-of-the-test")
    assert reload[0] == 200, reload
    assert push_with(sidecar.url, "--user", "pusher:pushpass") == 401, "what was remembered does not count"
    assert push_with(sidecar.url, "--user", "pusher:password") == 200


def test_a_certificate_is_changed_while_it_runs(serve, authority, tmp_path):
    sidecar = serve(TLS)
    old = served_certificate(sidecar)
    kept = (tmp_path / "server.key").read_text()
    authority.issue("server", "DNS:localhost,IP:127.0.0.1")
    eventually(lambda: served_certificate(sidecar) != old, "the new certificate")
    new = served_certificate(sidecar)
    assert new.strip() == (tmp_path / "server.crt").read_text().strip()
    (tmp_path / "server.key").write_text(kept)
    eventually(lambda: sidecar.logged("the old one stays"), "the complaint about a key that does not fit")
    assert served_certificate(sidecar) == new


def test_a_slow_handshake_is_cut_off_and_holds_up_nobody(serve, authority):
    sidecar = serve(TLS, "--limits.max-header-time", "1s")
    url, trust = f"https://localhost:{sidecar.port}", ("--cacert", authority.certificate)
    slow = [socket.create_connection(("127.0.0.1", sidecar.port), 20) for _ in range(50)]
    begun = time.monotonic()
    for number, sock in enumerate(slow):
        if number % 2:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert push_with(url, *trust) == 200
    for sock in slow:
        assert sock.recv(100) == b""
        sock.close()
    assert time.monotonic() - begun < 15
    assert "monasca_sidecar_connections_expired_total 50\n" in curl(f"{url}/-/metrics", *trust)[2]


def test_prometheus_scrapes_with_tls_and_a_password(serve, authority, tmp_path, debian_bin):
    (tmp_path / "token").write_text("a-token-of-the-test")
    sidecar = serve(TLS + RIGHTS)
    url = f"https://localhost:{sidecar.port}"
    assert push_with(url, "--cacert", authority.certificate, "--user", "pusher:pushpass") == 200
    folder = tmp_path / "prometheus"
    folder.mkdir()
    more = (f"    scheme: https\n    tls_config: {{ca_file: {authority.certificate}}}\n"
            "    basic_auth: {username: scraper, password: password}\n")
    prometheus = Prometheus(debian_bin / "prometheus", folder, sidecar.port, more=more)
    try:
        eventually(lambda: prometheus.query("g == 1"), "the scraped gauge", 30)
        assert prometheus.number('up{job="application"}') == 1
    finally:
        prometheus.stop()


def test_promtool_takes_the_same_file(serve, authority, tmp_path, debian_bin):
    web = TLS.replace("}", ", client_ca_file: authority.crt, client_auth_type: RequireAndVerifyClientCert, "
                           "min_version: TLS12, max_version: TLS13, prefer_server_cipher_suites: false, "
                           "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519]}")
    web += f"http_server_config: {{http2: true, headers: {{X-Frame-Options: deny}}}}\nbasic_auth_users: {{a: '{BCRYPT}'}}\n"
    sidecar = serve(web)
    checked = subprocess.run([debian_bin / "promtool", "check", "web-config", tmp_path / "web.yml"],
                             capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0 and "SUCCESS" in checked.stderr, checked
    certificate, key = authority.issue("client", "DNS:any")
    args = ("--cacert", authority.certificate, "--cert", certificate, "--key", key)
    url = f"https://localhost:{sidecar.port}"
    assert push_with(url, *args, "--user", "a:pushpass") == scrape_with(url, *args, "--user", "a:pushpass") == 200
    assert push_with(url, *args) == 401


def test_a_pod_pushes_by_a_socket_and_is_scraped_with_tls(serve, authority, tmp_path):
    push = tmp_path / "push.sock"
    (tmp_path / "token").write_text("a-token-of-the-test")
    sidecar = serve(TLS + RIGHTS, "--strict-access", listeners=(
        f"[{{address: 'unix:{push}', rights: push, authenticate: false}}, {{address: '127.0.0.1:0', rights: scrape}}]"))
    by_socket = ("--unix-socket", push)
    assert push_with("http://localhost", *by_socket) == 200
    assert scrape_with("http://localhost", *by_socket) == 403
    assert curl("http://localhost/v1/clear", "--request", "POST", *by_socket)[0] == 403
    url, args = f"https://localhost:{sidecar.port}", ("--cacert", authority.certificate)
    assert scrape_with(url, *args, "--user", "scraper:password") == 200
    assert scrape_with(url, *args) == 401
    assert push_with(url, *args, "--user", "pusher:pushpass") == 403
    assert curl("http://localhost/v1/ingest", "--http2-prior-knowledge", "--data", PUSH, *by_socket)[:2] == (200, "2")


def test_a_browser_asks_before_it_pushes(launch):
    sidecar = launch("--cors.origins", "https://shop.example")
    ask = ("--request", "OPTIONS", "--include", "--header", "Access-Control-Request-Method: POST")
    status, _, answer = curl(f"{sidecar.url}/v1/ingest", *ask, "--header", "Origin: https://shop.example")
    assert status == 204
    assert "access-control-allow-origin: https://shop.example" in answer
    assert "access-control-allow-methods: POST" in answer and "Content-Type" in answer
    status, _, answer = curl(f"{sidecar.url}/v1/ingest", *ask, "--header", "Origin: https://evil.example")
    assert status == 405 and "access-control" not in answer
    assert curl(f"{sidecar.url}/v1/clear", *ask, "--header", "Origin: https://shop.example")[0] == 405
    status, _, answer = curl(f"{sidecar.url}/v1/ingest", "--data", PUSH, "--include", "--header", "Origin: https://shop.example")
    assert status == 200 and "access-control-allow-origin: https://shop.example" in answer
    assert push_with(sidecar.url, "--header", "Origin: https://evil.example") == 403
    assert push_with(launch().url, "--header", "Origin: https://shop.example") == 403, "off by default"
    assert push_with(launch("--cors.origins", "*").url, "--header", "Origin: null") == 200


def test_many_guesses_leave_known_credentials_alone(serve, tmp_path):
    (tmp_path / "token").write_text("a-token-of-the-test")
    sidecar = serve(RIGHTS)
    assert push_with(sidecar.url, "--user", "pusher:pushpass") == 200
    guesses = [subprocess.Popen(["curl", "--silent", "--noproxy", "*", "--output", "/dev/null", "--user", f"pusher:{n}",
                                 "--write-out", "%{http_code}", f"{sidecar.url}/metrics"],
                                stdout=subprocess.PIPE, text=True) for n in range(100)]
    longest = 0.0
    for _ in range(20):
        begun = time.monotonic()
        assert push_with(sidecar.url, "--user", "pusher:pushpass") == 200
        assert push_with(sidecar.url, "--oauth2-bearer", "a-token-of-the-test") == 200
        longest = max(longest, time.monotonic() - begun)
    statuses = {guess.communicate(timeout=60)[0] for guess in guesses}
    assert statuses <= {"401", "503"} and "401" in statuses, statuses
    assert longest < 10


WORKER = """
import json, sys, time
import prometheus_client, monasca_sidecar
counter = prometheus_client.Counter("asked", "Lines read.")
monasca_sidecar.start(interval=0.1)
for line in sys.stdin:
    counter.inc()
    wanted = line.strip() == "works"
    before = monasca_sidecar.status()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        now = monasca_sidecar.status()
        if now["pushes" if wanted else "failures"] > before["pushes" if wanted else "failures"] + 1:
            break
        time.sleep(0.02)
    print(json.dumps(monasca_sidecar.status(), default=str), flush=True)
"""


class Worker:
    """A process of an application that uses the Python client."""

    def __init__(self, **settings):
        env = clean_environment({f"MONASCA_SIDECAR_{key}": str(value) for key, value in settings.items()})
        env["PYTHONPATH"] = str(ROOT / "clients/python/src")
        self.process = subprocess.Popen([sys.executable, "-c", WORKER], env=env, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def expect(self, what):
        """Waits until pushes work, or fail; what the client says of itself."""
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        _, logged = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, logged
        return logged


def test_the_python_client_pushes_with_a_certificate_and_a_token(serve, authority, tmp_path):
    token, mine = tmp_path / "token", tmp_path / "mine"
    token.write_text("the-old-token-of-the-test\n")
    mine.write_text("the-old-token-of-the-test\n")
    certificate, key = authority.issue("worker", "DNS:worker.example")
    sidecar = serve(TLS.replace(
        "}", ", client_ca_file: authority.crt, client_auth_type: RequireAndVerifyClientCert}") + RIGHTS)
    worker = Worker(URL=f"https://localhost:{sidecar.port}", CA_FILE=authority.certificate, CERT_FILE=certificate,
                    KEY_FILE=key, TOKEN_FILE=mine)
    assert worker.expect("works")["failures"] == 0
    token.write_text("the-new-token-of-the-test\n")
    assert "401" in worker.expect("fails")["last_error"]
    mine.write_text("the-new-token-of-the-test\n")
    assert worker.expect("works")["pushes"] > 0
    logged = worker.stop()
    assert "works again" not in logged and "-token-of-the-test" not in logged
    without = Worker(URL=f"https://localhost:{sidecar.port}", CA_FILE=authority.certificate, TOKEN_FILE=mine)
    assert without.expect("fails")["pushes"] == 0
    without.stop()
    page = curl(f"https://localhost:{sidecar.port}/metrics", "--cacert", authority.certificate, "--cert", certificate,
                "--key", key, "--user", "scraper:password")[2]
    assert "asked_total 3\n" in page


def test_the_python_client_pushes_with_a_password_and_by_a_socket(serve, tmp_path):
    (tmp_path / "token").write_text("a-token-of-the-test")
    password, push = tmp_path / "password", tmp_path / "push.sock"
    password.write_text("pushpass\n")
    sidecar = serve(RIGHTS, listeners=f"[{{address: '127.0.0.1:0'}}, {{address: 'unix:{push}', rights: push, authenticate: false}}]")
    for worker in (Worker(URL=sidecar.url, USERNAME="pusher", PASSWORD_FILE=password), Worker(URL=f"unix:{push}"),
                   Worker(URL=f"unix://{push}")):
        assert worker.expect("works")["failures"] == 0
        worker.stop()
    assert "asked_total 3\n" in curl(f"{sidecar.url}/metrics", "--user", "scraper:password")[2]
    for url, said in ((f"http://pusher:pushpass@127.0.0.1:{sidecar.port}", "no user or password in the URL"),
                      ("unix:", "not the path of a socket")):
        done = subprocess.run([sys.executable, "-c", "import monasca_sidecar; monasca_sidecar.start()"], text=True,
                              capture_output=True, timeout=60, check=False,
                              env=clean_environment({"MONASCA_SIDECAR_URL": url, "PYTHONPATH": str(ROOT / "clients/python/src")}))
        assert said in done.stderr and "pushpass" not in done.stderr


@pytest.mark.parametrize("web, expected", [
    ("tls_server_config: {cert_file: nowhere.crt, key_file: server.key}", r"web\.yml:1:32: tls_server_config\.cert_file: .*nowhere\.crt: cannot be read"),
    ("tls_server_config: {cert_file: server.crt, key_file: server.crt}", r"tls_server_config\.key_file: .*server\.crt: no private key in PEM"),
    ("tls_server_config: {cert_file: server.key, key_file: server.key}", r"tls_server_config\.cert_file: .*server\.key: no certificate in PEM"),
    ("tls_server_config: {cert_file: authority.crt, key_file: server.key}", r"tls_server_config\.cert_file: .*authority\.crt: "),
    ("tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS10}", r"TLS10 is not supported"),
    ("basic_auth_users: {a: plain-text-password}", r"web\.yml:1:23: basic_auth_users\.a: is no password hash"),
    ("monasca_sidecar: {bearer_tokens: [{file: short}]}", r"web\.yml:1:42: monasca_sidecar\.bearer_tokens\[0\]\.file: a token has 16 or more"),
    ("monasca_sidecar: {users: {a: {rights: [push]}}}", r"no such user in basic_auth_users"),
    ("colour: red", r"web\.yml:1:1: colour: unknown key"),
])
def test_check_names_each_mistake(authority, tmp_path, web, expected):
    (tmp_path / "web.yml").write_text(web + "\n")
    (tmp_path / "short").write_text("short\n")
    config = tmp_path / "sidecar.yaml"
    config.write_text(f"web: {{config.file: '{tmp_path}/web.yml'}}\n")
    for args in (["check", str(config)], ["--listen", "127.0.0.1:0", "--config", str(config)]):
        done = run_binary(*args)
        assert done.returncode == 64, done
        assert re.search(expected, done.stderr), done.stderr
        assert "plain-text-password" not in done.stderr


def test_what_is_open_to_the_network_is_refused_when_asked_for(tmp_path):
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{a: '{BCRYPT}'}}\n")
    done = run_binary("--listen", "0.0.0.0:0", "--strict-access")
    assert done.returncode == 64 and "open to everybody who reaches it: push,admin" in done.stderr, done
    config = tmp_path / "sidecar.yaml"
    config.write_text(f"strict_access: true\nlisten: ':0'\nweb: {{config.file: '{tmp_path}/web.yml'}}\n")
    assert run_binary("check", str(config)).returncode == 0
