"""How close a case is to the truth: a case of few records, and truths in which one thing at a time is otherwise."""

from pathlib import Path

import duckdb
import making_tables
import pytest
from making import once
from making_cases import here
from making_scenarios import Scenario, make_case

from logontracks import score as scoring
from logontracks.case import Case
from logontracks.errors import UsageError

DAY = "2026-10-05"
ANNA = "S-1-5-21-9000001-2-3-1001"
WS1, FS1 = "ws1~0~.larch.example", "fs1~0~.larch.example"
BOB = "S-1-5-21-9000001-2-3-1002"

EVENTS = r"""
07:00:00 ws1 4608
08:00:00 ws1 4624 logon_id=0x1000 user=LARCH\anna sid=S-1-5-21-1-2-3-1001 source_address=127.0.0.1
09:00:00 ws1 4800 logon_id=0x1000
10:00:00 ws1 4624 logon_id=0x1100 logon_type=7 user=LARCH\anna sid=S-1-5-21-1-2-3-1001
10:00:00 ws1 4801 logon_id=0x1000
10:00:00 ws1 4634 logon_id=0x1100
12:00:00 ws1 4647 logon_id=0x1000
12:30:00 ws1 4624 logon_id=0x2000 user=LARCH\bob sid=S-1-5-21-1-2-3-1002
13:00:00 ws1 4648 logon_id=0x2000
13:30:00 ws1 4608
14:00:00 ws1 4624 logon_id=0x1000 user=LARCH\anna sid=S-1-5-21-1-2-3-1001
14:10:00 ws1 4625 user=LARCH\anna status=0xc000006d sub_status=0xc000006a source_address=10.0.0.9
14:11:00 ws1 4625 user=LARCH\anna status=0xc000006d sub_status=0xc000006a source_address=10.0.0.9
15:00:00 fs1 4624 logon_id=0x3000 logon_type=3 user=LARCH\anna sid=S-1-5-21-1-2-3-1001 source_address=10.0.0.9
15:00:10 fs1 4634 logon_id=0x3000
16:00:00 fs1 4624 logon_id=0x4000 logon_type=3 user=LARCH\bob sid=S-1-5-21-1-2-3-1002 source_address=10.0.0.8
16:00:05 fs1 4634 logon_id=0x500 logon_type=3 user=LARCH\bob sid=S-1-5-21-1-2-3-1002
18:00:00 fs1 1100
"""

TRUTH = {
    "identities": rf"""
        LARCH~0~\anna | {ANNA} | person | -
        LARCH~0~\bob  | {BOB}  | person | -""",
    "hosts": f"""
        {WS1} | old~0~ ws1~0~ | workstation
        {FS1} | fs1~0~        | server""",
    "boots": f"""
        {WS1} | 1 | 06:59:50 | 13:20:00 | crash
        {WS1} | 2 | 13:29:50 | -        | -
        {FS1} | 1 | 00:00:00 | 18:00:06 | shutdown""",
    "sessions": rf"""
        1 | LARCH\anna | {ANNA} | {WS1} | 1 | 4096  | - | 08:00:00 | 12:00:00 | logoff | -        | desktop | true
        2 | LARCH\bob  | {BOB}  | {WS1} | 1 | 8192  | - | 12:30:00 | 13:20:00 | crash  | -        | desktop | true
        3 | LARCH\anna | {ANNA} | {WS1} | 2 | 4096  | - | 14:00:00 | -        | -      | -        | desktop | true
        4 | LARCH\anna | {ANNA} | {FS1} | 1 | 12288 | - | 15:00:00 | 15:00:10 | logoff | 10.1.0.9 | network | true
        5 | LARCH\bob  | {BOB}  | {FS1} | 1 | 16384 | - | 16:00:00 | 16:00:04 | logoff | 10.1.0.8 | network | true
        6 | LARCH\bob  | {BOB}  | {FS1} | 1 | 1280  | - | 00:10:00 | 16:00:05 | logoff | 10.1.0.8 | network | false
        7 | LARCH\anna | {ANNA} | {WS1} | 1 | 4352  | - | 10:00:00 | 10:00:00 | logoff | -        | unlock  | true""",
    "presence": """
        1 | active | 08:00:00 | 09:00:00
        1 | locked | 09:00:00 | 10:00:00
        1 | active | 10:00:00 | 12:00:00
        2 | active | 12:30:00 | 13:20:00
        3 | active | 14:00:00 | -""",
    "attempts": rf"""
        1 | 14:10:00 | anna | {WS1} | 10.1.0.9 | wrong_password | true
        2 | 14:11:00 | LARCH\anna | {WS1} | 10.1.0.9 | wrong_password | true""",
    "mess": "",
}


