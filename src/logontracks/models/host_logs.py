"""host_logs: one row for each name that records have, with the host that wrote them.

Names of one host are joined by graph work that is not SQL's: each pair of names that is the short and the full form of
one, that follow each other in one log (the record after the last one under the old name is the first one under the
new), or of which a record tells that one became the other: 6011 of the host itself, 4781 of its account at a
controller. A name with two successors or two predecessors, or one that is in use again a day after its host had
another, is that of a cloned image and joins nothing: under it several machines wrote. In a log that goes on under
another name it is that of the machine with the other name, and has a row of its own for that file. One short name with
two domains stays three names. Nothing else joins hosts: an address or a SID is shared by clones.
Reads: extents, events.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from logontracks.models.starts import LATE_RECORDS

if TYPE_CHECKING:
    from logontracks.engines.duckdb import Connection

_TYPES = pa.schema(
    [
        ("computer_key", pa.string()),
        ("source_sha256", pa.string()),
        ("computer", pa.string()),
        ("host_id", pa.int64()),
        ("host_key", pa.string()),
        ("position", pa.int32()),
        ("host", pa.string()),
        ("names", pa.string()),
        ("is_image", pa.bool_()),
    ]
)
_DAY = 86_400_000_000  # in microseconds; clocks are set by hours while a host is set up
_NAMES = 1000  # letters that the names of one host take up at most; few hosts have more than four names
_IMAGES = 16  # that a host went through before it had its own name at most: nobody makes so many from each other
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


class Renamed(NamedTuple):
    """One name became another one, at a time in microseconds by the clock of who tells it."""

    old: str
    new: str
    time: int


@dataclass
class Host:
    """Names in the order of use. `files`: the files whose records under a name are of this host, where those in others
    are not; `is_image`: what is left under the name of an image may be of several machines."""

    names: list[str]
    files: dict[str, set[str]] = field(default_factory=dict)
    is_image: bool = False


def work(connection: Connection) -> pa.Table:
    """The table, from the extents of the case and the records that tell of new names."""
    rows = connection.execute("""
        SELECT source_sha256, channel, LOWER(computer), MIN(computer), MIN(first_record_id), MAX(last_record_id),
            COALESCE(MIN(epoch_us(first_time)), 0), COALESCE(MAX(epoch_us(last_time)), 0)
        FROM extents WHERE computer IS NOT NULL GROUP BY source_sha256, channel, LOWER(computer)
        ORDER BY 1, 2, 5, 3""").fetchall()
    stretches = [Stretch(*row) for row in rows]
    told = connection.execute("""
        SELECT rtrim(LOWER(old_name), '$'), rtrim(LOWER(new_name), '$'), MAX(epoch_us(time)) FROM events
        WHERE old_name IS NOT NULL AND new_name IS NOT NULL AND ((event_id = 6011 AND provider = 'EventLog')
            OR (event_id = 4781 AND old_name LIKE '%$' AND new_name LIKE '%$'))
        GROUP BY ALL ORDER BY ALL""").fetchall()
    written: dict[str, tuple[int, str]] = {}
    for each in stretches:
        written[each.key] = min(
            written.get(each.key, (each.first_time, each.computer)), (each.first_time, each.computer)
        )
    made: list[tuple[object, ...]] = []
    for host in hosts(stretches, [Renamed(*row) for row in told]):
        names = [written[key][1] for key in host.names]
        number = _number(next((key for key in host.names if key not in host.files), host.names[-1]))
        all_names = _all(names)
        for at, (key, name) in enumerate(zip(host.names, names, strict=True), 1):
            told_by = sorted(host.files[key]) if key in host.files else [None]
            rest = name, number, host.names[-1], at, names[-1], all_names, host.is_image
            made += [(key, source, *rest) for source in told_by]
    return pa.Table.from_arrays(
        [pa.array([row[at] for row in made], field.type) for at, field in enumerate(_TYPES)], schema=_TYPES
    )


def hosts(stretches: Iterable[Stretch], told: Iterable[Renamed] = ()) -> list[Host]:
    """The hosts of a case. `told`: renames by their first labels, as records tell them."""
    stretches = list(stretches)
    forms = _forms({each.key for each in stretches})
    logs = _logs(stretches)
    used = _used(stretches, forms)
    after = [*_successions(logs), *_of_labels(told, used)]
    renamed: dict[tuple[str, str], int] = {}  # when: the latest of all logs, as the clock of one may have been set back
    for old, new, time in after:
        if forms[old] != forms[new]:  # the same name in another form is itself, not a successor
            renamed[forms[old], forms[new]] = max(renamed.get((forms[old], forms[new]), time), time)
    successors, predecessors = Counter(old for old, _ in renamed), Counter(new for _, new in renamed)
    images = {old for (old, _), time in renamed.items() if successors[old] > 1 or used[old][1] > time + _DAY}
    plain = {pair for pair in renamed if predecessors[pair[1]] == 1}
    parent = {form: form for form in forms.values()}

    def root(key: str) -> str:
        form = forms[key]
        while parent[form] != form:
            parent[form] = parent[parent[form]]  # long ways are made short
            form = parent[form]
        return form

    for old, new in renamed:
        if (old, new) in plain and old not in images:
            parent[root(new)] = root(old)
    files = _of_images(stretches, images, plain, forms, root)
    return _told(stretches, after, files, {key for key, form in forms.items() if form in images}, root)


def _logs(stretches: list[Stretch]) -> list[list[Stretch]]:
    """The logs in which one name ends before the next one begins, in the order of their ids. In a log of many hosts
    (forwarded events) the ids of one name lie among those of another."""
    logs: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for each in stretches:
        if each.first_id is not None and each.last_id is not None:
            logs[each.source, each.channel].append(each)
    for log in logs.values():
        log.sort(key=lambda each: (each.first_id or 0, each.last_id or 0))
    return [
        log for log in logs.values() if all((one.last_id or 0) < (next_.first_id or 0) for one, next_ in pairwise(log))
    ]


def _successions(logs: list[list[Stretch]]) -> list[Renamed]:
    """Pairs of names where the one goes on where the other ended."""
    found: dict[Renamed, None] = {}
    for log in logs:
        for one, next_ in pairwise(log):
            if (one.last_id or 0) + 1 == next_.first_id:
                found[Renamed(one.key, next_.key, next_.first_time)] = None
    return list(found)


def _used(stretches: list[Stretch], forms: dict[str, str]) -> dict[str, tuple[int, int]]:
    """From when until when each name is in use."""
    found: dict[str, tuple[int, int]] = {}
    for each in stretches:
        first, last = found.get(forms[each.key], (each.first_time, each.last_time))
        found[forms[each.key]] = min(first, each.first_time), max(last, each.last_time)
    return found


def _of_labels(told: Iterable[Renamed], used: dict[str, tuple[int, int]]) -> Iterator[Renamed]:
    """Names for first labels, where just one host has each, and had not the new one long before."""
    of_label: dict[str, set[str]] = defaultdict(set)
    for form in used:
        if not _ADDRESS.fullmatch(form):
            of_label[form.partition(".")[0]].add(form)
    for old, new, time in told:
        if len(of_label.get(old, ())) == len(of_label.get(new, ())) == 1:
            renamed = Renamed(next(iter(of_label[old])), next(iter(of_label[new])), time)
            if used[renamed.new][0] > time - _DAY:
                yield renamed


def _of_images(
    stretches: list[Stretch],
    images: set[str],
    plain: set[tuple[str, str]],
    forms: dict[str, str],
    root: Callable[[str], str],
) -> dict[str, dict[str, set[str]]]:
    """For each host the names of images that it began under, and the files in which these are its own: those of logs
    that go on under its name, in files that have no other host's. A System log has the last records of a life behind
    the first ones of the next."""
    before: dict[str, set[str]] = defaultdict(set)
    for old, new in plain:
        if old in images:
            before[root(new) if new not in images else new].add(old)
    logs: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    in_file: dict[str, set[str]] = defaultdict(set)
    for each in stretches:
        logs[each.source, each.channel].append(each)
        if forms[each.key] not in images:
            in_file[each.source].add(root(each.key))
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for (source, _), log in logs.items():
        own = [each for each in log if forms[each.key] not in images]
        if not own or len(in_file[source]) > 1:
            continue
        host = root(own[0].key)
        begin = min(each.first_id or 0 for each in own)
        own_images: set[str] = set()
        waiting = [host]
        while waiting and len(own_images) < _IMAGES:
            more = before.get(waiting.pop(), set()) - own_images
            own_images |= more
            waiting += more
        for each in log:
            if forms[each.key] in own_images and each.last_id is not None and each.last_id - begin <= LATE_RECORDS:
                found[host][each.key].add(source)
    return found


def _told(
    stretches: list[Stretch],
    after: list[Renamed],
    files: dict[str, dict[str, set[str]]],
    images: set[str],
    root: Callable[[str], str],
) -> list[Host]:
    """The hosts, each with its names in the order of use."""
    first: dict[str, int] = {}
    left: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for each in stretches:
        first[each.key] = min(first.get(each.key, each.first_time), each.first_time)
        left[each.key].add((each.source, each.channel))
    taken: dict[str, set[str]] = defaultdict(set)
    for names in files.values():
        for key, sources in names.items():
            taken[key] |= sources
    crowded = Counter(source for source, _ in {(each.source, root(each.key)) for each in stretches})
    members: dict[str, dict[str, None]] = defaultdict(dict)
    own: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    mixed: set[str] = set()
    for key, logs in left.items():
        rest = {(source, channel) for source, channel in logs if source not in taken[key]}
        if rest:
            members[root(key)][key] = None
            if taken[key]:
                own[root(key)][key] |= {source for source, _ in rest}
        channels = Counter(channel for _, channel in rest)
        several = max(channels.values(), default=0) > 1 or any(crowded[source] > 1 for source, _ in rest)
        if key in images and several:
            mixed.add(root(key))
    for host, names in files.items():
        for key, sources in names.items():
            members[host][key] = None
            own[host][key] |= sources
    behind: dict[tuple[str, str], set[str]] = defaultdict(set)
    of_host = {(host, key) for host, keys in members.items() for key in keys}
    for old, new, _ in after:
        if old != new and (root(new), old) in of_host and (root(new), new) in of_host:
            behind[root(new), old].add(new)
    return [
        Host(
            _in_order(list(keys), {key: behind[host, key] for key in keys}, first),
            dict(own[host]),
            host in mixed,
        )
        for host, keys in sorted(members.items())
    ]


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
