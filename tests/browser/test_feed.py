"""An open map costs little while nothing happens, and nothing where nobody sees it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from .conftest import Site, View

pytestmark = pytest.mark.browser

RED, GREEN = (200, 30, 40), (30, 160, 70)
BOTH, EAST, IN_EAST = (7.0, 45.0, 9.0, 46.0), (8.0, 45.0, 9.0, 46.0), (8.5, 45.5)


@contextmanager
def hours_ago(site: Site) -> Iterator[None]:
    """What is published meanwhile was so two hours ago."""
    index = site.services.index
    clock = index.clock
    object.__setattr__(index, "clock", lambda: time.time() - 7200)
    yield
    object.__setattr__(index, "clock", clock)


def looks(view: View, more: int) -> None:
    """Wait until the page has looked that often again."""
    before = view.page.evaluate("() => livemosaic.looks")
    view.until("looks => livemosaic.looks >= looks", before + more)


def hide(view: View, hidden: bool) -> None:
    """Switch to another tab, or back."""
    view.page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_map_in_which_nothing_happens_asks_for_changes_alone(site: Site, view: View) -> None:
    """Twelve times a minute, one read unit each."""
    mosaic = site.mosaic()
    with hours_ago(site):
        site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    looks(view, 1)
    view.requests.clear()
    looks(view, 3)
    assert {re.sub(r".*/|\?.*", "", url) for url in view.requests} == {"changes"}
    assert 3 <= len(view.requests) <= 4
    begun = view.page.evaluate(
        """() => performance.getEntriesByType("resource")
          .filter(({ name }) => name.includes("/changes")).slice(-3).map(e => e.startTime)"""
    )
    assert all(later - earlier > 4_900 for earlier, later in pairwise(begun))


def test_a_hidden_map_asks_for_nothing_and_catches_up(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "older", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    hide(view, hidden=True)
    view.page.wait_for_timeout(1_000)  # what is on its way
    view.requests.clear()
    site.publish(mosaic, "newest", EAST, GREEN, day=12)
    view.page.wait_for_timeout(7_000)
    assert [url for url in view.requests if "/tiles/" not in url] == []
    hide(view, hidden=False)
    view.shows(*IN_EAST, GREEN)
    expect(view.page.locator("#count")).to_have_text("2 scenes in view")


def test_a_change_below_the_listed_scenes_is_drawn(site: Site, view: View) -> None:
    """Lists end at 200 scenes, or where the rule ends them; the feed does not."""
    mosaic = site.mosaic()
    site.publish(mosaic, "above", (7.0, 45.0, 8.0, 46.0), RED, day=12)
    view.open(mosaic)
    view.page.route(re.compile(r"items\?"), lambda route: route.fulfill(json=ONE_OF_MANY))
    site.publish(mosaic, "below", EAST, GREEN, day=1)
    view.shows(*IN_EAST, GREEN)


ONE_OF_MANY = {
    "type": "FeatureCollection",
    "features": [],
    "truncated": "max_rows=1",
    "rule": {"method": "default", "operation": "first"},
}
