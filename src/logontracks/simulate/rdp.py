"""What Windows logs of remote desktops: connections and their logons, refusals, leaving, coming back."""

from collections.abc import Mapping

from logontracks.simulate import records
from logontracks.simulate.desktop import Desktop, arrive, log_on, unlock
from logontracks.simulate.host import (
    MILLISECOND,
    NETWORK_SERVICE,
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
from logontracks.simulate.records import USER32
from logontracks.simulate.templates import RCM, RDP
from logontracks.simulate.truth import Authentication
from logontracks.simulate.window_managers import window_managers


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
    desktop, at = log_on_remotely(net, moment, account, client, host, split=split, kerberos=kerberos, by=by)
    session = desktop.session
    if not credential:
        credential = "switch" if by and by.account != account else "same"
    host.truth.hop(session.opened, by, session, "remote_desktop", credential)
    host.truth.presence(session, "active", session.opened)
    arrive(desktop, at)
    return desktop


def log_on_remotely(
    net: Network,
    moment: int,
    account: Account,
    client: Peer,
    host: Host,
    *,
    split: bool,
    kerberos: bool = True,
    by: Session | None = None,
    named: bool = True,
    opened_by: str = "",
) -> tuple[Desktop, int]:
    """A connection, a type 10 logon in a terminal session of its own, the moment after. `named`: as in `_knock`."""
    connection = _connection(net)
    at = _knock(
        net,
        moment,
        client,
        host,
        account=account,
        connection=connection,
        privileged=split,
        kerberos=kerberos,
        by=by,
        named=named,
    )
    host.terminal += 1
    terminal = host.terminal
    managers, at = window_managers(host, spaced(host, at, 500, 900), terminal)
    at = spaced(host, at, 900, 2100)
    session, at = log_on(
        net, at, account, host, 10, split=split, address=client.address, source=client, opened_by=opened_by
    )
    host.connections += 1
    desktop = Desktop(host, session, terminal, managers, client.address, connection, client.name, host.connections)
    return desktop, at


def _connection(net: Network) -> str:
    """The ActivityID of a new connection."""
    return f"f420{new_guid(net.rng)[4:-4]}0000"


def _knock(
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
    host.log(131, moment, values, provider=RDP, activity=connection, user_sid=NETWORK_SERVICE.sid, process="rdp")
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
    host.log(event_id, moment, values, provider=RCM, activity=connection, user_sid=NETWORK_SERVICE.sid, process="rcm")


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
    connection = _connection(net)
    at = _knock(net, moment, client, host, account=account, connection=connection, privileged=False, by=by)
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
    host.log(
        103, moment, values, provider=RDP, activity=desktop.connection, user_sid=NETWORK_SERVICE.sid, process="rdp"
    )
    records.locked(host, spaced(host, moment, 700, 1400), desktop.session, desktop.terminal)


def reconnect(net: Network, desktop: Desktop, moment: int, client: Peer, *, by: Session | None = None) -> None:
    """The client comes back: 1149 and 4778 with the logon id of old, 25, type 7 logons, 4801; no type 10, no 21."""
    host = desktop.host
    desktop.connection = _connection(net)
    host.connections += 1
    desktop.address, desktop.client, desktop.number = client.address, client.name, host.connections
    privileged = desktop.session.linked is not None
    at = _knock(
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
