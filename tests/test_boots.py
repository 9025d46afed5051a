"""Boots from evidence in any order, and of hosts that started thousands of times."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from making_events import Row, worked_out

from logontracks.models.boots import NOWHERE
from logontracks.models.starts import Start, _parts, aligned, seconds

SECURITY = "Microsoft-Windows-Security-Auditing"
KINDS = (
    ("Security", SECURITY, 4624), ("Security", SECURITY, 4624), ("Security", SECURITY, 4634),
    ("Security", SECURITY, 4608), ("Security", "Microsoft-Windows-Eventlog", 1100),
    ("Security", "Microsoft-Windows-Eventlog", 1101), ("Security", SECURITY, 4616),
    ("System", "User32", 1074), ("System", "EventLog", 6005), ("System", "EventLog", 6006),
    ("System", "EventLog", 6008), ("System", "EventLog", 6009), ("System", "EventLog", 6013),
    ("System", "Microsoft-Windows-Kernel-General", 12), ("System", "Microsoft-Windows-Kernel-General", 13),
    ("System", "Microsoft-Windows-Kernel-Boot", 27), ("System", "Microsoft-Windows-Kernel-Power", 41),
)  # fmt: skip
STEPS = (0, 1, 30, 119, 121, 299, 301, 601, 3600, 86400, -60, -7200)
MONDAY = datetime(2026, 10, 5)  # noqa: DTZ001 - UTC, as all times in a case


def evidence(rng: random.Random, host: str) -> Iterator[Row]:
    """Records of a host in an order that may make no sense, of some kinds, with a clock that may be set back."""
    kinds = rng.sample(KINDS, rng.randint(1, 6))
    time = MONDAY
    ids = {"Security": 0, "System": 0}
    boot = MONDAY if rng.random() < 0.3 else None
    numbered = rng.random() < 0.9
    steps = rng.sample(STEPS, rng.randint(1, len(STEPS)))
    for _ in range(rng.randint(1, 25)):
        channel, provider, event_id = rng.choice(kinds)
        time += timedelta(seconds=rng.choice(steps))
        ids[channel] += 1
        if boot and rng.random() < 0.1:
            boot = time
        yield {
            "computer": host, "channel": channel, "provider": provider, "event_id": event_id, "time": time,
            "record_id": ids[channel] if numbered else None, "source_sha256": host,
            "target_logon_id": rng.choice((0x40000, 0x90000, 0x200000)) if event_id in {4624, 4634} else None,
            "logon_type": rng.choice((0, 2, 3)), "target_name": "anna", "uptime_s": rng.choice((0, 60, 90000, None)),
            "boot_type": rng.choice((0, 1, None)), "boot_hint": boot if channel == "Security" else None,
            "boot_time": rng.choice((time, None)), "stop_time": rng.choice((time, None)),
            "old_time": time - timedelta(seconds=rng.choice(STEPS)), "new_time": time,
        }  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_evidence_in_any_order_makes_lives_that_follow_each_other(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    events = [row for n in range(150) for row in evidence(rng, f"ws{n}")]
    connection = worked_out(events, tmp_path, until="boots")
    boots = rows(connection, "SELECT * FROM boots ORDER BY host_id, boot_no")
    assert len({boot["boot_id"] for boot in boots}) == len(boots)
    for boot, next_ in pairwise(boots):
        if boot["host_id"] != next_["host_id"]:
            continue
        assert next_["boot_no"] == boot["boot_no"] + 1
        assert (boot["security_until"] or NOWHERE) == next_["security_from"]
        assert boot["security_from"] is None or boot["security_from"] <= next_["security_from"]
    # each record of the Security log is of one life, and each life has a sign
    ((twice,),) = connection.execute("""
        SELECT COUNT(*) FROM (SELECT e.uid FROM logged AS e JOIN boots AS b ON b.host_id = e.host_id
            AND e.seq >= COALESCE(b.security_from, -1) AND e.seq < COALESCE(b.security_until, 4611686018427387904)
            WHERE e.channel = 'Security' GROUP BY e.uid HAVING COUNT(*) <> 1)""").fetchall()
    assert twice == 0
    assert all(boot["start_uid"] or boot["end_uid"] for boot in boots)


def rows(connection: Any, query: str) -> list[dict[str, Any]]:
    return list(connection.sql(query).to_arrow_table().to_pylist())


def test_two_stops_in_one_life_are_cut_in_their_order(tmp_path: Path) -> None:
    """Each stop is followed by logons that come too late to be of its life: three lives, of which none is empty."""
    common: Row = {"computer": "ws1", "channel": "Security", "provider": SECURITY, "event_id": 4624,
                   "target_logon_id": 0x40000, "source_sha256": "a"}  # fmt: skip
    stop = common | {"provider": "Microsoft-Windows-Eventlog", "event_id": 1100, "target_logon_id": None}
    written = [common, stop, common, stop, common]
    events = [row | {"record_id": n, "time": MONDAY + timedelta(hours=n)} for n, row in enumerate(written, 1)]
    connection = worked_out(events, tmp_path, until="boots")
    found = rows(connection, "SELECT * FROM boots ORDER BY boot_no")
    assert [(boot["security_from"], boot["security_until"], boot["end_kind"]) for boot in found] == [
        (None, 3, "shutdown"), (3, 5, "shutdown"), (5, None, "running")
    ]  # fmt: skip


def plainly(security: list[Start], system: list[Start]) -> int:
    """How many pairs there can be, by comparing each start with each."""
    near = seconds("boot_kin_s")
    best = [[0] * (len(system) + 1) for _ in range(len(security) + 1)]
    for i in reversed(range(len(security))):
        for j in reversed(range(len(system))):
            pair = abs(security[i].moment - system[j].moment) <= near
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + pair)
    return best[0][0]


@pytest.mark.parametrize("seed", range(300))
def test_starts_are_aligned_as_if_each_was_compared_with_each(seed: int) -> None:
    rng = random.Random(seed)
    spread = rng.choice((300, 2000, 20000))
    lists = [[Start(n, MONDAY + timedelta(seconds=rng.randrange(spread)), n, [], n) for n in range(rng.randrange(12))]
             for _ in range(2)]  # fmt: skip
    if rng.random() < 0.7:
        for starts in lists:
            starts.sort(key=lambda start: start.time)
    found = aligned(*lists)
    assert [ours for ours, _ in found if ours] == lists[0]
    assert [theirs for _, theirs in found if theirs] == lists[1]
    pairs = [(ours, theirs) for ours, theirs in found if ours and theirs]
    assert all(abs(ours.moment - theirs.moment) <= seconds("boot_kin_s") for ours, theirs in pairs)
    assert len(pairs) == plainly(*lists)


@pytest.mark.parametrize("step", [86400, 600, 1, 0])
def test_starts_are_compared_with_few(step: int) -> None:
    """However many there are, and however near to each other."""
    moments = [n * step * 1_000_000 for n in range(5000)]
    parts = list(_parts(moments, moments, 300_000_000))
    assert sum((i_until - i) * (j_until - j) for i, i_until, j, j_until in parts) <= 500 * len(moments)
    assert [i for i, *_ in parts[1:]] == [i_until for _, i_until, *_ in parts[:-1]]
    assert [j for *_, j, _ in parts[1:]] == [j_until for *_, j_until in parts[:-1]]


def test_a_host_that_started_every_day_for_years(tmp_path: Path) -> None:
    """The Security log has no word of starts: each is placed by the time of the System log's."""
    logon: Row = {"computer": "ws1", "channel": "Security", "provider": SECURITY, "event_id": 4624,
                  "logon_type": 3, "source_sha256": "a"}  # fmt: skip
    start = logon | {"channel": "System", "provider": "Microsoft-Windows-Kernel-General", "event_id": 12}
    days = 3000
    events = [
        row | {"record_id": n, "time": MONDAY + timedelta(days=n, seconds=10 * place),
               "target_logon_id": 0x40000 + n if place else None}
        for n in range(1, days + 1) for place, row in enumerate((start, logon))
    ]  # fmt: skip
    connection = worked_out(events, tmp_path, until="boots")
    found = connection.execute("""
        SELECT COUNT(*), COUNT(DISTINCT boot_id), SUM(security_from), MIN(CAST(last_time AS TIME)) FROM boots
        """).fetchall()
    assert found == [(days, days, days * (days + 1) // 2, (MONDAY + timedelta(seconds=10)).time())]
