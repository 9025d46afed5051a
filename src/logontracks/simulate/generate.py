"""A company of any size lives some days: who does what when is worked out in the order of time."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from random import Random

from logontracks.simulate import habits, power
from logontracks.simulate.attacks import ATTACKS
from logontracks.simulate.cast import Company
from logontracks.simulate.evtx_writer import filetime
from logontracks.simulate.habits import Span
from logontracks.simulate.host import DAY, HOUR, MINUTE
from logontracks.simulate.mess import CLEAN, Mess, prepare
from logontracks.simulate.people import Life
from logontracks.simulate.staff import Found, found

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)
_TRIES = 200  # moments at which an attack may begin


def generate(
    seed: int, *, hosts: int, users: int | None, days: int, attacks: Sequence[str] = (), mess: Mess = CLEAN
) -> Company:
    """A company after so many days, from Monday, 5 October 2026 on, with its truth.

    ValueError for fewer hosts than a company needs, more people than desks, an attack that is not known, or one for
    which there is no place and time.
    """
    unknown = set(attacks) - set(ATTACKS)
    if unknown:
        raise ValueError(f"no attack {', '.join(sorted(unknown))}; there are: {', '.join(ATTACKS)}")
    span = Span(filetime(MONDAY), days)
    there = found(seed, hosts=hosts, users=users, begin=span.begin, days=days)
    company = there.company
    lives = _people(seed, company, span)
    run([*_everything(seed, there, lives, span), *prepare(mess, company, lives, span)], span.end)
    for number, name in enumerate(attacks):
        _attack(company, name, span, Random(f"{seed} {name} {number}"))
    company.truth.cut(span.end)
    return company


def run(lives: Iterable[Iterator[int]], end: int) -> None:
    """Let all go on beside each other, each at the moment that it gave last, until `end`."""
    waiting: list[tuple[int, int, Iterator[int]]] = []
    for number, life in enumerate(lives):
        _wait(waiting, number, life)
    while waiting and waiting[0][0] < end:
        _, number, life = heapq.heappop(waiting)
        _wait(waiting, number, life)


def _wait(waiting: list[tuple[int, int, Iterator[int]]], number: int, life: Iterator[int]) -> None:
    moment = next(life, None)
    if moment is not None:
        heapq.heappush(waiting, (moment, number, life))


def _people(seed: int, company: Company, span: Span) -> list[Life]:
    return [
        Life(company, person, span.begin, Random(f"{seed} {person.account.name}")) for person in company.people.values()
    ]


def _everything(seed: int, there: Found, people: Sequence[Life], span: Span) -> list[Iterator[int]]:
    """Everything that goes on."""
    company = there.company
    lives = [*_working(seed, company, people, span), *_computers(company, span)]
    if there.partner:
        lives += _working(seed, there.partner, _people(seed, there.partner, span), span)
        lives += _computers(there.partner, span)
    servers = [host for host in company.net.members if host.role == "server"]
    files = [host for host in servers if host.name.startswith("FS")]
    for server in servers:
        if server.name in company.services:
            lives.append(habits.recycle(company, server, span))
        if server.name.startswith("SRV"):
            lives.append(habits.run_tasks(company, server, company.services[server.name][0], span))
    lives.append(habits.back_up(company, span))
    managed = [*company.net.controllers, *servers]
    lives.append(habits.manage(company, there.manager, managed, span, Random(f"{seed} {there.manager.name}")))
    rng = Random(f"{seed} strays")
    for life in people:
        if rng.random() < 0.25 and not life.person.admin and not life.person.laptop:
            lives.append(habits.stray(life, rng.choice(files), span, rng))
    for copier in there.scanners:
        lives.append(habits.scan(company, copier, files[0], span, Random(f"{seed} {copier.name}")))
    for phone, account in there.phones:
        lives.append(habits.nag(company, phone, account, files[-1], span))
    for kiosk in there.kiosks:
        lives.append(habits.welcome(company, kiosk, span))
    rng = Random(f"{seed} maintenance")
    for number, server in enumerate((*company.net.controllers, *servers)):
        if rng.random() < 0.6:
            day = rng.randrange(span.days)
            night = 1 + number % 5  # not all controllers at once
            moment = span.begin + day * DAY + night * HOUR + rng.randint(0, 50) * MINUTE
            lives.append(habits.maintain(company, server, moment))
    return lives


def _working(seed: int, company: Company, lives: Sequence[Life], span: Span) -> Iterator[Iterator[int]]:
    for life in lives:
        yield life.days(span.days)
    admins = [life for life in lives if life.person.admin]
    servers = [host for host in company.hosts.values() if host.role != "workstation"]
    for life in admins:
        yield habits.administer(life, servers, span, Random(f"{seed} {life.person.account.name} administers"))
    if admins:
        yield habits.answer_calls(company, admins, lives, span)


def _computers(company: Company, span: Span) -> Iterator[Iterator[int]]:
    net = company.net
    for host in net.members:
        yield power.member_traffic(net, host, span.begin, span.end)
    for host in net.hosts:
        if "own_logons" in host.ways:
            yield power.own_logons(net, host, span.begin, span.end)
        yield power.housekeeping(host, span.begin, span.end)
        yield power.noons(host, span.begin, span.end)
    for controller in net.controllers:
        yield power.controller_traffic(net, controller, span.begin, span.end)


def _attack(company: Company, name: str, span: Span, rng: Random) -> None:
    """Begin an attack at the first of some moments at which it finds what it needs; its clock shows that moment."""
    refused = ValueError(f"{name}: no place and time for it")
    for _ in range(_TRIES):
        start = rng.randrange(span.begin + 6 * HOUR, span.end - 6 * HOUR, MINUTE)
        for host in company.net.members:
            company.truth.move_back(host, start)
        try:
            ATTACKS[name].run(company, start)
        except ValueError as error:
            refused = error
        else:
            return
    raise refused
