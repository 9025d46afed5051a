"""The night of the week in which Anna's stolen password is used: from outside to WKS-101, to APP01, to DC02."""

from collections.abc import Iterator

from logontracks.simulate import desktop as desk
from logontracks.simulate import rdp, records
from logontracks.simulate.cast import Company
from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Account, Host, Session
from logontracks.simulate.network import Files, refused_ntlm, spaced, visit
from logontracks.simulate.records import ADMIN, ADVAPI_SERVICES, DRIVE_C, IPC, WRITE, Caller, Style
from logontracks.simulate.templates import EVENTLOG

NAME = "stolen_passwords"
STORY = (
    "In the night to Thursday somebody at 203.0.113.57, on a machine that calls itself DESKTOP-7QK3V1H, guesses two "
    "user names and then logs on to WKS-101 by RDP with the password of anna.berg (02:11 UTC). From there they read a "
    "backup script on FS01 and find the password of svc-backup in it, use it to install a service on APP01 (02:26), "
    "take the password of adm-david from his disconnected session there, open C$ on DC02 with it and copy the "
    "directory's database by way of another service (02:43). At 02:57 they clear the Security log of APP01; what it "
    "held about logons survives in the forwarded events on FS01. At 03:04 they log off."
)

_CMD = rf"{records.SYSTEM32}\cmd.exe"


def intrude(company: Company, monday: int) -> None:
    """The whole night, in order."""
    with company.truth.attack(NAME):
        _intrude(company, monday)


def _intrude(company: Company, monday: int) -> None:
    midnight = monday + 3 * DAY

    def at(hour: int, minute: int, second: int) -> int:
        return midnight + hour * HOUR + minute * MINUTE + second * SECOND + company.rng.randrange(SECOND)

    first = _enter(company, at(2, 3, 12), at(2, 11, 40))
    for moment, program in zip(
        (at(2, 13, 5), at(2, 13, 40), at(2, 14, 22)), ("whoami.exe", "net.exe", "nltest.exe"), strict=True
    ):
        path = rf"{records.SYSTEM32}\{program}"
        records.process_started(first.host, moment, first.session, path, parent=_CMD)
    _read_script(company, first, at(2, 19, 3))
    second = _take_application_server(company, first, at(2, 26, 17))
    _take_controller(company, second, at(2, 43, 29))
    clear_log(company.hosts["APP01"], at(2, 57, 8), second)
    desk.close(company.hosts["APP01"], at(3, 1, 44), second)
    desk.log_off(first, at(3, 4, 10))


def _enter(company: Company, guesses: int, moment: int) -> Desktop:
    """Two names that do not exist, then Anna's password: NTLM at the gate, a desktop of her own."""
    net, attacker, host = company.net, company.attacker, company.hosts["WKS-101"]
    for number, name in enumerate(("aberg", "anna")):
        nobody = Account(name, "S-1-0-0", net.domain.netbios, net.domain.realm)
        refused_ntlm(net, guesses + number * 47 * SECOND, nobody, attacker, host, unknown=True)
    anna = company.accounts["anna.berg"]
    return rdp.connect(net, moment, anna, attacker, host, split=False, kerberos=False, credential="stolen")


def _read_script(company: Company, first: Desktop, moment: int) -> None:
    """The script of the nightly backup, readable by all, with a password in it."""
    script = Files(company.person("david.engel").files.share, ["\\", "scripts", "scripts\\nightly-backup.cmd"])
    visit(
        company.net,
        moment,
        company.accounts["anna.berg"],
        company.hosts["WKS-101"],
        company.hosts["FS01"],
        shares=[script],
        stay=40 * SECOND,
        by=first.session,
    )


def _take_application_server(company: Company, first: Desktop, moment: int) -> Session:
    """As PsExec does it with another account's password: a network logon, a service, a logon made by that service."""
    net, host = company.net, company.hosts["APP01"]
    backup = company.accounts["svc-backup"]
    network = _install_remotely(
        company, moment, first.host, first.session, host, account=backup, name="PSEXESVC", program="PSEXESVC.exe"
    )
    caller = Caller(r"C:\Windows\PSEXESVC.exe", "services")
    style = Style(ADVAPI_SERVICES.process, ADVAPI_SERVICES.package, caller)
    at = moment + 3 * SECOND
    session, at = desk.log_on(
        net, at, backup, host, 2, split=False, style=style, address="-", privileged=True, joins=False
    )
    session.opened_by = "application"
    company.truth.hop(session.opened, network, session, "psexec")
    for command in ("cmd.exe", "query user", r"C:\Windows\Temp\ps64.exe -ma lsass.exe"):
        path = r"C:\Windows\Temp\ps64.exe" if "ps64" in command else _CMD
        records.process_started(host, at, session, path, parent=caller.path, command_line=command)
        at += 4 * MINUTE
    return session


def _take_controller(company: Company, by: Session, moment: int) -> None:
    """The same once more, with the password of a domain administrator, from APP01 to DC02."""
    controller = company.hosts["DC02"]
    admin = company.accounts["adm-david"]
    snapshot = "%COMSPEC% /c vssadmin create shadow /for=C: > C:\\Windows\\Temp\\s.log"
    _install_remotely(
        company, moment, company.hosts["APP01"], by, controller, account=admin, name="WinSyncSvc", program=snapshot
    )
    loot = Files(DRIVE_C, ["Windows\\Temp\\s.log", "Windows\\Temp\\n.dit", "Windows\\Temp\\s.hiv"])
    visit(
        company.net,
        moment + 4 * MINUTE,
        admin,
        company.hosts["APP01"],
        controller,
        privileged=True,
        shares=[loot],
        stay=70 * SECOND,
        by=by,
        credential="stolen",
    )


def _install_remotely(
    company: Company,
    moment: int,
    client: Host,
    by: Session,
    host: Host,
    *,
    account: Account,
    name: str,
    program: str,
) -> Session:
    """Explicit credentials on the client; on the server a privileged type 3 logon, its shares, and a new service."""
    net = company.net
    desk.remote_credentials(net, moment, client, by, account=account, server=host, service="cifs")
    shares = [
        Files(IPC),
        Files(ADMIN, [program] if program.endswith(".exe") else ["Temp"], WRITE),
        Files(IPC, ["svcctl"], records.OPEN_PIPE),
    ]
    session = visit(
        net,
        moment + 30 * MILLISECOND,
        account,
        client,
        host,
        privileged=True,
        shares=shares,
        stay=75 * SECOND,
        by=by,
        means="psexec",
        credential="stolen",
    )
    path = program if program.startswith("%") else rf"%SystemRoot%\{program}"
    at = spaced(host, moment, 2200, 2600)
    records.service_installed(host, at, session, name, path)
    for command in _commands(program):
        at = spaced(host, at, 20, 90)
        image = command if command.endswith(".exe") else _CMD
        services = rf"{records.SYSTEM32}\services.exe"
        records.process_started(host, at, host.system, image, parent=services, command_line=command)
    return session


def _commands(program: str) -> Iterator[str]:
    yield program.replace("%COMSPEC%", _CMD) if program.startswith("%") else rf"C:\Windows\{program}"


def clear_log(host: Host, moment: int, by: Session) -> None:
    """1102: the first record of what is left of the log."""
    values = {
        **records.subject(by),
        "ClientProcessId": 4 * host.rng.randint(900, 2000),
        "ClientProcessStartKey": 1407374883553300,
    }
    host.log(1102, moment, values, provider=EVENTLOG, process="eventlog")
