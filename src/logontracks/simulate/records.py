"""One function a record of the Security log: which value stands in which field, spelled as Windows spells it."""

from collections.abc import Mapping
from dataclasses import dataclass

from logontracks.simulate.host import SYSTEM, ZERO_GUID, Account, Host, Session
from logontracks.simulate.templates import AUDIT_FAILURE
from logontracks.simulate.templates import SERVICES as SERVICE_CONTROL

YES, NO = "%%1842", "%%1843"
IMPERSONATION, DELEGATION = "%%1833", "%%1840"
SYSTEM32 = r"C:\Windows\System32"

_INDENT = "\r\n\t\t\t"

_ADMINISTRATOR = (
    "SeSecurityPrivilege SeTakeOwnershipPrivilege SeLoadDriverPrivilege SeBackupPrivilege SeRestorePrivilege "
    "SeDebugPrivilege SeSystemEnvironmentPrivilege SeImpersonatePrivilege SeDelegateSessionUserImpersonatePrivilege"
)
_ADMINISTRATOR_REMOTE = (
    "SeSecurityPrivilege SeBackupPrivilege SeRestorePrivilege SeTakeOwnershipPrivilege SeDebugPrivilege "
    "SeSystemEnvironmentPrivilege SeLoadDriverPrivilege SeImpersonatePrivilege "
    "SeDelegateSessionUserImpersonatePrivilege"
)
_OPERATING_SYSTEM = (
    "SeAssignPrimaryTokenPrivilege SeTcbPrivilege SeSecurityPrivilege SeTakeOwnershipPrivilege SeLoadDriverPrivilege "
    "SeBackupPrivilege SeRestorePrivilege SeDebugPrivilege SeAuditPrivilege SeSystemEnvironmentPrivilege "
    "SeImpersonatePrivilege SeDelegateSessionUserImpersonatePrivilege"
)
_SERVICE = "SeAssignPrimaryTokenPrivilege SeAuditPrivilege SeImpersonatePrivilege"


@dataclass(frozen=True, slots=True)
class Caller:
    """The process that asked for a logon: a program by its full path, or none for logons from the network."""

    path: str
    process: str = ""  # its name for Host.pid; empty: no process that runs all the time
    process_id: int = 0

    def values(self, host: Host, moment: int) -> dict[str, object]:
        return {
            "ProcessId": host.pid(self.process, moment) if self.process else self.process_id,
            "ProcessName": self.path,
        }


NETWORK = Caller("-")
SVCHOST = Caller(rf"{SYSTEM32}\svchost.exe", "svchost")
SERVICES = Caller(rf"{SYSTEM32}\services.exe", "services")
WINLOGON = Caller(rf"{SYSTEM32}\winlogon.exe", "winlogon")
WININIT = Caller(rf"{SYSTEM32}\wininit.exe", "services")
LSASS = Caller(rf"{SYSTEM32}\lsass.exe", "lsass")


@dataclass(frozen=True, slots=True)
class Style:
    """How a logon was made: process (with its trailing blanks), package, and what follows from them."""

    process: str
    package: str
    caller: Caller
    lm_package: str = "-"
    key_length: int = 0
    activity: bool = True


USER32 = Style("User32 ", "Negotiate", SVCHOST)
NEGOTIATE = Style("Negotiat", "Negotiate", LSASS, activity=False)
KERBEROS = Style("Kerberos", "Kerberos", NETWORK)
NTLM = Style("NtLmSsp ", "NTLM", NETWORK, "NTLM V2", 128)
ADVAPI_SERVICES = Style("Advapi  ", "Negotiate", SERVICES)
ADVAPI_WINLOGON = Style("Advapi  ", "Negotiate", WINLOGON)
ADVAPI_WININIT = Style("Advapi  ", "Negotiate", WININIT)
ADVAPI_SVCHOST = Style("Advapi  ", "Negotiate", SVCHOST)
SECLOGO = Style("seclogo", "Negotiate", SVCHOST)


def caller_of(host: Host, style: Style) -> Caller:
    """The program that asks for such a logon: older Windows has winlogon.exe where newer has a service."""
    return WINLOGON if style is USER32 and host.build.is_old else style.caller


def subject(session: Session | None) -> dict[str, object]:
    """The Subject fields: who asks. None is nobody, as for network logons."""
    account = session.account if session else Account("-", "S-1-0-0", "-")
    return {
        "SubjectUserSid": account.sid,
        "SubjectUserName": account.name,
        "SubjectDomainName": account.domain,
        "SubjectLogonId": session or 0,
    }


def target(session: Session) -> dict[str, object]:
    return {
        "TargetUserSid": session.account.sid,
        "TargetUserName": session.account.name,
        "TargetDomainName": session.account.domain,
        "TargetLogonId": session,
    }


