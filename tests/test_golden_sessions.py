"""The boots and sessions of every real host, compared with tests/golden_sessions; `make golden` rewrites them.

`git diff` is the review: a change of a model shows here which sessions it changes. Sessions of people stand in full,
others as counts. Names, ids and times are facts; no other text of the logs stands here.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from making_tables import rows
from test_golden import EVTX, NXLOG, group_of

from logontracks.case import Case

GOLDEN = Path(__file__).parent / "golden_sessions"
MOST_BYTES = 400_000  # of all golden texts
MOST_LINES = 400  # of sessions of one host


def told(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case _:
            return str(value).encode("unicode_escape").decode()


def end(row: dict[str, Any]) -> str:
    if row["end_certainty"] != "bounded":
        return told(row["end_time"])
    return f"{told(row['end_time_min'])}..{told(row['end_time_max'])}"


def golden(case: Case) -> Iterator[str]:
    yield "# Boots and sessions of these logs. Rewritten by `make golden`."
    boots = rows(case, "SELECT * FROM boots")
    sessions = rows(
        case,
        """SELECT s.*, b.boot_no FROM sessions AS s JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
        ORDER BY s.host_id, b.boot_no, s.first_time, s.logon_id""",
    )
    for host in sorted(rows(case, "SELECT * FROM hosts"), key=lambda row: (row["names"].lower(), row["host_id"])):
        yield ""
        yield f"host {host['names']} role={told(host['role'])} boots={host['boots']} sessions={host['sessions']}"
        for boot in sorted((b for b in boots if b["host_id"] == host["host_id"]), key=lambda b: b["boot_no"]):
            words = [told(boot["started_by"]), boot["end_kind"], told(boot["ended_by"])]
            yield f"  boot {boot['boot_no']} {told(boot['start_time'])} {end(boot)} {' / '.join(words)}"
        own = [row for row in sessions if row["host_id"] == host["host_id"]]
        people = [row for row in own if row["kind"] in {"person", None}]
        for row in people[:MOST_LINES]:
            facts = ("opened_by", "duration_s", "clock_step_s", "admin", "source_address", "reconnects", "active_s")
            more = [f"{name}={told(row[name])}" for name in facts if row[name] not in {None, 0}]
            ids = hex(row["logon_id"]) + (f"+{row['linked_logon_id']:#x}" if row["linked_logon_id"] else "")
            who = told(row["account"])
            yield " ".join(
                [f"  {row['boot_no']}", ids, who, told(row["start_time"]), end(row), row["end_reason"], *more]
            )
        if len(people) > MOST_LINES:
            yield f"  and {len(people) - MOST_LINES} more"
        counts: dict[str, int] = {}
        for row in own:
            if row["kind"] not in {"person", None}:
                key = f"{row['kind']} {told(row['opened_by'])} {row['end_reason']} {row['end_certainty']}"
                counts[key] = counts.get(key, 0) + 1
        for key, number in sorted(counts.items()):
            yield f"  {number} x {key}"


@pytest.mark.parametrize("group", [*EVTX, *NXLOG])
def test_real_logs_tell_the_sessions_that_they_did(shared_logs, group, tmp_path_factory, request):
    text = "\n".join(golden(group_of(tmp_path_factory, group))) + "\n"
    kept = GOLDEN / f"{group}.txt"
    if request.config.getoption("--rewrite-golden"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text, encoding="utf-8", newline="\n")
        return
    assert kept.is_file(), "there is no golden text of this group: `make golden` writes it"
    assert text.splitlines() == kept.read_text(encoding="utf-8").splitlines(), "if that was meant: `make golden`"


def test_golden_texts_are_those_of_the_groups_and_small():
    texts = {path.name: path.stat().st_size for path in GOLDEN.iterdir()}
    assert set(texts) == {f"{group}.txt" for group in (*EVTX, *NXLOG)}
    assert sum(texts.values()) < MOST_BYTES
