"""A simulated company to files: the logs of its hosts in one of two forms, and the truth beside them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from logontracks.simulate.evtx_writer import filetime, write_evtx
from logontracks.simulate.generate import MONDAY, generate
from logontracks.simulate.host import DAY
from logontracks.simulate.jsonl import write_jsonl
from logontracks.simulate.logs import Log, collect, mark_logged

Form = Literal["evtx", "jsonl"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was written. `kinds`: records by (channel, event id)."""

    hosts: int
    sessions: int
    records: int
    kinds: Counter[tuple[str, int]]


def simulate(
    out: Path,
    *,
    seed: int = 1,
    hosts: int = 30,
    users: int | None = None,
    days: int = 5,
    attacks: Sequence[str] = (),
    form: Form = "evtx",
) -> Delivered:
    """Write OUT/logs and OUT/truth of a company that follows from the seed and the sizes. `users` None: one a desk.

    The same arguments give the same bytes. ValueError: see `generate`; also where OUT holds logs already.
    """
    if any((out / part).exists() for part in ("logs", "truth")):
        raise ValueError(f"{out} holds logs or truth already")
    there = generate(seed, hosts=hosts, users=users, days=days, attacks=attacks)
    truth = there.company.truth
    begin = filetime(MONDAY)
    logs = collect(truth.hosts, begin, begin + days * DAY)
    _write(out / "logs", logs, form)
    mark_logged(logs)
    truth.write(out / "truth")
    kinds = Counter((log.channel, event.template.event_id) for log in logs for event, _ in log.records)
    return Delivered(len(truth.hosts), len(truth.sessions), kinds.total(), kinds)


def _write(folder: Path, logs: Sequence[Log], form: Form) -> None:
    match form:
        case "evtx":
            for log in logs:
                path = folder / log.host / f"{log.channel.replace('/', '%4')}.evtx"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_evtx(path, (event for event, _ in log.records), first_record_id=log.first_id)
        case "jsonl":
            folder.mkdir(parents=True, exist_ok=True)
            events = [event for log in logs for event, _ in log.numbered()]
            events.sort(key=lambda event: event.filetime)
            write_jsonl(folder / "events.jsonl", events)
        case _:
            assert_never(form)
