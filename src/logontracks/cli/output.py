"""Tables to people and files: any Arrow stream as table, json, jsonl, csv or parquet.

Log text is written by attackers. What a terminal could act on, what the eye cannot see and what has no meaning
(controls, bidi controls, zero-width, odd blanks, line separators, tags, private use, unassigned) never leaves here as
it is: tables, csv and messages spell it out (options.visible), JSON has the escape that parses back to it. Backslashes
are not doubled in tables and csv (DOMAIN\\name stays readable), so that there the text `\\x1b` and the character look
alike (in colour the character is red); JSON and parquet are exact.

Only the standard library is loaded with this module: `logontracks --help` shall not wait for pyarrow and rich.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TextIO, assert_never

from logontracks.cli.options import Clock, Sink, View, is_seen, iso_clock, opened, pieces, say, visible, wall_clock
from logontracks.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console
    from rich.text import Text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = {2**63 - 1: "infinity", -(2**63) + 1: "-infinity"}  # as DuckDB writes them
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_AT_ONCE = 8192  # rows made into Python values at a time: an Arrow batch may have a million
_FEW = 200  # values that are made one by one: to look for equal ones loads what takes longer
WIDEST = 400  # a column that other rows are filled up to; a text that is longer is whole, and pushes its row alone
_ROW_GROUP = 122_880  # rows; what DuckDB uses too
_LEAST_WIDTH = 12  # a text column is folded to this before the table gives way to blocks
_ODD = re.compile(r"[^ -~]")


def render(reader: pa.RecordBatchReader, view: View, *, above: Sequence[str] = ()) -> int:
    """Write the stream as `view` wants it; the number of rows written. Rows that were cut off are told on stderr.

    `above` are lines for people, written before the rows.

    Bounded memory for all formats but table. A reader that goes away (`| head`) ends the writing quietly. Raises
    UsageError for a place that cannot be written to, Error when writing fails; a file is then as it was before.
    """
    rows = _Rows(reader, view.limit)
    with opened(view.output) as sink:
        for line in above:
            sink.write(visible(line).encode() + b"\n")
        match view.format:
            case "table":
                _table(rows, view, sink)
            case "json" | "jsonl":
                _json(rows, view, sink)
            case "csv":
                _csv(rows, view, sink)
            case "parquet":
                _parquet(rows, view, sink)
            case _:
                assert_never(view.format)
    if rows.more:
        of = f"of {view.total:,} rows" if view.total is not None else "rows; there are more"
        say(f"First {rows.shown:,} {of} (--limit 0 for all).")
    return rows.shown


# Values


class _Rows:
    """A stream up to a limit, in pieces that Python values may be made of; `more` is True when rows were left."""

    def __init__(self, reader: pa.RecordBatchReader, limit: int | None) -> None:
        self.schema: pa.Schema = reader.schema
        self.names = _unique(reader.schema.names)
        self.shown = 0
        self.more = False
        self._reader, self._limit = reader, limit

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            if self._limit is not None and self.shown + batch.num_rows > self._limit:
                batch = batch.slice(0, self._limit - self.shown)  # noqa: PLW2901 - the rest is not wanted
                self.more = True
            self.shown += batch.num_rows
            for start in range(0, batch.num_rows, _AT_ONCE):
                yield batch.slice(start, _AT_ONCE)
            if self.more:
                return


def _unique(names: Iterable[str]) -> list[str]:
    """Names of which a free `sql` may have two alike: the second `a` becomes `a_2`, so that no object loses one."""
    unique: dict[str, None] = {}
    for name in names:
        free, number = name, 1
        while free in unique:
            number += 1
            free = f"{name}_{number}"
        unique[free] = None
    return list(unique)


def _formed(column: pa.Array, clock: Clock, form: Callable[[Any], str]) -> list[str]:
    """Each value as text by `form`, made once for each distinct one: a log says the same things over and over."""
    import pyarrow as pa  # noqa: PLC0415 - fast start

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if len(column) <= _FEW:
        return [form(value) for value in _values(column, clock)]
    try:
        coded = column.dictionary_encode()
    except pa.ArrowNotImplementedError:  # lists, structs, intervals
        return [form(value) for value in _values(column, clock)]
    forms = {None: form(None)} | dict(enumerate(map(form, _values(coded.dictionary, clock))))
    return [forms[index] for index in coded.indices.to_pylist()]


def _values(column: pa.Array, clock: Clock) -> list[Any]:
    """Values as None, bool, int, float, Decimal, text, list or dict; times as text by the clock, bytes in hex.

    By hand where pyarrow raises: DuckDB's infinite times, years beyond 9999, and nanoseconds without pandas.
    """
    import pyarrow as pa  # noqa: PLC0415 - fast start

    kind = column.type
    if pa.types.is_timestamp(kind):
        numbers = column.view(pa.int64()).to_pylist()
        return [None if n is None else _NEVER.get(n) or clock(n * 10**6 // _PER_SECOND[kind.unit]) for n in numbers]
    if pa.types.is_date32(kind):
        return [None if n is None else _day(n) for n in column.view(pa.int32()).to_pylist()]
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):
        texts = (" ".join(column.slice(row, 1).to_string().split()) for row in range(len(column)))
        values = [None if text == "[ null ]" else text.removeprefix("[ ").removesuffix(" ]") for text in texts]
    return [_plain(value, clock) for value in values]


def _plain(value: Any, clock: Clock) -> Any:
    match value:
        case None | bool() | int() | float() | str() | Decimal():
            return value
        case bytes():
            return value.hex()
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return clock((moment - _EPOCH) // timedelta(microseconds=1))
        case dict():
            return {str(key): _plain(item, clock) for key, item in value.items()}
        case tuple() if hasattr(value, "nanoseconds"):
            return _interval(*value)
        case list() | tuple():
            return [_plain(item, clock) for item in value]
        case _:
            return str(value)


def _interval(months: int, days: int, nanoseconds: int) -> str:
    """14 months 1 day 02:00:00.5: months and days have no fixed length, so none becomes another."""
    parts = [f"{n} {unit}{'' if abs(n) == 1 else 's'}" for n, unit in ((months, "month"), (days, "day")) if n]
    seconds, rest = divmod(abs(nanoseconds) // 1000, 10**6)
    if nanoseconds or not parts:
        fraction = f".{rest:06}".rstrip("0") if rest else ""
        sign = "-" if nanoseconds < 0 else ""
        parts.append(f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}")
    return " ".join(parts)


def _day(days: int) -> str:
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return "infinity" if days > 0 else "-infinity"


# Formats


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _json(rows: _Rows, view: View, sink: Sink) -> None:
    """One object a row, on a line of its own; json puts them into one array.

    Numbers stay numbers, also beyond 2^53 (`uid`): exact in Python, DuckDB and jq 1.7, rounded where all numbers are
    floating point (JavaScript). NaN and infinity are null: JSON has no word for them.
    """
    clock = iso_clock(view.tz)
    head, between, end = ("[", ",\n", "]\n") if view.format == "json" else ("", "\n", "")
    sink.write(head.encode())
    lead = "\n" if head else ""
    for batch in rows:
        columns = [
            _formed(column, clock, partial(_member, _escaped(f"{_encode(name)}:"), name == "data"))
            for name, column in zip(rows.names, batch.columns, strict=True)
        ]
        lines = ("{" + ",".join(row) + "}" for row in zip(*columns, strict=True))
        sink.write((lead + between.join(lines)).encode())
        lead = between
    if rows.shown:
        sink.write(b"\n")
    sink.write(end.encode())


def _member(key: str, data: bool, value: Any) -> str:
    if type(value) is int:
        return f"{key}{value}"  # much faster than the encoder
    return _escaped(key + (_object(value) if data and isinstance(value, str) else _encode(_finite(value))))


def _finite(value: Any) -> Any:
    """What JSON can say: no NaN; a decimal as whole number, else as the nearest floating point one."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list():
            return [_finite(item) for item in value]
        case _:
            return value


