"""Names of hosts: the order of long chains of names, and what rows of them take up."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from making_events import given

from logontracks import models
from logontracks.models.host_names import Stretch, hosts


def chain(names: list[str]) -> list[Stretch]:
    """A log that goes on under one name after the other."""
    return [Stretch("a", "Security", name, name, n * 5, n * 5 + 4, n, n) for n, name in enumerate(names)]


def test_a_chain_of_names_is_in_the_order_of_use() -> None:
    names = [f"{n * 7919 % 20000}" for n in range(20000)]
    assert hosts(chain(names)) == [names]


def test_names_that_follow_each_other_in_a_circle_begin_with_the_first() -> None:
    there, back = chain(["b", "a"]), chain(["a", "b"])
    assert hosts([*there, *(each._replace(source="b", first_time=9) for each in back)]) == [["b", "a"]]
    short = chain(["ws1", "ws1.larch"])
    again = [each._replace(source="b", first_time=each.first_time + 9) for each in chain(["ws1.larch", "ws1"])]
    assert hosts(short + again) == [["ws1", "ws1.larch"]]


@pytest.mark.parametrize("many", [3, 2000])
def test_the_text_of_all_names_is_bounded(many: int, tmp_path: Path) -> None:
    start = datetime(2026, 10, 5)  # noqa: DTZ001 - UTC, as all times in a case
    connection = given(
        {"computer": f"WS{n:06}", "channel": "Security", "provider": "x", "event_id": 4624, "record_id": n,
         "time": start + timedelta(minutes=n), "source_sha256": "a"}
        for n in range(many)
    )  # fmt: skip
    models.make("host_names", connection, tmp_path)
    ((rows, hosts_, names),) = connection.execute(
        "SELECT COUNT(*), COUNT(DISTINCT host_id), MIN(names) FROM host_names"
    ).fetchall()
    assert (rows, hosts_) == (many, 1)
    assert len(names) <= 1010
    if many == 3:
        assert names == "WS000000 WS000001 WS000002"
    else:
        assert names.startswith("WS000000 WS000001 ")
        assert " ... WS0019" in names
        assert names.endswith(" WS001998 WS001999")
