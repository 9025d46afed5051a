"""The questions that the faces ask of a case. Every face gets its answer from here, so all tell the same."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Timer
from typing import Any, Self

import duckdb
import pyarrow as pa

from logontracks import catalogue
from logontracks.case import Case
from logontracks.engines.duckdb import Connection, interruptible, literal
from logontracks.errors import QueryError
from logontracks.forms import address

SQL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; every part that is given must fit. Names are compared without case, `*` fits anything.

    `user` is a name, DOMAIN\\name, name@domain or SID, and fits the account that a record is about or that asked. The
    short and the full name of a domain are one where accounts of one domain SID have both.
    `host` is a short or full name. Times are naive UTC; `until` is exclusive.
    """

    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    event_ids: tuple[int, ...] = ()
    channels: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    logon_ids: tuple[int, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of an answer, and how many there are in all where that is known. Read the rows inside a `with`."""

    rows: pa.RecordBatchReader
    total: int | None
    connection: Connection = field(repr=False)
    source: Generator[pa.RecordBatch] | None = field(default=None, repr=False)
    timer: Timer | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs for rows that nobody wants."""
        if self.source is not None:
            self.source.close()
        if self.timer is not None:
            _stop(self.timer)
        self.connection.interrupt()
        self.rows.close()
        self.connection.close()


def events(case: Case, wanted: EventFilter, *, limit: int = 0, for_people: bool = False) -> Answer:
    """Events in the order of time; `for_people`: few columns in words instead of all of them."""
    return case.read(lambda connection: _events(connection, wanted, limit, for_people=for_people))


def _events(connection: Connection, wanted: EventFilter, limit: int, *, for_people: bool) -> Answer:
    if any("\\" in user or "@" in user for user in wanted.users):
        interruptible(connection, lambda: connection.execute(_DOMAINS))
    where = _where(wanted)
    count = f"SELECT COUNT(*) FROM events WHERE {where}"
    total = interruptible(connection, lambda: connection.execute(count).fetchall()[0][0])
    limited = f"LIMIT {limit}" if limit else ""
    order = "ORDER BY time, computer_key, channel, record_id, uid, source_sha256, position"
    if for_people:
        _name_codes(connection)
        query = f"{_PEOPLE} WHERE {where} {order} {limited}"
    else:
        query = f"SELECT * FROM events WHERE {where} {order} {limited}"
    return _answer(connection, query, total)


def _answer(connection: Connection, query: str, total: int) -> Answer:
    reader, batches = _stream(connection, query)
    return Answer(pa.RecordBatchReader.from_batches(reader.schema, batches), total, connection, batches)


def _stream(connection: Connection, query: str) -> tuple[pa.RecordBatchReader, Generator[pa.RecordBatch]]:
    """The rows as a stream, and its batches. The first is read at once: a sorted query has read all by then."""
    reader = interruptible(connection, lambda: connection.sql(query).to_arrow_reader(10_000))
    first = interruptible(connection, lambda: next(reader, None))

    def batches() -> Generator[pa.RecordBatch]:
        batch = first
        while batch is not None:
            yield batch
            batch = interruptible(connection, lambda: next(reader, None))

    return reader, batches()


_PEOPLE = f"""
SELECT time, computer AS host, event_id AS event, COALESCE(title, provider) AS what,
    CASE WHEN target_name IS NOT NULL THEN concat_ws('\\', target_domain, target_name)
        WHEN subject_name IS NOT NULL THEN concat_ws('\\', subject_domain, subject_name)
        ELSE COALESCE(target_sid, subject_sid) END AS account,
    COALESCE(logon_words, CAST(logon_type AS VARCHAR)) AS logon,
    CASE WHEN outgoing THEN NULL
        ELSE COALESCE(source_address, workstation, caller_computer, calling_station) END AS source,
    -- of the account's own session: where the account is one that another acts on, that one's is under "by"
    CASE WHEN target_name IS NOT NULL THEN target_logon_id
        ELSE COALESCE(target_logon_id, subject_logon_id) END AS logon_id,
    -- that the host itself lets somebody log on says nothing
    CASE WHEN target_name IS NOT NULL AND subject_name IS NOT NULL AND (event_id NOT IN (4624, 4625, 4627, 4648)
            OR subject_logon_id NOT IN ({", ".join(row["decimal"] for row in catalogue.table("reserved_logon_ids"))}))
        THEN concat_ws(' ', concat_ws('\\', subject_domain, subject_name), printf('0x%x', subject_logon_id))
        END AS "by",
    COALESCE(service_name, target_server || CASE WHEN outgoing THEN ' ' || source_address ELSE '' END, target_server,
        NULLIF(concat_ws('\\', share_name, object_name), ''), member_name, member_sid,
        NULLIF(concat_ws('\\', target_outbound_domain, target_outbound_name), '')) AS object,
    COALESCE(CASE WHEN event_id = 4689 THEN printf('exit code 0x%x', status) END, status_words, reason_words,
        CASE WHEN COALESCE(sub_status, status) <> 0
            THEN printf('0x%08x', COALESCE(NULLIF(sub_status, 0), status)) END,
        CASE WHEN event_id <> 4648 THEN outcome END) AS result -- a 4648 is a success even when the logon then fails
FROM (
    -- a 4648 for another host has that host's address where others have the client's
    SELECT *, event_id = 4648 AND target_server IS NOT NULL AND target_server <> 'localhost' AS outgoing FROM events
)
LEFT JOIN titles ON title_provider = LOWER(provider) AND title_event = event_id
LEFT JOIN logon_words ON logon_code = logon_type
LEFT JOIN status_words ON status_kerberos = (event_id BETWEEN 4768 AND 4773)
    AND status_code = COALESCE(NULLIF(sub_status, 0), NULLIF(status, 0))
LEFT JOIN reason_words ON reason_provider = LOWER(provider) AND reason_event = event_id AND reason = reason_code
"""


def _name_codes(connection: Connection) -> None:
    """Small tables that turn event ids and codes into words."""
    titles = [(*key, event.title) for key, event in catalogue.events().items()]
    types = [(int(row["code"]), row["symbol"]) for row in catalogue.table("logon_types")]
    statuses = [
        (kerberos, int(row["code"], 16), row["meaning"])
        for table, kerberos in (("status_codes", False), ("kerberos_codes", True))
        for row in catalogue.table(table)
    ]
    reasons = [
        ("microsoft-windows-terminalservices-localsessionmanager", 40, int(row["code"]), row["meaning"])
        for row in catalogue.table("rdp_disconnect_reasons")
    ]
    for name, columns, rows in (
        ("titles", ("title_provider", "title_event", "title"), titles),
        ("logon_words", ("logon_code", "logon_words"), types),
        ("status_words", ("status_kerberos", "status_code", "status_words"), statuses),
        ("reason_words", ("reason_provider", "reason_event", "reason", "reason_words"), reasons),
    ):
        table = pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))
        connection.register(name, table)


