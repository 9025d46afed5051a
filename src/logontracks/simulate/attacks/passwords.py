"""Attacks on passwords: one password for many accounts, and many passwords for one."""

from logontracks.simulate import desktop as desk
from logontracks.simulate import records
from logontracks.simulate.attacks import stage
from logontracks.simulate.cast import Company
from logontracks.simulate.host import MILLISECOND, MINUTE, SECOND, Account
from logontracks.simulate.kerberos import WRONG_PASSWORD
from logontracks.simulate.network import Files, refused_ntlm, spaced, visit_ntlm
from logontracks.simulate.records import IPC, Caller, Style

_TOOL = r"C:\Users\Public\Downloads\dompass.exe"
_NAMES = 1000  # at most, of a large company
_ROUNDS, _TRIES = 6, 4  # fewer tries in a quarter of an hour than lock an account out


def spray(company: Company, start: int) -> None:
    """A program calls LogonUser for each account of the domain, all within a second or two.

    Each try is a 4776 with the workstation's name at its controller and a 4625 type 2 on the workstation itself, whose
    subject is the desktop's session: otrf-multihost-json/purplesharp_ad_playbook_I.zip, MORDORDC 537223 to 537251 and
    WORKSTATION5 134058 to 134064; the process is WORKSTATION5 133981.
    """
    foothold = stage.enter(company, start)
    host, session = foothold.host, foothold.elevated
    controller = company.net.controller_for(host, start)
    at = stage.later(company, foothold.moment, 2, 5)
    foothold.run(at, _TOOL)
    style = Style("Advapi  ", "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0", Caller(_TOOL, "explorer"))
    at += SECOND
    for account in stage.shuffled(company, company.accounts.values())[:_NAMES]:
        at = spaced(host, at, 15, 90)
        typed = Account(account.name, account.sid, company.net.domain.dns)
        with company.truth.attempt(at, typed, host, source=None, logon_type=2, reason="wrong_password"):
            company.net.check_password(at, account.name, host.name, controller, WRONG_PASSWORD)
            records.failed_logon(
                host,
                spaced(host, at, 1, 9),
                typed,
                2,
                style,
                by=session,
                status=0xC000006D,
                sub_status=WRONG_PASSWORD,
                reason="%%2313",
                workstation=host.name,
                address="-",
                port="-",
            )
    foothold.leave(at + 6 * MINUTE)


def spray_shares(company: Company, start: int) -> None:
    """A share of a server is opened as one account after another, a second apart; the last password is right.

    On the workstation a 4648 each, by the kernel and for port 445 of the server, whether it succeeds or not:
    evtx-deepbluecli/password-spray.evtx 42804 to 42814. On the server a 4625 type 3 with the workstation's name and
    address: host-belkasoft-win10-domain-member/Security.evtx 910 to 914. At the controller a 4776.
    """
    net = company.net
    foothold = stage.enter(company, start)
    host = foothold.host
    server = stage.server(company, start)
    weak, *others = stage.shuffled(company, (person.account for person in company.people.values()))[:_NAMES]
    if not others:
        raise ValueError("the company has nobody else whose password could be tried")
    if weak == foothold.person.account:
        weak, others[0] = others[0], weak
    at = stage.later(company, foothold.moment, 40, 90)
    for account in [*others, weak]:
        at += company.rng.randint(1020, 1110) * MILLISECOND
        caller = {"ProcessId": 4, "ProcessName": ""}
        records.explicit_credentials(
            host,
            at,
            foothold.session,
            account,
            caller,
            server=server.fqdn,
            service=server.fqdn,
            address=server.address,
            port=445,
        )
        if account is not weak:
            refused_ntlm(net, spaced(host, at, 2, 9), account, host, server)
    visit_ntlm(
        net,
        spaced(host, at, 2, 9),
        weak,
        host,
        server,
        shares=[Files(IPC)],
        stay=12 * SECOND,
        by=foothold.session,
        credential="stolen",
    )
    foothold.leave(at + 9 * MINUTE)


def guess(company: Company, start: int) -> None:
    """A machine outside tries passwords of one account, four in a quarter of an hour, and one is right.

    The account is that of somebody who is not there, on their workstation; else an administrator's, on a server.

    Each wrong one is a 4625 type 3 by NTLM (remote desktop asks over the network first) that names the machine, and
    the right one is followed by a desktop: host-belkasoft-win10-domain-member/Security.evtx 910 to 914 and
    incident-velociraptor-rdp-dc/RDPAuth_Security.evtx 506483 to 506512.
    """
    rng = company.rng
    absent = stage.all_absent(company, start)
    if absent:
        person = rng.choice(absent)
        account, host, split = person.account, person.host, person.split
    else:
        account, split = stage.administrator(company, start), True
        host = stage.server(company, start, without=account)
    at = start
    for _ in range(_ROUNDS):
        moment = at
        for _ in range(_TRIES):
            moment += rng.randint(3 * SECOND, 14 * SECOND)
            refused_ntlm(company.net, moment, account, company.attacker, host)
        at += 15 * MINUTE + rng.randint(0, 20 * SECOND)
    desktop = stage.break_in(company, at, account, host, split=split)
    moment = desktop.session.opened + 9 * SECOND
    records.process_started(host, moment, desktop.session, stage.CMD, parent=stage.EXPLORER)
    desk.log_off(desktop, at + 8 * MINUTE)
