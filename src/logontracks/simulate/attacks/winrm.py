"""A PowerShell session on a server by way of WinRM."""

from logontracks.simulate import records
from logontracks.simulate.attacks import stage
from logontracks.simulate.cast import Company
from logontracks.simulate.host import MILLISECOND, MINUTE, SECOND, ZERO_GUID, Account, Host, Session
from logontracks.simulate.kerberos import ServiceTicket
from logontracks.simulate.network import spaced
from logontracks.simulate.records import KERBEROS

_HOSTS_SHELLS = rf"{records.SYSTEM32}\wsmprovhost.exe"


def hop(company: Company, start: int) -> None:
    """Kerberos logons without an address, so that where they come from stands only in the 4769 and the 4648.

    Workstation: 4648 for HTTP/SERVER by the program that asks, with the LogonGuid of the 4769; two more without GUID,
    two seconds later. Server: 4672 and 4624 type 3 with "-" as address, wsmprovhost started by the system in that
    session, more logons with one LogonGuid, and all of them over within a moment when the shell is closed:
    otrf-multihost-json/covenant_psremoting_command.zip, MORDORDC 444816 and 444818, WORKSTATION5 114402 to 114416,
    WORKSTATION6 134878 to 135249; the shell's own programs: purplesharp_ad_playbook_I.zip, WORKSTATION6 111675, and
    the ends 111983 to 111985.
    """
    net = company.net
    foothold = stage.enter(company, start)
    client, admin = foothold.host, stage.administrator(company, start)
    server = stage.server(company, start)
    at = stage.later(company, foothold.moment, 20, 60)
    foothold.run(at, stage.POWERSHELL)
    at = stage.later(company, at, 5, 20)
    net.sign_in(at - 9 * MILLISECOND, admin, client, spelling=net.domain.dns)
    ticket = net.service_ticket(at - 4 * MILLISECOND, admin, client, server.account, fresh=True)
    _use_password(foothold.session, at, admin, server, ticket.guid)
    first, moment = _log_on(server, spaced(server, at, 8, 30), admin, client, ticket)
    company.truth.hop(first.opened, foothold.session, first, "winrm", "stolen")
    moment = spaced(server, moment, 90, 200)
    command = r"C:\Windows\system32\wsmprovhost.exe -Embedding"
    stage.started_for(server, moment, server.system, first, _HOSTS_SHELLS, parent=stage.SVCHOST, command_line=command)
    sessions = [first]
    for _ in range(2):
        moment = spaced(server, moment, 300, 1900)
        _use_password(foothold.session, moment - 9 * MILLISECOND, admin, server, ZERO_GUID)
        session, moment = _log_on(server, moment, admin, client, ticket)
        company.truth.hop(session.opened, foothold.session, session, "winrm", "stolen")
        sessions.append(session)
    for command in ("whoami.exe", "net.exe", "powershell.exe"):
        moment = stage.later(company, moment, 3, 40)
        path = stage.POWERSHELL if command == "powershell.exe" else rf"{records.SYSTEM32}\{command}"
        records.process_started(server, moment, first, path, parent=_HOSTS_SHELLS, command_line=command)
    moment += company.rng.randint(60, 200) * SECOND
    for session in reversed(sessions):
        records.logoff(server, moment, session)
        moment = spaced(server, moment)
    foothold.leave(moment + 3 * MINUTE)


def _use_password(by: Session, moment: int, account: Account, server: Host, guid: str) -> None:
    caller = {"ProcessId": by.host.pid("explorer", moment) + 1404, "ProcessName": stage.POWERSHELL}
    records.explicit_credentials(
        by.host, moment, by, account, caller, server=server.name, service=f"HTTP/{server.name}", guid=guid
    )


def _log_on(server: Host, moment: int, account: Account, client: Host, ticket: ServiceTicket) -> tuple[Session, int]:
    session = server.open(account, 3, moment, guid=ticket.server_guid, source=client, opened_by="winrm")
    server.truth.used(ticket.told, session)
    records.privileges(server, moment, session)
    at = spaced(server, moment, 0.05, 0.2)
    records.logon(server, at, session, KERBEROS, elevated=True, activity=True, domain=account.realm)
    return session, at
