"""A small company and one week of its life, written as the event logs that its hosts would have kept."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from logontracks.simulate.cast import DOMAIN, Company, assemble
from logontracks.simulate.evtx_writer import filetime
from logontracks.simulate.host import DAY, date_of
from logontracks.simulate.intrusion import STORY as INTRUSION
from logontracks.simulate.intrusion import intrude
from logontracks.simulate.logs import Log, cleared, collect, forwarded, mark_logged, write_evtx_files
from logontracks.simulate.power import controller_traffic, housekeeping, member_traffic, noons
from logontracks.simulate.week import Week

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)

STORY = (
    f"One week (5 to 11 October 2026, UTC) of the domain {DOMAIN.dns} ({DOMAIN.netbios}): two controllers, a file "
    "server (FS01), an application server (APP01) and five workstations with their owners. People come and go, lock, "
    "mistype, lock themselves out, open shares; David administers by RDP as adm-david; each workstation restarts once, "
    f"FS01 on Saturday, and WKS-105 crashes on Thursday. {INTRUSION}"
)


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
    logs = collect(firm.hosts.values(), monday, monday + 7 * DAY)
    whole = next(log for log in logs if log.host.name == "APP01" and log.channel == "Security")
    logs.append(Log(firm.hosts["FS01"], "ForwardedEvents", forwarded(whole)))
    logs[logs.index(whole)] = cleared(whole)
    files = write_evtx_files(out, logs)
    mark_logged(logs)
    if truth:
        firm.truth.write(truth)
    return _summary(firm, files)


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


def _summary(firm: Company, files: Sequence[tuple[Path, Log]]) -> Summary:
    kinds: Counter[tuple[str, int]] = Counter()
    times: list[int] = []
    for _, log in files:
        for event, _, _ in log.records:
            kinds[log.channel, event.template.event_id] += 1
            times.append(event.filetime)
    return Summary(
        files=tuple((path, len(log.records)) for path, log in files),
        hosts=tuple(firm.hosts),
        records=len(times),
        first=date_of(min(times)),
        last=date_of(max(times)),
        kinds=kinds,
        story=STORY,
    )