PERFECT = {
    "hosts, in the truth": (2, 2),
    "hosts, in the table": (2, 2),
    "boots, in the truth": (3, 3),
    "boots, in the table": (3, 3),
    "boot start, told": (2, 2),
    "boot end, exact": (1, 1),
    "boot end, bounded": (1, 1),
    "boot end, unknown": (1, None),
    "boot end kind, restart": (1, 1),
    "boot end kind, running": (1, 1),
    "boot end kind, shutdown": (1, 1),
    "accounts, in the truth": (2, 2),
    "accounts, in the table": (2, 2),
    "account name, told": (2, 2),
    "sessions, in the truth": (5, 5),
    "sessions, in the table": (6, 6),
    "start, exact": (5, 5),
    "start, unknown": (1, None),
    "account, told": (6, 6),
    "opened by, desktop": (3, 3),
    "opened by, network": (3, 3),
    "source address, told": (2, 2),
    "end, exact": (3, 3),
    "end, bounded": (2, 2),
    "end, open": (1, None),
    "end, logged": (3, 3),
    "presence, true minutes active": (241, 221),  # of the last twenty before the crash no record tells
    "presence, true minutes locked": (60, 60),
    "presence, told minutes active": (221, 221),
    "presence, told minutes locked or asleep": (60, 60),
    "attempts, in the truth": (2, 2),
    "attempts, in the table": (2, 2),
    "attempt reason, bad_password": (2, 2),
}
"""Counted and correct where the truth is as above."""


PATHS = ("addresses", "links", "hops", "tracks")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    scenario = Scenario("score/company", "A company of two hosts.", EVENTS, {}, 0)
    return Case(once(tmp_path_factory, "score-company", lambda folder: make_case(folder, [scenario])))


def write(folder: Path, **changed: str) -> Path:
    """The truth as Parquet, with other rows where `changed` has them. What a row leaves out at its end is NULL."""
    folder.mkdir()
    for name, columns in scoring.TRUTH.items():
        types = [column.split() for column in columns.split(", ")]
        chosen = ", ".join(f"CAST(column{at} AS {kind}) AS {column}" for at, (column, kind) in enumerate(types))
        connection = duckdb.connect()
        connection.execute(f"CREATE TABLE rows ({', '.join(f'column{at} VARCHAR' for at in range(len(types)))})")
        for line in changed.get(name, TRUTH.get(name, "")).strip().splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            values = [None if cell == "-" else cell for cell in cells]
            values += [None] * (len(types) - len(values))
            times = [f"{DAY} {v}" if v and k == "TIMESTAMP" else v for v, (_, k) in zip(values, types, strict=True)]
            connection.execute(f"INSERT INTO rows VALUES ({', '.join('?' * len(times))})", times)
        connection.execute(f"COPY (SELECT {chosen} FROM rows) TO '{folder / name}.parquet' (FORMAT parquet)")
    return folder


def sums(case: Case, truth: Path, *, paths: bool = False) -> dict[str, tuple[int, int | None]]:
    """Counted and correct by measure and level: of `paths`, or of all else."""
    with scoring.score(case, truth) as answer:
        rows = answer.rows.read_all().to_pylist()
    return {
        f"{row['measure']}, {row['level']}": (row["counted"], row["correct"])
        for row in rows
        if (row["measure"] in PATHS) == paths
    }


def examples(case: Case, truth: Path, most: int = 5) -> list[dict]:
    with scoring.score(case, truth, wrong=most) as answer:
        return answer.rows.read_all().to_pylist()


def edited(table: str, before: str, after: str) -> dict[str, str]:
    """A truth in which a piece of one table is another one."""
    assert TRUTH[table].count(before) == 1, before
    return {table: TRUTH[table].replace(before, after)}


def more(table: str, line: str) -> dict[str, str]:
    return {table: f"{TRUTH[table]}\n{line}"}


