"""Progress on stderr, for those who wait: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from logontracks.cli.options import say, visible
from logontracks.cli.output import terminal
from logontracks.progress import Lines, Meter, Watcher


@contextmanager
def watching() -> Iterator[Watcher]:
    """Progress on stderr while the block runs: a bar on a terminal, else a plain line every 10 seconds."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}
    watcher: Watcher = Lines(say) if plain else _Bar()
    try:
        yield watcher
    finally:
        watcher.finish()


class _Bar:
    """A bar that goes when the work has ended, with the notes staying above it."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415 - fast start

        self._meter = Meter()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            console=terminal(sys.stderr),
            transient=True,
            redirect_stdout=False,  # rich would take hold of stdout too
        )
        self._task = self._progress.add_task("", total=None, state="")

    def start(self, total_bytes: int, files: int) -> None:
        self._meter = Meter(total_bytes, files)
        self._progress.update(self._task, total=total_bytes or None, completed=0)
        self._progress.start()

    def advance(self, size_bytes: int, records: int) -> None:
        self._meter.advance(size_bytes, records)
        self._progress.update(self._task, completed=self._meter.done_bytes, state=self._meter.text())

    def phase(self, text: str) -> None:
        self._progress.update(self._task, description=visible(text), state=self._meter.text())

    def note(self, text: str) -> None:
        from rich.text import Text  # noqa: PLC0415 - fast start

        self._progress.console.print(Text(visible(text)), soft_wrap=True)

    def finish(self) -> None:
        self._progress.stop()
