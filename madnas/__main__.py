"""``python -m madnas`` and the ``madnas`` command.

It loads the command line inside the guard, so that an interrupt during start-up ends as quietly as any other.
"""

import sys


def main() -> None:
    """Run the command line and exit with its documented code."""
    try:
        from madnas.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        print("madnas: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
