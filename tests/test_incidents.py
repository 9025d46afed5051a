"""Real incidents, as people told them who read the raw records first: tests/incidents, one story a file.

A story says who came from where (`hop`: each session with the record of its logon, `by` which record the source is
known, and which other sessions were open there and are `rejected`), which authentications stand behind the sessions
(`link`, by their records), what controllers were asked for and no more (`request`), the ways that come of it (`track`),
and what the logs do not bear out (`never`, in words). Part of the truth is from records that the program does not read:
connections that Sysmon saw, processes, the attacker's own console. So a story may know more than the program can, and
`tells` is how much the records that it reads bear out:

- session: machine and session, with a certainty of `at_least`;
- host: the machine;
- address: the address. What is told beyond that has to be true as well, and no surer than `at_most`.

A link that is `silent` is true, but no record bears it out: it may be missing, and no other may be in its place. A
story is closed: hops, links and requests that it does not name are false.
"""

import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import SHARED
from making_tables import rows, shared

from logontracks.case import Case
from logontracks.queries.answer import Answer
from logontracks.queries.explain import explain
from logontracks.queries.paths import PathFilter, hops
from logontracks.queries.sessions import SessionFilter, sessions

FOLDER = Path(__file__).parent / "incidents"
STORIES = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}
LOGS = SHARED / "logs"
SURE = 0.5  # what is told with less is one of several possibilities


@pytest.fixture(params=STORIES)
def story(request: pytest.FixtureRequest, shared_logs: Path) -> dict[str, Any]:
    return {"name": request.param, **STORIES[request.param]}


