"""A company of any size, as it stands when the first day begins: hosts, people with their habits, services, devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from logontracks.simulate.cast import (
    SERVER_2019,
    SERVER_2022,
    SERVER_2025,
    WINDOWS_7,
    WINDOWS_10,
    WINDOWS_11,
    Company,
    Evening,
    Person,
)
from logontracks.simulate.host import DAY, HOUR, MINUTE, SECOND, Account, Build, Domain, Host, Outsider, Role, Way
from logontracks.simulate.kerberos import Network
from logontracks.simulate.leases import Pool
from logontracks.simulate.network import Files
from logontracks.simulate.records import Share
from logontracks.simulate.truth import Truth
from logontracks.simulate.window_managers import open_managers

SMALLEST = 8  # hosts: two controllers, two servers, a kiosk and three desks

_TREES = ("ALDER", "ASPEN", "BIRCH", "CEDAR", "ELM", "HAZEL", "LINDEN", "MAPLE", "OAK", "PINE", "ROWAN", "SPRUCE")
_FIRST_NAMES = """
ada akira amina ana anders ben bea carl chen dana dario edith emil eva farid fiona gina goran hana hugo ida ines ivan
jana jonas kaja karim lea lina luis maja marco mila nadia nils olga omar paula petra raj rosa sami sara tariq tess ugo
vera wei yara zoe"""
_LAST_NAMES = """
adler baker bauer blanc castro choi conti cruz dahl dubois engel farkas fischer gomez greco haas hansen ito jansen kaya
keller kim klein kovac lang larsen lopez marin meyer mori nagy novak okafor park perez petrov quinn rossi sato schulz
silva singh smith sousa tanaka toth vogel weber wolf young"""
_FIRST, _LAST = _FIRST_NAMES.split(), _LAST_NAMES.split()
_DEPARTMENTS = {
    "Finance": ("2026\\invoices-10.xlsx", "2026\\budget.xlsx", "payments\\run-41.csv"),
    "Sales": ("offers\\4417.docx", "customers.xlsx", "campaign\\autumn.pptx"),
    "HR": ("contracts\\2026-17.pdf", "holidays.xlsx", "applications\\2026-09.docx"),
    "Production": ("plans\\week-41.xlsx", "orders.csv", "shifts.xlsx"),
    "Development": ("builds\\2.14.zip", "specs\\api.md", "logs\\app01.txt"),
    "Legal": ("cases\\112.docx", "templates\\nda.dotx", "archive\\2025.zip"),
}
_IT = ("scripts\\nightly-backup.cmd", "docs\\network.vsdx", "tools\\procexp.zip")
_Kind = tuple[str, str, Role, Sequence[Build]]  # name, address, role, builds to choose from
_WORKING_WEEK = frozenset(range(5))


@dataclass(frozen=True, slots=True)
class Plan:
    """How many hosts of each kind. `partner`: hosts of a second domain, its controller among them."""

    controllers: int
    servers: int
    kiosks: int
    desks: int
    partner: int


def plan(hosts: int) -> Plan:
    """The kinds of so many hosts. ValueError for fewer than a company needs."""
    if hosts < SMALLEST:
        raise ValueError(f"a company needs {SMALLEST} hosts or more")
    controllers = max(2, hosts // 50)
    servers = max(2, hosts // 9)
    kiosks = max(1, hosts // 40)
    partner = max(3, hosts // 30) if hosts >= 2 * SMALLEST else 0
    return Plan(controllers, servers, kiosks, hosts - controllers - servers - kiosks - partner, partner)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is: the company, its kiosks, the devices that log on by themselves, a second domain.

    `manager`: the machine that servers are managed from, without logs here.
    """

    company: Company
    kiosks: tuple[Host, ...]
    scanners: tuple[Outsider, ...]
    phones: tuple[tuple[Outsider, Account], ...]
    partner: Company | None
    manager: Outsider


@dataclass(frozen=True, slots=True)
class _Start:
    """What all that is made depends on: the seed, chance that follows from it, and the days to come."""

    seed: int
    rng: Random
    begin: int
    days: int


