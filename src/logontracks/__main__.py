"""python -m logontracks, and the command `logontracks`."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

from logontracks.cli import main as commands
from logontracks.cli.options import INTERRUPTED, run


def main() -> None:
    gc.set_threshold(50_000)  # modules make tens of thousands of objects and no garbage: looking for some takes longer
    code = run(commands)
    if code == INTERRUPTED:
        # Threads may still hold the engine: Python would wait for them, or end with noise about what was not freed.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
