"""What Windows logs around a desktop: logon at the console or by RDP, lock, unlock, disconnect, logoff."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from logontracks.simulate import records
from logontracks.simulate.host import (
    MILLISECOND,
    SECOND,
    ZERO_GUID,
    Account,
    Host,
    Peer,
    Session,
    new_guid,
)
from logontracks.simulate.kerberos import Network
from logontracks.simulate.network import NOT_GRANTED, spaced
from logontracks.simulate.records import NEGOTIATE, USER32, Style
from logontracks.simulate.templates import LSM, RCM, RDP, WINLOGON
from logontracks.simulate.truth import Authentication
from logontracks.simulate.window_managers import window_managers

_CONSOLE_ACTIVITY = "61a55000-55e5-1017-0000-000000000000"  # the same on every Windows
_LOCAL_SYSTEM, _NETWORK_SERVICE = "S-1-5-18", "S-1-5-20"


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
            user_sid=_LOCAL_SYSTEM,
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
    desktop.host.log(event_id, moment, values, provider=WINLOGON, user_sid=_LOCAL_SYSTEM, process="winlogon")


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


# --- remote desktop -------------------------------------------------------------------------------------------------


def connect(
    net: Network,
    moment: int,
    account: Account,
    client: Peer,
    host: Host,
    *,
    split: bool,
    kerberos: bool = True,
    by: Session | None = None,
    credential: str = "",
) -> Desktop:
    """A new RDP session: network level logon (type 3), 1149, a terminal session, the type 10 logon, 21 and 22.

    `by` is the session on the client from which somebody connects; `credential` as in the truth of hops.
    """
    connection = f"f420{new_guid(net.rng)[4:-4]}0000"
    at = knock(
        net,
        moment,
        client,
        host,
        account=account,
        connection=connection,
        privileged=split,
        kerberos=kerberos,
        by=by,
    )
    host.terminal += 1
    terminal = host.terminal
    managers, at = window_managers(host, spaced(host, at, 500, 900), terminal)
    at = spaced(host, at, 900, 2100)
    session, at = log_on(net, at, account, host, 10, split=split, address=client.address, source=client)
    if not credential:
        credential = "switch" if by and by.account != account else "same"
    host.truth.hop(session.opened, by, session, "remote_desktop", credential)
    host.truth.presence(session, "active", session.opened)
    host.connections += 1
    desktop = Desktop(host, session, terminal, managers, client.address, connection, client.name, host.connections)
    arrive(desktop, at)
    return desktop


def knock(
    net: Network,
    moment: int,
    client: Peer,
    host: Host,
    *,
    account: Account,
    connection: str,
    privileged: bool,
    kerberos: bool = True,
    by: Session | None = None,
    named: bool = True,
) -> int:
    """The connection up to 1149; its type 3 session goes away half a minute later. Gives the moment of 1149.

    `named`: the client gives its name where NTLM asks for it. Some give none: incident-velociraptor-rdp-dc
    RDPAuth_Security 506483 and 506485.
    """
    values = {"ConnType": "TCP", "ClientIP": f"{client.address}:{client.port()}"}
    host.log(131, moment, values, provider=RDP, activity=connection, user_sid=_NETWORK_SERVICE, process="rdp")
    at = spaced(host, moment, 5, 40)
    _tell_connections(host, 261, at, {"listenerName": "RDP-Tcp"}, connection)
    at = spaced(host, at, 700, 2500)
    name = client.name if named else ""
    _network_level_logon(
        net, at, account, client, host, privileged=privileged, kerberos=kerberos, by=by, workstation=name
    )
    at = spaced(host, at, 60, 200)
    domain = net.domain.netbios if kerberos else ""
    accepted = {"Param1": account.name, "Param2": domain, "Param3": client.address}
    _tell_connections(host, 1149, at, accepted, connection)
    return at


def _tell_connections(host: Host, event_id: int, moment: int, values: Mapping[str, object], connection: str) -> None:
    """A record of the remote connection manager."""
    host.log(event_id, moment, values, provider=RCM, activity=connection, user_sid=_NETWORK_SERVICE, process="rcm")


def _network_level_logon(
    net: Network,
    moment: int,
    account: Account,
    client: Peer,
    host: Host,
    *,
    privileged: bool,
    kerberos: bool,
    by: Session | None,
    workstation: str,
) -> None:
    if kerberos:
        ticket = net.service_ticket(moment, account, client, host.account)
        guid = ticket.server_guid
        told: Authentication | None = ticket.told
    else:
        guid = ZERO_GUID
        told = net.check_password(moment, account.name, workstation, net.controller_for(host, moment), asked_by=client)
    at = spaced(host, moment, 3, 40)
    session = host.open(account, 3, at, guid=guid, source=client)
    if told:
        net.truth.used(told, session)
    session.parent = by
    if privileged:
        records.privileges(host, at, session)
        at = spaced(host, at, 0.05, 0.2)
    records.logon(
        host,
        at,
        session,
        records.KERBEROS if kerberos else records.NTLM,
        elevated=True,
        workstation="-" if kerberos else workstation,
        address=client.address,
        port=0,
        activity=True,
        domain=net.domain.realm if kerberos else None,
    )
    records.logoff(host, at + host.rng.randint(20 * SECOND, 30 * SECOND), session)


def refused(net: Network, moment: int, account: Account, client: Peer, host: Host, *, by: Session | None) -> None:
    """An RDP connection of somebody who may not log on there: network level logon, tickets, a 4625 of type 10."""
    connection = f"f420{new_guid(net.rng)[4:-4]}0000"
    at = knock(net, moment, client, host, account=account, connection=connection, privileged=False, by=by)
    at = spaced(host, at, 900, 2100)
    why = NOT_GRANTED
    net.sign_in(at - 6 * MILLISECOND, account, host)
    net.service_ticket(at - 3 * MILLISECOND, account, host, host.account)
    with host.truth.attempt(at, account, host, source=client, logon_type=10, reason=why.reason):
        records.failed_logon(
            host,
            at,
            account,
            10,
            USER32,
            status=why.status,
            sub_status=why.sub_status,
            reason=why.text,
            workstation=host.name,
            address=client.address,
            port=0,
        )


def disconnect(desktop: Desktop, moment: int, *, reason: int = 0) -> None:
    """The client goes away, the session stays: 4779, locked a second later; 40 and 24 with the client's address."""
    host = desktop.host
    desktop.connected = False
    host.truth.presence(desktop.session, "disconnected", moment)
    window_station(desktop, 4779, moment)
    desktop.tell(40, spaced(host, moment, 1, 9), Reason=reason)
    desktop.tell(24, spaced(host, moment, 60, 300))
    values = {"ReasonCode": reason}
    host.log(103, moment, values, provider=RDP, activity=desktop.connection, user_sid=_NETWORK_SERVICE, process="rdp")
    records.locked(host, spaced(host, moment, 700, 1400), desktop.session, desktop.terminal)


