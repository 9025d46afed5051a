"""Companies of any size: what their logs must have in common with real ones, and the truth with their logs."""

import hashlib
from collections import Counter
from itertools import pairwise

import duckdb
import pytest
from click.testing import CliRunner
from evtx import PyEvtxParser

from logontracks.cli import main
from logontracks.errors import Error
from logontracks.simulate.deliver import simulate
from logontracks.simulate.mess import KINDS
from tests.simulate.test_company import logon_id, own, record

ATTACKS = ("pass_the_hash", "remote_desktop")


def read(folder):
    """Every EVTX file as a reader sees it: {(host, channel): records}."""
    return {
        (path.parent.name, path.stem): [record(row["data"]) for row in PyEvtxParser(str(path)).records_json()]
        for path in sorted((folder / "logs").rglob("*.evtx"))
    }


def truth_of(folder):
    connection = duckdb.connect()
    for path in (folder / "truth").iterdir():
        connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM '{path}'")
    return connection


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    simulate(folder, seed=4, hosts=28, days=4, attacks=ATTACKS)
    return folder


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messy")
    simulate(folder, seed=4, hosts=20, days=2, mess=["3"])
    return folder


@pytest.fixture(scope="module")
def logs(made):
    return read(made)


@pytest.fixture(scope="module")
def truth(made):
    return truth_of(made)


@pytest.fixture(scope="module")
def security(logs):
    return {host: rows for (host, channel), rows in logs.items() if channel == "Security"}


@pytest.fixture(scope="module")
def lives(security):
    """Security records per host and boot: a 4608 begins a new one."""
    found = {}
    for host, rows in security.items():
        number = 0
        for row in rows:
            number += row.event_id == 4608
            found.setdefault((host, number), []).append(row)
    return found


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


@pytest.mark.parametrize("form", ["evtx", "jsonl", "parquet"])
def test_same_seed_same_bytes(tmp_path, form):
    wanted = {"hosts": 16, "days": 1, "attacks": ["winrm"], "mess": ["3"], "form": form}
    for name in ("a", "b"):
        simulate(tmp_path / name, seed=6, **wanted)
    simulate(tmp_path / "c", seed=7, **wanted)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_the_form_does_not_change_the_truth(tmp_path):
    for form in ("evtx", "jsonl", "parquet"):
        simulate(tmp_path / form, seed=2, hosts=12, days=1, mess=["skew", "lost"], form=form)
    truths = [digest(tmp_path / form / "truth") for form in ("evtx", "jsonl", "parquet")]
    assert truths[0] == truths[1] == truths[2]


# --- the logs -------------------------------------------------------------------------------------------------------


def test_records_are_in_order_and_numbered(logs):
    for (host, channel), rows in logs.items():
        assert all(b.number == a.number + 1 for a, b in pairwise(rows)), (host, channel)
        if channel == "Security":
            back = {(a.event_id, b.event_id) for a, b in pairwise(rows) if a.time > b.time}
            # what is told last at a shutdown, first after a crash, and of a clock that is set: test_deviations.py
            assert all(1100 in pair or pair[0] == 1101 or pair[1] == 4616 for pair in back), (host, back)


def test_logon_ids_rise_within_a_boot(lives):
    for key, rows in lives.items():
        ids = [logon_id(row) for row in rows if own(row) and not row.data["TargetUserSid"].startswith("S-1-5-9")]
        assert all(a < b for a, b in pairwise(ids)), key


def test_nothing_happens_in_a_session_that_has_ended(lives):
    for key, rows in lives.items():
        ended = set()
        for row in rows:
            if row.event_id != 4634:
                for field in ("SubjectLogonId", "TargetLogonId", "LogonID"):
                    assert row.data.get(field) not in ended, (key, row.event_id, row.time)
            else:
                ended.add(row.data["TargetLogonId"])


def test_sessions_of_a_boot_are_used_in_it_alone(lives):
    """Every logoff has its logon, unless the session is older than the log."""
    for (host, number), rows in lives.items():
        opened = {logon_id(row) for row in rows if own(row)}
        orphans = [row for row in rows if row.event_id == 4634 and logon_id(row) not in opened]
        if number:
            assert not orphans, (host, number, orphans[0].time)
        elif opened:
            assert all(logon_id(row) < min(opened) for row in orphans), host


