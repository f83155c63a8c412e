"""What a process has from its parent by fork, and what of its values is therefore its own.

A child's memory starts as a copy of its parent's, counters included; the parent goes on pushing them. So the
child remembers every cumulative value as it was at the fork and pushes the growth.
"""
from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from prometheus_client.values import MutexValue

_SUFFIXES = {
    "counter": ("_total", ""),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
    "unknown": ("",),
}
_INHERITED = "_monasca_inherited"

_GroupKey = Tuple[Tuple[str, str], ...]
_SampleKey = Tuple[str, Optional[str]]


class _Group:
    """The samples of one label set: a histogram starts anew as a whole or not at all."""

    __slots__ = ("values", "created")

    def __init__(self) -> None:
        self.values: Dict[_SampleKey, float] = {}
        self.created: Optional[float] = None


class Inherited:
    """Cumulative values as they were at the fork."""

    def __init__(self, taken: float) -> None:
        self._taken = taken
        self._families: Dict[str, Dict[_GroupKey, _Group]] = {}

    def take(self, metric: Any) -> None:
        """Remembers a family; called at the fork, before the application goes on."""
        for sample in metric.samples:
            created = _is_created(metric, sample)
            if not created and not _is_cumulative(metric, sample):
                continue
            group = self._families.setdefault(metric.name, {}).setdefault(_group_key(sample), _Group())
            if created:
                group.created = sample.value
            elif isinstance(sample.value, (int, float)) and math.isfinite(sample.value) and sample.value:
                group.values[_sample_key(sample)] = sample.value

    def own(self, metric: Any) -> Sequence[Any]:
        """The values of the family's samples, less what was inherited."""
        groups = self._families.get(metric.name)
        if not groups:
            return [sample.value for sample in metric.samples]
        for sample in metric.samples:
            if self._started_anew(metric, sample, groups):
                del groups[_group_key(sample)]
        return [self._own_value(metric, sample, groups) for sample in metric.samples]

    def _started_anew(self, metric: Any, sample: Any, groups: Dict[_GroupKey, _Group]) -> bool:
        """Whether the series was removed or reset since the fork: then nothing of it is the parent's."""
        group = groups.get(_group_key(sample))
        if group is None:
            return False
        if _is_created(metric, sample):
            return group.created is not None and sample.value != group.created
        # A sum may fall by itself: observations can be negative.
        if not _is_cumulative(metric, sample) or sample.name.endswith("_sum"):
            return False
        return bool(sample.value < group.values.get(_sample_key(sample), 0.0))

    def _own_value(self, metric: Any, sample: Any, groups: Dict[_GroupKey, _Group]) -> Any:
        group = groups.get(_group_key(sample))
        if group is None:
            return sample.value
        if _is_created(metric, sample):
            return max(sample.value, self._taken)
        if not _is_cumulative(metric, sample):
            return sample.value
        base = group.values.get(_sample_key(sample))
        return sample.value if base is None else sample.value - base


def _is_created(metric: Any, sample: Any) -> bool:
    return bool(metric.type in _SUFFIXES and sample.name == metric.name + "_created")


def _is_cumulative(metric: Any, sample: Any) -> bool:
    suffixes = _SUFFIXES.get(metric.type)
    if suffixes is None or not sample.name.startswith(metric.name):
        return False
    if metric.type == "unknown":
        return bool(sample.name.endswith("_total"))
    return sample.name[len(metric.name):] in suffixes


def _group_key(sample: Any) -> _GroupKey:
    return tuple(item for item in sample.labels.items() if item[0] != "le")


def _sample_key(sample: Any) -> _SampleKey:
    return (sample.name, sample.labels.get("le"))


class _InheritedValue(MutexValue):
    """A gauge's value that started with its parent's share, until the application sets it.

    `inc` and `dec` build on what was inherited, `set` replaces it.
    """

    def set(self, value: float, timestamp: Optional[float] = None) -> None:
        with self._lock:
            self._value = value
            setattr(self, _INHERITED, 0.0)


def take_gauge(gauge: Any) -> None:
    """Remembers a summed gauge's values as inherited."""
    for child in _gauge_children(gauge):
        value = getattr(child, "_value", None)
        if isinstance(value, MutexValue) and not _is_computed(child):
            setattr(value, _INHERITED, value._value)
            value.__class__ = _InheritedValue


def own_gauge(gauge: Any, metric: Any) -> List[Any]:
    """The values of a summed gauge's samples, less what was inherited."""
    return [sample.value - _gauge_share(gauge, sample) for sample in metric.samples]


def _gauge_share(gauge: Any, sample: Any) -> float:
    child = gauge
    if getattr(gauge, "_labelnames", ()):
        child = gauge._metrics.get(tuple(sample.labels.values()))
    if child is None or _is_computed(child):
        return 0.0
    return float(getattr(getattr(child, "_value", None), _INHERITED, 0.0))


def _gauge_children(gauge: Any) -> List[Any]:
    if getattr(gauge, "_labelnames", ()):
        return list(gauge._metrics.values())
    return [gauge]


def _is_computed(child: Any) -> bool:
    """Whether `set_function` took over: such a value is computed for this process and not inherited."""
    return "_child_samples" in vars(child)