JOINED = (
    TRUTH["sessions"]
    .rpartition("\n")[0]
    .replace("16384 | - | 16:00:00 | 16:00:04", "16384 | 1280 | 16:00:00 | 16:00:05")
)
"""Two sessions of FS1 are the halves of one, and its end is in the logs: 4634 of the other half."""


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param(
            more(
                "sessions",
                rf"7 | LARCH\bob | {BOB} | {FS1} | 1 | 999 | - | 17:00:00 | 17:00:01 | logoff | - | network | true",
            ),
            {"sessions, in the truth": (6, 5)},
            id="a session is missed",
        ),
        pytest.param(
            more(
                "sessions",
                rf"7 | LARCH\bob | {BOB} | {FS1} | 1 | 999 | - | 17:00:00 | 17:00:01 | logoff | - | network | false",
            ),
            {},
            id="no session is missed that is not in the logs",
        ),
        pytest.param(
            more(
                "sessions",
                rf"7 | LARCH\anna | {ANNA} | {FS1} | 2 | 12288 | - | 15:00:00 | 15:00:10 | logoff | - | network | true",
            ),
            {"sessions, in the truth": (6, 5)},
            id="one session of the table stands for one of the truth",
        ),
        pytest.param(
            edited("sessions", "4096  | - | 14:00:00", "4097  | 4096 | 14:00:00"),
            {},
            id="either half of a logon will do",
        ),
        pytest.param(
            edited("sessions", "4096  | - | 14:00:00", "4097  | - | 14:00:00"),
            {
                "sessions, in the truth": (5, 4),
                "sessions, in the table": (6, 5),
                "start, exact": (4, 4),
                "account, told": (5, 5),
                "opened by, desktop": (2, 2),
                "end, open": (0, None),
                "presence, true minutes active": (230, 210),
                "presence, told minutes active": (210, 210),
            },
            id="a session is invented",
        ),
        pytest.param(edited("sessions", "08:00:00", "07:59:59"), {}, id="a start within two seconds is right"),
        pytest.param(edited("sessions", "08:00:00", "07:59:57"), {"start, exact": (5, 4)}, id="a start is wrong"),
        pytest.param(edited("sessions", "12:00:00", "12:00:02"), {}, id="an end within two seconds is right"),
        pytest.param(
            edited("sessions", "12:00:00", "12:00:03"),
            {"end, exact": (3, 2), "end, logged": (2, 2)},
            id="an exact end is wrong",
        ),
        pytest.param(
            edited("sessions", "12:00:00", "-"), {"end, exact": (3, 2), "end, logged": (2, 2)}, id="it had no end"
        ),
        pytest.param(
            edited("sessions", "16:00:04", "18:00:06") | edited("boots", "18:00:06", "18:00:50"),
            {},
            id="a shutdown takes its time",
        ),
        pytest.param(
            edited("sessions", "16:00:04", "18:01:10") | edited("boots", "18:00:06", "18:01:10"),
            {"end, bounded": (2, 1), "boot end, exact": (1, 0)},
            id="a shutdown was later",
        ),
        pytest.param(
            edited("sessions", "desktop | true\n        2", "desktop | false\n        2"),
            {"sessions, in the truth": (4, 4)},
            id="a session is found whose start is not in the logs",
        ),
        pytest.param(
            edited("sessions", "13:20:00", "12:59:00"), {"end, bounded": (2, 1)}, id="an end lies before its bounds"
        ),
        pytest.param(
            edited("sessions", "13:20:00", "13:31:00"), {"end, bounded": (2, 1)}, id="an end lies behind its bounds"
        ),
        pytest.param(
            {"sessions": JOINED},
            {
                "sessions, in the table": (6, 5),
                "start, unknown": (0, None),
                "account, told": (5, 5),
                "opened by, network": (2, 2),
                "end, exact": (2, 2),
                "end, logged": (3, 2),
            },
            id="an end is claimed more weakly than its record allows",
        ),
        pytest.param(
            edited("sessions", rf"LARCH\bob  | {BOB}  | {WS1}", rf"LARCH\anna | {ANNA} | {WS1}"),
            {
                "account, told": (6, 5),
                "accounts, in the truth": (2, 1),
                "accounts, in the table": (2, 1),
                "account name, told": (3, 2),
            },
            id="a session is of another account",
        ),
        pytest.param(
            edited("sessions", "10.1.0.9 | network", "10.1.0.7 | remote_desktop"),
            {"source address, told": (2, 1), "opened by, network": (3, 2)},
            id="a session came from elsewhere",
        ),
        pytest.param(edited("identities", r"\bob ", r"\robert "), {"account name, told": (2, 1)}, id="a name is wrong"),
        pytest.param(edited("hosts", "| server", "| workstation"), {}, id="no role is told"),
        pytest.param(
            edited("hosts", "fs1~0~        ", "fs1~0~ ws1~0~ "),
            {"hosts, in the truth": (2, 0), "hosts, in the table": (2, 1)},
            id="one host stands for two",
        ),
        pytest.param(
            edited(
                "boots",
                f"{WS1} | 2 | 13:29:50 | -        | -",
                f"{WS1} | 2 | 13:29:50 | 13:40:00 | shutdown\n{WS1} | 3 | 13:41:00 | - | -",
            ),
            {
                "boots, in the truth": (4, 3),
                "boot end kind, running": (1, 0),
                "sessions, in the truth": (5, 4),
                "sessions, in the table": (6, 5),
                "start, exact": (4, 4),
                "account, told": (5, 5),
                "opened by, desktop": (2, 2),
                "end, open": (0, None),
                "presence, true minutes active": (230, 210),
                "presence, told minutes active": (210, 210),
            },
            id="a boot is missed, and the session after it is of another life",
        ),
        pytest.param(
            edited("boots", "06:59:50 | 13:20:00 | crash", "06:50:00 | 12:59:30 | shutdown"),
            {"boot start, told": (2, 1), "boot end, bounded": (1, 0)},
            id="a boot was at another time",
        ),
        pytest.param(
            edited("presence", "locked | 09:00:00 | 10:00:00", "locked | 09:30:00 | 10:00:00"),
            {"presence, true minutes locked": (30, 30), "presence, told minutes locked or asleep": (60, 30)},
            id="a lock was shorter",
        ),
        pytest.param(
            edited("presence", "locked | 09:00:00", "asleep | 09:00:00"),
            {"presence, true minutes locked": (0, None), "presence, true minutes asleep": (60, 60)},
            id="a host slept, and its System log is not here",
        ),
        pytest.param(
            edited("presence", "locked | 09:00:00", "active | 09:00:00"),
            {
                "presence, true minutes active": (301, 221),
                "presence, true minutes locked": (0, None),
                "presence, told minutes locked or asleep": (60, 0),
            },
            id="there was no lock",
        ),
        pytest.param(
            edited("attempts", "14:11:00", "14:31:00"),
            {
                "attempts, in the truth": (2, 1),
                "attempts, in the table": (2, 1),
                "attempt reason, bad_password": (1, 1),
            },
            id="an attempt was at another time",
        ),
        pytest.param(
            more("attempts", f"3 | 14:10:30 | anna | {WS1} | 10.1.0.9 | wrong_password | true"),
            {"attempts, in the truth": (3, 2)},
            id="an attempt is missed",
        ),
        pytest.param(
            more("attempts", f"3 | 14:10:30 | anna | {WS1} | 10.1.0.9 | wrong_password | false"),
            {},
            id="no attempt is missed that is not in the logs",
        ),
        pytest.param(
            edited(
                "attempts",
                f"1 | 14:10:00 | anna | {WS1} | 10.1.0.9 | wrong_password",
                f"1 | 14:10:00 | anna | {WS1} | 10.1.0.9 | expired",
            ),
            {"attempt reason, bad_password": (2, 1)},
            id="a reason is wrong",
        ),
        pytest.param(
            more("mess", f"skew | {FS1} | - | - | 30"),
            {"start, exact": (5, 3), "end, exact": (3, 1), "end, logged": (1, 1)},
            id="a clock was right",
        ),
    ],
)
def test_each_thing_is_judged(case, tmp_path, changed, expected):
    wanted = {name: each for name, each in (PERFECT | expected).items() if each != (0, None)}
    assert sums(case, write(tmp_path / "truth", **changed)) == wanted


