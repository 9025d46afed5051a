"""boots: one row for each life of a host between two starts, and how its end is known.

Each kind of evidence is enough alone; several of one start are told as one. Each channel is cut in its own order, as
record ids of two channels cannot be compared, and the cuts are then aligned by the time of the start. Fast startup and
hibernation are no boots: the kernel and its logon ids go on. A row is also made for the life that the logs begin in.
Times are as logged, so that a life whose clock was set back may end before it starts.
Reads: boot_evidence, logged, host_names.

Columns:
  boot_id BIGINT: Identity of the boot, from its first evidence; no other row of any table has the same
  host_id BIGINT: The host
  host VARCHAR: Name of the host at that time
  boot_no INTEGER: 1 for the first life of the host that the logs tell of
  start_time TIMESTAMP: Start of the host; NULL when the logs begin later
  started_by VARCHAR: Marks of the start, separated by blanks: see the table of marks
  end_time TIMESTAMP: End, exact for a shutdown, else the last sign of life; NULL while the host runs on
  end_time_min TIMESTAMP: Earliest time of an end that is bounded
  end_time_max TIMESTAMP: Latest one; NULL where the next start is unknown or by its clock lies before the last sign
  end_kind VARCHAR: shutdown, crash, restart (only the next start is known), running (the logs end before the host)
  end_certainty VARCHAR: exact, bounded, unknown
  ended_by VARCHAR: Marks of the end
  last_stop_time TIMESTAMP: Latest of the times that a clean shutdown is told with
  last_time TIMESTAMP: Last record of the life
  security_from BIGINT: Place in the order of the Security log at which the life begins; NULL for the first one
  security_until BIGINT: Place at which the next one begins; NULL for the last one
  system_from BIGINT: Place in the order of the System log at which it begins; NULL where that log does not tell
  system_until BIGINT: Place there at which a later life begins
  start_uid BIGINT: Record that tells of the start
  end_uid BIGINT: Record that tells of the end
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from logontracks.models.starts import (
    COLD,
    LATE_RECORDS,
    SYSTEM,
    SYSTEM_STARTS,
    Sign,
    Start,
    aligned,
    seconds,
    security_starts,
    system_starts,
)

if TYPE_CHECKING:
    from logontracks.engines.duckdb import Connection

STOPS = {"audit_stop", "log_stop", "system_stop"}
NOWHERE = 1 << 62  # a place behind every record


@dataclass
class Life:
    """A life of a host. Places are in the order of the Security log, times as logged."""

    security: Start | None = None
    system: Start | None = None
    place: int | None = None  # where it begins; None for the one that the logs begin in
    claim: datetime | None = None
    stops: list[Sign] = field(default_factory=list)
    asked: list[Sign] = field(default_factory=list)
    host: str | None = None
    first_uid: int | None = None
    last_uid: int | None = None
    first_time: datetime | None = None
    last_time: datetime | None = None
    place_empty: bool = True  # the Security log has no record of it

    @property
    def marks(self) -> list[str]:
        return sorted({mark for start in (self.security, self.system) if start for mark in start.marks})

    @property
    def start_time(self) -> datetime | None:
        starts = [start for start in (self.security, self.system) if start]
        told = [start.claim for start in starts if start.claim]
        seen = [start.time for start in starts if set(start.marks) - {"ids_fell"}]
        return told[0] if told else min(seen) if seen else self.claim


class Ask(NamedTuple):
    """Where is the first Security record of a host after a place and a time, before another place?"""

    host_id: int
    after: int
    until: int
    time: datetime
    logons_only: bool


def work(connection: Connection) -> pa.Table:
    """The table, from the evidence."""
    rows = connection.execute("""
        SELECT host_id, channel, mark, seq, seq_last, seq_before, time, uid, uptime_s, boot_type, records, claim,
            step_us
        FROM boot_evidence WHERE mark <> 'clock' OR ABS(step_us) >= 1000000
        ORDER BY host_id, seq, uid, mark""").fetchall()
    hosts = {host: [Sign(*row) for row in own] for host, own in groupby(rows, key=lambda row: row[0])}
    hosts |= {host: [] for (host,) in connection.execute("SELECT DISTINCT host_id FROM logged").fetchall()
              if host not in hosts}  # fmt: skip
    lives = {host: _lives(signs) for host, signs in sorted(hosts.items())}
    _place_starts(connection, lives)
    for host, own in lives.items():
        _assign_stops(own, hosts[host])
    _cut_after_stops(connection, lives)
    _last_signs(connection, lives)
    told = [row for host, own in lives.items() for row in _rows(host, own)]
    return pa.Table.from_pylist(told, schema=_TYPES)


def _lives(signs: list[Sign]) -> list[Life]:
    """Lives of one host in their order; the first is the one that the logs begin in, and may turn out to be empty."""
    security = [sign for sign in signs if sign.channel != SYSTEM]
    system = [sign for sign in signs if sign.channel == SYSTEM]
    pairs = aligned(security_starts(security), system_starts(system))
    found = [Life(), *(Life(ours, theirs, ours.seq if ours else None) for ours, theirs in pairs)]
    hint = min((sign for sign in security if sign.mark == "hint"), key=lambda sign: sign.seq, default=None)
    uptime = next((sign for sign in system if sign.mark == "uptime"), None)
    if hint and not any(
        (life.place is not None and life.place <= hint.seq) or _is_start_of(life, hint.claim) for life in found
    ):
        found[0].claim = hint.claim
    elif uptime and not any(life.system and life.system.seq <= uptime.seq for life in found):
        found[0].claim = uptime.time - timedelta(seconds=uptime.uptime_s or 0)
    return found


def _is_start_of(life: Life, claim: datetime | None) -> bool:
    """Whether the System log tells of the start that a hint claims: then the Security log begins in that life."""
    return bool(life.system and claim and abs(life.system.moment - claim) <= seconds("boot_clock_s"))


def _place_starts(connection: Connection, lives: dict[int, list[Life]]) -> None:
    """A start that only the System log or a hint tells of cuts the Security log at its time, between the starts around
    it."""
    asked: list[tuple[Life, Ask]] = []
    for host, own in lives.items():
        for at, life in enumerate(own):
            if life.system and not life.security:
                before = max((other.place for other in own[:at] if other.place is not None), default=-1)
                after = min((other.place for other in own[at:] if other.place is not None), default=NOWHERE)
                asked.append((life, Ask(host, before, after, life.system.moment, logons_only=False)))
            elif life.security and life.security.after is not None and life.security.claim:
                # half of all records have no hint: those before the first that has, and after the start
                ask = Ask(host, life.security.after, life.security.seq, life.security.claim, logons_only=False)
                asked.append((life, ask))
    for (life, ask), place in zip(asked, _first_after(connection, [ask for _, ask in asked]), strict=True):
        life.place = ask.until if place is None else place


def _assign_stops(own: list[Life], signs: list[Sign]) -> None:
    """Each stop to the life that it ends: its place tells. Only the kernel's last words may stand behind the first of
    the next life, which the event log service writes before it has them."""
    for sign in signs:
        if sign.mark not in STOPS and (sign.mark != "shutdown_asked" or _only_slept(sign, signs)):
            continue
        if sign.channel == SYSTEM:
            at = max(n for n, life in enumerate(own) if n == 0 or (life.system and life.system.seq <= sign.seq))
            start = own[at].system
            if at and start and sign.mark == "system_stop" and sign.seq - start.seq <= LATE_RECORDS:
                at -= not any(stop.mark == "system_stop" for stop in own[at - 1].stops)
        else:
            at = max(n for n, life in enumerate(own) if n == 0 or (life.place is not None and life.place <= sign.seq))
        (own[at].stops if sign.mark in STOPS else own[at].asked).append(sign)


def _only_slept(ask: Sign, signs: list[Sign]) -> bool:
    """Whether the shutdown that was asked for was a fast startup's: the kernel went to sleep, and woke up."""
    starts = (sign for sign in signs if sign.mark in SYSTEM_STARTS and sign.channel == ask.channel)
    next_ = min((sign for sign in starts if sign.seq > ask.seq), key=lambda sign: sign.seq, default=None)
    return next_ is not None and next_.mark == "boot_type" and next_.boot_type not in COLD


