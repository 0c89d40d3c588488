"""The plan against brute force: what is read, in what order, and what the picture then shows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from livemosaic.index.merge import OnTop
from livemosaic.model.raster import Mask, Runs
from livemosaic.model.scene import IndexedScene
from livemosaic.tiler.plan import Ahead, End, Needs, Plan

SHAPE = (3, 4)
NOBODY = -1


@dataclass(frozen=True)
class Scene:
    """What a footprint says, and what is true; by place in rank order."""

    claim: Mask
    truth: Mask | None
    """None if it cannot be read."""


NOTHING = Scene(np.zeros(SHAPE, np.bool_), None)


def found(name: str) -> IndexedScene:
    return IndexedScene(f"c#{name}", name, "1", None, {}, {}, ())


def visible(scenes: Sequence[Scene], first: int) -> Iterator[int]:
    """The scenes from one on that others of them do not hide, as far as claims say."""
    holes = np.ones(SHAPE, np.bool_)
    for nth in range(first, len(scenes)):
        if (scenes[nth].claim & holes).any():
            yield nth
        holes &= ~scenes[nth].claim


@dataclass
class Source:
    """Scenes as a plan takes them."""

    found: Iterator[IndexedScene]
    truths: Sequence[Scene]
    arrange: Callable[[Sequence[IndexedScene]], Sequence[IndexedScene]] | None = None

    @property
    def in_stored_order(self) -> bool:
        return self.arrange is None

    page: int = 0
    """Scenes between two looks ahead; 0 for none."""
    top: bool = False
    """Whether the scenes after a page that hide all others are known."""

    def scenes(self, needs: Needs) -> Iterator[IndexedScene | OnTop | None]:
        for nth in range(len(self.truths)):
            is_next_page = self.page and nth and nth % self.page == 0
            while is_next_page and not needs.may_show(self._ahead(nth)):
                yield None
            if is_next_page and self.top and needs.only_top:
                top = [*visible(self.truths, nth)]
                yield OnTop(tuple(found(str(n)) for n in top))
            yield next(self.found)

    def _ahead(self, nth: int) -> Ahead:
        """What scenes from one on claim, and a corner besides: an extent may be too large."""
        mask = np.any([scene.claim for scene in self.truths[nth:]], axis=0)
        mask[0, 0] = True
        return Ahead((("", np.packbits(mask).tobytes()),), lambda: Runs.of(mask))

    def arranged(self, scenes: Sequence[IndexedScene]) -> Sequence[IndexedScene]:
        assert self.arrange
        return self.arrange(scenes)

    def claim(self, scene: IndexedScene) -> Runs | None:
        return Runs.of(self.truths[int(scene.id)].claim) or None


@dataclass
class Run:
    """A tile made with a plan."""

    scenes: Sequence[Scene]
    max_scenes: int = 1000
    max_rows: int = 1000
    arrange: Callable[[Sequence[IndexedScene]], Sequence[IndexedScene]] | None = None
    needs_all: bool = False
    page: int = 0
    top: bool = False
    rounds: list[list[int]] = field(default_factory=list)
    """Places in the plan: in stored order, the numbers of the scenes, but of `OnTop`."""
    named: list[list[int]] = field(default_factory=list)
    """The numbers of the scenes that were read."""
    looked_at: int = 0

    def __post_init__(self) -> None:
        self.plan = self._plan()
        self.finish()

    def _plan(self) -> Plan:
        source = Source(self._found(), self.scenes, self.arrange, self.page, self.top)
        return Plan(source, *SHAPE, self.max_scenes, self.max_rows, self.needs_all)

    def finish(self) -> None:
        while places := self.plan.next_round():
            self.rounds.append(places)
            self.named.append([int(self.plan.scene(place).id) for place in places])
            for place in reversed(places):  # the order of answers must not matter
                scene = self.scenes[int(self.plan.scene(place).id)]
                self.plan.record(place, scene.truth)

    def _found(self) -> Iterator[IndexedScene]:
        for n in range(len(self.scenes)):
            self.looked_at += 1
            yield found(str(n))

    @property
    def read(self) -> list[int]:
        """Places of all scenes that were read, top first."""
        return sorted(place for places in self.rounds for place in places)

    def picture(self) -> np.ndarray:
        """Which scene shows at each pixel."""
        return painted(self.scenes, self.read)


class LazyRoutes(Run):
    """A tile asked for, with its plan and nothing read yet."""

    def __post_init__(self) -> None:
        self.plan = self._plan()


def painted(scenes: Sequence[Scene], places: Sequence[int]) -> np.ndarray:
    """Scenes painted from the bottom to the top; `NOBODY` where none is."""
    picture = np.full(SHAPE, NOBODY)
    for place in sorted(places, reverse=True):
        truth = scenes[place].truth
        if truth is not None:
            picture[truth] = place
    return picture


masks = arrays(np.bool_, SHAPE)


@st.composite
def liars(draw: st.DrawFn) -> Scene:
    """A footprint that promises too much, as most do."""
    claim = draw(masks)
    return Scene(claim, draw(st.none() | st.builds(np.logical_and, masks, st.just(claim))))


truthful: st.SearchStrategy[Scene] = st.builds(lambda claim: Scene(claim, claim), masks)
anything: st.SearchStrategy[Scene] = st.builds(Scene, masks, st.none() | masks)


def stacks(scenes: st.SearchStrategy[Scene]) -> st.SearchStrategy[list[Scene]]:
    return st.lists(scenes, max_size=8)


class TestPicture:
    @given(stacks(liars()))
    def test_it_is_that_of_painting_every_scene(self, scenes: list[Scene]) -> None:
        """No matter what footprints promise too much, and what cannot be read."""
        everyone = painted(scenes, range(len(scenes)))
        assert (Run(scenes).picture() == everyone).all()

    @given(stacks(anything))
    def test_no_scene_is_left_out_where_it_claims_a_pixel_that_nothing_above_it_has(
        self, scenes: list[Scene]
    ) -> None:
        """Also where pixels lie beyond their footprint."""
        run = Run(scenes)
        picture = run.picture()
        for place in set(range(len(scenes))) - set(run.read):
            above = (picture != NOBODY) & (picture < place)
            assert above[scenes[place].claim].all()

    @given(stacks(anything))
    def test_nothing_was_cut_off_without_limits(self, scenes: list[Scene]) -> None:
        assert Run(scenes).plan.truncated == ""


class TestReads:
    @given(stacks(anything))
    def test_each_scene_is_read_at_most_once(self, scenes: list[Scene]) -> None:
        read = Run(scenes).read
        assert len(read) == len(set(read))

    @given(stacks(truthful))
    def test_with_true_footprints_only_what_shows_is_read_and_in_one_round(
        self, scenes: list[Scene]
    ) -> None:
        run = Run(scenes)
        visible = set(np.unique(painted(scenes, range(len(scenes))))) - {NOBODY}
        assert set(run.read) == visible
        assert len(run.rounds) == (1 if visible else 0)

    @given(stacks(anything))
    def test_a_round_asks_in_rank_order_and_only_for_what_may_show(
        self, scenes: list[Scene]
    ) -> None:
        known: list[int] = []
        for places in Run(scenes).rounds:
            assert places == sorted(places)
            for place in places:
                above = [n for n in known if n < place]
                filled = painted(scenes, above) != NOBODY
                assert (scenes[place].claim & ~filled).any()
            known += places

    @given(stacks(truthful))
    def test_no_row_is_looked_at_below_the_one_that_completes_the_tile(
        self, scenes: list[Scene]
    ) -> None:
        claimed = np.cumsum([scene.claim for scene in scenes], axis=0)
        full = [n for n, sums in enumerate(claimed) if sums.all()]
        run = Run(scenes)
        assert run.looked_at == (full[0] + 1 if full else len(scenes))


class TestLimits:
    @given(stacks(anything), st.integers(1, 5))
    def test_no_more_scenes_are_read_than_allowed(
        self, scenes: list[Scene], max_scenes: int
    ) -> None:
        assert len(Run(scenes, max_scenes=max_scenes).read) <= max_scenes

    @given(stacks(anything), st.integers(1, 5))
    def test_no_more_rows_are_kept_than_allowed(self, scenes: list[Scene], max_rows: int) -> None:
        run = Run(scenes, max_rows=max_rows)
        assert all(place < max_rows for place in run.read)
        assert run.looked_at <= max_rows + 1

    @pytest.mark.parametrize("limit", ["max_scenes", "max_rows"])
    @given(stacks(liars()), st.integers(1, 5))
    def test_what_was_cut_is_said_and_what_was_not_is_not(
        self, limit: str, scenes: list[Scene], at_most: int
    ) -> None:
        """A cut that changes the picture is never silent; where all was read none is claimed."""
        run = Run(scenes, **{limit: at_most})
        whole = Run(scenes)
        if (run.picture() != whole.picture()).any():
            assert run.plan.truncated == f"{limit}={at_most}"
        if run.read == whole.read and limit == "max_scenes":
            assert run.plan.truncated == ""

    @given(stacks(liars()), st.integers(1, 5))
    def test_a_limit_of_rows_is_said_where_holes_and_rows_are_left(
        self, scenes: list[Scene], max_rows: int
    ) -> None:
        run = Run(scenes, max_rows=max_rows)
        cut = (run.picture() == NOBODY).any() and len(scenes) > max_rows
        assert (run.plan.truncated != "") == cut

    def test_holes_that_a_later_round_fills_were_not_cut_off(self) -> None:
        """By pixels beyond the footprint."""
        everywhere, half = np.ones(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
        half[0] = True
        run = Run([Scene(half, everywhere), Scene(half, half)], max_rows=1)
        assert run.plan.truncated == ""

    @given(stacks(liars()), st.integers(1, 5))
    def test_the_scenes_that_are_read_are_the_topmost_that_matter(
        self, scenes: list[Scene], max_scenes: int
    ) -> None:
        """A limit takes from the bottom: above the last one read nothing is missing."""
        run = Run(scenes, max_scenes=max_scenes)
        first_round = Run(scenes).rounds[:1]
        assert run.rounds[:1] == [places[:max_scenes] for places in first_round]


def backwards(scenes: Sequence[IndexedScene]) -> Sequence[IndexedScene]:
    return scenes[::-1]


class TestArranged:
    """Scenes in another order than they are met in."""

    @given(stacks(liars()))
    def test_the_picture_is_that_of_painting_every_scene_in_that_order(
        self, scenes: list[Scene]
    ) -> None:
        run = Run(scenes, arrange=backwards)
        last = len(scenes) - 1
        upside_down = painted(scenes[::-1], range(len(scenes)))
        top = [int(run.plan.scene(place).id) for place in run.read]
        assert (painted(scenes[::-1], [last - n for n in top]) == upside_down).all()

    @given(stacks(anything), st.integers(1, 5))
    def test_more_scenes_than_can_be_arranged_are_said_to_be_left_out(
        self, scenes: list[Scene], max_rows: int
    ) -> None:
        """Even of a picture without holes: any of them might have come on top."""
        run = Run(scenes, max_rows=max_rows, arrange=backwards)
        assert run.looked_at <= max_rows + 1
        said = f"max_rows={max_rows}" if len(scenes) > max_rows else ""
        assert run.plan.truncated == said

    @given(stacks(anything), stacks(anything), st.integers(1, 5), st.integers(1, 8))
    def test_where_the_same_is_foreseen_the_picture_is_the_same(
        self, scenes: list[Scene], rest: list[Scene], max_scenes: int, max_rows: int
    ) -> None:
        run = Run(scenes, max_scenes, max_rows, backwards)
        seen = run.plan.seen
        every = [*scenes, *rest]
        later = LazyRoutes(every, max_scenes, max_rows, backwards)
        if later.plan.foreseen(len(seen.scenes), seen.end) == seen:
            later.finish()
            assert [later.plan.scene(p).id for p in later.read] == [
                run.plan.scene(p).id for p in run.read
            ]


def at_the_left(scene: Scene) -> Scene:
    """The part of a scene in the left half of the tile."""
    left = np.zeros(SHAPE, np.bool_)
    left[:, :2] = True
    return Scene(scene.claim & left, None if scene.truth is None else scene.truth & left)


class TestLookingAhead:
    """Scenes are taken no further than where all others lie outside the holes."""

    @given(stacks(anything), st.integers(1, 8), st.integers(1, 4), st.booleans())
    def test_the_same_is_read_in_the_same_rounds_as_without(
        self, scenes: list[Scene], max_scenes: int, page: int, needs_all: bool
    ) -> None:
        whole = Run(scenes, max_scenes, needs_all=needs_all)
        run = Run(scenes, max_scenes, needs_all=needs_all, page=page)
        assert run.rounds == whole.rounds
        assert run.plan.truncated == whole.plan.truncated
        assert run.looked_at <= whole.looked_at

    def test_a_tile_at_an_edge_ends_with_the_first_page_that_fills_it_so_far(self) -> None:
        half = at_the_left(Scene(np.ones(SHAPE, np.bool_), np.ones(SHAPE, np.bool_)))
        half.claim[0, 0] = True
        run = Run([half] * 9, page=2)
        assert (run.read, run.looked_at, run.plan.seen.end) == ([0], 2, "outside")
        assert Run([half] * 9).looked_at == 9

    def test_it_goes_on_where_pixels_leave_a_hole(self) -> None:
        half = at_the_left(Scene(np.ones(SHAPE, np.bool_), np.ones(SHAPE, np.bool_)))
        torn = replace(half, truth=np.zeros(SHAPE, np.bool_))
        run = Run([torn, torn, torn, half, half, half], page=2)
        assert (run.rounds, run.looked_at) == ([[0], [1], [2], [3]], 4)

    @given(stacks(anything), stacks(anything), st.integers(1, 5), st.integers(1, 3))
    def test_where_the_same_is_foreseen_the_picture_is_the_same(
        self, scenes: list[Scene], rest: list[Scene], max_scenes: int, page: int
    ) -> None:
        """Also where other scenes lie beyond now."""
        now = [*map(at_the_left, scenes)]
        run = Run(now, max_scenes, page=page)
        seen = run.plan.seen
        later = LazyRoutes([*now, *rest], max_scenes, page=page)
        if later.plan.foreseen(len(seen.scenes), seen.end) == seen:
            later.finish()
            assert later.read == run.read

    def test_a_tile_at_an_edge_is_foreseen_until_a_scene_may_lie_in_its_holes(self) -> None:
        half = at_the_left(Scene(np.ones(SHAPE, np.bool_), np.ones(SHAPE, np.bool_)))
        seen = Run([half] * 9, page=2).plan.seen
        for scenes, is_same in (
            ([half] * 10, True),
            ([*[half] * 9, Scene(~half.claim, None)], False),
        ):
            plan = LazyRoutes(scenes, page=2).plan
            assert (plan.foreseen(len(seen.scenes), "outside") == seen) == is_same


class TestOnTop:
    """Scenes come before their turn where they hide all others, as far as footprints say."""

    @given(stacks(anything), st.integers(1, 8), st.integers(1, 4), st.booleans())
    def test_the_same_is_read_in_the_same_rounds_as_without(
        self, scenes: list[Scene], max_scenes: int, page: int, needs_all: bool
    ) -> None:
        whole = Run(scenes, max_scenes, needs_all=needs_all)
        run = Run(scenes, max_scenes, needs_all=needs_all, page=page, top=True)
        assert run.named == whole.rounds
        assert run.plan.truncated == whole.plan.truncated
        order = [run.plan.scene(place).id for place in run.plan.places]
        assert order == sorted(order, key=int)

    @given(stacks(truthful), st.integers(1, 4))
    def test_with_true_footprints_it_takes_one_page(self, scenes: list[Scene], page: int) -> None:
        assert Run(scenes, page=page, top=True).looked_at <= page

    @given(stacks(anything), st.integers(1, 5), st.integers(1, 3))
    def test_the_same_is_foreseen(self, scenes: list[Scene], max_scenes: int, page: int) -> None:
        run = Run(scenes, max_scenes, page=page, top=True)
        seen = run.plan.seen
        later = LazyRoutes(scenes, max_scenes, page=page, top=True)
        if seen.end.lower() != "outside":  # after so many scenes it may have gone on first
            assert later.plan.foreseen(len(seen.scenes), seen.end) == seen
            assert later.looked_at <= run.looked_at

    @given(stacks(anything), stacks(anything), st.integers(1, 5), st.integers(1, 3), st.booleans())
    def test_where_the_same_is_foreseen_the_picture_is_the_same(
        self, scenes: list[Scene], rest: list[Scene], max_scenes: int, page: int, top: bool
    ) -> None:
        """Also where rows on top are known only before, or after."""
        run = Run(scenes, max_scenes, page=page, top=True)
        seen = run.plan.seen
        every = [*scenes, *rest]
        later = LazyRoutes(every, max_scenes, page=page, top=top)
        if later.plan.foreseen(len(seen.scenes), seen.end) == seen:
            later.finish()
            assert later.named == run.named == Run(every, max_scenes).rounds

    @given(stacks(anything), st.integers(1, 3), st.integers(0, 9), st.sampled_from(get_args(End)))
    def test_having_foreseen_changes_no_tile(
        self, scenes: list[Scene], page: int, count: int, end: End
    ) -> None:
        later = LazyRoutes(scenes, page=page, top=True)
        later.plan.foreseen(count, end)
        later.finish()
        assert later.named == Run(scenes).rounds

    def test_a_full_tile_is_not_foreseen_from_scenes_before_their_turn(self) -> None:
        """A scene came that is hidden by a footprint without pixels."""
        filled = Scene(np.ones(SHAPE, np.bool_), np.ones(SHAPE, np.bool_))
        half = at_the_left(filled)
        seen = Run([NOTHING, replace(half, truth=None), NOTHING, filled]).plan.seen
        plan = LazyRoutes([NOTHING, replace(half, truth=None), half, filled], page=1, top=True).plan
        plan.foreseen(9, "top")
        assert plan.foreseen(len(seen.scenes), seen.end) != seen

    def test_an_edge_that_wanders_is_filled_from_the_deep(self) -> None:
        narrow = at_the_left(Scene(np.ones(SHAPE, np.bool_), np.ones(SHAPE, np.bool_)))
        wide = Scene(narrow.claim.copy(), narrow.claim.copy())
        wide.claim[:, 2] = wide.truth[:, 2] = True  # type: ignore[index]
        run = Run([*[narrow] * 7, wide, *[narrow] * 7], page=2, top=True)
        assert (run.named, run.looked_at, run.plan.seen.end) == ([[0, 7]], 2, "top")

    def test_it_turns_back_where_pixels_do_not_hide_what_footprints_do(self) -> None:
        narrow = at_the_left(Scene(np.ones(SHAPE, np.bool_), np.ones(SHAPE, np.bool_)))
        wide = Scene(narrow.claim.copy(), narrow.claim.copy())
        wide.claim[:, 2] = True  # but not its pixels
        filled = Scene(wide.claim, wide.claim)
        run = Run([*[narrow] * 3, wide, narrow, filled, filled], page=2, top=True)
        assert run.named == [[0, 3], [5]]
        assert [run.plan.scene(place).id for place in run.plan.places] == [
            "0",
            "1",
            "2",
            "3",
            "4",
            "5",
        ]


class TestNeedsAll:
    """Pixels that depend on every scene that has them."""

    @given(stacks(anything))
    def test_every_scene_that_claims_a_pixel_is_read_in_one_round(
        self, scenes: list[Scene]
    ) -> None:
        claiming = [n for n, scene in enumerate(scenes) if scene.claim.any()]
        run = Run(scenes, needs_all=True)
        assert run.rounds == ([claiming] if claiming else [])

    def test_a_scene_met_in_two_parts_is_read_once(self) -> None:
        """It would count twice."""
        everywhere = np.ones(SHAPE, np.bool_)
        scenes = [Scene(everywhere, everywhere)]
        twice = iter([found("0"), found("0")])
        plan = Plan(Source(twice, scenes), *SHAPE, 10, 10, needs_all=True)
        assert plan.next_round() == [0]

    @given(stacks(anything), st.integers(1, 5))
    def test_those_beyond_the_limit_are_said_to_be_left_out(
        self, scenes: list[Scene], max_scenes: int
    ) -> None:
        claiming = [n for n, scene in enumerate(scenes) if scene.claim.any()]
        run = Run(scenes, max_scenes, needs_all=True)
        assert run.read == claiming[:max_scenes]
        cut = len(claiming) > max_scenes
        assert run.plan.truncated == (f"max_scenes={max_scenes}" if cut else "")


class TestForeseen:
    """What a tile followed from tells whether it would come out the same, without its pixels."""

    @given(stacks(anything), st.integers(1, 5), st.integers(1, 8))
    def test_the_same_scenes_are_foreseen_with_no_more_candidates_than_it_took(
        self, scenes: list[Scene], max_scenes: int, max_rows: int
    ) -> None:
        run = Run(scenes, max_scenes, max_rows)
        seen = run.plan.seen
        met = [n for n, scene in enumerate(scenes[:max_rows]) if scene.claim.any()]
        assert [int(s.id) for s in seen.scenes] == met[: len(seen.scenes)]
        later = LazyRoutes(scenes, max_scenes, max_rows)
        assert later.plan.foreseen(len(seen.scenes), seen.end) == seen
        assert later.looked_at <= run.looked_at

    @given(stacks(anything), stacks(anything), st.integers(1, 5), st.integers(1, 8))
    def test_where_the_same_is_foreseen_the_picture_is_the_same_and_only_there(
        self, scenes: list[Scene], rest: list[Scene], max_scenes: int, max_rows: int
    ) -> None:
        """Scenes may have come below them."""
        run = Run(scenes, max_scenes, max_rows)
        seen = run.plan.seen
        more = Run([*scenes, *rest], max_scenes, max_rows)
        later = LazyRoutes([*scenes, *rest], max_scenes, max_rows)
        same = later.plan.foreseen(len(seen.scenes), seen.end) == seen
        assert same == (more.plan.seen == seen)
        if same:
            assert (more.picture() == run.picture()).all()
            assert more.plan.truncated == run.plan.truncated

    @given(stacks(anything), st.integers(0, 9), st.sampled_from(get_args(End)))
    def test_having_foreseen_changes_neither_the_tile_nor_what_it_follows_from(
        self, scenes: list[Scene], count: int, end: End
    ) -> None:
        run = Run(scenes, max_rows=6)
        later = LazyRoutes(scenes, max_rows=6)
        later.plan.foreseen(count, end)
        later.finish()
        assert later.rounds == run.rounds
        assert (later.plan.seen, later.plan.truncated) == (run.plan.seen, run.plan.truncated)


class TestExplained:
    @given(stacks(truthful))
    def test_what_it_says_to_read_is_what_is_read(self, scenes: list[Scene]) -> None:
        explained = LazyRoutes(scenes).plan.explained()
        assert [int(scene.id) for scene, why in explained if why == "shows"] == Run(scenes).read
        places = [int(scene.id) for scene, _ in explained]
        assert places == sorted(places)
        assert all(scenes[place].claim.any() for place in places)

    def test_a_hidden_scene_is_named_as_hidden(self) -> None:
        everywhere, half = np.ones(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
        half[0] = True
        scenes = [Scene(half, half), Scene(half, half), Scene(everywhere, everywhere)]
        assert [why for _, why in LazyRoutes(scenes).plan.explained()] == [
            "shows",
            "hidden by scenes above it",
            "shows",
        ]

    def test_a_scene_beyond_the_limit_is_named_with_the_limit(self) -> None:
        top, bottom = np.zeros(SHAPE, np.bool_), np.ones(SHAPE, np.bool_)
        top[0] = True
        scenes = [Scene(top, top), Scene(bottom, bottom)]
        plan = LazyRoutes(scenes, max_scenes=1).plan
        assert [why for _, why in plan.explained()] == ["shows", "left out by max_scenes=1"]


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param(list, id="no scenes"),
        pytest.param(lambda: [Scene(np.zeros(SHAPE, np.bool_), None)], id="none that claims"),
    ],
)
def test_where_nothing_is_claimed_nothing_is_read(shapes: Callable[[], list[Scene]]) -> None:
    run = Run(shapes())
    assert (run.rounds, run.plan.truncated) == ([], "")
