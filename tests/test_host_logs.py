"""Names of hosts: the order of long chains of names, and what rows of them take up."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from making_events import given

from logontracks import models
from logontracks.models.host_logs import Host, Renamed, Stretch, hosts


def chain(names: list[str]) -> list[Stretch]:
    """A log that goes on under one name after the other."""
    return [Stretch("a", "Security", name, name, n * 5, n * 5 + 4, n, n) for n, name in enumerate(names)]


def test_a_chain_of_names_is_in_the_order_of_use() -> None:
    names = [f"{n * 7919 % 20000}" for n in range(20000)]
    assert hosts(chain(names)) == [Host(names)]


def test_names_that_follow_each_other_in_a_circle_begin_with_the_first() -> None:
    there, back = chain(["b", "a"]), chain(["a", "b"])
    assert hosts([*there, *(each._replace(source="b", first_time=9) for each in back)]) == [Host(["b", "a"])]
    short = chain(["ws1", "ws1.larch"])
    again = [each._replace(source="b", first_time=each.first_time + 9) for each in chain(["ws1.larch", "ws1"])]
    assert hosts(short + again) == [Host(["ws1", "ws1.larch"])]


@pytest.mark.parametrize("many", [3, 2000])
def test_the_text_of_all_names_is_bounded(many: int, tmp_path: Path) -> None:
    start = datetime(2026, 10, 5)  # noqa: DTZ001 - UTC, as all times in a case
    connection = given(
        {"computer": f"WS{n:06}", "channel": "Security", "provider": "x", "event_id": 4624, "record_id": n,
         "time": start + timedelta(minutes=n), "source_sha256": "a"}
        for n in range(many)
    )  # fmt: skip
    models.make("host_logs", connection, tmp_path)
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


def log(source: str, *names: str, channel: str = "Security", gap: int = 0) -> list[Stretch]:
    """A log whose names follow each other, with so many records missing between them."""
    return [
        Stretch(source, channel, name, name, n * 100, n * 100 + 99 - gap, n * DAY, (n + 1) * DAY - 1)
        for n, name in enumerate(names)
    ]


DAY = 86_400_000_000


def test_machines_that_were_made_from_one_image_have_its_records_each_by_its_own_log() -> None:
    found = hosts([*log("a", "win", "a.elm"), *log("b", "win", "b.elm"), *log("c", "win", "b.elm", channel="System")])
    assert found == [Host(["win", "a.elm"], {"win": {"a"}}), Host(["win", "b.elm"], {"win": {"b", "c"}})]


def test_a_log_with_missing_records_is_told_by_the_other_one_of_its_host() -> None:
    system = [*log("s", "win", "a.elm", channel="System"), *log("t", "win", "b.elm", channel="System")]
    found = hosts([*log("a", "win", "a.elm", gap=9), *system])
    assert found == [Host(["win", "a.elm"], {"win": {"a", "s"}}), Host(["win", "b.elm"], {"win": {"t"}})]


def test_records_under_the_name_of_an_image_in_the_log_of_a_collector_may_be_of_any_machine() -> None:
    forwarded = [*log("f", "win"), *(each._replace(first_id=5, last_id=500) for each in log("f", "a.elm"))]
    found = hosts([*log("a", "win", "a.elm"), *log("b", "win", "b.elm"), *forwarded])
    assert Host(["win"], {"win": {"f"}}, is_image=True) in found
    assert Host(["win", "a.elm"], {"win": {"a"}}) in found


def test_the_image_itself_is_one_machine_where_one_log_of_it_is_left() -> None:
    image = [each._replace(last_time=9 * DAY) for each in log("i", "win")]
    found = hosts([*log("a", "win", "a.elm"), *image])
    assert found == [Host(["win", "a.elm"], {"win": {"a"}}), Host(["win"], {"win": {"i"}})]
    two = [each._replace(source="j") for each in image]
    assert Host(["win"], {"win": {"i", "j"}}, is_image=True) in hosts([*log("a", "win", "a.elm"), *image, *two])


def test_a_host_that_got_the_name_of_another_has_only_its_own_records() -> None:
    later = [each._replace(first_time=each.first_time + 5 * DAY, last_time=each.last_time + 5 * DAY)
             for each in log("b", "new", "app.elm")]  # fmt: skip
    found = hosts([*log("a", "app.elm", "old.elm"), *later])
    assert Host(["new", "app.elm"], {"app.elm": {"b"}}) in found
    assert Host(["app.elm", "old.elm"], {"app.elm": {"a"}}) in found


def test_a_record_tells_what_lost_records_do_not() -> None:
    renamed = log("a", "app.elm", "app-n.elm", gap=9)
    assert hosts(renamed) == [Host(["app-n.elm"]), Host(["app.elm"])]
    assert hosts(renamed, [Renamed("app", "app-n", DAY)]) == [Host(["app.elm", "app-n.elm"])]


def test_a_rename_that_could_be_of_two_hosts_joins_none() -> None:
    renamed = [*log("a", "app.elm", "app-n.elm", gap=9), *log("b", "app.oak")]
    assert len(hosts(renamed, [Renamed("app", "app-n", DAY)])) == 3


def test_a_name_that_was_in_use_long_before_is_not_the_new_one_of_another() -> None:
    apart = [*log("a", "app.elm"), *log("b", "app-n.elm")]
    assert len(hosts(apart, [Renamed("app", "app-n", 5 * DAY)])) == 2


def test_a_host_that_has_its_first_name_again_is_one_host() -> None:
    there = log("a", "ws1", "ws2")
    back = [
        Stretch("b", "Security", "ws2", "ws2", 200, 299, 2 * DAY, 3 * DAY),
        Stretch("b", "Security", "ws1", "ws1", 300, 399, 3 * DAY, 9 * DAY),
    ]
    assert hosts([*there, *back]) == [Host(["ws1", "ws2"], {"ws1": {"a", "b"}})]


def test_hosts_that_swapped_names_are_told_as_mixed() -> None:
    one = log("a", "ws1", "other", "ws2")
    two = [each._replace(last_time=9 * DAY) for each in log("b", "ws2", "ws1")]
    assert Host(["ws1", "other", "ws2"], {"ws1": {"a"}}, is_image=True) in hosts([*one, *two])


def test_clones_that_only_a_collector_tells_of_leave_a_mixed_name() -> None:
    forwarded = [each._replace(first_id=n, last_id=500 + n) for n, each in enumerate(log("f", "win", "a.elm", "b.elm"))]
    told = [Renamed("win", "a", DAY), Renamed("win", "b", 2 * DAY)]
    assert Host(["win"], is_image=True) in hosts(forwarded, told)


def test_an_image_in_a_file_of_two_hosts_is_of_neither() -> None:
    both = [*log("f", "win", "a.elm"), *log("f", "win", "b.elm", channel="System")]
    found = hosts([*both, *log("a", "win", "a.elm"), *log("b", "win", "b.elm")])
    assert Host(["win"], {"win": {"f"}}, is_image=True) in found


NAMES = st.sampled_from(["a", "b", "c", "a.elm", "b.elm", "b.oak"])
FILES = st.dictionaries(
    st.tuples(st.sampled_from("xyz"), st.sampled_from(["Security", "System"])),
    st.lists(st.tuples(NAMES, st.sampled_from([0, 0, 1, -3]), st.integers(0, 6)), unique_by=lambda each: each[0]),
)
TOLD = st.lists(st.builds(Renamed, NAMES, NAMES, st.integers(0, 6 * DAY)), max_size=3)


@given_any(FILES, TOLD)
def test_what_a_file_has_under_a_name_is_of_just_one_host(files, told) -> None:
    stretches = [
        Stretch(source, channel, name, name, n * 10 + gap, n * 10 + 9, day * DAY, (day + 1) * DAY)
        for (source, channel), names in files.items()
        for n, (name, gap, day) in enumerate(names)
    ]
    found = hosts(stretches, told)
    for key, source in {(each.key, each.source) for each in stretches}:
        assert sum(key in host.names and source in host.files.get(key, {source}) for host in found) == 1
    assert all(len(set(host.names)) == len(host.names) for host in found)


def test_a_long_chain_of_images_in_many_logs_is_soon_done() -> None:
    names = [f"{n}" for n in range(20000)]
    chain_of_images = [each._replace(first_time=n * DAY, last_time=n * DAY) for n, each in enumerate(chain(names))]
    again = [Stretch(f"b{n}", "x", name, name, 0, 0, 30000 * DAY, 30000 * DAY) for n, name in enumerate(names[:-1])]
    more = [each._replace(channel=f"{n}") for n, each in enumerate(chain_of_images[-1:] * 20000)]
    begun = time.process_time()
    hosts([*chain_of_images, *again, *more])
    assert time.process_time() - begun < 20
