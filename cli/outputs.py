"""Files that a command writes besides what it prints: checked before the work, written whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from madnas.errors import UsageError
from madnas.files import check_folder, check_writable, write_bytes_atomic, write_text_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_places(places: Sequence[Path], plot: Path | None, force: bool) -> None:
    """Raise before the work what would go wrong when its results are written.

    Args:
        places: files that will be written, the picture included.
        plot: the picture, if there is one.
        force: whether files that exist are replaced.

    Raises:
        UsageError: two results in one file, a picture of unknown format, or a place that cannot be written.
    """
    from madnas.figures import picture_format

    if plot is not None:
        picture_format(plot)
    for path in places:
        check_writable(path, force)
    if len({path.resolve() for path in places}) < len(places):
        raise UsageError("two results would go to one file", "give -o, --csv and --plot a file each")


def check_new_folder(folder: Path, force: bool) -> None:
    """Raise before the work what would go wrong when a file for each of several networks is written into a folder.

    Args:
        folder: created if it is not there.
        force: whether it may hold files.

    Raises:
        UsageError: no files can be written into it, or there are some.
    """
    check_folder(folder)
    try:
        holds = folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from error
    if holds and not force:
        raise UsageError(f"{folder}: not empty", "use --force to write into it")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go.

    Attributes:
        output: a network's YAML.
        csv: a table.
        plot: a picture.
        force: replace what exists.
    """

    output: Path | None
    csv: Path | None
    plot: Path | None
    force: bool

    def check(self) -> None:
        """Raise what would go wrong at the end; see :func:`check_places`."""
        places = [path for path in (self.output, self.csv, self.plot) if path is not None]
        check_places(places, self.plot, self.force)

    def write(self, spec: str | None, table: str, figure: "Figure | None") -> None:
        """Write what was asked for."""
        from madnas.figures import picture_format, render

        if self.csv is not None:
            write_text_atomic(self.csv, table, self.force)
        if self.plot is not None and figure is not None:
            write_bytes_atomic(self.plot, render(figure, picture_format(self.plot)), self.force)
        if self.output is not None and spec is not None:
            write_text_atomic(self.output, spec, self.force)
