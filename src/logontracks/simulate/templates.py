"""The kinds of records the simulator writes: fields from the catalogue, the rest of the header from real records."""

from functools import cache
from typing import NamedTuple, cast

from logontracks import catalogue
from logontracks.simulate.evtx_writer import FieldType, Template

SECURITY = "Microsoft-Windows-Security-Auditing"
EVENTLOG = "Microsoft-Windows-Eventlog"
EVENTLOG_CLASSIC = "EventLog"
KERNEL_BOOT = "Microsoft-Windows-Kernel-Boot"
KERNEL_GENERAL = "Microsoft-Windows-Kernel-General"
KERNEL_POWER = "Microsoft-Windows-Kernel-Power"
NETLOGON = "Microsoft-Windows-Security-Netlogon"
LSM = "Microsoft-Windows-TerminalServices-LocalSessionManager"
RCM = "Microsoft-Windows-TerminalServices-RemoteConnectionManager"
RDP = "Microsoft-Windows-RemoteDesktopServices-RdpCoreTS"
SERVICES = "Service Control Manager"
USER32 = "User32"
WINLOGON = "Microsoft-Windows-Winlogon"

AUDIT_SUCCESS = 0x8020000000000000
AUDIT_FAILURE = 0x8010000000000000

_EVENTLOG_XML = "http://manifests.microsoft.com/win/2004/08/windows/eventlog"
_TERMINAL_XML = "Event_NS"


class _Provider(NamedTuple):
    guid: str | None
    level: int
    keywords: int
    qualifiers: int | None = None
    user_data: tuple[str, str] | None = None


_INFORMATION, _CRITICAL, _ERROR = 4, 1, 2
_CLASSIC = 0x80000000000000

_PROVIDERS = {
    SECURITY: _Provider("54849625-5478-4994-a5ba-3e3b0328c30d", 0, AUDIT_SUCCESS),
    EVENTLOG: _Provider("fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148", _INFORMATION, 0x4020000000000000),
    EVENTLOG_CLASSIC: _Provider(None, _INFORMATION, _CLASSIC, 32768),
    KERNEL_BOOT: _Provider("15ca44ff-4d7a-4baa-bba5-0998955e531e", _INFORMATION, 0x8000000000000000),
    KERNEL_GENERAL: _Provider("a68ca8b7-004f-d7b6-a698-07e2de0f1f5d", _INFORMATION, 0x8000000000000080),
    KERNEL_POWER: _Provider("331c3b3a-2005-44c2-ac5e-77220c37d6b4", _INFORMATION, 0x8000400000000404),
    LSM: _Provider(
        "5d896912-022d-40aa-a3a8-4fa5515c76d7",
        _INFORMATION,
        0x1000000000000000,
        user_data=("EventXML", _TERMINAL_XML),
    ),
    RCM: _Provider(
        "c76baa63-ae81-421c-b425-340b4b24157f",
        _INFORMATION,
        0x1000000000000000,
        user_data=("EventXML", _TERMINAL_XML),
    ),
    RDP: _Provider("1139c61b-b549-4251-8ed3-27250a1edec8", _INFORMATION, 0x4000000000000000),
    NETLOGON: _Provider("e5ba83f6-07d0-46b1-8bc7-7e669a1d31dc", _INFORMATION, 0x8000000000000000),
    SERVICES: _Provider("555908d1-a6d7-4695-8e1e-26931d2012f4", _INFORMATION, 0x8080000000000000, 16384),
    USER32: _Provider("b0aa8734-56f7-41cc-b2f4-de228e98b946", _INFORMATION, 0x8080000000000000, 32768),
    WINLOGON: _Provider("dbe9b383-7cf3-4331-91cc-a3cb16a3b538", _INFORMATION, 0x2000200000000000),
}

# Task, as real records of each kind have it; 0 where not listed.
_TASKS = {
    (SECURITY, 4608): 12288,
    (SECURITY, 4616): 12288,
    (SECURITY, 4624): 12544,
    (SECURITY, 4625): 12544,
    (SECURITY, 4634): 12545,
    (SECURITY, 4647): 12545,
    (SECURITY, 4648): 12544,
    (SECURITY, 4672): 12548,
    (SECURITY, 4688): 13312,
    (SECURITY, 4697): 12289,
    (SECURITY, 4740): 13824,
    (SECURITY, 4767): 13824,
    (SECURITY, 4768): 14339,
    (SECURITY, 4769): 14337,
    (SECURITY, 4770): 14337,
    (SECURITY, 4771): 14339,
    (SECURITY, 4776): 14336,
    (SECURITY, 4778): 12551,
    (SECURITY, 4779): 12551,
    (SECURITY, 4800): 12551,
    (SECURITY, 4801): 12551,
    (SECURITY, 5140): 12808,
    (SECURITY, 5145): 12811,
    (EVENTLOG, 1100): 103,
    (EVENTLOG, 1101): 101,
    (EVENTLOG, 1102): 104,
    (KERNEL_BOOT, 27): 33,
    (KERNEL_GENERAL, 12): 1,
    (KERNEL_GENERAL, 13): 2,
    (KERNEL_GENERAL, 1): 5,
    (KERNEL_POWER, 41): 63,
    (KERNEL_POWER, 42): 64,
    (KERNEL_POWER, 107): 102,
    (KERNEL_POWER, 109): 103,
    (RDP, 103): 4,
    (RDP, 131): 4,
    (WINLOGON, 7001): 1101,
    (WINLOGON, 7002): 1102,
}
_OPCODES = {(RDP, 103): 17, (RDP, 131): 15}
_LEVELS = {(EVENTLOG, 1101): _ERROR, (EVENTLOG_CLASSIC, 6008): _ERROR, (KERNEL_POWER, 41): _CRITICAL}
_KEYWORDS = {
    (KERNEL_BOOT, 27): 0x8000000000000000,
    (KERNEL_GENERAL, 1): 0x8000000000000010,
    (KERNEL_POWER, 41): 0x8000400000000002,
    (KERNEL_POWER, 42): 0x8000000000000404,
    (KERNEL_POWER, 107): 0x8000000000000444,
}
_USER_DATA = {
    (EVENTLOG, 1100): ("ServiceShutdown", _EVENTLOG_XML),
    (EVENTLOG, 1102): ("LogFileCleared", _EVENTLOG_XML),
}


@cache
def template(provider: str, event_id: int, version: int = 0) -> Template:
    """The template of one kind of record. KeyError when the catalogue does not have it."""
    common = _PROVIDERS[provider]
    kind = (provider, event_id)
    return Template(
        provider=provider,
        event_id=event_id,
        version=version,
        channel=catalogue.events()[provider.lower(), event_id].channel,
        fields=_fields(provider, event_id, version),
        provider_guid=common.guid,
        level=_LEVELS.get(kind, common.level),
        task=_TASKS.get(kind, 0),
        opcode=_OPCODES.get(kind, 0),
        keywords=_KEYWORDS.get(kind, common.keywords),
        qualifiers=common.qualifiers,
        user_data=_USER_DATA.get(kind, common.user_data),
    )


def _fields(provider: str, event_id: int, version: int) -> tuple[tuple[str, FieldType], ...]:
    layout = catalogue.fields()[provider.lower(), event_id, version]
    return tuple((_written_name(field.name), cast("FieldType", field.type)) for field in layout)


def _written_name(name: str) -> str:
    """The catalogue calls the strings of classic events #1, #2 ...; in the log they have no name."""
    return "" if name.startswith("#") else name
