"""Each scenario once more as Windows 2003 would have logged it: the same rows, from .evt files.

A scenario is left out where an event had no forerunner, or that does not say what the scenario rests on.
"""

import re
from collections import defaultdict
from dataclasses import replace

import making
import pytest
from making_evt import FAILURE, SUCCESS, LegacyEvent, log
from making_scenarios import MONDAY, Told, _ingest, records, scenarios

from logontracks import catalogue
from logontracks.build import build
from logontracks.case import Case
from logontracks.normalize import Normalizer, rules_of
from logontracks.queries.events import EventFilter, events
from logontracks.schema import Form
from logontracks.sources import legacy

TABLES = ("sessions", "boots", "hosts", "accounts", "presence", "authentications", "failures", "links", "log_spans",
          "coverage", "blind_spots")  # fmt: skip
"""Not `evidence`, whose rows show the event id."""
OLD_POLICY = "Computer Configuration > Windows Settings > Security Settings > Local Policies > Audit Policy > Audit "
DIFFERENT = {  # blind spots: up to Windows 2003 auditing has categories, and nothing is written of locks
    "coverage/no-logoff": f'ws1 logoff - - amount=50 how_to_set=- policy_path="{OLD_POLICY}logon events"',
    "coverage/no-special-logon": f'ws1 special_logon - - amount=10 policy_path="{OLD_POLICY}privilege use"',
    "coverage/unlocks-without-locks": "",
}
NEWEST = {key: max(layouts) for key, layouts in legacy._layouts().items()}  # of Windows 2003, which has most strings


class NoTwinError(Exception):
    """Why an event cannot be told by Windows 2003."""


def twins(record):
    """Numbers that the event had, those that fit best first."""
    kind = (record.provider.lower(), record.kind.event_id)
    numbers = [int(row["legacy_id"]) for row in catalogue.table("legacy_ids")
               if (row["provider"].lower(), int(row["event_id"])) == kind]  # fmt: skip
    if record.kind.event_id == 4624:
        return [540] if record.data.get("LogonType") in {"3", "8"} else [528]
    if record.kind.event_id == 4625:  # the last one carries codes, and stands for all that have no number of their own
        return sorted(set(numbers) - {548}, key=lambda number: (number == 537, number))
    return numbers


def old_form(name, value, kind):
    rule = next((rule for rule in rules_of(kind) if rule.field == name), None)
    if rule and rule.form is Form.LOGON_ID:
        number = int(value, 0)
        return f"(0x{number >> 32:X},0x{number & 0xFFFFFFFF:X})"
    if name in {"ProcessId", "NewProcessId"}:
        return str(int(value, 0))
    return value


def twin(record):
    """The event of Windows 2003 that says the same."""
    if record.time.microsecond or record.record_id is None or record.activity_id:
        raise NoTwinError("a time finer than a second, a record without a number, or a start of the host in it")
    why = f"there was no {record.kind.event_id}"
    for number in twins(record):
        layout = legacy._layouts().get(number, {}).get(NEWEST.get(number, 0), ())
        sid_field = legacy._sid_fields().get(number)
        implied = legacy._implied(number)
        fields = dict(record.data)
        sid = fields.pop(sid_field, None) if sid_field else None
        if number == 537:
            fields.pop("FailureReason", None)  # its codes say as much
        said = {name: value for name, value in fields.items() if name in {"Status", "SubStatus", "FailureReason"}}
        if implied and not said.items() <= implied.items():
            why = f"{number} says another reason"
            continue
        rest = {name: value for name, value in fields.items() if name not in implied}
        missing = [name for name, value in rest.items() if name not in layout and value not in {"", "-", "0x0"}]
        if missing:
            why = f"{number} has no {', '.join(sorted(missing))}"
            continue
        values = tuple(old_form(name, rest.get(name, "-"), record.kind) if name in rest else "-" for name in layout)
        kind = FAILURE if record.kind.event_id in {4625, 4771} else SUCCESS
        return LegacyEvent(number, record.time, record.host, values, record.record_id, "Security", kind, sid)
    raise NoTwinError(why)


def chosen():
    """Scenarios that have a twin, with their .evt events by log and their other records; and why others have none."""
    found, left_out = [], {}
    for scenario in scenarios():
        legacy_logs, modern = defaultdict(list), defaultdict(list)
        try:
            for record in records(scenario, MONDAY):
                if record.log.channel == "Security":
                    legacy_logs[record.log].append(twin(record))
                else:
                    modern[record.log].append(record)
        except NoTwinError as error:
            left_out[scenario.name] = str(error)
            continue
        if legacy_logs:
            found.append((scenario, legacy_logs, modern))
    return found, left_out


CHOSEN, LEFT_OUT = chosen()
EVERY = [(scenario, table) for scenario, *_ in CHOSEN for table in scenario.tables if table in TABLES]


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    return Case(making.once(tmp_path_factory, "twins", make) / "case")


@pytest.fixture(scope="session")
def told(case):
    return Told(case)


def make(folder):
    folder.mkdir()
    logs = {}
    for number, (_, legacy_logs, modern) in enumerate(CHOSEN):
        logs |= modern
        for at, logged in enumerate(legacy_logs.values()):
            (folder / f"{number}-{at}.Evt").write_bytes(log(logged))
    _ingest(folder / "case", Normalizer(), logs, MONDAY)
    making.ingest(sorted(folder.glob("*.Evt")), folder / "case")
    build(folder / "case")


@pytest.mark.parametrize(("scenario", "table"), EVERY, ids=[f"{scenario.name}-{table}" for scenario, table in EVERY])
def test_a_scenario_as_windows_2003_logged_it(told, scenario, table):
    if table == "blind_spots" and scenario.name in DIFFERENT:
        scenario = replace(scenario, tables={table: DIFFERENT[scenario.name]})
    found, expected = told.compare(scenario, table)
    found = sorted(re.sub(r'(?<=[" ])([56]\d\d)(?= (?:0x|\d\d:))', modern_number, line) for line in found)
    assert "\n".join(found) == "\n".join(expected), scenario.why


def modern_number(found):
    """Of the record that a code or a time stands beside."""
    return str(catalogue.modern(legacy.PROVIDER, int(found[1]))[1])


def test_events_are_told_in_words(case):
    with events(case, EventFilter(), for_people=True) as answer:
        rows = answer.rows.read_all().to_pylist()
    assert "Security" not in {row["what"] for row in rows}
    assert {row["what"] for row in rows if row["event"] == 528} == {"Successful logon, any type but network"}
    assert "The pre-authentication was wrong" in {row["result"] for row in rows if row["event"] == 675}


def test_why_scenarios_have_no_twin():
    print(*(f"{name}: {why}" for name, why in LEFT_OUT.items()), sep="\n")
    assert len(CHOSEN) > 60