def _cut_after_stops(connection: Connection, lives: dict[int, list[Life]]) -> None:
    """A stop with no start after it is evidence of one: who logs on later does so in a new life."""
    asked: list[tuple[int, Life, Sign, Ask]] = []
    for host, own in lives.items():
        for at, life in enumerate(own):
            until = next((other.place for other in own[at + 1 :] if other.place is not None), NOWHERE)
            by_audit = [sign for sign in life.stops if sign.mark == "audit_stop"]
            for sign in by_audit:
                ask = Ask(host, sign.seq, until, sign.time + seconds("boot_quiet_s"), logons_only=False)
                asked.append((host, life, sign, ask))
            if at + 1 < len(own) or by_audit:
                continue
            from_ = life.place or -1
            for sign in life.stops or life.asked:
                wait = seconds("boot_quiet_s" if sign.mark in STOPS else "shutdown_asked_s")
                asked.append((host, life, sign, Ask(host, from_, until, sign.time + wait, sign.mark not in STOPS)))
    places = _first_after(connection, [ask for *_, ask in asked])
    outlived = _outlived(connection, [(ask, place) for (*_, ask), place in zip(asked, places, strict=True)])
    for (host, life, sign, _), place, ran_on in zip(asked, places, outlived, strict=True):
        own = lives[host]
        if place is None or ran_on or any(other.place == place for other in own):
            continue
        behind = Life(place=place, stops=[s for s in life.stops if s.time > sign.time + seconds("boot_kin_s")])
        life.stops = [s for s in life.stops if s not in behind.stops]
        own.insert(own.index(life) + 1, behind)


