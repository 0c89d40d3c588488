"""The steps of a load by their names, as Lambda runs them, and all of them on this machine."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, Final

from livemosaic.load.fold import fold
from livemosaic.load.settle import settle
from livemosaic.load.survey import survey
from livemosaic.load.work import Work
from livemosaic.load.write import finish, write
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.folder import Folder
from livemosaic.storage.probe import LoginProbe

STEPS: Final = ("survey", "settle", "fold", "write", "finish")
_OF_MANY: Final[Mapping[str, Callable[[Work, int], None]]] = {
    "survey": survey,
    "settle": settle,
    "write": write,
}
_OF_ALL: Final[Mapping[str, Callable[[Work], Any]]] = {"fold": fold, "finish": finish}


def run_step(work: Work, step: str, n: int = 0) -> None:
    """Runs a step of a load; `n` is its unit or shard."""
    if step in _OF_MANY:
        _OF_MANY[step](work, n)
    else:
        _OF_ALL[step](work)


def handler(allow: AllowList) -> Callable[[Mapping[str, Any], object], Mapping[str, Any]]:
    """Returns the handler of the state machine's function."""

    probed = probing(allow)

    def handle(event: Mapping[str, Any], context: object) -> Mapping[str, Any]:
        """Handles `{"work": URL, "step": …, "n": …}`.

        Returns nothing: what is made is in S3, and a state machine keeps all results at once.
        """
        del context
        run_step(Work(Folder(event["work"]), probed), event["step"], event.get("n", 0))
        return {}

    return handle


def run_here(
    url: str, allow: AllowList, processes: int, done: Callable[[str, int, int], None]
) -> None:
    """Runs all steps in processes of this machine.

    `done` is called for each unit and shard, with the step, and how many are done of how many.
    """
    plan = Work(Folder(url), allow).plan
    counts = {"survey": len(plan.units), "settle": plan.shards, "write": len(plan.units)}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for step in STEPS:
            count = counts.get(step, 1)
            running = [pool.submit(_run, url, allow, step, n) for n in range(count)]
            for number, each in enumerate(as_completed(running), 1):
                each.result()
                done(step, number, count)


def probing(allow: AllowList) -> AllowList:
    """Returns an allow-list that asks servers whether they want a login, as ingestion does."""
    return replace(allow, probe=LoginProbe(allow).check)


def _run(url: str, allow: AllowList, step: str, n: int) -> None:
    run_step(Work(Folder(url), _probing_once(allow)), step, n)


_probing_once = lru_cache(1)(probing)
"""What a process has asked once, it knows for its next unit."""
