"""A simulated company to files: the logs of its hosts in one of two forms, and the truth beside them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, assert_never

from logontracks.simulate.damage import damage
from logontracks.simulate.evtx_writer import filetime
from logontracks.simulate.generate import MONDAY, generate
from logontracks.simulate.host import DAY
from logontracks.simulate.jsonl import write_jsonl
from logontracks.simulate.logs import Log, collect, mark_logged, write_evtx_files
from logontracks.simulate.mess import Mess, clear_logs, mess_of, spoil_logs
from logontracks.simulate.truth import Truth

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
    mess: Sequence[str] = (),
    form: Form = "evtx",
) -> Delivered:
    """Write OUT/logs and OUT/truth of a company that follows from the seed and the sizes. `users` None: one a desk.

    `mess`: levels from 0 to 3, and names of mess.KINDS. The same arguments give the same bytes. ValueError: see
    `generate` and `mess_of`; also where OUT holds logs already.
    """
    if any((out / part).exists() for part in ("logs", "truth")):
        raise ValueError(f"{out} holds logs or truth already")
    trouble = mess_of(mess, Random(f"{seed} mess"))
    company = generate(seed, hosts=hosts, users=users, days=days, attacks=attacks, mess=trouble)
    truth = company.truth
    begin = filetime(MONDAY)
    clear_logs(trouble, truth)
    logs = spoil_logs(trouble, collect(truth.hosts, begin, begin + days * DAY), truth)
    readable = _write(out / "logs", logs, form, trouble, truth)
    mark_logged(readable)
    truth.write(out / "truth")
    kinds = Counter((log.channel, each.event.template.event_id) for log in logs for each in log.records)
    return Delivered(len(truth.hosts), len(truth.sessions), kinds.total(), kinds)


def _write(folder: Path, logs: Sequence[Log], form: Form, mess: Mess, truth: Truth) -> Sequence[Log]:
    """Gives the logs as they can be read from the files."""
    match form:
        case "evtx":
            files = write_evtx_files(folder, logs)
            return damage(mess, files, truth) if "damage" in mess.kinds else logs
        case "jsonl":
            folder.mkdir(parents=True, exist_ok=True)
            records = sorted((each for log in logs for each in log.records), key=lambda each: each.moment)
            write_jsonl(folder / "events.jsonl", (each.event for each in records))
            return logs
        case _:
            assert_never(form)
