"""tests/scenarios: a few events in, the exact rows out."""

from datetime import timedelta

import pytest
from making_scenarios import MONDAY, Told, scenarios, shared_case

LATER = timedelta(days=1234)
EVERY = [(scenario, table) for scenario in scenarios() for table in scenario.tables]


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    return Told(shared_case(tmp_path_factory))


@pytest.fixture(scope="session")
def told_later(tmp_path_factory):
    return Told(shared_case(tmp_path_factory, "scenarios-later", day=MONDAY + LATER), MONDAY + LATER)


@pytest.mark.parametrize(("scenario", "table"), EVERY, ids=[f"{each.name}-{table}" for each, table in EVERY])
def test_scenario(told, scenario, table):
    found, expected = told.compare(scenario, table)
    assert "\n".join(found) == "\n".join(expected), scenario.why
