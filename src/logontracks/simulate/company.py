"""A small company and one week of its life, written as the event logs that its hosts would have kept."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from logontracks.simulate.cast import DOMAIN, Company, assemble
from logontracks.simulate.evtx_writer import filetime, write_evtx
from logontracks.simulate.host import DAY, Written, date_of
from logontracks.simulate.intrusion import STORY as INTRUSION
from logontracks.simulate.intrusion import intrude
from logontracks.simulate.power import controller_traffic, housekeeping, member_traffic, noons
from logontracks.simulate.week import Week

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)

STORY = (
    f"One week (5 to 11 October 2026, UTC) of the domain {DOMAIN.dns} ({DOMAIN.netbios}): two controllers, a file "
    "server (FS01), an application server (APP01) and five workstations with their owners. People come and go, lock, "
    "mistype, lock themselves out, open shares; David administers by RDP as adm-david; each workstation restarts once, "
    f"FS01 on Saturday, and WKS-105 crashes on Thursday. {INTRUSION}"
)

# What the collector on FS01 subscribes to from APP01.
_FORWARDED = frozenset((1102, 4624, 4625, 4634, 4647, 4648, 4672, 4697, 4778, 4779))


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written. `kinds`: records by (channel, event id), copies in ForwardedEvents under that name."""

    files: tuple[tuple[Path, int], ...]
    hosts: tuple[str, ...]
    records: int
    first: datetime
    last: datetime
    kinds: Counter[tuple[str, int]]
    story: str


def build(out: Path, *, seed: int = 1, truth: Path | None = None) -> Summary:
    """Write OUT/<host>/<channel>.evtx for every host, and what really happened into the folder `truth`.

    The same seed gives the same bytes.
    """
    monday = filetime(MONDAY)
    firm = assemble(seed, monday)
    Week(firm, monday).run()
    intrude(firm, monday)
    _talk_among_computers(firm, monday)
    logs: list[tuple[Path, Sequence[Written], int]] = []
    forwarded: list[Written] = []
    for host in firm.hosts.values():
        host.number_sessions()
        for channel in host.channels():
            events: Sequence[Written] = host.events(channel, monday, monday + 7 * DAY)
            first_id = host.rng.randint(900, 240_000)
            if host.name == "APP01" and channel == "Security":
                forwarded = _forward(events, first_id)
                events, first_id = _cleared(events, first_id)
            logs.append((out / host.name / f"{channel.replace('/', '%4')}.evtx", events, first_id))
    logs.append((out / "FS01" / "ForwardedEvents.evtx", forwarded, 1))
    for path, events, first_id in logs:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_evtx(path, (written.event for written in events), first_record_id=first_id)
        for written in events:
            if written.about:
                written.about.logged = True
    if truth:
        firm.truth.write(truth)
    return _summary(firm, logs)


def _talk_among_computers(firm: Company, monday: int) -> None:
    """The traffic that nobody causes, all week and all hours; each computer's own week after the other's."""
    end = monday + 7 * DAY
    net = firm.net
    for host in net.members:
        deque(member_traffic(net, host, monday, end), maxlen=0)
    for host in net.hosts:
        deque(housekeeping(host, monday, end), maxlen=0)
        deque(noons(host, monday, end), maxlen=0)
    for controller in net.controllers:
        deque(controller_traffic(net, controller, monday, end), maxlen=0)


def _forward(events: Sequence[Written], first_id: int) -> list[Written]:
    """Copies as a collector gets them: the body, with the origin's record number, is the origin's."""
    return [
        Written(replace(event, record_id=first_id + number), about)
        for number, (event, about) in enumerate(events)
        if event.template.event_id in _FORWARDED
    ]


def _cleared(events: Sequence[Written], first_id: int) -> tuple[Sequence[Written], int]:
    """What a clear leaves: its own record and all after it; record numbers go on."""
    start = next(number for number, (event, _) in enumerate(events) if event.template.event_id == 1102)
    return events[start:], first_id + start


def _summary(firm: Company, logs: Sequence[tuple[Path, Sequence[Written], int]]) -> Summary:
    kinds: Counter[tuple[str, int]] = Counter()
    times: list[int] = []
    for path, events, _ in logs:
        forwarded = path.stem == "ForwardedEvents"
        for event, _ in events:
            kinds["ForwardedEvents" if forwarded else event.template.channel, event.template.event_id] += 1
            times.append(event.filetime)
    return Summary(
        files=tuple((path, len(events)) for path, events, _ in logs),
        hosts=tuple(firm.hosts),
        records=len(times),
        first=date_of(min(times)),
        last=date_of(max(times)),
        kinds=kinds,
        story=STORY,
    )