def _where(wanted: EventFilter) -> str:
    """SQL for the filter. Every foreign text becomes a literal."""
    parts = ["TRUE"]
    if wanted.since is not None:
        parts.append(f"time >= TIMESTAMP {literal(wanted.since.isoformat(' '))}")
    if wanted.until is not None:
        parts.append(f"time < TIMESTAMP {literal(wanted.until.isoformat(' '))}")
    if wanted.event_ids:
        parts.append(f"event_id IN ({', '.join(map(str, wanted.event_ids))})")
    if wanted.logon_ids:
        ids = ", ".join(map(str, wanted.logon_ids))
        parts.append(
            f"(target_logon_id IN ({ids}) OR subject_logon_id IN ({ids}) OR target_linked_logon_id IN ({ids}))"
        )
    for names, fits in (
        (wanted.hosts, _host_fits),
        (wanted.users, _user_fits),
        (wanted.channels, lambda name: _like("LOWER(channel)", f"*{name}*")),
        (wanted.addresses, lambda name: _like("LOWER(source_address)", name if "*" in name else address(name) or "")),
    ):
        if names:
            parts.append("(" + " OR ".join(fits(name.lower()) for name in names) + ")")
    return " AND ".join(parts)


def _host_fits(name: str) -> str:
    if "." in name:
        return _like("computer_key", name)
    return f"({_like('computer_key', name)} OR {_like('computer_key', name + '.*')})"


def _user_fits(name: str) -> str:
    if name.startswith("s-1-"):
        columns = ("target_sid", "subject_sid", "record_sid", "member_sid")
        return "(" + " OR ".join(_like(column, name.upper()) for column in columns) + ")"
    domain, separator, account = name.partition("\\")
    if not separator:
        account, separator, domain = name.partition("@")
    sides = []
    for side in ("target", "subject"):
        fits = _like(f"{side}_name_key", account if separator else name)
        if separator:
            fits += f" AND {_domain_fits(f'{side}_domain_key', domain)}"
        sides.append(f"({fits})")
    if "@" in name:
        sides.append(_like("target_name_key", name))  # as somebody typed it at a logon
        sides.append(_like("LOWER(user_principal_name)", name))
    return "(" + " OR ".join(sides) + ")"


