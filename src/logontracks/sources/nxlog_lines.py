"""The lines of NXLog's JSON: a range of a file to a table of its lines, with the fields that every record is asked for.

DuckDB takes the JSON apart, many lines at once; Python sees only those that are no strict JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from logontracks.engines.duckdb import Connection, connect, literal
from logontracks.sources.envelope import Problem, ProblemKind, first_of_each

MAX_LINE = 16 << 20  # bytes; a record of Windows has less than 64 KiB, and some copies of it in a line
BLOCK = 8 << 20  # bytes read at once
MAX_PROBLEMS = 20  # lines told one by one in each range; the rest as a sum

ASKED = (
    *("EventTime", "EventTimeUTC", "EventReceivedTime", "@timestamp", "Hostname", "Channel", "SourceName", "EventID"),
    *("Version", "Keywords", "EventType", "RecordNumber", "UserID", "Domain", "AccountType", "ActivityID"),
    "ExecutionProcessID",
)
_SHAPE = literal(json.dumps(dict.fromkeys(ASKED, "VARCHAR")))
_FIELDS = f"SELECT position, json_transform(line, {_SHAPE}) AS fields FROM lines"


class Problems:
    """What is wrong with the lines of a range: the first that are lost one by one, the rest as sums."""

    def __init__(self) -> None:
        self._lost: list[Problem] = []
        self._more_lost = 0
        self._sums: dict[tuple[ProblemKind, str], tuple[int, int | None]] = {}

    def lose(self, offset: int, what: str) -> None:
        """The line at this offset cannot be read."""
        if len(self._lost) < MAX_PROBLEMS:
            self._lost.append(Problem(f"byte {offset}", "lost", what, 1))
        else:
            self._more_lost += 1

    def note(self, kind: ProblemKind, what: str, count: int = 1, offset: int | None = None) -> None:
        """So many lines, the first at this offset; what has the same words becomes one problem."""
        before, first = self._sums.get((kind, what), (0, offset))
        self._sums[kind, what] = before + count, first

    def told(self) -> Iterator[Problem]:
        yield from self._lost
        if self._more_lost:
            yield Problem("", "lost", f"{self._more_lost} more lines cannot be read", self._more_lost)
        for (kind, what), (count, first) in self._sums.items():
            yield Problem("" if first is None else f"byte {first}", kind, f"{count} {what}")


# From a file to lines


def blocks(file: BinaryIO, start: int, end: int, problems: Problems) -> Iterator[tuple[int, bytes]]:
    """Whole lines that begin in [start, end), many at a time, with the offset of the first; too long ones are lost."""
    offset = _line_start(file, start)
    file.seek(offset)
    rest = b""
    while offset < end:
        more = file.read(BLOCK)
        block = rest + more
        if len(block) > MAX_LINE and block.find(b"\n", 0, MAX_LINE + 1) < 0:
            problems.lose(offset, f"the line is longer than {MAX_LINE} bytes")
            offset = _line_start(file, offset + MAX_LINE + 1)
            file.seek(offset)
            rest = b""
            continue
        last = block.find(b"\n", end - 1 - offset) if offset + len(block) >= end else -1
        cut = last if last >= 0 else block.rfind(b"\n")
        if not more:
            cut = len(block) - 1
        if cut >= 0:
            yield offset, block[: cut + 1]
        if not more or last >= 0:
            return
        rest = block[cut + 1 :]
        offset += cut + 1


def _line_start(file: BinaryIO, at: int) -> int:
    """Offset of the first line that begins at `at` or behind it."""
    if at == 0:
        return 0
    file.seek(at - 1)
    at -= 1
    while more := file.read(min(BLOCK, 1 << 20)):
        found = more.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(more)
    return at


def split(offset: int, block: bytes, problems: Problems) -> pa.Table:
    """`position` and `line` of the whole lines in a block that begins at `offset` of the file."""
    raw = block.split(b"\n")
    if not raw[-1]:
        raw.pop()
    if offset == 0 and raw and raw[0].startswith(b"\xef\xbb\xbf"):
        raw[0] = b"   " + raw[0][3:]
    binary = pa.array(raw, pa.binary())
    lengths = pc.add(pc.binary_length(binary).cast(pa.int64()), 1)
    positions = pc.subtract(pc.add(pc.cumulative_sum(lengths), offset), lengths)
    try:
        lines = binary.cast(pa.string())
    except pa.ArrowInvalid:
        texts = [line.decode("utf-8", "replace") for line in raw]
        for position, line, text in zip(positions.to_pylist(), raw, texts, strict=True):
            if "\ufffd" in text and b"\xef\xbf\xbd" not in line:
                what = "lines from here on are not UTF-8; what is not reads as \ufffd"
                problems.note("doubt", what, offset=position)
        lines = pa.array(texts, pa.string())
    return pa.table({"position": positions, "line": lines})


# From lines to fields


@cache
def _database() -> Connection:
    """One for the process: making one costs more than a small range."""
    connection = connect(threads=1, memory="512MB")
    connection.execute("SET preserve_insertion_order = true")
    return connection


def query(sql: str, lines: pa.Table) -> pa.Table:
    """What the database answers about the table `lines`."""
    _database().register("lines", lines)
    try:
        return _database().sql(sql).to_arrow_table()
    finally:
        _database().unregister("lines")


def query_parts(sql: str, lines: pa.Table, problems: Problems) -> pa.Table:
    """The same for SQL that takes each line for itself, in parts where memory is short; a line too large is lost."""
    try:
        return query(sql, lines)
    except duckdb.OutOfMemoryException:
        if len(lines) > 1:
            half = len(lines) // 2
            parts = lines.slice(0, half), lines.slice(half)
            return pa.concat_tables([query_parts(sql, part, problems) for part in parts])
    problems.lose(lines["position"][0].as_py(), "the line takes too much memory")
    return query(sql, lines.slice(0, 0))


def parse(lines: pa.Table, problems: Problems) -> pa.Table:
    """`lines` with the text of the ASKED fields as the struct `fields`; those that are no JSON are lost."""
    try:
        found = query_parts(_FIELDS, lines, problems)
    except (duckdb.InvalidInputException, UnicodeDecodeError):  # of a message that cuts the line within a character
        lines = _repaired(lines, problems)
        found = query_parts(_FIELDS, lines, problems)
    if len(found) < len(lines):
        lines = lines.filter(pc.is_in(lines["position"], value_set=found["position"].combine_chunks()))
    return lines.append_column("fields", found["fields"])


def _repaired(lines: pa.Table, problems: Problems) -> pa.Table:
    """Lines that are JSON, or become it when signs that are no text are replaced; the others are lost."""
    found = query_parts("SELECT *, json_valid(line) AS valid FROM lines", lines, problems)
    positions, texts, valid = (found[name].to_pylist() for name in ("position", "line", "valid"))
    for at, (position, text) in enumerate(zip(positions, texts, strict=True)):
        if valid[at] or text.isspace() or not text:
            continue
        better = repaired(text)
        if better is None:
            problems.lose(position, f"the line is no JSON object: {text[:40]!a}")
        else:
            what = "lines from here on have signs that JSON forbids, such as half of a surrogate pair"
            problems.note("doubt", f"{what}; they were read, with \ufffd for these", offset=position)
            texts[at], valid[at] = better, True
    return pa.table({"position": found["position"], "line": pa.array(texts, pa.string())}).filter(pa.array(valid))


def repaired(text: str) -> str | None:
    """A line that strict JSON refuses for the signs in its texts, written anew; None when it is no JSON object."""
    try:
        fields = loads(text)
        return dumps(fields) or None if isinstance(fields, dict) else None
    except (ValueError, RecursionError):
        return None


def loads(text: str) -> Any:
    """JSON as DuckDB understands it, and with control characters in its texts."""
    return json.loads(text, strict=False, object_pairs_hook=first_of_each)


_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


def dumps(fields: dict[str, Any]) -> str:
    """As JSON, without half surrogate pairs; "" for no fields."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False) if fields else ""
    return _HALF_PAIR.sub("\ufffd", text)
