"""Files of prometheus_client's multiprocess mode, written without it: as its mmap_dict.py writes them since 0.18."""
import json
import mmap
import struct

INITIAL_BYTES = 1 << 16
HEAD_BYTES = 8
VALUE = struct.Struct("dd")


def key(metric, sample, labels, documentation):
    return json.dumps([metric, sample, labels, documentation], sort_keys=True).encode()


class File:
    """One file that stays mapped, as in a worker; values are changed in place."""

    def __init__(self, path, entries):
        """`entries`: pairs of a key and a value."""
        entries = list(entries)
        parts, self.places, at = [], [], HEAD_BYTES
        for name, value in entries:
            padded = name + b" " * (8 - (len(name) + 4) % 8)
            parts.append(struct.pack("i", len(name)) + padded + VALUE.pack(value, 0.0))
            at += 4 + len(padded) + VALUE.size
            self.places.append(at - VALUE.size)
        self.values = [value for _, value in entries]
        capacity = INITIAL_BYTES
        while capacity < at:
            capacity *= 2
        with open(path, "w+b") as file:
            file.truncate(capacity)
            self.map = mmap.mmap(file.fileno(), capacity)
        self.map[HEAD_BYTES:at] = b"".join(parts)
        self.map[:4] = struct.pack("i", at)

    def add(self, index, more):
        self.values[index] += more
        VALUE.pack_into(self.map, self.places[index], self.values[index], 0.0)

    def close(self):
        self.map.close()
