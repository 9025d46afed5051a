"""What Windows logs around a desktop: logon, lock, unlock, logoff, and passwords that are typed at it."""

from dataclasses import dataclass, field

from logontracks.simulate import records
from logontracks.simulate.host import (
    MILLISECOND,
    SYSTEM,
    ZERO_GUID,
    Account,
    Host,
    Peer,
    Session,
)
from logontracks.simulate.kerberos import Network
from logontracks.simulate.network import spaced
from logontracks.simulate.records import NEGOTIATE, USER32, Style
from logontracks.simulate.templates import LSM, WINLOGON
from logontracks.simulate.window_managers import window_managers

_CONSOLE_ACTIVITY = "61a55000-55e5-1017-0000-000000000000"  # the same on every Windows


@dataclass(eq=False, slots=True)
class Desktop:
    """An interactive session. `session` is the one that 4647, 4778 and 4800 name: the filtered half of a pair.

    `address` is that of the client, LOCAL at the console; `connection` is the ActivityID of the terminal services.
    `prompts`: sessions of UAC prompts that go when it does.
    """

    host: Host
    session: Session
    terminal: int
    managers: list[Session]
    address: str = "LOCAL"
    connection: str = _CONSOLE_ACTIVITY
    client: str = "Unknown"
    number: int = 0  # of RDP-Tcp#
    connected: bool = True
    prompts: list[Session] = field(default_factory=list)

    @property
    def account(self) -> Account:
        return self.session.account

    def tell(self, event_id: int, moment: int, **values: object) -> None:
        """A record of the local session manager."""
        common = {
            "User": rf"{self.account.domain}\{self.account.name}",
            "SessionID": self.terminal,
            "Session": self.terminal,
            "Address": self.address,
        }
        self.host.log(
            event_id,
            moment,
            {**common, **values},
            provider=LSM,
            activity=self.connection,
            user_sid=SYSTEM.sid,
            process="lsm",
        )


def log_on(
    net: Network,
    moment: int,
    account: Account,
    host: Host,
    logon_type: int,
    *,
    split: bool,
    style: Style = USER32,
    address: str = "127.0.0.1",
    by: Session | None = None,
    privileged: bool = False,
    joins: bool = True,
    source: Peer | None = None,
    opened_by: str = "",
) -> tuple[Session, int]:
    """4768, 4769 for the host itself, 4648, 4624 (two of them and a 4672 where the token is split).

    Gives the session that later records name and the moment after. `joins`: the LogonGuid equals that of the 4769.
    """
    ticket = net.sign_in(moment - 6 * MILLISECOND, account, host)
    service = net.service_ticket(moment - 3 * MILLISECOND, account, host, host.account) if joins else None
    session, at = write_logon(
        host,
        moment,
        account,
        logon_type,
        split=split,
        style=style,
        address=address,
        guid=service.guid if service else ZERO_GUID,
        by=by,
        privileged=privileged,
        source=source,
        opened_by=opened_by,
    )
    net.truth.used(ticket.told, session)
    if service:
        net.truth.used(service.told, session)
    return session, at


def write_logon(
    host: Host,
    moment: int,
    account: Account,
    logon_type: int,
    *,
    split: bool,
    style: Style,
    address: str,
    guid: str,
    by: Session | None = None,
    privileged: bool = False,
    source: Peer | None = None,
    opened_by: str = "",
) -> tuple[Session, int]:
    """The host's own share of a logon: 4648, 4624 once or as a pair, 4672. `privileged`: a whole token, not split."""
    by = by or host.system
    caller = records.caller_of(host, style).values(host, moment)
    away = address != "-"
    port = 0 if away else "-"
    records.explicit_credentials(
        host, moment, by, account, caller, guid=guid, address=address, port=port, activity=style.activity
    )
    at = spaced(host, moment)
    make = host.open_pair if split else host.open
    session = make(account, logon_type, at, source=source, opened_by=opened_by)
    first = session.linked or session
    first.guid = guid
    for half in (first, session) if split else (session,):
        records.logon(
            host,
            at,
            half,
            style,
            elevated=privileged or (split and half is first),
            by=by,
            workstation=host.name,
            address=address,
            port=port,
        )
        at = spaced(host, at)
    if split or privileged:
        records.privileges(host, at, first, activity=style.activity)
    return session, spaced(host, at)


def close(host: Host, moment: int, session: Session, *, told_type: int | None = None) -> int:
    """4634 for a session, or for both halves, the filtered one first. `told_type`: as in `records.logoff`."""
    records.logoff(host, moment, session, told_type=told_type)
    if session.linked:
        moment = spaced(host, moment, 0.05, 0.2)
        records.logoff(host, moment, session.linked, told_type=told_type)
    return moment


def verify(net: Network, host: Host, account: Account, moment: int, *, split: bool) -> int:
    """LSASS gets a ticket for who is in already: a short type 7 logon whose GUID is that of the 4769; gives its end."""
    net.sign_in(moment, account, host)
    guid = net.service_ticket(moment + 2 * MILLISECOND, account, host, host.account).guid
    at = spaced(host, moment, 8, 40)
    session, at = write_logon(host, at, account, 7, split=split, style=NEGOTIATE, address="-", guid=guid)
    return close(host, spaced(host, at, 1, 12), session)


