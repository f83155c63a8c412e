"""The JSON body of a push.

Keys come in one order with the value last, and everything up to the value is written once and kept: the
sidecar knows such a prefix again without reading it, and so do we.
"""
from __future__ import annotations

import logging
from json.encoder import encode_basestring
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

_log = logging.getLogger("monasca_sidecar")

_INF = float("inf")


class Family(NamedTuple):
    """One family as collected: its aggregation, and the values of its samples less what was inherited."""

    metric: Any
    aggregate: Optional[str]
    values: Sequence[Any]


_Key = Tuple[str, Tuple[Tuple[str, str], ...]]


class Encoder:
    """Writes bodies of one instance."""

    def __init__(self, instance: str) -> None:
        self._id = _string(instance)
        self._prefixes: Dict[Tuple[Any, ...], Dict[_Key, str]] = {}
        self._reported = False

    def body(self, families: Iterable[Family]) -> bytes:
        seen: Dict[Tuple[Any, ...], Dict[_Key, str]] = {}
        texts = [self._family(family, seen) for family in families]
        # What was not seen in this body (a removed label set) is not kept.
        self._prefixes = seen
        return ("[" + ",".join(texts) + "]").encode("utf-8")

    def _family(self, family: Family, seen: Dict[Tuple[Any, ...], Dict[_Key, str]]) -> str:
        metric = family.metric
        head = (metric.name, metric.type, metric.documentation, getattr(metric, "unit", ""), family.aggregate)
        known = self._prefixes.get(head, {})
        kept = seen.setdefault(head, {})
        texts: List[str] = []
        for sample, value in zip(metric.samples, family.values):
            number = _number(value)
            if number is None:
                self._report(sample)
                continue
            key = (sample.name, tuple(sample.labels.items()))
            prefix = known.get(key)
            if prefix is None:
                prefix = self._prefix(sample, family.aggregate)
            kept[key] = prefix
            texts.append(prefix + number)
        return _header(*head[:4]) + "},".join(texts) + ("}]}" if texts else "]}")

    def _prefix(self, sample: Any, aggregate: Optional[str]) -> str:
        labels = [f"{_string(k)}:{_string(v)}" for k, v in sample.labels.items() if k != "_id"]
        labels.append(f'"_id":{self._id}')
        if aggregate and "_aggregate" not in sample.labels:
            labels.append(f'"_aggregate":{_string(aggregate)}')
        return f'{{"name":{_string(sample.name)},"labels":{{{",".join(labels)}}},"value":'

    def _report(self, sample: Any) -> None:
        if not self._reported:
            self._reported = True
            _log.warning("sample %s has no number as its value (%r); such samples are left out", sample.name, sample.value)


def _header(name: str, kind: str, documentation: str, unit: str) -> str:
    unit_text = f',"unit":{_string(unit)}' if unit else ""
    return f'{{"name":{_string(name)},"type":{_string(kind)},"help":{_string(documentation)}{unit_text},"values":['


def _string(value: Any) -> str:
    text = str(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # Half a surrogate pair is no text; in a body it would have the whole push refused.
        text = text.encode("utf-8", "replace").decode("utf-8")
    return encode_basestring(text)


def _number(value: Any) -> Optional[str]:
    if type(value) is not float:
        if isinstance(value, int):
            return str(int(value))
        try:
            value = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
    if value != value:
        return "NaN"
    if value == _INF:
        return "Infinity"
    if value == -_INF:
        return "-Infinity"
    return float.__repr__(value)