@pytest.fixture
def case(story: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The case of a story's logs. The zone of packed JSON does not matter to a story: it is one for all its hosts."""
    packed = LOGS / story["logs"]
    if packed.suffix == ".evtx":
        return shared(tmp_path_factory, story["logs"], lambda _: packed)
    return shared(tmp_path_factory, story["logs"], lambda to: unpacked(packed, to), source_tz="UTC")


def unpacked(archive: Path, to: Path) -> Path:
    """The JSON of an archive."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():
                packed.extract(member, to)
        return to
    with tarfile.open(archive) as packed:
        # some archives end within their last, empty block: nothing is read behind the file
        for member in packed:
            if member.name.endswith(".json"):
                (to / Path(member.name).name).write_bytes(packed.extractfile(member).read())  # type: ignore[union-attr]
                break
    return to


def session(host: str, logon_id: int) -> str:
    """A session as stories write it."""
    return f"{host.partition('.')[0]} {hex(logon_id)}"


def hops_of(case: Case) -> dict[str, list[dict[str, Any]]]:
    """What the program says, by session, the best first."""
    told: dict[str, list[dict[str, Any]]] = {}
    for row in rows(
        case,
        """SELECT h.*, t.logon_id AS to_id, f.logon_id AS from_id, f.linked_logon_id AS from_half
        FROM hops AS h JOIN sessions AS t ON t.session_id = h.to_session_id
        LEFT JOIN sessions AS f ON f.session_id = h.from_session_id ORDER BY h.to_session_id, h.place""",
    ):
        told.setdefault(session(row["to_host"], row["to_id"]), []).append(row)
    return told


def false_in(row: dict[str, Any], hop: dict[str, Any]) -> str | None:
    """What a row claims that is not so."""
    host = hop["from"].partition(" ")[0]
    if row["from_session_id"] is not None:
        halves = {session(row["from_host"], half) for half in (row["from_id"], row["from_half"]) if half is not None}
        return None if hop["from"] in halves else f"says {halves}"
    machine = (row["from_host"] or "").partition(".")[0] if row["from_host_id"] else row["from_host"]
    # a machine that nothing but its own word names stands behind its address
    true = machine in {host, hop.get("address")} or machine.startswith(f"{hop.get('address')} ")
    return None if true else f"says {machine}"


def test_hops_are_those_of_the_story(story, case):
    told = hops_of(case)
    wanted = {to: hop for hop in story["hop"] for to in hop["to"]}
    assert told.keys() - wanted.keys() == set(), "hops that nobody made"
    assert wanted.keys() - told.keys() == set(), "hops that are not told"
    for to, hop in wanted.items():
        best = told[to][0]
        false = [
            f"{claim}, certainty {row['certainty']}"
            for row in told[to]
            if (row["certainty"] >= SURE or row is best) and (claim := false_in(row, hop))
        ]
        assert false == [], to
        match hop["tells"]:
            case "session":
                assert best["from_session_id"] is not None, to
                assert best["certainty"] >= hop["at_least"], to
            case "host":
                assert best["from_host"].partition(".")[0] == hop["from"].partition(" ")[0], to
            case "address":
                machines = [row for row in told[to] if row["from_session_id"] is None]
                assert machines or best["from_session_id"] is not None, to
                beyond = [row for row in told[to] if row["from_session_id"] is not None]
                assert all(row["certainty"] <= hop.get("at_most", 0) for row in beyond), to
        if "credential" in hop:
            assert best["credential"] == hop["credential"], to


def test_links_are_those_of_the_story(story, case):
    told: dict[str, list[tuple[int, float]]] = {}
    for row in rows(
        case,
        """SELECT s.host, s.logon_id, s.linked_logon_id, e.record_id, l.certainty FROM links AS l
        JOIN sessions AS s ON s.session_id = l.session_id JOIN events AS e ON e.uid = l.authentication_id
        WHERE l.rule <> 'desk_ticket' ORDER BY l.certainty DESC""",
    ):
        told.setdefault(session(row["host"], row["logon_id"]), []).append((row["record_id"], row["certainty"]))
    wanted = {to: link for link in story.get("link", []) for to in link["to"]}
    assert told.keys() - wanted.keys() == set(), "sessions that no authentication of these logs opened"
    for to, link in wanted.items():
        records = {record for record, certainty in told.get(to, []) if certainty >= SURE}
        assert records <= set(link["records"]), to
        assert records or not link["records"] or link.get("silent"), to


def test_tracks_are_those_of_the_story(story, case):
    told = [
        (
            [machine.partition(".")[0] if "." in machine and not machine[0].isdigit() else machine.partition(" ")[0]
             for machine in row["hosts"].split(" > ")],
            [account.rpartition("\\")[2] for account in row["accounts"].split(" > ")],
            row["label"],
        )
        for row in rows(case, "SELECT * FROM tracks")
    ]  # fmt: skip
    for track in story.get("track", []):
        wanted = (track["hosts"].split(" > "), track["accounts"].split(" > "), track["label"])
        assert wanted in told


def test_requests_are_those_of_the_story(story, case):
    """Tickets for hosts whose logs are not there: an intention, which is never as sure as a session."""
    found = rows(case, "SELECT * FROM requests")
    assert {
        (row["account"].rpartition("\\")[2], row["from_address"], row["to_host"].partition(".")[0].upper())
        for row in found
    } == {(asked["account"], asked["address"], host) for asked in story.get("request", []) for host in asked["to"]}
    for row in found:
        assert row["certainty"] <= SURE
        assert row["from_host"] == row["from_address"]  # nothing names the machine in any of these


def table(answer: Answer) -> list[dict[str, Any]]:
    with answer:
        rows: list[dict[str, Any]] = answer.rows.read_all().to_pylist()
    return rows


def test_explained_hops_rest_on_their_records(story, case):
    """Who asks why is shown the logon itself, what joins it to where it came from, and what was not the source."""
    told = [row for row in table(hops(case, PathFilter())) if row["to_session_id"] is not None]
    every = table(sessions(case, SessionFilter(), everything=True))
    ids = {row["session_id"]: session(row["host"], row["logon_id"] or 0) for row in every}
    wanted = {to: hop for hop in story["hop"] for to in hop["to"]}
    assert len(told) == len(wanted)
    for hop in told:
        to = ids[hop["to_session_id"]]
        found = explain(case, hop["hop_id"])
        shown = table(found.records)
        times = [record["time"] for record in shown]
        assert times == sorted(times)
        records = {record["uid"]: record["record_id"] for record in shown}
        assert records[hop["uid"]] in wanted[to].get("by", [records[hop["uid"]]])
        assert all(link["authentication_id"] in records for link in found.links)
        starts = [record for record in shown if record["event_id"] == 4624]
        assert (to, wanted[to]["to"][to]) in {
            (session(start["computer"], start["target_logon_id"]), start["record_id"]) for start in starts
        }
        mine = [each for each in found.hops if each["to_session_id"] == hop["to_session_id"]]
        assert mine[0]["hop_id"] == hop["hop_id"]
        assert [each["why"].partition(":")[0] for each in mine].count("chosen") == 1
        rejected = {ids[each["from_session_id"]] for each in mine if each["why"].startswith("rejected")}
        assert rejected == set(wanted[to].get("rejected", [])), to
