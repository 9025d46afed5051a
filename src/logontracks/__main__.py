"""python -m logontracks, and the command `logontracks`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from logontracks.cli import main as commands
from logontracks.cli.options import INTERRUPTED, run


def main() -> None:
    code = run(commands)
    if code == INTERRUPTED:
        # Threads may still hold the engine: Python would wait for them, or end with noise about what was not freed.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
