"""The flags that searches of ``madnas design`` have in common, and what follows from them alone."""

from dataclasses import dataclass
from pathlib import Path

from madnas.errors import UsageError

from .design_report import check_name
from .design_request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFlags:
    """Flags as they were typed; see ``madnas design --help``."""

    request: Request
    device: str
    journal: Path | None
    restart: bool
    output: Path | None
    csv: Path | None
    plot: Path | None
    force: bool
    json: bool
    name: str

    @property
    def journal_place(self) -> Path | None:
        """Where the journal goes: where the flag says, else beside the output."""
        if self.journal is None and self.output is not None:
            return self.output.with_name(f"{self.output.name}.jsonl")
        return self.journal

    @property
    def replaces(self) -> bool:
        """Whether files that exist may be replaced: the user says so, or they are those of the search that goes on.

        Its journal lies beside its output; a journal that the user named says nothing of what may be replaced.
        """
        beside = self.journal is None and self.journal_place is not None and self.journal_place.exists()
        return self.force or beside

    def check(self) -> None:
        """Refuse a name that cannot be, and a restart of nothing.

        Raises:
            UsageError: says which.
        """
        check_name(self.name)
        if self.restart and self.journal_place is None:
            raise UsageError("--restart is for a journal, which -o or --journal names", "leave it out")


def check_apart(places: list[Path], journal: Path | None) -> None:
    """Refuse two results that would go to one file, the journal included.

    Raises:
        UsageError: they would.
    """
    everything = [path.resolve() for path in (*places, *([] if journal is None else [journal]))]
    if len(set(everything)) < len(everything):
        raise UsageError("two results would go to one file", "give -o, --journal, --csv and --plot a file each")