def logon(
    host: Host,
    moment: int,
    session: Session,
    style: Style,
    *,
    elevated: bool,
    by: Session | None = None,
    workstation: str = "-",
    address: str = "-",
    port: int | str = "-",
    impersonation: str = IMPERSONATION,
    activity: bool | None = None,
    domain: str | None = None,
    virtual: bool = False,
    outbound: Account | None = None,
) -> None:
    """4624. `domain`: the spelling that stands there, where it is not the NETBIOS one (Kerberos: the realm).

    `outbound`: who a session of type 9 is for other hosts.
    """
    values = {
        **subject(by),
        **target(session),
        "LogonType": session.logon_type,
        "LogonProcessName": style.process,
        "AuthenticationPackageName": style.package,
        "WorkstationName": workstation,
        "LogonGuid": session.guid,
        "TransmittedServices": "-",
        "LmPackageName": style.lm_package,
        "KeyLength": style.key_length,
        **caller_of(host, style).values(host, moment),
        "IpAddress": address,
        "IpPort": str(port),
        "ImpersonationLevel": impersonation,
        "RestrictedAdminMode": NO if session.logon_type == 10 else "-",
        "RemoteCredentialGuard": NO if session.logon_type == 10 else "-",
        "TargetOutboundUserName": outbound.name if outbound else "-",
        "TargetOutboundDomainName": outbound.domain if outbound else "-",
        "VirtualAccount": YES if virtual else NO,
        "TargetLinkedLogonId": session.linked or 0,
        "ElevatedToken": YES if elevated else NO,
    }
    if domain is not None:
        values["TargetDomainName"] = domain
    host.log(4624, moment, values, activity=style.activity if activity is None else activity, starts=session)


def start_of_system(host: Host, moment: int) -> None:
    """4624 type 0: SYSTEM itself, once a boot."""
    style = Style("-", "-", Caller("", "kernel"), activity=False)
    session = Session(SYSTEM, 0, moment, host, logon_id=0x3E7)
    logon(host, moment, session, style, elevated=True, impersonation="-")


def privileges(host: Host, moment: int, session: Session, *, activity: bool = True) -> None:
    """4672 for a session that is allowed more than most."""
    account = session.account
    if account.sid == SYSTEM.sid and not account.name.endswith("$"):
        names = _OPERATING_SYSTEM
    elif session.logon_type == 5 or account.sid.startswith("S-1-5-90-"):
        names = _SERVICE
    else:
        names = _ADMINISTRATOR_REMOTE if session.logon_type == 3 else _ADMINISTRATOR
        names += " SeEnableDelegationPrivilege" if host.role == "controller" else ""
    values = {**subject(session), "PrivilegeList": names.replace(" ", _INDENT)}
    host.log(4672, moment, values, activity=activity)


def logoff(host: Host, moment: int, session: Session, *, told_type: int | None = None) -> None:
    """4634: the session is no more. A desktop was over when its user asked for it.

    `told_type`: the type that the record tells, where it is not that of the logon.
    """
    session.ended = session.ended or moment
    host.log(4634, moment, {**target(session), "LogonType": told_type or session.logon_type})


def logoff_asked(host: Host, moment: int, session: Session) -> None:
    """4647: the user of a desktop goes."""
    session.ended = moment
    host.log(4647, moment, target(session), activity=True)


def explicit_credentials(
    host: Host,
    moment: int,
    by: Session,
    account: Account,
    caller: Mapping[str, object],
    *,
    server: str = "localhost",
    service: str = "localhost",
    guid: str = ZERO_GUID,
    address: str = "-",
    port: int | str = "-",
    activity: bool = True,
) -> None:
    """4648: `by` used the credentials of `account`. Away from localhost the domain is spelled as the realm."""
    values = {
        **subject(by),
        "LogonGuid": by.guid,
        "TargetUserName": account.name,
        "TargetDomainName": account.domain if server == "localhost" else account.realm,
        "TargetLogonGuid": guid,
        "TargetServerName": server,
        "TargetInfo": service,
        **caller,
        "IpAddress": address,
        "IpPort": str(port),
    }
    host.log(4648, moment, values, activity=activity)


def failed_logon(
    host: Host,
    moment: int,
    account: Account,
    logon_type: int,
    style: Style,
    *,
    status: int,
    sub_status: int,
    reason: str,
    workstation: str,
    address: str,
    port: int | str,
    by: Session | None = None,
) -> None:
    """4625. Windows did not resolve the account, so its SID is the null SID whether it exists or not."""
    values = {
        **subject(by or (host.system if style.caller.process else None)),
        "TargetUserSid": "S-1-0-0",
        "TargetUserName": account.name,
        "TargetDomainName": account.domain,
        "Status": status,
        "FailureReason": reason,
        "SubStatus": sub_status,
        "LogonType": logon_type,
        "LogonProcessName": style.process,
        "AuthenticationPackageName": style.package,
        "WorkstationName": workstation,
        "TransmittedServices": "-",
        "LmPackageName": "-",
        "KeyLength": 0,
        **caller_of(host, style).values(host, moment),
        "IpAddress": address,
        "IpPort": str(port),
    }
    host.log(4625, moment, values, activity=True, keywords=AUDIT_FAILURE)


def locked(host: Host, moment: int, session: Session, terminal: int) -> None:
    host.log(4800, moment, {**target(session), "SessionId": terminal}, activity=True)


