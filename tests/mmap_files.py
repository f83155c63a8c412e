"""Files of prometheus_client's multiprocess mode, right and wrong ones, without the client.

The format: the number of bytes used (native int), four zero bytes, and entries of key length, key, 1 to 8 blanks up to a
multiple of 8, value and timestamp (native doubles).
"""

import json
import struct

SIZE = 65536


def key(metric, sample=None, labels=None, help_text="Help."):
    """As the client writes it; `sample` is that of a counter unless it is given."""
    return json.dumps([metric, sample or metric + "_total", labels or {}, help_text], sort_keys=True).encode()


def entry(name, value=1.0, timestamp=0.0, length=None):
    """`length`: a lie about the key's."""
    blanks = b" " * (8 - (len(name) + 4) % 8)
    return struct.pack("i", len(name) if length is None else length) + name + blanks + struct.pack("dd", value, timestamp)


def content(*entries, used=None, size=SIZE):
    """The bytes of a file; `used`: a lie about how many are filled."""
    body = b"".join(entries)
    filled = 8 + len(body) if used is None else used
    return (struct.pack("ii", filled, 0) + body).ljust(size, b"\0")


def counters(**values):
    """A counter file: counters(requests=3)."""
    return content(*[entry(key(name), float(value)) for name, value in values.items()])


def histogram(name, counts, total):
    """Entries of a histogram, {le: how many up to it and above the one before}, as its constructor orders them."""
    return [entry(key(name, name + "_sum"), total),
            *[entry(key(name, name + "_bucket", {"le": le}), float(count)) for le, count in counts.items()]]
