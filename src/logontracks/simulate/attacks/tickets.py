"""Attacks on Kerberos: tickets to guess passwords from, and tickets that nobody gave."""

from dataclasses import replace

from logontracks.simulate import records
from logontracks.simulate.attacks import stage
from logontracks.simulate.cast import Company
from logontracks.simulate.host import MILLISECOND, MINUTE, SECOND
from logontracks.simulate.kerberos import RC4
from logontracks.simulate.network import Files, spaced, visit, visit_ntlm
from logontracks.simulate.records import ADMIN, DRIVE_C

_TOOL = r"C:\Users\Public\Downloads\krb.exe"
_IMPACKET, _RUBEUS = 0x50800000, 0x40800010  # options of a 4768 that Windows itself does not ask with


def kerberoast(company: Company, start: int) -> None:
    """Asks the directory for accounts with a service name, then for a ticket for each of them within a second.

    Several logons at the controller with one LogonGuid, then the 4769 with encryption type 0x17, all but the first with
    one LogonGuid and none followed by a logon anywhere: otrf-multihost-json/purplesharp_ad_playbook_I.zip, MORDORDC
    537140 to 537196 and 537268 to 537284.
    """
    net = company.net
    foothold = stage.enter(company, start)
    host, account = foothold.host, foothold.person.account
    controller = net.controller_for(host, start)
    at = stage.later(company, foothold.moment, 20, 60)
    foothold.run(at, _TOOL)
    for _ in range(3):
        at = spaced(host, at, 20, 90)
        stay = company.rng.randint(2, 8) * SECOND
        visit(net, at, account, host, controller, stay=stay, by=foothold.session)
    at += company.rng.randint(200, 600) * MILLISECOND
    guid = None
    for number, service in enumerate(stage.services(company, start)):
        given = net.service_ticket(at, account, host, service, fresh=True, encryption=RC4, guid=guid)
        guid = given.guid if number else None
        at = spaced(host, at, 4, 60)
    foothold.leave(at + 5 * MINUTE)


def kerberoast_outside(company: Company, start: int) -> None:
    """A machine that is no member, with the password of one person: a logon by NTLM at the controller, RC4 throughout.

    4776, 4624 with no key (KeyLength 0), 4768 and 4769 with encryption type 0x17 and options that Windows does not use,
    4634, all in a tenth of a second: evtx-yamato/T1558.003_..._Security.evtx 38678 to 38682.
    """
    net, attacker = company.net, company.attacker
    person = company.rng.choice(list(company.people.values()))
    controller = net.controller_for(attacker, start)
    session = visit_ntlm(
        net,
        start,
        person.account,
        attacker,
        controller,
        style=replace(records.NTLM, key_length=0),
        stay=company.rng.randint(60, 200) * MILLISECOND,
    )
    company.truth.hop(session.opened, None, session, "network", "stolen")
    at = spaced(controller, session.opened, 20, 30)
    net.sign_in(at, person.account, attacker, spelling=net.domain.realm, encryption=RC4, options=_IMPACKET)
    for service in stage.services(company, start):
        at = spaced(controller, at, 5, 12)
        net.service_ticket(at, person.account, attacker, service, fresh=True, encryption=RC4, options=0x40810010)
    net.drop_ticket(person.account, attacker)


def asrep_roast(company: Company, start: int) -> None:
    """Asks the directory for accounts that need not prove their password, then for a ticket of each: type 0, RC4.

    No log of this one is at hand: the 4768 with PreAuthType 0 and encryption type 0x17 is what detections agree on
    (reference, detections D09, ticket_options_common 0x40800010); its other fields as in evtx-yamato 38680.
    """
    net = company.net
    foothold = stage.enter(company, start)
    host, account = foothold.host, foothold.person.account
    controller = net.controller_for(host, start)
    at = stage.later(company, foothold.moment, 20, 60)
    foothold.run(at, _TOOL)
    visit(net, at + 80 * MILLISECOND, account, host, controller, stay=6 * SECOND, by=foothold.session)
    at += 700 * MILLISECOND
    for victim in stage.services(company, start)[:2]:
        net.sign_in(at, victim, host, spelling=net.domain.dns, encryption=RC4, options=_RUBEUS, preauthentication="0")
        net.drop_ticket(victim, host)
        at = spaced(host, at, 8, 40)
    foothold.leave(at + 5 * MINUTE)


def golden_ticket(company: Company, start: int) -> None:
    """Tickets made with the key of krbtgt: services are asked for (4769), though no ticket was ever given (4768).

    The forger wrote the domain in small letters, and so do the 4769: evtx-mitre-offsec.lan/ID4769-Golden_ticket_issued
    24493302 to 24493332, with the forwarded ticket for krbtgt among them. Where 4769 tells hashes, that of the forged
    ticket stands in no other record. The logons that follow: ID4624-Success_login_with_Golden_ticket 1542010 (in the
    log of 2012 R2, whose type 3 all name the NETBIOS domain), and ADMIN$ by it:
    ID5140-ADMIN_share_connection_with_Golden_ticket 31067602.
    """
    net = company.net
    foothold = stage.enter(company, start)
    host = foothold.host
    admin = stage.administrator(company, start)
    controller = net.controller_for(host, start)
    at = stage.later(company, foothold.moment, 30, 90)
    foothold.run(at, _TOOL)
    at = stage.later(company, at, 4, 15)
    net.forge_ticket(at, admin, host, realm=net.domain.dns)
    for server, share in ((controller, ADMIN), (stage.server(company, start), DRIVE_C)):
        visit(
            net,
            at,
            admin,
            host,
            server,
            privileged=True,
            shares=[Files(share)],
            stay=50 * SECOND,
            fresh=True,
            by=foothold.session,
            credential="stolen",
        )
        if server is controller:
            net.forward(at + 2 * MILLISECOND, admin, host)
        at = stage.later(company, at, 20, 200)
    net.drop_ticket(admin, host)
    foothold.leave(at + 5 * MINUTE)