_DOMAINS = """
CREATE TEMP TABLE domains AS
SELECT DISTINCT domain, regexp_replace(sid, '-[0-9]+$', '') AS domain_sid, CONTAINS(domain, '.') AS is_full FROM (
    SELECT target_sid AS sid, target_domain_key AS domain FROM events
    UNION ALL SELECT subject_sid, subject_domain_key FROM events)
WHERE sid LIKE 'S-1-5-21-%' AND domain IS NOT NULL"""
"""Two hosts that are clones share a SID as well, but both names of theirs are short."""


def _domain_fits(column: str, domain: str) -> str:
    other = f"""SELECT theirs.domain FROM domains AS ours
        JOIN domains AS theirs ON theirs.domain_sid = ours.domain_sid AND theirs.is_full <> ours.is_full
        WHERE {_like("ours.domain", domain)}"""
    return f"({_like(column, domain)} OR {column} IN ({other}))"


def _like(column: str, pattern: str) -> str:
    if "*" not in pattern:
        return f"{column} = {literal(pattern)}"
    escaped = pattern.replace("!", "!!").replace("%", "!%").replace("_", "!_").replace("*", "%")
    return f"{column} LIKE {literal(escaped)} ESCAPE '!'"


def problems(case: Case, *, limit: int = 0) -> Answer:
    """What could not be read, by source and place."""
    query = f"""
        SELECT source, position, kind, what, records_lost, source_sha256 FROM problems
        ORDER BY source, TRY_CAST(regexp_extract(position, '[0-9]+') AS BIGINT) NULLS FIRST, position, kind, what
        {f"LIMIT {limit}" if limit else ""}"""

    def listed(connection: Connection) -> Answer:
        return _answer(connection, query, connection.execute("SELECT COUNT(*) FROM problems").fetchall()[0][0])

    return case.read(listed)


@dataclass(frozen=True, slots=True)
class Info:
    """A case at a glance. `hosts` and `sources` are tables, times are naive UTC."""

    totals: dict[str, Any]
    hosts: pa.Table
    sources: pa.Table


def info(case: Case) -> Info:
    """Sources, hosts with what they logged and when, and totals."""
    return case.read(lambda connection: interruptible(connection, lambda: _info(case, connection)))


def _info(case: Case, connection: Connection) -> Info:
    sources = connection.sql("SELECT * FROM sources ORDER BY name, sha256").to_arrow_table()
    hosts = connection.sql("""
        SELECT arg_max(computer, time) AS host, COUNT(*) AS events, MIN(time) AS first, MAX(time) AS last,
            string_agg(DISTINCT log, ', ' ORDER BY log) AS logs
        FROM (
            SELECT *, replace(replace(replace(channel, 'Microsoft-Windows-', ''), 'TerminalServices-', ''),
                '/Operational', '') AS log
            FROM events
        ) GROUP BY computer_key ORDER BY computer_key""").to_arrow_table()
    ((kept, first, last),) = connection.execute("SELECT COUNT(*), MIN(time), MAX(time) FROM events").fetchall()
    ((files, size, records, duplicates),) = connection.execute(
        "SELECT COUNT(*), SUM(size_bytes), SUM(records), SUM(duplicates) FROM sources"
    ).fetchall()
    found = dict(connection.execute("SELECT kind, COUNT(*) FROM problems GROUP BY kind").fetchall())
    totals = {
        "case": str(case.folder),
        "format": case.manifest.format,
        "sources": files,
        "size_bytes": int(size or 0),
        "records": int(records or 0),
        "events": kept,
        "duplicates": int(duplicates or 0),
        "hosts": len(hosts),
        "first": first,
        "last": last,
        "problems": found.get("lost", 0) + found.get("doubt", 0),
        "skipped": found.get("skipped", 0),
    }
    return Info(totals, hosts, sources)


