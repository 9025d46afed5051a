"""What goes on in a company beside people at their desks: administrators on servers, services, tasks, devices, a kiosk.

Each is an iterator of moments, as a life is (people.py).
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from logontracks.simulate import desktop as desk
from logontracks.simulate import power, rdp, records
from logontracks.simulate.cast import Company
from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    NETWORK_SERVICE,
    SECOND,
    SYSTEM,
    Account,
    Host,
    Outsider,
    Session,
)
from logontracks.simulate.network import DISABLED, Files, refused_ntlm, spaced, visit, visit_ntlm
from logontracks.simulate.offline import log_on_local
from logontracks.simulate.people import EXPLORER, UPDATE, Life, help_out
from logontracks.simulate.records import ADVAPI_SERVICES, ADVAPI_SVCHOST, WRITE, Share

_TOOLS = ("mmc.exe", "eventvwr.exe", "cmd.exe", "Taskmgr.exe")
_NIGHTLY = 22 * HOUR + 30 * MINUTE


@dataclass(frozen=True, slots=True)
class Span:
    """So many days from a midnight on."""

    begin: int
    days: int

    @property
    def end(self) -> int:
        return self.begin + self.days * DAY

    def midnights(self) -> Iterator[int]:
        return iter(range(self.begin, self.end, DAY))


# --- administrators -------------------------------------------------------------------------------------------------


def administer(life: Life, servers: Sequence[Host], span: Span, rng: Random) -> Iterator[int]:
    """Once or twice a working day an administrator opens a server by RDP; some sessions are left, and taken up later.

    The sequence of records is that of domain.md 3(g).
    """
    left: dict[str, Desktop] = {}
    for midnight in span.midnights():
        begin = midnight + life.person.arrives + rng.randint(30, 90) * MINUTE
        for _ in range(rng.randint(1, 2)):
            yield begin
            server = rng.choice(servers)
            if life.desktop and server.is_up(begin):
                begin = yield from _visit_server(life, server, begin, left, rng)
            begin += rng.randint(40, 150) * MINUTE


def _visit_server(
    life: Life, server: Host, moment: int, left: dict[str, Desktop], rng: Random
) -> Generator[int, None, int]:
    company, net, client = life.company, life.net, life.host
    by = life.desktop.session if life.desktop else None
    admin = life.person.admin
    if admin is None or by is None:
        raise ValueError(f"{life.person.account.name} cannot administer")
    desktop = left.pop(server.name, None)
    at = moment - 2 * SECOND
    desk.remote_credentials(net, at, client, by, account=admin, server=server, service="TERMSRV")
    if desktop and desktop in company.remotes:
        rdp.reconnect(net, desktop, moment, client, by=by)
    else:
        desktop = rdp.connect(net, moment, admin, client, server, split=True, by=by)
        company.remotes.append(desktop)
    now, end = moment + MINUTE, moment + rng.randint(8, 70) * MINUTE
    while (now := now + rng.randint(30 * SECOND, 400 * SECOND)) < end:
        yield now
        if desktop not in company.remotes or not desktop.connected:
            break
        path = rf"{records.SYSTEM32}\{rng.choice(_TOOLS)}"
        records.process_started(server, now, desktop.session, path, parent=EXPLORER)
    yield max(now, end)
    if desktop in company.remotes:
        if desktop.connected and rng.random() < 0.75:
            company.remotes.remove(desktop)
            desk.log_off(desktop, max(now, end))
        else:
            left[server.name] = desktop
            if desktop.connected:
                rdp.disconnect(desktop, max(now, end), reason=rng.choice((0, 11)))
    return max(now, end)


def answer_calls(company: Company, helpers: Sequence[Life], lives: Sequence[Life], span: Span) -> Iterator[int]:
    """Who is locked out calls an administrator, who unlocks the account a little later."""
    helped: set[str] = set()
    for moment in range(span.begin, span.end, 3 * MINUTE):
        yield moment
        for life in lives:
            name = life.person.account.name
            if life.locked_out_at and name not in helped and moment > life.locked_out_at + 2 * MINUTE:
                helper = next((each for each in helpers if each.desktop and each is not life), None)
                if helper:
                    helped.add(name)
                    help_out(company, helper, life, moment)


def maintain(company: Company, server: Host, moment: int) -> Iterator[int]:
    """A server restarts for updates: whoever is still on it is logged off, and its services log on again."""
    yield moment
    desktops = tuple(desktop for desktop in company.remotes if desktop.host is server)
    for desktop in desktops:
        company.remotes.remove(desktop)
    power.shut_down(server, moment, SYSTEM, desktops=desktops, reason=UPDATE)
    yield moment + 150 * SECOND
    power.boot(company.net, server, moment + 150 * SECOND)
    yield from start_services(company, server, moment + 190 * SECOND)


# --- services and tasks ---------------------------------------------------------------------------------------------


def start_services(company: Company, server: Host, moment: int) -> Iterator[int]:
    """The services of a server log on under their own accounts: type 5, never logged off (surprises.md, Sessions)."""
    for account in company.services.get(server.name, ()):
        moment = spaced(server, moment, 200, 900)
        yield moment
        _log_on_service(company, server, moment, account, 5)


def recycle(company: Company, server: Host, span: Span) -> Iterator[int]:
    """The service of an application starts anew each night."""
    for midnight in span.midnights():
        moment = midnight + 3 * HOUR + server.rng.randint(0, 40) * MINUTE
        yield moment
        if server.is_up(moment):
            yield from start_services(company, server, moment)


def run_tasks(company: Company, server: Host, account: Account, span: Span) -> Iterator[int]:
    """A task every hour or so: type 4, logged off when it is done."""
    rng = server.rng
    moment = span.begin + rng.randint(0, 60) * MINUTE
    while moment < span.end:
        yield moment
        if server.is_up(moment):
            session, at = _log_on_service(company, server, moment, account, 4)
            svchost = rf"{records.SYSTEM32}\svchost.exe"
            records.process_started(server, at, session, rf"{records.SYSTEM32}\cmd.exe", parent=svchost)
            desk.close(server, at + rng.randint(2, 200) * SECOND, session)
        moment += rng.randint(55, 65) * MINUTE


def back_up(company: Company, span: Span) -> Iterator[int]:
    """The nightly task reads all shares of all file servers."""
    account = company.accounts["svc-backup"]
    app = next(host for host in company.net.members if host.name in company.services)
    by_share = {(each.files_at.name, each.files.share.name): each for each in company.people.values()}
    for midnight in span.midnights():
        moment = midnight + _NIGHTLY
        yield moment
        if not app.is_up(moment):
            continue
        session, now = _log_on_service(company, app, moment, account, 4)
        for key in sorted(by_share):
            now += app.rng.randint(30, 300) * SECOND
            yield now
            person = by_share[key]
            if person.files_at.is_up(now):
                stay = app.rng.randint(1, 6) * MINUTE
                shares = [person.files]
                at = person.files_at
                visit(company.net, now, account, app, at, privileged=True, shares=shares, stay=stay, by=session)
        desk.close(app, now + 10 * MINUTE, session)


def _log_on_service(
    company: Company, server: Host, moment: int, account: Account, logon_type: int
) -> tuple[Session, int]:
    style = ADVAPI_SERVICES if logon_type == 5 else ADVAPI_SVCHOST
    return desk.log_on(
        company.net,
        moment,
        account,
        server,
        logon_type,
        split=False,
        style=style,
        address="-",
        privileged=True,
        joins=False,
    )


def manage(company: Company, manager: Outsider, servers: Sequence[Host], span: Span, rng: Random) -> Iterator[int]:
    """A tool that manages servers over WinRM with a password, now and then: many logons in a minute, each for itself.

    The service asks as NETWORK SERVICE (4648), and the type 3 logon names the server as its own client and no address;
    its LogonGuid is that of the 4769: nxlog-json-dc-attackrange T1047_attack_data 220334 to 220344.
    """
    account = company.accounts["svc-manage"]
    for midnight in span.midnights():
        moment = midnight + rng.randint(1, 23) * HOUR
        for server in rng.sample(servers, min(2, len(servers))):
            for _ in range(rng.randint(4, 12)):
                moment += rng.randint(1000, 9000) * MILLISECOND
                yield moment
                if server.is_up(moment) and server.is_up(moment + 3 * SECOND):
                    _manage_once(company, manager, server, moment, account)


def _manage_once(company: Company, manager: Outsider, server: Host, moment: int, account: Account) -> None:
    own = server.own
    service = Account(own.name, NETWORK_SERVICE.sid, own.domain)
    session, at = desk.log_on(
        company.net,
        moment,
        account,
        server,
        3,
        split=False,
        style=ADVAPI_SVCHOST,
        address="-",
        by=Session(service, 5, 0, server, logon_id=0x3E4),
        privileged=True,
        source=manager,
        opened_by="winrm",
    )
    desk.close(server, at + server.rng.randint(400, 2000) * MILLISECOND, session)


def stray(life: Life, server: Host, span: Span, rng: Random) -> Iterator[int]:
    """Somebody wants to a server by RDP who must not: the password is right, and the server refuses.

    host-belkasoft-win10-domain-member Security 1018, 1020 and 1105.
    """
    moment = span.begin + rng.randrange(span.days) * DAY + life.person.arrives + rng.randint(60, 180) * MINUTE
    for _ in range(rng.randint(1, 3)):
        yield moment
        if life.desktop and life.host.address and server.is_up(moment):
            rdp.refused(life.net, moment, life.person.account, life.host, server, by=life.desktop.session)
        moment += rng.randint(9, 60) * SECOND


# --- devices and kiosks ---------------------------------------------------------------------------------------------


def scan(company: Company, copier: Outsider, server: Host, span: Span, rng: Random) -> Iterator[int]:
    """A copier puts scans on a share, by NTLM."""
    account = company.accounts["svc-scan"]
    for midnight in span.midnights():
        moment = midnight + 7 * HOUR + 40 * MINUTE
        while moment < midnight + 17 * HOUR:
            moment += rng.randint(12 * MINUTE, 45 * MINUTE)
            yield moment
            if server.is_up(moment):
                files = [f"scan-{rng.randint(1000, 9999)}.pdf"]
                shares = [Files(Share("Scans", r"D:\Shares\Scans"), files, WRITE)]
                visit_ntlm(company.net, moment, account, copier, server, shares=shares, stay=11 * SECOND)


def nag(company: Company, phone: Outsider, account: Account, server: Host, span: Span) -> Iterator[int]:
    """A device of somebody who has left tries the old password day and night: the account is disabled."""
    moment = span.begin
    while (moment := moment + company.rng.randint(14 * MINUTE, 31 * MINUTE)) < span.end:
        yield moment
        if server.is_up(moment):
            refused_ntlm(company.net, moment, account, phone, server, refusal=DISABLED)


def welcome(company: Company, kiosk: Host, span: Span) -> Iterator[int]:
    """A kiosk logs its local account on by itself after each start, and starts anew each night.

    4776 is its own: it checks the password itself (domain.md 3(d)).
    """
    name = kiosk.name
    account = Account("kiosk", f"{_machine_sid(kiosk)}-1001", name)
    company.truth.identity(account, "kiosk")
    desktop: Desktop | None = None
    for midnight in span.midnights():
        moment = midnight + 4 * HOUR + kiosk.rng.randint(0, 30) * MINUTE
        yield moment
        open_now = (desktop,) if desktop else ()
        power.shut_down(kiosk, moment, SYSTEM, desktops=open_now, reason=UPDATE)
        yield moment + 90 * SECOND
        power.boot(company.net, kiosk, moment + 90 * SECOND)
        at = moment + 125 * SECOND
        yield at
        checked = company.net.check_password(at, account.name, name, kiosk)
        desktop = log_on_local(at, account, kiosk)
        if checked:
            company.truth.used(checked, desktop.session)


def _machine_sid(host: Host) -> str:
    rng = Random(f"{host.name} {host.domain.sid}")
    return "S-1-5-21-" + "-".join(str(rng.randint(10**8, 4 * 10**9)) for _ in range(3))