def _first_after(connection: Connection, asks: list[Ask]) -> list[int | None]:
    """Answers to the questions, in their order."""
    if not asks:
        return []
    table = pa.table(
        {
            "n": pa.array(range(len(asks)), pa.int64()),
            "host_id": pa.array([ask.host_id for ask in asks], pa.int64()),
            "after": pa.array([ask.after for ask in asks], pa.int64()),
            "until": pa.array([ask.until for ask in asks], pa.int64()),
            "moment": pa.array([ask.time for ask in asks], pa.timestamp("us")),
            "logons_only": pa.array([ask.logons_only for ask in asks], pa.bool_()),
        }
    )
    connection.register("asks", table)
    found = dict(
        connection.execute("""
            SELECT a.n, MIN(e.seq) FROM asks AS a
            JOIN logged AS e ON e.host_id = a.host_id AND e.seq > a.after AND e.seq < a.until AND e.time >= a.moment
            WHERE e.channel = 'Security' AND (e.mark = 'logon' OR NOT a.logons_only)
            GROUP BY a.n""").fetchall()
    )
    connection.unregister("asks")
    return [found.get(n) for n in range(len(asks))]


def _outlived(connection: Connection, cuts: list[tuple[Ask, int | None]]) -> list[bool]:
    """Whether a session from before the place is used behind it: then the host that was asked to stop never did."""
    asked = [(n, ask, place) for n, (ask, place) in enumerate(cuts) if ask.logons_only and place is not None]
    if not asked:
        return [False] * len(cuts)
    table = pa.table(
        {
            "n": pa.array([n for n, *_ in asked], pa.int64()),
            "host_id": pa.array([ask.host_id for _, ask, _ in asked], pa.int64()),
            "after": pa.array([ask.after for _, ask, _ in asked], pa.int64()),
            "place": pa.array([place for *_, place in asked], pa.int64()),
            "until": pa.array([ask.until for _, ask, _ in asked], pa.int64()),
        }
    )
    connection.register("cuts", table)
    found = connection.execute("""
        SELECT DISTINCT n FROM (
            SELECT c.n, e.target_logon_id,
                MAX(CASE WHEN e.seq < c.place AND e.mark = 'logon' THEN 1 ELSE 0 END) AS before,
                MIN(CASE WHEN e.seq >= c.place AND e.mark = 'logon' THEN e.seq END) AS anew,
                MIN(CASE WHEN e.seq >= c.place AND e.mark <> 'logon' THEN e.seq END) AS used
            FROM cuts AS c
            JOIN logged AS e ON e.host_id = c.host_id AND e.seq >= c.after AND e.seq < c.until
            WHERE e.channel = 'Security' AND e.target_logon_id IS NOT NULL AND e.mark IS NOT NULL
            GROUP BY c.n, e.target_logon_id) AS ids
        WHERE before = 1 AND used IS NOT NULL AND (anew IS NULL OR used < anew)""").fetchall()
    connection.unregister("cuts")
    return [n in {n for (n,) in found} for n in range(len(cuts))]


