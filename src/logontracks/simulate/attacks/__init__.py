"""Attacks on a simulated company: what each leaves in the logs of the hosts that it touches, and in the truth."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from logontracks.simulate.attacks import hashes, insider, passwords, psexec, remote_desktop, tickets, winrm, wmi
from logontracks.simulate.cast import Company


class Attack(NamedTuple):
    """`run(company, start)` writes the attack into the company's logs and truth, from `start` (ticks) on.

    It takes less than `stage.LENGTH` and raises ValueError where the company has not what it needs at that time.
    """

    run: Callable[[Company, int], None]
    meaning: str


def _marked(name: str, play: Callable[[Company, int], None]) -> Callable[[Company, int], None]:
    """All that an attack does stands in the truth under its name."""

    def run(company: Company, start: int) -> None:
        company.net.forget_later_tickets(start)
        with company.truth.attack(name):
            play(company, start)

    return run


_PLAYS: Mapping[str, tuple[Callable[[Company, int], None], str]] = {
    "spray": (passwords.spray, "One password tried on many accounts by a program on a stolen desktop."),
    "spray_shares": (passwords.spray_shares, "One password tried on many accounts over a share; it is right for one."),
    "guessing": (passwords.guess, "Passwords of one account guessed from outside until one is right."),
    "pass_the_hash": (hashes.pass_the_hash, "The NTLM hash of an administrator opens a server's shares."),
    "overpass_the_hash": (hashes.overpass_the_hash, "A ticket bought with the hash of an administrator's password."),
    "kerberoast": (tickets.kerberoast, "RC4 tickets for all service accounts in one burst, to guess at elsewhere."),
    "kerberoast_outside": (tickets.kerberoast_outside, "The same by a machine that is no member of the domain."),
    "asrep_roast": (tickets.asrep_roast, "A ticket for an account that need not prove its password."),
    "golden_ticket": (tickets.golden_ticket, "Forged tickets of an administrator: no controller ever gave them."),
    "remote_desktop": (remote_desktop.over_three_hosts, "Remote desktop over three hosts, as another account midway."),
    "stolen_service": (remote_desktop.as_service, "A service account logs on to a desktop with its stolen password."),
    "psexec": (psexec.as_system, "A service made on a server by way of its shares, working as SYSTEM."),
    "psexec_user": (psexec.as_user, "The same, and the service logs on an account with its password."),
    "remote_service": (psexec.by_command, "A command run on a server as a service, without any share."),
    "wmi": (wmi.hop, "A program started on a server by way of WMI."),
    "winrm": (winrm.hop, "A PowerShell session on a server: its own log does not say where from."),
    "insider": (insider.at_night, "A person connects at night and reads the shares of all departments."),
}

ATTACKS: Mapping[str, Attack] = MappingProxyType(
    {name: Attack(_marked(name, play), meaning) for name, (play, meaning) in _PLAYS.items()}
)