def test_activity_ids_tell_one_boot_within_milliseconds(lives):
    for key, rows in lives.items():
        ids = {row.activity for row in rows if row.activity}
        times = {int.from_bytes(bytes.fromhex(each.replace("-", "")[16:]), "little") for each in ids}
        assert not times or max(times) - min(times) < 20_000, key


def test_what_windows_does_is_all_there(logs):
    kinds = Counter((channel.split("%")[0], row.event_id) for (_, channel), rows in logs.items() for row in rows)
    by_type = Counter(row.data["LogonType"] for rows in logs.values() for row in rows if row.event_id == 4624)
    for event_id in (4625, 4647, 4648, 4672, 4740, 4767, 4768, 4769, 4770, 4771, 4776, 4778, 4779, 4800, 4801):
        assert kinds["Security", event_id], event_id
    for event_id in (1, 12, 13, 27, 42, 107, 1074, 6005, 6006, 6013, 7001, 7002):
        assert kinds["System", event_id], event_id
    assert kinds["Microsoft-Windows-NTLM", 8004] > 20
    assert set(by_type) >= {"0", "2", "3", "4", "5", "7", "10", "11"} or set(by_type) >= {0, 2, 3, 4, 5, 7, 10, 11}


def test_fast_startup_is_no_boot(logs):
    """Kernel-Boot 27 of type 1 comes without 4608, 6005 and 6009, and after a 1074 that says power off."""
    fast = 0
    for (host, channel), rows in logs.items():
        if channel != "System":
            continue
        types = Counter(row.data["BootType"] for row in rows if row.event_id == 27)
        starts = sum(row.event_id == 6005 for row in rows)
        assert types[0] == starts or not types, host  # Windows 7 has no 27
        fast += types[1]
    assert fast > 3


def test_a_cached_logon_has_no_guid_and_a_ticket_follows_only_with_a_network(security):
    followed = Counter()
    for rows in security.values():
        for place, row in enumerate(rows):
            if row.event_id == 4624 and row.data["LogonType"] == 11:
                assert row.data["LogonGuid"].startswith("00000000")
                after = rows[place + 1 : place + 8]
                followed[
                    any(each.event_id == 4624 and each.data["LogonProcessName"] == "Negotiat" for each in after)
                ] += 1
    assert followed[True] > 3
    assert followed[False] > 0


def test_people_of_another_domain_come_with_a_referral(logs, security):
    realms = Counter()
    for rows in security.values():
        for row in rows:
            if row.event_id == 4769 and row.data["ServiceName"].startswith("krbtgt/"):
                realms[row.data["TargetDomainName"], row.data["ServiceName"].partition("/")[2]] += 1
    ((home, abroad),) = realms
    assert home != abroad
    visits = [row for row in security["FS01"] if row.event_id == 4624 and row.data["TargetDomainName"] == home]
    assert len(visits) > 10


# --- the truth ------------------------------------------------------------------------------------------------------


def logged_in(logs):
    """(host, logon id) of every 4624 that can be read, and its time."""
    return {
        (row.computer.lower(), logon_id(row)): row.time
        for rows in logs.values()
        for row in rows
        if row.event_id == 4624 and logon_id(row) > 0x3E7
    }


def check_logged(truth, logs):
    """Exactly the sessions whose 4624 can be read are told to be logged. Hosts may be named as before."""
    names = {
        name: host
        for host, names in truth.execute("SELECT host, names FROM hosts").fetchall()
        for name in names.split()
    }
    told = Counter((names[computer], number) for computer, number in logged_in(logs))
    rows = truth.execute("SELECT host, logon_id, linked_logon_id, logged FROM sessions").fetchall()
    known = {(host, number) for host, a, b, logged in rows if logged for number in (a, b) if number is not None}
    assert set(told) <= known
    lost = [(host, a, b) for host, a, b, logged in rows if logged and not ((host, a) in told or (host, b) in told)]
    assert lost == []
    return rows


def test_logged_sessions_are_those_in_the_logs(truth, logs):
    rows = check_logged(truth, logs)
    assert sum(logged for *_, logged in rows) > 3000
    assert any(not logged for *_, logged in rows)


