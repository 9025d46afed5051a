"""Wrong clocks: one that is always off, and one that somebody sets while the host runs."""

from collections.abc import Iterator
from random import Random

from logontracks.simulate.habits import Span
from logontracks.simulate.host import HOUR, LOCAL_SERVICE, MILLISECOND, MINUTE, SECOND, ClockTime, Host, Session
from logontracks.simulate.records import SYSTEM32, subject
from logontracks.simulate.templates import KERNEL_GENERAL

_LOCAL_SYSTEM = "S-1-5-18"


def skew(host: Host, ahead: int) -> None:
    """The clock is ahead by so many ticks, or behind, from long before the first day on."""
    host.clock = [(0, ahead)]
    host.truth.spoiled("skew", host, "the clock is ahead by so many seconds", amount=ahead / SECOND)


def step(host: Host, span: Span, rng: Random) -> Iterator[int]:
    """The clock is set wrong at one moment, and right some hours later.

    4616 and Kernel-General 1 have the new time, and stand behind records with later times:
    host-belkasoft-win10-domain-member Security 290 to 292 and 804 to 811, System 147.
    """
    wrong = rng.choice((-3 * HOUR, -47 * MINUTE, 95 * SECOND, HOUR))
    moment = (
        span.begin + rng.randrange(span.days) * 24 * HOUR + rng.randint(9, 12) * HOUR + rng.randint(0, 3000) * SECOND
    )
    for ahead in (wrong, 0):
        yield moment
        if host.is_up(moment):
            _set(host, moment, ahead)
        moment += rng.randint(40, 300) * MINUTE


def _set(host: Host, moment: int, ahead: int) -> None:
    before = host.shown(moment)
    host.clock.append((moment, ahead))
    after = host.shown(moment)
    if after == before:
        return
    seconds = (after - before) / SECOND
    host.truth.spoiled("steps", host, "the clock is set forth by so many seconds", since=moment, amount=seconds)
    by = Session(LOCAL_SERVICE, 5, 0, host, logon_id=0x3E5)
    old, new = ClockTime(before), ClockTime(after)
    program = rf"{SYSTEM32}\svchost.exe"
    process_id = host.pid("svchost", moment)
    told = {"PreviousTime": old, "NewTime": new, "ProcessId": process_id, "ProcessName": program}
    host.log(4616, moment + MILLISECOND // 2, subject(by) | told, process="kernel")
    clock = {
        "NewTime": new,
        "OldTime": old,
        "TimeDeltaInMs": (after - before) // MILLISECOND,
        "Reason": 1,
        "ProcessName": r"\Device\HarddiskVolume2\Windows\System32\svchost.exe",
        "ProcessID": process_id,
        "CmosTime": new,
        "TimeZoneBias": 0,
        "RealTimeIsUniversal": False,
        "SystemInCmosMode": False,
    }
    host.log(1, moment + MILLISECOND // 2, clock, provider=KERNEL_GENERAL, user_sid=_LOCAL_SYSTEM, process="svchost")
