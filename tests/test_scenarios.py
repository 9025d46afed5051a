"""tests/scenarios: a few events in, the exact rows out; on any day, and in any order of files."""

import re
from datetime import timedelta

import pytest
from making_scenarios import FOLDER, MONDAY, TABLES, Told, WrittenWrongError, kind_of, make_case, scenarios, shared_case

LATER = timedelta(days=1234)
EVERY = [(scenario, table) for scenario in scenarios() for table in scenario.tables]
each_table = pytest.mark.parametrize(
    ("scenario", "table"), EVERY, ids=[f"{scenario.name}-{table}" for scenario, table in EVERY]
)


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    return Told(shared_case(tmp_path_factory))


@pytest.fixture(scope="session")
def told_later(tmp_path_factory):
    return Told(shared_case(tmp_path_factory, "scenarios-later", day=MONDAY + LATER), MONDAY + LATER)


@each_table
def test_scenario(told, scenario, table):
    found, expected = told.compare(scenario, table)
    assert "\n".join(found) == "\n".join(expected), scenario.why


@each_table
def test_moving_all_times_moves_all_rows(told_later, scenario, table):
    found, expected = told_later.compare(scenario, table)
    assert "\n".join(found) == "\n".join(expected), scenario.why


def test_the_order_of_files_changes_nothing(told, tmp_path):
    """Read in the other order, and in three ingests."""
    other = Told(make_case(tmp_path / "case", reversed(scenarios()), batches=3))
    assert told.rows.keys() == other.rows.keys()
    for key, rows in told.rows.items():
        mine, others = ("\n".join(sorted(map(str, each))) for each in (rows, other.rows[key]))
        assert mine == others, key


@pytest.mark.parametrize("table", TABLES)
def test_each_table_has_scenarios(table):
    assert sum(table in scenario.tables for scenario in scenarios()) >= 5


def test_a_scenario_says_what_it_shows():
    for scenario in scenarios():
        assert re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", scenario.name)
        assert scenario.why.endswith("."), scenario.name
    assert (FOLDER / "README.md").is_file()


@pytest.mark.parametrize("event", ["4625x", "System:4624", "99999", "LSM:12"])
def test_unknown_events_are_refused(event):
    with pytest.raises(WrittenWrongError):
        kind_of(event)


@pytest.mark.parametrize(
    ("event", "provider"),
    [
        ("4624", "Microsoft-Windows-Security-Auditing"),
        ("System:12", "Microsoft-Windows-Kernel-General"),
        ("LSM:21", "Microsoft-Windows-TerminalServices-LocalSessionManager"),
        ("6005", "EventLog"),
        ("1102", "Microsoft-Windows-Eventlog"),
        ("Kernel-Power:41", "Microsoft-Windows-Kernel-Power"),
    ],
)
def test_the_provider_follows_from_the_catalogue(event, provider):
    assert kind_of(event)[0] == provider
