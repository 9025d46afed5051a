"""Attacks by remote desktop: from host to host, and with an account that no person should use there."""

from logontracks.simulate import desktop as desk
from logontracks.simulate import rdp, records
from logontracks.simulate.attacks import stage
from logontracks.simulate.cast import Company
from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import MINUTE, SECOND, Account, Host, Session


def over_three_hosts(company: Company, start: int) -> None:
    """From a workstation, as its owner, on to a server as an administrator, and on to a controller.

    On each host that they leave a 4648 by mstsc for TERMSRV of the next one, whose TargetLogonGuid is that of the
    4769; on each that they reach a network logon, 1149, and the type 10 logon: domain.md, (g), as
    incident-velociraptor-rdp-dc/RDPAuth_Security.evtx 506483 to 506512 and RDPAuth_RemoteConnectionManager.evtx. The
    4648: ground-truth-text/user_tracking_successful_logins.md, "RDP Login".
    """
    first = stage.enter(company, start)
    admin = stage.administrator(company, start)
    server = stage.server(company, start, without=admin)
    controller = stage.controller(company, start, without=admin)
    at = stage.later(company, first.moment, 90, 240)
    second = _onward(company, at, first.session, admin, server, credential="switch")
    at = stage.later(company, at, 200, 500)
    third = _onward(company, at, second.session, admin, controller, credential="same")
    for desktop in (third, second):
        at = stage.later(company, at, 250, 700)
        desk.log_off(desktop, at)
    first.leave(stage.later(company, at, 60, 240))


def as_service(company: Company, start: int) -> None:
    """A service account, which only ever logs on by type 4 or 5 or over the network, has a desktop on a server."""
    foothold = stage.enter(company, start)
    account = stage.services(company, start)[0]
    server = stage.server(company, start, without=account)
    at = stage.later(company, foothold.moment, 30, 120)
    desktop = _onward(company, at, foothold.session, account, server, credential="stolen")
    at = stage.later(company, at, 400, 900)
    desk.log_off(desktop, at)
    foothold.leave(at + 3 * MINUTE)


def _onward(company: Company, moment: int, by: Session, account: Account, host: Host, *, credential: str) -> Desktop:
    """From a session on one host to a desktop on the next, where some programs are looked at."""
    net, client = company.net, by.host
    desk.remote_credentials(net, moment - 2 * SECOND, client, by, account=account, server=host, service="TERMSRV")
    desktop = rdp.connect(net, moment, account, client, host, split=True, by=by, credential=credential)
    at = desktop.session.opened + 10 * SECOND
    for program in ("cmd.exe", "whoami.exe", "nltest.exe"):
        path = rf"{records.SYSTEM32}\{program}"
        records.process_started(host, at, desktop.session, path, parent=stage.EXPLORER)
        at = stage.later(company, at, 4, 20)
    return desktop
