"""Simulated records beside real ones of the same kind: fields, forms of values, neighbours, shares of kinds."""

import json
import re
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import pytest
from evtx import PyEvtxParser

from logontracks.simulate.attacks import ATTACKS
from logontracks.simulate.deliver import simulate

LOGS = Path(__file__).parents[3] / "shared" / "logs"
FEW = 20  # real records of a kind that say too little of what values it can have

SHAPES = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {
        "none": r"-?",
        "number": r"-?\d+",
        "hex": r"0x[0-9a-f]+",
        "no guid": r"[0-]{36}",
        "guid": r"[0-9A-F-]{36}",
        "sid": r"S-1-[\d-]+",
        "message": r"(?:%%\d+\s*)+",
        "address": r"(?:::ffff:)?\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]*:[0-9a-f:]*",
        "address and port": r"\d+\.\d+\.\d+\.\d+:\d+",
        "time": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
        "computer": r"[^\\@]+\$",
        "account": r"[^@]+@[^@]+",
        "path": r"(?:[A-Z]:)?\\.*|[A-Z]:.*",
        "lines": r".*\n.*",
        "truth": r"true|false|True|False",
        "text": r".*",
    }.items()
}
NOT_SEEN = {
    (21, "Address"): "the hosts at hand whose logs of the session manager are whole were used at the console",
    (22, "Address"): "as 21",
    (4779, "ClientAddress"): "one real record, of the console",
}
"""Forms of values that no real record at hand has, and why they are right."""


def shape(value):
    text = "" if value is None else str(value)
    return next(name for name, pattern in SHAPES.items() if pattern.fullmatch(text))


class Seen:
    """What records of one kind are like."""

    def __init__(self):
        self.count = 0
        self.fields = set()
        self.shapes = defaultdict(Counter)
        self.header = set()
        self.near = Counter()
        self.ends = Counter()  # of 4624: by logon type, and whether the session was logged off in the same log


def look(paths):
    """By (provider, event id, version)."""
    found = defaultdict(Seen)
    for path in paths:
        rows, logons, ended = [], [], set()
        for row in PyEvtxParser(str(path)).records_json():
            event = json.loads(row["data"])["Event"]
            system = event["System"]
            event_id = system["EventID"]
            event_id = event_id["#text"] if isinstance(event_id, dict) else event_id
            user_data = next(iter((event.get("UserData") or {}).values()), None)
            data = event.get("EventData") or user_data or {}
            kind = system["Provider"]["#attributes"]["Name"], event_id, system.get("Version")
            rows.append((system["TimeCreated"]["#attributes"]["SystemTime"], event_id, found[kind]))
            seen = found[kind]
            seen.count += 1
            values = {name: value for name, value in data.items() if name not in ("#attributes", "Binary")}
            seen.fields.add(tuple(values))
            seen.header.add((system["Level"], system["Task"], system.get("Opcode")))
            for name, value in values.items():
                seen.shapes[name][shape(value)] += 1
            if event_id == 4634:
                ended.add(data["TargetLogonId"])
            elif event_id == 4624:
                logons.append((seen, data["LogonType"], data["TargetLogonId"]))
        for seen, logon_type, logon_id in logons:
            seen.ends[logon_type, logon_id in ended] += 1
        for place, (time, _, seen) in enumerate(rows):
            for other, event_id, _ in rows[max(0, place - 8) : place] + rows[place + 1 : place + 9]:
                if abs((datetime.fromisoformat(other) - datetime.fromisoformat(time)).total_seconds()) <= 2:
                    seen.near[event_id] += 1
    return found


@pytest.fixture(scope="module")
def real():
    if not LOGS.is_dir():
        pytest.skip(f"no real logs at {LOGS}")
    folders = [path for path in LOGS.iterdir() if path.name not in ("damaged", "evtx-parser-edge-cases")]
    return look(sorted(path for folder in folders for path in folder.rglob("*.evtx")))


@pytest.fixture(scope="module")
def real_desks():
    if not LOGS.is_dir():
        pytest.skip(f"no real logs at {LOGS}")
    return look(sorted(LOGS.glob("host-*-win10*/Security.evtx")))


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    simulate(folder, seed=21, hosts=24, days=5, attacks=[name for name in ATTACKS if name != "insider"])
    return folder / "logs"


@pytest.fixture(scope="module")
def simulated(company):
    return look(sorted(company.rglob("*.evtx")))


@pytest.fixture(scope="module")
def simulated_desks(company):
    return look(sorted(company.glob("WKS-*/Security.evtx")))


@pytest.fixture(scope="module")
def common(real, simulated):
    """Kinds of which there are simulated records and enough real ones."""
    kinds = {kind: (simulated[kind], real[kind]) for kind in simulated if kind in real and real[kind].count >= FEW}
    assert len(kinds) > 25
    return kinds


def test_fields_are_those_of_real_records(common):
    for kind, (made, seen) in common.items():
        assert made.fields <= seen.fields, kind
        assert made.header <= seen.header, kind


def test_values_have_the_form_of_real_ones(common):
    odd = {
        (kind[1], name, form)
        for kind, (made, seen) in common.items()
        for name, forms in made.shapes.items()
        for form in forms
        if form not in seen.shapes[name] and (kind[1], name) not in NOT_SEEN
    }
    assert odd == set()


def test_neighbours_are_those_of_real_records(common):
    """What most often stands within two seconds of a record stands there in real logs too."""
    odd = {
        (kind[1], near)
        for kind, (made, seen) in common.items()
        for near, count in made.near.most_common(3)
        if count > made.count / 3 and near in {each[1] for each in common} and near not in seen.near
    }
    assert odd == set()


ENDED = {0: 0, 2: 0.39, 3: 0.82, 5: 0, 7: 0.98, 9: 0, 10: 0.68, 11: 0.72}
"""Share of logons that were logged off in the same log, by type, in all real logs at hand, excerpts and all."""


def test_logons_end_about_as_often_as_real_ones(simulated):
    ends = Counter()
    for kind, made in simulated.items():
        if kind[1] == 4624:
            ends.update(made.ends)
    shares = {each: ends[each, True] / (ends[each, True] + ends[each, False]) for each, _ in ends}
    assert {each for each in ENDED if each not in shares} == set()
    assert {each: share for each, share in shares.items() if abs(share - ENDED.get(each, share)) > 0.35} == {}


def test_a_desk_writes_kinds_in_shares_like_a_real_one(simulated_desks, real_desks):
    """For each 4624 as many records of other kinds, within a factor of five."""
    for event_id in (4648, 4672, 4634):
        ours, theirs = (
            sum(seen.count for kind, seen in desks.items() if kind[1] == event_id)
            / sum(seen.count for kind, seen in desks.items() if kind[1] == 4624)
            for desks in (simulated_desks, real_desks)
        )
        assert 0.2 < ours / theirs < 5, (event_id, ours, theirs)
