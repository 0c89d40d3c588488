"""The steps of a load by their names, as Lambda runs them, and all of them on this machine."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, Final, Literal

from livemosaic.load.fold import fold
from livemosaic.load.settle import settle
from livemosaic.load.survey import survey
from livemosaic.load.work import Work
from livemosaic.load.write import finish, write
from livemosaic.storage.folder import Folder

StepName = Literal["survey", "settle", "fold", "write", "finish"]
_OF_MANY: Final[Mapping[str, Callable[[Work, int], None]]] = {
    "survey": survey,
    "settle": settle,
    "write": write,
}
_OF_ALL: Final[Mapping[str, Callable[[Work], Any]]] = {"fold": fold, "finish": finish}


def run_step(url: str, step: str, n: int = 0) -> None:
    """Runs a step of the load whose objects are at a URL; `n` is its unit or shard."""
    work = Work(Folder(url))
    if step in _OF_MANY:
        _OF_MANY[step](work, n)
    else:
        _OF_ALL[step](work)


def handler(event: Mapping[str, Any], context: object) -> Mapping[str, Any]:
    """Handles an event of the state machine: `work`, `step` and perhaps `n`.

    Returns nothing, as a state machine keeps all results at once: what is made is in S3.
    """
    del context
    run_step(event["work"], event["step"], event.get("n", 0))
    return {}


def run_here(url: str, processes: int, done: Callable[[str, int, int], None]) -> None:
    """Runs all steps in processes of this machine; `done` hears of each unit: step, n of count."""
    plan = Work(Folder(url)).plan
    counts = {"survey": len(plan.units), "settle": plan.shards, "write": len(plan.units)}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for step in ("survey", "settle", "fold", "write", "finish"):
            count = counts.get(step, 1)
            running = [pool.submit(run_step, url, step, n) for n in range(count)]
            for number, each in enumerate(as_completed(running), 1):
                each.result()
                done(step, number, count)
