"""host_names: one row for each name that a host goes by in the logs, with the host it belongs to.

Names of one host are joined by graph work that is not SQL's: each pair of names that is the short and the full form of
one, or that follow each other in one log (the record after the last one under the old name is the first one under the
new). A name with two successors or two predecessors, or one that is in use again a day after its host had another, is
that of a cloned image and joins nothing. One short name with two domains stays three names. Nothing else joins hosts:
an address or a SID is shared by clones.
Reads: extents.

Columns:
  computer_key VARCHAR: Name of the host as records have it, in lower case
  computer VARCHAR: The name as first written
  host_id BIGINT: The host; from the earliest of its names
  host_key VARCHAR: The last of its names, in lower case
  position INTEGER: Which of its names it is, in the order of use: 1 is the first
  host VARCHAR: The last of its names, as first written
  names VARCHAR: All its names in the order of use, separated by blanks; of very many the first and the last, with ...
    between them
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from logontracks.engines.duckdb import Connection

_TYPES = pa.schema(
    [
        ("computer_key", pa.string()),
        ("computer", pa.string()),
        ("host_id", pa.int64()),
        ("host_key", pa.string()),
        ("position", pa.int32()),
        ("host", pa.string()),
        ("names", pa.string()),
    ]
)
_DAY = 86_400_000_000  # in microseconds; clocks are set by hours while a host is set up
_NAMES = 1000  # letters that the names of one host take up at most; few hosts have more than four names
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")


class Stretch(NamedTuple):
    """The records of one log file that have one name; ids are None where the form has none."""

    source: str
    channel: str
    key: str
    computer: str
    first_id: int | None
    last_id: int | None
    first_time: int
    last_time: int


def work(connection: Connection) -> pa.Table:
    """The table, from the extents of the case."""
    rows = connection.execute("""
        SELECT source_sha256, channel, LOWER(computer), MIN(computer), MIN(first_record_id), MAX(last_record_id),
            COALESCE(MIN(epoch_us(first_time)), 0), COALESCE(MAX(epoch_us(last_time)), 0)
        FROM extents WHERE computer IS NOT NULL GROUP BY source_sha256, channel, LOWER(computer)
        ORDER BY 1, 2, 5, 3""").fetchall()
    stretches = [Stretch(*row) for row in rows]
    chains = hosts(stretches)
    written: dict[str, tuple[int, str]] = {}
    for each in stretches:
        written[each.key] = min(
            written.get(each.key, (each.first_time, each.computer)), (each.first_time, each.computer)
        )
    told: list[tuple[object, ...]] = []
    for chain in chains:
        names = [written[key][1] for key in chain]
        all_names, number = _all(names), _number(chain[0])
        told += [
            (key, name, number, chain[-1], at, names[-1], all_names)
            for at, (key, name) in enumerate(zip(chain, names, strict=True), 1)
        ]
    return pa.Table.from_arrays(
        [pa.array([row[at] for row in told], field.type) for at, field in enumerate(_TYPES)], schema=_TYPES
    )


def hosts(stretches: Iterable[Stretch]) -> list[list[str]]:
    """The names of each host in the order of use."""
    stretches = list(stretches)
    after = _successions(stretches)
    forms = _forms({each.key for each in stretches})
    heads: dict[str, dict[str, None]] = defaultdict(dict)  # of the same name in another form: itself, not a successor
    tails: dict[str, dict[str, None]] = defaultdict(dict)
    used_until: dict[str, int] = {}
    for each in stretches:
        used_until[forms[each.key]] = max(used_until.get(forms[each.key], each.last_time), each.last_time)
    renamed: dict[tuple[str, str], int] = {}  # when: the latest of all logs, as the clock of one may have been set back
    for old, new, time in after:
        if forms[old] != forms[new]:
            renamed[forms[old], forms[new]] = max(renamed.get((forms[old], forms[new]), time), time)
    for old, new in renamed:
        heads[old][new] = None
        tails[new][old] = None
    images = {old for (old, _), time in renamed.items() if used_until[old] > time + _DAY}
    parent = {form: form for form in forms.values()}

    def root(form: str) -> str:
        while parent[form] != form:
            parent[form] = parent[parent[form]]  # long ways are made short
            form = parent[form]
        return form

    for old, successors in heads.items():
        new = next(iter(successors))
        if len(successors) == 1 and len(tails[new]) == 1 and old not in images:
            parent[root(new)] = root(old)
    members: dict[str, list[str]] = defaultdict(list)
    for key, form in forms.items():
        members[root(form)].append(key)
    first: dict[str, int] = {}
    for each in stretches:
        first[each.key] = min(first.get(each.key, each.first_time), each.first_time)
    behind: dict[str, set[str]] = defaultdict(set)
    for old, new, _ in after:
        if old != new and root(forms[old]) == root(forms[new]):
            behind[old].add(new)
    return [_in_order(keys, behind, first) for _, keys in sorted(members.items())]


def _successions(stretches: list[Stretch]) -> list[tuple[str, str, int]]:
    """Pairs of names where the one goes on where the other ended, in one log, and when. A log of many hosts (forwarded
    events) has none: there the ids of one name lie among those of another."""
    logs: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for each in stretches:
        if each.first_id is not None and each.last_id is not None:
            logs[each.source, each.channel].append(each)
    found: dict[tuple[str, str, int], None] = {}
    for log in logs.values():
        log.sort(key=lambda each: (each.first_id or 0, each.last_id or 0))
        if any((one.last_id or 0) >= (next_.first_id or 0) for one, next_ in pairwise(log)):
            continue
        for one, next_ in pairwise(log):
            if (one.last_id or 0) + 1 == next_.first_id:
                found[one.key, next_.key, next_.first_time] = None
    return list(found)


def _forms(keys: set[str]) -> dict[str, str]:
    """Each name to one that stands for it: the full form of a short name that has just one."""
    full: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        if "." in key and not _ADDRESS.fullmatch(key):
            full[key.partition(".")[0]].add(key)
    return {key: next(iter(full[key])) if key in full and len(full[key]) == 1 else key for key in sorted(keys)}


def _in_order(keys: list[str], behind: dict[str, set[str]], first: dict[str, int]) -> list[str]:
    """Names by succession, and by first use where the logs do not tell. `behind`: the names that follow on a name."""
    waits_for = Counter(new for old in keys for new in behind.get(old, ()))
    by_use = sorted(keys, key=lambda key: (first[key], key))
    ready = [(first[key], key) for key in by_use if not waits_for[key]]
    rest = iter(by_use)
    ordered: dict[str, None] = {}
    while len(ordered) < len(keys):
        # where names go round in a circle, the one that was used first begins
        key = heappop(ready)[1] if ready else next(key for key in rest if key not in ordered)
        if key in ordered:
            continue
        ordered[key] = None
        for new in behind.get(key, ()):
            waits_for[new] -= 1
            if not waits_for[new]:
                heappush(ready, (first[new], new))
    return list(ordered)


def _all(names: list[str]) -> str:
    """Names as one text, which each row has: a chain of names that somebody forged must not grow with its square."""
    text = " ".join(names)
    if len(text) <= _NAMES:
        return text
    return f"{text[: _NAMES // 2].rpartition(' ')[0]} ... {text[-_NAMES // 2 :].partition(' ')[2]}"


def _number(text: str) -> int:
    """A 61-bit number that stands for a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 3
