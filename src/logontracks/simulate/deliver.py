"""A simulated company to files: the logs of its hosts in one of three forms, and the truth beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, assert_never

from logontracks.simulate import columns
from logontracks.simulate.copies import MOST, write_copies, write_truth
from logontracks.simulate.damage import damage
from logontracks.simulate.evtx_writer import filetime
from logontracks.simulate.generate import MONDAY, generate
from logontracks.simulate.host import DAY
from logontracks.simulate.jsonl import write_jsonl
from logontracks.simulate.logs import collect, mark_logged, write_evtx_files
from logontracks.simulate.mess import clear_logs, mess_of, spoil_logs

Form = Literal["evtx", "jsonl", "parquet"]
_SOURCE = "0" * 64  # the hash of a file that there is none of
_BASE = 250  # hosts of a company that is copied


@dataclass(frozen=True, slots=True)
class Delivered:
    """How much was written."""

    hosts: int
    sessions: int
    records: int


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

    `mess`: levels from 0 to 3, and names of mess.KINDS. Form parquet is the events, extents and counts of a case as
    they are (columns.py), for measuring; of more than 250 hosts it is one company many times (copies.py). The same
    arguments give the same bytes. ValueError: see `generate` and `mess_of`; also where OUT holds logs already.
    """
    if any((out / part).exists() for part in ("logs", "truth")):
        raise ValueError(f"{out} holds logs or truth already")
    copies = -(-hosts // _BASE) if form == "parquet" else 1
    if copies > MOST:
        raise ValueError(f"{hosts} hosts are too many: {MOST * _BASE} are the most")
    if copies > 1:
        hosts, users = hosts // copies, users and max(1, users // copies)
    trouble = mess_of(mess, Random(f"{seed} mess"))
    company = generate(seed, hosts=hosts, users=users, days=days, attacks=attacks, mess=trouble)
    truth = company.truth
    begin = filetime(MONDAY)
    clear_logs(trouble, truth)
    logs = spoil_logs(trouble, collect(truth.hosts, begin, begin + days * DAY), truth)
    match form:
        case "evtx":
            files = write_evtx_files(out / "logs", logs)
            mark_logged(damage(trouble, files, truth) if "damage" in trouble.kinds else logs)
        case "jsonl":
            write_jsonl(out / "logs" / "events.jsonl", logs)
            mark_logged(logs)
        case "parquet":
            tables = {name: make(logs, _SOURCE) for name, make in _TABLES.items()}
            write_copies(out / "logs", tables, truth, copies)
            mark_logged(logs)
        case _:
            assert_never(form)
    write_truth(out / "truth", truth, copies)
    records = sum(len(log.records) for log in logs)
    return Delivered(copies * len(truth.hosts), copies * len(truth.sessions), copies * records)


_TABLES = {"events": columns.events, "extents": columns.extents, "event_counts": columns.counts}
