"""What Windows logs when somebody reaches a host over the network: Kerberos, NTLM, shares, wrong passwords."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from logontracks.simulate import records
from logontracks.simulate.host import MILLISECOND, SECOND, ZERO_GUID, Account, Host, Peer, Session
from logontracks.simulate.kerberos import UNKNOWN_USER, WRONG_PASSWORD, Network
from logontracks.simulate.records import READ, Share, Style
from logontracks.simulate.truth import Authentication


@dataclass(frozen=True, slots=True)
class Files:
    """A share and the files asked for in it."""

    share: Share
    names: Sequence[str] = ()
    access: int = READ


def spaced(host: Host, moment: int, low_ms: float = 0.1, high_ms: float = 0.4) -> int:
    """A moment a little later; by default as far apart as records that one call writes."""
    return moment + host.rng.randint(int(low_ms * MILLISECOND), int(high_ms * MILLISECOND))


def visit(
    net: Network,
    moment: int,
    account: Account,
    client: Peer,
    server: Host,
    *,
    privileged: bool = False,
    shares: Sequence[Files] = (),
    service: Account | None = None,
    stay: int | None = 10 * SECOND,
    fresh: bool = False,
    impersonation: str = records.IMPERSONATION,
    by: Session | None = None,
    means: str = "",
    credential: str = "",
) -> Session:
    """A Kerberos network logon, what it opens, and its end `stay` later (None: the end is never written).

    `service` is the account that the ticket is for where that is not the server itself. `fresh` asks for a new ticket
    where an old one would do. `by` is the session on the client that causes it, a hop by `means` in the truth.
    """
    ticket = net.service_ticket(moment, account, client, service or server.account, fresh=fresh)
    at = spaced(server, moment, 4, 160)
    session = _opened(server, at, account, client, guid=ticket.server_guid, shares=shares)
    _told(session, ticket.told, by, means, credential)
    activity = server.rng.random() < 0.5
    if privileged:
        records.privileges(server, at, session, activity=activity)
        at = spaced(server, at, 0.05, 0.2)
    address, port = _seen_address(server, client)
    records.logon(
        server,
        at,
        session,
        records.KERBEROS,
        elevated=True,
        address=address,
        port=port,
        impersonation=impersonation,
        activity=activity,
        domain=net.domain.realm,
    )
    last = _open_shares(server, at, session, shares, (address, port))
    if stay is not None:
        records.logoff(server, max(spaced(server, moment + stay, 0, 999), last + MILLISECOND), session)
    return session


def visit_ntlm(
    net: Network,
    moment: int,
    account: Account,
    client: Peer,
    server: Host,
    *,
    privileged: bool = False,
    shares: Sequence[Files] = (),
    stay: int | None = 10 * SECOND,
    by: Session | None = None,
    means: str = "",
    credential: str = "",
    style: Style = records.NTLM,
) -> Session:
    """As `visit`, by NTLM: the server has a controller check the password (4776), the client names itself."""
    controller = net.controller_for(server, moment)
    told = net.check_password(moment, account.name, client.name, controller, server=server)
    at = spaced(server, moment, 2, 30)
    session = _opened(server, at, account, client, guid=ZERO_GUID, shares=shares)
    _told(session, told, by, means, credential)
    if privileged:
        records.privileges(server, at, session)
        at = spaced(server, at, 0.05, 0.2)
    port = client.port()
    records.logon(server, at, session, style, elevated=True, workstation=client.name, address=client.address, port=port)
    last = _open_shares(server, at, session, shares, (client.address, port))
    if stay is not None:
        records.logoff(server, max(spaced(server, moment + stay, 0, 999), last + MILLISECOND), session)
    return session


def visit_called_back(
    net: Network, moment: int, account: Account, client: Host, server: Host, *, stay: int, by: Session
) -> None:
    """DCOM: a program of the person on the server is talked to, for which there is no ticket, so NTLM takes its place.

    The 4769 that fails is no failed logon: otrf-multihost-json covenant_dcom_iertutil_dll_hijack 780640 to 780650,
    empire_dcom_shellwindows_stager 624792.
    """
    visit(net, moment, account, client, server, stay=stay, by=by)
    at = spaced(client, moment, 200, 900)
    net.refuse_own_service(at, account, client)
    visit_ntlm(net, spaced(client, at, 1, 9), account, client, server, stay=stay, by=by)


class Refusal(NamedTuple):
    """Why a logon fails, in the truth and in a 4625."""

    reason: str
    status: int
    sub_status: int
    text: str


_WRONG = Refusal("wrong_password", 0xC000006D, WRONG_PASSWORD, "%%2313")
_UNKNOWN = Refusal("no_such_user", 0xC000006D, UNKNOWN_USER, "%%2313")
DISABLED = Refusal("disabled", 0xC000006E, 0xC0000072, "%%2310")
NOT_GRANTED = Refusal("logon_type_not_granted", 0xC000015B, 0, "%%2308")


def refused_ntlm(
    net: Network,
    moment: int,
    account: Account,
    client: Peer,
    server: Host,
    *,
    unknown: bool = False,
    refusal: Refusal | None = None,
) -> None:
    """A wrong password, an unknown name or else over the network: 4776 at the controller, 4625 on the server."""
    refusal = refusal or (_UNKNOWN if unknown else _WRONG)
    with server.truth.attempt(moment, account, server, source=client, logon_type=3, reason=refusal.reason):
        controller = net.controller_for(server, moment)
        net.check_password(moment, account.name, client.name, controller, refusal.sub_status, server=server)
        records.failed_logon(
            server,
            spaced(server, moment, 2, 30),
            account,
            3,
            records.NTLM,
            status=refusal.status,
            sub_status=refusal.sub_status,
            reason=refusal.text,
            workstation=client.name,
            address=client.address,
            port=client.port(),
        )


def own_traffic(net: Network, moment: int, controller: Host) -> None:
    """A controller talks to itself: its own account, one of its own addresses.

    Where it has IPv6, the link-local address is as common as any: nxlog-json-dc-attackrange T1047_attack_data 220304 to
    220324; 25 logs of controllers have it.
    """
    addresses = [controller.address, "::1", "127.0.0.1"]
    if "link_local" in controller.ways:
        addresses += [controller.link_local] * 2
    client = net.rng.choice(addresses)
    ticket = net.service_ticket(moment, controller.account, controller, controller.account)
    at = spaced(controller, moment, 1, 4)
    session = controller.open(controller.own, 3, at, guid=ticket.server_guid)
    session.source_address = client
    net.truth.used(ticket.told, session)
    records.privileges(controller, at, session, activity=False)
    at = spaced(controller, at, 0.05, 0.2)
    records.logon(
        controller,
        at,
        session,
        records.KERBEROS,
        elevated=True,
        address=client,
        port=controller.port(),
        activity=False,
        domain=net.domain.realm,
    )
    records.logoff(controller, spaced(controller, at, 3, 30_000), session)


def _opened(
    server: Host, moment: int, account: Account, client: Peer, *, guid: str, shares: Sequence[Files]
) -> Session:
    opened_by = "network_share" if shares else "network"
    return server.open(account, 3, moment, guid=guid, source=client, opened_by=opened_by)


def _told(session: Session, given: Authentication | None, by: Session | None, means: str, credential: str) -> None:
    """What the truth has of a network logon: the ticket that was got for it, and the session it came from."""
    if given:
        session.host.truth.used(given, session)
    if by:
        changed = "same" if by.account == session.account else "switch"
        means = means or ("share" if session.opened_by == "network_share" else "network")
        session.host.truth.hop(session.opened, by, session, means, credential or changed)


def _seen_address(server: Host, client: Peer) -> tuple[str, int]:
    return ("127.0.0.1" if client is server else client.address), client.port()


def _open_shares(server: Host, moment: int, session: Session, shares: Sequence[Files], client: tuple[str, int]) -> int:
    at = moment
    for files in shares:
        at = spaced(server, at, 1, 12)
        records.share_opened(server, at, session, files.share, client)
        for name in files.names:
            at = spaced(server, at, 0.5, 900)
            records.share_file(server, at, session, files.share, file=name, client=client, mask=files.access)
    return at
