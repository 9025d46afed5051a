"""The stage of an attack: from which desktop it starts, and which hosts and accounts it meets there."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from logontracks.simulate import desktop as desk
from logontracks.simulate import records
from logontracks.simulate.cast import Company, Person
from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import HOUR, SECOND, Account, Host, Session
from logontracks.simulate.truth import end_of

LENGTH = 2 * HOUR
"""Attacks are over by then: hosts that they touch stay up as long."""

CMD = rf"{records.SYSTEM32}\cmd.exe"
POWERSHELL = rf"{records.SYSTEM32}\WindowsPowerShell\v1.0\powershell.exe"
EXPLORER = r"C:\Windows\explorer.exe"
SVCHOST = rf"{records.SYSTEM32}\svchost.exe"
USERINIT = rf"{records.SYSTEM32}\userinit.exe"

HIGH, SYSTEM = "S-1-16-12288", "S-1-16-16384"  # integrity of a process

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Foothold:
    """A session on a workstation that obeys the attacker. `desktop`: the one that they opened for it, if any."""

    person: Person
    session: Session
    moment: int
    desktop: Desktop | None = None

    @property
    def host(self) -> Host:
        return self.person.host

    def leave(self, moment: int) -> None:
        """Log off, where it was the attacker who logged on."""
        if self.desktop is not None:
            desk.log_off(self.desktop, moment)


def enter(company: Company, start: int) -> Foothold:
    """Somebody's open desktop, in which a program of the attacker runs; else remote desktop with a stolen password."""
    reachable = [person for person in company.people.values() if _stays_up(person.host, start)]
    open_now = [
        (person, session)
        for person in reachable
        for session in company.truth.sessions
        if _serves(session, person, start)
    ]
    if open_now:
        person, session = company.rng.choice(open_now)
        return Foothold(person, session, start)
    desktop = break_in(company, start, absent(company, start))
    return Foothold(company.person(desktop.account.name), desktop.session, desktop.session.opened, desktop)


def break_in(company: Company, start: int, person: Person) -> Desktop:
    """Remote desktop from outside to a person's workstation, with their password."""
    return desk.connect(
        company.net,
        start,
        person.account,
        company.attacker,
        person.host,
        split=person.split,
        kerberos=False,
        credential="stolen",
    )


def absent(company: Company, start: int) -> Person:
    """Somebody who has no session on their own workstation during the attack, while the workstation runs."""
    people = [
        person
        for person in company.people.values()
        if _stays_up(person.host, start) and not _is_used(company, person.host, start)
    ]
    return _one_of(company, people, "workstation without its owner", start)


def server(company: Company, start: int, *, besides: Iterable[Host] = ()) -> Host:
    """A member server that stays up."""
    taken = list(besides)
    hosts = [
        host for host in company.net.members if host.role == "server" and host not in taken and _stays_up(host, start)
    ]
    return _one_of(company, hosts, "server", start)


def file_server(company: Company, start: int) -> Host:
    """The server that keeps the departments' shares."""
    others = [host for host in company.net.members if not host.name.startswith("FS")]
    return server(company, start, besides=others)


def controller(company: Company, start: int) -> Host:
    hosts = [host for host in company.net.controllers if _stays_up(host, start)]
    return _one_of(company, hosts, "controller", start)


def administrator(company: Company, start: int) -> Account:
    """An account that is administrator of all hosts."""
    accounts = [account for account in company.accounts.values() if account.name.startswith("adm-")]
    return _one_of(company, accounts, "administrator's account", start)


def services(company: Company) -> list[Account]:
    """The accounts that services run as: those with a name of a service in the directory."""
    return [account for account in company.accounts.values() if account.name.startswith("svc-")]


def later(company: Company, moment: int, low_s: float, high_s: float) -> int:
    """A moment some seconds later, as long as a person at a keyboard takes."""
    return moment + company.rng.randint(int(low_s * SECOND), int(high_s * SECOND))


def shuffled(company: Company, things: Iterable[_T]) -> list[_T]:
    them = list(things)
    return company.rng.sample(them, len(them))


def started_for(
    host: Host,
    moment: int,
    by: Session,
    session: Session,
    path: str,
    *,
    parent: str,
    command_line: str,
    label: str = HIGH,
) -> None:
    """4688 of a program that one session starts and that runs in another, named by its Target fields.

    Their SID is the null SID all the same: otrf-multihost-json/covenant_psremoting_command.zip, WORKSTATION6 134902.
    """
    values = {
        **records.subject(by),
        "NewProcessId": 4 * host.rng.randint(400, 4000),
        "NewProcessName": path,
        "TokenElevationType": "%%1936",
        "ProcessId": host.pid("svchost", moment),
        "CommandLine": command_line,
        **records.target(session),
        "TargetUserSid": "S-1-0-0",
        "ParentProcessName": parent,
        "MandatoryLabel": label,
    }
    host.log(4688, moment, values, process="kernel")


def _serves(session: Session, person: Person, start: int) -> bool:
    """Whether it is the desktop of a person at their own workstation, from before the attack until after it."""
    return (
        session.host is person.host
        and session.account == person.account
        and session.logon_type in (2, 11)
        and session.opened_by == "desktop"
        and (session.linked is None or session.is_filtered)
        and _spans(session, start)
    )


def _is_used(company: Company, host: Host, start: int) -> bool:
    """Whether anybody has a desktop on a host at any time of the attack."""
    return any(
        session.host is host
        and session.logon_type in (2, 10, 11)
        and session.opened_by in ("desktop", "remote_desktop")
        and session.opened < start + LENGTH
        and (end_of(session)[0] or start + 1) > start
        for session in company.truth.sessions
    )


def _spans(session: Session, start: int) -> bool:
    ended, _ = end_of(session)
    return session.opened < start and (ended is None or ended > start + LENGTH)


def _stays_up(host: Host, start: int) -> bool:
    boot = host.boot_at(start)
    return host.is_up(start) and (boot.stopped is None or boot.stopped > start + LENGTH)


def _one_of(company: Company, choice: list[_T], what: str, start: int) -> _T:
    if not choice:
        raise ValueError(f"the company has no {what} for an attack at {start}")
    return company.rng.choice(choice)
