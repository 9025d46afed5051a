"""The logs of hosts as they will be written: one for each channel, with its records and their numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from logontracks.simulate.evtx_writer import write_evtx
from logontracks.simulate.host import Host, Written


@dataclass(eq=False, slots=True)
class Log:
    """One file. Records that carry no numbers of their own are numbered from `first_id`."""

    host: Host
    channel: str
    records: Sequence[Written]
    first_id: int = 1

    def numbered(self) -> list[Written]:
        """The records with their numbers in them."""
        return [
            each._replace(event=replace(each.event, record_id=self.first_id + number))
            for number, each in enumerate(self.records)
        ]


def collect(hosts: Iterable[Host], since: int, until: int) -> list[Log]:
    """What the hosts logged in a stretch of time; deals the logon ids."""
    found = []
    for host in hosts:
        host.number_sessions()
        for channel in host.channels():
            records = host.events(channel, since, until)
            found.append(Log(host, channel, records, host.rng.randint(900, 240_000)))
    return found


def mark_logged(logs: Iterable[Log]) -> None:
    """Tell the truth which sessions and attempts these logs show."""
    for log in logs:
        for each in log.records:
            if each.about:
                each.about.logged = True


FORWARDED = frozenset((1102, 4624, 4625, 4634, 4647, 4648, 4672, 4697, 4778, 4779))
"""What collectors subscribe to."""


def forwarded(log: Log) -> list[Written]:
    """Copies as a collector gets them: the body, with the origin's record number, is the origin's."""
    return [each for each in log.numbered() if each.event.template.event_id in FORWARDED]


def cleared(log: Log) -> Log:
    """What the last clear leaves: its own record and all after it; record numbers go on."""
    clears = [number for number, each in enumerate(log.records) if each.event.template.event_id == 1102]
    start = clears[-1] if clears else 0
    return Log(log.host, log.channel, log.records[start:], log.first_id + start)


def write_evtx_files(folder: Path, logs: Iterable[Log]) -> list[tuple[Path, Log]]:
    """Write FOLDER/<host>/<channel>.evtx for each log."""
    files = []
    for log in logs:
        path = folder / log.host.name / f"{log.channel.replace('/', '%4')}.evtx"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_evtx(path, (each.event for each in log.records), first_record_id=log.first_id)
        files.append((path, log))
    return files
