"""Attacks on the simulated company: their records at source, target and controller in order, and their truth."""

import re
from collections import Counter
from functools import cache
from types import SimpleNamespace

import pytest
from evtx import PyEvtxParser

from logontracks.simulate import attacks
from logontracks.simulate.attacks import ATTACKS, stage
from logontracks.simulate.cast import assemble
from logontracks.simulate.company import MONDAY
from logontracks.simulate.evtx_writer import filetime, write_evtx
from logontracks.simulate.host import DAY, HOUR, MINUTE, SECOND, ZERO_GUID
from logontracks.simulate.week import Week

START = filetime(MONDAY) + 2 * DAY + 2 * HOUR  # Wednesday, at two at night
NOON = START + 10 * HOUR
OUTSIDE = "203.0.113.57"
MANAGERS = ("S-1-5-90-", "S-1-5-96-")
CONTROLLERS = ("DC01", "DC02")
each_attack = pytest.mark.parametrize("name", ATTACKS)


def play(name, *, seed=7, start=START, week=False, twice=False):
    """A company in which an attack alone happens, or happens in a week of work; its records and its truth."""
    company = assemble(seed, filetime(MONDAY))
    if week:
        Week(company, filetime(MONDAY)).run()
    for _ in range(1 + twice):
        ATTACKS[name].run(company, start)
    rows, abouts = [], []
    for host in company.hosts.values():
        host.number_sessions()
        for channel in host.channels():
            for place, (event, about, *_) in enumerate(host.events(channel, start - DAY // 2, start + DAY // 2)):
                if about:
                    about.logged = True
                    abouts.append(about)
                rows.append(row_of(host, place, event))
    truth = {table: rows.to_pylist() for table, rows in company.truth.tables().items()}
    rows.sort(key=lambda row: (row.time, row.place))
    marked = {table: [each for each in truth[table] if each.get("attack")] for table in truth}
    return SimpleNamespace(company=company, rows=rows, truth=truth, **marked)


@cache
def night(name):
    return play(name)


def row_of(host, place, event):
    return SimpleNamespace(
        host=host.name,
        place=place,
        time=event.filetime,
        id=event.template.event_id,
        data=dict(zip((field for field, _ in event.template.fields), event.values, strict=True)),
        event=event,
    )


def find(made, event_id, host=None, **values):
    """The records of a kind on a host (or hosts) that have these values, in order."""
    hosts = (host,) if isinstance(host, str) else host
    return [
        row
        for row in made.rows
        if row.id == event_id
        and (hosts is None or row.host in hosts)
        and all(row.data.get(field) == value for field, value in values.items())
    ]


def one(made, event_id, host=None, **values):
    (row,) = find(made, event_id, host, **values)
    return row


def in_order(*rows):
    assert [row.time for row in rows] == sorted(row.time for row in rows)


def session(made, host, logon_id):
    """The session of the truth with an id on a host, by either half."""
    (found,) = (
        each
        for each in made.sessions
        if each["host"] == f"{host.lower()}.larch.example" and logon_id in (each["logon_id"], each["linked_logon_id"])
    )
    return found


def foothold(made):
    """The desktop that the attacker opened: person, host, and the ids of its halves."""
    (found,) = (
        each for each in made.sessions if each["opened_by"] == "remote_desktop" and each["source_address"] == OUTSIDE
    )
    host = found["host"].partition(".")[0].upper()
    return SimpleNamespace(
        number=found["session"],
        host=host,
        address=made.company.hosts[host].address,
        person=found["person"],
        ids={found["logon_id"], found["linked_logon_id"]},
        elevated=found["linked_logon_id"] or found["logon_id"],
    )


def network_logon(made, host, account, **values):
    """4624 type 3 of an account from the foothold, and the 4672 right before it, which names the same session."""
    logons = find(made, 4624, host, TargetUserName=account, LogonType=3, **values)
    for logon in logons:
        before = one(made, 4672, host, SubjectLogonId=logon.data["TargetLogonId"])
        assert before.place == logon.place - 1
    return logons


# --- all of them ------------------------------------------------------------------------------------------------------


def test_each_family_is_there_and_tells_its_meaning():
    assert len(ATTACKS) == 17
    for name, attack in ATTACKS.items():
        assert re.fullmatch("[a-z_]+", name)
        assert re.fullmatch(r"[A-Z].{20,95}\.", attack.meaning), name


@each_attack
def test_an_attack_cites_the_records_that_it_follows(name):
    play, _ = attacks._PLAYS[name]
    module = __import__(play.__module__, fromlist=["_"])
    private = [each.__doc__ or "" for each in vars(module).values() if callable(each)]
    assert re.search(r"\b\d{4,}\b", (play.__doc__ or "") + " ".join(private))


@each_attack
@pytest.mark.parametrize(("start", "week"), [(START, False), (NOON, True)])
def test_truth_and_logs_tell_the_same(name, start, week):
    made = play(name, start=start, week=week)
    logons = {
        (row.host, row.data["TargetLogonId"]): row
        for row in made.rows
        if row.id == 4624 and row.data["TargetLogonId"] > 0x3E7
    }
    for each in made.sessions:
        host = each["host"].partition(".")[0].upper()
        logon = logons[host, each["logon_id"]]
        assert each["logged"]
        assert each["logon_type"] == logon.data["LogonType"]
        assert each["sid"] == logon.data["TargetUserSid"]
        assert logon.data["IpAddress"] in (each["source_address"], "-", "127.0.0.1", "::1")
        if each["linked_logon_id"]:
            assert logon.data["TargetLinkedLogonId"] == each["linked_logon_id"]
        ended = find(made, 4634, host, TargetLogonId=each["logon_id"])
        assert bool(ended) == (each["end_kind"] == "logoff") == (each["logon_type"] != 9)
    failed = Counter(row.data["TargetUserName"] for row in made.rows if row.id == 4625)
    told = Counter(each["account"].partition("\\")[2] for each in made.attempts)
    assert not told - failed
    if not week:
        assert told == failed
        assert {number for number in logons if logons[number].data["TargetUserSid"][:9] not in MANAGERS} == {
            (each["host"].partition(".")[0].upper(), number)
            for each in made.sessions
            for number in (each["logon_id"], each["linked_logon_id"])
            if number and not each["sid"].startswith(MANAGERS)
        }


@each_attack
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_that_an_attack_does_is_marked_and_in_its_time(name, seed):
    made = play(name, seed=seed)
    for table in ("sessions", "attempts", "authentications", "hops"):
        assert {each["attack"] for each in made.truth[table] if each["attack"]} <= {name}
    assert made.sessions or made.attempts
    assert len(made.authentications) == len(made.truth["authentications"])
    assert len(made.hops) == len(made.truth["hops"])
    begin = START - SECOND if name != "insider" else START - START % DAY
    assert all(begin <= row.time < START + stage.LENGTH for row in made.rows)
    sessions = {each["session"]: each for each in made.sessions}
    for hop in made.hops:
        source, target = sessions.get(hop["from_session"]), sessions[hop["to_session"]]
        assert hop["time"] == target["start_time"]
        assert hop["credential"] in ("same", "switch", "stolen")
        if source is None:
            assert target["source_address"] == OUTSIDE or name == "insider"
        else:
            assert source["start_time"] <= hop["time"]
            assert source["end_time"] is None or hop["time"] < source["end_time"]
            assert target["source_host"] in (source["host"], None)
            assert (source["account"] == target["account"]) or hop["credential"] != "same"


@each_attack
@pytest.mark.parametrize(("start", "week"), [(START, False), (START, True), (NOON, True)])
def test_nothing_happens_in_a_session_before_its_start_or_after_its_end(name, start, week):
    made = play(name, start=start, week=week)
    opened, ended = {}, {}
    for row in made.rows:
        number = (row.host, row.data.get("TargetLogonId"))
        if row.id == 4624:
            opened[number] = row.time
        elif row.id == 4634:
            ended[number] = row.time
    for row in made.rows:
        for field in ("SubjectLogonId", "TargetLogonId", "LogonID"):
            number = (row.host, row.data.get(field))
            if number[1] and number[1] > 0x3E7 and row.id not in (4624, 4634, 4672):
                assert opened.get(number, 0) <= row.time, (row.id, row.data)
                assert row.time <= ended.get(number, row.time), (row.id, row.data)


@each_attack
def test_the_same_seed_makes_the_same_attack(name):
    first, again = night(name), play(name)
    assert [row.event for row in first.rows] == [row.event for row in again.rows]
    assert first.truth == again.truth
    assert [row.event for row in play(name, seed=8).rows] != [row.event for row in first.rows]


def test_attacks_are_readable_as_evtx(tmp_path):
    company = assemble(3, filetime(MONDAY))
    for number, attack in enumerate(ATTACKS.values()):
        attack.run(company, START - DAY + number * 3 * HOUR)
    read = Counter()
    for host in company.hosts.values():
        host.number_sessions()
        for channel in host.channels():
            events = [event for event, *_ in host.events(channel, START - 2 * DAY, START + 5 * DAY)]
            path = tmp_path / f"{host.name}-{channel.replace('/', '%4')}.evtx"
            write_evtx(path, events)
            assert len(list(PyEvtxParser(str(path)).records_json())) == len(events)
            read[channel] += len(events)
    assert read["Security"] > 500
    assert read["System"] >= 3


def test_an_attack_starts_from_a_desktop_that_is_there():
    """At noon, in somebody's own session; the attack itself logs on nowhere as them, and has no machine outside."""
    made = play("pass_the_hash", start=NOON, week=True)
    borrowed, _ = made.hops
    (desktop,) = (each for each in made.truth["sessions"] if each["session"] == borrowed["from_session"])
    assert desktop["attack"] is None
    assert (desktop["logon_type"], desktop["opened_by"]) == (2, "desktop")
    assert OUTSIDE not in {row.data.get("IpAddress") for row in made.rows}


def test_an_attack_uses_no_ticket_that_is_given_later():
    """The week is made before the attack, and on Friday people talk to the controller that they had on Wednesday."""
    checked = 0
    for seed in range(1, 7):
        made = play("kerberoast", seed=seed, start=NOON, week=True)
        given = {row.data["ResponseTicket"]: row.time for row in find(made, 4768, "DC02")}
        roasted = find(made, 4769, "DC02", TicketEncryptionType=0x17)
        checked += len(roasted)
        assert all(given[row.data["RequestTicketHash"]] < row.time for row in roasted)
    assert checked


def test_an_attack_says_what_the_company_lacks():
    company = assemble(1, filetime(MONDAY))
    for host in company.net.members:
        host.boots[-1].stopped = START - HOUR
    with pytest.raises(ValueError, match="has no workstation without its owner"):
        ATTACKS["psexec"].run(company, START)
    company = assemble(1, filetime(MONDAY))
    company.accounts = {name: account for name, account in company.accounts.items() if "svc-" not in name}
    for name in ("kerberoast", "kerberoast_outside", "asrep_roast", "stolen_service"):
        with pytest.raises(ValueError, match="has no service account"):
            ATTACKS[name].run(company, START)


# --- passwords --------------------------------------------------------------------------------------------------------


def test_spray():
    made = night("spray")
    at = foothold(made)
    tool = one(made, 4688, at.host, NewProcessName=r"C:\Users\Public\Downloads\dompass.exe")
    checks, failures = find(made, 4776, CONTROLLERS, Status=0xC000006A), find(made, 4625, at.host)
    accounts = set(made.company.accounts)
    assert (
        {row.data["TargetUserName"] for row in checks} == {row.data["TargetUserName"] for row in failures} == accounts
    )
    assert len(checks) == len(failures) == len(made.attempts) == 9
    for check, failure in zip(checks, failures, strict=True):
        assert check.data["Workstation"] == failure.data["WorkstationName"] == at.host
        assert check.data["TargetUserName"] == failure.data["TargetUserName"]
        assert failure.data["SubjectLogonId"] == tool.data["SubjectLogonId"] == at.elevated
        assert failure.data["TargetUserSid"] == "S-1-0-0"
        assert (failure.data["LogonType"], failure.data["IpAddress"], failure.data["IpPort"]) == (2, "-", "-")
        assert failure.data["AuthenticationPackageName"] == "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0"
        assert (failure.data["Status"], failure.data["SubStatus"]) == (0xC000006D, 0xC000006A)
        in_order(tool, check, failure)
    assert failures[-1].time - failures[0].time < 2 * SECOND
    assert {(each["reason"], each["logon_type"], each["source_host"]) for each in made.attempts} == {
        ("wrong_password", 2, None)
    }
    assert {each["target_host"] for each in made.attempts} == {f"{at.host.lower()}.larch.example"}


def test_spray_over_shares():
    made = night("spray_shares")
    at = foothold(made)
    used = find(made, 4648, at.host, IpPort="445")
    failures = [row for row in made.rows if row.id == 4625]
    (server,) = {row.host for row in failures}
    assert [row.data["TargetUserName"] for row in used[:-1]] == [row.data["TargetUserName"] for row in failures]
    for row in used:
        assert row.data["SubjectLogonId"] in at.ids
        assert row.data["ProcessId"] == 4
        assert row.data["TargetLogonGuid"] == ZERO_GUID
        assert row.data["TargetServerName"] == f"{server}.larch.example"
    for row in failures:
        assert (row.data["WorkstationName"], row.data["IpAddress"]) == (at.host, at.address)
        assert (row.data["LogonType"], row.data["LogonProcessName"]) == (3, "NtLmSsp ")
    weak = used[-1].data["TargetUserName"]
    logon = one(made, 4624, server, TargetUserName=weak, LogonType=3)
    in_order(*failures, used[-1], one(made, 4776, CONTROLLERS, Status=0, Workstation=at.host), logon)
    share = one(made, 5140, server)
    assert share.data["SubjectLogonId"] == logon.data["TargetLogonId"]
    hop = made.hops[-1]
    assert (hop["from_session"], hop["means"], hop["credential"]) == (at.number, "share", "stolen")
    assert weak != at.person
    assert {each["source_address"] for each in made.attempts} == {at.address}


def test_guessing():
    made = night("guessing")
    at = foothold(made)
    failures = find(made, 4625, at.host, TargetUserName=at.person, IpAddress=OUTSIDE)
    assert len(failures) == len(made.attempts) == 24 == len(find(made, 4776, CONTROLLERS, Status=0xC000006A))
    times = [row.time for row in failures]
    assert all(b - a > 10 * MINUTE for a, b in zip(times, times[4:], strict=False)), "the account would be locked out"
    first = one(made, 4624, at.host, LogonType=3, TargetUserName=at.person)
    assert (first.data["AuthenticationPackageName"], first.data["WorkstationName"]) == ("NTLM", "DESKTOP-7QK3V1H")
    in_order(
        failures[-1],
        one(made, 4776, CONTROLLERS, Status=0),
        first,
        one(made, 1149, at.host, Param3=OUTSIDE),
        find(made, 4624, at.host, LogonType=10)[0],
        one(made, 4647, at.host),
    )
    assert [(hop["from_session"], hop["means"]) for hop in made.hops] == [(None, "remote_desktop")]


def test_guessing_where_all_are_at_work_is_at_an_administrator():
    made = play("guessing", start=NOON, week=True)
    assert {each["account"] for each in made.attempts} == {r"LARCH\adm-david"}
    assert {each["target_host"] for each in made.attempts} <= {"fs01.larch.example", "app01.larch.example"}


# --- hashes and tickets -----------------------------------------------------------------------------------------------


def borrowed_session(made, at):
    """The session of type 9 that the attacker made: 4624, then 4672, and no 4648 for it."""
    logon = one(made, 4624, at.host, LogonType=9)
    assert logon.data["SubjectLogonId"] == at.elevated
    assert (logon.data["TargetUserName"], logon.data["TargetOutboundUserName"]) == (at.person, "adm-david")
    assert (logon.data["LogonProcessName"], logon.data["AuthenticationPackageName"]) == ("seclogo", "Negotiate")
    assert (logon.data["LogonGuid"], logon.data["IpAddress"]) == (ZERO_GUID, "::1")
    rights = one(made, 4672, at.host, SubjectLogonId=logon.data["TargetLogonId"])
    assert rights.place == logon.place + 1
    assert not find(made, 4648, at.host, TargetUserName="adm-david")
    assert not find(made, 4634, at.host, TargetLogonId=logon.data["TargetLogonId"])
    found = session(made, at.host, logon.data["TargetLogonId"])
    assert (found["end_kind"], found["opened_by"]) == ("open", "netonly")
    hop = next(hop for hop in made.hops if hop["to_session"] == found["session"])
    assert (hop["from_session"], hop["means"], hop["credential"]) == (at.number, "runas", "stolen")
    return logon, found


def test_pass_the_hash():
    made = night("pass_the_hash")
    at = foothold(made)
    logon, borrowed = borrowed_session(made, at)
    check = one(made, 4776, CONTROLLERS, TargetUserName="adm-david")
    assert (check.data["Workstation"], check.data["Status"]) == (at.host, 0)
    assert not find(made, 4768, TargetUserName="adm-david")
    (used,) = network_logon(made, ("FS01", "APP01"), "adm-david", IpAddress=at.address)
    assert (used.data["AuthenticationPackageName"], used.data["LmPackageName"]) == ("NTLM", "NTLM V2")
    assert (used.data["KeyLength"], used.data["WorkstationName"], used.data["LogonGuid"]) == (128, at.host, ZERO_GUID)
    share = one(made, 5140, used.host, ShareName=r"\\*\C$")
    assert share.data["SubjectLogonId"] == used.data["TargetLogonId"]
    in_order(logon, check, used, share)
    hop = made.hops[-1]
    assert (hop["from_session"], hop["means"], hop["credential"]) == (borrowed["session"], "share", "stolen")


def test_overpass_the_hash():
    made = night("overpass_the_hash")
    at = foothold(made)
    logon, borrowed = borrowed_session(made, at)
    ticket = one(made, 4768, CONTROLLERS, TargetUserName="adm-david")
    assert (ticket.data["TicketEncryptionType"], ticket.data["TicketOptions"]) == (0x17, 0x40810010)
    assert (ticket.data["PreAuthType"], ticket.data["IpAddress"]) == ("2", f"::ffff:{at.address}")
    assert not find(made, 4776, CONTROLLERS, TargetUserName="adm-david")
    services = find(made, 4769, CONTROLLERS, TargetUserName="adm-david@LARCH.EXAMPLE")
    uses = network_logon(made, None, "adm-david", IpAddress=at.address)
    assert [f"{use.host}$" for use in uses] == [service.data["ServiceName"] for service in services]
    assert len(uses) == 2
    in_order(logon, ticket, services[0], uses[0], services[1], uses[1])
    for service, use in zip(services, uses, strict=True):
        assert service.host == ticket.host
        assert use.data["AuthenticationPackageName"] == "Kerberos"
        assert service.data["TicketEncryptionType"] == 0x12
        assert service.data["LogonGuid"] != use.data["LogonGuid"] != ZERO_GUID
    assert {(hop["from_session"], hop["credential"]) for hop in made.hops[2:]} == {(borrowed["session"], "stolen")}


def test_kerberoast():
    made = night("kerberoast")
    at = foothold(made)
    person = f"{at.person}@LARCH.EXAMPLE"
    tickets = find(made, 4769, CONTROLLERS, TargetUserName=person, TicketEncryptionType=0x17)
    assert {row.data["ServiceName"] for row in tickets} == {"svc-app", "svc-backup", "svc-scan"}
    assert len({row.host for row in tickets}) == 1
    assert tickets[-1].time - tickets[0].time < SECOND
    assert {row.data["IpAddress"] for row in tickets} == {f"::ffff:{at.address}"}
    guids = [row.data["LogonGuid"] for row in tickets]
    assert guids[0] != guids[1] == guids[2]
    asked = find(made, 4624, tickets[0].host, TargetUserName=at.person, LogonType=3)
    assert len(asked) == 3
    assert len({row.data["LogonGuid"] for row in asked}) == 1
    in_order(*asked, *tickets)
    assert not [row for row in made.rows if row.id == 4624 and row.data["TargetUserName"].startswith("svc-")]
    roasted = [each for each in made.authentications if str(each["service"]).startswith("svc-")]
    assert [(each["kind"], each["session"]) for each in roasted] == [("service_ticket", None)] * 3


def test_kerberoast_from_outside():
    made = night("kerberoast_outside")
    check, logon, logoff = (one(made, event_id) for event_id in (4776, 4624, 4634))
    ticket, services = one(made, 4768), find(made, 4769)
    in_order(check, logon, ticket, *services)
    assert {row.host for row in made.rows} == {logon.host} <= set(CONTROLLERS)
    assert (logon.data["KeyLength"], logon.data["WorkstationName"]) == (0, "DESKTOP-7QK3V1H")
    assert (ticket.data["TicketEncryptionType"], ticket.data["TicketOptions"]) == (0x17, 0x50800000)
    assert {(row.data["TicketEncryptionType"], row.data["TicketOptions"]) for row in services} == {(0x17, 0x40810010)}
    assert {row.data["IpAddress"] for row in (ticket, *services)} == {f"::ffff:{OUTSIDE}"}
    assert logoff.time - logon.time < SECOND
    assert [(hop["from_session"], hop["means"], hop["credential"]) for hop in made.hops] == [
        (None, "network", "stolen")
    ]


def test_asrep_roast():
    made = night("asrep_roast")
    at = foothold(made)
    roasted = find(made, 4768, CONTROLLERS, PreAuthType="0")
    assert len(roasted) == 2
    for row in roasted:
        assert row.data["TargetUserName"].startswith("svc-")
        assert (row.data["TicketEncryptionType"], row.data["TicketOptions"]) == (0x17, 0x40800010)
        assert (row.data["Status"], row.data["IpAddress"]) == (0, f"::ffff:{at.address}")
    assert {row.data["PreAuthType"] for row in find(made, 4768) if row not in roasted} == {"2"}
    assert not [row for row in made.rows if row.id == 4769 and row.data["TargetUserName"].startswith("svc-")]
    told = [each for each in made.authentications if "svc-" in each["account"]]
    assert {(each["kind"], each["session"], each["client_host"]) for each in told} == {
        ("ticket", None, f"{at.host.lower()}.larch.example")
    }


def test_golden_ticket():
    made = night("golden_ticket")
    at = foothold(made)
    assert not find(made, 4768, TargetUserName="adm-david")
    tickets = find(made, 4769, TargetUserName="adm-david@larch.example", TargetDomainName="larch.example")
    assert len(tickets) == 3
    assert {row.data["IpAddress"] for row in tickets} == {f"::ffff:{at.address}"}
    first, forwarded, last = tickets
    assert (first.data["ServiceName"], forwarded.data["ServiceName"]) == (f"{first.host}$", "krbtgt")
    assert forwarded.data["TicketOptions"] == 0x60810010
    assert last.data["ServiceName"] in ("FS01$", "APP01$")
    for ticket in (first, last):
        host = ticket.data["ServiceName"].removesuffix("$")
        (logon,) = network_logon(made, host, "adm-david", IpAddress=at.address)
        in_order(ticket, logon, one(made, 5140, host))
    assert [(hop["from_session"], hop["credential"]) for hop in made.hops[1:]] == [(at.number, "stolen")] * 2
    assert not [each for each in made.authentications if each["kind"] == "ticket" and "adm-" in each["account"]]


def test_the_hash_of_a_golden_ticket_stands_nowhere_else():
    hashes = 0
    for seed in range(8):
        made = play("golden_ticket", seed=seed)
        given = {row.data["ResponseTicket"] for row in find(made, 4768, "DC02")}
        for row in find(made, 4769, "DC02"):
            forged = row.data["TargetUserName"] == "adm-david@larch.example"
            assert (row.data["RequestTicketHash"] not in given) == forged
            hashes += forged
    assert hashes > 3


# --- from host to host ------------------------------------------------------------------------------------------------


def desktop_reached(made, client, by, host, account):
    """What a remote desktop from one host to the next leaves on both: gives the type 10 logon (filtered half)."""
    used = one(made, 4648, client, TargetUserName=account, TargetInfo=f"TERMSRV/{host}.larch.example")
    assert used.data["SubjectLogonId"] in by
    ticket = one(made, 4769, LogonGuid=used.data["TargetLogonGuid"], ServiceName=f"{host}$")
    address = made.company.hosts[client].address
    network = one(made, 4624, host, LogonType=3, TargetUserName=account, IpAddress=address)
    gate = one(made, 1149, host, Param1=account, Param3=address)
    elevated, filtered = find(made, 4624, host, LogonType=10, TargetUserName=account)
    assert elevated.data["TargetLinkedLogonId"] == filtered.data["TargetLogonId"]
    assert filtered.data["IpAddress"] == address
    local = one(made, 4648, host, TargetUserName=account, TargetServerName="localhost")
    assert (local.data["SubjectLogonId"], local.data["TargetLogonGuid"]) == (0x3E7, elevated.data["LogonGuid"])
    own = one(made, 4769, LogonGuid=elevated.data["LogonGuid"])
    assert own.data["ServiceName"] == f"{host}$"
    in_order(ticket, used, network, gate, own, local, elevated, filtered)
    return filtered


def test_remote_desktop_over_three_hosts():
    made = night("remote_desktop")
    at = foothold(made)
    server, controller = (
        next(each["host"].partition(".")[0].upper() for each in made.sessions if each["session"] == hop["to_session"])
        for hop in made.hops[1:]
    )
    assert server in ("FS01", "APP01")
    assert controller in CONTROLLERS
    second = desktop_reached(made, at.host, at.ids, server, "adm-david")
    ids = {second.data["TargetLogonId"], second.data["TargetLinkedLogonId"]}
    third = desktop_reached(made, server, ids, controller, "adm-david")
    in_order(second, third, *(one(made, 4647, host) for host in (controller, server, at.host)))
    numbers = [session(made, row.host, row.data["TargetLogonId"])["session"] for row in (second, third)]
    assert [(hop["from_session"], hop["to_session"], hop["means"], hop["credential"]) for hop in made.hops] == [
        (None, at.number, "remote_desktop", "stolen"),
        (at.number, numbers[0], "remote_desktop", "switch"),
        (numbers[0], numbers[1], "remote_desktop", "same"),
    ]


def test_stolen_service_account():
    made = night("stolen_service")
    at = foothold(made)
    (_, hop) = made.hops
    (found,) = (each for each in made.sessions if each["session"] == hop["to_session"])
    assert found["person"] is None
    assert (hop["means"], hop["credential"], found["logon_type"]) == ("remote_desktop", "stolen", 10)
    host, account = found["host"].partition(".")[0].upper(), found["account"].partition("\\")[2]
    assert account.startswith("svc-")
    desktop_reached(made, at.host, at.ids, host, account)


@pytest.mark.parametrize("name", ["psexec", "psexec_user"])
def test_psexec(name):
    made = night(name)
    at = foothold(made)
    used = one(made, 4648, at.host, TargetUserName="adm-david")
    assert used.data["SubjectLogonId"] in at.ids
    assert (used.data["ProcessId"], used.data["IpPort"]) == (4, "445")
    installed = one(made, 4697, ServiceName="PSEXESVC")
    server = installed.host
    assert used.data["TargetServerName"] == f"{server}.larch.example"
    ticket = one(made, 4769, LogonGuid=used.data["TargetLogonGuid"], ServiceName=f"{server}$")
    logons = network_logon(made, server, "adm-david", IpAddress=at.address)
    assert len(logons) == 5
    assert len({row.data["LogonGuid"] for row in logons}) == 1
    assert len({row.data["IpPort"] for row in logons}) == 5
    ids = [row.data["TargetLogonId"] for row in logons]
    admin = one(made, 5140, server, ShareName=r"\\*\ADMIN$")
    copied = find(made, 5145, server, RelativeTargetName="PSEXESVC.exe", AccessMask=2)
    pipes = find(made, 5145, server, ShareName=r"\\*\IPC$")
    started = one(made, 4688, server, NewProcessName=r"C:\Windows\PSEXESVC.exe")
    assert {admin.data["SubjectLogonId"], *(row.data["SubjectLogonId"] for row in copied + pipes)} <= set(ids)
    assert installed.data["SubjectLogonId"] in ids
    assert started.data["SubjectLogonId"] == 0x3E7
    assert [row.data["RelativeTargetName"].rpartition("-")[2] for row in pipes] == [
        "PSEXESVC",
        "stdin",
        "stdout",
        "stderr",
    ]
    assert f"-{at.host}-" in pipes[1].data["RelativeTargetName"]
    in_order(ticket, used, *logons)
    in_order(admin, *copied, installed, started, one(made, 5140, server, ShareName=r"\\*\IPC$"), *pipes)
    system = one(made, 7045, server)
    assert (system.data["ServiceName"], system.data["ImagePath"]) == ("PSEXESVC", r"%SystemRoot%\PSEXESVC.exe")
    assert system.event.user_sid == made.company.accounts["adm-david"].sid
    hops = [hop for hop in made.hops if hop["means"] == "psexec" and hop["from_session"] == at.number]
    assert [hop["credential"] for hop in hops] == ["stolen"] * 5


def test_psexec_as_system_makes_no_session_of_its_own():
    made = night("psexec")
    server = one(made, 4697).host
    assert {row.data["LogonType"] for row in find(made, 4624, server)} == {3}
    commands = find(made, 4688, server, ParentProcessName=r"C:\Windows\PSEXESVC.exe")
    assert {row.data["SubjectLogonId"] for row in commands} == {0x3E7}


def test_psexec_with_a_password_logs_on_on_the_server():
    made = night("psexec_user")
    server = one(made, 4697).host
    logon = one(made, 4624, server, LogonType=2)
    assert logon.data["ProcessName"] == r"C:\Windows\PSEXESVC.exe"
    assert logon.data["SubjectLogonId"] == 0x3E7
    used = one(made, 4648, server, TargetUserName="adm-david")
    rights = one(made, 4672, server, SubjectLogonId=logon.data["TargetLogonId"])
    command = one(made, 4688, server, ParentProcessName=r"C:\Windows\PSEXESVC.exe")
    assert command.data["SubjectLogonId"] == logon.data["TargetLogonId"]
    in_order(used, logon, rights, command)
    first = network_logon(made, server, "adm-david")
    inner = session(made, server, logon.data["TargetLogonId"])
    hop = next(hop for hop in made.hops if hop["to_session"] == inner["session"])
    assert hop["from_session"] in {session(made, server, row.data["TargetLogonId"])["session"] for row in first}
    assert (hop["means"], hop["credential"]) == ("psexec", "same")


def test_a_command_as_a_service():
    made = night("remote_service")
    at = foothold(made)
    installed, system = one(made, 4697), one(made, 7045)
    (logon,) = network_logon(made, installed.host, "adm-david", IpAddress=at.address)
    assert installed.data["SubjectLogonId"] == logon.data["TargetLogonId"]
    assert installed.data["ServiceFileName"] == system.data["ImagePath"]
    assert not find(made, 5140, installed.host)
    commands = find(made, 4688, installed.host, SubjectLogonId=0x3E7)
    in_order(logon, installed, *commands)
    assert commands[0].data["ParentProcessName"].endswith("services.exe")
    assert made.hops[-1]["means"] == "service"


def test_wmi():
    made = night("wmi")
    at = foothold(made)
    used = find(made, 4648, at.host, TargetUserName="adm-david")
    server = used[0].data["TargetServerName"].partition(".")[0]
    full = f"{server}.larch.example"
    assert [row.data["TargetInfo"] for row in used] == [f"RPCSS/{full}", f"host/{full}", full]
    assert {row.data["SubjectLogonId"] for row in used} <= at.ids
    ticket = one(made, 4769, LogonGuid=used[0].data["TargetLogonGuid"])
    assert used[1].data["TargetLogonGuid"] == used[0].data["TargetLogonGuid"] != ZERO_GUID
    assert used[2].data["TargetLogonGuid"] == ZERO_GUID
    logons = network_logon(made, server, "adm-david", IpAddress=at.address)
    assert sorted(row.data["AuthenticationPackageName"] for row in logons) == ["Kerberos", "Kerberos", "NTLM"]
    last = logons[-1]
    provider = one(made, 4688, server, SubjectLogonId=0x3E7)
    assert provider.data["NewProcessName"].endswith("WmiPrvSE.exe")
    assert provider.data["TargetLogonId"] == 0x3E4
    program = one(made, 4688, server, SubjectLogonId=0x3E4)
    assert program.data["ParentProcessName"].endswith("WmiPrvSE.exe")
    assert (program.data["TargetLogonId"], program.data["TargetUserName"]) == (last.data["TargetLogonId"], "adm-david")
    inside = find(made, 4688, server, SubjectLogonId=last.data["TargetLogonId"])
    assert len(inside) == 2
    in_order(ticket, *used, *logons, provider, program, *inside)
    own = one(made, 4624, server, TargetUserName=at.person)
    assert own.data["AuthenticationPackageName"] == "Kerberos"
    hops = [(hop["from_session"], hop["means"], hop["credential"]) for hop in made.hops[1:]]
    assert sorted(hops) == [(at.number, "wmi", "same")] + [(at.number, "wmi", "stolen")] * 3


def test_winrm():
    made = night("winrm")
    at = foothold(made)
    used = find(made, 4648, at.host, TargetUserName="adm-david")
    (server,) = {row.data["TargetServerName"] for row in used}
    assert {row.data["TargetInfo"] for row in used} == {f"HTTP/{server}"}
    ticket = one(made, 4769, LogonGuid=used[0].data["TargetLogonGuid"], ServiceName=f"{server}$")
    assert ticket.data["IpAddress"] == f"::ffff:{at.address}"
    assert [row.data["TargetLogonGuid"] for row in used[1:]] == [ZERO_GUID] * 2
    logons = network_logon(made, server, "adm-david")
    assert len(logons) == 3
    for row in logons:
        assert (row.data["IpAddress"], row.data["IpPort"], row.data["WorkstationName"]) == ("-", "-", "-")
        assert (row.data["AuthenticationPackageName"], row.data["TargetDomainName"]) == ("Kerberos", "LARCH.EXAMPLE")
        found = session(made, server, row.data["TargetLogonId"])
        assert (found["source_address"], found["opened_by"]) == (at.address, "winrm")
    assert len({row.data["LogonGuid"] for row in logons}) == 1
    shell = one(made, 4688, server, SubjectLogonId=0x3E7)
    assert shell.data["NewProcessName"].endswith("wsmprovhost.exe")
    assert shell.data["TargetLogonId"] == logons[0].data["TargetLogonId"]
    inside = find(made, 4688, server, SubjectLogonId=logons[0].data["TargetLogonId"])
    assert len(inside) == 3
    ends = [one(made, 4634, server, TargetLogonId=row.data["TargetLogonId"]) for row in logons]
    in_order(ticket, used[0], logons[0], shell, *inside, ends[0])
    assert ends[0].time - ends[-1].time < SECOND
    assert [(hop["from_session"], hop["means"], hop["credential"]) for hop in made.hops[1:]] == [
        (at.number, "winrm", "stolen")
    ] * 3


def test_insider():
    made = night("insider")
    (desktop,) = (each for each in made.sessions if each["logon_type"] == 10)
    host = desktop["host"].partition(".")[0].upper()
    assert made.company.person(desktop["person"]).host.name == host
    assert 2 <= desktop["start_time"].hour < 4
    assert desktop["source_host"].startswith("HOME-")
    gate = one(made, 4624, host, LogonType=3)
    assert (gate.data["IpAddress"], gate.data["AuthenticationPackageName"]) == (desktop["source_address"], "NTLM")
    shares = find(made, 5140, "FS01", SubjectUserName=desktop["person"])
    assert {row.data["ShareName"].rpartition("\\")[2] for row in shares} == {"Dev", "Finance", "HR", "IT", "Sales"}
    assert len(find(made, 5145, "FS01", SubjectUserName=desktop["person"])) == 15
    logons = find(made, 4624, "FS01", TargetUserName=desktop["person"], LogonType=3)
    assert [row.data["TargetLogonId"] for row in logons] == [row.data["SubjectLogonId"] for row in shares]
    assert [(hop["from_session"], hop["means"], hop["credential"]) for hop in made.hops] == [
        (None, "remote_desktop", "same"),
        *[(desktop["session"], "share", "same")] * 5,
    ]
    assert not [row for row in made.rows if row.data.get("IpAddress") == OUTSIDE]


def test_two_attacks_do_not_share_a_desktop():
    """Who has a desktop on a host gets that one again: a second attack takes another host."""
    made = play("stolen_service", twice=True)
    reached = [
        (each["host"], each["account"])
        for each in made.sessions
        if each["logon_type"] == 10 and each["source_address"] != OUTSIDE
    ]
    assert len(set(reached)) == 2
