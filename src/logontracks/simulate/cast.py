"""The people and hosts of the simulated company, and what each of them has to do with the others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Literal

from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import DAY, HOUR, MINUTE, SECOND, Account, Build, Domain, Host, Outsider, Role
from logontracks.simulate.kerberos import Network
from logontracks.simulate.leases import Pool
from logontracks.simulate.network import Files
from logontracks.simulate.records import Share
from logontracks.simulate.templates import EVENTLOG, KERNEL_BOOT, KERNEL_GENERAL, KERNEL_POWER, SECURITY
from logontracks.simulate.truth import Truth
from logontracks.simulate.window_managers import open_managers

DOMAIN = Domain("LARCH", "larch.example", "S-1-5-21-2718281828-1414213562-1732050808")

_COMMON = {
    (SECURITY, 4616): 1,
    (SECURITY, 4624): 2,
    (SECURITY, 4688): 2,
    (SECURITY, 5140): 1,
    (KERNEL_BOOT, 27): 1,
    (KERNEL_GENERAL, 1): 2,
    (KERNEL_POWER, 41): 6,
    (KERNEL_POWER, 42): 3,
    (KERNEL_POWER, 107): 1,
}
_NEWEST = {**_COMMON, (SECURITY, 4624): 3, (SECURITY, 4697): 1, (EVENTLOG, 1102): 1, (KERNEL_POWER, 41): 9}
_HASHED = {**_COMMON, (SECURITY, 4768): 2, (SECURITY, 4769): 2, (SECURITY, 4770): 1, (SECURITY, 4697): 1}

_OLDER = {(SECURITY, 4616): 1, (SECURITY, 5140): 1, (KERNEL_POWER, 41): 2}

WINDOWS_7 = Build(7601, _OLDER)
WINDOWS_10 = Build(19045, _COMMON)
WINDOWS_11 = Build(26100, _NEWEST)
SERVER_2019 = Build(17763, _COMMON)
SERVER_2022 = Build(20348, _HASHED)  # with the updates of January 2025: ticket hashes in 4768, 4769 and 4770
SERVER_2025 = Build(26100, _NEWEST)


Evening = Literal["log_off", "lock", "shut_down", "power_off", "sleep"]
"""How somebody leaves the desk at the end of the day."""


@dataclass(frozen=True, slots=True)
class Person:
    """`split`: a local administrator, so that each logon makes two sessions. Times of the day in ticks.

    `files_at` is the server of the shares, `app_at` that of the application, which runs as `app_as`. `admin`: a second
    account. `restarts` and `crashes`: moments. `forgets`: when the password is forgotten, until the account is locked.
    `home_days`: days of the week on which a laptop is at home. `cached`: the host logs its user on before it asks a
    controller. `ntlm`, `late`, `leaks`: the share of visits that use NTLM, that end late, that never end. `comes_back`:
    of evenings on which the desk is kept, how many leave it unlocked and take it over from home; `prompts`: of things
    done at the desk, how many ask for the second account; `called_back`: how many are DCOM.
    """

    account: Account
    host: Host
    split: bool
    arrives: int
    lunch: int
    leaves: int
    files: Files
    files_at: Host
    app_at: Host
    app_as: Account
    pause: int = 14 * HOUR + 40 * MINUTE
    weekdays: frozenset[int] = frozenset(range(5))
    evening: Evening = "log_off"
    admin: Account | None = None
    restarts: tuple[int, ...] = ()
    crashes: tuple[int, ...] = ()
    forgets: int | None = None
    laptop: bool = False
    home_days: frozenset[int] = frozenset()
    cached: bool = False
    ntlm: float = 0.015
    late: float = 0
    leaks: float = 0.02
    comes_back: float = 0
    prompts: float = 0
    called_back: float = 0


@dataclass(eq=False)
class Company:
    net: Network
    rng: Random
    people: dict[str, Person]
    accounts: dict[str, Account]
    hosts: dict[str, Host]
    copier: Outsider
    attacker: Outsider
    truth: Truth
    office: Pool | None = None
    vpn: Pool | None = None
    services: dict[str, list[Account]] = field(default_factory=dict)  # by host: who they run as
    remotes: list[Desktop] = field(default_factory=list)  # remote desktops that exist, connected or not
    public: Files = field(
        default_factory=lambda: Files(Share("Public", r"D:\Shares\Public"), ("\\", "templates\\letter.dotx"))
    )

    def person(self, name: str) -> Person:
        return self.people[name]


_PLACES: tuple[tuple[str, str, int, Role, Build, float], ...] = (
    # name, address, RID, role, build, days up before the week
    ("DC01", "10.20.0.11", 1000, "controller", SERVER_2019, 33.2),
    ("DC02", "10.20.0.12", 1103, "controller", SERVER_2022, 12.4),
    ("FS01", "10.20.0.31", 1104, "server", SERVER_2022, 19.1),
    ("APP01", "10.20.0.41", 1105, "server", SERVER_2025, 26.6),
    ("WKS-101", "10.20.1.101", 1106, "workstation", WINDOWS_10, 6.3),
    ("WKS-102", "10.20.1.102", 1107, "workstation", WINDOWS_10, 9.8),
    ("WKS-103", "10.20.1.103", 1108, "workstation", WINDOWS_10, 2.9),
    ("WKS-104", "10.20.1.104", 1109, "workstation", WINDOWS_10, 4.2),
    ("WKS-105", "10.20.1.105", 1110, "workstation", WINDOWS_11, 3.6),
)

_ACCOUNTS = {
    "anna.berg": 1121,
    "bruno.costa": 1122,
    "clara.diaz": 1123,
    "david.engel": 1124,
    "elif.firat": 1125,
    "adm-david": 1131,
    "svc-backup": 1141,
    "svc-app": 1142,
    "svc-scan": 1143,
}
_SECOND_ACCOUNTS = {"adm-david": "david.engel"}


def assemble(seed: int, monday: int) -> Company:
    """The company as it stands when the week begins at `monday` (ticks)."""
    truth = Truth()
    hosts = {}
    for name, address, rid, role, build, days_up in _PLACES:
        host = Host(name, address, DOMAIN, rid, role, build, Random(f"{seed} {name}"), truth)
        boot = host.start(monday - int(days_up * DAY))
        host.console_managers = open_managers(host, boot.started + 8 * SECOND, 1)
        hosts[name] = host
        truth.joined(host)
    accounts = {
        name: Account(name, f"{DOMAIN.sid}-{rid}", DOMAIN.netbios, DOMAIN.realm) for name, rid in _ACCOUNTS.items()
    }
    controllers = [host for host in hosts.values() if host.role == "controller"]
    members = [host for host in hosts.values() if host.role != "controller"]
    people = _people(hosts, accounts, monday)
    for name, account in accounts.items():
        owner = _SECOND_ACCOUNTS.get(name, name)
        if owner not in people:
            truth.identity(account, "service")
        else:
            truth.identity(account, "person" if owner == name else "administrator", person=owner)
    for name, person in people.items():
        truth.owners[person.host.name] = name
    return Company(
        Network(DOMAIN, controllers, members, Random(f"{seed} network"), truth),
        Random(f"{seed} people"),
        people,
        accounts,
        hosts,
        copier=Outsider("COPIER-2F", "10.20.1.60"),
        attacker=Outsider("DESKTOP-7QK3V1H", "203.0.113.57"),
        truth=truth,
    )


def _people(hosts: Mapping[str, Host], accounts: Mapping[str, Account], monday: int) -> dict[str, Person]:
    def moment(day: int, hour: int, minute: int) -> int:
        return monday + day * DAY + hour * HOUR + minute * MINUTE

    employee = partial(Person, files_at=hosts["FS01"], app_at=hosts["APP01"], app_as=accounts["svc-app"])
    people = (
        employee(
            accounts["anna.berg"],
            hosts["WKS-101"],
            split=False,
            arrives=8 * HOUR,
            lunch=11 * HOUR + 20 * MINUTE,
            leaves=16 * HOUR + 40 * MINUTE,
            files=_department("Finance", "2026\\invoices-10.xlsx", "2026\\budget.xlsx", "payments\\run-41.csv"),
            restarts=(moment(1, 11, 52),),
        ),
        employee(
            accounts["bruno.costa"],
            hosts["WKS-102"],
            split=False,
            arrives=8 * HOUR + 30 * MINUTE,
            lunch=11 * HOUR + 40 * MINUTE,
            leaves=17 * HOUR + 30 * MINUTE,
            files=_department("Sales", "offers\\4417.docx", "customers.xlsx", "campaign\\autumn.pptx"),
            evening="lock",
            restarts=(moment(2, 10, 21),),
        ),
        employee(
            accounts["clara.diaz"],
            hosts["WKS-103"],
            split=False,
            arrives=7 * HOUR + 30 * MINUTE,
            lunch=11 * HOUR + 15 * MINUTE,
            leaves=16 * HOUR,
            files=_department("HR", "contracts\\firat.pdf", "holidays.xlsx", "applications\\2026-09.docx"),
            restarts=(moment(3, 13, 40),),
            forgets=moment(2, 0, 0),
        ),
        employee(
            accounts["david.engel"],
            hosts["WKS-104"],
            split=True,
            arrives=7 * HOUR + 10 * MINUTE,
            lunch=12 * HOUR + 45 * MINUTE,
            leaves=17 * HOUR + 40 * MINUTE,
            files=_department("IT", "scripts\\nightly-backup.cmd", "docs\\network.vsdx", "tools\\procexp.zip"),
            admin=accounts["adm-david"],
            restarts=(moment(0, 12, 44),),
        ),
        employee(
            accounts["elif.firat"],
            hosts["WKS-105"],
            split=True,
            arrives=9 * HOUR,
            lunch=12 * HOUR + 5 * MINUTE,
            leaves=18 * HOUR + 10 * MINUTE,
            files=_department("Dev", "builds\\2.14.zip", "specs\\api.md", "logs\\app01.txt"),
            evening="lock",
            restarts=(moment(4, 9, 33),),
            crashes=(moment(3, 14, 37),),
        ),
    )
    return {person.account.name: person for person in people}


def _department(name: str, *files: str) -> Files:
    return Files(Share(name, rf"D:\Shares\{name}"), files)
