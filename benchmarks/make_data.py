"""Writes the logs that bench.py reads: a week of a large domain, the same bytes for the same arguments.

    kept    every record is one that logontracks keeps; a third of them on one controller
    mixed   what a busy host writes: one record in six is kept, the rest is SYSTEM's own noise
    big     one file of one controller, all of it kept

Values vary as they do in real logs (names by popularity, logon ids and ports rising, GUIDs and tickets at random),
because they decide how large dictionaries grow and how well columns compress.
"""

from __future__ import annotations

import argparse
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

from noise import NOISE, service_state

from logontracks.simulate.evtx_writer import Event, EvtxWriter, Template, filetime
from logontracks.simulate.templates import AUDIT_FAILURE, SECURITY, template

HOSTS = 600
ACCOUNTS = 6000
CONTROLLERS = 2
FILE_RECORDS = 100_000  # then Windows archives the log and begins another
RECORDS = {"kept": 1_500_000, "mixed": 3_000_000, "big": 1_000_000}
KEPT_OF_MIXED = 0.17
SYSTEM_OF_MIXED = 0.05  # records of the System log

_DOMAIN, _REALM, _SID = "CORP", "CORP.EXAMPLE", "S-1-5-21-1004336348-1177238915-682003330"
_START = filetime(datetime(2026, 9, 7, tzinfo=UTC))
_WEEK = 7 * 86_400 * 10_000_000
_ZERO_GUID = "00000000-0000-0000-0000-000000000000"
_NOBODY = ("S-1-0-0", "-", "-", 0)
_PRIVILEGES = "\r\n\t\t\t".join(
    f"Se{name}Privilege"
    for name in [
        "Security",
        "Backup",
        "Restore",
        "TakeOwnership",
        "Debug",
        "SystemEnvironment",
        "LoadDriver",
        "Impersonate",
    ]
)
_PROGRAMS = [
    rf"C:\{folder}\{name}.exe"
    for folder in ("Windows\\System32", "Program Files\\Microsoft Office\\root\\Office16", "Program Files\\Tools")
    for name in [
        "cmd",
        "powershell",
        "conhost",
        "outlook",
        "winword",
        "excel",
        "teams",
        "rundll32",
        "mmc",
        "notepad",
        "msedge",
        "taskhostw",
    ]
]
_FIRST = "anna bjorn carla dirk elena frank greta hans ivana jonas karin lars maria nils olga paul ruth sven tina ulf"
_LAST = "bauer cohen diaz evans fischer garcia haas ito jansen klein lopez meyer novak okoro patel quinn rossi sato"


class Who(NamedTuple):
    sid: str
    name: str


@dataclass(frozen=True)
class Domain:
    """Who and what there is. `weights` deals out network logons: few accounts cause most of them."""

    people: list[Who]
    computers: list[Who]
    weights: list[float]


@cache
def domain() -> Domain:
    rng = Random(7)
    names = [f"{first}.{last}" for first in _FIRST.split() for last in _LAST.split()]
    people = [Who(f"{_SID}-{1100 + i}", f"{names[i % len(names)]}{i // len(names) or ''}") for i in range(ACCOUNTS)]
    computers = [Who(f"{_SID}-{9000 + i}", f"{_host_name(i)}$") for i in range(HOSTS)]
    order = [1 / (rank + 8) for rank in range(ACCOUNTS)]
    rng.shuffle(order)
    return Domain(people, computers, list(accumulate(order)))


def _host_name(number: int) -> str:
    if number < CONTROLLERS:
        return f"DC{number + 1:02d}"
    return f"SRV-{number:04d}" if number < HOSTS // 5 else f"WS-{number:05d}"


def address(number: int) -> str:
    return f"10.{20 + number // 2500}.{number // 200 % 250}.{number % 200 + 20}"


