"""Failed attempts: every code of the tables in words, every reason as one attempt on all layers, guesses counted."""

import re
from datetime import timedelta

import pytest
from making import once
from making_scenarios import MONDAY, Own, Scenario, make_case
from making_tables import rows

from logontracks import catalogue, models
from logontracks.case import Case
from logontracks.models.attempts import Failure, attempts, reasons_of
from logontracks.queries.authentications import By, FailureFilter, failures

STATUS = {int(row["code"], 16): row for row in catalogue.table("status_codes")}
KERBEROS = {int(row["code"], 16): row for row in catalogue.table("kerberos_codes")}
PAIRS = catalogue.table("failure_reasons")
UNKNOWN = {"4625": 0xC0009999, "4776": 0xC0009999, "4768": 0x77, "4769": 0x77, "4771": 0x77}
CODES = [
    *((event, code) for event in ("4625", "4776") for code in (*STATUS, UNKNOWN[event])),
    *((event, code) for event in ("4768", "4769", "4771") for code in (*KERBEROS, UNKNOWN[event])),
]
NO_NUMBER = {"-", "0xffffffff"}
ENCRYPTIONS = [row for row in catalogue.table("encryption_types") if row["code"].lower() not in NO_NUMBER]
OPTIONS = [row for row in catalogue.table("ticket_options") if row["name"] not in {"unused", "reserved"}]
PRE_AUTH = [row for row in catalogue.table("preauth_types") if row["code"] not in NO_NUMBER]
TICKETS = {
    **{f"e{row['code']}": f"ticket_encryption_type={row['code']} pre_auth_type=2" for row in ENCRYPTIONS},
    **{f"o{row['mask']}": f"ticket_options={row['mask']} pre_auth_type=2" for row in OPTIONS},
    **{f"p{row['code']}": f"ticket_encryption_type=0x12 pre_auth_type={row['code']}" for row in PRE_AUTH},
}
LAYERS = {
    "host": "{time} fs1 4625 user=LARCH\\{name} workstation=WS7 source_address=10.0.0.7 status={host} sub_status={sub}",
    "kerberos": "{time} dc1 {event} user=LARCH\\{name} source_address=10.0.0.7 status={kdc}",
    "ntlm": "{time} dc1 4776 target_name={name} workstation=WS7 status={ntlm}",
}


def tables_of(factory: pytest.TempPathFactory, name: str, lines: list[str]) -> Case:
    scenario = Scenario(name, "", "\n".join(lines), {}, 1)
    return Case(once(factory, f"failures-{name}", lambda folder: make_case(folder, [scenario])))


def clock(second: float) -> str:
    return (MONDAY + timedelta(seconds=second)).strftime("%H:%M:%S.%f")


def first_code(text: str) -> str | None:
    found = re.findall(r"0x[0-9a-f]+", text)
    return found[0] if found else None


# Codes


@pytest.fixture(scope="module")
def by_code(tmp_path_factory):
    """What failures and authentications say of a record with each code, by event and code."""
    lines = []
    for number, (event, code) in enumerate(CODES):
        name = f"u{event}x{code:x}"
        values = {"time": clock(30 * number), "name": name, "event": event, "host": hex(code), "sub": "0x0"}
        layer = {"4625": "host", "4776": "ntlm"}.get(event, "kerberos")
        lines.append(LAYERS[layer].format(**values, kdc=hex(code), ntlm=hex(code)))
    case = tables_of(tmp_path_factory, "codes", lines)
    told = {}
    for table in ("failures", "authentications"):
        for row in rows(case, f"SELECT * FROM {table}"):
            event, _, code = row["name"].removeprefix("u").partition("x")
            told.setdefault((event, int(code, 16)), {})[table] = row
    return told


@pytest.mark.parametrize(("event", "code"), CODES, ids=[f"{event}-{code:#x}" for event, code in CODES])
def test_each_code_in_words(by_code, event, code):
    told = by_code[event, code]
    if event in {"4625", "4776"}:
        known = STATUS.get(code)
        words = known["meaning"] if known else f"code {code:#x}"
    else:
        known = KERBEROS.get(code)
        words = f"code {code:#x}"
        if known:
            words = known["meaning"] + (f" ({known['windows_reason']})" if known["windows_reason"] else "")
    if event != "4625":
        granted = code == 0 and event != "4771"
        assert told["authentications"]["success"] is not None
        assert told["authentications"]["success"] == granted
        assert told["authentications"]["result"] == ("success" if granted else words)
        assert told["authentications"]["status"] == code
    if event != "4625" and code == 0 and event != "4771":
        assert "failures" not in told
        return
    failure = told["failures"]
    assert failure["reason"] == words
    assert failure["attempts"] == 1
    assert failure["codes"] == f"{event} {code:#x}"
    key = failure["reason_key"]
    assert re.fullmatch(r"[a-z0-9_]+", key), "one word"
    if event in {"4625", "4776"}:
        assert key == (known["reason"] if known else f"{code:#x}")
        noise = bool(known) and known["noise"] == "yes" and known["reason"] != "logon_type_not_granted"
        assert bool(failure["noise"]) == noise
    else:
        assert {key} == reasons_of("kerberos", code) or key == f"kerberos_{code:#x}"