def _last_signs(connection: Connection, lives: dict[int, list[Life]]) -> None:
    """First and last record of each life: in the order of the Security log, and by time in the others where no clock
    was set so that times of two lives mix."""
    spans = [(host, at, *_places(own, at), *_window(own, at)) for host, own in lives.items() for at in range(len(own))]
    names = ("host_id", "life", "from_seq", "until_seq", "from_time", "until_time")
    kinds = (pa.int64(), pa.int64(), pa.int64(), pa.int64(), pa.timestamp("us"), pa.timestamp("us"))
    columns = [pa.array([span[at] for span in spans], kind) for at, kind in enumerate(kinds)]
    connection.register("spans", pa.Table.from_arrays(columns, names=list(names)))
    rows = connection.execute("""
        WITH ends AS (
            SELECT s.host_id, s.life, MIN(e.seq) AS first_seq, MAX(e.seq) AS last_seq FROM spans AS s
            JOIN logged AS e ON e.host_id = s.host_id AND e.seq >= s.from_seq AND e.seq < s.until_seq
            WHERE e.channel = 'Security' GROUP BY s.host_id, s.life),
        others AS (
            SELECT s.host_id, s.life, MIN(e.time) AS first_time, MAX(e.time) AS last_time FROM spans AS s
            JOIN logged AS e ON e.host_id = s.host_id AND e.time >= s.from_time AND e.time < s.until_time
            WHERE e.channel <> 'Security' GROUP BY s.host_id, s.life)
        SELECT s.host_id, s.life, MIN(f.uid), MIN(f.time), MIN(l.uid), MIN(l.time), MIN(l.host), MIN(o.last_time),
            MIN(x.uid), MIN(x.host)
        FROM spans AS s
        LEFT JOIN ends AS n ON n.host_id = s.host_id AND n.life = s.life
        LEFT JOIN logged AS f ON f.host_id = s.host_id AND f.seq = n.first_seq AND f.channel = 'Security'
        LEFT JOIN logged AS l ON l.host_id = s.host_id AND l.seq = n.last_seq AND l.channel = 'Security'
        LEFT JOIN others AS o ON o.host_id = s.host_id AND o.life = s.life
        LEFT JOIN logged AS x ON x.host_id = s.host_id AND x.time = o.last_time AND x.channel <> 'Security'
        GROUP BY s.host_id, s.life""").fetchall()
    connection.unregister("spans")
    for host, at, first_uid, first_time, uid, time, name, other_time, other_uid, other_name in rows:
        life = lives[host][at]
        life.first_uid, life.first_time, life.last_uid, life.last_time, life.host = (
            first_uid,
            first_time,
            uid,
            time,
            name,
        )
        life.place_empty = uid is None
        if other_time is not None and (time is None or other_time > time):
            life.last_uid, life.last_time = other_uid, other_time
        life.host = life.host or other_name
        life.first_uid = life.first_uid if life.first_uid is not None else other_uid


def _places(own: list[Life], at: int) -> tuple[int, int]:
    """Where a life begins and ends in the order of the Security log."""
    until = next((life.place for life in own[at + 1 :] if life.place is not None), NOWHERE)
    place = own[at].place
    return (-NOWHERE if at == 0 else until if place is None else place), until


def _window(own: list[Life], at: int) -> tuple[datetime | None, datetime | None]:
    """Begin and end of a life by its clock; None where other lives have times between them."""
    start = datetime(1, 1, 1) if at == 0 else own[at].start_time  # noqa: DTZ001 - naive UTC as all times here
    until = own[at + 1].start_time if at + 1 < len(own) else datetime(9999, 1, 1)  # noqa: DTZ001
    if start is None or until is None or start >= until:
        return None, None
    others = [life.start_time for n, life in enumerate(own) if n not in {at, at + 1}]
    mixed = any(other is not None and start <= other < until for other in others)
    return (None, None) if mixed else (start, until)


