"""What a broken or evil client may send: bytes, made from a seed so that a failure can be repeated.

`framed` requests are proper HTTP around something bad, so a kept-alive connection survives them and exactly
one answer must come for each. `unframed` ones break HTTP itself; the server answers or closes.
"""

import json

VALID = json.dumps([
    {"name": "evil_requests_total", "type": "counter", "help": "h \\ \n", "values": [
        {"name": "evil_requests_total", "labels": {"path": "/", "n": 1}, "value": 12.5}]},
    {"name": "evil_seconds", "type": "histogram", "help": "", "values": [
        {"name": "evil_seconds_bucket", "labels": {"le": "0.1"}, "value": 1},
        {"name": "evil_seconds_bucket", "labels": {"le": "+Inf"}, "value": 2},
        {"name": "evil_seconds_sum", "labels": {}, "value": 0.5},
        {"name": "evil_seconds_count", "labels": {}, "value": 2}]},
]).encode()

TOKENS = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u", b"\\ud800", b"null", b"NaN", b"-", b"1e999", b"-Infinity",
          b"\x00", b"\xff", b"\xc3", b"\xf0\x9f", b"true", b"0x1", b"\xef\xbb\xbf", b"1" * 400, b"\n", b"\t"]

WRONG_BODIES = [
    b"", b" ", b"null", b"[[[[", b"{}", b"\x00" * 100, b"\xff" * 100, VALID.decode().encode("utf-16"),
    VALID.decode().encode("utf-32"), b"\x1f\x8b\x08\x00garbage", b"[" * 5000, b"[" * 5000 + b"]" * 5000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000, b'[{"name":"' + b"n" * 5000 + b'","values":[{"value":1}]}]',
    b'[{"name":"g","values":[{"value":' + b"9" * 5000 + b"}]}]",
    b'[{"name":"g","values":[{"value":1,"labels":{"' + b"\\u0000" * 500 + b'":"v"}}]}]',
    b'[{"name":"g","values":[{"value":1,"labels":{' + b",".join(b'"l%d":"v"' % n for n in range(200)) + b"}}]}]",
    b'[{"name":"g","name":"h","values":[{"value":1}],"values":3}]', b"[" + b"1," * 3000 + b"1]",
    b'[{"name":"evil_requests_total","type":"gauge","values":[{"value":"-Inf"}]}]',
    b'[{"name":"c_total","type":"counter","values":[{"name":"c_total","value":-1e308}]}]',
    b'[{"name":"c_total","type":"counter","values":[{"name":"c_total","value":NaN}]}]',
    b"grpc\x00\x00\x00", b"<?xml version='1.0'?>", b"a=b&c=d", b"requests_total 5\n",
]

WRONG_PATHS = [
    "/v1/ingest?ttl=x", "/v1/ingest?ttl=-1s", "/v1/ingest?strict=maybe", "/v1/ingest?final=true", "/v1/ingest?%ff=%00",
    "/v1/series?match[]=%7B%7B", "/v1/series?match[]=a%7Bb%3D~%22(((%22%7D", "/v1/series?match[]=" + "x" * 3000,
    "/v1/instances/%ff%fe", "/v1/instances/" + "%00" * 300, "/v1/instances/..%2f..%2fetc", "/../../etc/passwd",
    "/metrics?" + "a=b&" * 500, "//", "/%", "/%zz", "/metrics/job/x", "/v1/metrics//", "/v1/" + "a/" * 500,
]

WRONG_HEADERS = [
    "Push-Sequence: x", "Push-Sequence: a.b.c", "Push-Sequence: " + "9" * 400, "Idempotency-Key: " + "k" * 2000,
    "Content-Encoding: gzip", "Content-Encoding: br", "Content-Encoding: gzip, gzip", "Accept-Encoding: " + "gzip," * 300,
    "Accept: " + "*/*;q=0.00001," * 200, "Content-Type: \xff\xfe", "X-Long: " + "x" * 4000, "Connection: x, y, z",
    "Authorization: Basic !!!", "Cookie: " + "a=b;" * 500, "Expect: nonsense", "Range: bytes=0-1,5-9",
]

BROKEN_HTTP = [
    b"\r\n" * 50, b"\x00" * 200, b"\xff" * 200, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET  /  HTTP/1.1\r\n\r\n",
    b"POST /v1/ingest HTTP/1.1\r\n\r\n", b"GET /metrics\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 300,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 300, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 90, b"PRI",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967296\r\n\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]",
    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost x\r\n\r\n", b"GET /metrics HTTP/1.1\r\n: x\r\n\r\n", b"GET /metrics HTTP/1.1\r\n x: y\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nA\x00B: x\r\n\r\n", b"GET /met\x00rics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /metrics HTTP/1.1\nHost: x\n\n", b"GET /metrics HTTP/1.1\rHost: x\r\r",
    b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 300000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(2000)) + b"\r\n",
    b"GET http://127.0.0.1:1/metrics HTTP/1.1\r\nHost: y\r\n\r\n", b"CONNECT example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
]


def mutated(rng, body):
    """A valid push with a few bytes changed, cut out or put in."""
    body = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body) + 1)
        kind = rng.randrange(4)
        if kind == 0 and body:
            del body[at:at + rng.randint(1, 20)]
        elif kind == 1:
            body[at:at] = rng.choice(TOKENS)
        elif kind == 2 and at < len(body):
            body[at] = rng.randrange(256)
        else:
            del body[at:]
    return bytes(body)


def request(method, path, body, header=None):
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    if header is not None:
        head += header + "\r\n"
    return head.encode("latin-1") + b"\r\n" + body


def framed(rng):
    """One request with honest framing and something wrong inside."""
    kind = rng.randrange(20)
    if kind < 14:
        return request("POST", "/v1/ingest", mutated(rng, VALID))
    if kind < 17:
        return request("POST", "/v1/ingest", rng.choice(WRONG_BODIES))
    if kind == 17:
        method = rng.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "FOO"])
        return request(method, rng.choice(WRONG_PATHS), b"")
    if kind == 18:
        return request("POST", "/v1/ingest", VALID, rng.choice(WRONG_HEADERS))
    return request(rng.choice(["PUT", "DELETE", "PATCH", "BREW"]), "/v1/ingest", mutated(rng, VALID))


def unframed(rng):
    """Bytes that break HTTP itself: a list of broken heads, and proper requests that are cut or lie on their length."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(BROKEN_HTTP)
    if kind == 1:
        whole = request("POST", "/v1/ingest", VALID)
        return whole[:rng.randrange(1, len(whole))]
    if kind == 2:
        wrong = len(VALID) + rng.choice([-50, -1, 1, 50, 10000])
        return f"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Length: {wrong}\r\n\r\n".encode() + VALID
    return mutated(rng, request("POST", "/v1/ingest", VALID) * 2)
