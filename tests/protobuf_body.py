"""Bodies of `io.prometheus.client.MetricFamily` messages, each behind its length: what a client's library writes."""

import struct

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
HISTOGRAM = 4


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def zigzag(number):
    return number * 2 if number >= 0 else -number * 2 - 1


def integer(field, number):
    return varint(field << 3) + varint(number)


def double(field, number):
    return varint(field << 3 | 1) + struct.pack("<d", number)


def inner(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def text(field, content):
    return inner(field, content.encode())


def delimited(*families):
    return b"".join(varint(len(one)) + one for one in families)


def family(name, kind, *metrics):
    return text(1, name) + text(2, "help of " + name) + integer(3, kind) + b"".join(inner(4, one) for one in metrics)


def labels(**pairs):
    return b"".join(inner(1, text(1, name) + text(2, value)) for name, value in pairs.items())


def native_histogram(total, zeros, buckets, **pairs):
    """A metric with native buckets of schema 0, which end at the powers of two. `buckets`: {index: count}."""
    first, last = min(buckets), max(buckets)
    counts = [buckets.get(index, 0) for index in range(first, last + 1)]
    deltas = [count - before for count, before in zip(counts, [0, *counts])]
    spans = inner(12, integer(1, zigzag(first)) + integer(2, len(counts)))
    return labels(**pairs) + inner(7, integer(1, zeros + sum(counts)) + double(2, total) + integer(5, zigzag(0))
                                   + double(6, 2.0 ** -128) + integer(7, zeros) + spans
                                   + inner(13, b"".join(varint(zigzag(delta)) for delta in deltas)))