def unlocked(host: Host, moment: int, session: Session, terminal: int) -> None:
    host.log(4801, moment, {**target(session), "SessionId": terminal}, activity=True)


def window_station(
    host: Host, event_id: int, moment: int, session: Session, *, name: str, client: tuple[str, str]
) -> None:
    """4778 or 4779: a terminal session got or lost its client (its name and address)."""
    values = {
        "AccountName": session.account.name,
        "AccountDomain": session.account.domain,
        "LogonID": session,
        "SessionName": name,
        "ClientName": client[0],
        "ClientAddress": client[1],
    }
    host.log(event_id, moment, values, activity=True)


def process_started(
    host: Host, moment: int, session: Session, path: str, *, parent: str, command_line: str = "", elevated: bool = False
) -> None:
    """4688. The parent is named by its path; its id is that of explorer or of the services, whichever it is."""
    of_system = session.logon_id == 0x3E7
    split = session.linked is not None
    level = "%%1936" if of_system or not split else "%%1937" if elevated else "%%1938"
    label = "S-1-16-16384" if of_system else "S-1-16-12288" if elevated else "S-1-16-8192"
    values = {
        **subject(session),
        "NewProcessId": 4 * host.rng.randint(400, 4000),
        "NewProcessName": path,
        "TokenElevationType": level,
        "ProcessId": host.pid("services" if of_system else "explorer", moment),
        "CommandLine": command_line,
        "TargetUserSid": "S-1-0-0",
        "TargetUserName": "-",
        "TargetDomainName": "-",
        "TargetLogonId": 0,
        "ParentProcessName": parent,
        "MandatoryLabel": label,
    }
    host.log(4688, moment, values, process="kernel")


@dataclass(frozen=True, slots=True)
class Share:
    name: str
    path: str

    def values(self, client: tuple[str, int]) -> dict[str, object]:
        address, port = client
        return {
            "ObjectType": "File",
            "IpAddress": address,
            "IpPort": str(port),
            "ShareName": rf"\\*\{self.name}",
            "ShareLocalPath": rf"\??\{self.path}" if self.path else "",
        }


IPC = Share("IPC$", "")
ADMIN = Share("ADMIN$", r"C:\Windows")
DRIVE_C = Share("C$", "C:\\")
SYSVOL = Share("SYSVOL", r"C:\Windows\SYSVOL\sysvol")

READ, WRITE, OPEN_PIPE = 0x1, 0x2, 0x3
_ACCESS = {READ: ("%%4416",), WRITE: ("%%4417",), OPEN_PIPE: ("%%4416", "%%4417")}


def _access(mask: int) -> dict[str, object]:
    return {"AccessMask": mask, "AccessList": "".join(f"{right}\r\n\t\t\t\t" for right in _ACCESS[mask])}


def share_opened(host: Host, moment: int, session: Session, share: Share, client: tuple[str, int]) -> None:
    """5140. `client`: its address and port."""
    values = {**subject(session), **share.values(client), **_access(READ)}
    host.log(5140, moment, values, process="kernel")


def share_file(
    host: Host,
    moment: int,
    session: Session,
    share: Share,
    *,
    file: str,
    client: tuple[str, int],
    mask: int = READ,
) -> None:
    """5145: one file under a share, by its path there, was asked for."""
    rest = {"RelativeTargetName": file, "AccessReason": "-"}
    values = {**subject(session), **share.values(client), **_access(mask), **rest}
    host.log(5145, moment, values, process="kernel")


def service_installed(host: Host, moment: int, by: Session, name: str, path: str) -> None:
    """4697 and, in the System log, 7045."""
    values = {
        **subject(by),
        "ServiceName": name,
        "ServiceFileName": path,
        "ServiceType": 0x10,
        "ServiceStartType": 3,
        "ServiceAccount": "LocalSystem",
        "ClientProcessStartKey": host.rng.getrandbits(48),
        "ClientProcessId": 0 if by.logon_type == 3 else host.pid("services", moment),
        "ParentProcessId": 0 if by.logon_type == 3 else host.pid("winlogon", moment),
    }
    host.log(4697, moment, values, activity=True)
    values = {
        "ServiceName": name,
        "ImagePath": path,
        "ServiceType": "user mode service",
        "StartType": "demand start",
        "AccountName": "LocalSystem",
    }
    host.log(7045, moment, values, provider=SERVICE_CONTROL, user_sid=by.account.sid, process="services")


def account_lockout(host: Host, moment: int, account: Account, caller: str) -> None:
    """4740: the field of the target's domain holds the computer that the wrong passwords came from."""
    values = {
        "TargetUserName": account.name,
        "TargetDomainName": caller,
        "TargetSid": account.sid,
        **subject(host.system),
    }
    host.log(4740, moment, values, activity=True)


def account_unlocked(host: Host, moment: int, account: Account, by: Session) -> None:
    values = {
        "TargetUserName": account.name,
        "TargetDomainName": account.domain,
        "TargetSid": account.sid,
        **subject(by),
    }
    host.log(4767, moment, values, activity=True)
