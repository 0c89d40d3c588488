"""Byte ranges that lie close together are fetched with one request."""

from typing import Final

COALESCE_GAP: Final = 1024 * 1024
"""Bytes between two ranges up to which one request reads both.

The gap takes time, which a second, concurrent request would not; but such a request costs as much
as 14 ms of a 1,769 MB Lambda, in which S3 sends about that many bytes. On the benchmark's tiles
this saves 8 % of the requests for 3 % more bytes; 4 MB would save 30 % for half as many again.
"""
COALESCED_MAX: Final = 8 * 1024 * 1024


def coalesce(ranges: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Merges ranges into disjoint spans; each range is inside exactly one of them.

    Ranges at most `gap` bytes apart share a span, unless it would become too large.
    """
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(set(ranges)):
        first, last = spans[-1] if spans else (start, start - gap - 1)
        overlaps = start < last
        near = start <= last + gap and stop - first <= COALESCED_MAX
        if spans and (overlaps or near):
            spans[-1] = (first, max(last, stop))
        else:
            spans.append((start, stop))
    return spans
