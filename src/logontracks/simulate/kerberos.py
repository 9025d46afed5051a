"""What the domain controllers write: tickets asked for and given, passwords checked."""

from base64 import b64encode
from dataclasses import dataclass, field
from random import Random

from logontracks.simulate.host import DAY, HOUR, MILLISECOND, ZERO_GUID, Account, Domain, Host, Peer, new_guid
from logontracks.simulate.templates import AUDIT_FAILURE, NETLOGON
from logontracks.simulate.truth import Authentication, Truth, spelled

WRONG_PASSWORD, UNKNOWN_USER, LOCKED = 0xC000006A, 0xC0000064, 0xC0000234

RC4 = 0x17
_AES256, _NO_TICKET = 0x12, 0xFFFFFFFF
_LIFE = 10 * HOUR


@dataclass(eq=False, slots=True)
class Ticket:
    """A ticket-granting ticket: who gave it, its hash, and the service tickets that were bought with it.

    `other_realm`: how the domain is spelled in a ticket that no controller here gave: a forger's, or that of a domain
    that is trusted. Each controller accepts it.
    """

    controller: Host
    digest: str
    expires: int
    told: Authentication
    other_realm: str = ""
    services: dict[str, "ServiceTicket"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceTicket:
    """`guid` is the LogonGuid of the 4769. A server that it is shown to has another one, `server_guid`, in its 4624."""

    guid: str
    server_guid: str
    given: int
    told: Authentication


@dataclass(eq=False)
class Network:
    """The domain: its members, and the tickets that are in use in it."""

    domain: Domain
    controllers: list[Host]
    members: list[Host]
    rng: Random
    truth: Truth
    trusts: "dict[str, Network]" = field(default_factory=dict)  # other domains, by realm
    _tickets: dict[tuple[str, str], Ticket] = field(default_factory=dict)

    @property
    def hosts(self) -> list[Host]:
        return self.controllers + self.members

    def controller_for(self, peer: Peer, moment: int) -> Host:
        """The controller that a host talks to: one a day, its own if it is one itself, the next if that is down."""
        if isinstance(peer, Host) and peer in self.controllers:
            return peer
        first = moment // DAY + sum(map(ord, peer.name))
        in_turn = [self.controllers[(first + step) % len(self.controllers)] for step in range(len(self.controllers))]
        return next((controller for controller in in_turn if controller.is_up(moment)), in_turn[0])

    def sign_in(
        self,
        moment: int,
        account: Account,
        client: Peer,
        *,
        spelling: str | None = None,
        encryption: int = _AES256,
        options: int = 0x40810010,
        preauthentication: str = "2",
    ) -> Ticket:
        """A fresh ticket-granting ticket (4768). `spelling`: the domain as the client wrote it."""
        controller = self.controller_for(client, moment)
        told = self.truth.authenticated(moment, spelled(account), client, controller)
        ticket = Ticket(controller, _digest(self.rng), moment + _LIFE, told)
        self._tickets[client.name, account.name] = ticket
        values = {
            "TargetUserName": account.name,
            "TargetDomainName": spelling or account.domain,
            "TargetSid": account.sid,
            **self._krbtgt(),
            "TicketOptions": options,
            "Status": 0,
            "TicketEncryptionType": encryption,
            "PreAuthType": preauthentication,
            **_address(controller, client),
            **_NO_CERTIFICATE,
            "ResponseTicket": ticket.digest,
            **_encryption_types(account),
            "PreAuthEncryptionType": _NO_TICKET if preauthentication == "0" else encryption,
        }
        controller.log(4768, moment, values)
        return ticket

    def service_ticket(
        self,
        moment: int,
        account: Account,
        client: Peer,
        service: Account,
        *,
        fresh: bool = False,
        encryption: int = _AES256,
        options: int = 0x40810000,
        guid: str | None = None,
    ) -> ServiceTicket:
        """A ticket for a service (4769), or the one at hand; asks for a ticket-granting ticket first if need be.

        `guid`: the LogonGuid, where it is that of the ticket before.
        """
        if service.realm in self.trusts:
            return self._abroad(moment, account, client, service, fresh=fresh)
        ticket = self._tickets.get((client.name, account.name))
        if ticket and ticket.other_realm:
            ticket.controller = self.controller_for(client, moment)
        if ticket is None or moment > ticket.expires or ticket.controller is not self.controller_for(client, moment):
            ticket = self.sign_in(moment - 3 * MILLISECOND, account, client, spelling=self._renewed(account))
        held = ticket.services.get(service.name)
        if held and not fresh and moment - held.given >= 0:
            return held
        told = self.truth.authenticated(moment, spelled(account), client, ticket.controller, service=service.name)
        given = ServiceTicket(guid or new_guid(self.rng), new_guid(self.rng), moment, told)
        ticket.services[service.name] = given
        self._log_service_ticket(
            moment,
            ticket,
            account=account,
            client=client,
            service=service,
            guid=given.guid,
            encryption=encryption,
            options=options,
        )
        return given

    def forge_ticket(self, moment: int, account: Account, client: Peer, *, realm: str) -> Ticket:
        """A ticket-granting ticket made with the key of krbtgt, which no controller knows of. `realm`: as spelled."""
        controller = self.controller_for(client, moment)
        untold = Authentication(moment, spelled(account), client, client.address, controller, "", None, None)
        ticket = Ticket(controller, _digest(self.rng), moment + _LIFE, untold, realm)
        self._tickets[client.name, account.name] = ticket
        return ticket

    def drop_ticket(self, account: Account, client: Peer) -> None:
        """An account's tickets on a machine are thrown away."""
        self._tickets.pop((client.name, account.name), None)

    def _abroad(self, moment: int, account: Account, client: Peer, service: Account, *, fresh: bool) -> ServiceTicket:
        """A ticket for a service of another domain: a referral from this one, shown to a controller of that one.

        The referral is a 4769 for krbtgt/REALM; domain.md 3(c) leaves its form open.
        """
        other = self.trusts[service.realm]
        if not other.has_ticket(moment, account, client):
            krbtgt = Account(f"krbtgt/{other.domain.realm}", "S-1-0-0", self.domain.netbios, self.domain.realm)
            referral = self.service_ticket(moment - 2 * MILLISECOND, account, client, krbtgt, fresh=True)
            other.admit(moment, account, client, referral.told)
        return other.service_ticket(moment, account, client, service, fresh=fresh)

    def has_ticket(self, moment: int, account: Account, client: Peer) -> bool:
        ticket = self._tickets.get((client.name, account.name))
        return ticket is not None and moment <= ticket.expires

    def admit(self, moment: int, account: Account, client: Peer, told: Authentication) -> None:
        """An account of a trusted domain may ask for tickets here, with the referral `told`."""
        controller = self.controller_for(client, moment)
        ticket = Ticket(controller, _digest(self.rng), moment + _LIFE, told, other_realm=account.realm)
        self._tickets[client.name, account.name] = ticket

    def forget_tickets(self, client: Peer) -> None:
        """All tickets of a host are gone: it started anew."""
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if key[0] != client.name}

    def forget_later_tickets(self, moment: int) -> None:
        """Go back in time: what is not made in the order of time must not use a ticket that is given later."""
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if ticket.told.moment <= moment}

    def forward(self, moment: int, account: Account, client: Peer) -> None:
        """A forwarded ticket-granting ticket: a 4769 for krbtgt, no access to anything."""
        ticket = self._tickets[client.name, account.name]
        krbtgt = Account("krbtgt", f"{self.domain.sid}-502", self.domain.netbios)
        guid = new_guid(self.rng)
        self._log_service_ticket(
            moment, ticket, account=account, client=client, service=krbtgt, guid=guid, options=0x60810010
        )

    def renew(self, moment: int, account: Account, client: Peer) -> None:
        """A ticket-granting ticket lives on under a new hash (4770)."""
        ticket = self._tickets.get((client.name, account.name))
        if ticket is None:
            return
        before, ticket.digest, ticket.expires = ticket.digest, _digest(self.rng), moment + _LIFE
        values = {
            "TargetUserName": f"{account.name}@{self.domain.realm}",
            "TargetDomainName": self.domain.realm,
            **self._krbtgt(),
            "TicketOptions": 0x10002,
            "TicketEncryptionType": _AES256,
            **_address(ticket.controller, client),
            "RequestTicketHash": before,
            "ResponseTicketHash": ticket.digest,
        }
        ticket.controller.log(4770, moment, values)

    def refuse(self, moment: int, account: Account, client: Peer, controller: Host) -> None:
        """4771: wrong password, seen by Kerberos."""
        values = {
            "TargetUserName": account.name,
            "TargetSid": account.sid,
            "ServiceName": f"krbtgt/{self.domain.realm}",
            "TicketOptions": 0x40810010,
            "Status": 0x18,
            "PreAuthType": "2",
            **_address(controller, client),
            **_NO_CERTIFICATE,
        }
        controller.log(4771, moment, values, keywords=AUDIT_FAILURE)

    def refuse_own_service(self, moment: int, account: Account, client: Peer) -> None:
        """A 4769 that fails with 0x1b: a program of a person cannot be given a ticket as a service can.

        otrf-multihost-json covenant_dcom_iertutil_dll_hijack 780644 and 780649.
        """
        controller = self.controller_for(client, moment)
        values = {
            "TargetUserName": f"{account.name}@{self.domain.realm}",
            "TargetDomainName": self.domain.realm,
            "ServiceName": account.name,
            "ServiceSid": "S-1-0-0",
            "TicketOptions": 0x40810000,
            "TicketEncryptionType": _NO_TICKET,
            **_address(controller, client),
            "Status": 0x1B,
            "LogonGuid": ZERO_GUID,
            "TransmittedServices": "-",
            "RequestTicketHash": "-",
            "ResponseTicketHash": "-",
            **_NO_ENCRYPTION_TYPES,
        }
        controller.log(4769, moment, values, keywords=AUDIT_FAILURE)

    def refuse_locked(self, moment: int, account: Account, client: Peer, controller: Host) -> None:
        """A failed 4768 with code 0x12: the account cannot be used, whatever the password."""
        values = {
            "TargetUserName": account.name,
            "TargetDomainName": account.domain,
            "TargetSid": account.sid,
            "ServiceName": f"krbtgt/{self.domain.realm}",
            "ServiceSid": "S-1-0-0",
            "TicketOptions": 0x40810010,
            "Status": 0x12,
            "TicketEncryptionType": _NO_TICKET,
            "PreAuthType": "-",
            **_address(controller, client),
            **_NO_CERTIFICATE,
            "ResponseTicket": "-",
            **_NO_ENCRYPTION_TYPES,
            "PreAuthEncryptionType": _NO_TICKET,
        }
        controller.log(4768, moment, values, keywords=AUDIT_FAILURE)

    def check_password(
        self,
        moment: int,
        name: str,
        workstation: str,
        controller: Host,
        status: int = 0,
        *,
        server: Host | None = None,
        asked_by: Peer | None = None,
    ) -> Authentication | None:
        """4776: NTLM. The record has neither the client's address nor the server that asked. None: it was refused.

        `asked_by`: the client, where `workstation`, the name that it gives, is not its own. A controller that audits
        NTLM tells the server, in 8004 of its NTLM log (domain.md 3(d)).
        """
        values = {
            "PackageName": "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0",
            "TargetUserName": name,
            "Workstation": workstation,
            "Status": status,
        }
        controller.log(4776, moment, values, keywords=AUDIT_FAILURE if status else None)
        if server and controller.audits_ntlm:
            asked = {
                "SChannelName": server.name,
                "UserName": name,
                "DomainName": self.domain.netbios,
                "WorkstationName": workstation,
                "SChannelType": 2,
            }
            controller.log(8004, moment + MILLISECOND, asked, provider=NETLOGON)
        client = asked_by.name if asked_by else workstation
        return None if status else self.truth.authenticated(moment, name, client, controller)

    def _log_service_ticket(
        self,
        moment: int,
        ticket: Ticket,
        *,
        account: Account,
        client: Peer,
        service: Account,
        guid: str,
        encryption: int = _AES256,
        options: int = 0x40810000,
    ) -> None:
        realm = ticket.other_realm or self.domain.realm
        values = {
            "TargetUserName": f"{account.name}@{realm}",
            "TargetDomainName": realm,
            "ServiceName": service.name,
            "ServiceSid": service.sid,
            "TicketOptions": options,
            "TicketEncryptionType": encryption,
            **_address(ticket.controller, client),
            "Status": 0,
            "LogonGuid": guid,
            "TransmittedServices": "-",
            "RequestTicketHash": ticket.digest,
            "ResponseTicketHash": _digest(self.rng),
            **_encryption_types(account),
        }
        ticket.controller.log(4769, moment, values)

    def _krbtgt(self) -> dict[str, object]:
        return {"ServiceName": "krbtgt", "ServiceSid": f"{self.domain.sid}-502"}

    def _renewed(self, account: Account) -> str:
        """How a domain is spelled when no person typed it: computers use the realm, LSASS the small DNS name."""
        return self.domain.realm if account.name.endswith("$") else self.domain.dns


