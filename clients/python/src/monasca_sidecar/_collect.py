"""From a registry to families ready to be encoded: aggregation of each, inherited shares taken off."""
from __future__ import annotations

import logging
import threading
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from prometheus_client import Enum, Gauge, Info, values
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from . import _locks
from ._config import Config
from ._encode import Family
from ._inherit import Inherited, own_gauge, take_gauge

_log = logging.getLogger("monasca_sidecar")

FOREIGN_WAIT = 1.0
"""Seconds that a fork waits for the application's own collectors in the child."""

_MODES = {
    "sum": "sum", "livesum": "sum",
    "min": "min", "livemin": "min",
    "max": "max", "livemax": "max",
    "mostrecent": "last", "livemostrecent": "last",
    "all": "all", "liveall": "all",
}  # fmt: skip

# What an application with many processes uses in all, and what each of them may use.
_PROCESS = {
    "process_virtual_memory_bytes": "sum",
    "process_resident_memory_bytes": "sum",
    "process_open_fds": "sum",
    "process_max_fds": "max",
    "process_start_time_seconds": "min",
}


class Source:
    """Reads one registry for one process."""

    def __init__(self, config: Config, parent: Optional[Source] = None) -> None:
        self._registry = config.registry
        self._aggregate = config.aggregate
        self._live = config.live
        # Collectors whose values are this process's own however it came to be.
        self._never_inherited: Tuple[type, ...] = (ProcessCollector,)
        self._inherited: Optional[Inherited] = None
        # Collectors that did not come back at the fork never will: a lock that they wait for has no owner.
        self._blocked: List[Any] = list(parent._blocked) if parent else []
        # Collectors that failed at the fork: what they first give later counts as inherited.
        self._untaken: List[Any] = []
        self._reported: Set[int] = set()

    def collect(self) -> List[Family]:
        with _locks.Held():
            families: List[Family] = []
            for collector in self._collectors():
                families.extend(self._families(collector))
            return families

    def inherit_from_parent(self) -> None:
        """Remembers what this process, just forked, has from its parent."""
        _locks.free_orphans(self._registry, self._registered())
        self._inherit()

    def inherit_from_earlier(self) -> None:
        """Remembers what this process has already said goodbye to under an earlier id."""
        self._never_inherited = ()
        self._inherit()

    def _inherit(self) -> None:
        self._inherited = Inherited(time.time())
        foreign = []
        for collector in self._collectors():
            if self._is_own(collector):
                continue
            if _is_plain(collector):
                self._take(collector)
            else:
                foreign.append(collector)
        if foreign:
            self._take_foreign(foreign)

    def _take(self, collector: Any) -> None:
        def read(_: Any) -> None:
            if not isinstance(collector, Gauge):
                for metric in collector.collect():
                    inherited.take(metric)
            elif self._aggregate_of(collector, collector._name) == "sum":
                take_gauge(collector)

        inherited = self._inherited or Inherited(time.time())
        if not self._guarded(collector, read):
            self._untaken.append(collector)

    def _take_foreign(self, collectors: Sequence[Any]) -> None:
        """Reads collectors that may do anything, in a thread of their own: the fork cannot wait for ever."""
        done: List[Any] = []

        def read() -> None:
            for collector in collectors:
                self._take(collector)
                done.append(collector)

        thread = threading.Thread(target=read, name="monasca-sidecar-fork", daemon=True)
        thread.start()
        thread.join(FOREIGN_WAIT)
        if thread.is_alive():
            missing = collectors[len(done):]
            self._blocked.extend(missing)
            _log.warning("collectors blocked after a fork and are left out of this process: %r", missing)

    def _families(self, collector: Any) -> List[Family]:
        found: List[Any] = []
        if not self._guarded(collector, lambda c: found.extend(c.collect())):
            return []
        if self._inherited is not None and _among(collector, self._untaken):
            self._untaken = [other for other in self._untaken if other is not collector]
            for metric in found:
                self._inherited.take(metric)
        return [self._family(collector, metric) for metric in found]

    def _family(self, collector: Any, metric: Any) -> Family:
        aggregate = self._aggregate_of(collector, metric.name)
        if self._inherited is None or self._is_own(collector):
            values: Sequence[Any] = [sample.value for sample in metric.samples]
        elif isinstance(collector, Gauge) and aggregate == "sum":
            values = own_gauge(collector, metric)
        else:
            values = self._inherited.own(metric)
        return Family(metric, aggregate, values)

    def _aggregate_of(self, collector: Any, name: str) -> Optional[str]:
        if name in self._aggregate:
            return self._aggregate[name]
        if isinstance(collector, Gauge):
            return _MODES.get(collector._multiprocess_mode)
        if isinstance(collector, MetricWrapperBase):
            return None
        if isinstance(collector, ProcessCollector):
            prefix = getattr(collector, "_prefix", "process_")
            if name.startswith(prefix):
                name = "process_" + name[len(prefix):]
        return _PROCESS.get(name)

    def _is_own(self, collector: Any) -> bool:
        return isinstance(collector, self._never_inherited) or _among(collector, self._live)

    def _collectors(self) -> List[Any]:
        """Those that this process speaks for: what is in files of a multiprocess directory is read there."""
        return [c for c in self._registered() if not _among(c, self._blocked) and not _is_in_files(c)]

    def _registered(self) -> List[Any]:
        known: Optional[Dict[Any, Any]] = getattr(self._registry, "_collector_to_names", None)
        if known is None:
            # Not the usual registry, only something with collect(): one collector of unknown habits.
            return [self._registry]
        collectors = list(known)
        if getattr(self._registry, "_target_info", None):
            collectors.insert(0, _TargetInfo(self._registry))
        return collectors

    def _guarded(self, collector: Any, read: Callable[[Any], None]) -> bool:
        """One collector that fails takes nobody else's metrics away."""
        try:
            read(collector)
            return True
        except Exception:
            if id(collector) not in self._reported:
                self._reported.add(id(collector))
                _log.warning("collector %r failed; its metrics are left out while it does", collector, exc_info=True)
            return False


class _TargetInfo:
    """The registry's own target_info family as a collector."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Any]:
        return [self._registry._target_info_metric()]


_PLAIN: Tuple[type, ...] = (MetricWrapperBase, GCCollector, PlatformCollector, _TargetInfo)


def _is_plain(collector: Any) -> bool:
    """Whether reading it only reads memory whose locks are known to be free."""
    return isinstance(collector, _PLAIN)


def _is_in_files(collector: Any) -> bool:
    """Whether the values are in files of a multiprocess directory, or are those of all processes, read from it."""
    if isinstance(collector, MultiProcessCollector):
        return True
    if not isinstance(collector, MetricWrapperBase) or isinstance(collector, (Enum, Info)):
        return False
    value = next(_locks.values_of(collector), values.ValueClass)
    return bool(getattr(value, "_multiprocess", False))


def _among(collector: Any, collectors: Sequence[Any]) -> bool:
    return any(collector is other for other in collectors)