def _object(text: str) -> str:
    """JSON of an object as that object, of anything else (or with a key twice, of which one would be lost) as text."""
    try:
        value = json.loads(text, object_pairs_hook=_every_pair)
        return _encode(value) if isinstance(value, dict) else _encode(text)
    except (ValueError, RecursionError):
        return _encode(text)


def _every_pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    pairs_by_key = dict(pairs)
    if len(pairs_by_key) < len(pairs):
        raise ValueError("a key twice")
    return pairs_by_key


def _escaped(text: str) -> str:
    """JSON can have an odd character only inside a string, and there \\uXXXX means the same."""
    if text.isascii() and text.isprintable():
        return text
    return _ODD.sub(lambda found: found[0] if is_seen(found[0]) else json.dumps(found[0])[1:-1], text)


# A spreadsheet takes these for a formula, in Japanese also the wide ones. Tab and CR are spelled out before.
_FORMULA = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def _csv(rows: _Rows, view: View, sink: Sink) -> None:
    """RFC 4180 in UTF-8: a header, CRLF, NULL as nothing and empty text as "".

    Control characters are spelled out as in tables, line ends too: a row is always one line. Text that a spreadsheet
    would take for a formula has an apostrophe before it; to read it back: where text matches '+[=+-@], drop one.
    """
    clock = iso_clock(view.tz)
    sink.write((",".join(map(_csv_cell, rows.names)) + "\r\n").encode())
    for batch in rows:
        columns = [_formed(column, clock, _csv_cell) for column in batch.columns]
        lines = (",".join(row) or '""' for row in zip(*columns, strict=True))
        sink.write("".join(f"{line}\r\n" for line in lines).encode())


