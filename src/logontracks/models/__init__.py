"""The tables that are worked out from events, in the order they are built: one file a table, SQL or small Python.

The head of a file says what a row is, what it reads and what NULL means; `Model` holds it, and `columns` lists what
faces and documents show. SQL is written in the core that DuckDB, Spark and ClickHouse share: see docs/design.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from logontracks import catalogue
from logontracks.schema import Column

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from logontracks.engines.duckdb import Connection

MODELS = (
    "host_logs",
    "log_hosts",
    "host_names",
    "log_runs",
    "host_counts",
    "log_generations",
    "logged",
    "boot_evidence",
    "boots",
    "wakes",
    "clock_steps",
    "account_uses",
    "account_names",
    "accounts",
    "account_lookup",
    "used_ids",
    "logons",
    "session_ids",
    "spans",
    "desks",
    "terminals",
    "folds",
    "session_ends",
    "session_facts",
    "session_by_id",
    "sessions_told",
    "desk_times",
    "log_gaps",
    "presence",
    "sessions",
    "checked_logons",
    "controllers",
    "authentications",
    "host_lookup",
    "sightings",
    "addresses",
    "requests",
    "session_sources",
    "skews",
    "desk_tickets",
    "links",
    "explicit_uses",
    "seats",
    "named_sources",
    "hop_sources",
    "hops",
    "tracks",
    "attempts",
    "told_attempts",
    "failed_attempts",
    "failures",
    "log_spans",
    "coverage",
    "silences",
    "unlogged",
    "blind_spots",
    "evidence",
    "hosts",
)
"""In the order they are built."""

FOLDER = files("logontracks") / "models"

_COLUMN = re.compile(r"^ {2,}(?P<name>[a-z][a-z0-9_]*) (?P<type>[A-Z]+): (?P<meaning>.+)$")
_MORE = re.compile(r"^ {4,}(?P<more>\S.*)$")


@dataclass(frozen=True, slots=True)
class Model:
    """One table. `columns` is empty for a step on the way to others, which is not kept. `sql` is None for Python."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    sql: str | None
    view: bool = False

    @property
    def published(self) -> bool:
        return bool(self.columns)

    @property
    def reads(self) -> frozenset[str]:
        """The tables it is made from."""
        return frozenset(self._told("Reads"))

    @property
    def sorted_by(self) -> tuple[str, ...]:
        """Columns by which its rows lie in the file, so that those of one id are found together; none: no order."""
        return self._told("Sorted by")

    def _told(self, what: str) -> tuple[str, ...]:
        """The names that its head lists."""
        told = re.search(rf"^{what}: ([a-z_, \n]+)\.$", self.meaning, re.MULTILINE)
        return tuple(re.split(r"[,\s]+", told[1].strip())) if told else ()


@cache
def model(name: str) -> Model:
    """The model of a name in MODELS, its head read."""
    source = FOLDER / f"{name}.sql"
    if source.is_file():
        text = source.read_text(encoding="utf-8")
        head = "\n".join(line[3:] for line in text.split("\n\n", 1)[0].splitlines())
        return Model(name, _meaning(head), _columns(head), text, view=head.startswith("View: "))
    head = (FOLDER / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    return Model(name, _meaning(head), _columns(head), None)


def _meaning(head: str) -> str:
    return head.split("\nColumns:", 1)[0].strip()


def _columns(head: str) -> tuple[Column, ...]:
    found: list[Column] = []
    for line in head.partition("\nColumns:")[2].splitlines():
        if match := _COLUMN.match(line):
            found.append(Column(match["name"], match["type"], match["meaning"]))
        elif found and (more := _MORE.match(line)):
            last = found.pop()
            found.append(Column(last.name, last.type, f"{last.meaning} {more['more']}"))
    return tuple(found)


@cache
def parameters() -> Mapping[str, str]:
    """What SQL gets by name: windows and thresholds as data/parameters.csv has them, lists made from other facts."""
    options = (row for row in catalogue.table("ticket_options") if row["name"] not in {"unused", "reserved"})
    return {
        "reserved_logon_ids": ", ".join(map(str, sorted(catalogue.reserved_logon_ids()))),
        "backslash": "CHR(92)",  # in a literal some engines take it for an escape
        "desk_marks": "'reconnect', 'disconnect', 'lock', 'unlock', 'screen_saver_on', 'screen_saver_off'",
        # the slice of time of a record and its neighbours: what is less than a slice apart shares one
        "slices_around": "(SELECT -1 AS step UNION ALL SELECT 0 AS step UNION ALL SELECT 1 AS step)",
        "no_names": "'null'",  # what tools without a name call themselves
        # what stands for the host itself, or for no address
        "no_addresses": "'127.0.0.1', '::1', 'LOCAL', '0.0.0.0', '::'",
        "ticket_option_words": ", ".join(
            f"CASE WHEN has_bit(e.ticket_options, {int(row['mask'], 16)}) THEN '{row['name']} ' ELSE '' END"
            for row in options
        ),
        **{row["name"]: row["value"] for row in catalogue.table("parameters")},
        **{  # seconds in microseconds, which are too many for a small integer
            f"{row['name'][:-2]}_us": str(int(float(row["value"]) * 1_000_000))
            for row in catalogue.table("parameters")
            if row["name"].endswith("_s")
        },
    }


_DATA = {"failure_reasons", "legacy_ids", "parameters", "reserved_logon_ids", "ticket_options"}


@cache
def version() -> str:
    """Changes whenever a model, a parameter or a fact that models read does."""
    folder = files("logontracks")
    texts = [
        (folder / "models" / each.name).read_bytes()
        for each in sorted((folder / "models").iterdir(), key=str)
        if each.name.endswith((".sql", ".py"))
    ]
    texts += [
        (folder / "data" / f"{name}.csv").read_bytes()
        for name in sorted(_DATA | {table for table, _ in FACTS.values()})
    ]
    return sha256(b"\0".join(texts)).hexdigest()[:12]


FACTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "marks": ("marks", {"provider": "VARCHAR", "event_id": "INTEGER", "mark": "VARCHAR"}),
    "logon_types": ("logon_types", {"code": "INTEGER", "symbol": "VARCHAR"}),
    "windows_builds": ("windows_builds", {"build": "INTEGER", "workstation": "VARCHAR", "server": "VARCHAR"}),
    "kerberos_codes": ("kerberos_codes", {"code": "BIGINT", "meaning": "VARCHAR", "windows_reason": "VARCHAR"}),
    "status_codes": (
        "status_codes",
        {"code": "BIGINT", "reason": "VARCHAR", "meaning": "VARCHAR", "noise": "VARCHAR"},
    ),
    "encryption_types": ("encryption_types", {"code": "BIGINT", "symbol": "VARCHAR", "weak": "VARCHAR"}),
    "preauth_types": ("preauth_types", {"code": "BIGINT", "symbol": "VARCHAR", "meaning": "VARCHAR"}),
    "event_kinds": (
        "events",
        {
            "provider": "VARCHAR",
            "event_id": "INTEGER",
            "subcategory": "VARCHAR",
            "subcategory_guid": "VARCHAR",
            "host_role": "VARCHAR",
        },
    ),
    "audit_policy": (
        "audit_policy",
        {"name": "VARCHAR", "category": "VARCHAR", "guid": "VARCHAR", "how_to_set": "VARCHAR"},
    ),
    "blind_spot_texts": (
        "blind_spots",
        {"kind": "VARCHAR", "subcategory": "VARCHAR", "unit": "VARCHAR", "what": "VARCHAR", "unsafe": "VARCHAR"},
    ),
}
"""Tables of facts that models read: the table of the catalogue, and the columns they need."""


