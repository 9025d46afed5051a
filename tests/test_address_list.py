"""Lists of --addresses: what is read, what is refused, and what they make of the addresses that records tell."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from making import MONDAY, log
from making_events import Row, given

from logontracks import address_list, models
from logontracks.build import is_current
from logontracks.case import Case
from logontracks.cli import main as command
from logontracks.engines.duckdb import Connection
from logontracks.errors import CaseError, SourceError
from logontracks.simulate.evtx_writer import Event
from logontracks.simulate.templates import SECURITY, template

DAY = datetime(2026, 10, 5)  # noqa: DTZ001 - UTC, as all times in a case
HEAD = "address,host,from,until\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "leases.csv"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, zone: str | None = None) -> list[tuple[object, ...]]:
    table = address_list.read(written(folder, text), ZoneInfo(zone) if zone else None)
    return [tuple(row.values()) for row in table.to_pylist()]


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def test_a_list_is_read(tmp_path: Path) -> None:
    text = (
        "\ufeffHost, Remark ,ADDRESS,until,from\r\n"
        'WKS-1.corp.example.,"a, b",10.0.0.5,2026-10-05T12:00:00+02:00,2026-10-05 08:00:00Z\r\n\r\n'
        "printer,x,FE80:0::0001,,2026-10-05\r\n"
    )
    assert read(tmp_path, text, "Europe/Berlin") == [
        ("10.0.0.5", "WKS-1.corp.example", "wks-1", at(8), at(10)),
        ("fe80::1", "printer", "printer", at(-2), None),
    ]


def test_leases_that_touch_are_one(tmp_path: Path) -> None:
    hours = (("WKS-1", 8, 10), ("wks-1", 10, 12), ("WKS-1", 11, 11), ("WKS-1", 13, 14), ("WKS-2", 12, 13))
    lines = "".join(f"10.0.0.5,{host},{at(a)}Z,{at(b)}Z\n" for host, a, b in hours)
    assert read(tmp_path, HEAD + lines) == [
        ("10.0.0.5", "WKS-1", "wks-1", at(8), at(12)),
        ("10.0.0.5", "WKS-1", "wks-1", at(13), at(14)),
        ("10.0.0.5", "WKS-2", "wks-2", at(12), at(13)),
    ]
    assert read(tmp_path, HEAD + f"10.0.0.5,WKS-1,{at(8)}Z,\n10.0.0.5,WKS-1,,{at(2)}Z\n10.0.0.5,WKS-1,{at(9)}Z,\n") == [
        ("10.0.0.5", "WKS-1", "wks-1", None, at(2)),
        ("10.0.0.5", "WKS-1", "wks-1", at(8), None),
    ]
    assert read(tmp_path, HEAD) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ip,host\n10.0.0.5,a\n", "no column address"),
        ("", "no column address and no column host"),
        (HEAD + "10.0.0.5,a\n10.0.0.500,b\n", "line 3: '10.0.0.500' is no IP address"),
        (HEAD + "10.0.0.5, ,,\n", "line 2: it names no host"),
        (HEAD + "10.0.0.5,a,yesterday,\n", "line 2: 'yesterday' is no time"),
        (HEAD + "10.0.0.5,a,2026-10-05 08:00:00,\n", "line 2: 2026-10-05 08:00:00 has no time zone"),
        (HEAD + "10.0.0.5,a,2026-10-06T00:00:00Z,2026-10-05T00:00:00Z\n", "line 2: it ends before it begins"),
        (HEAD + '10.0.0.5,"a,,\n', "is no CSV"),
        (HEAD + "10.0.0.5,\x1b[31m\u202e" + "a" * 200_000 + ",,\n", "is no CSV"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused_with_its_line(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, text)
    assert why in str(caught.value)
    assert caught.value.hint


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "leases.csv").write_bytes(b"address,host\n\xff\xfe\n")
    for path in (tmp_path / "leases.csv", tmp_path, tmp_path / "none.csv"):
        with pytest.raises(SourceError):
            address_list.read(path)


def ticket(machine: str, hour: float, address: str = "10.0.0.5") -> Row:
    return event("Microsoft-Windows-Security-Auditing", 4768, hour, address) | {
        "target_name": f"{machine}$", "target_domain": "CORP", "status": 0, "event_id": 4768,
    }  # fmt: skip


def claim(machine: str, hour: float, address: str = "10.0.0.5") -> Row:
    return event("Microsoft-Windows-Security-Auditing", 4624, hour, address) | {
        "target_name": "anna", "target_domain": "CORP", "logon_type": 3, "target_logon_id": int(hour * 100) + 4096,
        "workstation": machine, "workstation_key": machine.lower(),
    }  # fmt: skip


def event(provider: str, event_id: int, hour: float, address: str) -> Row:
    return {
        "computer": "dc1.corp.example", "channel": "Security", "provider": provider, "event_id": event_id,
        "record_id": int(hour * 100), "time": at(hour), "source_address": address,
    }  # fmt: skip


def addresses(events: list[Row], listed: str, folder: Path) -> Connection:
    connection = given(events)
    connection.register("of_list", address_list.read(written(folder, HEAD + listed)))
    connection.execute("INSERT INTO given_addresses SELECT * FROM of_list")
    for name in models.MODELS[: models.MODELS.index("addresses") + 1]:
        models.make(name, connection, folder)
    return connection


def told(connection: Connection) -> list[tuple[object, ...]]:
    columns = "host, told_by, sightings, conflict, first_time, last_time"
    return connection.execute(f"SELECT {columns} FROM addresses ORDER BY first_time").fetchall()


def held(connection: Connection, hour: float) -> list[object]:
    found = connection.execute(
        "SELECT host FROM addresses WHERE ? BETWEEN held_from AND held_until AND NOT conflict", [at(hour)]
    ).fetchall()
    return [host for (host,) in found]


def test_a_list_names_machines_that_no_record_does(tmp_path: Path) -> None:
    connection = addresses([claim("WKS-1", 9), claim("LIAR", 15)], f"10.0.0.5,vpn-7,{at(14)}Z,{at(16)}Z\n", tmp_path)
    moment = timedelta(microseconds=2)
    assert told(connection) == [
        ("wks-1", "client_name", 1, False, at(9), at(9)),
        ("vpn-7", "given", 0, False, at(14), at(16) - moment),
    ]
    assert held(connection, 10) == ["wks-1"]
    assert held(connection, 15) == ["vpn-7"]
    assert held(connection, 16.1) == []


def test_a_list_without_times_holds_for_all_that_is_logged(tmp_path: Path) -> None:
    events = [claim("LIAR", 9), claim("LIAR", 24 * 40 + 9), claim("x", 24 * 80, "10.0.0.6")]
    connection = addresses(events, "10.0.0.5,srv-1,,\n10.0.0.77,unused,,\n", tmp_path)
    assert held(connection, 9) == ["srv-1"]
    assert held(connection, 24 * 40 + 9) == ["srv-1"]
    assert held(connection, 24 * 80) == ["x"]  # the other address: nothing is logged with this one so late
    assert {host for host, *_ in told(connection)} == {"srv-1", "x"}


def test_where_records_and_list_disagree_nobody_is_told(tmp_path: Path) -> None:
    events = [ticket("WKS-1", 9), ticket("WKS-2", 11), ticket("WKS-1", 13)]
    connection = addresses(events, f"10.0.0.5,WKS-1,{at(8)}Z,{at(18)}Z\n", tmp_path)
    assert held(connection, 9) == ["wks-1"]
    assert held(connection, 11) == []
    assert held(connection, 14) == ["wks-1"]
    assert ("wks-2", "ticket", 1, True, at(11), at(11)) in told(connection)


def test_leases_one_after_the_other(tmp_path: Path) -> None:
    listed = f"10.0.0.5,a,{at(8)}Z,{at(10)}Z\n10.0.0.5,b,{at(10)}Z,{at(12)}Z\n10.0.0.5,a,{at(12)}Z,{at(13)}Z\n"
    connection = addresses([claim("LIAR", 9)], listed, tmp_path)
    assert [held(connection, hour) for hour in (7, 9, 11, 12.5, 14)] == [[], ["a"], ["b"], ["a"], []]


def test_a_list_goes_to_a_case_with_logs_or_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It makes the tables stale and then anew; the list that was given last counts; a bad one changes nothing."""
    case, logs = tmp_path / "case", log(tmp_path / "a.evtx", [reconnect()])
    lists = [tmp_path / f"{name}.csv" for name in ("first", "later", "none", "bad")]
    for path, lines in zip(lists, ("1.2.3.4,alpha,,\n", "1.2.3.4,beta,,\n", "", "1.2.3.4.5,gamma,,\n"), strict=True):
        path.write_text(HEAD + lines, encoding="utf-8")
    with pytest.raises(CaseError):  # a list alone makes no case
        logontracks("ingest", "--addresses", lists[0], "--case", case)
    assert not case.exists()

    def machines() -> list[object]:
        return Case(case).read(lambda connection: connection.sql("SELECT host, told_by FROM addresses").fetchall())

    logontracks("ingest", logs, "--addresses", lists[0], "--case", case)
    assert "List     1 stretches of machines at addresses, in place of any before" in capsys.readouterr().err
    assert machines() == [("alpha", "given")]
    before = Case(case).digest()
    logontracks("ingest", "--addresses", lists[0], "--case", case)
    assert Case(case).digest() == before
    logontracks("ingest", "--addresses", lists[1], "--case", case, "--no-build")
    assert machines() == [("alpha", "given")]
    assert not is_current(Case(case))
    logontracks("ingest", logs, "--case", case)  # known, and keeps the list
    assert machines() == [("beta", "given")]
    with pytest.raises(SourceError):
        logontracks("ingest", logs, "--addresses", lists[3], "--case", case)
    assert machines() == [("beta", "given")]
    logontracks("ingest", "--addresses", lists[2], "--case", case)
    assert machines() == []
    assert Case(case).digest() != before


def reconnect() -> Event:
    """A record with an address."""
    kind = template(SECURITY, 4778)
    own = {"ClientAddress": "1.2.3.4", "ClientName": "-", "LogonID": 0x12345, "AccountName": "anna"}
    return Event(kind, MONDAY, "ws1", [own.get(name, "-") for name, _ in kind.fields], record_id=1)


def logontracks(*arguments: object) -> None:
    command.main([str(each) for each in arguments], standalone_mode=False)