def _csv_cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case str():
            text = visible(value)
        case _:
            text = visible(_encode(_finite(value)))
    if _FORMULA.match(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if not text or any(char in text for char in ',";') else text


def _parquet(rows: _Rows, view: View, sink: Sink) -> None:
    import pyarrow as pa  # noqa: PLC0415 - fast start
    from pyarrow import parquet  # noqa: PLC0415 - fast start

    if view.output is None and sys.stdout.isatty():
        raise UsageError("parquet is nothing for a terminal", "Name a file with --output FILE, or send it on with |.")
    schema = pa.schema(
        [column.with_name(name) for column, name in zip(rows.schema, rows.names, strict=True)], rows.schema.metadata
    )
    try:
        opened_writer = parquet.ParquetWriter(sink, schema, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise UsageError(f"parquet cannot hold this: {error}", "CAST the column to VARCHAR.") from None
    with opened_writer as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in rows:
            waiting.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
            if sum(part.num_rows for part in waiting) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting), _ROW_GROUP)
                waiting = []
        if waiting or not rows.shown:
            writer.write_table(pa.Table.from_batches(waiting, schema), _ROW_GROUP)


# Tables for people


@dataclass(frozen=True, slots=True)
class _Column:
    """`folds`: text that may be broken over lines. Cells are as they came, NULL is empty."""

    title: str
    right: bool
    folds: bool
    cells: list[str]


_HEX = re.compile(r"(?:.*_)?(?:logon_id|status|ticket_options|encryption_type|access_mask)")
_UNITS = {"s": "(s)", "ms": "(ms)", "us": "(us)", "bytes": "(bytes)"}
_WORDS = {word.lower(): word for word in ("SID", "SIDs", "GUID", "UID", "NTLM", "LM", "RDP", "DNS", "OS")}
_WORDS["sha256"] = "SHA-256"