WAYS = r"""
07:00:00 dc1 4768 user=LARCH\WS1$ source_address=10.0.0.7 status=0x0 ticket_encryption_type=0x12
08:00:00 ws1 4624 logon_id=0x1000 user=LARCH\anna
10:00:00 dc1 4769 user=LARCH\anna source_address=10.0.0.7 service_name=FS1$ status=0x0 ticket_encryption_type=0x12
10:00:00.4 fs1 4624 logon_id=0x2000 logon_type=3 user=LARCH\anna auth_package=Kerberos source_address=10.0.0.7
11:00:00 ws1 4648 subject_logon_id=0x1000 target_name=eve target_domain=LARCH target_server=srv1
11:00:01 srv1 4624 logon_id=0x3000 logon_type=3 user=LARCH\eve auth_package=NTLM source_address=10.0.0.7
12:00:00 fs1 4624 logon_id=0x4000 logon_type=3 user=LARCH\anna auth_package=NTLM source_address=10.0.0.9
"""
EVE = "S-1-5-21-9000001-2-3-1005"
SRV1, DC1 = "srv1~0~.larch.example", "dc1~0~.larch.example"
WAYS_TRUTH = {
    "identities": rf"""
        LARCH~0~\anna | {ANNA} | person | -
        LARCH~0~\eve  | {EVE}  | person | -""",
    "hosts": f"""
        {WS1}  | ws1~0~  | workstation
        {FS1}  | fs1~0~  | server
        {SRV1} | srv1~0~ | server
        {DC1}  | dc1~0~  | controller""",
    "boots": "",
    "sessions": rf"""
        1 | LARCH\anna | {ANNA} | {WS1} | 1 | 4096 | - | 08:00:00 | - | - | -        | desktop | true
        2 | LARCH\anna | {ANNA} | {FS1} | 1 | 8192 | - | 10:00:00.4 | - | - | 10.1.0.7 | network | true | {WS1} | 1
        3 | LARCH\eve  | {EVE}  | {SRV1} | 1 | 12288|-| 11:00:01 | - | - | 10.1.0.7 | network | true | {WS1} | 1 | theft
        4 | LARCH\anna | {ANNA} | {FS1} | 1 | 16384 | - | 12:00:00 | - | - | 10.1.0.9 | network | true | kali""",
    "presence": "",
    "attempts": "",
    "authentications": rf"1 | 10:00:00 | LARCH\anna | {DC1} | service_ticket | FS1~0~$",
    "links": "2 | 1",
    "addresses": f"{WS1} | 10.1.0.7",
    "hops": "1 | 3 | theft",
}
WAYS_RIGHT = {
    "addresses, in the truth": (1, 1),
    "addresses, in the table, ticket": (1, 1),
    "links, in the truth": (1, 1),
    "links, told by service_ticket": (1, 1),
    "links, certainty 0.9 to 1": (1, 1),
    "hops, in the truth": (2, 2),
    "hops, in the truth, host": (2, 2),
    "hops, in the table, session": (2, 2),
    "hops, in the table, machine": (1, 1),
    "hops, told by explicit": (1, 1),
    "hops, told by address": (1, 1),
    "hops, told by address_only": (1, 1),
    "hops, certainty 0.8 to 0.9": (1, 1),
    "hops, certainty 0.9 to 1": (2, 2),
    "tracks, in the table": (3, 3),
    "tracks, of attacks": (1, 1),
    "tracks, certainty 0.8 to 0.9": (1, 1),
    "tracks, certainty 0.9 to 1": (2, 2),
}


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    scenario = Scenario("score/ways", "One person, two servers, one stranger.", WAYS, {}, 0)
    return Case(once(tmp_path_factory, "score-ways", lambda folder: make_case(folder, [scenario])))


