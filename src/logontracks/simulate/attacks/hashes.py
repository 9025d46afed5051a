"""Attacks with the hash of a password: as it is by NTLM, or for a ticket."""

from logontracks.simulate import records
from logontracks.simulate.attacks import stage
from logontracks.simulate.attacks.stage import Foothold
from logontracks.simulate.cast import Company
from logontracks.simulate.host import MILLISECOND, MINUTE, SECOND, Account, Session
from logontracks.simulate.kerberos import RC4
from logontracks.simulate.network import Files, spaced, visit, visit_ntlm
from logontracks.simulate.records import ADMIN, DRIVE_C, IPC, READ, SECLOGO

_TOOL = r"C:\Users\Public\Downloads\pth64.exe"


def pass_the_hash(company: Company, start: int) -> None:
    """A session for other credentials on the workstation, then C$ of a server by NTLM.

    On the server it is like any NTLM logon of that account, from a workstation that it does not use (`borrow` has the
    workstation's side): a 4776 at the controller, then 4672, 4624 and 5140 as in
    evtx-attack-samples/LM_ScheduledTask_ATSVC_target_host.evtx 566828 to 566831.
    """
    foothold = stage.enter(company, start)
    admin = stage.administrator(company, start)
    server = stage.server(company, start)
    borrowed, at = borrow(company, foothold, admin)
    shares = [Files(IPC), Files(DRIVE_C, ["Users", "Windows\\Temp\\inv.txt"], READ)]
    visit_ntlm(
        company.net,
        at,
        admin,
        foothold.host,
        server,
        privileged=True,
        shares=shares,
        stay=90 * SECOND,
        by=borrowed,
        credential="stolen",
    )
    foothold.leave(at + 7 * MINUTE)


def overpass_the_hash(company: Company, start: int) -> None:
    """The same session buys a ticket with the hash instead: RC4, where all others of the domain have AES.

    Then tickets for services and logons by Kerberos as ever. The workstation's side as in `borrow`; the 4768 with
    encryption type 0x17: evtx-yamato/T1558.003_..._Security.evtx 38680 (whose options are those of another tool; this
    one leaves it to Windows to ask, which asks with 0x40810010 as in all 114 other 4768 of the logs).
    """
    net = company.net
    foothold = stage.enter(company, start)
    admin = stage.administrator(company, start)
    server = stage.server(company, start)
    borrowed, at = borrow(company, foothold, admin)
    net.sign_in(at, admin, foothold.host, spelling=net.domain.dns, encryption=RC4)
    for host, share in ((stage.controller(company, start), IPC), (server, ADMIN)):
        at = stage.later(company, at, 4, 30)
        visit(
            net,
            at,
            admin,
            foothold.host,
            host,
            privileged=True,
            shares=[Files(share)],
            stay=40 * SECOND,
            fresh=True,
            by=borrowed,
            credential="stolen",
        )
    foothold.leave(at + 7 * MINUTE)


def borrow(company: Company, foothold: Foothold, admin: Account) -> tuple[Session, int]:
    """A new session of the person themselves that is somebody else on the network, and the moment after.

    A 4624 type 9 by seclogo with the name of that somebody as outbound user, its 4672 right after it, no 4648 and no
    end: otrf-multihost-json/empire_mimikatz_opth.tar.gz, IT001 1014615 and 1014617;
    evtx-attack-samples/LM_4624_mimikatz_sekurlsa_pth_source_machine.evtx 432903 to 432905 (the program after it).
    """
    host = foothold.host
    at = stage.later(company, foothold.moment, 20, 70)
    foothold.run(at, _TOOL)
    at = stage.later(company, at, 1, 4)
    session = host.open(foothold.session.account, 9, at)
    records.logon(
        host,
        at,
        session,
        SECLOGO,
        elevated=True,
        by=foothold.elevated,
        address="::1",
        port=0,
        outbound=admin,
    )
    at = spaced(host, at)
    records.privileges(host, at, session)
    company.truth.hop(session.opened, foothold.elevated, session, "runas", "stolen")
    at += 40 * MILLISECOND
    records.process_started(host, at, session, stage.CMD, parent=_TOOL, elevated=True)
    return session, stage.later(company, at, 9, 40)
