"""attempts: one row for each record of a failed logon, with the attempt it is of.

One wrong password may be logged by the host (4625), by a controller that was asked for a ticket (4768, 4769, 4771), by
one that checked NTLM (4776), and again by the PDC emulator. Records are joined in the order of time: each to the
earliest attempt on the same name that has no record of its layer yet, lies within 5 s, and does not contradict it by
reason, account, client or type. So the n-th record of one layer meets the n-th of another, and 3,000 guesses stay
3,000. A loop over the failures alone; SQL has no word for the first that is still free.
Reads: authentications, logged, account_lookup, account_names.

Columns:
  attempt_id BIGINT: The attempt: the uid of its record on the host, else of its first one
  uid BIGINT: The record
  layer VARCHAR: host, kerberos, ntlm
"""

from __future__ import annotations

import re
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
_OWN = {"127.0.0.1", "::1", "0.0.0.0", "local"}  # noqa: S104 - compared with, not bound to
_HERE = {2, 7, 10, 11, 12, 13}  # logon types at which the client of Kerberos is the host itself


class Failure(NamedTuple):
    """A record of a failed logon. `moment` is in microseconds."""

    name: str
    moment: int
    uid: int
    layer: str
    host_id: int
    account_id: int | None
    domain: str | None
    code: int
    address: str | None
    workstation: str | None
    logon_type: int | None


@dataclass(slots=True)
class Attempt:
    """Records that tell of one attempt; `reasons` are those that all of them allow."""

    moment: int
    reasons: frozenset[str]
    records: list[Failure] = field(default_factory=list)

    @property
    def id(self) -> int:
        hosts = [record.uid for record in self.records if record.layer == "host"]
        return hosts[0] if hosts else self.records[0].uid


def work(connection: Connection) -> pa.Table:
    """The table, from the failures in the order of time."""
    rows = connection.execute("""
        SELECT COALESCE(e.target_name_key, '') AS name, epoch_us(e.time) AS moment, e.uid, 'host' AS layer, e.host_id,
            COALESCE(n.account_id, l.account_id) AS account_id, e.target_domain_key AS domain,
            CASE WHEN COALESCE(e.sub_status, 0) <> 0 THEN e.sub_status ELSE COALESCE(e.status, 0) END AS code,
            LOWER(e.source_address) AS address, e.workstation_key AS workstation, e.logon_type
        FROM logged AS e
        LEFT JOIN account_names AS n ON n.host_id = e.host_id AND n.sid_written = e.target_sid
            AND n.name_key = e.target_name_key AND COALESCE(n.domain_key, '') = COALESCE(e.target_domain_key, '')
        LEFT JOIN account_lookup AS l ON e.target_sid IS NULL AND l.name_key = e.target_name_key
            AND l.domain_key = e.target_domain_key
        WHERE e.mark = 'failure'
        UNION ALL
        SELECT COALESCE(LOWER(name), ''), epoch_us(time), authentication_id, protocol, host_id, account_id,
            LOWER(domain), COALESCE(status, 0), LOWER(client_address), LOWER(workstation), NULL
        FROM authentications WHERE NOT success
        ORDER BY name, moment, layer, uid""")

    def failures() -> Iterator[Failure]:
        while batch := rows.fetchmany(_BATCH):
            yield from (Failure(*row) for row in batch)

    told = [(attempt.id, record.uid, record.layer) for attempt in attempts(failures()) for record in attempt.records]
    kinds = (("attempt_id", pa.int64()), ("uid", pa.int64()), ("layer", pa.string()))
    columns = [pa.array([row[at] for row in told], kind) for at, (_, kind) in enumerate(kinds)]
    return pa.Table.from_arrays(columns, names=[name for name, _ in kinds])


def attempts(failures: Iterable[Failure]) -> Iterator[Attempt]:
    """Attempts, from failures in the order of name and time."""
    window = int(parameters()["attempt_s"]) * 1_000_000
    for _, own in groupby(failures, key=lambda failure: failure.name):
        open_: list[Attempt] = []
        for record in own:
            while open_ and open_[0].moment < record.moment - window:
                yield open_.pop(0)
            reasons = reasons_of(record.layer, record.code)
            for attempt in open_:
                if _joins(attempt, record, reasons):
                    attempt.records.append(record)
                    attempt.reasons &= reasons
                    break
            else:
                open_.append(Attempt(record.moment, reasons, [record]))
        yield from open_


def _joins(attempt: Attempt, record: Failure, reasons: frozenset[str]) -> bool:
    """Whether a record can be of an attempt: of a layer it has no record of yet, or passed on to another controller."""
    if not attempt.reasons & reasons:
        return False
    same = [other for other in attempt.records if other.layer == record.layer]
    if same:
        return record.layer != "host" and any(_passed_on(other, record) for other in same)
    return all(_agree(other, record) for other in attempt.records)


def _passed_on(one: Failure, other: Failure) -> bool:
    near = abs(one.moment - other.moment) <= int(parameters()["duplicate_s"]) * 1_000_000
    client = (one.address, one.workstation) == (other.address, other.workstation)
    return near and client and one.host_id != other.host_id


def _agree(one: Failure, other: Failure) -> bool:
    """Whether two records of different layers can tell of one attempt, by account and by client."""
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
    """Reasons that a code can mean; a Kerberos code may mean several. A code of no table is a reason of its own."""
    if layer != "kerberos":
        return _of_status().get(code, frozenset({f"0x{code:x}"}))
    told = frozenset(
        row["reason"]
        for row in catalogue.table("failure_reasons")
        if code in {int(each, 16) for each in re.findall(r"0x[0-9a-f]+", row["kdc_code"])}
    )
    return told or frozenset({f"kerberos 0x{code:x}"})


@cache
def _of_status() -> dict[int, frozenset[str]]:
    return {int(row["code"], 16): frozenset({row["reason"]}) for row in catalogue.table("status_codes")}
