"""The first step, for each unit: versions by shard, and what mosaics learn."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from livemosaic.geo.antimeridian import united
from livemosaic.index.learning.traits import SceneTraits
from livemosaic.load.plan import digest_of
from livemosaic.load.scenes import LoadedScene, SceneMaker
from livemosaic.load.work import Work
from livemosaic.model.raster import BBox


@dataclass(slots=True)
class Lessons:
    """What one mosaic learns of the scenes of a unit."""

    bounds: BBox | None = None
    traits: list[SceneTraits] = field(default_factory=list)
    """Each once."""
    order: list[int] = field(default_factory=list)
    """For each scene in order, which of `traits` it has."""

    def add(self, scene: LoadedScene) -> None:
        """Adds a scene that its mosaic learns from."""
        if scene.traits is None or scene.bounds is None:
            return
        self.bounds = united(self.bounds or scene.bounds, scene.bounds)
        if scene.traits not in self.traits:
            self.traits.append(scene.traits)
        self.order.append(self.traits.index(scene.traits))

    def to_json(self) -> Mapping[str, Any]:
        """Returns the lessons as an object of the load has them."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Returns the lessons of `to_json`."""
        traits = [
            SceneTraits(**each | {name: tuple(each[name]) for name in ("assets", "shown")})
            for each in value["traits"]
        ]
        bounds = value["bounds"]
        return cls(None if bounds is None else (*bounds,), traits, value["order"])


class UnitDigest:
    """A digest of all scenes of a unit: each step must make the same ones."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, digest: str, scene: LoadedScene) -> None:
        """Adds the next scene."""
        self._hash.update(f"{digest}{scene.version}\n".encode())

    @property
    def digest(self) -> str:
        """The digest of all so far."""
        return self._hash.hexdigest()


def survey(work: Work, n: int) -> None:
    """Writes what is to be known of a unit's scenes before rows of any unit are written."""
    plan = work.plan
    maker = SceneMaker(plan, work.allow, {each.id: each for each in plan.mosaics})
    lessons: dict[str, Lessons] = defaultdict(Lessons)
    versions: dict[int, list[str]] = defaultdict(list)
    seen = UnitDigest()
    for row in maker.rows(plan.units[n]):
        for scene in row.scenes:
            lessons[scene.mosaic].add(scene)
            digest = digest_of(scene.mosaic, scene.key)
            seen.add(digest, scene)
            versions[plan.shard_of(digest)].append(f"{digest} {row.entry.line} {scene.version}")
    for shard, lines in versions.items():
        work.put(f"versions/{shard:06}/{n:06}", "\n".join(lines).encode())
    known = {name: each.to_json() for name, each in lessons.items()}
    work.put_json(f"lessons/{n:06}", {"mosaics": known, "seen": seen.digest})
