"""What a process has from its parent by fork, and what of its values is therefore its own.

A child's memory starts as a copy of its parent's, counters included; the parent goes on pushing them. So the
child remembers every cumulative value as it was at the fork and pushes the growth.
"""
from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from prometheus_client.values import MutexValue

# What the samples of a family are, by type and by what follows the family's name in theirs.
_RISES = "never falls but at a restart"
_SUM = "cumulative, but falls with negative observations"
_CREATED = "when the series began"
_ROLES: Dict[str, Dict[str, str]] = {
    "counter": {"_total": _RISES, "": _RISES, "_created": _CREATED},
    "histogram": {"_bucket": _RISES, "_count": _RISES, "_sum": _SUM, "_created": _CREATED},
    "summary": {"_count": _RISES, "_sum": _SUM, "_created": _CREATED},
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
        groups: Dict[_GroupKey, _Group] = {}
        for sample in metric.samples:
            role = _role(metric, sample)
            if role is None or not _is_share(sample.value):
                continue
            group = groups.setdefault(_group_key(sample), _Group())
            if role is _CREATED:
                group.created = sample.value
            else:
                group.values[sample.name, sample.labels.get("le")] = sample.value
        # What is zero is nobody's share.
        counted = {key: group for key, group in groups.items() if group.values}
        if counted:
            self._families.setdefault(metric.name, {}).update(counted)

    def own(self, metric: Any) -> Sequence[Any]:
        """The values of the family's samples, less what was inherited."""
        groups = self._families.get(metric.name)
        if not groups:
            return [sample.value for sample in metric.samples]
        shares = [(sample, groups.get(_group_key(sample)), _role(metric, sample)) for sample in metric.samples]
        for sample, group, role in shares:
            if group is not None and group.values and _started_anew(sample, group, role):
                group.values = {}
        return [self._own_value(sample, group, role) for sample, group, role in shares]

    def _own_value(self, sample: Any, group: Optional[_Group], role: Optional[str]) -> Any:
        if group is None or role is None or not group.values:
            return sample.value
        if role is _CREATED:
            return max(sample.value, self._taken)
        return sample.value - group.values.get((sample.name, sample.labels.get("le")), 0)


def _started_anew(sample: Any, group: _Group, role: Optional[str]) -> bool:
    """Whether the series was removed or reset since the fork: then nothing of it is the parent's."""
    if role is _CREATED:
        return group.created is not None and bool(sample.value != group.created)
    return role is _RISES and bool(sample.value < group.values.get((sample.name, sample.labels.get("le")), 0))


def _role(metric: Any, sample: Any) -> Optional[str]:
    roles = _ROLES.get(metric.type)
    if roles is not None:
        return roles.get(sample.name[len(metric.name):]) if sample.name.startswith(metric.name) else None
    # The sidecar takes these for counters.
    return _RISES if metric.type == "unknown" and sample.name.endswith("_total") else None


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value != 0


def _group_key(sample: Any) -> _GroupKey:
    labels = sample.labels
    if "le" in labels:
        return tuple(item for item in labels.items() if item[0] != "le")
    return tuple(labels.items())


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
