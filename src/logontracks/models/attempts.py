"""attempts: one row for each record of a failed logon, with the attempt it is of.

One wrong password may be logged by the host (4625), by a controller that was asked for a ticket (4768, 4769, 4771), by
one that checked NTLM (4776, and 4030 to 4033), and again by the PDC emulator. Records are joined in the order of time:
each to the earliest attempt on the same name that has no record of its layer yet, lies within 5 s, and does not
contradict it by reason, account, client or type. So the n-th record of one layer meets the n-th of another, and 3,000
guesses stay 3,000. Clocks that are known to differ are compared
as if they did not. A loop over the failures alone; SQL has no word for the first that is still free.
A row has the attempt (the uid of its record on the host, else of its first one), the record, its layer, place (1 for
the first record of its layer), and the one reason that all records of the attempt allow, NULL where they leave several.
Reads: authentications, logged, account_lookup, account_names, skews.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from logontracks import catalogue
from logontracks.models import parameters

if TYPE_CHECKING:
    from logontracks.engines.duckdb import Connection

_BATCH = 50_000
_TYPES = pa.schema(
    [
        ("attempt_id", pa.int64()),
        ("uid", pa.int64()),
        ("layer", pa.string()),
        ("place", pa.int32()),
        ("reason", pa.string()),
    ]
)
_NAME = "COALESCE(CASE WHEN POSITION('@' IN {0}) > 1 THEN LOWER(split_part({0}, '@', 1)) ELSE LOWER({0}) END, '')"
"""SQL for a name as records of all layers have it: a host may have it as name@domain, as it was typed."""
_OWN = {"127.0.0.1", "::1", "0.0.0.0", "local"}  # noqa: S104 - compared with, not bound to
_HERE = {2, 7, 10, 11, 12, 13}  # logon types at which the client of Kerberos is the host itself
_REMEMBERED = {11, 12, 13}  # logon types at which the host compares with what it remembers, and asks nobody


class Failure(NamedTuple):
    """A record of a failed logon. `moment` is in microseconds, by the clock of most hosts."""

    name: str
    moment: int
    uid: int
    layer: str
    host_id: int
    account_id: int | None
    code: int
    address: str | None
    workstation: str | None
    logon_type: int | None


@dataclass(slots=True)
class Attempt:
    """Records that tell of one attempt; `reasons` are those that all of them allow, `told_by` who told already."""

    moment: int
    reasons: frozenset[str]
    records: list[Failure] = field(default_factory=list)
    told_by: set[object] = field(default_factory=set)

    @property
    def id(self) -> int:
        hosts = [record.uid for record in self.records if record.layer == "host"]
        return hosts[0] if hosts else self.records[0].uid


def work(connection: Connection) -> pa.Table:
    """The table, from the failures in the order of time."""
    rows = connection.execute(f"""
        SELECT {_NAME.format("e.target_name")} AS name, epoch_us(e.time) - COALESCE(k.skew_us, 0) AS moment,
            e.uid, 'host' AS layer, e.host_id,
            COALESCE(n.account_id, l.account_id) AS account_id,
            CASE WHEN COALESCE(e.sub_status, 0) <> 0 THEN e.sub_status ELSE COALESCE(e.status, 0) END AS code,
            LOWER(e.source_address) AS address, e.workstation_key AS workstation, e.logon_type
        FROM logged AS e
        LEFT JOIN account_names AS n ON n.host_id = e.host_id AND n.sid_written = e.target_sid
            AND n.name_key = e.target_name_key AND COALESCE(n.domain_key, '') = COALESCE(e.target_domain_key, '')
        LEFT JOIN account_lookup AS l ON e.target_sid IS NULL AND l.name_key = e.target_name_key
            AND l.domain_key = COALESCE(e.target_domain_key, '')
        LEFT JOIN skews AS k ON k.host_id = e.host_id AND k.day = CAST(e.time AS DATE)
        WHERE e.mark = 'failure'
        UNION ALL
        SELECT {_NAME.format("a.name")}, epoch_us(a.time) - COALESCE(k.skew_us, 0), authentication_id,
            CASE WHEN protocol = 'ntlm' AND event_id NOT IN (680, 681, 4776) THEN 'ntlm_audit' ELSE protocol END,
            a.host_id, account_id,
            COALESCE(status, 0), LOWER(client_address), LOWER(workstation), NULL
        FROM authentications AS a LEFT JOIN skews AS k ON k.host_id = a.host_id AND k.day = CAST(a.time AS DATE)
        WHERE NOT success AND step <> 'mapping' AND event_id NOT BETWEEN 4020 AND 4023
        ORDER BY name, moment, layer, uid""")

    def failures() -> Iterator[Failure]:
        while batch := rows.fetchmany(_BATCH):
            yield from (Failure(*row) for row in batch)

    told: list[tuple[object, ...]] = []
    for attempt in attempts(failures()):
        reason = next(iter(attempt.reasons)) if len(attempt.reasons) == 1 else None
        places: Counter[str] = Counter()
        for record in attempt.records:
            places[record.layer] += 1
            told.append((attempt.id, record.uid, record.layer, places[record.layer], reason))
    return pa.Table.from_arrays(
        [pa.array([row[at] for row in told], field.type) for at, field in enumerate(_TYPES)], schema=_TYPES
    )


def attempts(failures: Iterable[Failure]) -> Iterator[Attempt]:
    """Attempts, from failures in the order of name and time."""
    window = int(parameters()["attempt_s"]) * 1_000_000
    for _, own in groupby(failures, key=lambda failure: failure.name):
        open_: deque[Attempt] = deque()
        for record in own:
            while open_ and open_[0].moment < record.moment - window:
                yield open_.popleft()
            reasons = reasons_of(record.layer, record.code)
            # one host tells of an attempt, and each controller once: of thousands of guesses most are passed over here
            teller = record.layer if record.layer == "host" else (record.layer, record.host_id)
            for attempt in open_:
                if teller not in attempt.told_by and _joins(attempt, record, reasons):
                    attempt.records.append(record)
                    attempt.reasons &= reasons
                    attempt.told_by.add(teller)
                    break
            else:
                open_.append(Attempt(record.moment, reasons, [record], {teller}))
        yield from open_


def _joins(attempt: Attempt, record: Failure, reasons: frozenset[str]) -> bool:
    """Whether a record can be of an attempt: of a layer it has no record of yet, or passed on to another controller."""
    if not attempt.reasons & reasons:
        return False
    same = [other for other in attempt.records if other.layer == record.layer]
    if same:
        return _passed_on(same, record)
    return all(_agree(other, record) for other in attempt.records)


def _passed_on(same: list[Failure], record: Failure) -> bool:
    """Whether a record of another controller tells the same again."""
    near = int(parameters()["duplicate_s"]) * 1_000_000
    return all(
        record.moment - other.moment <= near
        and (other.account_id, other.address, other.workstation)
        == (record.account_id, record.address, record.workstation)
        for other in same
    )


def _agree(one: Failure, other: Failure) -> bool:
    """Whether two records of different layers can tell of one attempt, by account, by type and by client."""
    if _REMEMBERED & {one.logon_type, other.logon_type}:
        return False
    if one.account_id is not None and other.account_id is not None and one.account_id != other.account_id:
        return False
    if one.workstation and other.workstation and _short(one.workstation) != _short(other.workstation):
        return False
    if one.address in _OWN or other.address in _OWN or not one.address or not other.address:
        return True
    if _HERE & {one.logon_type, other.logon_type}:
        return True  # the client of Kerberos is the host, the address of the 4625 is who sits before it
    return one.address == other.address


def _short(name: str) -> str:
    return name.lstrip("\\").partition(".")[0][:15]


@cache
def reasons_of(layer: str, code: int) -> frozenset[str]:
    """Reasons that a code can mean. A code of no table is a reason of its own, as is one that mostly means others."""
    rows = catalogue.table("failure_reasons")
    if layer != "kerberos":
        told = {row["reason"] for row in rows if code in _codes(row["host_status"])}
        return frozenset(told | _of_status().get(code, {f"0x{code:x}"}))
    fitting = [row for row in rows if code in _codes(row["kdc_code"])]
    told = {row["reason"] for row in fitting}
    if not fitting or any(row["kdc_event"].startswith("none") for row in fitting):
        told.add(f"kerberos_0x{code:x}")
    return frozenset(told)


def _codes(text: str) -> set[int]:
    return {int(each, 16) for each in re.findall(r"0x[0-9a-f]+", text)}


@cache
def _of_status() -> dict[int, set[str]]:
    return {int(row["code"], 16): {row["reason"]} for row in catalogue.table("status_codes")}
