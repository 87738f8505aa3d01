"""The madnas command: its verbs, and the one place where errors become messages and exit codes.

Verbs import what they need inside their bodies, so that ``madnas --help`` loads nothing heavy.
"""

import errno
import sys
from typing import Annotated

import typer

import madnas
from madnas.errors import MadnasError

from .benchmark import benchmark
from .design import design
from .experiment import experiment
from .export import export
from .report import report
from .restructure import restructure
from .scale import scale
from .score import score
from .train import train

INTERRUPTED = 130

app = typer.Typer(
    name="madnas",
    help="Design, score, scale, restructure, train and benchmark convolutional networks under budgets.",
    epilog="Example: madnas design --flops 4.5G --params 29M --rho 0.5 -o net.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)
app.command(no_args_is_help=True)(design)
app.command(no_args_is_help=True)(scale)
app.command(no_args_is_help=True)(experiment)
app.add_typer(restructure)
app.command(no_args_is_help=True)(score)
app.command(no_args_is_help=True)(train)
app.add_typer(benchmark)
app.command(no_args_is_help=True)(export)
app.command(no_args_is_help=True)(report)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"madnas {madnas.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every verb."""


def run(arguments: list[str]) -> int:
    """Run one command and return its documented exit code (``madnas.errors``); a bug's exception passes through."""
    from .console import discard_stdout, open_streams

    open_streams()
    try:
        code = app(arguments, prog_name="madnas", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer turns an interrupt into this, without a word
            return _fail("interrupted", None, code)
        return code if isinstance(code, int) else 0
    except MadnasError as error:
        return _fail(str(error), error.hint, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", None, INTERRUPTED)
    except (BrokenPipeError, SystemExit):  # the second is what typer makes of the first
        discard_stdout()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        discard_stdout()
        return _fail(f"the output cannot be written: {error.strerror}", None, 2)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of the option parser
            context = getattr(error, "ctx", None)
            command = context.command_path if context is not None else "madnas"
            return _fail(error.format_message(), f"{command} --help", error.exit_code)
        raise


def _fail(message: str, hint: str | None, code: int) -> int:
    if message:
        print(f"madnas: {message}", file=sys.stderr)
    if message and hint:
        print(f"hint: {hint}", file=sys.stderr)
    return code
