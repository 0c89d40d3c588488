"""One load, begun now or before: from a plan to a table, step by step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rich.progress import Progress, TaskID

from livemosaic.cli.session import console, progress
from livemosaic.errors import InvalidRequestError
from livemosaic.load.importing import TableImport
from livemosaic.load.machine import LoadMachine
from livemosaic.load.plan import LoadPlan
from livemosaic.load.steps import run_here
from livemosaic.load.work import Work
from livemosaic.load.write import REPORT
from livemosaic.storage.hrefs import bucket_and_key
from livemosaic.storage.objects import AbsentError

_EXECUTION: Final = "execution"
_IMPORT: Final = "import"


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """The new table of a load."""

    region: str
    table: str


@dataclass(frozen=True, slots=True)
class LoadRun:
    """A load, begun now or before."""

    target: LoadTarget
    work: Work
    machine: str | None
    processes: int

    def find_or_begin(self, plan: Callable[[], LoadPlan]) -> None:
        """Finds the plan of a load into the same table, if it was begun with the same arguments."""
        wanted = plan()
        before = self.work.find_plan()
        if before is None:
            if self._import.exists():
                raise InvalidRequestError(
                    f"there is a table {self.target.table!r} already: an import makes a new one"
                )
            self.work.begin(wanted)
            return
        if _identity(before) != _identity(wanted):
            raise InvalidRequestError(
                f"a load of other files or mosaics was begun in {self.work.folder.url}: name "
                "another table or folder"
            )
        console.print(f"going on with the load that began {before.began}", highlight=False)

    @property
    def has_import(self) -> bool:
        """Whether the import was started before."""
        return self._kept(_IMPORT) is not None

    @property
    def _import(self) -> TableImport:
        return TableImport(self.target.region, self.target.table)

    def make_rows(self) -> Mapping[str, int]:
        """Makes all files of the import, unless they are there; returns their counts."""
        if (report := self._kept(REPORT)) is None:
            with progress() as bar:
                shown = _StepBar(bar)
                if self.machine:
                    self._make_on_aws(self.machine, shown)
                else:
                    run_here(self.work.folder.url, self.work.allow, self.processes, shown)
            report = self.work.get_json(REPORT)
        counts: Mapping[str, int] = report
        return counts

    def _make_on_aws(self, arn: str, shown: "_StepBar") -> None:
        machine = LoadMachine(arn)
        execution = self._kept(_EXECUTION)
        if execution is None or not machine.runs(execution):
            execution = machine.start(self.work.folder.url)
            self.work.put_json(_EXECUTION, execution)
        machine.follow(execution, shown)

    def import_rows(self, report: Mapping[str, int], key: str | None) -> None:
        """Lets DynamoDB import all files, and turns on what a deployment's own table has."""
        arn = self._kept(_IMPORT)
        if arn is None or not self._import.exists():
            found = bucket_and_key(self.work.folder.url)
            if found is None:
                raise InvalidRequestError("DynamoDB imports from S3: --work must be s3://…")
            arn = self._import.begin(*found, key=key)
            self.work.put_json(_IMPORT, arn)
        with progress() as bar:
            task = bar.add_task("import", total=report["rows"])
            self._import.follow(
                arn, report["rows"], lambda count: bar.update(task, completed=count)
            )
        self._import.protect()

    def _kept(self, name: str) -> Any:
        try:
            return self.work.get_json(name)
        except AbsentError:
            return None


class _StepBar:
    """The progress bar of the steps."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, count: int, total: int) -> None:
        """Shows how many units of a step are done."""
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, total=total)
        text = f"{step}: {count:,} of {total:,}"
        self._bar.update(self._tasks[step], completed=count, description=text)


def _identity(plan: LoadPlan) -> Any:
    """Returns what must be equal for a load to go on: all but when it began."""
    mosaics = [replace(one, generation="", watermarks=()) for one in plan.mosaics]
    files = [(one.name, [*one.identity]) for one in plan.files]
    return files, mosaics