def reconnect(net: Network, desktop: Desktop, moment: int, client: Peer, *, by: Session | None = None) -> None:
    """The client comes back: 1149 and 4778 with the logon id of old, 25, type 7 logons, 4801; no type 10, no 21."""
    host = desktop.host
    desktop.connection = f"f420{new_guid(net.rng)[4:-4]}0000"
    host.connections += 1
    desktop.address, desktop.client, desktop.number = client.address, client.name, host.connections
    privileged = desktop.session.linked is not None
    at = knock(
        net,
        moment,
        client,
        host,
        account=desktop.account,
        connection=desktop.connection,
        privileged=privileged,
        by=by,
    )
    at = spaced(host, at, 300, 900)
    desktop.connected = True
    host.truth.presence(desktop.session, "locked", at)
    window_station(desktop, 4778, at)
    desktop.tell(25, spaced(host, at, 200, 900))
    unlock(net, desktop, spaced(host, at, 2000, 3000))


def window_station(desktop: Desktop, event_id: int, moment: int) -> None:
    """4778 or 4779 of a desktop under the name and address of the client that it has now."""
    name = "Console" if desktop.address == "LOCAL" else f"RDP-Tcp#{desktop.number}"
    client = (desktop.client, desktop.address)
    records.window_station(desktop.host, event_id, moment, desktop.session, name=name, client=client)


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
