"""What tells two tiles' ETags apart, where no server can be made to meet it on demand."""

from livemosaic.api.responses.etag import Basis
from livemosaic.model.scene import IndexedScene
from livemosaic.tiler.plan import Seen

BASIS = Basis(("m", 256))
PARTS = (("1202", b"a"), ("1203", b"b"))


def scene(version: str = "1#x", parts: tuple[tuple[str, bytes], ...] = PARTS) -> IndexedScene:
    return IndexedScene("c#a", "0", version, None, {"visual": "a.tif"}, {}, parts)


def etag(*scenes: IndexedScene) -> str:
    return BASIS.etag(Seen(scenes, "full"))


def test_a_scene_met_in_only_some_of_its_cells_is_told_apart() -> None:
    """A read beside a write may miss rows, and show what the whole footprint hides."""
    assert etag(scene()) != etag(scene(parts=PARTS[:1]))


def test_the_order_in_which_its_rows_were_met_means_nothing() -> None:
    assert etag(scene()) == etag(scene(parts=PARTS[::-1]))


def test_versions_order_and_what_ended_the_looking_count() -> None:
    one, other = scene("1#x"), scene("2#x")
    tags = {
        etag(one),
        etag(other),
        etag(one, other),
        etag(other, one),
        BASIS.etag(Seen((one,), "exhausted")),
        Basis(("m", 512)).etag(Seen((one,), "full")),
    }
    assert len(tags) == 6
