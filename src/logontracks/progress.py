"""What the core tells whoever watches; silent by default. The faces bring their own watcher (cli/output.py: rich)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Watcher(Protocol):
    """Somebody who waits for a long piece of work. Called from one thread; no call changes what the work does."""

    def start(self, total_bytes: int, files: int) -> None:
        """Work begins. 0 bytes: the size is not known."""

    def advance(self, size_bytes: int, records: int) -> None:
        """So much MORE was read since the last call: bytes of the input, records found in them."""

    def phase(self, text: str) -> None:
        """What is being done now, in a few words: "reading", "building sessions"."""

    def note(self, text: str) -> None:
        """One line that shall stay to be read: a damaged file, the closing sum."""

    def finish(self) -> None:
        """Work has ended, well or not. A second call does nothing."""


class _Silent:
    def start(self, total_bytes: int, files: int) -> None:
        pass

    def advance(self, size_bytes: int, records: int) -> None:
        pass

    def phase(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def finish(self) -> None:
        pass


SILENT: Watcher = _Silent()


@dataclass(slots=True)
class Meter:
    """How far the work is, and how that is told."""

    total_bytes: int = 0
    files: int = 0
    done_bytes: int = 0
    records: int = 0
    began: float = field(default_factory=time.monotonic)

    def advance(self, size_bytes: int, records: int) -> None:
        self.done_bytes += size_bytes
        self.records += records

    def text(self) -> str:
        """120 of 480 MB in 12 files, 156,000 records/s, 0:03 left: means since the start, without what is not known."""
        seconds = max(time.monotonic() - self.began, 0.001)
        parts = []
        if self.total_bytes or self.done_bytes:
            of = f" of {self.total_bytes / 1e6:,.0f}" if self.total_bytes else ""
            files = f" in {self.files:,} files" if self.files > 1 else ""
            parts.append(f"{self.done_bytes / 1e6:,.0f}{of} MB{files}")
        if self.records:
            parts.append(f"{self.records / seconds:,.0f} records/s")
        if 0 < self.done_bytes < self.total_bytes:
            minutes, rest = divmod(round(seconds * (self.total_bytes / self.done_bytes - 1)), 60)
            parts.append(f"{minutes}:{rest:02} left")
        return ", ".join(parts)


class Lines:
    """A watcher for logs and pipes: notes at once, and how far the work is at most every `every_s` seconds."""

    def __init__(self, say: Callable[[str], None], every_s: float = 10) -> None:
        self._say, self._every_s = say, every_s
        self._phase = ""
        self._meter = Meter()
        self._told = time.monotonic()

    def start(self, total_bytes: int, files: int) -> None:
        self._told = time.monotonic()
        self._meter = Meter(total_bytes, files, began=self._told)

    def advance(self, size_bytes: int, records: int) -> None:
        self._meter.advance(size_bytes, records)
        self._tell()

    def phase(self, text: str) -> None:
        self._phase = text
        self._tell()

    def note(self, text: str) -> None:
        self._say(text)

    def finish(self) -> None:
        pass

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= self._every_s:
            self._told = now
            self._say(": ".join(filter(None, (self._phase, self._meter.text()))))
