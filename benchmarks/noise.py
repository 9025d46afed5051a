"""Records that a busy host writes and logontracks does not keep: SYSTEM at work, and the Windows firewall."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from logontracks.simulate.evtx_writer import Template
from logontracks.simulate.templates import SECURITY, SERVICES, template

_GUID = "54849625-5478-4994-a5ba-3e3b0328c30d"
_CONNECTION = Template(
    SECURITY,
    5156,
    1,
    "Security",
    (
        ("ProcessID", "UInt64"),
        ("Application", "UnicodeString"),
        ("Direction", "UnicodeString"),
        ("SourceAddress", "UnicodeString"),
        ("SourcePort", "UnicodeString"),
        ("DestAddress", "UnicodeString"),
        ("DestPort", "UnicodeString"),
        ("Protocol", "UInt32"),
        ("FilterRTID", "UInt64"),
        ("LayerName", "UnicodeString"),
        ("LayerRTID", "UInt64"),
        ("RemoteUserID", "SID"),
        ("RemoteMachineID", "SID"),
    ),
    provider_guid=_GUID,
    task=12810,
)
_BIND = Template(
    SECURITY,
    5158,
    0,
    "Security",
    (
        ("ProcessId", "UInt64"),
        ("Application", "UnicodeString"),
        ("SourceAddress", "UnicodeString"),
        ("SourcePort", "UnicodeString"),
        ("Protocol", "UInt32"),
        ("FilterRTID", "UInt64"),
        ("LayerName", "UnicodeString"),
        ("LayerRTID", "UInt64"),
    ),
    provider_guid=_GUID,
    task=12810,
)
_SERVICE_STATE = Template(
    SERVICES,
    7036,
    0,
    "System",
    (("param1", "UnicodeString"), ("param2", "UnicodeString")),
    provider_guid="555908d1-a6d7-4695-8e1e-26931d2012f4",
    level=4,
    keywords=0x8080000000000000,
    qualifiers=16384,
)
_DEVICE = r"\device\harddiskvolume3\windows\system32"
_APPLICATIONS = [
    rf"{_DEVICE}\{name}.exe"
    for name in ["svchost", "lsass", "services", "spoolsv", "wininit", "dns", "dfsrs", "ismserv"]
]
_PROGRAMS = [
    rf"C:\Windows\System32\{name}.exe"
    for name in ["svchost", "lsass", "services", "taskhostw", "wsmprovhost", "wmiprvse"]
]
_SERVICES = [
    f"{first} {last}"
    for first in ("Windows", "Application", "Network", "Remote", "Software", "Volume")
    for last in ("Update", "Experience", "Installer", "Licensing Service", "Copy", "Connection Manager")
]
Values = dict[str, object]
Noise = tuple[Template, Values]


def _address(rng: Random) -> str:
    return f"10.20.{rng.randrange(4)}.{rng.randrange(20, 220)}"


def _connection(rng: Random, _subject: Values) -> Noise:
    inbound = rng.random() < 0.6
    return _CONNECTION, {
        "ProcessID": 4 * rng.randrange(1, 1200),
        "Application": rng.choice(_APPLICATIONS),
        "Direction": "%%14592" if inbound else "%%14593",
        "SourceAddress": _address(rng),
        "SourcePort": str(rng.randrange(49_152, 65_535)),
        "DestAddress": _address(rng),
        "DestPort": rng.choice(("53", "88", "135", "389", "445", "49667")),
        "Protocol": rng.choice((6, 6, 17)),
        "FilterRTID": rng.randrange(60_000, 90_000),
        "LayerName": "%%14610" if inbound else "%%14611",
        "LayerRTID": 44 if inbound else 48,
        "RemoteUserID": "S-1-0-0",
        "RemoteMachineID": "S-1-0-0",
    }


def _bind(rng: Random, _subject: Values) -> Noise:
    return _BIND, {
        "ProcessId": 4 * rng.randrange(1, 1200),
        "Application": rng.choice(_APPLICATIONS),
        "SourceAddress": rng.choice(("0.0.0.0", "::")),  # noqa: S104 - a value in a record
        "SourcePort": str(rng.randrange(49_152, 65_535)),
        "Protocol": rng.choice((6, 17)),
        "FilterRTID": 0,
        "LayerName": "%%14608",
        "LayerRTID": 36,
    }


def _object(rng: Random, subject: Values) -> Values:
    return {
        **subject,
        "ObjectServer": "Security",
        "ObjectType": "File",
        "ObjectName": rf"C:\Windows\System32\LogFiles\{rng.randrange(4000):05d}.log",
        "HandleId": 4 * rng.randrange(40, 9000),
        "TransactionId": "00000000-0000-0000-0000-000000000000",
        "AccessList": "%%1538\r\n\t\t\t\t%%4423\r\n\t\t\t\t",
        "AccessReason": "-",
        "AccessMask": 0x20080,
        "PrivilegeList": "-",
        "RestrictedSidCount": 0,
        "ProcessId": 4 * rng.randrange(100, 1200),
        "ProcessName": rng.choice(_PROGRAMS),
        "ResourceAttributes": "S:AI",
    }


def _handle_asked(rng: Random, subject: Values) -> Noise:
    return template(SECURITY, 4656, 1), _object(rng, subject)


def _object_used(rng: Random, subject: Values) -> Noise:
    return template(SECURITY, 4663, 1), _object(rng, subject)


def _handle_closed(rng: Random, subject: Values) -> Noise:
    return template(SECURITY, 4658), _object(rng, subject)


def _handle_copied(rng: Random, subject: Values) -> Noise:
    return template(SECURITY, 4690), {
        **subject,
        "SourceHandleId": 4 * rng.randrange(40, 9000),
        "SourceProcessId": 4 * rng.randrange(100, 1200),
        "TargetHandleId": 4 * rng.randrange(40, 9000),
        "TargetProcessId": 4,
    }


def _privilege(rng: Random, subject: Values) -> Noise:
    return template(SECURITY, 4673), {
        **subject,
        "ObjectServer": "NT Local Security Authority / Authentication Service",
        "Service": "LsaRegisterLogonProcess()",
        "PrivilegeList": "SeTcbPrivilege",
        "ProcessId": 4 * rng.randrange(100, 1200),
        "ProcessName": rng.choice(_PROGRAMS),
    }


def _process(rng: Random, subject: Values) -> Noise:
    return template(SECURITY, 4688, 2), {
        **subject,
        "NewProcessId": 4 * rng.randrange(200, 6000),
        "NewProcessName": rng.choice(_PROGRAMS),
        "TokenElevationType": "%%1936",
        "ProcessId": 4 * rng.randrange(100, 1200),
        "CommandLine": f"{rng.choice(_PROGRAMS)} -k netsvcs -p -s {rng.randrange(200)}",
        "TargetUserSid": "S-1-0-0",
        "TargetUserName": "-",
        "TargetDomainName": "-",
        "TargetLogonId": 0,
        "ParentProcessName": r"C:\Windows\System32\services.exe",
        "MandatoryLabel": "S-1-16-16384",
    }


def _process_ended(rng: Random, subject: Values) -> Noise:
    return template(SECURITY, 4689), {
        **subject,
        "Status": 0,
        "ProcessId": 4 * rng.randrange(200, 6000),
        "ProcessName": rng.choice(_PROGRAMS),
    }


NOISE: list[Callable[[Random, Values], Noise]] = (
    [_connection] * 8
    + [_bind] * 4
    + [
        _handle_asked,
        _handle_closed,
        _handle_closed,
        _handle_copied,
        _object_used,
        _privilege,
        _process,
        _process_ended,
    ]
)
"""One entry a share: three records in five are the firewall's."""


def service_state(rng: Random) -> tuple[Template, list[object]]:
    """7036 of the System log."""
    return _SERVICE_STATE, [rng.choice(_SERVICES), rng.choice(("running", "stopped"))]