def other(table: str, before: str, after: str) -> dict[str, str]:
    """Ways of which a piece of one table is another one."""
    assert WAYS_TRUTH[table].count(before) == 1, before
    return {table: WAYS_TRUTH[table].replace(before, after)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param(
            {"addresses": f"{WS1} | 10.1.0.7 | 06:00:00 | 09:00:00"}, {}, id="an address was had when it was seen"
        ),
        pytest.param(
            {"addresses": f"{WS1} | 10.1.0.7 | 08:00:00"},
            {"addresses, in the table, ticket": (1, 0), "addresses, in the truth": (1, 0)},
            id="an address was had later",
        ),
        pytest.param(
            {"addresses": f"{FS1} | 10.1.0.7"},
            {"addresses, in the table, ticket": (1, 0), "addresses, in the truth": (1, 0)},
            id="an address was that of another host",
        ),
        pytest.param(
            {"links": ""},
            {
                "links, in the truth": (0, None),
                "links, told by service_ticket": (1, 0),
                "links, certainty 0.9 to 1": (1, 0),
            },
            id="a link is invented",
        ),
        pytest.param(
            {
                "authentications": rf"1 | 10:00:01 | LARCH\anna | {DC1} | service_ticket | FS1~0~$",
            },
            {
                "links, in the truth": (0, None),
                "links, told by service_ticket": (1, 0),
                "links, certainty 0.9 to 1": (1, 0),
            },
            id="a ticket that is not in the logs cannot be found",
        ),
        pytest.param(
            other("sessions", f"{WS1} | 1 | theft", f"{FS1} | 2 | theft"),
            {
                "hops, in the truth": (2, 1),
                "hops, in the truth, host": (2, 1),
                "hops, in the table, session": (2, 1),
                "hops, told by explicit": (1, 0),
                "hops, certainty 0.9 to 1": (2, 1),
                "tracks, in the table": (3, 2),
                "tracks, of attacks": (1, 0),
                "tracks, certainty 0.9 to 1": (2, 1),
            },
            id="a hop came from elsewhere",
        ),
        pytest.param(
            other("sessions", "- | - | 10.1.0.9", "- | - | 10.1.0.5"),
            {
                "hops, in the table, machine": (1, 0),
                "hops, told by address_only": (1, 0),
                "hops, certainty 0.9 to 1": (2, 1),
                "tracks, in the table": (3, 2),
                "tracks, certainty 0.9 to 1": (2, 1),
            },
            id="a machine was another one",
        ),
        pytest.param(
            other("sessions", f"| true | {WS1} | 1\n", f"| true | {WS1}\n"),
            {
                "hops, in the truth": (1, 1),
                "hops, in the truth, host": (1, 1),
                "hops, in the table, session": (2, 1),
                "hops, told by address": (1, 0),
                "hops, certainty 0.8 to 0.9": (1, 0),
                "tracks, in the table": (3, 2),
                "tracks, certainty 0.8 to 0.9": (1, 0),
            },
            id="nobody's session caused it",
        ),
        pytest.param({"hops": ""}, {"tracks, of attacks": (0, None)}, id="there was no attack"),
    ],
)
def test_ways_are_judged(ways, tmp_path, changed, expected):
    wanted = {name: each for name, each in (WAYS_RIGHT | expected).items() if each != (0, None)}
    assert sums(ways, write(tmp_path / "truth", **(WAYS_TRUTH | changed)), paths=True) == wanted


