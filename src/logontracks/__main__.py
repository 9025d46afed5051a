"""python -m logontracks, and the command `logontracks`."""

from __future__ import annotations

import sys

from logontracks.cli import main as commands
from logontracks.cli.options import run


def main() -> None:
    sys.exit(run(commands))


if __name__ == "__main__":
    main()