_NO_CERTIFICATE = {"CertIssuerName": "", "CertSerialNumber": "", "CertThumbprint": ""}
_OFFERED = "AES256-CTS-HMAC-SHA1-96 AES128-CTS-HMAC-SHA1-96 RC4-HMAC-NT RC4-HMAC-NT-EXP RC4-HMAC-OLD-EXP"
_NO_ENCRYPTION_TYPES = {
    "AccountSupportedEncryptionTypes": "-",
    "AccountAvailableKeys": "-",
    "ServiceSupportedEncryptionTypes": "-",
    "ServiceAvailableKeys": "-",
    "DCSupportedEncryptionTypes": "-",
    "DCAvailableKeys": "-",
    "ClientAdvertizedEncryptionTypes": "-",
    "SessionKeyEncryptionType": _NO_TICKET,
}


def _encryption_types(account: Account) -> dict[str, object]:
    of_computer = "0x1C (RC4, AES128-SHA96, AES256-SHA96)" if account.name.endswith("$") else "0x27 (DES, RC4, AES-Sk)"
    return {
        "AccountSupportedEncryptionTypes": of_computer,
        "AccountAvailableKeys": "AES-SHA1, RC4",
        "ServiceSupportedEncryptionTypes": "0x1F (DES, RC4, AES128-SHA96, AES256-SHA96)",
        "ServiceAvailableKeys": "AES-SHA1, RC4",
        "DCSupportedEncryptionTypes": "0x1F (DES, RC4, AES128-SHA96, AES256-SHA96)",
        "DCAvailableKeys": "AES-SHA1, RC4",
        "ClientAdvertizedEncryptionTypes": "".join(f"\r\n\t\t{name}" for name in _OFFERED.split()),
        "SessionKeyEncryptionType": _AES256,
    }


def _address(controller: Host, client: Peer) -> dict[str, object]:
    """A client's address as the KDC writes it: IPv4 mapped into IPv6, the controller itself as ::1 without a port."""
    if client is controller:
        return {"IpAddress": "::1", "IpPort": "0"}
    return {"IpAddress": f"::ffff:{client.address}", "IpPort": str(client.port())}


def _digest(rng: Random) -> str:
    return b64encode(rng.randbytes(32)).decode()
