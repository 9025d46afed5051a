"""What else reads EVTX and can be had by pip, one reader a run: bench.py starts it in any Python that has them.

    python benchmarks/peers.py READER FILE SECONDS

Reads records of the file for so many seconds and prints how many and how long as JSON, or null where the reader is not
installed. A reader that cannot be stopped halfway (plaso) reads all of the file, or is not counted if it takes longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path


def python_evtx(path: str) -> Iterator[object]:
    """python-evtx: pure Python, each record as XML."""
    from Evtx.Evtx import Evtx  # noqa: PLC0415 - it need not be there

    with Evtx(path) as log:
        for record in log.records():
            yield record.xml()


def libevtx(path: str) -> Iterator[object]:
    """libevtx, on which plaso and others stand: C, each record as XML."""
    import pyevtx  # noqa: PLC0415 - it need not be there

    log = pyevtx.file()
    log.open(path)
    for number in range(log.number_of_records):
        yield log.get_record(number).xml_string
    log.close()


STREAMS: dict[str, tuple[str, Callable[[str], Iterator[object]]]] = {
    "python-evtx": ("Evtx", python_evtx),
    "libevtx-python": ("pyevtx", libevtx),
}
"""The module that shows that a reader is installed, and how it reads."""


def stream(read: Callable[[str], Iterator[object]], path: str, seconds: float) -> tuple[int, float]:
    """Records read and seconds taken, of no more than about so many seconds."""
    begun, records = time.monotonic(), 0
    for _ in read(path):
        records += 1
        if records % 100 == 0 and time.monotonic() - begun > seconds:
            break
    return records, time.monotonic() - begun


def plaso(path: str, seconds: float) -> tuple[int, float] | None:
    """plaso's log2timeline with its parser for EVTX, in one process, into its own storage."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("log2timeline")), "--quiet", "--unattended", "--status_view", "none",
            "--single_process", "--parsers", "winevtx", "--logfile", f"{folder}/log.gz", "--storage_file",
            f"{folder}/timeline", path,
        ]  # fmt: skip
        begun = time.monotonic()
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        return -1, time.monotonic() - begun


def main() -> None:
    """Run it."""
    reader, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    if reader == "plaso":
        told = plaso(path, 20 * seconds) if find_spec("plaso") else None
    else:
        module, read = STREAMS[reader]
        told = stream(read, path, seconds) if find_spec(module) else None
    print(json.dumps(told))


if __name__ == "__main__":
    main()
