"""Starts of a host as its Security and its System log tell them, each in its own order, and aligned by time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from logontracks.models import parameters

SECURITY, SYSTEM = "Security", "System"
LATE_RECORDS = 60  # behind which a record may stand that was written before: of a clock that was set, of the kernel
SECURITY_STARTS = {"audit_start", "system_logon", "audit_dropped"}
SYSTEM_STARTS = {"system_start", "log_start", "log_start_version", "unexpected_stop", "dirty_start", "boot_type"}
COLD = {None, 0}  # boot types that are a start of the kernel
STOPS = {"audit_stop", "log_stop", "system_stop"}
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


@dataclass
class Start:
    """A start as one channel tells it: at a place in its order, with the marks that tell it."""

    seq: int
    time: datetime
    uid: int
    marks: list[str]
    claim: datetime | None = None
    after: int | None = None  # of a start that only a hint tells: the last place that is surely of the life before
    dirty: Sign | None = None  # the record that tells that the life before did not end well

    @property
    def moment(self) -> datetime:
        return self.claim or self.time


def seconds(name: str) -> timedelta:
    """A parameter as a time span."""
    return timedelta(seconds=float(parameters()[name]))


# Starts of one channel


def security_starts(signs: list[Sign]) -> list[Start]:
    """Starts that the Security log tells of, in its order."""
    starts = _grouped([sign for sign in signs if sign.mark in SECURITY_STARTS], SECURITY_STARTS)
    starts = [start for start in starts if set(start.marks) & ALONE]
    hints = _hints([sign for sign in signs if sign.mark == "hint"])
    for before, after in pairwise(hints):
        if not any(before.seq_last < start.seq <= after.seq for start in starts):
            starts.append(Start(after.seq, after.time, after.uid, ["hint"], after.claim, before.seq_last))
    starts.sort(key=lambda start: start.seq)
    for sign in signs:
        if sign.mark != "ids_fell" or sign.seq_before is None:
            continue
        in_one = any(hint.seq <= sign.seq_before and sign.seq <= hint.seq_last for hint in hints)
        told = next((start for start in starts if sign.seq_before < start.seq <= sign.seq), None)
        late = next(
            (s for s in starts if s.marks == ["hint"] and sign.seq < s.seq and not _between(starts, sign, s)), None
        )
        if told:
            told.marks.append("ids_fell")
        elif late and not any(hint.seq <= sign.seq <= hint.seq_last for hint in hints):
            late.seq, late.time = sign.seq, sign.time  # the first logon had no hint
            late.marks.append("ids_fell")
        elif not in_one:
            starts.append(Start(sign.seq, sign.time, sign.uid, ["ids_fell"]))
            starts.sort(key=lambda start: start.seq)
    for hint in hints:
        own = [start for start in starts if start.seq <= hint.seq]
        if own and own[-1].claim is None:
            own[-1].claim = hint.claim
            own[-1].marks += [] if "hint" in own[-1].marks else ["hint"]
    return starts


def _between(starts: list[Start], sign: Sign, late: Start) -> bool:
    return any(sign.seq < start.seq < late.seq for start in starts)


def _grouped(signs: list[Sign], kinds: set[str]) -> list[Start]:
    """Signs in the order of their log as starts: a new one begins with a mark that the last has, or too long after."""
    starts: list[Start] = []
    for sign in sorted(signs, key=lambda sign: (sign.seq, sign.uid)):
        last = starts[-1] if starts else None
        if last is None or sign.mark in last.marks or not _kin(last, sign):
            last = Start(sign.seq, sign.time, sign.uid, [])
            starts.append(last)
        if sign.mark in ALONE and not set(last.marks) & ALONE:
            last.time, last.uid = sign.time, sign.uid
        last.marks.append(sign.mark)
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
    uptimes = [sign for sign in signs if sign.mark == "uptime" and sign.uptime_s is not None]
    for before, after in pairwise(uptimes):
        if any(before.seq < start.seq <= after.seq for start in starts):
            continue
        ran = (after.uptime_s or 0) - (before.uptime_s or 0)
        more = (after.time - before.time) - timedelta(seconds=ran) > seconds("boot_kin_s")
        stepped = any(s.mark == "clock" and before.seq < s.seq <= after.seq + LATE_RECORDS for s in signs)
        if ran < 0 or (more and not stepped):
            claim = after.time - timedelta(seconds=after.uptime_s or 0)
            starts.append(Start(after.seq, after.time, after.uid, ["uptime"], claim))
    return sorted(starts, key=lambda start: start.seq)


def aligned(security: list[Start], system: list[Start]) -> list[tuple[Start | None, Start | None]]:
    """The starts of two channels as one list: as many pairs as the times allow, in the order of both."""
    near = seconds("boot_kin_s")
    best = [[(0, timedelta())] * (len(system) + 1) for _ in range(len(security) + 1)]
    for i in range(len(security) - 1, -1, -1):
        for j in range(len(system) - 1, -1, -1):
            choices = [best[i + 1][j], best[i][j + 1]]
            apart = abs(security[i].moment - system[j].moment)
            if apart <= near:
                pairs, cost = best[i + 1][j + 1]
                choices.append((pairs - 1, cost + apart))
            best[i][j] = min(choices)
    found: list[tuple[Start | None, Start | None]] = []
    i = j = 0
    while i < len(security) and j < len(system):
        apart = abs(security[i].moment - system[j].moment)
        pairs, cost = best[i + 1][j + 1]
        left, right = best[i][j] == best[i + 1][j], best[i][j] == best[i][j + 1]
        if apart <= near and best[i][j] == (pairs - 1, cost + apart):
            found.append((security[i], system[j]))
            i, j = i + 1, j + 1
        elif left and (not right or security[i].moment <= system[j].moment):
            found.append((security[i], None))
            i += 1
        else:
            found.append((None, system[j]))
            j += 1
    return [*found, *((start, None) for start in security[i:]), *((None, start) for start in system[j:])]
