"""Names that change: of hosts, of accounts, and of machines that were made from one image."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from logontracks.simulate import power, records
from logontracks.simulate.cast import Company
from logontracks.simulate.host import SECOND, SYSTEM, Account, Host
from logontracks.simulate.people import OTHER, Life
from logontracks.simulate.templates import EVENTLOG_CLASSIC

T = TypeVar("T")


def rename_host(company: Company, host: Host, moment: int, name: str) -> Iterator[int]:
    """A host gets a new name, which it has from its next start on; its account is renamed on a controller (4781)."""
    yield moment
    if not host.is_up(moment):
        return
    old = host.account
    for desktop in [desktop for desktop in company.remotes if desktop.host is host]:
        company.remotes.remove(desktop)
    power.shut_down(host, moment, SYSTEM, reason=OTHER)
    back = moment + 80 * SECOND
    _call(company, host, name, back)
    controller = company.net.controllers[0]
    _renamed(controller, moment - 5 * SECOND, old, host.account)
    company.truth.renamed(host.account, moment)
    yield back
    power.boot(company.net, host, back)
    _tell_name(host, back)


def clone(company: Company, hosts: Sequence[Host], moment: int, rng: Random) -> Iterator[Iterator[int]]:
    """Hosts begin under the name of the image they were made from, in no domain, and join it under their own names."""
    image = f"WIN-{''.join(rng.choices('ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789', k=11))}"
    for number, host in enumerate(hosts):
        name, address = host.name, host.address
        host.name, host.address, host.is_member = image, "", False
        company.truth.spoiled("clones", host, f"begins as {image}")
        yield _join(company, host, moment + number * 1400 * SECOND, name, address)


def _join(company: Company, host: Host, moment: int, name: str, address: str) -> Iterator[int]:
    yield moment
    power.shut_down(host, moment, SYSTEM, reason=OTHER)
    back = moment + 80 * SECOND
    _call(company, host, name, back)
    host.address = address
    yield back
    power.boot(company.net, host, back)
    _tell_name(host, back)


def _call(company: Company, host: Host, name: str, moment: int) -> None:
    """The name in all places, from `moment` on."""
    truth, old = company.truth, host.name
    truth.spoiled("renames", host, f"{host.fqdn} becomes {name}", since=moment)
    host.former.append((moment, host.fqdn))
    host.name, host.is_member = name, True
    _rekey(company.hosts, old, name)
    _rekey(company.services, old, name)
    _rekey(truth.owners, old, name)


def _tell_name(host: Host, started: int) -> None:
    """6011: the host-aptsimulator-win10 System 114 is such a one, at the start after the change."""
    before = host.former[-1][1].partition(".")[0]
    host.log(6011, started + 9 * SECOND, (before, host.name), provider=EVENTLOG_CLASSIC, process="none")


def rename_person(company: Company, life: Life, moment: int) -> Iterator[int]:
    """Somebody gets another name, and keeps the SID (4781); who is logged on is so under the old one."""
    yield moment
    person = life.person
    old = person.account
    first, _, last = old.name.partition(".")
    account = replace(old, name=f"{first}.{last}-west")
    _renamed(company.net.controllers[0], moment, old, account)
    company.truth.renamed(account, moment)
    company.truth.spoiled("renames", None, f"{old.name} becomes {account.name}", since=moment)
    life.person = replace(person, account=account)
    del company.people[old.name], company.accounts[old.name]
    company.people[account.name] = life.person
    company.accounts[account.name] = account


def _renamed(controller: Host, moment: int, old: Account, new: Account) -> None:
    """4781, as host-aptsimulator-server2022 Security 166 has it."""
    values = {
        "OldTargetUserName": old.name,
        "NewTargetUserName": new.name,
        "TargetDomainName": new.domain,
        "TargetSid": new.sid,
        **records.subject(controller.system),
        "PrivilegeList": "-",
    }
    controller.log(4781, moment, values, activity=True)


def _rekey(by_name: dict[str, T], old: str, new: str) -> None:
    if old in by_name:
        by_name[new] = by_name.pop(old)
