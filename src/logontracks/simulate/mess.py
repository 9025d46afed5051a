"""What makes logs less than the truth, each kind by its name: what is not audited, what is lost, what comes twice.

Wrong clocks and new names happen to hosts while they run (`prepare`; clocks.py, names.py), the rest happens to their
logs (`clear_logs`, `spoil_logs`) and files (damage.py). All of it stands in the truth.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from logontracks.simulate import clocks, names
from logontracks.simulate.cast import Company
from logontracks.simulate.habits import Span
from logontracks.simulate.host import HOUR, MINUTE, SECOND, Host, Session, Written
from logontracks.simulate.intrusion import clear_log
from logontracks.simulate.logs import FORWARDED, Log, cleared
from logontracks.simulate.people import Life
from logontracks.simulate.templates import AUDIT_FAILURE
from logontracks.simulate.truth import Truth, end_of

LEVELS = 3


class Kind(NamedTuple):
    """One kind of mess, and the level from which on it is made."""

    level: int
    meaning: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "skew": Kind(1, "clocks of some hosts are wrong all the time"),
        "wrap": Kind(1, "small Security logs have lost their oldest records"),
        "forwarded": Kind(1, "a collector has copies of records, some of them twice"),
        "clear": Kind(1, "an administrator clears the Security log of a server"),
        "locks_off": Kind(2, "Other Logon/Logoff Events is not audited: no lock, unlock, reconnect or disconnect"),
        "failures_off": Kind(2, "failures are not audited"),
        "missing": Kind(2, "logs of some hosts were not collected"),
        "lost": Kind(2, "runs of records are missing from the middle of logs"),
        "renames": Kind(2, "hosts and accounts get another name"),
        "steps": Kind(3, "clocks are set while hosts run, forth and back"),
        "clones": Kind(3, "two hosts were made from one image, and begin under its name"),
        "damage": Kind(3, "pieces of files are overwritten, or their ends are missing"),
    }
)


@dataclass(frozen=True, slots=True)
class Mess:
    """What is to be spoiled, and how much: 1 a little to 3."""

    kinds: frozenset[str]
    amount: int
    rng: Random

    def some(self, hosts: Sequence[Host]) -> list[Host]:
        """Some of these hosts; at least one where there is any."""
        count = min(len(hosts), max(1, len(hosts) * self.amount // 12))
        return self.rng.sample(list(hosts), count)


CLEAN = Mess(frozenset(), 1, Random(0))


def mess_of(wanted: Sequence[str], rng: Random) -> Mess:
    """From levels ("0" to "3") and names. ValueError for what is neither."""
    levels = [int(each) for each in wanted if each in map(str, range(LEVELS + 1))]
    named = {each for each in wanted if each in KINDS}
    if len(levels) + len(named) < len(set(wanted)):
        raise ValueError(f"mess is a level from 0 to {LEVELS} or one of: {', '.join(KINDS)}")
    level = max(levels, default=0)
    by_level = {name for name, kind in KINDS.items() if kind.level <= level}
    return Mess(frozenset(by_level | named), level or 2, rng)


# --- while hosts run ------------------------------------------------------------------------------------------------


def prepare(mess: Mess, company: Company, lives: Sequence[Life], span: Span) -> list[Iterator[int]]:
    """Set clocks wrong; gives what else goes on in the company because of this mess."""
    hosts, rng = company.truth.hosts, mess.rng
    found: list[Iterator[int]] = []
    if "skew" in mess.kinds:
        most = (5, 60, 240)[mess.amount - 1]
        for host in mess.some(hosts):
            clocks.skew(host, round(rng.choice((-1, 1)) * rng.uniform(1, most) * SECOND))
    if "steps" in mess.kinds:
        found += [clocks.step(host, span, rng) for host in mess.some(hosts)]
    steady = [life for life in lives if life.person.evening not in ("lock", "sleep") and not life.person.laptop]
    if "clones" in mess.kinds:
        twins = list(dict.fromkeys(life.host for life in steady))[:2]
        found += names.clone(company, twins, span.begin + 4 * HOUR, rng)
        steady = [life for life in steady if life.host not in twins]
    if "renames" in mess.kinds:
        night = span.begin + rng.randrange(span.days) * 24 * HOUR + 2 * HOUR
        servers = [host for host in company.net.members if host.role == "server" and not host.name.startswith("FS")]
        chosen = dict.fromkeys((*servers[-1:], *(life.host for life in steady[:1])))
        for number, host in enumerate(chosen):
            found.append(names.rename_host(company, host, night + number * 20 * MINUTE, f"{host.name}-N"))
        for life in rng.sample(list(lives), min(len(lives), mess.amount)):
            found.append(names.rename_person(company, life, night + 90 * MINUTE))
    return found


def clear_logs(mess: Mess, truth: Truth) -> None:
    """Somebody who administers a server by RDP clears its log."""
    if "clear" not in mess.kinds:
        return
    sessions = [each for each in truth.sessions if each.opened_by == "remote_desktop" and _lasts(each)]
    for session in mess.rng.sample(sessions, min(len(sessions), 1)):
        moment = session.opened + 3 * MINUTE
        clear_log(session.host, moment, session)
        truth.spoiled("clear", session.host, "Security", until=moment)


def _lasts(session: Session) -> bool:
    over, _ = end_of(session)
    return session.attack is None and (over is None or over > session.opened + 5 * MINUTE)


# --- the logs -------------------------------------------------------------------------------------------------------


def spoil_logs(mess: Mess, logs: Sequence[Log], truth: Truth) -> list[Log]:
    """The logs as somebody gets them. What is not audited leaves no gap in the numbers; what is lost does."""
    found = list(logs)
    if "locks_off" in mess.kinds:
        found = _silenced(mess, found, truth, "locks_off", _is_lock)
    if "failures_off" in mess.kinds:
        found = _silenced(mess, found, truth, "failures_off", _is_failure)
    found = [replace(log, records=log.numbered()) for log in found]
    copies = _forwarded(mess, found, truth) if "forwarded" in mess.kinds else []
    found = [cleared(log) if log.channel == "Security" else log for log in found]
    if "wrap" in mess.kinds:
        found = _wrapped(mess, found, truth)
    if "lost" in mess.kinds:
        found = [_with_gaps(mess, log, truth) for log in found]
    if "missing" in mess.kinds:
        found = _missing(mess, found, truth)
    return [log for log in (*found, *copies) if log.records]


def _is_lock(written: Written) -> bool:
    return written.event.template.event_id in (4778, 4779, 4800, 4801)


def _is_failure(written: Written) -> bool:
    return written.event.keywords == AUDIT_FAILURE


def _silenced(
    mess: Mess, logs: Sequence[Log], truth: Truth, name: str, leaves_out: Callable[[Written], bool]
) -> list[Log]:
    """Some hosts do not audit this."""
    chosen = mess.some(_hosts(logs))
    found = []
    for log in logs:
        kept = log.records
        if log.host in chosen and log.channel == "Security":
            kept = [written for written in log.records if not leaves_out(written)]
            truth.spoiled(name, log.host, KINDS[name].meaning, amount=len(log.records) - len(kept))
        found.append(replace(log, records=kept))
    return found


def _forwarded(mess: Mess, logs: Sequence[Log], truth: Truth) -> list[Log]:
    """A collector on a file server, and the hosts that it hears from; one part of what it gets arrives twice."""
    collector = next(host for host in _hosts(logs) if host.name.startswith("FS"))
    copies: list[Written] = []
    for log in logs:
        if log.channel == "Security" and (log.host.role == "server" or mess.rng.random() < 0.2 * mess.amount):
            subscribed = [written for written in log.records if written.event.template.event_id in FORWARDED]
            twice = mess.rng.sample(subscribed, len(subscribed) // 20)
            copies += subscribed + twice
            truth.spoiled("forwarded", log.host, f"to {collector.fqdn}", amount=len(subscribed) + len(twice))
    copies.sort(key=lambda written: written.moment)
    return [Log(collector, "ForwardedEvents", copies)]


def _wrapped(mess: Mess, logs: Sequence[Log], truth: Truth) -> list[Log]:
    chosen = mess.some([host for host in _hosts(logs) if host.role != "workstation"])
    found = []
    for log in logs:
        cut = 0
        if log.host in chosen and log.channel == "Security":
            cut = len(log.records) * mess.rng.randint(5, 15 * mess.amount) // 100
            until = log.records[cut].moment
            truth.spoiled("wrap", log.host, log.channel, until=until, amount=cut)
        found.append(replace(log, records=log.records[cut:]))
    return found


def _with_gaps(mess: Mess, log: Log, truth: Truth) -> Log:
    """Some runs of records less; the numbers tell."""
    if log.channel != "Security" or mess.rng.random() > 0.3 * mess.amount:
        return log
    gone: set[int] = set()
    for _ in range(mess.amount):
        length = mess.rng.randint(1, 30 * mess.amount)
        begin = mess.rng.randrange(len(log.records))
        gone.update(range(begin, min(begin + length, len(log.records))))
    times = [log.records[number].moment for number in gone]
    truth.spoiled("lost", log.host, log.channel, since=min(times), until=max(times), amount=len(gone))
    return replace(log, records=[written for number, written in enumerate(log.records) if number not in gone])


def _missing(mess: Mess, logs: Sequence[Log], truth: Truth) -> list[Log]:
    """Of some hosts there is nothing, of others no System log. One controller at least is there."""
    hosts = _hosts(logs)
    first = next(host for host in hosts if host.role == "controller")
    chosen = mess.some([host for host in hosts if host is not first])
    halves = mess.some(hosts)
    found = []
    for log in logs:
        if log.host in chosen or (log.host in halves and log.channel == "System"):
            truth.spoiled("missing", log.host, log.channel, amount=len(log.records))
        else:
            found.append(log)
    return found


def _hosts(logs: Sequence[Log]) -> list[Host]:
    return list(dict.fromkeys(log.host for log in logs))
