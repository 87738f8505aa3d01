"""``python -m madnas.data.shapes detection shapes``: write a small set in the format of a real one."""

import argparse
import sys
from pathlib import Path

from madnas.data.shapes.write import WRITERS, write_shapes
from madnas.errors import MadnasError


def main(arguments: list[str] | None = None) -> int:
    """Write what the arguments ask for; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m madnas.data.shapes",
        description="Coloured shapes with boxes, masks or motion, in the format of COCO, ADE20K or frame folders.",
    )
    parser.add_argument("task", choices=sorted(WRITERS))
    parser.add_argument("folder", type=Path, help="where to; must not be there, or be empty")
    parser.add_argument("--train", type=int, default=400, metavar="N", help="samples for training (default: 400)")
    parser.add_argument("--test", type=int, default=100, metavar="N", help="samples for testing (default: 100)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything (default: 0)")
    given = parser.parse_args(arguments)
    try:
        write_shapes(given.task, given.folder, given.train, given.test, given.seed)
    except MadnasError as error:
        print(f"madnas: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    print(f"{given.folder}: {given.train} training and {given.test} test samples", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