def sql(case: Case, text: str, *, limit: int = 0, seconds: float = SQL_SECONDS, memory: str | None = None) -> Answer:
    """The rows of one SELECT over the tables of the case.

    It can read nothing but the case and write nothing at all. Raises QueryError when the text is not exactly one
    SELECT, when it fails, or when it takes longer than `seconds`.
    """
    if memory is not None and not _SIZE.fullmatch(memory):
        raise QueryError(f"{memory!r} is no size of memory", "write 4GB or 600MB")
    too_late = Event()
    try:
        connection = case.connect(memory=memory)
        query = _one_select(connection, text)
        folder = literal(str(case.folder.resolve()) + "/")
        for setting in (
            f"allowed_directories = [{folder}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
    except duckdb.Error as error:
        raise _failed(error, seconds, too_late) from error

    def interrupt() -> None:
        too_late.set()
        connection.interrupt()

    timer = Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        reader, batches = _stream(connection, query)
    except _STREAM_ERRORS as error:
        raise _failed(error, seconds, too_late) from error
    finally:
        if sys.exc_info()[0] is not None:
            _stop(timer)

    def bounded() -> Generator[pa.RecordBatch]:
        left = limit or None
        try:
            for batch in batches:
                yield batch if left is None else batch.slice(0, left)
                left = None if left is None else left - min(left, len(batch))
                if left == 0:
                    return
        except _STREAM_ERRORS as error:
            raise _failed(error, seconds, too_late) from error

    rows = bounded()
    return Answer(pa.RecordBatchReader.from_batches(reader.schema, rows), None, connection, rows, timer)


_STREAM_ERRORS = (duckdb.Error, pa.ArrowException, OSError)  # OSError is what the Arrow stream makes of the first
_SIZE = re.compile(r"[0-9]+(\.[0-9]+)? ?[kmgt]i?b", re.IGNORECASE)


def _stop(timer: Timer) -> None:
    """Its thread holds the connection: Python ends noisily when both are still there."""
    timer.cancel()
    timer.join()


def _failed(error: Exception, seconds: float, too_late: Event) -> QueryError:
    if too_late.is_set():
        return QueryError(f"the query took longer than {seconds:g} s", "narrow it, or give it more with --seconds")
    text = str(error).strip()
    if isinstance(error, duckdb.OutOfMemoryException) or text.startswith("Out of Memory"):
        # what follows on other lines are settings that nobody can change here
        return QueryError(text.partition("\n")[0], "narrow it, or give it more memory with --memory")
    return QueryError(text, "tables: events, sources, problems, extents, event_counts")


def _one_select(connection: Connection, text: str) -> str:
    hint = 'give one SELECT, such as "SELECT computer, COUNT(*) FROM events GROUP BY ALL"'
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise QueryError("it is no text in UTF-8", hint)
    try:
        statements = connection.extract_statements(text)
        if len(statements) != 1:
            raise QueryError(f"the text holds {len(statements)} statements", hint)
        ((verdict,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statements[0].query]).fetchall()
        parsed = json.loads(verdict)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise QueryError(str(error).strip(), hint) from error
    except RecursionError:
        raise QueryError("it is nested too deeply", hint) from None
    if parsed.get("error"):
        raise QueryError("it is no SELECT, or a PIVOT that does not list its columns with IN", hint)
    if strange := _beyond_selecting(parsed):
        raise QueryError(f"it does more than select from the tables: {', '.join(sorted(strange))}", hint)
    return statements[0].query.strip().rstrip(";")


_SELECTING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLE_FUNCTIONS = {
    "duckdb_columns", "duckdb_functions", "duckdb_tables", "duckdb_views", "generate_series", "json_each", "json_tree",
    "pragma_table_info", "pragma_version", "range", "repeat", "repeat_row", "unnest",
}  # fmt: skip
"""Those that make rows or describe tables. Others read files, run text as SQL or change how the engine works."""


def _beyond_selecting(parsed: Any) -> set[str]:
    """What a parsed query has, at any depth, that does more than select: WITH may hold a COPY TO that writes files.

    Not all is seen here: json_execute_serialized_sql() and query() run SQL that they are given as text.
    """
    found = set()
    waiting = [parsed]
    while waiting:
        tree = waiting.pop()
        match tree:
            case {"type": "TABLE_FUNCTION", "function": {"function_name": str(name)}}:
                if name.lower() not in _TABLE_FUNCTIONS:
                    found.add(f"{name}()")
            case {"type": str(kind)} if kind.endswith("_NODE") and kind not in _SELECTING:
                found.add(kind.removesuffix("_NODE").removesuffix("_QUERY"))
        waiting += tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return found
