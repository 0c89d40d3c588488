"""What bands are called in numbers, as rio-tiler calls them."""

from collections.abc import Sequence

from livemosaic.model import Read, Style

PLAIN = Style()


def band_names(read: Read, names: Sequence[str], style: Style = PLAIN) -> list[str]:
    """What an expression or an algorithm makes is numbered; its text, `names`, describes it."""
    made = read.expression or style.algorithm
    return [f"b{n}" for n in range(1, len(names) + 1)] if made else list(names)
