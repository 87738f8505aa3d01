"""Train the default recipe with three seeds, run the benchmark of training, and write both into madnas/train/README.md.

Run: make tables     (some six minutes on two cores)
"""

import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import torch

import madnas
from benchmarks.readme import ROOT, write_part
from madnas.targets import find
from madnas.train.job import Job
from madnas.train.recipe import load_recipe
from madnas.train.run import train

README = ROOT / "madnas" / "train" / "README.md"
NETWORKS = ("resnet20",)
SEEDS = (0, 1, 2)


def accuracies(network: str, folder: Path) -> str:
    """A line of the table: last top-1 of each seed."""
    recipe = load_recipe("digits/quick")
    found, begin = [], time.monotonic()
    for seed in SEEDS:
        job = Job(find(network), "digits/quick", recipe, seed, folder / f"{network}-{seed}")
        found.append(100 * train(job, lambda progress: None, lambda text: None)["last"]["top1"])
    seconds = (time.monotonic() - begin) / len(SEEDS)
    each = ", ".join(f"{value:.2f}" for value in found)
    return f"| {network} | digits/quick | {each} | {fmean(found):.2f} | {seconds:.0f} |"


def main() -> None:
    """Rewrite the generated part."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [accuracies(network, Path(folder)) for network in NETWORKS]
    bench = subprocess.run(
        [sys.executable, "-m", "benchmarks.train"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    hardware = f"{torch.get_num_threads()} threads, {platform.machine()}"
    write_part(
        README,
        [
            "| network | recipe | test top-1 %, seeds 0, 1, 2 | mean | seconds each |",
            "|---|---|---|---|---|",
            *lines,
            "",
            "```text",
            bench.stdout.rstrip(),
            "```",
            "",
            f"madnas {madnas.__version__}, Python {platform.python_version()}, torch {torch.__version__}, timm "
            f"{version('timm')}; {hardware}.",
        ],
    )


if __name__ == "__main__":
    main()