def test_starts_are_those_of_the_logs(truth, logs):
    told = logged_in(logs)
    starts = truth.execute("SELECT host, logon_id, epoch_us(start_time) FROM sessions WHERE logged").fetchall()
    moments = (
        duckdb.connect()
        .execute(
            "SELECT epoch_us(x::TIMESTAMP) FROM (SELECT unnest(?) AS x)",
            [[told[host, number] for host, number, _ in starts]],
        )
        .fetchall()
    )
    assert all(abs(time - start) < 1_000_000 for (time,), (*_, start) in zip(moments, starts, strict=True))


def none(truth, query):
    assert truth.execute(query).fetchall() == []


@pytest.mark.parametrize("which", ["made", "messy"])
def test_truth_is_whole(which, request):
    """Ends come after starts, presence lies within its session, and every reference leads somewhere."""
    truth = truth_of(request.getfixturevalue(which))
    none(truth, "SELECT * FROM sessions WHERE end_time < start_time OR (end_time IS NULL) <> (end_kind = 'open')")
    none(
        truth,
        """SELECT * FROM sessions JOIN boots AS b USING (host, boot_no)
        WHERE sessions.start_time < b.start_time OR sessions.end_time > b.end_time""",
    )
    none(truth, "SELECT * FROM sessions ANTI JOIN boots USING (host, boot_no)")
    none(
        truth,
        "FROM boots AS a JOIN boots AS b USING (host) WHERE a.boot_no < b.boot_no AND a.end_time IS NULL",
    )
    none(
        truth,
        """SELECT * FROM presence AS p JOIN sessions AS s USING (session)
        WHERE p.start_time < s.start_time OR p.end_time > s.end_time OR p.end_time <= p.start_time""",
    )
    none(
        truth,
        """SELECT session, start_time FROM (SELECT *, LEAD(start_time) OVER (PARTITION BY session ORDER BY start_time)
        AS next FROM presence) WHERE next IS NOT NULL AND next <> end_time""",
    )
    for column, table in (("session", "presence"), ("to_session", "hops")):
        none(truth, f"SELECT * FROM {table} ANTI JOIN sessions ON {table}.{column} = sessions.session")
    none(truth, "SELECT * FROM hops ANTI JOIN sessions ON from_session = session WHERE from_session IS NOT NULL")
    none(truth, "SELECT * FROM authentications ANTI JOIN sessions USING (session) WHERE session IS NOT NULL")
    none(
        truth,
        """SELECT * FROM hops AS h JOIN sessions AS s ON from_session = s.session
        WHERE h.time < s.start_time OR h.time > s.end_time""",
    )
    none(
        truth,
        """SELECT * FROM addresses AS a JOIN addresses AS b USING (address)
        WHERE a.host < b.host AND a.from_time < b.until_time AND b.from_time < a.until_time""",
    )


def test_addresses_of_laptops_change_and_are_handed_on(truth):
    hosts = truth.execute("SELECT host FROM addresses GROUP BY 1 HAVING COUNT(*) > 1").fetchall()
    assert len(hosts) > 3
    assert truth.execute("SELECT address FROM addresses GROUP BY 1 HAVING COUNT(DISTINCT host) > 1").fetchall()


def test_computers_ask_for_tickets_from_the_address_that_they_have(truth):
    wrong = truth.execute("""
        SELECT t.time, t.client_host, t.client_address, a.address FROM authentications AS t JOIN addresses AS a
            ON a.host = t.client_host AND t.time >= a.from_time AND (t.time < a.until_time OR a.until_time IS NULL)
        WHERE t.client_address <> a.address""").fetchall()
    assert wrong == []


def test_attacks_are_told_apart(truth):
    told = "SELECT DISTINCT attack FROM {} WHERE attack IS NOT NULL"
    attacks = {name for (name,) in truth.execute(told.format("sessions")).fetchall()}
    assert attacks == set(ATTACKS)
    assert {name for (name,) in truth.execute(told.format("hops")).fetchall()} == attacks


def test_people_have_one_person_for_each_account(truth):
    kinds = dict(truth.execute("SELECT kind, COUNT(*) FROM identities GROUP BY kind").fetchall())
    assert set(kinds) == {"person", "administrator", "service", "computer", "kiosk"}
    none(truth, "SELECT account FROM identities GROUP BY account HAVING COUNT(*) > 1")
    none(truth, "SELECT * FROM identities WHERE kind IN ('person', 'administrator') AND person IS NULL")