@pytest.fixture(scope="module")
def by_ticket(tmp_path_factory):
    """What authentications say of tickets with each encryption, option and pre-authentication, by name."""
    lines = []
    for number, (name, fields) in enumerate(TICKETS.items()):
        at = clock(number)
        lines.append(
            f"{at} dc1 4768 user=LARCH\\{name} source_address=10.0.0.7 service_name=krbtgt status=0x0 {fields}"
        )
    case = tables_of(tmp_path_factory, "tickets", lines)
    return {row["name"]: row for row in rows(case, "SELECT * FROM authentications")}


@pytest.mark.parametrize("row", ENCRYPTIONS, ids=[row["symbol"] for row in ENCRYPTIONS])
def test_each_encryption_by_name(by_ticket, row):
    told = by_ticket[f"e{row['code']}"]
    assert told["ticket_encryption"] == row["symbol"]
    assert told["weak"] == (f"{row['symbol']} ticket" if row["weak"] == "yes" else None)


@pytest.mark.parametrize("row", OPTIONS, ids=[row["name"] for row in OPTIONS])
def test_each_ticket_option_by_name(by_ticket, row):
    assert by_ticket[f"o{row['mask']}"]["options"] == row["name"]


@pytest.mark.parametrize("row", PRE_AUTH, ids=[row["code"] for row in PRE_AUTH])
def test_each_pre_authentication_by_name(by_ticket, row):
    told = by_ticket[f"p{row['code']}"]
    assert told["pre_auth"] == (row["symbol"] or "none")
    assert told["weak"] == ("no pre-authentication" if row["code"] == "0" else None)


def test_a_right_that_is_missing_is_no_noise(by_code):
    """The password was right: that is worth more than most failures, whatever lists of noise say."""
    assert by_code["4625", 0xC000015B]["failures"]["noise"] is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0x6, "unknown_user"), (0x18, "bad_password"), (0x25, "clock_skew"), (0xE, "etype_unsupported")],
)
def test_a_kerberos_code_that_means_one_reason_is_told_by_it(by_code, code, reason):
    assert by_code["4768", code]["failures"]["reason_key"] == reason


@pytest.mark.parametrize(
    ("code", "reasons"),
    [
        (0x12, {"account_disabled", "account_expired", "locked_out", "logon_hours"}),
        (0x17, {"password_expired", "must_change_password"}),
        (0xC, {"auth_firewall", "logon_hours", "smartcard_required", "workstation_restriction"}),
        (0x7, {"secure_channel_broken", "kerberos_0x7"}),  # mostly a name that no service has
    ],
)
def test_a_kerberos_code_that_means_several_is_told_as_it_is(by_code, code, reasons):
    assert reasons_of("kerberos", code) == reasons
    assert by_code["4769", code]["failures"]["reason_key"] == f"kerberos_{code:#x}"


# The pairing table


def records_of(row: dict[str, str]) -> dict[str, dict[str, str]]:
    """What each layer logs of a reason: nothing where the table names no code, or a success."""
    status, sub = first_code(row["host_status"]), first_code(row["host_substatus"]) or "0x0"
    event, kdc = re.search(r"\d{4}", row["kdc_event"]), first_code(row["kdc_code"])
    found = {"host": {"host": status or "0x0", "sub": sub}}
    if event and kdc and "failure" in row["kdc_event"] + row["kdc_event"][:4].replace("4771", "failure"):
        found["kerberos"] = {"event": event[0], "kdc": kdc}
    if (ntlm := first_code(row["ntlm_status"])) and ntlm != "0x0":
        found["ntlm"] = {"ntlm": ntlm}
    return found