def log_on_console(net: Network, moment: int, account: Account, host: Host, *, split: bool) -> Desktop:
    session, at = log_on(net, moment, account, host, 2, split=split)
    desktop = Desktop(host, session, host.console, host.console_managers)
    host.truth.presence(session, "active", session.opened)
    arrive(desktop, at)
    return desktop


def arrive(desktop: Desktop, moment: int) -> None:
    """The terminal session that a logon opens: 41, 42, 7001, 21, 22."""
    host = desktop.host
    for event_id, low, high in ((41, 20, 60), (42, 1, 9)):
        moment = spaced(host, moment, low, high)
        desktop.tell(event_id, moment)
    _notify(desktop, 7001, spaced(host, moment, 1, 4))
    for event_id, low, high in ((21, 400, 1600), (22, 200, 1200)):
        moment = spaced(host, moment, low, high)
        desktop.tell(event_id, moment)


def _notify(desktop: Desktop, event_id: int, moment: int) -> None:
    """7001 or 7002: Winlogon tells its subscribers of a logon or logoff."""
    values = {"TSId": desktop.terminal, "UserSid": desktop.account.sid}
    desktop.host.log(event_id, moment, values, provider=WINLOGON, user_sid=SYSTEM.sid, process="winlogon")


def lock(desktop: Desktop, moment: int) -> None:
    desktop.host.truth.presence(desktop.session, "locked", moment)
    records.locked(desktop.host, moment, desktop.session, desktop.terminal)


def unlock(net: Network, desktop: Desktop, moment: int) -> None:
    """Two short type 7 logons: one of the desktop, one of LSASS whose GUID is that of the 4769; 4801 between them.

    A host without a network writes a type 13 (domain.md 3(h)), and LSASS gets no ticket. Whoever logged on with a
    remembered password (type 11) comes back with it: a type 11 whose 4634 tells type 2, behind those of LSASS
    (host-belkasoft-win10-domain-member Security 1379 to 1384, 2244 to 2249).
    """
    host, account = desktop.host, desktop.account
    split = desktop.session.linked is not None
    address = "127.0.0.1" if desktop.address == "LOCAL" else desktop.address
    remembered = desktop.session.logon_type == 11
    logon_type = 13 if not host.address else 11 if remembered else 7
    session, at = write_logon(
        host,
        moment,
        account,
        logon_type,
        split=split,
        style=USER32,
        address=address,
        guid=ZERO_GUID,
        opened_by="unlock",
    )
    host.truth.presence(desktop.session, "active", at)
    records.unlocked(host, at, desktop.session, desktop.terminal)
    at = spaced(host, at, 5, 20)
    if logon_type == 11:
        at = verify(net, host, account, at, split=split)
        close(host, spaced(host, at, 1, 12), session, told_type=2)
        return
    at = close(host, at, session)
    if host.address:
        verify(net, host, account, at, split=split)


def log_off(desktop: Desktop, moment: int, *, ends: bool = True) -> None:
    """4647, then the end of the terminal session and of the logon session. `ends` False: the host goes down first."""
    host = desktop.host
    records.logoff_asked(host, moment, desktop.session)
    at = torn_down(desktop, moment, ends=ends)
    if desktop.address != "LOCAL":
        at = spaced(host, at, 100, 400)
        desktop.tell(40, at, Reason=12)
        desktop.tell(24, spaced(host, at, 60, 200))
    at = spaced(host, at, 200, 800)
    for manager in desktop.managers:
        records.logoff(host, at, manager)
        at = spaced(host, at)
    if not ends:
        return
    if desktop.address == "LOCAL":
        host.terminal += 1
        host.console = host.terminal
        host.console_managers, at = window_managers(host, spaced(host, at, 50, 200), host.console)
    close(host, spaced(host, at, 900, 9000), desktop.session)


def torn_down(desktop: Desktop, moment: int, *, ends: bool = True) -> int:
    """The end of the terminal session, and with it of the UAC prompts that it still had; gives the moment after."""
    host = desktop.host
    at = spaced(host, moment, 250, 900)
    desktop.tell(23, at)
    if ends:
        for prompt in desktop.prompts:
            close(host, spaced(host, at, 0.8, 4), prompt)
    _notify(desktop, 7002, spaced(host, at, 5, 60))
    return at


def remote_credentials(
    net: Network, moment: int, host: Host, by: Session, *, account: Account, server: Host, service: str
) -> None:
    """Another account's password typed for a server: 4768, 4769, and 4648 with the LogonGuid of the 4769.

    `service` is TERMSRV or cifs: remote desktop or shares.
    """
    net.sign_in(moment - 9 * MILLISECOND, account, host)
    ticket = net.service_ticket(moment - 4 * MILLISECOND, account, host, server.account, fresh=True)
    programs = {
        "TERMSRV": (rf"{records.SYSTEM32}\mstsc.exe", host.pid("explorer", moment) + 1236),
        "cifs": ("", 4),  # the redirector asks in the name of the kernel
    }
    path, process_id = programs[service]
    caller = {"ProcessId": process_id, "ProcessName": path}
    smb = service == "cifs"
    records.explicit_credentials(
        host,
        moment,
        by,
        account,
        caller,
        server=server.fqdn,
        service=f"{service}/{server.fqdn}",
        guid=ticket.guid,
        address=server.address if smb else "-",
        port=445 if smb else "-",
    )