def _rows(host_id: int, own: list[Life]) -> Iterable[dict[str, object]]:
    number = 0
    for at, life in enumerate(own):
        if at == 0 and not life.stops and (life.first_uid is None or (life.place_empty and len(own) > 1)):
            continue  # the logs begin with a start
        number += 1
        from_, until = _places(own, at)
        start = next((start for start in (life.security, life.system) if start), None)
        first_uid = start.uid if start else life.first_uid
        yield {
            "boot_id": _identity(first_uid if first_uid is not None else life.stops[0].uid),
            "host_id": host_id,
            "host": life.host,
            "boot_no": number,
            "start_time": life.start_time,
            "started_by": " ".join(life.marks) or None,
            "last_time": life.last_time,
            "security_from": None if at == 0 else from_,
            "security_until": None if until == NOWHERE else until,
            "system_from": -1 if at == 0 else life.system.seq if life.system else None,
            "system_until": next((other.system.seq for other in own[at + 1 :] if other.system), None),
            "start_uid": start.uid if start else None,
            **_end(life, own[at + 1] if at + 1 < len(own) else None),
        }


def _identity(uid: int) -> int:
    """Not the record's own number: a session may rest on the same record first."""
    return int.from_bytes(blake2b(f"boot {uid}".encode(), digest_size=8).digest()) >> 3


def _end(life: Life, next_: Life | None) -> dict[str, object]:
    """How a life ended."""
    if life.stops:
        last = (life.stops[-1] if life.stops[-1].mark != "system_stop" else life.stops[0]).time
        stops = [sign for sign in life.stops if abs(last - sign.time) <= seconds("boot_kin_s")]
        times = [sign.claim or sign.time for sign in stops]
        first = min(stops, key=lambda sign: (sign.claim or sign.time, sign.uid))
        marks = sorted({sign.mark for sign in (*stops, *life.asked)})
        return {"end_time": min(times), "last_stop_time": max(times), "end_kind": "shutdown", "end_certainty": "exact",
                "ended_by": " ".join(marks), "end_uid": first.uid}  # fmt: skip
    last_sign = life.last_time
    ask = life.asked[-1] if life.asked else None
    if ask and last_sign and last_sign - ask.time > seconds("shutdown_asked_s"):
        ask = None  # nothing came of it
    if next_ is None and ask is None:
        return {"end_kind": "running", "end_certainty": "unknown", "end_uid": life.last_uid}
    next_start = (next_.start_time or next_.first_time) if next_ else None
    dirty = next_.system.dirty if next_ and next_.system else None
    if dirty and dirty.claim and (last_sign is None or dirty.claim > last_sign) and (
        next_start is None or dirty.claim <= next_start
    ):  # fmt: skip
        last_sign = dirty.claim
    if ask and (last_sign is None or last_sign < ask.time):
        last_sign = ask.time
    if last_sign and next_start and last_sign > next_start and last_sign - next_start <= seconds("boot_quiet_s"):
        last_sign = next_start  # the next life writes records before the one that tells of its start
    bound = next_start if next_start and last_sign and next_start >= last_sign else None
    kind, mark = ("crash", dirty.mark) if dirty else ("restart", None)
    uid = dirty.uid if dirty else life.last_uid
    if ask and not dirty:
        kind, mark, uid = "shutdown", "shutdown_asked", ask.uid
    return {"end_time": last_sign, "end_time_min": last_sign, "end_time_max": bound, "end_kind": kind,
            "end_certainty": "bounded", "ended_by": mark or " ".join(next_.marks if next_ else ()) or None,
            "end_uid": uid}  # fmt: skip


_TYPES = pa.schema(
    [
        ("boot_id", pa.int64()),
        ("host_id", pa.int64()),
        ("host", pa.string()),
        ("boot_no", pa.int32()),
        ("start_time", pa.timestamp("us")),
        ("started_by", pa.string()),
        ("end_time", pa.timestamp("us")),
        ("end_time_min", pa.timestamp("us")),
        ("end_time_max", pa.timestamp("us")),
        ("end_kind", pa.string()),
        ("end_certainty", pa.string()),
        ("ended_by", pa.string()),
        ("last_stop_time", pa.timestamp("us")),
        ("last_time", pa.timestamp("us")),
        ("security_from", pa.int64()),
        ("security_until", pa.int64()),
        ("system_from", pa.int64()),
        ("system_until", pa.int64()),
        ("start_uid", pa.int64()),
        ("end_uid", pa.int64()),
    ]
)
