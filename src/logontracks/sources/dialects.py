"""What each dialect of JSON calls the parts of a record: data/dialects.csv, and which dialect a file is in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast, get_args

from logontracks import catalogue
from logontracks.engines.duckdb import literal
from logontracks.sources.envelope import first_of_each
from logontracks.sources.records import PARTS

Fields = Literal["map", "list", "positional", "camel", "payload", "xml", "flat", "nxlog"]
"""How a dialect writes the event's own fields; json_fields.py has a function for each."""

TIMES = ("time", "time_utc", "received", "arrival")
MAX_DEPTH = 8  # of wrappers that are looked into
WRAPPERS = ("_source", "event", "body", "Body", "result", "data", "log", "message")
"""Names under which exports and senders put the record as a whole: Elasticsearch, HEC, OpenTelemetry, Splunk."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """`paths`: for each part the places where it may be, as keys from the top; the first that has text counts.

    `fields` are the places of the event's own fields, in forms of their own. `signs`: places that all have to be there
    for a record to be of this dialect.
    """

    name: str
    paths: Mapping[str, tuple[tuple[str, ...], ...]]
    fields: tuple[tuple[Fields, tuple[str, ...]], ...]
    signs: tuple[tuple[str, ...], ...]
    whole: tuple[tuple[str, ...], ...] = ()  # places of the record as XML, which then tells all of it
    moved: tuple[tuple[str, tuple[str, ...]], ...] = ()  # fields that the sender may have put elsewhere
    within: tuple[str, ...] = ()

    def under(self, wrapper: tuple[str, ...]) -> Dialect:
        """The same where the whole record lies under these keys."""
        return Dialect(
            self.name,
            {part: tuple((*wrapper, *path) for path in paths) for part, paths in self.paths.items()},
            tuple((form, (*wrapper, *path)) for form, path in self.fields),
            tuple((*wrapper, *path) for path in self.signs),
            tuple((*wrapper, *path) for path in self.whole),
            tuple((name, (*wrapper, *path)) for name, path in self.moved),
            wrapper,
        )

    def called(self, part: str) -> str:
        """What the dialect calls a part, for people."""
        return ".".join(self.paths[part][0]) if self.paths.get(part) else part


@cache
def dialects() -> tuple[Dialect, ...]:
    """data/dialects.csv, those that ask for more signs first. Raises ValueError on a part or form that is none."""
    rows: dict[str, dict[str, list[tuple[str, tuple[str, ...]]]]] = {}
    for row in catalogue.table("dialects"):
        if row["part"] not in {*PARTS, *TIMES, "fields", "sign", "xml"} and not row["part"].startswith("field "):
            raise ValueError(f"dialects.csv: {row['part']!r} is no part of a record")
        if (row["part"] == "fields") != (row["form"] in get_args(Fields)):
            raise ValueError(f"dialects.csv: {row['form']!r} is no form of {row['part']}")
        parts = rows.setdefault(row["dialect"], {})
        parts.setdefault(row["part"], []).append((row["form"], tuple(filter(None, row["path"].split(".")))))
    found = [
        Dialect(
            name,
            {part: tuple(path for _, path in paths) for part, paths in parts.items() if part in {*PARTS, *TIMES}},
            tuple((cast("Fields", form), path) for form, path in parts.get("fields", ())),
            tuple(path for _, path in parts.get("sign", ())),
            tuple(path for _, path in parts.get("xml", ())),
            tuple((part[6:], path) for part, paths in parts.items() if part[:6] == "field " for _, path in paths),
        )
        for name, parts in rows.items()
    ]
    return tuple(sorted(found, key=lambda each: (-len(each.signs), each.name)))


def of_name(name: str) -> Dialect:
    """Raises KeyError for a name that no dialect has."""
    return {each.name: each for each in dialects()}[name]


def get(record: Any, path: tuple[str, ...]) -> Any:
    """What lies under these keys; None for nothing."""
    for key in path:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def of_record(record: Any) -> Dialect | None:
    """The dialect of a record, by what it holds; None when it is of none."""
    wrapper: tuple[str, ...] = ()
    inner = record
    while isinstance(inner, dict) and len(wrapper) < MAX_DEPTH:
        for dialect in dialects():
            if _is_of(inner, dialect):
                return dialect.under(wrapper)
        name = next((name for name in WRAPPERS if isinstance(inner.get(name), dict)), None)
        if name is None:
            return None
        inner = inner[name]
        wrapper = (*wrapper, name)
    return None


def _is_of(record: Any, dialect: Dialect) -> bool:
    if dialect.whole:
        texts = (get(record, path) for path in dialect.whole)
        return any(isinstance(text, str) and text.lstrip("\ufeff \t\r\n").startswith("<Event") for text in texts)
    timed = any(get(record, path) is not None for part in TIMES for path in dialect.paths.get(part, ()))
    event_ids = [get(record, path) for path in dialect.paths["event_id"]]
    hosts = [get(record, path) for path in dialect.paths["computer"]]
    return (
        timed
        and all(get(record, sign) is not None for sign in dialect.signs)
        and any(str(number).isdecimal() for number in event_ids)
        and any(isinstance(host, str) for host in hosts)
    )


def seen(record: Any) -> str:
    """What there is instead, in words: the names at the top of a record."""
    if not isinstance(record, dict):
        return f"a {type(record).__name__}"
    names = ", ".join(list(map(str, record))[:12])
    return f"an object with {names[:200]!a}" if names else "an empty object"


def sql(dialect: Dialect) -> str:
    """SQL that takes the parts of a record out of the column `line` of the table `lines`, as text."""
    paths = list(dict.fromkeys(path for found in dialect.paths.values() for path in found))
    paths += [path for path in dialect.whole if path not in paths]
    number = {path: at for at, path in enumerate(paths, 1)}
    asked = ", ".join(literal(json_path(path)) for path in paths)

    def part(name: str, found: Iterable[tuple[str, ...]]) -> str:
        texts = [f"CASE WHEN f[{number[path]}] NOT LIKE '{{\"%' THEN f[{number[path]}] END" for path in found]
        return f"{'COALESCE(' + ', '.join(texts) + ')' if texts else 'CAST(NULL AS VARCHAR)'} AS {name}"

    parts = [part(name, dialect.paths.get(name, ())) for name in (*PARTS, *TIMES)]
    return f"""SELECT {", ".join(parts)}, {part("xml", dialect.whole)}
        FROM (SELECT json_extract_string(line, [{asked}]) AS f FROM lines)"""


def json_path(path: tuple[str, ...]) -> str:
    """As DuckDB writes it: $."a"."b"."""
    return "$" + "".join(f'."{key}"' for key in path)


def loads(text: str) -> Any:
    """JSON as DuckDB understands it, with control characters in its texts, and None for NaN and what has no end."""
    return json.loads(
        text, strict=False, object_pairs_hook=first_of_each, parse_constant=lambda _: None, parse_float=_finite
    )


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
