"""Metrics and log lines about scenes that images lack, of one process.

Whatever the traffic, a process logs its counts at most once a minute, and each reason for which it
skipped scenes at most once a minute, the first time at once; the counts come along. Counts of the
last minute are lost where a process is never called again.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Self

from livemosaic import logs
from livemosaic.errors import ASKED_FOR, ForbiddenHrefError, Reason, UnreadableAssetError

log = logging.getLogger(__name__)

IMAGES: Final = "Images"
"""Metric: images read; a 304 reads none."""
TRUNCATED_IMAGES: Final = "TruncatedImages"
"""Metric: images from which a limit left scenes out."""
UNREADABLE_SCENES: Final = "UnreadableScenes"
"""Metric: scenes that images lack for a reason that an operator can mend."""
UNREADABLE_PERCENT: Final = "UnreadablePercent"
"""Metric: their share in the wanted scenes, of one process since its last line."""
SKIPPED_SCENES: Final = "SkippedScenes"
"""Metric: scenes that images lack, by reason."""
REASON: Final = "Reason"
"""Dimension of `SKIPPED_SCENES`, with the values of `errors.Reason`."""

_EVERY_S: Final = 60.0
_MAX_NAMED: Final = 5
"""Mosaics and hosts named in a line, the most frequent ones."""
_MAX_COUNTED: Final = 100
"""Mosaics and hosts counted between two lines."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A scene that could not be read."""

    scene: str
    """Id of the scene."""
    why: str
    """In words, without credentials."""
    reason: Reason
    host: str = ""
    """Bucket or host of the asset; empty if none was asked."""

    @classmethod
    def of(cls, scene: str, error: Exception) -> Self:
        """Returns the skip that an error of a read means."""
        match error:
            case UnreadableAssetError(reason=reason, host=host):
                return cls(scene, str(error), reason, host)
            case ForbiddenHrefError():
                return cls(scene, str(error), "not_allowed")
        return cls(scene, str(error), "request")


@dataclass(slots=True)
class _Totals:
    """What images had since the last line."""

    images: int = 0
    truncated: int = 0
    wanted: int = 0
    """Scenes that were read, or could not be for a reason that an operator can mend."""
    unreadable: int = 0

    def values(self) -> dict[str, float]:
        return {
            IMAGES: self.images,
            TRUNCATED_IMAGES: self.truncated,
            UNREADABLE_SCENES: self.unreadable,
        } | ({UNREADABLE_PERCENT: self._percent()} if self.wanted else {})

    def _percent(self) -> float:
        return round(100 * self.unreadable / self.wanted, 2)


@dataclass(slots=True)
class _Skipped:
    """Scenes skipped for one reason since the last line."""

    count: int = 0
    mosaics: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    example: Skip | None = None

    def add(self, mosaic: str, skip: Skip) -> None:
        self.count += 1
        self.example = skip
        _count(self.mosaics, mosaic)
        _count(self.hosts, skip.host)

    def fields(self) -> dict[str, Any]:
        assert self.example is not None  # noqa: S101 (for the type: a line follows a skip)
        return {
            "mosaics": dict(self.mosaics.most_common(_MAX_NAMED)),
            "hosts": dict(self.hosts.most_common(_MAX_NAMED)),
            "scene": self.example.scene,
            "why": self.example.why,
        }


def _count(counter: Counter[str], name: str) -> None:
    if name in counter or len(counter) < _MAX_COUNTED:
        counter[name] += 1


class Watch:
    """Counts images and skipped scenes, and logs them. Thread-safe.

    With the name of a deployment the lines are metrics, too; without, counts are not logged.
    """

    def __init__(self, deployment: str = "", clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix time in seconds; a monotonic clock may stand still while frozen."""
        self._deployment = deployment
        self._clock = clock
        self._lock = Lock()
        self._totals = _Totals()
        self._skipped: dict[Reason, _Skipped] = {}
        self._logged: dict[Reason | None, float] = {}
        """Time of the last line, by reason; None for the totals."""

    def saw(self, mosaic: str, read: int, skips: Sequence[Skip], truncated: str) -> None:
        """Counts an image: its mosaic, the scenes read, the ones that were not, and a limit met."""
        now = self._clock()
        with self._lock:
            self._add(mosaic, read, skips, truncated)
            lines = self._take_due(now)
            totals = self._take_totals(now) if lines or self._is_due(None, now) else None
        if totals and self._deployment:
            extra = logs.metrics(self._deployment, totals.values())
            log.info("%d images", totals.images, extra=extra)
        for reason, skipped in lines.items():
            _warn(self._deployment, reason, skipped)

    def _add(self, mosaic: str, read: int, skips: Sequence[Skip], truncated: str) -> None:
        unreadable = sum(skip.reason not in ASKED_FOR for skip in skips)
        self._totals.images += 1
        self._totals.truncated += bool(truncated)
        self._totals.wanted += read + unreadable
        self._totals.unreadable += unreadable
        for skip in skips:
            self._skipped.setdefault(skip.reason, _Skipped()).add(mosaic, skip)

    def _is_due(self, line: Reason | None, now: float) -> bool:
        return not 0 <= now - self._logged.get(line, -_EVERY_S) < _EVERY_S

    def _take_due(self, now: float) -> Mapping[Reason, _Skipped]:
        due = [reason for reason in self._skipped if self._is_due(reason, now)]
        self._logged |= dict.fromkeys(due, now)
        return {reason: self._skipped.pop(reason) for reason in due}

    def _take_totals(self, now: float) -> _Totals:
        totals, self._totals = self._totals, _Totals()
        self._logged[None] = now
        return totals


def _warn(deployment: str, reason: Reason, skipped: _Skipped) -> None:
    counted = logs.metrics(deployment, {SKIPPED_SCENES: skipped.count}, {REASON: reason})
    extra = {"reason": reason, **skipped.fields(), **counted}
    log.warning("%d scenes skipped: %s", skipped.count, reason, extra=extra)
