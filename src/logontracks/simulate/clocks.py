"""Wrong clocks: one that is always off, and one that somebody sets while the host runs."""

from collections.abc import Iterator
from random import Random

from logontracks.simulate.habits import Span
from logontracks.simulate.host import HOUR, MINUTE, SECOND, Host
from logontracks.simulate.timekeeping import set_clock


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
    if forth := set_clock(host, moment, ahead):
        seconds = forth / SECOND
        host.truth.spoiled("steps", host, "the clock is set forth by so many seconds", since=moment, amount=seconds)
