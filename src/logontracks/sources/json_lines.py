"""Objects of a JSON file: a range of it to a table with one object a line, however they are laid out in the file.

One object a line, with or without the brackets and commas of an array; objects over many lines, as PowerShell, jq and
others indent them; or objects one behind the other. In UTF-8 or, with a byte order mark, UTF-16.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any, BinaryIO, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from logontracks.sources.database import query
from logontracks.sources.dialects import loads
from logontracks.sources.records import Problems

MAX_LINE = 16 << 20  # bytes; a record of Windows has less than 64 KiB, and some copies of it in a line
BLOCK = 8 << 20  # bytes read at once
START = 1 << 16  # bytes from which a layout is told

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be"]
_BOMS: dict[bytes, Encoding] = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Layout:
    """`indent`: what stands before the bracket that begins an object, where objects go over many lines.

    `run_on`: objects are not on lines of their own. `array`: brackets and commas stand between them.
    """

    encoding: Encoding = "utf-8"
    indent: str | None = None
    run_on: bool = False
    array: bool = False

    @property
    def unit(self) -> int:
        """Bytes of a plain character."""
        return 1 if self.encoding == "utf-8" else 2


def decoded(start: bytes) -> tuple[Encoding, str]:
    """The encoding that the first bytes of a file tell, and their text without a byte order mark."""
    for bom, encoding in _BOMS.items():
        if start.startswith(bom):
            return encoding, start[len(bom) :].decode(encoding, "replace")
    return "utf-8", start.decode("utf-8", "replace")


_DECODER = json.JSONDecoder(strict=False)
_BETWEEN = re.compile(r"[\s,\[\]]*")
_NEXT = re.compile(r"\}[\s,]*(?=\{)")
_MAX_INDENT = 64


def layout(start: bytes) -> Layout | None:
    """How the objects lie in a file that begins so; None when it has none. `start`: START bytes, or all there is."""
    encoding, text = decoded(start)
    at = _end(_BETWEEN, text, 0)
    if text[at : at + 1] != "{":
        noise = re.search(r"^[ \t]*\{", text, re.MULTILINE)  # lines, of which the first ones are no objects
        return Layout(encoding) if noise else None
    array = "[" in text[:at]
    line_end = text.find("\n", at)
    if line_end >= 0 and not text[at + 1 : line_end].strip():
        indent = text[text.rfind("\n", 0, at) + 1 : at]
        alone = not indent.strip() and len(indent) <= _MAX_INDENT
        return Layout(encoding, indent=indent if alone else None, run_on=not alone, array=array)
    try:
        _, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        whole_in_a_line = array and line_end < 0 and len(start) >= START
        return Layout(encoding, run_on=whole_in_a_line, array=array)
    following = _end(_BETWEEN, text, end)
    another = text[following : following + 1] == "{" or (array and "," in text[end:following])
    together = another and "\n" not in text[end:following]
    return Layout(encoding, run_on=together, array=array)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def objects(file: BinaryIO, how: Layout, start: int, end: int, problems: Problems) -> Iterator[pa.Table]:
    """`position` (offset in bytes) and `line` of the objects that begin in [start, end), many at a time."""
    if how.run_on:
        yield from _run_on(file, how, start, problems)
        return
    for offset, block in blocks(file, start, end, problems, how):
        yield split(offset, block, problems, how)


def first_texts(start: bytes, how: Layout) -> list[str]:
    """The objects at the start of a file; the last one may be cut."""
    tables = objects(BytesIO(start), how, 0, len(start), Problems())
    return [text for lines in tables for text in lines["line"].to_pylist()]


# Objects on lines of their own


class _Ends:
    """Ends of lines behind which an object may begin, as places in the bytes of a file."""

    def __init__(self, how: Layout) -> None:
        self.unit = how.unit
        newline = "\n".encode(how.encoding)
        pattern = re.escape(newline)
        if how.indent is not None:
            # of objects over many lines one begins where a line is but a bracket, as far in as that of the first one
            blank = b"|".join(re.escape(sign.encode(how.encoding)) for sign in " \t\r")
            begin = re.escape(f"{how.indent}{{".encode(how.encoding))
            pattern += b"(?=" + begin + b"(?:" + blank + b"){0,8}" + re.escape(newline) + b")"
        self._pattern = re.compile(pattern)
        self._newline = newline if how.indent is None else None

    def find(self, data: bytes, low: int = 0, high: int | None = None) -> int:
        """The first one from `low` on that begins before `high`; -1 for none."""
        for found in self._pattern.finditer(data, max(low, 0)):
            if high is not None and found.start() >= high:
                break
            if found.start() % self.unit == 0:
                return found.start()
        return -1

    def find_last(self, data: bytes) -> int:
        if self._newline is not None and self.unit == 1:
            return data.rfind(self._newline)
        return max(self.all(data), default=-1)

    def all(self, data: bytes) -> list[int]:
        return [found.start() for found in self._pattern.finditer(data) if found.start() % self.unit == 0]

    def first_begin(self, file: BinaryIO, at: int) -> int:
        """Offset of the first object that begins at `at` or behind it, on a line of its own."""
        if at == 0:
            return 0
        at = at + at % self.unit - self.unit
        file.seek(at)
        data = b""
        while more := file.read(1 << 20):
            data += more
            found = self.find(data)
            if found >= 0:
                return at + found + self.unit
            passed = max(len(data) - 2 * _MAX_INDENT * self.unit, 0)
            passed -= passed % self.unit
            data = data[passed:]
            at += passed
        return at + len(data)


def blocks(
    file: BinaryIO, start: int, end: int, problems: Problems, how: Layout | None = None
) -> Iterator[tuple[int, bytes]]:
    """Many whole objects that begin in [start, end) at a time, with the offset of the first; too long ones are lost."""
    ends = _Ends(how or Layout())
    offset = ends.first_begin(file, start)
    file.seek(offset)
    rest = b""
    while offset < end:
        more = file.read(BLOCK)
        block = rest + more
        if len(block) > MAX_LINE and ends.find(block, 0, MAX_LINE + 1) < 0:
            problems.lose(offset, f"the line is longer than {MAX_LINE} bytes")
            offset = ends.first_begin(file, offset + MAX_LINE + ends.unit)
            file.seek(offset)
            rest = b""
            continue
        last = ends.find(block, end - ends.unit - offset) if offset + len(block) >= end else -1
        cut = (last if last >= 0 else ends.find_last(block)) + ends.unit
        if not more and last < 0:
            cut = len(block)
        if cut >= ends.unit:
            yield offset, block[:cut]
        if not more or last >= 0:
            return
        cut = cut if cut >= ends.unit else 0
        rest = block[cut:]
        offset += cut


def split(offset: int, block: bytes, problems: Problems, how: Layout | None = None) -> pa.Table:
    """`position` and `line` of the whole objects in a block that begins at `offset` of the file."""
    how = how or Layout()
    if how == Layout():
        raw = block.split(b"\n")
        if not raw[-1]:
            raw.pop()
        lengths = pc.add(pc.binary_length(pa.array(raw, pa.binary())).cast(pa.int64()), 1)
        positions = pc.subtract(pc.add(pc.cumulative_sum(lengths), offset), lengths)
    else:
        cuts = [0, *(each + how.unit for each in _Ends(how).all(block))]
        raw = [block[begin:end] for begin, end in pairwise([*cuts, len(block)])]
        positions = pa.array([offset + cut for cut in cuts], pa.int64())
    if offset == 0 and raw and raw[0].startswith(b"\xef\xbb\xbf"):
        raw[0] = b"   " + raw[0][3:]
    lines = _as_text(raw, positions, problems, how.encoding)
    found = pa.table({"position": positions, "line": lines})
    if how == Layout():
        return found
    lines = pc.replace_substring_regex(lines, r"^[\s,\[\x{feff}]+|[\s,\]]+$", "")
    return found.set_column(1, "line", lines).filter(pc.not_equal(lines, ""))


def _as_text(raw: list[bytes], positions: pa.Array, problems: Problems, encoding: Encoding) -> pa.Array:
    if encoding == "utf-8":
        try:
            return pa.array(raw, pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            pass
    texts = [line.decode(encoding, "replace") for line in raw]
    for position, line, text in zip(positions.to_pylist(), raw, texts, strict=True):
        if "\ufffd" in text and "\ufffd".encode(encoding) not in line:
            what = f"lines from here on are not {encoding.upper()}; what is not reads as \ufffd"
            problems.note("doubt", what, offset=position)
    return pa.array(texts, pa.string())


# Objects one behind the other


def _run_on(file: BinaryIO, how: Layout, start: int, problems: Problems) -> Iterator[pa.Table]:
    """They are read from the first one on: nothing tells where one begins but the end of the one before."""
    if start:
        problems.lose(start, "objects that stand one behind the other cannot be read from their midst")
        return
    file.seek(0)
    decoder = getincrementaldecoder(how.encoding)("replace")
    text, offset, ended = "", 0, False
    while not ended:
        more = file.read(BLOCK)
        ended = not more
        text += decoder.decode(more, final=ended)
        found: list[tuple[int, str]] = []
        at = counted = _end(_BETWEEN, text.replace("\ufeff", " ", 1) if not offset else text, 0)
        place = offset + _bytes(text[:at], how)
        while at < len(text):
            try:
                _, end = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError):
                if not ended and len(text) - at <= MAX_LINE:
                    break  # the rest of it may follow
                problems.lose(
                    place + _bytes(text[counted:at], how), f"what follows is no JSON object: {text[at:][:40]!a}"
                )
                resumed = _NEXT.search(text, at)
                end = resumed.end() if resumed else len(text)
            else:
                place += _bytes(text[counted:at], how)
                counted = at
                found.append((place, text[at:end]))
            at = _end(_BETWEEN, text, end)
        offset = place + _bytes(text[counted:at], how)
        text = text[at:]
        if found:
            positions, lines = zip(*found, strict=True)
            yield pa.table({"position": pa.array(positions, pa.int64()), "line": pa.array(lines, pa.string())})


def _bytes(text: str, how: Layout) -> int:
    return len(text) * how.unit if text.isascii() else len(text.encode(how.encoding, "replace"))


# From objects to what they say


def parse(sql: str, lines: pa.Table, problems: Problems) -> pa.Table:
    """`lines` and what SQL tells of each for itself; those that are no JSON, or take too much memory, are lost."""
    try:
        return query_parts(sql, lines, problems)
    except (duckdb.InvalidInputException, UnicodeDecodeError):  # of a message that cuts the line within a character
        return query_parts(sql, _repaired(lines, problems), problems)


def query_parts(sql: str, lines: pa.Table, problems: Problems) -> pa.Table:
    """The lines, and beside them what the database answers of each, in parts where memory is short.

    One that is too large is lost.
    """
    try:
        told = query(sql, lines)
    except duckdb.OutOfMemoryException:
        if len(lines) > 1:
            half = len(lines) // 2
            parts = lines.slice(0, half), lines.slice(half)
            return pa.concat_tables([query_parts(sql, part, problems) for part in parts])
    else:
        for name in told.column_names:
            lines = lines.append_column(name, told[name])
        return lines
    problems.lose(lines["position"][0].as_py(), "the line takes too much memory")
    return query_parts(sql, lines.slice(0, 0), problems)


def _repaired(lines: pa.Table, problems: Problems) -> pa.Table:
    """Lines that are JSON, or become it when signs that are no text are replaced; the others are lost."""
    found = query_parts("SELECT json_valid(line) AS valid FROM lines", lines, problems)
    positions, texts, valid = (found[name].to_pylist() for name in ("position", "line", "valid"))
    for at, (position, text) in enumerate(zip(positions, texts, strict=True)):
        if valid[at] or text.isspace() or not text:
            continue
        better = repaired(text)
        if better is None and (first := _first_of(text)):
            (texts[at], others), valid[at] = first, True
            what = "things between objects from here on are no Windows events: they are no objects"
            problems.note("skipped", what, others, position)
        elif better is None:
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


def _first_of(text: str) -> tuple[str, int] | None:
    """An object that texts, numbers and the like follow, as in an array of all sorts of things, and how many do."""
    try:
        _, end = _DECODER.raw_decode(text)
        behind = text[end:].strip(", \t\r\n[]")
        others = json.loads(f"[{behind}]", strict=False)
    except (ValueError, RecursionError):
        return None
    first = repaired(text[:end])
    return (first, max(len(others), 1)) if first and not any(isinstance(each, dict) for each in others) else None


_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


def dumps(fields: dict[str, Any]) -> str:
    """As JSON, without half surrogate pairs; "" for no fields."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False) if fields else ""
    return _HALF_PAIR.sub("\ufffd", text)