class Log:
    """Deals out the records of one host in the order of time: `record` gives the next one."""

    def __init__(self, rng: Random, host: int, begin: int, end: int, records: int, *, kept: float) -> None:
        self.rng = rng
        self.host = host
        self.computer = f"{_host_name(host)}.corp.example"
        self._domain = domain()
        self._now = begin
        self._pace = records / (end - begin)
        self._logon_id = rng.randrange(1 << 20, 1 << 28)
        self._boot = rng.randbytes(8).hex()
        self._hint = (_START - rng.randrange(_WEEK)).to_bytes(8, "little").hex()
        self._port = rng.randrange(49_700, 65_000)
        self._open: list[tuple[Who, int, int]] = []
        self._waiting: list[Event] = []
        self._kept = kept
        kinds = _ON_CONTROLLER if host < CONTROLLERS else _ON_MEMBER
        self._kinds = [make for make, _ in kinds]
        self._odds = list(accumulate(odds for _, odds in kinds))

    def record(self) -> Event:
        if self._waiting:
            return self._waiting.pop()
        self._now += int(self.rng.expovariate(self._pace))
        if self.rng.random() >= self._kept:
            version, values = self.rng.choice(NOISE)(self.rng, self.subject())
            return self._event(version, values)
        return self.rng.choices(self._kinds, cum_weights=self._odds)[0](self)

    def system_record(self) -> Event:
        self._now += int(self.rng.expovariate(self._pace))
        kind, values = service_state(self.rng)
        return Event(kind, self._now, self.computer, values, process_id=self.rng.randrange(100, 200) * 4)

    # What values are made of

    def subject(self) -> dict[str, object]:
        """SYSTEM under the name of the computer."""
        return _subject("S-1-5-18", f"{_host_name(self.host)}$", _DOMAIN, 0x3E7)

    def who(self) -> Who:
        """People, and computers a quarter of the time."""
        if self.rng.random() < 0.25:
            return self.rng.choice(self._domain.computers)
        return self.rng.choices(self._domain.people, cum_weights=self._domain.weights)[0]

    def client(self) -> tuple[str, str, str]:
        """Name, address and port of where a logon comes from."""
        number = self.rng.randrange(HOSTS)
        self._port = self._port + 1 if self._port < 65_000 else 49_700
        return _host_name(number), address(number), str(self._port + self.rng.randrange(500))

    def guid(self) -> str:
        digits = self.rng.randbytes(16).hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def next_logon_id(self) -> int:
        self._logon_id += self.rng.randrange(0x16, 0x3F0)
        return self._logon_id

    # Records

    def _event(
        self, kind: Template, values: dict[str, object], *, activity: bool = False, failure: bool = False
    ) -> Event:
        boot = self._boot
        return Event(
            kind,
            self._now,
            self.computer,
            [values[name] for name, _ in kind.fields],
            activity_id=f"{boot[:8]}-{boot[8:12]}-0000-{self._hint[:4]}-{self._hint[4:]}" if activity else None,
            process_id=700,
            thread_id=4 * self.rng.randrange(140, 1600),
            keywords=AUDIT_FAILURE if failure else None,
        )

    def security(
        self, event_id: int, version: int, values: dict[str, object], *, failure: bool = False, activity: bool = False
    ) -> Event:
        return self._event(template(SECURITY, event_id, version), values, failure=failure, activity=activity)

    def logon(self) -> Event:
        """4624, with its 4672 before it in a third of all cases."""
        who, logon_id = self.who(), self.next_logon_id()
        name, ip, port = self.client()
        kerberos = self.rng.random() < 0.8
        logon_type = self.rng.choices((3, 2, 5, 7, 10), (88, 3, 5, 2, 2))[0]
        values = {
            **_subject(*_NOBODY),
            **_target(who, logon_id, _REALM if kerberos else _DOMAIN),
            "LogonType": logon_type,
            "LogonProcessName": "Kerberos" if kerberos else "NtLmSsp ",
            "AuthenticationPackageName": "Kerberos" if kerberos else "NTLM",
            "WorkstationName": "-" if kerberos else name,
            "LogonGuid": self.guid() if kerberos else _ZERO_GUID,
            "TransmittedServices": "-",
            "LmPackageName": "-" if kerberos else "NTLM V2",
            "KeyLength": 0 if kerberos else 128,
            "ProcessId": 0,
            "ProcessName": "-",
            "IpAddress": ip,
            "IpPort": port,
            "ImpersonationLevel": self.rng.choice(("%%1833", "%%1833", "%%1840")),
            "RestrictedAdminMode": "-",
            "TargetOutboundUserName": "-",
            "TargetOutboundDomainName": "-",
            "VirtualAccount": "%%1843",
            "TargetLinkedLogonId": 0,
            "ElevatedToken": "%%1842",
        }
        event = self.security(4624, 2, values, activity=logon_type != 3)
        self._open.append((who, logon_id, logon_type))
        if self.rng.random() < 0.35:
            self._waiting.append(event)
            subject = _subject(who.sid, who.name, _DOMAIN, logon_id)
            return self.security(4672, 0, {**subject, "PrivilegeList": _PRIVILEGES})
        return event

    def logoff(self) -> Event:
        if not self._open:
            return self.logon()
        who, logon_id, logon_type = self._open.pop(self.rng.randrange(len(self._open)))
        if len(self._open) > 400:
            del self._open[:200]  # they never log off
        return self.security(4634, 0, {**_target(who, logon_id, _DOMAIN), "LogonType": logon_type})

    def failed_logon(self) -> Event:
        name, ip, port = self.client()
        who = self.who()
        values = {
            **_subject(*_NOBODY),
            **_target(Who("S-1-0-0", who.name), 0, _DOMAIN),
            "Status": 0xC000006D,
            "FailureReason": "%%2313",
            "SubStatus": self.rng.choice((0xC000006A, 0xC000006A, 0xC0000064)),
            "LogonType": 3,
            "LogonProcessName": "NtLmSsp ",
            "AuthenticationPackageName": "NTLM",
            "WorkstationName": name,
            "TransmittedServices": "-",
            "LmPackageName": "-",
            "KeyLength": 0,
            "ProcessId": 0,
            "ProcessName": "-",
            "IpAddress": ip,
            "IpPort": port,
        }
        return self.security(4625, 0, values, failure=True)

    def explicit_credentials(self) -> Event:
        """4648 by a session of this host."""
        by, logon_id, _ = self._open[-1] if self._open else (self.who(), self.next_logon_id(), 2)
        server = _host_name(self.rng.randrange(HOSTS)).lower()
        values = {
            **_subject(by.sid, by.name, _DOMAIN, logon_id),
            "LogonGuid": self.guid(),
            "TargetUserName": self.who().name,
            "TargetDomainName": _REALM,
            "TargetLogonGuid": self.guid(),
            "TargetServerName": f"{server}.corp.example",
            "TargetInfo": f"cifs/{server}.corp.example",
            "ProcessId": 4 * self.rng.randrange(200, 4000),
            "ProcessName": self.rng.choice(_PROGRAMS),
            "IpAddress": "-",
            "IpPort": "-",
        }
        return self.security(4648, 0, values, activity=True)

    def process(self) -> Event:
        """4688 in the session of a person: kept, because it belongs to a session."""
        by, logon_id, _ = self._open[-1] if self._open else (self.who(), self.next_logon_id(), 2)
        program = self.rng.choice(_PROGRAMS)
        values = {
            **_subject(by.sid, by.name, _DOMAIN, logon_id),
            **_target(Who("S-1-0-0", "-"), 0, "-"),
            "NewProcessId": 4 * self.rng.randrange(200, 6000),
            "NewProcessName": program,
            "TokenElevationType": "%%1938",
            "ProcessId": 4 * self.rng.randrange(200, 6000),
            "CommandLine": f'"{program}" /job {self.rng.randrange(10_000)}',
            "ParentProcessName": r"C:\Windows\explorer.exe",
            "MandatoryLabel": "S-1-16-8192",
        }
        return self.security(4688, 2, values)

    def ticket(self, event_id: int, *, failed: bool = False) -> Event:
        """4768 to 4771 on a controller; the second one has the layout of 2025."""
        who = self.who()
        _, ip, port = self.client()
        service = self.rng.choice(self._domain.computers) if event_id == 4769 else Who(f"{_SID}-502", "krbtgt")
        values: dict[str, object] = {
            "TargetUserName": f"{who.name}@{_REALM}" if event_id == 4769 else who.name,
            "TargetDomainName": _REALM,
            "TargetSid": who.sid,
            "ServiceName": service.name,
            "ServiceSid": service.sid,
            "TicketOptions": 0x40810000 if event_id == 4769 else 0x40810010,
            "Status": 0x18 if failed else 0,
            "TicketEncryptionType": 0x12,
            "PreAuthType": "2",
            "IpAddress": f"::ffff:{ip}",
            "IpPort": port,
            "CertIssuerName": "",
            "CertSerialNumber": "",
            "CertThumbprint": "",
            "LogonGuid": self.guid(),
            "TransmittedServices": "-",
        }
        version = 0
        if self.host and event_id in {4768, 4769}:
            version = 2
            values |= _ENCRYPTION_TYPES
            values["RequestTicketHash"] = b64encode(self.rng.randbytes(32)).decode()
            values["ResponseTicketHash"] = values["ResponseTicket"] = b64encode(self.rng.randbytes(32)).decode()
        return self.security(event_id, version, values, failure=failed)

    def ntlm(self) -> Event:
        values = {
            "PackageName": "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0",
            "TargetUserName": self.who().name,
            "Workstation": self.client()[0],
            "Status": 0,
        }
        return self.security(4776, 0, values)


