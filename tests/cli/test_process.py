"""What only a process of its own shows: signals, closed and full streams, exit codes, and what gets imported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import MADNAS, QUICK, madnas

ROOT = Path(__file__).parents[2]

SLOW_SWEEP = ["design", "--recipe", "b0-rho0.5", "--rho", ",".join(f"{0.3 + i / 100:g}" for i in range(100))]
"""Minutes of work."""

WATCHED = """
import sys, threading, os, signal
from madnas.__main__ import main
from madnas.program import nlp

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and so these tests, ignore it
after, delay, solves = int(sys.argv[1]), float(sys.argv[2]), 0
solve = nlp.CasadiIpopt.solve

def watched(*arguments, **options):
    global solves
    solves += 1
    if solves == after:
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
    return solve(*arguments, **options)

nlp.CasadiIpopt.solve = watched
sys.argv = ["madnas", *sys.argv[3:]]
main()
"""
"""The program, with an interrupt so many seconds after its so-manieth solve began."""


@pytest.mark.parametrize(
    ("after", "delay"),
    [
        *((1, 0.0), (2, 0.001), (5, 0.004), (30, 0.001), (100, 0.05)),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((3, 0.002), (9, 0.0), (12, 0.003), (60, 0.002))),
    ],
)
def test_interrupt_while_solving(after, delay, tmp_path):
    """At any moment, also inside the solver, which has signal handling of its own.

    The time limit is far above what the slowest takes on a busy machine, and far below that of the whole sweep.
    """
    arguments = [str(after), str(delay), *SLOW_SWEEP, "-o", "sweep", "--csv", "sweep.csv", "--plot", "sweep.png"]
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (run.returncode, run.stdout) == (130, ""), run.stderr
    assert run.stderr.endswith("madnas: interrupted\n")  # after a line of progress now and then
    assert not any(word in run.stderr for word in ("Traceback", "Exception", "Error")), run.stderr
    assert not list(tmp_path.iterdir())


STARTING = """
import os, signal, sys
from madnas.__main__ import main

_, handler, times, module, *arguments = sys.argv

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            try:
                for _ in range(int(times)):
                    os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError(name) from None

signal.signal(signal.SIGINT, getattr(signal, handler))
sys.meta_path.insert(0, Interrupted())
sys.argv = ["madnas", *arguments]
main()
"""
"""The program, with so many interrupts in the import of a module, which makes an ImportError of them, as numpy does."""


def starting(tmp_path, module, *, times=1, handler="default_int_handler"):
    """Design a network and draw it, but for the interrupts during an import."""
    command = [sys.executable, "-c", STARTING, handler, str(times), module, *QUICK, "--plot", "net.svg"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("module", "times"),
    [
        ("madnas.cli.main", 1),
        ("typer", 1),
        ("numpy", 1),
        ("numpy", 2),
        ("pyomo.core", 1),
        ("casadi", 1),
        ("matplotlib", 1),
    ],
)
def test_interrupt_while_starting(module, times, tmp_path):
    """It ends the process there and then, before anything can swallow it."""
    run = starting(tmp_path, module, times=times)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "madnas: interrupted\n")
    assert not list(tmp_path.iterdir())


def test_ignored_interrupts_stay_ignored(tmp_path):
    """Behind nohup, or in the background of a script, an interrupt is for somebody else."""
    run = starting(tmp_path, "numpy", handler="SIG_IGN")
    assert (run.returncode, run.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["net.svg"]


def test_interrupt_inside_of_an_exec(tmp_path):
    """After a plain KeyboardInterrupt has left an exec, ``python -m`` does not exit with 130 but dies by the signal."""
    code = """
import os, signal
from madnas.__main__ import main
from madnas.program import search

def build(problem):
    exec("os.kill(os.getpid(), signal.SIGINT)")

signal.signal(signal.SIGINT, signal.default_int_handler)
search.build = build
main()
"""
    (tmp_path / "interrupted.py").write_text(code)
    command = [sys.executable, "-m", "interrupted", *QUICK]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "madnas: interrupted\n")


def test_interrupt_while_writing_leaves_nothing_half_written(tmp_path):
    code = """
import os, signal, sys
from madnas import files
from madnas.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)
fsync, written = os.fsync, 0

def interrupted(descriptor):
    fsync(descriptor)
    os.kill(os.getpid(), signal.SIGINT)

files.os.fsync = interrupted
sys.argv = ["madnas", *sys.argv[1:]]
main()
"""
    command = [sys.executable, "-c", code, *QUICK, "-o", "net.yaml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 130
    assert run.stderr.splitlines()[-1] == "madnas: interrupted"
    assert not list(tmp_path.iterdir())


PROGRESS = re.compile(r"^designing: \d+ of \d+\n", re.MULTILINE)
"""What a slow machine is told of a sweep, which is no complaint."""


def pipeline(command, reader):
    """Exit code and stderr of madnas in a shell's pipeline, without progress."""
    line = f"{' '.join(MADNAS)} {' '.join(command)} | {reader} > /dev/null; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)
    return run.returncode, PROGRESS.sub("", run.stderr)


@pytest.mark.parametrize(
    "command",
    [
        *(QUICK, [*QUICK, "--json"], ["design", "--list"], ["score", "resnet18", "--json"], ["design", "--help"]),
        [*QUICK, "--rho", "0.1,0.2"],
    ],
    ids=["table", "json", "list", "score", "help", "sweep"],
)
@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_closed_pipe_is_quiet(command, reader):
    code, err = pipeline(command, reader)
    assert err == ""
    assert code == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a device that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_full_disk_behind_stdout_is_one_line(options):
    with open("/dev/full", "w") as full:
        command = [*MADNAS, *QUICK, *options]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("madnas: ")
    assert "No space left" in run.stderr


