"""boots: one row for each life of a host between two starts, and how its end is known.

Each kind of evidence is enough alone; several of one start are told as one. Each channel is cut in its own order, as
record ids of two channels cannot be compared, and the cuts are then aligned by the time of the start. Fast startup and
hibernation are no boots: the kernel and its logon ids go on. A row is also made for the life that the logs begin in.
Times are as logged, so that a life whose clock was set back may end before it starts. Under the name of an image the
lives of several machines may be mixed: their ends are unknown.
Reads: boot_evidence, logged, log_runs, host_names.

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

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, groupby, zip_longest
from typing import TYPE_CHECKING

import pyarrow as pa

from logontracks.models.log_places import NOWHERE, Ask, first_after, give, outlived, take_back
from logontracks.models.starts import (
    COLD,
    LATE_RECORDS,
    SYSTEM,
    SYSTEM_STARTS,
    Sign,
    Start,
    aligned,
    identity,
    seconds,
    security_starts,
    system_starts,
)

if TYPE_CHECKING:
    from logontracks.engines.duckdb import Connection

STOPS = {"audit_stop", "log_stop", "system_stop"}
_BATCH = 10_000
_FEW = 32  # lives of a host that each of its records is compared with; of more, records are sorted to find theirs


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
    broken_off: bool = False  # it lacks records between this life and the next

    @property
    def marks(self) -> list[str]:
        return sorted({mark for start in (self.security, self.system) if start for mark in start.marks})

    @property
    def start_time(self) -> datetime | None:
        starts = [start for start in (self.security, self.system) if start]
        told = [start.claim for start in starts if start.claim]
        seen = [start.time for start in starts if set(start.marks) - {"ids_fell"}]
        return told[0] if told else min(seen) if seen else self.claim


def work(connection: Connection) -> pa.Table:
    """The table, from the evidence."""
    rows = connection.execute("""
        SELECT host_id, channel, mark, seq, seq_last, seq_before, time, uid, uptime_s, boot_type, records, claim,
            step_us
        FROM boot_evidence WHERE mark <> 'clock' OR ABS(step_us) >= 1000000
        ORDER BY host_id, seq, uid, mark""")
    lives: dict[int, list[Life]] = {}
    ends: dict[int, list[Sign]] = {}
    for host, signs in groupby(_signs(rows), key=lambda sign: sign.host_id):
        own = list(signs)
        lives[host], ends[host] = _lives(own), _ends(own)
    images: set[int] = set()
    for host, is_image in connection.execute("SELECT DISTINCT host_id, is_image FROM host_names").fetchall():
        lives.setdefault(host, [Life()])
        if is_image:
            images.add(host)
    lives = dict(sorted(lives.items()))
    _place_starts(connection, lives)
    for host, stops in ends.items():
        _assign_stops(lives[host], stops)
    _cut_after_stops(connection, lives)
    _last_signs(connection, lives)
    told = [row for host, own in lives.items() for row in _rows(host, own, mixed=host in images)]
    return pa.Table.from_pylist(told, schema=_TYPES)


def _signs(rows: Connection) -> Iterator[Sign]:
    while batch := rows.fetchmany(_BATCH):
        yield from (Sign(*row) for row in batch)


def _lives(signs: list[Sign]) -> list[Life]:
    """Lives of one host in their order; the first is the one that the logs begin in, and may turn out to be empty."""
    security = [sign for sign in signs if sign.channel != SYSTEM]
    system = [sign for sign in signs if sign.channel == SYSTEM]
    pairs = aligned(security_starts(security), system_starts(system))
    found = [Life(), *(Life(ours, theirs, ours.seq if ours else None) for ours, theirs in pairs)]
    hint = min((sign for sign in security if sign.mark == "hint"), key=lambda sign: sign.seq, default=None)
    uptime = next((sign for sign in system if sign.mark == "uptime" and sign.uptime_s is not None), None)
    if hint and not any(
        (life.place is not None and life.place <= hint.seq) or _is_start_of(life, hint.claim) for life in found
    ):
        found[0].claim = hint.claim
    elif uptime and not any(life.system and life.system.seq <= uptime.seq for life in found):
        found[0].claim = uptime.started
    return found


def _is_start_of(life: Life, claim: datetime | None) -> bool:
    """Whether the System log tells of the start that a hint claims: then the Security log begins in that life."""
    return bool(life.system and claim and abs(life.system.moment - claim) <= seconds("boot_clock_s"))


def _ends(signs: list[Sign]) -> list[Sign]:
    """The stops of a host, and that it was asked to stop. Who was asked for a fast startup only went to sleep: the next
    start tells, or the record of falling asleep where the logs end there."""
    found: list[Sign] = []
    next_starts: dict[str, Sign] = {}
    asleep: dict[str, Sign] = {}
    for _, here in groupby(reversed(signs), key=lambda sign: sign.seq):
        starts = {}
        for sign in here:
            next_ = next_starts.get(sign.channel)
            slept = next_ is not None and next_.mark == "boot_type" and next_.boot_type not in COLD
            if next_ is None and sign.channel in asleep:
                slept = asleep[sign.channel].time - sign.time <= seconds("boot_quiet_s")
            if sign.mark == "sleep":
                asleep[sign.channel] = sign
            if sign.mark in STOPS or (sign.mark == "shutdown_asked" and not slept):
                found.append(sign)
            if sign.mark in SYSTEM_STARTS:
                starts[sign.channel] = sign
        next_starts |= starts
    return found[::-1]


def _place_starts(connection: Connection, lives: dict[int, list[Life]]) -> None:
    """A start that only the System log or a hint tells of cuts the Security log at its time, between the starts around
    it."""
    seen: list[tuple[Life, Ask]] = []
    hinted: list[tuple[Life, Ask]] = []
    for host, own in lives.items():
        before = -1
        for life, after in zip(own, _places_behind(own), strict=True):
            if life.system and life.place is None:
                seen.append((life, Ask(host, before, after, life.system.moment)))
            elif life.security and life.security.after is not None and life.security.claim:
                # half of all records have no hint: those before the first that has, and after the start
                hinted.append((life, Ask(host, life.security.after, life.security.seq, life.security.claim)))
            before = before if life.place is None else life.place
    for asked in (seen, hinted):
        for (life, ask), place in zip(asked, first_after(connection, [ask for _, ask in asked]), strict=True):
            life.place = ask.until if place is None else place
    for own in lives.values():
        reached = -NOWHERE
        for life in own[1:]:  # by a clock that was set back a later life may seem to begin before
            life.place = reached = max(reached, NOWHERE if life.place is None else life.place)


def _assign_stops(own: list[Life], stops: list[Sign]) -> None:
    """Each stop to the life that it ends: its place tells. Only the kernel's last words may stand behind the first of
    the next life, which the event log service writes before it has them. Lives that only the Security log tells have no
    place in the System log: there the time tells which of them had begun."""
    places = [life.place for life in own if life.place is not None]
    seen = [(life.system.seq, at, life.system) for at, life in enumerate(own) if life.system]
    begun = _begun(own)
    for sign in stops:
        if sign.channel == SYSTEM:
            before = bisect_right(seen, sign.seq, key=lambda start: start[0])
            seq, at, _ = seen[before - 1] if before else (0, 0, None)
            if at and sign.mark == "system_stop" and sign.seq - seq <= LATE_RECORDS:
                at -= not any(stop.mark == "system_stop" for stop in own[at - 1].stops)
            else:
                until = seen[before][1] if before < len(seen) else len(own)
                at = bisect_right(begun, sign.time, at + 1, until) - 1
        else:
            at = bisect_right(places, sign.seq)
        (own[at].stops if sign.mark in STOPS else own[at].asked).append(sign)


def _begun(own: list[Life]) -> list[datetime]:
    """For each life when it, or a later one before the next that the System log tells of, had begun at the earliest."""
    found: list[datetime] = []
    for at, life in reversed(list(enumerate(own))):
        start = life.start_time or datetime.max  # noqa: DTZ901 - naive UTC as all times here
        goes_on = at + 1 < len(own) and not own[at + 1].system
        found.append(min(start, found[-1]) if goes_on else start)
    return found[::-1]


def _cut_after_stops(connection: Connection, lives: dict[int, list[Life]]) -> None:
    """A stop with no start after it is evidence of one: who logs on later does so in a new life."""
    asked: list[tuple[Life, Sign, Ask]] = []
    for host, own in lives.items():
        for life, until in zip(own, _places_behind(own), strict=True):
            by_audit = {sign.seq: sign for sign in life.stops if sign.mark == "audit_stop"}
            for sign, next_ in zip_longest(by_audit.values(), list(by_audit)[1:]):
                # of stops that are told one after the other, the last
                wait = Ask(host, sign.seq, until if next_ is None else next_ + 1, sign.time + seconds("boot_quiet_s"))
                asked.append((life, sign, wait))
            if life is own[-1] and not by_audit:
                from_ = -1 if life.place is None else life.place
                for sign in life.stops or life.asked:
                    wait_s = seconds("boot_quiet_s" if sign.mark in STOPS else "shutdown_asked_s")
                    ask = Ask(host, from_, until, sign.time + wait_s, sign.mark not in STOPS)
                    asked.append((life, sign, ask))
    places = first_after(connection, [ask for *_, ask in asked])
    still_used = outlived(connection, [(ask, place) for (*_, ask), place in zip(asked, places, strict=True)])
    cuts: dict[int, dict[int, Sign]] = defaultdict(dict)
    for (life, sign, _), place, ran_on in zip(asked, places, still_used, strict=True):
        if place is not None and not ran_on:
            cuts[id(life)].setdefault(place, sign)
    for host, own in lives.items():
        if any(id(life) in cuts for life in own):
            lives[host] = list(_cut(own, cuts))


def _cut(own: list[Life], cuts: dict[int, dict[int, Sign]]) -> Iterator[Life]:
    """Lives with those that begin at the cuts, each with the stops that are not before it."""
    taken = {life.place for life in own}
    for life in own:
        new = sorted((place, sign) for place, sign in cuts.get(id(life), {}).items() if place not in taken)
        parts = [life, *(Life(place=place) for place, _ in new)]
        until = list(accumulate((sign.time + seconds("boot_kin_s") for _, sign in new), max))
        stops, life.stops = life.stops, []
        for stop in stops:
            parts[bisect_left(until, stop.time)].stops.append(stop)
        yield from parts


def _last_signs(connection: Connection, lives: dict[int, list[Life]]) -> None:
    """First and last record of each life: in the order of the Security log, and by time in the others where no clock
    was set so that times of two lives mix. Where the Security log lacks records between a life and the next one, the
    host may have started there unseen: what others have from then on may be of a life between."""
    gaps: dict[int, list[int]] = defaultdict(list)
    for host, place in connection.execute("""
            SELECT host_id, first_id FROM log_runs WHERE channel = 'Security' AND first_id > reached + 1
            ORDER BY host_id, first_id""").fetchall():
        gaps[host].append(place)
    places = {host: _places_behind(own) for host, own in lives.items()}
    few = {host: own for host, own in lives.items() if len(own) <= _FEW}
    many = {host: own for host, own in lives.items() if len(own) > _FEW}
    for join, hosts in (("JOIN", few), ("ASOF JOIN", many)):
        if not hosts:
            continue
        give(connection, "spans", "host_id life from_seq until_seq",
              [(host, *span) for host, own in hosts.items() for span in _spans(own)])  # fmt: skip
        give(connection, "windows", "host_id life from_time until_time",
              [(host, *window) for host, own in hosts.items() for window in _windows(own)])  # fmt: skip
        ends = connection.execute(f"""
            SELECT s.host_id, s.life, MIN(row(e.seq, e.uid, e.time)), MAX(row(e.seq, -e.uid, e.time, e.host))
            FROM (SELECT * FROM logged AS o SEMI JOIN spans AS h ON h.host_id = o.host_id
                WHERE o.channel = 'Security') AS e
            {join} spans AS s ON e.host_id = s.host_id AND e.seq >= s.from_seq
            WHERE e.seq < s.until_seq GROUP BY s.host_id, s.life""").fetchall()
        others = connection.execute(f"""
            SELECT w.host_id, w.life, MAX(row(e.time, -e.uid, e.host))
            FROM (SELECT * FROM logged AS o SEMI JOIN windows AS h ON h.host_id = o.host_id
                WHERE o.channel <> 'Security') AS e
            {join} windows AS w ON e.host_id = w.host_id AND e.time >= w.from_time
            WHERE e.time < w.until_time GROUP BY w.host_id, w.life""").fetchall()
        take_back(connection, "spans", "windows")
        for host, at, first, last in ends:
            life = lives[host][at]
            _, life.first_uid, life.first_time = first
            seq, uid, life.last_time, life.host = last
            life.last_uid, life.place_empty = -uid, False
            until = places[host][at]
            gap = bisect_right(gaps[host], seq)
            life.broken_off = until < NOWHERE and gap < len(gaps[host]) and gaps[host][gap] <= until
        for host, at, (time, uid, name) in others:
            life = lives[host][at]
            if life.last_time is None or (time > life.last_time and not life.broken_off):
                life.last_uid, life.last_time = -uid, time
            life.host = life.host or name
            life.first_uid = life.first_uid if life.first_uid is not None else -uid


def _places_behind(own: list[Life]) -> list[int]:
    """For each life where the next one begins, in the order of the Security log."""
    found = [NOWHERE]
    for life in reversed(own[1:]):
        found.append(found[-1] if life.place is None else life.place)
    return found[::-1]


def _spans(own: list[Life]) -> Iterator[tuple[int, int, int]]:
    """Lives that have a place in the order of the Security log: which, from where, until where."""
    for at, (life, until) in enumerate(zip(own, _places_behind(own), strict=True)):
        from_ = -NOWHERE if life.place is None else life.place
        if from_ < until:
            yield at, from_, until


def _windows(own: list[Life]) -> Iterator[tuple[int, datetime, datetime]]:
    """Lives with begin and end by the clock, where no other life has its begin between them."""
    starts = [life.start_time for life in own]
    known = sorted(start for start in starts if start)
    for at, start in enumerate(starts):
        from_ = datetime.min if at == 0 else start  # noqa: DTZ901 - naive UTC as all times here
        until = starts[at + 1] if at + 1 < len(own) else datetime.max  # noqa: DTZ901
        if from_ is None or until is None or from_ >= until:
            continue
        between = bisect_left(known, until) - bisect_left(known, from_)
        if between == (start is not None and from_ <= start < until):
            yield at, from_, until


def _rows(host_id: int, own: list[Life], *, mixed: bool) -> Iterable[dict[str, object]]:
    number = 0
    known: set[int] = set()
    system_until: list[int | None] = [None]
    for life in reversed(own[1:]):
        system_until.append(life.system.seq if life.system else system_until[-1])
    for at, (life, until) in enumerate(zip(own, _places_behind(own), strict=True)):
        if at == 0 and not life.stops and (life.first_uid is None or (life.place_empty and len(own) > 1)):
            continue  # the logs begin with a start
        number += 1
        start = next((start for start in (life.security, life.system) if start), None)
        first_uid = start.uid if start else life.first_uid
        yield {
            "boot_id": identity(first_uid if first_uid is not None else life.stops[0].uid, known),
            "host_id": host_id,
            "host": life.host,
            "boot_no": number,
            "start_time": life.start_time,
            "started_by": " ".join(life.marks) or None,
            "last_time": life.last_time,
            "security_from": life.place,
            "security_until": None if until == NOWHERE else until,
            "system_from": -1 if at == 0 else life.system.seq if life.system else None,
            "system_until": system_until[-1 - at],
            "start_uid": start.uid if start else None,
            **_end(life, own[at + 1] if at + 1 < len(own) else None),
            **({"end_certainty": "unknown"} if mixed else {}),
        }


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