ORDERS = (("kerberos", "ntlm", "host"), ("host", "ntlm", "kerberos"), ("ntlm", "host"), ("kerberos", "host"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Each row of the table: its layers in several orders, and each of them alone."""
    lines, second = [], 0.0
    for row in PAIRS:
        found = records_of(row)
        alone = [(layer,) for layer in found]
        for number, order in enumerate((*ORDERS, *alone)):
            kind = "x".join(layer[0] for layer in order)
            for place, layer in enumerate(order):
                if layer in found:
                    values = {"time": clock(second + place * 0.4), "name": f"{row['reason']}-{number}{kind}"}
                    lines.append(LAYERS[layer].format(**values, **found[layer]))
            second += 30
    told = {}
    for row in rows(tables_of(tmp_path_factory, "pairs", lines), "SELECT * FROM failures"):
        told.setdefault(row["name"], []).append(row)
    return told


@pytest.mark.parametrize("row", PAIRS, ids=[row["reason"] for row in PAIRS])
def test_each_reason_is_one_attempt_on_all_layers(pairs, row):
    layers = records_of(row)
    for number, order in enumerate(ORDERS):
        (told,) = pairs[f"{row['reason']}-{number}{'x'.join(layer[0] for layer in order)}"]
        wanted = [layer for layer in ("host", "kerberos", "ntlm") if layer in layers and layer in order]
        assert told["layers"] == " ".join(wanted)
        assert told["attempts"] == 1
        if wanted == ["host"] and row["reason"] == "etype_unsupported":
            continue  # the host has no code that says just this
        assert told["reason_key"] == row["reason"]


@pytest.mark.parametrize("row", PAIRS, ids=[row["reason"] for row in PAIRS])
def test_what_each_layer_alone_says_is_not_wrong(pairs, row):
    for place, layer in enumerate(records_of(row), len(ORDERS)):
        (told,) = pairs[f"{row['reason']}-{place}{layer[0]}"]
        assert told["layers"] == layer
        code = records_of(row)[layer]
        if layer == "kerberos":
            possible = reasons_of(layer, int(code["kdc"], 16)) | {f"kerberos_{code['kdc']}"}
        else:
            text = code["ntlm"] if layer == "ntlm" else code["sub"] if code["sub"] != "0x0" else code["host"]
            possible = reasons_of(layer, int(text, 16))
        assert row["reason"] in possible
        assert told["reason_key"] in possible


# Many


GUESSES = 3000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Guesses of one account, ten a second: by NTLM alone, by NTLM and on the host, by Kerberos at two controllers; and
    a spray of one attempt on each of 500 accounts."""
    lines = []
    wrong = {"host": "0xc000006d", "sub": "0xc000006a", "ntlm": "0xc000006a", "kdc": "0x18", "event": "4771"}
    for number in range(GUESSES):
        at = number / 10
        lines.append(LAYERS["ntlm"].format(time=clock(at), name="alone", **wrong))
        lines.append(LAYERS["ntlm"].format(time=clock(at + 0.01), name="both", **wrong))
        lines.append(LAYERS["host"].format(time=clock(at + 0.02), name="both", **wrong))
        again = LAYERS["kerberos"].format(time=clock(at + 0.03), name="twice", **wrong)
        lines += [again, again.replace(clock(at + 0.03), clock(at + 0.035)).replace(" dc1 ", " pdc ")]
    for number in range(500):
        lines.append(LAYERS["ntlm"].format(time=clock(number / 100), name=f"sprayed{number}", **wrong))
        lines.append(LAYERS["host"].format(time=clock(number / 100 + 0.005), name=f"sprayed{number}", **wrong))
    lines.sort()
    return tables_of(tmp_path_factory, "many", lines)


@pytest.mark.parametrize("name", ["alone", "both", "twice"])
def test_3000_guesses_are_3000_attempts(many, name):
    """In one row, as nothing lies between them."""
    (told,) = rows(many, f"SELECT * FROM failures WHERE name = '{name}'")
    assert told["attempts"] == GUESSES
    assert told["last_time"] - told["first_time"] == timedelta(seconds=(GUESSES - 1) / 10)


def test_a_spray_is_one_attempt_each(many):
    told = rows(many, "SELECT * FROM failures WHERE name LIKE 'sprayed%'")
    assert len(told) == 500
    assert {row["attempts"] for row in told} == {1}
    assert {row["layers"] for row in told} == {"host ntlm"}


def test_every_record_of_a_failure_is_evidence(many):
    """Also what the PDC emulator logged again, which makes no attempt."""
    counts = rows(
        many,
        """SELECT f.name, v.role, COUNT(*) AS records FROM evidence AS v JOIN failures AS f ON f.failure_id = v.row_id
        WHERE f.name IN ('both', 'twice') GROUP BY ALL""",
    )
    assert {(row["name"], row["role"]): row["records"] for row in counts} == {
        ("both", "host"): GUESSES,
        ("both", "ntlm"): GUESSES,
        ("twice", "kerberos"): 2 * GUESSES,
    }


def test_no_record_is_of_two_attempts(many):
    roles = "('host', 'kerberos', 'ntlm', 'ntlm_audit')"
    assert rows(many, f"SELECT uid FROM evidence WHERE role IN {roles} GROUP BY uid HAVING COUNT(*) > 1") == []


# Where they came from


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Attempts counted by one thing, of one account or all; they were on the hosts fs1 and ws9."""
    wrong = "4625 status=0xc000006d sub_status=0xc000006a"
    lines = [
        f"{clock(0)} fs1 {wrong} user=LARCH\\desk logon_type=2 workstation=FS1 source_address=127.0.0.1",
        f"{clock(10)} ws9 {wrong} user=LARCH\\desk logon_type=7 workstation=WS9 source_address=127.0.0.1",
        f"{clock(20)} ws9 {wrong} user=LARCH\\local logon_type=3 workstation=WS9 source_address=-",
        f"{clock(30)} ws9 {wrong} user=LARCH\\far logon_type=10 workstation=WS9 source_address=-",
        f"{clock(40)} fs1 {wrong} user=LARCH\\far logon_type=10 workstation=FS1 source_address=10.0.0.7",
        f"{clock(50)} fs1 {wrong} user=LARCH\\near logon_type=3 workstation=ws7 source_address=-",
        f"{clock(60)} dc1 4771 user=LARCH\\ruled source_address=::1 status=0x18",
    ]
    case = tables_of(tmp_path_factory, "sources", lines)
    own = Own(1)

    def named(row: dict[str, object]) -> dict[str, object]:
        return {key: own.plain(value) if isinstance(value, str) else value for key, value in row.items()}

    def of(user: str | None = None, *, by: By = "source") -> list[dict[str, object]]:
        with failures(case, FailureFilter(users=(user,) if user else ()), by=by) as answer:
            return [named(row) for row in answer.rows.read_all().to_pylist()]

    return of


def test_the_keyboards_of_two_hosts_are_two_sources(sources):
    assert [row["source"] for row in sources("desk")] == ["fs1 itself", "ws9 itself"]
    (told,) = sources("desk", by="user")
    assert (told["account"], told["attempts"], told["sources"], told["hosts"]) == ("LARCH\\desk", 2, 2, 2)


def test_a_program_on_the_host_is_a_source(sources):
    assert [row["source"] for row in sources("local")] == ["ws9 itself"]


def test_the_name_of_the_host_says_nothing_of_a_client_over_remote_desktop(sources):
    """A client may hide its address; the name in the record is then that of the host it came to."""
    assert [row["source"] for row in sources("far")] == ["(not told)", "10.0.0.7 FS1"]
    (told,) = sources("far", by="user")
    assert told["sources"] == 1  # what is not told is none


def test_a_controller_that_asked_itself_is_a_source(sources):
    assert [row["source"] for row in sources("ruled")] == ["dc1 itself"]


def test_counts_by_one_thing_agree_with_those_by_another(sources):
    for by in ("source", "user", "host", "reason"):
        assert sum(row["attempts"] for row in sources(by=by)) == 7
    assert len(sources(by="user")) == 5


# The rule itself


def failure(moment: float, uid: int, layer: str = "host", *, host: int = 1, code: int = 0xC000006A) -> Failure:
    return Failure("anna", int(moment * 1_000_000), uid, layer, host, None, code, None, None, 3)


def test_the_window_counts_from_the_first_record():
    window = int(models.parameters()["attempt_s"])
    near = [failure(0, 1, "ntlm", host=9), failure(window, 2)]
    far = [failure(0, 1, "ntlm", host=9), failure(window + 0.001, 2)]
    assert [len(attempt.records) for attempt in attempts(near)] == [2]
    assert [len(attempt.records) for attempt in attempts(far)] == [1, 1]


def test_the_nth_record_of_one_layer_meets_the_nth_of_another():
    wrong = [failure(at / 100, at) for at in range(3)]
    checked = [failure(1 + at / 100, 10 + at, "ntlm", host=9) for at in range(3)]
    assert [[record.uid for record in attempt.records] for attempt in attempts(wrong + checked)] == [
        [0, 10],
        [1, 11],
        [2, 12],
    ]


def test_an_attempt_is_named_by_its_record_on_the_host():
    (attempt,) = attempts([failure(0, 7, "ntlm", host=9), failure(0.1, 8)])
    assert attempt.id == 8
