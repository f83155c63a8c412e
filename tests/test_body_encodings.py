"""Compressed pushes: each encoding as real libraries write it, bombs that cost nothing, and broken streams."""

import gzip
import json
import re
import time
import zlib
from pathlib import Path

import pytest
import snappy
import zstandard

from sidecar import eventually, gauge

BODY = json.dumps([gauge("g", 7, n=str(number)) for number in range(200)]).encode()
ZEROS = bytes(1 << 20)
GIB = 1024
# The default of limits.max_body.
BOMB_LIMIT_BYTES = 32 << 20


def bare_deflate(body):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def snappy_stream(body):
    """As the Python client of Prometheus does it."""
    return snappy.StreamCompressor().compress(body)


def zstd_stream(body):
    """A frame that does not say how long its text is."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(body) + packer.flush()


PACKERS = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "in capitals": ("GZIP", gzip.compress),
    "two gzip members": ("gzip", lambda body: gzip.compress(body[:100]) + gzip.compress(body[100:])),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "snappy": ("snappy", snappy_stream),
    "zstd": ("zstd", zstandard.ZstdCompressor(level=19).compress),
    "zstd without length": ("zstd", zstd_stream),
    "zstd with checksum": ("zstd", zstandard.ZstdCompressor(write_checksum=True).compress),
    "identity": ("identity", bytes),
    "identity before": ("identity, zstd", zstandard.ZstdCompressor().compress),
}
# One of each that has an end, a check or a structure to break.
BREAKABLE = ["gzip", "deflate", "bare deflate", "snappy", "zstd with checksum"]


def post(sidecar, encoding, body):
    return sidecar.request("POST", "/v1/ingest", body, {"Content-Encoding": encoding})


def refused(answer):
    return answer.status, answer.code, answer.json()["at"]


def peak_bytes(sidecar):
    status = Path(f"/proc/{sidecar.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


@pytest.mark.parametrize("name", PACKERS)
def test_a_compressed_push_is_applied(sidecar, name):
    encoding, pack = PACKERS[name]
    answer = post(sidecar, encoding, pack(BODY))
    assert (answer.status, answer.body) == (200, b"true")
    assert len(sidecar.page().series()) == 200
    assert sidecar.own_sum("monasca_sidecar_body_memory_bytes") == 0


@pytest.mark.parametrize("name", PACKERS)
def test_a_large_compressed_push_in_chunks_is_applied(sidecar, name):
    encoding, pack = PACKERS[name]
    packed = pack(BODY + b" " * 9_000_000 + b"\n")
    pieces = (packed[at:at + 7_001] for at in range(0, len(packed), 7_001))
    answer = post(sidecar, encoding, pieces)
    assert (answer.status, answer.body) == (200, b"true")
    assert len(sidecar.page().series()) == 200


def bomb(encoding):
    """1 GiB of zeros; as much as fits the limit where the format does not get that small."""
    if encoding == "gzip":
        packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    elif encoding == "deflate":
        packer = zlib.compressobj(9)
    elif encoding == "zstd":
        packer = zstandard.ZstdCompressor(level=1).compressobj()
    else:
        stream = snappy.StreamCompressor()
        head, chunks = stream.compress(b""), stream.compress(ZEROS)
        return head + chunks * (BOMB_LIMIT_BYTES // len(chunks) - 1)
    return b"".join([packer.compress(ZEROS) for _ in range(GIB)] + [packer.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "snappy", "zstd"])
def test_a_bomb_is_refused_before_it_is_large(sidecar, encoding):
    sidecar.push([gauge("g", 1)])
    packed = bomb(encoding)
    before, slowest = sidecar.resident_bytes(), 0
    for _ in range(5):
        began = time.monotonic()
        answer = post(sidecar, encoding, packed)
        slowest = max(slowest, time.monotonic() - began)
        assert refused(answer) == (413, "body_too_large", "")
    # Room that grows may be there twice for a moment.
    assert peak_bytes(sidecar) - before < 2 * (BOMB_LIMIT_BYTES + len(packed))
    assert slowest < 5
    eventually(lambda: sidecar.own_sum("monasca_sidecar_body_memory_bytes") == 0, "the memory given back")
    assert sidecar.page().value("g") == 1


@pytest.mark.parametrize("name", BREAKABLE)
def test_a_body_that_breaks_off_is_refused_wherever_it_does(sidecar, name):
    encoding, pack = PACKERS[name]
    packed = pack(BODY)
    for end in (1, 2, 5, 11, len(packed) // 3, len(packed) // 2, len(packed) - 5, len(packed) - 1):
        assert refused(post(sidecar, encoding, packed[:end])) == (400, "bad_encoding", "Content-Encoding"), end
    assert sidecar.page().series() == {}


@pytest.mark.parametrize("name", BREAKABLE)
def test_what_follows_the_end_is_refused(sidecar, name):
    encoding, pack = PACKERS[name]
    for junk in (b"\0", b"junk", BODY):
        assert refused(post(sidecar, encoding, pack(BODY) + junk)) == (400, "bad_encoding", "Content-Encoding"), junk
    assert sidecar.page().series() == {}


@pytest.mark.parametrize("name", ["gzip", "deflate", "snappy", "zstd with checksum"])
def test_a_corrupt_body_is_refused_by_its_check(sidecar, name):
    encoding, pack = PACKERS[name]
    packed = bytearray(pack(BODY))
    for at in range(len(packed) // 2, len(packed), max(1, len(packed) // 50)):
        packed[at] ^= 0x10
        assert refused(post(sidecar, encoding, bytes(packed))) == (400, "bad_encoding", "Content-Encoding"), at
        packed[at] ^= 0x10
    assert post(sidecar, encoding, bytes(packed)).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "snappy", "zstd"])
def test_a_plain_body_under_an_encoding_is_refused(sidecar, encoding):
    assert refused(post(sidecar, encoding, BODY)) == (400, "bad_encoding", "Content-Encoding")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_empty_body_is_no_stream_of_these(sidecar, encoding):
    assert refused(post(sidecar, encoding, b"")) == (400, "bad_encoding", "Content-Encoding")


@pytest.mark.parametrize("encoding", ["snappy", "zstd"])
def test_an_empty_body_is_an_empty_text_as_go_writes_it(sidecar, encoding):
    plain, packed = post(sidecar, "identity", b""), post(sidecar, encoding, b"")
    assert (packed.status, packed.body) == (plain.status, plain.body)


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", "zstd,snappy", "snappy-raw", "*", "gzip;q=1"])
def test_an_unknown_encoding_is_refused_with_what_is_taken(sidecar, encoding):
    answer = post(sidecar, encoding, gzip.compress(BODY))
    assert refused(answer) == (415, "unsupported_encoding", "Content-Encoding")
    assert answer.headers["Accept-Encoding"] == "gzip, deflate, snappy, zstd"


def test_a_zstd_window_above_8_mib_is_refused(sidecar):
    def packed(log):
        parameters = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=False)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return packer.compress(BODY) + packer.flush()

    assert post(sidecar, "zstd", packed(23)).status == 200
    for log in (24, 27, 31):
        assert refused(post(sidecar, "zstd", packed(log))) == (400, "bad_encoding", "Content-Encoding")


def test_what_decompressing_takes_counts_as_body_memory(launch):
    small = launch("--limits.max-body", "1MiB", "--limits.max-body-memory", "1MiB")
    parameters = zstandard.ZstdCompressionParameters(window_log=23, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(BODY) + packer.flush()
    assert refused(post(small, "zstd", packed)) == (413, "body_too_large", "")
    assert post(small, "zstd", zstandard.ZstdCompressor().compress(BODY)).status == 200
