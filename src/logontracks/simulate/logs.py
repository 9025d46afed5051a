"""The logs of hosts as they will be written: one for each channel, with its records and their numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from logontracks.simulate.host import Host, Written


@dataclass(eq=False, slots=True)
class Log:
    """One file. `records` of ForwardedEvents carry the numbers of their origin, others are numbered from `first_id`."""

    host: str
    channel: str
    records: Sequence[Written]
    first_id: int = 1

    def numbered(self) -> list[Written]:
        """The records with their numbers in them."""
        return [
            Written(replace(event, record_id=self.first_id + number), about)
            for number, (event, about) in enumerate(self.records)
        ]


def collect(hosts: Iterable[Host], since: int, until: int) -> list[Log]:
    """What the hosts logged in a stretch of time; deals the logon ids."""
    found = []
    for host in hosts:
        host.number_sessions()
        for channel in host.channels():
            records = host.events(channel, since, until)
            found.append(Log(host.name, channel, records, host.rng.randint(900, 240_000)))
    return found


def mark_logged(logs: Iterable[Log]) -> None:
    """Tell the truth which sessions and attempts these logs show."""
    for log in logs:
        for _, about in log.records:
            if about:
                about.logged = True