_ENCRYPTION_TYPES = {
    "AccountSupportedEncryptionTypes": "0x27 (DES, RC4, AES-Sk)",
    "AccountAvailableKeys": "AES-SHA1, RC4",
    "ServiceSupportedEncryptionTypes": "0x1F (DES, RC4, AES128-SHA96, AES256-SHA96)",
    "ServiceAvailableKeys": "AES-SHA1, RC4",
    "DCSupportedEncryptionTypes": "0x1F (DES, RC4, AES128-SHA96, AES256-SHA96)",
    "DCAvailableKeys": "AES-SHA1, RC4",
    "ClientAdvertizedEncryptionTypes": "".join(
        f"\r\n\t\t{name}" for name in ("AES256-CTS-HMAC-SHA1-96", "AES128-CTS-HMAC-SHA1-96", "RC4-HMAC-NT")
    ),
    "SessionKeyEncryptionType": 0x12,
    "PreAuthEncryptionType": 0x12,
}
_Kinds = list[tuple[Callable[[Log], Event], float]]
_ON_MEMBER: _Kinds = [
    (Log.logon, 40),
    (Log.logoff, 40),
    (Log.process, 12),
    (Log.explicit_credentials, 4),
    (Log.failed_logon, 4),
]
_ON_CONTROLLER: _Kinds = [
    (Log.logon, 22),
    (Log.logoff, 21),
    (partial(Log.ticket, event_id=4769), 28),
    (partial(Log.ticket, event_id=4768), 11),
    (partial(Log.ticket, event_id=4770), 3),
    (partial(Log.ticket, event_id=4771, failed=True), 2),
    (Log.ntlm, 9),
    (Log.failed_logon, 2),
    (Log.explicit_credentials, 2),
]


