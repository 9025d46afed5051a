"""A person who may be there, at a time when they are not: at night, at all the shares."""

from dataclasses import replace

from logontracks.simulate import desktop as desk
from logontracks.simulate import rdp, records
from logontracks.simulate.attacks import stage
from logontracks.simulate.cast import Company
from logontracks.simulate.host import DAY, HOUR, SECOND, Outsider
from logontracks.simulate.network import visit


def at_night(company: Company, start: int) -> None:
    """Between two and three o'clock (UTC) of the day of `start` somebody connects from home and reads everything.

    Nothing in it is wrong by itself: remote desktop to one's own workstation, from a machine that is no member and so
    by NTLM (incident-velociraptor-rdp-dc/RDPAuth_Security.evtx 506483 to 506512), then for each department's share
    4624 type 3, 5140 and a 5145 for each file, as in otrf-multihost-json/covenant_copy_smb_CreateRequest.zip,
    WORKSTATION6 933020 to 933028. The hour, the number and the departments are what is odd.
    """
    begin = start - start % DAY + 2 * HOUR + company.rng.randint(0, 3000) * SECOND
    person = stage.absent(company, begin)
    network = ".".join(person.host.address.split(".")[:2])
    home = Outsider(f"HOME-{company.rng.randint(1000, 9999)}", f"{network}.250.{company.rng.randint(2, 250)}")
    desktop = rdp.connect(company.net, begin, person.account, home, person.host, split=person.split, kerberos=False)
    at = desktop.session.opened + 3 * SECOND
    records.process_started(person.host, at, desktop.session, stage.EXPLORER, parent=stage.USERINIT)
    reachable = [other for other in company.people.values() if stage.stays_up(other.files_at, begin)]
    for other in stage.shuffled(company, reachable)[:20]:
        at = stage.later(company, at, 40, 200)
        visit(
            company.net,
            at,
            person.account,
            person.host,
            other.files_at,
            shares=[replace(other.files, access=records.READ)],
            stay=company.rng.randint(40, 90) * SECOND,
            fresh=True,
            by=desktop.session,
        )
    desk.log_off(desktop, stage.later(company, at, 120, 300))
