"""PsExec and its like: a program copied to a server's ADMIN$ and started there as a service."""

from logontracks.simulate import desktop as desk
from logontracks.simulate import records
from logontracks.simulate.attacks import stage
from logontracks.simulate.attacks.stage import Foothold
from logontracks.simulate.cast import Company
from logontracks.simulate.host import MILLISECOND, MINUTE, SECOND, Host, Session
from logontracks.simulate.network import Files, spaced, visit
from logontracks.simulate.records import ADMIN, ADVAPI_SERVICES, IPC, OPEN_PIPE, WRITE, Caller, Style

_TOOL = r"C:\Users\Public\Downloads\PsExec64.exe"
_NAME, _PROGRAM = "PSEXESVC", "PSEXESVC.exe"
_PATH = rf"C:\Windows\{_PROGRAM}"
_SERVICES = rf"{records.SYSTEM32}\services.exe"


def as_system(company: Company, start: int) -> None:
    """The service works as SYSTEM: on the server no logon but those over the network."""
    foothold, server, _, at = _install(company, start)
    _run(server, at, server.system, ("cmd.exe", "whoami", "hostname"))
    foothold.leave(at + 8 * MINUTE)


def as_user(company: Company, start: int) -> None:
    """With -u and -p the service itself logs the account on: 4648 and 4624 type 2 whose process is the service.

    No record of that is in the logs at hand; it is the form of CreateProcessWithLogonW's kin, as in the demo's own
    intrusion. The password given stands open in the command line: evtx-mitre-offsec.lan/ID4688,4697,5140-5145_PSexec
    349355.
    """
    foothold, server, network, at = _install(company, start)
    style = Style(ADVAPI_SERVICES.process, ADVAPI_SERVICES.package, Caller(_PATH, "services"))
    session, at = desk.log_on(
        company.net,
        at,
        network.account,
        server,
        2,
        split=False,
        style=style,
        address="-",
        privileged=True,
        joins=False,
    )
    session.opened_by = "application"
    company.truth.hop(session.opened, network, session, "psexec")
    _run(server, at, session, ("cmd.exe", "whoami", "query user"))
    desk.close(server, at + 5 * MINUTE, session)
    foothold.leave(at + 8 * MINUTE)


def by_command(company: Company, start: int) -> None:
    """No program is copied and no share opened: the service is a command, which the service manager gives up on.

    One network logon, 4697 by it and 7045, the command as a child of services.exe, and SYSTEM's from there on:
    otrf-multihost-json/empire_psexec_dcerpc_tcp_svcctl.zip, WORKSTATION6 717707 to 717727, 717965, System 1075.
    """
    foothold = stage.enter(company, start)
    admin, server = stage.administrator(company, start), stage.server(company, start)
    at = stage.later(company, foothold.moment, 20, 80)
    desk.remote_credentials(
        company.net, at, foothold.host, foothold.session, account=admin, server=server, service="cifs"
    )
    session = visit(
        company.net,
        at,
        admin,
        foothold.host,
        server,
        privileged=True,
        stay=54 * SECOND,
        by=foothold.session,
        means="service",
        credential="stolen",
    )
    at = spaced(server, session.opened, 60, 300)
    command = "/C start /b powershell.exe -noP -sta -w 1"
    records.service_installed(server, at, session, "Updater", f"%COMSPEC% {command}")
    at = spaced(server, at, 10, 30)
    records.process_started(
        server, at, server.system, stage.CMD, parent=_SERVICES, command_line=f"{stage.CMD} {command}"
    )
    at = spaced(server, at, 20, 60)
    records.process_started(server, at, server.system, stage.POWERSHELL, parent=stage.CMD)
    foothold.leave(at + 8 * MINUTE)


def _install(company: Company, start: int) -> tuple[Foothold, Host, Session, int]:
    """The workstation's and the network's share of it; gives the first network session and the moment after.

    Five network logons by one ticket within 20 ms, ADMIN$ and the program written there, the service made by the last
    session (4697 and, in the System log, 7045), the program started by the system, then its pipes, all in the first
    session: evtx-mitre-offsec.lan/ID4688,4697,5140-5145_PSexec_remote_execution_+_admin_share.evtx 349321 to 349355.
    The 4648 on the workstation: evtx-deepbluecli/password-spray.evtx 42804 (the kernel's, port 445); 7045 of such a
    service: otrf-multihost-json/empire_psexec_dcerpc_tcp_svcctl.zip, System 1075 of WORKSTATION6.
    """
    net = company.net
    foothold = stage.enter(company, start)
    client, admin = foothold.host, stage.administrator(company, start)
    server = stage.server(company, start)
    at = stage.later(company, foothold.moment, 20, 80)
    command = rf"PsExec64.exe \\{server.name} -u {admin.domain}\{admin.name} -p Larch-2026! cmd.exe"
    foothold.run(at, _TOOL, command)
    at += 300 * MILLISECOND
    desk.remote_credentials(net, at, client, foothold.session, account=admin, server=server, service="cifs")
    sessions = []
    for number in range(5):
        at = spaced(server, at, 1, 6)
        shares = [] if number else [Files(ADMIN, [_PROGRAM, _PROGRAM], WRITE)]
        stay = company.rng.randint(55, 75) * SECOND
        session = visit(
            net,
            at,
            admin,
            client,
            server,
            privileged=True,
            shares=shares,
            stay=stay,
            by=foothold.session,
            means="psexec",
            credential="stolen",
        )
        sessions.append(session)
    first, last = sessions[0], sessions[-1]
    at = max(session.opened for session in sessions) + company.rng.randint(2000, 2600) * MILLISECOND
    records.service_installed(server, at, last, _NAME, rf"%SystemRoot%\{_PROGRAM}")
    at = spaced(server, at, 2, 5)
    records.process_started(server, at, server.system, _PATH, parent=_SERVICES, command_line=_PATH)
    at = _open_pipes(server, spaced(server, at, 90, 160), first, client)
    return foothold, server, first, spaced(server, at, 5, 30)


def _open_pipes(server: Host, moment: int, session: Session, client: Host) -> int:
    """The service's pipes: one for commands, three for the program's input and output, over other connections."""
    records.share_opened(server, moment, session, IPC, (client.address, client.port()))
    names = [f"{_NAME}-{client.name}-{server.rng.randint(900, 9000)}-{end}" for end in ("stdin", "stdout", "stderr")]
    for name in (_NAME, *names):
        moment = spaced(server, moment, 0.4, 12)
        file = (client.address, client.port())
        records.share_file(server, moment, session, IPC, file=name, client=file, mask=OPEN_PIPE)
    return moment


def _run(server: Host, moment: int, session: Session, commands: tuple[str, ...]) -> None:
    parent = _PATH
    for command in commands:
        name = command.partition(" ")[0].removesuffix(".exe")
        path = rf"{records.SYSTEM32}\{name}.exe"
        records.process_started(server, moment, session, path, parent=parent, command_line=command)
        moment, parent = spaced(server, moment, 3000, 9000), stage.CMD
