"""What controllers answered for, and what failed and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, interruptible, literal
from logontracks.forms import address
from logontracks.queries.answer import Answer, answer, like
from logontracks.queries.coverage import why_empty
from logontracks.queries.tables import accounts_of, among, hosts_of, with_tables

By = Literal["reason", "user", "source", "host"]


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
        if for_people and not everything and not wanted.users:
            left = f"SELECT COUNT(*) FROM authentications AS a WHERE {where} AND a.name LIKE '%$'"
            count = interruptible(connection, lambda: connection.execute(left).fetchall()[0][0])
            where += " AND COALESCE(a.name, '') NOT LIKE '%$'"
            if count:
                notes = (*notes, f"{count:,} authentications of computers are left out: --all shows them.")
        rows = f"FROM authentications AS a WHERE {where}"
        total = interruptible(connection, lambda: connection.execute(f"SELECT COUNT(*) {rows}").fetchall()[0][0])
        limited = f"LIMIT {limit}" if limit else ""
        columns = _AUTHENTICATION if for_people else "a.*"
        if for_people and not total:
            notes = (*notes, *why_empty(connection, wanted.hosts))
        return answer(
            connection, f"SELECT {columns} {rows} ORDER BY a.time, a.authentication_id {limited}", total
        ).told(*notes)

    found, notes = with_tables(case, asked)
    return found.told(*notes)


def _authentications_where(connection: Connection, wanted: AuthenticationFilter) -> tuple[str, tuple[str, ...]]:
    parts, notes = _common(connection, wanted, "a", "time", "time")
    if wanted.hosts:
        hosts, told = hosts_of(connection, wanted.hosts)
        parts.append(among("a.host_id", hosts))
        notes += told
    if wanted.protocol:
        name = wanted.protocol.lower().replace("-", "_").replace(" ", "_")
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
            count = interruptible(connection, lambda: connection.execute(f"""
                SELECT COALESCE(SUM(f.attempts), 0)::BIGINT FROM failures AS f WHERE {where} AND f.noise IS NOT NULL
                """).fetchall()[0][0])  # fmt: skip
            if count:
                notes = (*notes, f"{count:,} attempts that are likely noise are left out: --noise shows them.")
            where += " AND f.noise IS NULL"
        query = _counted(by, where) if by else _failed(where, for_people=for_people)
        total = interruptible(
            connection, lambda: connection.execute(f"SELECT COUNT(*) FROM ({query})").fetchall()[0][0]
        )
        if for_people and not total:
            notes = (*notes, *why_empty(connection, wanted.hosts))
        order = "attempts DESC, 1" if by else "first_time, failure_id"
        limited = f"LIMIT {limit}" if limit else ""
        return answer(connection, f"SELECT * FROM ({query}) ORDER BY {order} {limited}", total).told(*notes)

    found, notes = with_tables(case, asked)
    return found.told(*notes)


def _failed(where: str, *, for_people: bool) -> str:
    if not for_people:
        return f"SELECT f.* REPLACE (told_failure(f.failure_id) AS failure_id) FROM failures AS f WHERE {where}"
    return f"""
        SELECT f.first_time, NULLIF(f.last_time, f.first_time) AS last_time, f.attempts, f.account,
            COALESCE(short(f.target_host), '(only ' || short(f.controller) || ' tells)') AS host, {_SOURCE} AS source,
            COALESCE(y.symbol, CAST(f.logon_type AS VARCHAR)) AS logon, f.reason, f.codes, f.noise,
            told_failure(f.failure_id)[:10] AS failure_id
        FROM failures AS f LEFT JOIN logon_words AS y ON y.code = f.logon_type WHERE {where}"""


_SOURCE = """CASE WHEN f.source_address IN ('127.0.0.1', '::1') THEN 'the host itself'
    WHEN f.workstation IS NOT NULL AND f.source_address IS NOT NULL THEN f.source_address || ' ' || f.workstation
    ELSE COALESCE(f.source_address, f.workstation) END"""


def _counted(by: By, where: str) -> str:
    key = {
        "reason": "f.reason AS reason",
        "user": "COALESCE(f.account, '(none)') AS account",
        "source": f"COALESCE({_SOURCE}, '(not told)') AS source",
        "host": "COALESCE(short(f.target_host), '(only controllers tell)') AS host",
    }[by]
    counts = [
        f"COUNT(DISTINCT {what}) AS {name}"
        for name, what in (
            ("accounts", "LOWER(COALESCE(f.name, ''))"),
            ("sources", "COALESCE(f.source_address, f.workstation)"),
            ("hosts", "f.target_host_id"),
        )
        if name != {"user": "accounts", "source": "sources", "host": "hosts"}.get(by)
    ]
    return f"""
        SELECT {key}, SUM(f.attempts)::BIGINT AS attempts, {", ".join(counts)},
            MIN(f.first_time) AS first_time, MAX(f.last_time) AS last_time
        FROM failures AS f WHERE {where} GROUP BY 1"""


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
        parts.append(f"{table}.{last} >= TIMESTAMP {literal(since.isoformat(' '))}")
    if until is not None:
        parts.append(f"{table}.{first} < TIMESTAMP {literal(until.isoformat(' '))}")
    return parts, notes


def _address_fits(columns: tuple[str, ...], addresses: tuple[str, ...]) -> str:
    wanted = (one.lower() if "*" in one else (address(one) or one).lower() for one in addresses)
    return "(" + " OR ".join(like(f"LOWER({column})", one) for one in wanted for column in columns) + ")"