def give_facts(connection: Connection) -> None:
    """Make the tables of FACTS on a connection."""
    for name, (table, columns) in FACTS.items():
        rows = _with_old(catalogue.table(table)) if table == "events" else catalogue.table(table)
        names = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        connection.execute(f"CREATE TABLE {name} ({names})")
        marks = f"({', '.join('?' * len(columns))})"  # all rows in one statement: each costs as much as any
        cells = [_fact(row[column], kind) for row in rows for column, kind in columns.items()]
        connection.execute(f"INSERT INTO {name} VALUES {', '.join([marks] * len(rows))}", cells)


def _with_old(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Kinds of events and, under the numbers that they had up to Windows 2003, the same once more."""
    now = {(row["provider"], row["event_id"]): row for row in rows}
    old = catalogue.table("legacy_ids")
    return [
        *rows,
        *(
            {**now[row["provider"], row["event_id"]], "provider": "Security", "event_id": row["legacy_id"]}
            for row in old
        ),
    ]


def _fact(text: str, kind: str) -> str | int | None:
    """A cell as a value: hex becomes a number, empty and a lone `-` nothing."""
    if text in {"", "-"}:
        return None
    return int(text, 0) if kind in {"INTEGER", "BIGINT"} else text


def make(name: str, connection: Connection, folder: Path) -> tuple[Path, int] | None:
    """Work out one table on a connection that has those before it.

    A table that is kept goes straight to a Parquet file in `folder`, and those after it read it from there: the file
    and the number of its rows. None for a step on the way.
    """
    found = model(name)
    if found.sql is None:
        work: Callable[[Connection], pa.Table] = import_module(f"logontracks.models.{name}").work
        connection.register(f"{name}_made", work(connection))
        query = f"SELECT * FROM {name}_made"
    else:
        query = Template(found.sql).substitute(parameters())
    told = None
    if found.published:
        path = folder / f"{name}.parquet"
        quoted = str(path).replace("'", "''")
        chosen = ", ".join(f"CAST({column.name} AS {column.type}) AS {column.name}" for column in found.columns)
        order = f"ORDER BY {', '.join(found.sorted_by)}" if found.sorted_by else ""
        ((rows,),) = connection.execute(
            f"COPY (SELECT {chosen} FROM (\n{query}\n) {order}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{quoted}')")
        told = path, int(rows)
    else:
        connection.execute(f"CREATE {'VIEW' if found.view else 'TABLE'} {name} AS\n{query}")
    if found.sql is None:
        connection.unregister(f"{name}_made")
    return told


def done_with(name: str) -> tuple[str, ...]:
    """Steps on the way that no model after this one reads."""
    at = MODELS.index(name) + 1
    needed: set[str] = set()
    reading = set(MODELS[at:])
    while reading:
        found = {read for each in reading for read in model(each).reads} & set(MODELS) - needed
        needed |= found
        reading = {each for each in found if model(each).view}  # who reads a view reads what it is made of
    return tuple(
        each for each in MODELS[:at] if each not in needed and not model(each).view and not model(each).published
    )


def drop(name: str, connection: Connection) -> None:
    """Forget a step on the way."""
    connection.execute(f"DROP TABLE IF EXISTS {name}")
