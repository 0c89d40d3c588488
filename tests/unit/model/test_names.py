"""A name is near another by a few edits, scaled to its length."""

import random

import pytest

from livemosaic.model.names import nearest, suggested

KNOWN = ("sortby", "rescale", "lock", "ids", "f", "filter-lang", "mosaicRule", "colormap")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sortyb", "sortby"), ("sort_by", "sortby"), ("SORTBY", "sortby"), ("srotyb", "sortby"),
        ("rescal", "rescale"), ("rescaling", None), ("look", "lock"), ("lo", None), ("id", None),
        ("F", "f"), ("g", None), ("filterlang", "filter-lang"), ("mosaic_rule", "mosaicRule"),
        ("color_map", "colormap"), ("", None), ("x" * 10_000, None), ("ıds", None),
    ],
)  # fmt: skip
def test_the_name_that_was_meant_is_found(given: str, meant: str | None) -> None:
    assert nearest(given, KNOWN) == meant


def test_one_slip_in_a_long_name_is_always_recognized() -> None:
    """Any letter left out, doubled, replaced or swapped with the next."""
    some = random.Random(4)
    for name in ("expression", "colormap_name", "viewpoint", "assets"):
        for at in range(len(name) - 1):
            letter = some.choice("aeqz")
            for slip in (
                name[:at] + name[at + 1 :],
                name[: at + 1] + name[at:],
                name[:at] + letter + name[at + 1 :],
                name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            ):
                assert nearest(slip, (*KNOWN, name)) == name, slip


def test_a_message_names_both() -> None:
    assert suggested("rescal", KNOWN) == "'rescal' (did you mean 'rescale'?)"
    assert suggested("plaid", KNOWN) == "'plaid'"
