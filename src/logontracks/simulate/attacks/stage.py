"""The stage of an attack: from which desktop it starts, and which hosts and accounts it meets there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from logontracks.simulate import desktop as desk
from logontracks.simulate import rdp, records
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

    @property
    def elevated(self) -> Session:
        """The half that is administrator of the workstation, where the person is."""
        return self.session.linked or self.session

    def run(self, moment: int, path: str, command_line: str = "") -> None:
        """A tool of the attacker is started, as administrator if it can be."""
        records.process_started(
            self.host,
            moment,
            self.elevated,
            path,
            parent=CMD,
            command_line=command_line,
            elevated=self.person.split,
        )

    def leave(self, moment: int) -> None:
        """Log off, where it was the attacker who logged on."""
        if self.desktop is not None:
            desk.log_off(self.desktop, moment)


def enter(company: Company, start: int) -> Foothold:
    """Somebody's open desktop, in which a program of the attacker runs; else remote desktop with a stolen password."""
    owners = {person.host.name: person for person in company.people.values() if stays_up(person.host, start)}
    open_now = [
        (owner, session)
        for session in company.truth.sessions
        if (owner := owners.get(session.host.name)) and session.account == owner.account and _is_desk(session, start)
    ]
    if open_now:
        return Foothold(*company.rng.choice(open_now), start)
    person = absent(company, start)
    desktop = break_in(company, start, person.account, person.host, split=person.split)
    return Foothold(person, desktop.session, desktop.session.opened, desktop)


def break_in(company: Company, start: int, account: Account, host: Host, *, split: bool) -> Desktop:
    """Remote desktop from outside with a stolen password: by NTLM, since no stranger can ask for tickets."""
    return rdp.connect(
        company.net, start, account, company.attacker, host, split=split, kerberos=False, credential="stolen"
    )


def absent(company: Company, start: int) -> Person:
    """Somebody who has no session on their own workstation during the attack, while the workstation runs."""
    return _one_of(company, all_absent(company, start), "workstation without its owner", start)


def all_absent(company: Company, start: int) -> list[Person]:
    """Nobody, where all are at work or left their screens locked."""
    used = {session.host.name for session in _desktops(company, start)}
    return [
        person for person in company.people.values() if person.host.name not in used and stays_up(person.host, start)
    ]


def server(company: Company, start: int, *, without: Account | None = None) -> Host:
    """A member server that stays up. `without`: who has no desktop on it."""
    hosts = [host for host in company.net.members if host.role == "server"]
    return _one_of(company, _free(company, hosts, start, without), "server", start)


def controller(company: Company, start: int, *, without: Account | None = None) -> Host:
    hosts = company.net.controllers
    return _one_of(company, _free(company, hosts, start, without), "controller", start)


def administrator(company: Company, start: int) -> Account:
    """The second account of somebody who administers all hosts."""
    accounts = [person.admin for person in company.people.values() if person.admin]
    return _one_of(company, accounts, "administrator's account", start)


def services(company: Company, start: int) -> list[Account]:
    """The accounts that services run as, in any order: those called svc-..."""
    accounts = [account for account in company.accounts.values() if account.name.startswith("svc-")]
    first = _one_of(company, accounts, "service account", start)
    return [first, *shuffled(company, (account for account in accounts if account is not first))]


def stays_up(host: Host, start: int) -> bool:
    """Whether a host runs all the time that an attack may take."""
    boot = host.boot_at(start)
    return host.is_up(start) and (boot.stopped is None or boot.stopped > start + LENGTH)


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


def _is_desk(session: Session, start: int) -> bool:
    """Whether it is a desktop at the screen, and outlives an attack that starts from it; the half that has it."""
    ended, _ = end_of(session)
    return (
        session.opened_by == "desktop"
        and (session.linked is None or session.is_filtered)
        and session.opened < start
        and (ended is None or ended > start + LENGTH // 2)
    )


def _desktops(company: Company, start: int) -> Iterator[Session]:
    """The desktops that exist at any time of an attack."""
    for session in company.truth.sessions:
        if session.opened_by in ("desktop", "remote_desktop") and session.opened < start + LENGTH:
            ended, _ = end_of(session)
            if ended is None or ended > start:
                yield session


def _free(company: Company, hosts: Iterable[Host], start: int, account: Account | None) -> list[Host]:
    """The hosts that stay up; Windows gives an account back the desktop that it has, so not those with one of it."""
    taken = {session.host.name for session in _desktops(company, start) if account and session.account == account}
    return [host for host in hosts if stays_up(host, start) and host.name not in taken]


def _one_of(company: Company, choice: list[_T], what: str, start: int) -> _T:
    if not choice:
        raise ValueError(f"the company has no {what} for an attack at {start}")
    return company.rng.choice(choice)