def _subject(sid: str, name: str, domain: str, logon_id: int) -> dict[str, object]:
    return {"SubjectUserSid": sid, "SubjectUserName": name, "SubjectDomainName": domain, "SubjectLogonId": logon_id}


def _target(who: Who, logon_id: int, domain: str) -> dict[str, object]:
    return {
        "TargetUserSid": who.sid,
        "TargetUserName": who.name,
        "TargetDomainName": domain,
        "TargetLogonId": logon_id,
    }


class Part(NamedTuple):
    """One file: so many records of a host, in its share of the week."""

    path: Path
    host: int
    first_id: int
    records: int
    begin: int
    end: int
    kept: float
    system: bool = False


def write(part: Part) -> int:
    """Write a file, and return its size in bytes."""
    part.path.parent.mkdir(parents=True, exist_ok=True)
    rng = Random(f"{part.path.parent.parent.name}/{part.path.parent.name}/{part.path.name}")
    log = Log(rng, part.host, part.begin, part.end, part.records, kept=part.kept)
    make = log.system_record if part.system else log.record
    with EvtxWriter(part.path, first_record_id=part.first_id) as writer:
        for _ in range(part.records):
            writer.write(make())
    return part.path.stat().st_size


def parts(folder: Path, host: int, records: int, *, kept: float = 1, limit: int = FILE_RECORDS) -> list[Part]:
    """The files of one host: as many as the limit of a file asks for, each with its stretch of the week."""
    first_id = 1000 + host * 7919
    files = max(1, -(-records // limit))
    cuts = [records * number // files for number in range(files + 1)]
    made = []
    for number, (low, high) in enumerate(pairwise(cuts)):
        name = "Security.evtx" if number == files - 1 else f"Archive-Security-{number + 1:03d}.evtx"
        begin, end = (_START + _WEEK * cut // records for cut in (low, high))
        made.append(Part(folder / _host_name(host) / name, host, first_id + low, high - low, begin, end, kept))
    return made


def plan(out: Path, name: str, records: int) -> list[Part]:
    """All files of one data set."""
    folder = out / name
    if name == "big":
        return parts(folder, 0, records, limit=records)
    shares = [1 / (rank + 40) for rank in range(HOSTS - 1)]
    kept = KEPT_OF_MIXED if name == "mixed" else 1
    made = []
    for host in range(HOSTS):
        many = records // 3 if host == 0 else max(1, round(records * 2 / 3 * shares[host - 1] / sum(shares)))
        noise = round(many * SYSTEM_OF_MIXED) if name == "mixed" else 0
        made += parts(folder, host, max(1, many - noise), kept=kept / (1 - SYSTEM_OF_MIXED) if noise else kept)
        if noise:
            path = folder / _host_name(host) / "System.evtx"
            made.append(Part(path, host, 1, noise, _START, _START + _WEEK, 0, system=True))
    return made


def make(out: Path, sets: dict[str, int]) -> None:
    """Write the data sets that are not there yet, largest files first."""
    todo = []
    for name, records in sets.items():
        done = out / name / "records"
        if not done.exists() or done.read_text() != f"{records}\n":
            todo += plan(out, name, records)
    begun = time.monotonic()
    with ProcessPoolExecutor() as pool:
        size = sum(pool.map(write, sorted(todo, key=lambda part: -part.records)))
    for name, records in sets.items():
        (out / name / "records").write_text(f"{records}\n")
    if todo:
        seconds = time.monotonic() - begun
        print(f"{sum(p.records for p in todo):,} records, {len(todo)} files, {size >> 20} MB in {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--sets", nargs="+", choices=RECORDS, default=list(RECORDS))
    parser.add_argument("--records", type=int, help="of each set; default: " + str(RECORDS))
    args = parser.parse_args()
    make(args.out, {name: args.records or RECORDS[name] for name in args.sets})


if __name__ == "__main__":
    main()