def test_closed_stdout_and_stderr():
    line = f"{' '.join(MADNAS)} {' '.join(QUICK)} >&-"
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in run.stderr
    line = f"{' '.join(MADNAS)} design --params 0 2>&-"
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2


CODES = {
    "done": (QUICK, 0),
    "help": (["--help"], 0),
    "usage": (["design", "--params", "0"], 2),
    "option": (["design", "--nonsense"], 2),
    "verb": (["nonsense"], 2),
    "file": (["score", "missing.yaml"], 2),
    "infeasible": ([*QUICK[:-1], "10"], 3),
    "solver": ([*QUICK, "--solver", "nonsense"], 2),
}


@pytest.mark.parametrize(("arguments", "code"), CODES.values(), ids=CODES.keys())
def test_exit_codes_and_streams(arguments, code, tmp_path):
    run = madnas(*arguments, cwd=tmp_path)
    assert run.returncode == code
    assert (run.stdout == "") is (code != 0)
    assert (run.stderr == "") is (code == 0)
    assert not list(tmp_path.iterdir())


def test_a_bug_shows_its_traceback():
    code = """
import sys
from madnas.__main__ import main
from madnas.program import search
search.build = None
sys.argv = ["madnas", "design", "--space", "mlp", "--params", "100K"]
main()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "TypeError" in run.stderr


def test_command_and_module_are_the_same_program():
    script = Path(sys.executable).with_name("madnas")
    if not script.exists():
        pytest.skip("the package is not installed with its command")
    for arguments in (["--version"], ["score", "resnet18", "--json"]):
        run = subprocess.run([script, *arguments], capture_output=True, text=True, timeout=60)
        assert run.stdout == madnas(*arguments).stdout


def imported(arguments, cwd):
    """Modules that a command has imported at its end."""
    code = f"""
import json, os, sys
from madnas.cli.main import run
code = run({arguments!r})
assert code == 0, code
os.write(3, json.dumps(sorted(sys.modules)).encode())
"""
    reader, writer = os.pipe()
    with open(reader) as stream:
        command = ["bash", "-c", 'exec "$0" -c "$1" 3>&"$2"', sys.executable, code, str(writer)]
        process = subprocess.Popen(command, cwd=cwd, pass_fds=[writer], stdout=subprocess.DEVNULL)
        os.close(writer)
        modules = set(json.loads(stream.read()))
    assert process.wait(timeout=60) == 0
    return modules


HEAVY = {"torch", "torchvision", "timm", "fvcore", "matplotlib", "pyomo", "casadi", "numpy", "pydantic", "yaml"}
IMPORTS = {
    "help": (["--help"], set()),
    "version": (["--version"], set()),
    "help of design": (["design", "--help"], {"pydantic"}),  # typer's own
    "help of score": (["score", "--help"], {"pydantic"}),
    "list": (["design", "--list"], {"numpy", "pyomo", "casadi", "pydantic", "yaml"}),
    "design": (QUICK, {"numpy", "pyomo", "casadi", "pydantic", "yaml"}),
    "design with files": (
        [*QUICK, "-o", "net.yaml", "--csv", "net.csv", "--json"],
        {"numpy", "pyomo", "casadi", "pydantic", "yaml"},
    ),
    "design with a plot": (
        [*QUICK, "--plot", "net.png"],
        {"numpy", "pyomo", "casadi", "pydantic", "yaml", "matplotlib"},
    ),
    "score": (["score", "deepmad-r18"], {"yaml", "pydantic"}),
}


@pytest.mark.parametrize(("arguments", "allowed"), IMPORTS.values(), ids=IMPORTS.keys())
def test_nothing_heavy_is_imported_without_need(arguments, allowed, tmp_path):
    assert imported(arguments, tmp_path) & HEAVY <= allowed


def test_plots_need_no_display(tmp_path):
    environment = {name: text for name, text in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["MPLBACKEND"] = "TkAgg"  # which would open a window
    run = madnas(*QUICK, "--plot", "net.png", cwd=tmp_path, env=environment)
    assert (run.returncode, run.stderr) == (0, "")
    assert (tmp_path / "net.png").stat().st_size > 1000


def test_output_does_not_depend_on_the_locale(tmp_path):
    """A picture's title has a rho in it, a table lines of box characters; neither fails in the C locale."""
    environment = os.environ | {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    run = madnas(*QUICK, "--plot", "net.svg", "-o", "net.yaml", cwd=tmp_path, env=environment)
    assert run.returncode == 0, run.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"net.svg", "net.yaml"}


def test_a_name_that_is_not_utf_8(tmp_path):
    command = [*MADNAS, *QUICK, "--plot", "net.svg", "-o", "net.yaml", "--name", b"na\xefve"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert run.returncode == 2
    assert run.stderr.startswith(b"madnas: ") and b"Traceback" not in run.stderr
    assert not list(tmp_path.iterdir())


def test_no_colours_in_a_pipe(tmp_path):
    for arguments in (QUICK, ["design", "--list"], ["score", "resnet18"]):
        assert "\x1b" not in madnas(*arguments, cwd=tmp_path).stdout
