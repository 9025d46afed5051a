"""What controllers answered for, and what failed and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, literal
from logontracks.errors import QueryError
from logontracks.forms import address
from logontracks.queries.answer import Answer, like, listed, moment, number
from logontracks.queries.coverage import why_empty
from logontracks.queries.tables import accounts_of, among, answered, hosts_of, many

By = Literal["reason", "user", "source", "host"]
PROTOCOLS = ("kerberos", "ntlm", "ticket_granting", "service", "renewal", "mapping")
"""Protocols, and the steps of Kerberos."""


@dataclass(frozen=True, slots=True)
class AuthenticationFilter:
    """Which authentications are wanted; every part that is given must fit. Times are naive UTC.

    `hosts` are those that answered, `services` accounts or hosts that a ticket is for. `result` is success, failure, or
    text that the result holds.
    """

    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    protocol: str | None = None
    result: str | None = None
    services: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    weak: bool = False
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class FailureFilter:
    """Which failures are wanted; every part that is given must fit. `hosts` are those that were to be logged on to."""

    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    reason: str | None = None
    noise: bool = False
    since: datetime | None = None
    until: datetime | None = None


_AUTHENTICATION = """a.time, a.account, words(a.step) AS step,
    CASE WHEN a.service_kind = 'computer' THEN a.service_host
        WHEN a.service_kind = 'tickets' AND a.step = 'service' THEN 'krbtgt'
        WHEN a.service_kind IN ('account', 'referral') THEN a.service_name END AS service,
    CASE WHEN a.client_address IN ('::1', '127.0.0.1') THEN 'the controller'
        ELSE COALESCE(a.client_address, a.workstation) END AS client,
    (SELECT MIN(short(d.host)) FROM addresses AS d WHERE d.address = a.client_address AND NOT d.conflict
        AND a.time BETWEEN d.held_from AND d.held_until) AS machine,
    short(a.controller) AS controller, a.result, a.ticket_encryption AS ticket, a.pre_auth, a.weak,
    words(a.delegation) AS delegation,
    CASE WHEN a.scope = 'local' THEN 'local account' END AS scope"""


def authentications(
    case: Case, wanted: AuthenticationFilter, *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """Authentications in the order of time; `for_people` without those of computers unless `everything` or named.

    Raises CaseError when the tables have not been worked out.
    """

    def asked(connection: Connection) -> Answer:
        where, notes = _authentications_where(connection, wanted)
        rows = f"FROM authentications AS a WHERE {where}"
        if for_people and not everything and not wanted.users:
            left = number(connection, f"SELECT COUNT(*) {rows} AND a.name LIKE '%$'")
            rows += " AND COALESCE(a.name, '') NOT LIKE '%$'"
            if left:
                told = f"{many(left, 'authentication')} of computers and managed services left out: --all shows all."
                notes = (*notes, told)
        columns = _AUTHENTICATION if for_people else "a.*"
        found = listed(connection, columns, rows, "a.time, a.authentication_id", limit).told(*notes)
        return found if found.total or not for_people else found.told(*why_empty(connection, wanted.hosts))

    return answered(case, asked)


def _authentications_where(connection: Connection, wanted: AuthenticationFilter) -> tuple[str, tuple[str, ...]]:
    parts, notes = _common(connection, wanted, "a", "time", "time")
    if wanted.hosts:
        hosts, told = hosts_of(connection, wanted.hosts)
        parts.append(among("a.host_id", hosts))
        notes += told
    if wanted.protocol:
        name = wanted.protocol.lower().replace("-", "_").replace(" ", "_")
        if name not in PROTOCOLS:
            raise QueryError(f"no protocol or step {wanted.protocol!r}", f"these are: {', '.join(PROTOCOLS)}")
        parts.append(f"(a.protocol = {literal(name)} OR a.step = {literal(name)})")
    if wanted.result:
        if wanted.result.lower() in {"success", "failure"}:
            parts.append("a.success" if wanted.result.lower() == "success" else "NOT a.success")
        else:
            parts.append(like("LOWER(a.result)", f"*{wanted.result.lower()}*"))
    if wanted.services:
        fits = (f"({like('LOWER(a.service_name)', s.lower())} OR {like('LOWER(a.service_host)', s.lower())})"
                for s in wanted.services)  # fmt: skip
        parts.append("(" + " OR ".join(fits) + ")")
    if wanted.addresses:
        parts.append(_address_fits(("a.client_address", "a.workstation"), wanted.addresses))
    if wanted.weak:
        parts.append("a.weak IS NOT NULL")
    return " AND ".join(parts), notes


def failures(
    case: Case, wanted: FailureFilter, *, by: By | None = None, limit: int = 0, for_people: bool = False
) -> Answer:
    """Failed attempts in the order of time, or counted `by` one thing, the most first.

    Raises CaseError when the tables have not been worked out.
    """

    def asked(connection: Connection) -> Answer:
        where, notes = _failures_where(connection, wanted)
        if not wanted.noise:
            attempts = "SELECT COALESCE(SUM(f.attempts), 0) FROM failures AS f"
            left = number(connection, f"{attempts} WHERE {where} AND f.noise IS NOT NULL")
            if left:
                notes = (*notes, f"{many(left, 'attempt')} of likely noise left out: --noise shows all.")
            where += " AND f.noise IS NULL"
        query = _counted(by, where) if by else _failed(where, for_people=for_people)
        order = "attempts DESC, 1" if by else "first_time, failure_id"
        found = listed(connection, "*", f"FROM ({query})", order, limit).told(*notes)
        return found if found.total or not for_people else found.told(*why_empty(connection, wanted.hosts))

    return answered(case, asked)


def _failed(where: str, *, for_people: bool) -> str:
    if not for_people:
        return f"SELECT f.* REPLACE (told_failure(f.failure_id) AS failure_id) FROM failures AS f WHERE {where}"
    return f"""
        SELECT f.first_time, NULLIF(f.last_time, f.first_time) AS last_time, f.attempts, f.account,
            COALESCE(short(f.target_host), '(only ' || short(f.controller) || ' tells)') AS host,
            {FAILED_FROM} AS source, COALESCE(y.symbol, CAST(f.logon_type AS VARCHAR)) AS logon, f.reason, f.codes,
            f.noise, told_failure(f.failure_id)[:10] AS failure_id
        FROM failures AS f LEFT JOIN logon_words AS y ON y.code = f.logon_type WHERE {where}"""


# Where a client tells no address, the name it claims may be that of the host: at a desktop it is the host, over the
# network a program on it, but over remote desktop it is what the host calls itself and says nothing of the client.
_HERE = "LOWER(COALESCE(f.workstation, '')) = LOWER(split_part(COALESCE(f.target_host, ''), '.', 1))"
_OWN = f"""(COALESCE(f.source_address, '') IN ('127.0.0.1', '::1')
    OR (f.source_address IS NULL AND f.workstation IS NOT NULL AND {_HERE} AND f.logon_type <> 10))"""
FAILED_FROM = f"""CASE WHEN {_OWN} THEN CASE WHEN f.target_host IS NULL THEN 'the controller' ELSE 'the host itself' END
    WHEN f.source_address IS NULL AND {_HERE} THEN NULL
    WHEN f.workstation IS NOT NULL AND f.source_address IS NOT NULL THEN f.source_address || ' ' || f.workstation
    ELSE COALESCE(f.source_address, f.workstation) END"""
"""SQL: where a failed attempt came from, in words; NULL where nothing tells."""


def _counted(by: By, where: str) -> str:
    """SQL for attempts counted by one thing. That many hosts each tried at their own keyboard is no common source."""
    account, host = "COALESCE(f.account, '(none)')", "COALESCE(short(f.target_host), '(only controllers tell)')"
    itself = f"CASE WHEN {_OWN} THEN short(COALESCE(f.target_host, f.controller)) || ' itself' END"
    source = f"COALESCE({itself}, {FAILED_FROM})"
    key, shown, name = {
        "reason": ("f.reason", "f.reason", "reason"),
        "user": (f"LOWER({account})", account, "account"),
        "source": (source, f"COALESCE({source}, '(not told)')", "source"),
        "host": ("f.target_host_id", host, "host"),
    }[by]
    counts = [
        f"COUNT(DISTINCT {what}) AS {of}s"
        for of, what in (
            ("account", f"LOWER({account})"),
            ("source", source),
            ("host", "f.target_host_id"),
        )
        if of != name
    ]
    return f"""
        SELECT MIN({shown}) AS {name}, SUM(f.attempts)::BIGINT AS attempts, {", ".join(counts)},
            MIN(f.first_time) AS first_time, MAX(f.last_time) AS last_time
        FROM failures AS f WHERE {where} GROUP BY {key}"""


def _failures_where(connection: Connection, wanted: FailureFilter) -> tuple[str, tuple[str, ...]]:
    parts, notes = _common(connection, wanted, "f", "first_time", "last_time")
    if wanted.hosts:
        hosts, told = hosts_of(connection, wanted.hosts)
        parts.append(among("f.target_host_id", hosts))
        notes += told
    if wanted.addresses:
        parts.append(_address_fits(("f.source_address", "f.workstation"), wanted.addresses))
    if wanted.reason:
        text = wanted.reason.lower()
        parts.append(
            f"({like('LOWER(f.reason)', f'*{text}*')} OR {like('f.reason_key', text.replace(' ', '_'))}"
            f" OR {like('f.codes', f'*{text}*')})"
        )
    return " AND ".join(parts), notes


def _common(
    connection: Connection, wanted: AuthenticationFilter | FailureFilter, table: str, first: str, last: str
) -> tuple[list[str], tuple[str, ...]]:
    """Conditions on account and time. A name that no account has may still be what somebody typed."""
    parts = ["TRUE"]
    notes: tuple[str, ...] = ()
    since, until = wanted.since, wanted.until
    if wanted.users:
        found: list[int] = []
        typed: list[str] = []
        for user in wanted.users:
            accounts, told = accounts_of(connection, (user,))
            found += accounts
            domain, separator, name = user.lower().rpartition("\\")
            if not user.lower().startswith("s-1-"):
                fits = like(f"LOWER({table}.name)", name if separator else name.partition("@")[0])
                fits += f" AND {like(f'LOWER({table}.domain)', domain)}" if separator else ""
                typed.append(f"({table}.account_id IS NULL AND {fits})")
            notes += told if accounts else ()
        parts.append("(" + " OR ".join([among(f"{table}.account_id", found), *typed]) + ")")
    if since is not None:
        parts.append(f"{table}.{last} >= {moment(since)}")
    if until is not None:
        parts.append(f"{table}.{first} < {moment(until)}")
    return parts, notes


def _address_fits(columns: tuple[str, ...], addresses: tuple[str, ...]) -> str:
    wanted = (one.lower() if "*" in one else (address(one) or one).lower() for one in addresses)
    return "(" + " OR ".join(like(f"LOWER({column})", one) for one in wanted for column in columns) + ")"
