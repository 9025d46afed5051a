"""Starts of a host as its Security and its System log tell them, each in its own order, and aligned by time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import NamedTuple

from logontracks.models import parameters

SECURITY, SYSTEM = "Security", "System"
LATE_RECORDS = 60  # behind which a record may stand that was written before: of a clock that was set, of the kernel
SECURITY_STARTS = {"audit_start", "system_logon", "audit_dropped"}
SYSTEM_STARTS = {"system_start", "log_start", "log_start_version", "unexpected_stop", "dirty_start", "boot_type"}
COLD = {None, 0}  # boot types that are a start of the kernel
STOPS = {"audit_stop", "log_stop", "system_stop"}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC as all times here
_CELLS = (
    250_000  # so many pairs of starts are compared at most before the lists are cut: no host starts so often at once
)
ALONE = SECURITY_STARTS - {"audit_dropped"} | SYSTEM_STARTS | {"ids_fell", "hint", "uptime"}


class Sign(NamedTuple):
    """A row of boot_evidence."""

    host_id: int
    channel: str
    mark: str
    seq: int
    seq_last: int
    seq_before: int | None
    time: datetime
    uid: int
    uptime_s: int | None
    boot_type: int | None
    records: int
    claim: datetime | None
    step_us: int | None

    @property
    def started(self) -> datetime:
        """When the host started by its uptime."""
        return self.time - timedelta(seconds=self.uptime_s or 0)


@dataclass
class Start:
    """A start as one channel tells it: at a place in its order, with the marks that tell it."""

    seq: int
    time: datetime
    uid: int
    marks: list[str]
    until: int  # place of the last sign
    claim: datetime | None = None
    after: int | None = None  # of a start that only a hint tells: the last place that is surely of the life before
    dirty: Sign | None = None  # the record that tells that the life before did not end well

    @property
    def moment(self) -> datetime:
        return self.claim or self.time


@cache
def seconds(name: str) -> timedelta:
    """A parameter as a time span."""
    return timedelta(seconds=float(parameters()[name]))


# Starts of one channel


def security_starts(signs: list[Sign]) -> list[Start]:
    """Starts that the Security log tells of, in its order."""
    starts = _grouped([sign for sign in signs if sign.mark in SECURITY_STARTS | {"audit_stop"}], SECURITY_STARTS)
    starts = [start for start in starts if set(start.marks) & ALONE]
    told = len(starts)
    hints = _hints([sign for sign in signs if sign.mark == "hint"])
    for before, after in pairwise(hints):
        at = bisect_right(starts, before.seq_last, hi=told, key=_until)
        if at == told or starts[at].seq > after.seq:
            starts.append(Start(after.seq, after.time, after.uid, ["hint"], after.seq, after.claim, before.seq_last))
    starts.sort(key=_place)
    for sign in signs:
        if sign.mark == "ids_fell" and sign.seq_before is not None:
            # two records without ids may have one place
            _fell(sign, min(sign.seq_before, sign.seq - 1), starts, hints)
    for hint in hints:
        before_it = bisect_right(starts, hint.seq, key=_place)
        if before_it and (last := starts[before_it - 1]).claim is None:
            last.claim = hint.claim
            last.marks += [] if "hint" in last.marks else ["hint"]
    return starts


def _fell(sign: Sign, seq_before: int, starts: list[Start], hints: list[Sign]) -> None:
    """Logon ids that start anew between two records: of a start that is told already, or one of its own."""
    at = bisect_right(starts, seq_before, key=_until)
    if at < len(starts) and starts[at].seq <= sign.seq:
        starts[at].marks.append("ids_fell")
        return
    hint = _last(hints, seq_before)
    own = _last(hints, sign.seq)
    late = starts[at] if at < len(starts) and starts[at].marks == ["hint"] else None
    if late and not (own and sign.seq <= own.seq_last):
        late.seq, late.until, late.time = sign.seq, sign.seq, sign.time  # the first logon had no hint
        late.marks.append("ids_fell")
    elif not (hint and sign.seq <= hint.seq_last):
        starts.insert(at, Start(sign.seq, sign.time, sign.uid, ["ids_fell"], sign.seq))


def _place(sign: Sign | Start) -> int:
    return sign.seq


def _until(start: Start) -> int:
    return start.until


def _last(signs: list[Sign], seq: int) -> Sign | None:
    """The last sign at a place or before it."""
    at = bisect_right(signs, seq, key=_place)
    return signs[at - 1] if at else None


def _grouped(signs: list[Sign], kinds: set[str]) -> list[Start]:
    """Signs in the order of their log as starts: a new one begins with a mark that the last has, after a stop, or too
    long after."""
    starts: list[Start] = []
    last: Start | None = None
    for sign in sorted(signs, key=lambda sign: (sign.seq, sign.uid)):
        if sign.mark == "audit_stop":
            last = None
            continue
        # a host logs on itself after it has begun to audit
        too_late = sign.mark == "audit_start" and last is not None and "system_logon" in last.marks
        if last is None or sign.mark in last.marks or too_late or not _kin(last, sign):
            last = Start(sign.seq, sign.time, sign.uid, [], sign.seq)
            starts.append(last)
        if sign.mark in ALONE and not set(last.marks) & ALONE:
            last.time, last.uid = sign.time, sign.uid
        last.marks.append(sign.mark)
        last.until = sign.seq
        if sign.mark == "system_start":
            # the field is coarse: where the record was written at once, its own time is better
            at_once = sign.claim is None or abs(sign.claim - sign.time) < timedelta(seconds=10)
            last.claim = sign.time if at_once else sign.claim
            last.uid = sign.uid
        if sign.mark in {"unexpected_stop", "dirty_start"} and (last.dirty is None or sign.mark == "unexpected_stop"):
            last.dirty = sign
    return [start for start in starts if set(start.marks) & kinds]


def _kin(start: Start, sign: Sign) -> bool:
    """Whether a sign can be of that start: near by the clock, or near in the log while the clock was set. What comes
    before the first sign proper is of the start to come."""
    if sign.mark not in ALONE | {"hint"} and set(start.marks) & ALONE:
        return False
    near = sign.seq - start.seq <= LATE_RECORDS
    return near or abs(sign.time - start.time) <= seconds("boot_kin_s")


def _hints(signs: list[Sign]) -> list[Sign]:
    """Boot hints in the order of the log, those of one boot as one. Of two that lie in each other the lesser goes."""
    merged: list[Sign] = []
    for sign in sorted(signs, key=lambda sign: (sign.claim or sign.time, sign.seq)):
        last = merged[-1] if merged else None
        if last and sign.claim and last.claim and sign.claim - last.claim <= seconds("boot_clock_s"):
            first = min(last, sign, key=lambda each: each.seq)
            merged[-1] = first._replace(
                claim=last.claim, seq_last=max(last.seq_last, sign.seq_last), records=last.records + sign.records
            )
        else:
            merged.append(sign)
    apart: list[Sign] = []
    for sign in sorted(merged, key=lambda sign: sign.seq):
        if apart and sign.seq <= apart[-1].seq_last:
            apart[-1] = max(apart[-1], sign, key=lambda each: each.records)
        else:
            apart.append(sign)
    return apart


def system_starts(signs: list[Sign]) -> list[Start]:
    """Starts that the System log tells of, in its order. It has some records of a start before the last of the stop."""
    starts = _grouped([s for s in signs if s.mark in SYSTEM_STARTS and s.boot_type in COLD], SYSTEM_STARTS)
    places = [start.seq for start in starts]
    clocks = [sign.seq for sign in signs if sign.mark == "clock"]
    uptimes = [sign for sign in signs if sign.mark == "uptime" and sign.uptime_s is not None]
    for before, after in pairwise(uptimes):
        if bisect_right(places, before.seq) < bisect_right(places, after.seq):
            continue
        ran = (after.uptime_s or 0) - (before.uptime_s or 0)
        more = after.started - before.started > seconds("boot_kin_s")
        stepped = bisect_right(clocks, before.seq) < bisect_right(clocks, after.seq + LATE_RECORDS)
        if ran < 0 or (more and not stepped):
            starts.append(Start(after.seq, after.time, after.uid, ["uptime"], after.seq, after.started))
    return sorted(starts, key=_place)


def aligned(security: list[Start], system: list[Start]) -> list[tuple[Start | None, Start | None]]:
    """The starts of two channels as one list: as many pairs as the times allow, in the order of both."""
    ours = [_micros(start.moment - _EPOCH) for start in security]
    theirs = [_micros(start.moment - _EPOCH) for start in system]
    best = _Best(ours, theirs, _micros(seconds("boot_kin_s")))
    found: list[tuple[Start | None, Start | None]] = []
    i = j = 0
    while i < len(security) and j < len(system):
        here, left, right = best.at(i, j), best.at(i + 1, j), best.at(i, j + 1)
        if best.pair(i, j) == here:
            found.append((security[i], system[j]))
            i, j = i + 1, j + 1
        elif here == left and (here != right or ours[i] <= theirs[j]):
            found.append((security[i], None))
            i += 1
        else:
            found.append((None, system[j]))
            j += 1
    return [*found, *((start, None) for start in security[i:]), *((None, start) for start in system[j:])]


Score = tuple[int, int]  # pairs, as a negative number, and by how many microseconds their halves are apart: least wins


@dataclass
class _Part:
    """Starts that can be pairs with each other alone, and the best scores of what is left of them from each on."""

    i: int
    j: int
    best: list[list[Score]]
    behind: Score = (0, 0)


class _Best:
    """The best scores of what is left of two lists from any places on.

    Few starts are near each other. So the lists are cut into parts between which there can be no pairs, and only within
    a part each start is compared with each.
    """

    def __init__(self, ours: list[int], theirs: list[int], near: int) -> None:
        self.ours, self.theirs, self.near = ours, theirs, near
        self.parts: list[_Part] = []
        self.of_ours: list[int] = []
        self.of_theirs: list[int] = []
        for i, i_until, j, j_until in _parts(ours, theirs, near):
            self.of_ours += [len(self.parts)] * (i_until - i)
            self.of_theirs += [len(self.parts)] * (j_until - j)
            self.parts.append(_Part(i, j, self._within(range(i, i_until), range(j, j_until))))
        for number in (self.of_ours, self.of_theirs):
            number.append(len(self.parts))
        for part, next_ in reversed(list(pairwise(self.parts))):
            part.behind = _sum(next_.best[0][0], next_.behind)

    def _within(self, ours: range, theirs: range) -> list[list[Score]]:
        best = [[(0, 0)] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
        for i in reversed(range(len(ours))):
            for j in reversed(range(len(theirs))):
                choices = [best[i + 1][j], best[i][j + 1]]
                apart = abs(self.ours[ours[i]] - self.theirs[theirs[j]])
                if apart <= self.near:
                    choices.append(_sum((-1, apart), best[i + 1][j + 1]))
                best[i][j] = min(choices)
        return best

    def at(self, i: int, j: int) -> Score:
        number = max(self.of_ours[i], self.of_theirs[j])
        if number == len(self.parts):
            return 0, 0
        part = self.parts[number]
        return _sum(part.best[max(i - part.i, 0)][max(j - part.j, 0)], part.behind)

    def pair(self, i: int, j: int) -> Score | None:
        """The best score with these two as a pair; None where they can be none."""
        apart = abs(self.ours[i] - self.theirs[j])
        near = apart <= self.near and self.of_ours[i] == self.of_theirs[j]
        return _sum((-1, apart), self.at(i + 1, j + 1)) if near else None


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _sum(one: Score, other: Score) -> Score:
    return one[0] + other[0], one[1] + other[1]


def _parts(ours: list[int], theirs: list[int], near: int) -> Iterator[tuple[int, int, int, int]]:
    """Where the lists can be cut: from and until in the one, from and until in the other."""
    slots: dict[int, tuple[int, int]] = {}
    for j, moment in enumerate(theirs):
        first, _ = slots.get(moment // near, (j, j))
        slots[moment // near] = first, j
    around = []
    for moment in ours:
        found = [slots[slot] for slot in range(moment // near - 1, moment // near + 2) if slot in slots]
        around.append((min((first for first, _ in found), default=len(theirs)), max((j for _, j in found), default=-1)))
    least = list(accumulate((first for first, _ in reversed(around)), min, initial=len(theirs)))[::-1]
    i = j = reached = 0
    for until, (_, last) in enumerate(around, 1):
        reached = max(reached, last + 1)
        too_many = (until - i) * (reached - j) > _CELLS
        if too_many:
            reached = min(reached, j + until - i)
        if too_many or reached <= least[until]:
            yield i, until, j, reached
            i, j = until, reached
    if j < len(theirs):
        yield i, i, j, len(theirs)


def identity(uid: int, known: set[int]) -> int:
    """Of the life whose first evidence is this record, another than those `known`, where it is put.

    Not the record's own number: a session may rest on the same record first. Where a clock was wrong, a record may tell
    the start of a life and stand at the begin of another.
    """
    found = uid
    while found == uid or found in known:
        found = int.from_bytes(blake2b(f"boot {found}".encode(), digest_size=8).digest()) >> 3
    known.add(found)
    return found
