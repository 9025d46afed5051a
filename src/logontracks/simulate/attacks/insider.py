"""A person who may be there, at a time when they are not: at night, at all the shares."""

from dataclasses import replace

from logontracks.simulate import desktop as desk
from logontracks.simulate import records
from logontracks.simulate.attacks import stage
from logontracks.simulate.cast import Company
from logontracks.simulate.host import DAY, HOUR, SECOND
from logontracks.simulate.network import visit


def at_night(company: Company, start: int) -> None:
    """Between two and three o'clock (UTC) of the day of `start` somebody logs on at their desk and reads everything.

    Nothing in it is wrong by itself: an ordinary logon (ground-truth-text/user_tracking_successful_logins.md, "Local
    Login"), then for each department's share 4624 type 3, 5140 and a 5145 for each file, as
    otrf-multihost-json/covenant_copy_smb_CreateRequest.zip has them on its server. The hour, the number and the
    departments are what is odd.
    """
    begin = start - start % DAY + 2 * HOUR + company.rng.randint(0, 3000) * SECOND
    person = stage.absent(company, begin)
    server = stage.file_server(company, begin)
    desktop = desk.log_on_console(company.net, begin, person.account, person.host, split=person.split)
    at = begin + 20 * SECOND
    records.process_started(person.host, at, desktop.session, stage.EXPLORER, parent=stage.USERINIT)
    for other in stage.shuffled(company, company.people.values()):
        at = stage.later(company, at, 40, 200)
        stay = company.rng.randint(40, 90) * SECOND
        shares = [replace(other.files, access=records.READ)]
        session = visit(company.net, at, person.account, person.host, server, shares=shares, stay=stay, fresh=True)
        company.truth.hop(session.opened, desktop.session, session, "share", "same")
    desk.log_off(desktop, stage.later(company, at, 120, 300))