# --- mess -----------------------------------------------------------------------------------------------------------


def test_clean_means_clean(truth):
    none(truth, "SELECT * FROM mess")


def test_with_mess_the_truth_still_knows_what_can_be_read(messy):
    rows = check_logged(truth_of(messy), read(messy))
    assert sum(not logged for *_, logged in rows) > 60


def test_every_kind_of_mess_is_made_and_told(messy):
    kinds = {kind for (kind,) in truth_of(messy).execute("SELECT DISTINCT kind FROM mess").fetchall()}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_mess_by_name(tmp_path, kind):
    simulate(tmp_path, seed=9, hosts=16, days=2, mess=[kind])
    kinds = {told for (told,) in truth_of(tmp_path).execute("SELECT DISTINCT kind FROM mess").fetchall()}
    assert kinds - {"renames"} == {kind} - {"renames"}
    check_logged(truth_of(tmp_path), read(tmp_path))


def test_a_skewed_clock_is_wrong_everywhere_by_the_same(tmp_path):
    for name, mess in (("right", ()), ("wrong", ("skew",))):
        simulate(tmp_path / name, seed=3, hosts=12, days=1, mess=mess)
    amounts = dict(truth_of(tmp_path / "wrong").execute("SELECT host, amount FROM mess").fetchall())
    right, wrong = read(tmp_path / "right"), read(tmp_path / "wrong")
    for key, rows in right.items():
        ahead = amounts.get(rows[0].computer.lower(), 0)
        moments = zip([row.time for row in rows], [row.time for row in wrong[key]], strict=True)
        seconds = (
            duckdb.connect()
            .execute(
                "SELECT DISTINCT round(epoch(b::TIMESTAMP - a::TIMESTAMP), 2) FROM (SELECT unnest(?) a, unnest(?) b)",
                [*map(list, zip(*moments, strict=True))],
            )
            .fetchall()
        )
        assert seconds == [(pytest.approx(ahead, abs=0.02),)], key


# --- the command ----------------------------------------------------------------------------------------------------


def test_command(tmp_path):
    done = CliRunner().invoke(
        main, ["simulate", "--out", str(tmp_path), "--hosts", "8", "--days", "1", "--attack", "insider"]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "truth" / "sessions.parquet").exists()
    assert len(list((tmp_path / "logs").iterdir())) == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--attack", "sorcery"], "no attack sorcery; there are: "),
        (["--mess", "4"], "mess is a level from 0 to 3 or one of: skew"),
        (["--users", "999"], "desks have room for"),
        (["--hosts", "60000", "--form", "parquet"], "60000 hosts are too many"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, options, says):
    done = CliRunner().invoke(main, ["simulate", "--out", str(tmp_path), *options])
    assert says in str(done.exception)
    assert not (tmp_path / "logs").exists()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "logs").mkdir()
    done = CliRunner().invoke(main, ["simulate", "--out", str(tmp_path)])
    assert "holds logs or truth already" in str(done.exception)


def test_a_place_that_takes_nothing_is_told(tmp_path):
    (tmp_path / "out").write_text("a file")
    done = CliRunner().invoke(main, ["simulate", "--out", str(tmp_path / "out"), "--hosts", "8", "--days", "1"])
    assert isinstance(done.exception, Error)
    assert "cannot write" in str(done.exception)
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize("form", ["evtx", "jsonl", "parquet"])
def test_a_full_disk_leaves_no_half_of_a_company(tmp_path, form):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))  # as much as any file may have
    try:
        done = CliRunner().invoke(
            main, ["simulate", "--out", str(tmp_path), "--hosts", "8", "--days", "1", "--form", form]
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(done.exception, Error)
    assert list(tmp_path.iterdir()) == []


def test_more_people_than_desks_work_in_shifts(tmp_path):
    simulate(tmp_path, seed=5, hosts=9, users=8, days=2)
    shared = (
        truth_of(tmp_path)
        .execute("""
        SELECT host, COUNT(DISTINCT person) FROM sessions WHERE opened_by = 'desktop' AND host LIKE 'wks%'
            AND person IS NOT NULL GROUP BY host""")
        .fetchall()
    )
    assert max(count for _, count in shared) > 1