def test_the_worst_examples_lead_to_the_rows(case, tmp_path):
    changed = edited("sessions", "08:00:00", "07:59:50") | edited("attempts", "14:11:00", "14:31:00")
    changed["sessions"] = changed["sessions"].replace("15:00:00", "14:59:55")
    truth = write(tmp_path / "truth", **changed)
    (row,) = (row for row in examples(case, truth, 1) if row["measure"] == "start")
    assert (row["off_s"], row["number"], row["told"], row["truth"]) == (
        10,
        1,
        f"{DAY} 08:00:00",
        f"{DAY} 07:59:50",
    )
    (known,) = making_tables.rows(case, f"SELECT session_id FROM sessions WHERE start_time = '{DAY} 08:00:00'")
    found = making_tables.rows(case, "SELECT session_id FROM sessions WHERE host_id IS NOT NULL")
    assert known in found
    assert row["id"].startswith("s-")
    assert len([row for row in examples(case, truth, 5) if row["measure"] == "start"]) == 2


def test_a_clock_that_was_wrong_is_allowed_for(case, tmp_path):
    early = {
        "sessions": TRUTH["sessions"].replace("15:00:00 | 15:00:10", "14:00:00 | 14:00:10"),
        "mess": f"skew | {FS1} | 13:00:00 | 15:30:00 | 3600",
    }
    assert sums(case, write(tmp_path / "truth", **early)) == PERFECT


def test_what_is_no_truth_is_told(case, tmp_path):
    with pytest.raises(UsageError, match=r"holds no truth: there is no identities\.parquet"):
        scoring.score(case, tmp_path)
    truth = write(tmp_path / "truth")
    (truth / "sessions.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(UsageError, match=r"sessions\.parquet' is no truth"):
        scoring.score(case, truth)
    duckdb.sql("SELECT 1 AS session").write_parquet(str(truth / "sessions.parquet"))
    with pytest.raises(UsageError, match=r"sessions\.parquet' is no truth"):
        scoring.score(case, truth)


def test_the_command(case, tmp_path, capsysbinary):
    truth = write(tmp_path / "truth", **edited("sessions", "12:00:00", "12:00:03"))
    done = here(capsysbinary, "score", case.folder, truth)
    (line,) = (line for line in done.text.splitlines() if line.startswith("end ") and " exact " in line)
    assert line.split() == ["end", "exact", "3", "2", "1", "66.66"]
    rows = here(capsysbinary, "score", case.folder, truth, "--wrong", 3, "--format", "jsonl").rows
    assert [(row["measure"], row["off_s"]) for row in rows if row["measure"] == "end"] == [("end", 3)]
    assert here(capsysbinary, "score", case.folder, tmp_path).code == 2
