"""``python -m madnas``: the same program as the ``madnas`` command, for ``torchrun -m`` too."""

import sys

from madnas.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
