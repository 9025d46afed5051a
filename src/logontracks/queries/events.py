"""Events of a case, by account, host, time and more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from logontracks import catalogue
from logontracks.case import Case
from logontracks.engines.duckdb import Connection, interruptible
from logontracks.forms import address
from logontracks.queries.answer import Answer, answer, like, moment, number
from logontracks.queries.coverage import why_empty
from logontracks.queries.tables import with_tables


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


def events(case: Case, wanted: EventFilter, *, limit: int = 0, for_people: bool = False) -> Answer:
    """Events in the order of time; `for_people`: few columns in words instead of all of them."""
    found = case.read(lambda connection: _events(connection, wanted, limit, for_people=for_people))
    if for_people and not found.total and case.manifest.tables is not None:
        notes, of_tables = with_tables(case, lambda connection: why_empty(connection, wanted.hosts))
        return found.told(*notes, *of_tables)
    return found


def _events(connection: Connection, wanted: EventFilter, limit: int, *, for_people: bool) -> Answer:
    if any("\\" in user or "@" in user for user in wanted.users):
        interruptible(connection, lambda: connection.execute(_DOMAINS))
    where = _where(wanted)
    total = number(connection, f"SELECT COUNT(*) FROM events WHERE {where}")
    limited = f"LIMIT {limit}" if limit else ""
    order = "ORDER BY time, computer_key, channel, record_id, uid, source_sha256, position"
    if for_people:
        query = f"{people_events(connection)} WHERE {where} {order} {limited}"
    else:
        query = f"SELECT * FROM events WHERE {where} {order} {limited}"
    return answer(connection, query, total)


_PEOPLE_COLUMNS = f"""time, computer AS host, event_id AS event, COALESCE(title, provider) AS what,
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
    CASE WHEN target_name IS NOT NULL AND subject_name IS NOT NULL AND (kind NOT IN (4624, 4625, 4627, 4648)
            OR subject_logon_id NOT IN ({", ".join(row["decimal"] for row in catalogue.table("reserved_logon_ids"))}))
        THEN concat_ws(' ', concat_ws('\\', subject_domain, subject_name), printf('0x%x', subject_logon_id))
        END AS "by",
    COALESCE(service_name, target_server || CASE WHEN outgoing THEN ' ' || source_address ELSE '' END, target_server,
        NULLIF(concat_ws('\\', share_name, object_name), ''), member_name, member_sid,
        NULLIF(concat_ws('\\', target_outbound_domain, target_outbound_name), '')) AS object,
    COALESCE(CASE WHEN kind = 4689 THEN printf('exit code 0x%x', status) END, status_words, reason_words,
        CASE WHEN COALESCE(sub_status, status) <> 0
            THEN printf('0x%08x', COALESCE(NULLIF(sub_status, 0), status)) END,
        -- a 4648 is a success even when the logon then fails
        CASE WHEN kind <> 4648 THEN outcome END) AS result
"""
_PEOPLE_ROWS = """FROM (
    -- a 4648 for another host has that host's address where others have the client's
    SELECT *, kind = 4648 AND target_server IS NOT NULL AND target_server <> 'localhost' AS outgoing
    FROM (
        SELECT *, COALESCE(modern_event, event_id) AS kind FROM events
        LEFT JOIN modern ON modern_provider = LOWER(provider) AND modern_of = event_id
    )
)
LEFT JOIN titles ON title_provider = LOWER(provider) AND title_event = event_id
LEFT JOIN logon_words ON logon_code = logon_type
LEFT JOIN status_words ON status_kerberos = (kind BETWEEN 4768 AND 4773)
    AND status_code = COALESCE(NULLIF(sub_status, 0), NULLIF(status, 0))
LEFT JOIN reason_words ON reason_provider = LOWER(provider) AND reason_event = event_id AND reason = reason_code
"""


def people_events(connection: Connection, *more: str) -> str:
    """SQL for events in few columns and words, and `more` columns as they are; conditions and order may follow."""
    _name_codes(connection)
    return f"SELECT {', '.join([_PEOPLE_COLUMNS, *more])} {_PEOPLE_ROWS}"


def _name_codes(connection: Connection) -> None:
    """Small tables that turn event ids and codes into words."""
    old = catalogue.table("legacy_ids")
    modern = [("security", int(row["legacy_id"]), int(row["event_id"])) for row in old]
    titles = [(*key, event.title) for key, event in catalogue.events().items()]
    titles += [("security", int(row["legacy_id"]), row["meaning"]) for row in old]
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
        ("modern", ("modern_provider", "modern_of", "modern_event"), modern),
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
        parts.append(f"time >= {moment(wanted.since)}")
    if wanted.until is not None:
        parts.append(f"time < {moment(wanted.until)}")
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
        (wanted.channels, lambda name: like("LOWER(channel)", f"*{name}*")),
        (wanted.addresses, lambda name: like("LOWER(source_address)", name if "*" in name else address(name) or "")),
    ):
        if names:
            parts.append("(" + " OR ".join(fits(name.lower()) for name in names) + ")")
    return " AND ".join(parts)


def _host_fits(name: str) -> str:
    if "." in name:
        return like("computer_key", name)
    return f"({like('computer_key', name)} OR {like('computer_key', name + '.*')})"


def _user_fits(name: str) -> str:
    if name.startswith("s-1-"):
        columns = ("target_sid", "subject_sid", "record_sid", "member_sid")
        return "(" + " OR ".join(like(column, name.upper()) for column in columns) + ")"
    domain, separator, account = name.partition("\\")
    if not separator:
        account, separator, domain = name.partition("@")
    sides = []
    for side in ("target", "subject"):
        fits = like(f"{side}_name_key", account if separator else name)
        if separator:
            fits += f" AND {_domain_fits(f'{side}_domain_key', domain)}"
        sides.append(f"({fits})")
    if "@" in name:
        sides.append(like("target_name_key", name))  # as somebody typed it at a logon
        sides.append(like("LOWER(user_principal_name)", name))
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
        WHERE {like("ours.domain", domain)}"""
    return f"({like(column, domain)} OR {column} IN ({other}))"