def found(seed: int, *, hosts: int, users: int | None, begin: int, days: int) -> Found:
    """A company of so many hosts and people (None: one a desk). All that chance decides follows from `seed`.

    ValueError where people are more than desks in three shifts.
    """
    rng = Random(f"{seed} staff")
    start = _Start(seed, rng, begin, days)
    size = plan(hosts)
    own, other = rng.sample(_TREES, 2)
    truth = Truth()
    domain = _domain(own, rng)
    company = _company(start, domain, truth, size)
    people = _People(company, start)
    desks = [host for host in company.net.members if host.role == "workstation"]
    kiosks, desks = desks[: size.kiosks], desks[size.kiosks :]
    if users is None:
        users = len(desks)
    if users > 3 * len(desks):
        raise ValueError(f"{len(desks)} desks have room for {3 * len(desks)} people in three shifts")
    for number in range(users):
        shift, desk = divmod(number, len(desks))
        people.hire(desks[desk], shift=shift, shared=shift > 0 or desk + len(desks) < users)
    company.people, company.accounts = people.people, people.accounts
    company.services = people.services
    partner = None
    if size.partner:
        partner = _partner(start, _domain(other, rng), company, size.partner)
    leavers = people.leavers(max(1, users // 25))
    return Found(
        company,
        tuple(kiosks),
        tuple(Outsider(f"COPIER-{number}F", f"10.20.3.{60 + number}") for number in range(1, 2 + size.desks // 60)),
        tuple(
            (Outsider(f"phone-{number:02}", f"10.20.250.{30 + number}"), account)
            for number, account in enumerate(leavers, 1)
        ),
        partner,
        Outsider("MGMT-01", "10.20.3.90"),
    )


def _domain(name: str, rng: Random) -> Domain:
    parts = "-".join(str(rng.randint(10**8, 4 * 10**9)) for _ in range(3))
    return Domain(name, f"{name.lower()}.example", f"S-1-5-21-{parts}")


def _company(start: _Start, domain: Domain, truth: Truth, size: Plan) -> Company:
    """The hosts, without people. Clients at desks have fixed addresses until somebody makes them laptops."""
    kinds: list[_Kind] = [
        (f"DC{number:02}", f"10.20.0.{10 + number}", "controller", (SERVER_2019, SERVER_2022))
        for number in range(1, size.controllers + 1)
    ]
    for number in range(size.servers):
        name = f"{('FS', 'APP', 'SRV')[min(number, 2) if number < 6 else number % 3]}"
        name = f"{name}{1 + sum(kind.startswith(name) for kind, _, _, _ in kinds):02}"
        address = f"10.20.{number // 200}.{31 + number % 200}"
        kinds.append((name, address, "server", (SERVER_2019, SERVER_2022, SERVER_2025)))
    for number in range(size.kiosks + size.desks):
        address = f"10.20.{4 + number // 200}.{20 + number % 200}"
        kinds.append((f"WKS-{101 + number}", address, "workstation", (WINDOWS_10, WINDOWS_10, WINDOWS_11)))
    hosts = _hosts(start, domain, truth, kinds)
    controllers = [host for host in hosts.values() if host.role == "controller"]
    for controller in controllers[::2]:
        controller.audits_ntlm = True
    members = [host for host in hosts.values() if host.role != "controller"]
    return Company(
        Network(domain, controllers, members, Random(f"{start.seed} {domain.netbios}"), truth),
        Random(f"{start.seed} company"),
        {},
        {},
        hosts,
        copier=Outsider("COPIER-1F", "10.20.3.61"),
        attacker=Outsider("DESKTOP-7QK3V1H", "203.0.113.57"),
        truth=truth,
        office=Pool("10.20.200.", max(3, size.desks // 2), Random(f"{start.seed} office")),
        vpn=Pool("10.20.240.", max(3, size.desks // 2), Random(f"{start.seed} vpn")),
    )


def _hosts(start: _Start, domain: Domain, truth: Truth, kinds: Sequence[_Kind]) -> dict[str, Host]:
    hosts = {}
    for number, (name, address, role, builds) in enumerate(kinds):
        own = Random(f"{start.seed} {domain.netbios} {name}")
        host = Host(name, address, domain, 1103 + number, role, start.rng.choice(builds), own, truth)
        up_s = start.rng.randint(4 * 86_400, 40 * 86_400 if role != "workstation" else 9 * 86_400)
        boot = host.start(start.begin - up_s * SECOND)
        host.console_managers = open_managers(host, boot.started + 8 * SECOND, 1)
        host.ways = _ways(host, start)
        hosts[name] = host
        truth.joined(host)
    return hosts


def _ways(host: Host, start: _Start) -> frozenset[Way]:
    """What a host does that not each one does: clients are machines of their own, servers virtual ones."""
    rng = Random(f"{start.seed} {host.domain.netbios} {host.name} ways")
    is_client = host.role == "workstation"
    likely: dict[Way, float] = {
        "anonymous": 0.7 if host.build is SERVER_2019 else 0,
        "clock_set": 0 if is_client else 0.8,
        "dropped": 0.6,
        "false_alarm": 0.5 if is_client else 0,
        "late_words": 0.9,
        "link_local": 0.7 if host.role == "controller" else 0,
        "own_logons": 0.4 if is_client else 0,
    }
    return frozenset(way for way, share in likely.items() if rng.random() < share)


class _People:
    """Hires people one by one, and makes the accounts of services."""

    def __init__(self, company: Company, start: _Start) -> None:
        self.company, self.rng, self.begin, self.days = company, start.rng, start.begin, start.days
        self.seed = start.seed
        self.people: dict[str, Person] = {}
        self.accounts: dict[str, Account] = {}
        self.services: dict[str, list[Account]] = {}
        servers = [host for host in company.hosts.values() if host.role == "server"]
        self.files = [host for host in servers if host.name.startswith("FS")]
        self.apps = [host for host in servers if host.name.startswith("APP")]
        for host in (*self.apps, *(host for host in servers if host.name.startswith("SRV"))):
            account = self._account(f"svc-{host.name.lower()}", "service")
            self.services[host.name] = [account]
        if servers:
            self._account("svc-backup", "service")
            self._account("svc-scan", "service")
            self._account("svc-manage", "service")

    def _account(self, name: str, kind: str, *, person: str | None = None) -> Account:
        domain = self.company.net.domain
        account = Account(name, f"{domain.sid}-{2101 + len(self.accounts)}", domain.netbios, domain.realm)
        self.accounts[name] = account
        self.company.truth.identity(account, kind, person=person)
        return account

    def leavers(self, count: int) -> list[Account]:
        """People who have left: their accounts are disabled."""
        names = [self._name() for _ in range(count)]
        return [self._account(name, "person", person=name) for name in dict.fromkeys(names)]

    def _name(self) -> str:
        name = f"{self.rng.choice(_FIRST)}.{self.rng.choice(_LAST)}"
        number = 2
        free = name
        while free in self.accounts:
            free, number = f"{name}{number}", number + 1
        return free

    def hire(self, host: Host, *, shift: int = 0, shared: bool = False) -> Person:
        """Somebody for a desk. `shift`: how many others use it before, on the same day."""
        rng = self.rng
        name = self._name()
        account = self._account(name, "person", person=name)
        is_admin = shift == 0 and len(self.people) % 9 == 1
        admin = self._account(f"adm-{name}", "administrator", person=name) if is_admin else None
        laptop = not shared and not is_admin and self.company.office is not None and rng.random() < 0.35
        own = Random(f"{self.seed} {name} {host.name}")
        if not (shift or shared or laptop or is_admin) and own.random() < 0.2:
            host.build, host.console_managers = WINDOWS_7, []
            host.ways |= {"anonymous"}
        department = "IT" if is_admin else rng.choice(tuple(_DEPARTMENTS))
        number = len(self.apps) and rng.randrange(len(self.apps))
        app = self.apps[number] if self.apps else self.files[0]
        arrives = 6 * HOUR + 8 * HOUR * shift if shared else rng.randint(390, 570) * MINUTE
        weekdays = self._weekdays()
        person = Person(
            account,
            host,
            split=is_admin or rng.random() < (0.5 if host.build.is_old else 0.2),
            arrives=arrives,
            lunch=arrives + rng.randint(210, 270) * MINUTE,
            leaves=arrives + (450 if shared else rng.randint(440, 560)) * MINUTE,
            files=Files(Share(department, rf"D:\Shares\{department}"), _DEPARTMENTS.get(department, _IT)),
            files_at=rng.choice(self.files),
            app_at=app,
            app_as=self.services[app.name][0] if app.name in self.services else app.account,
            pause=arrives + rng.randint(320, 380) * MINUTE,
            weekdays=weekdays,
            evening=self._evening(laptop=laptop, shared=shared, starts_fast=not host.build.is_old),
            admin=admin,
            restarts=self._moments(0.5, arrives) if not shared else (),
            crashes=self._moments(0.06, arrives) if not shared else (),
            forgets=self.begin + rng.randrange(self.days) * DAY if rng.random() < 0.06 else None,
            laptop=laptop,
            home_days=frozenset(rng.sample(sorted(weekdays), min(2, len(weekdays)))) if laptop else frozenset(),
            cached=rng.random() < 0.3,
            ntlm=rng.choice((0.005, 0.015, 0.015, 0.2)),
            late=rng.choice((0, 0.02, 0.1)),
            leaks=rng.choice((0.02, 0.1, 0.3)),
            comes_back=own.choice((0, 0.25)),
            prompts=0.02 if admin else 0,
            called_back=own.choice((0, 0, 0, 0.015)),
        )
        self.people[name] = person
        self.company.truth.owners.setdefault(host.name, name)
        if laptop:
            host.address = ""
        return person

    def _weekdays(self) -> frozenset[int]:
        chance = self.rng.random()
        if chance < 0.75:
            return _WORKING_WEEK
        if chance < 0.88:
            return frozenset(self.rng.sample(range(5), 3))
        return frozenset((0, 1, 3, 4, 5)) if chance < 0.95 else frozenset((2, 3, 4, 5, 6))

    def _evening(self, *, laptop: bool, shared: bool, starts_fast: bool) -> Evening:
        """How this person leaves. Only clients start fast; at a shared desk everybody logs off."""
        if shared:
            return "log_off"
        if laptop:
            return self.rng.choice(("sleep", "sleep", "power_off", "shut_down"))
        evening: Evening = self.rng.choice(("log_off", "log_off", "lock", "lock", "power_off", "shut_down"))
        return "shut_down" if evening == "power_off" and not starts_fast else evening

    def _moments(self, a_week: float, arrives: int) -> tuple[int, ...]:
        """Moments at work, so often in a week on average."""
        days = [day for day in range(self.days) if self.rng.random() < a_week / 5]
        return tuple(self.begin + day * DAY + arrives + self.rng.randint(40, 190) * MINUTE for day in days)


def _partner(start: _Start, domain: Domain, company: Company, hosts: int) -> Company:
    """A second domain with a controller and some desks, whose people use the first one's file servers."""
    kinds: list[_Kind] = [(f"{domain.netbios[:3]}-DC1", "10.30.0.11", "controller", (SERVER_2022,))]
    kinds += [
        (f"{domain.netbios[:3]}-PC{number}", f"10.30.1.{20 + number}", "workstation", (WINDOWS_11,))
        for number in range(1, hosts)
    ]
    own = _hosts(start, domain, company.truth, kinds)
    controllers = [host for host in own.values() if host.role == "controller"]
    members = [host for host in own.values() if host.role == "workstation"]
    net = Network(domain, controllers, members, Random(f"{start.seed} {domain.netbios}"), company.truth)
    net.trusts[company.net.domain.realm] = company.net
    partner = Company(
        net,
        Random(f"{start.seed} partner"),
        {},
        {},
        own,
        copier=company.copier,
        attacker=company.attacker,
        truth=company.truth,
    )
    people = _People(partner, start)
    people.files = [host for host in company.hosts.values() if host.name.startswith("FS")]
    for host in members:
        people.hire(host)
    partner.people, partner.accounts = people.people, people.accounts
    return partner