def title(name: str, zone: str = "") -> str:
    """`duration_s` as "Duration (s)", `start_time` as "Start time (UTC)"; a name that is none of ours as it is."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return visible(name)
    *words, last = name.split("_")
    words = [*words, _UNITS.get(last, last) if words else last]
    text = " ".join(_WORDS.get(word, word) for word in words)
    return text[0].upper() + text[1:] + (f" ({zone})" if zone else "")


def _columns(rows: _Rows, view: View) -> list[_Column]:
    import pyarrow as pa  # noqa: PLC0415 - fast start

    clock = wall_clock(view.tz, "microseconds" if view.microseconds else "seconds")
    columns = []
    for column in rows.schema:
        kind = column.type
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        fixed = number or pa.types.is_temporal(kind) or pa.types.is_boolean(kind)
        zone = view.tz.key if pa.types.is_timestamp(kind) else ""
        columns.append(_Column(title(column.name, zone), number, not fixed, []))
    for batch in rows:
        for column, name, values in zip(columns, batch.schema.names, batch.columns, strict=True):
            column.cells.extend(_formed(values, clock, partial(_cell, name)))
    return columns


def _cell(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() if _HEX.fullmatch(name):
            bits = 64 if name.endswith("logon_id") or value < -(2**31) else 32
            return hex(value if value >= 0 else value % 2**bits)
        case float():
            return f"{value:.10g}"
        case str():
            return value
        case list() | dict():
            return _encode(_finite(value))
        case _:
            return str(value)


def _table(rows: _Rows, view: View, sink: Sink) -> None:
    """Wide lines to a file or pipe. A terminal folds text; when that does not do, each row becomes a block of lines."""
    from rich.cells import cell_len  # noqa: PLC0415 - fast start

    columns = _columns(rows, view)
    if view.output is None and sys.stdout.isatty():
        sink.write(_drawn(columns))
        return
    texts = [[visible(cell) for cell in column.cells] for column in columns]
    natural = (max(map(cell_len, [column.title, *cells])) for column, cells in zip(columns, texts, strict=True))
    widths = [min(width, WIDEST) for width in natural]
    for line in ([column.title for column in columns], ["-" * width for width in widths], *zip(*texts, strict=True)):
        padded = []
        for cell, width, column in zip(line, widths, columns, strict=True):
            blanks = " " * (width - cell_len(cell))
            padded.append(blanks + cell if column.right else cell + blanks)
        sink.write(("  ".join(padded).rstrip(" ") + "\n").encode())


def _drawn(columns: Sequence[_Column]) -> bytes:
    from rich import box  # noqa: PLC0415 - fast start
    from rich.cells import cell_len  # noqa: PLC0415 - fast start
    from rich.table import Table  # noqa: PLC0415 - fast start
    from rich.text import Text  # noqa: PLC0415 - fast start

    natural, least = [], []
    for column in columns:
        longest = max([0, *(cell_len(visible(cell)) for cell in column.cells)])
        natural.append(max(longest, cell_len(column.title)))
        needed = min(longest, _LEAST_WIDTH) if column.folds else longest
        least.append(max([1, needed, *map(cell_len, column.title.split())]))
    drawn = io.BytesIO()
    console = terminal(io.TextIOWrapper(drawn, sys.stdout.encoding, "backslashreplace", "\n", write_through=True))
    console.width = max(console.width, 20)
    widths = _fit(natural, least, console.width - 2 * (len(columns) - 1))
    if widths:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
        for column, width in zip(columns, widths, strict=True):
            side: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(Text(column.title), width=width, justify=side, overflow="fold")
        for cells in zip(*(column.cells for column in columns), strict=True):
            table.add_row(*map(_text, cells))
        console.print(table)
        return drawn.getvalue()
    say(f"The terminal is too narrow for {len(columns)} columns: one block a row, blank fields left out.")
    for number, cells in enumerate(zip(*(column.cells for column in columns), strict=True), 1):
        console.print(Text(f"-- {number} --", style="bold"))
        block = Table.grid(padding=(0, 2))
        block.add_column(style="bold", overflow="fold", max_width=console.width // 2)
        block.add_column(overflow="fold")
        for column, cell in zip(columns, cells, strict=True):
            if cell:
                block.add_row(Text(column.title), _text(cell))
        console.print(block)
    return drawn.getvalue()


def _text(cell: str) -> Text:
    """Never read as rich markup; what was spelled out is red."""
    from rich.text import Text  # noqa: PLC0415 - fast start

    if cell.isascii() and cell.isprintable():
        return Text(cell)
    return Text.assemble(*((piece, "red" if odd else "") for piece, odd in pieces(cell)))


def _fit(natural: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Widths that fit, taken from the widest columns first; None when there is not room enough."""
    if sum(least) > room:
        return None
    widths = [max(low, min(width, room)) for low, width in zip(least, natural, strict=True)]
    while sum(widths) > room:
        widest = max((at for at, width in enumerate(widths) if width > least[at]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def terminal(file: TextIO) -> Console:
    """For a terminal: its width or COLUMNS; no colour at all with NO_COLOR, where rich would still write bold."""
    from rich.console import Console  # noqa: PLC0415 - fast start

    return Console(
        file=file,
        force_terminal=True,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        legacy_windows=False,
        highlight=False,
    )
