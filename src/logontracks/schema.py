"""The events table: every column with its type, normal form and meaning. Case, exports and docs are drawn from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """How a field's text becomes a column's value; normalize.py holds one SQL expression for each.

    In every form surrounding blanks go, and an empty text, a lone `-` and the `(NULL)` of NTLM records are NULL.
    """

    TEXT = "text"
    SID = "sid"  # the NULL SID S-1-0-0 is NULL
    GUID = "guid"  # lower case without braces; the zero GUID is NULL
    LOGON_ID = "logon_id"  # hex or decimal to a signed 64-bit integer; 0 is no logon and NULL
    INTEGER = "integer"  # decimal or 0x...
    PORT = "port"  # as integer; 0 is NULL
    ADDRESS = "address"  # lower case, without ::ffff:, zone or port
    YES_NO = "yes_no"  # %%1842/%%1843, true/false
    PERCENT_ID = "percent_id"  # %%2313 to 2313
    TIME = "time"  # ISO text with zone to UTC
    ACCOUNT_NAME = "account_name"  # the name of DOMAIN\name or name@REALM; domain/Users/name is no account name: NULL
    ACCOUNT_DOMAIN = "account_domain"  # the DOMAIN of DOMAIN\name, the REALM of name@REALM
    REALM = "realm"  # the REALM of krbtgt/REALM
    IMPERSONATION = "impersonation"  # %%1832, %%1833, %%1840 to words
    LIST = "list"  # one entry a line to entries separated by blanks
    PORT_BEHIND = "port_behind"  # the port of address:port
    SERVER = "server"  # the host of service/host:port, host/wsman or host
    UNEXPECTED_STOP = "unexpected_stop"  # the UTC time in the bytes of a 6008


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the events table. `form` is absent where the value comes from the record's own System part."""

    name: str
    type: str
    meaning: str
    form: Form | None = None
    folded_from: str | None = None  # this column is that one in lower case


def _system(name: str, sql_type: str, meaning: str) -> Column:
    return Column(name, sql_type, meaning)


def _text(name: str, meaning: str) -> Column:
    return Column(name, "VARCHAR", meaning, Form.TEXT)


def _key(of: str) -> Column:
    return Column(f"{of}_key", "VARCHAR", f"`{of}` in lower case, to compare and join by", folded_from=of)


def _integer(name: str, meaning: str, sql_type: str = "BIGINT") -> Column:
    return Column(name, sql_type, meaning, Form.INTEGER)


COLUMNS: tuple[Column, ...] = (
    # Where the record comes from
    _system("uid", "BIGINT", "Identity of the record: a 61-bit hash of host, channel, record id, event and second"),
    _system("source_sha256", "VARCHAR", "The file the record was read from; `sources` has its name"),
    _system("position", "BIGINT", "Where in that file. EVTX: 65536 x chunk + n-th in it; others: byte offset"),
    _system("form", "VARCHAR", "The form the file had, as `logontracks formats` names it"),
    # What Windows wrote around the event
    _system("computer", "VARCHAR", "The host that logged the record, as it names itself there"),
    _system("computer_key", "VARCHAR", "`computer` in lower case"),
    _system("channel", "VARCHAR", "Log the record was written to; stays the original one when forwarded"),
    _system("provider", "VARCHAR", "Event source; event ids mean something only together with it"),
    _system("event_id", "INTEGER", "Event id"),
    _system("version", "SMALLINT", "Version of the event's layout; NULL where the source does not tell"),
    _system("record_id", "BIGINT", "Number of the record in its log; rising in the order of writing"),
    _system("time", "TIMESTAMP", "When the host says it happened, UTC, microseconds"),
    _system("time_100ns", "TINYINT", "The digit below the microsecond, 0 to 9, where the record has it"),
    _system("time_precision_us", "INTEGER", "Smallest step of the record's time in microseconds: 1, 1000 or 1000000"),
    _system("outcome", "VARCHAR", "success or failure, from the audit keywords; NULL where it is no audit record"),
    _system("record_sid", "VARCHAR", "SID of the account that wrote the record (System/Security/@UserID)"),
    _system("activity_id", "VARCHAR", "System/Correlation/@ActivityID, lower case without braces"),
    _system(
        "boot_hint",
        "TIMESTAMP",
        "Start of the host, as the last 8 bytes of a Security ActivityID tell it",
    ),
    # Who asked
    Column("subject_sid", "VARCHAR", "SID of the account that asked", Form.SID),
    _text("subject_name", "Account that asked"),
    _key("subject_name"),
    _text("subject_domain", "Its domain or host, as written"),
    _key("subject_domain"),
    Column("subject_logon_id", "BIGINT", "Logon id of the session that asked", Form.LOGON_ID),
    # Who it is about
    Column("target_sid", "VARCHAR", "SID of the account the record is about", Form.SID),
    _text("target_name", "Account the record is about; without the realm that 4769 and 4770 append"),
    _key("target_name"),
    _text("target_domain", "Its domain or host, as written"),
    _key("target_domain"),
    Column("target_logon_id", "BIGINT", "Logon id of the session the record is about", Form.LOGON_ID),
    Column("target_linked_logon_id", "BIGINT", "The other half of a split UAC logon", Form.LOGON_ID),
    _text("target_outbound_name", "Account used on the network by a type 9 logon"),
    _text("target_outbound_domain", "Its domain"),
    _text("user_principal_name", "User principal name of the account the record is about"),
    _text("old_name", "Name before a rename of an account (4781) or host (6011)"),
    _text("new_name", "Name after it"),
    Column("member_sid", "VARCHAR", "SID added to or removed from a group", Form.SID),
    _text("member_name", "Its distinguished name"),
    # How it logged on
    Column("logon_type", "SMALLINT", "Logon type 0 to 13", Form.INTEGER),
    Column("logon_guid", "VARCHAR", "GUID that ties a Kerberos ticket to a logon where Windows keeps it", Form.GUID),
    _text("logon_process", "Trusted logon process: User32, Kerberos, NtLmSsp, Advapi ..."),
    _text("auth_package", "Authentication package: Kerberos, NTLM, Negotiate ..."),
    _text("lm_package", "NTLM flavour: NTLM V1, NTLM V2, LM"),
    _integer("key_length", "Bits of the NTLM session key", "INTEGER"),
    Column(
        "impersonation_level", "VARCHAR", "anonymous, identification, impersonation, delegation", Form.IMPERSONATION
    ),
    _text("transmitted_services", "Services a constrained delegation went through"),
    Column("elevated", "BOOLEAN", "ElevatedToken; not the same as administrator on network logons", Form.YES_NO),
    Column("virtual_account", "BOOLEAN", "Logon of a virtual account", Form.YES_NO),
    Column("restricted_admin", "BOOLEAN", "Restricted Admin remote desktop", Form.YES_NO),
    Column("remote_credential_guard", "BOOLEAN", "Remote Credential Guard (4624 version 3)", Form.YES_NO),
    Column(
        "privileges",
        "VARCHAR",
        "Privileges of the session (4672), rights given or taken (4704, 4705, 4717, 4718)",
        Form.LIST,
    ),
    Column(
        "group_sids", "VARCHAR", "Group SIDs of the session (4627, 4964, LsaSrv 300), separated by blanks", Form.LIST
    ),
    _integer("process_id", "Process that asked"),
    _text("process_name", "Its path"),
    # Where from, where to
    Column("source_address", "VARCHAR", "Client address; LOCAL on the console", Form.ADDRESS),
    Column("source_port", "INTEGER", "Client port", Form.PORT),
    _text("workstation", "Client name as the client claims it"),
    _key("workstation"),
    _text("target_server", "Server the credentials were meant for (4648, outgoing NTLM, clients of RDP and WinRM)"),
    _text("target_info", "Its service principal name (4648, 5168, outgoing NTLM)"),
    _text(
        "server_name", "Server that passed the logon on: NTLM to the controller (8004, 4030 to 4033), VPN to NPS (6272)"
    ),
    _text("caller_computer", "Machine that locked the account out (4740)"),
    _text("calling_station", "Station that asked a network policy server in"),
    # Result
    _integer("status", "Result: NTSTATUS (4625, 4776), Kerberos code (4768 to 4771) or HRESULT (RdpCoreTS 139)"),
    _integer("sub_status", "NTSTATUS that says more (4625)"),
    Column("failure_reason", "INTEGER", "Number of the reason text (4625), 2304 to 2315", Form.PERCENT_ID),
    # Kerberos and NTLM
    _text("service_name", "Account a ticket was asked for, or service that was installed"),
    _key("service_name"),
    Column("service_sid", "VARCHAR", "Its SID", Form.SID),
    _integer("ticket_options", "Kerberos options, bit 0 is the highest"),
    _integer("ticket_encryption_type", "Encryption type of the ticket; 0xffffffff = none given"),
    _integer("session_key_encryption_type", "Encryption type of the session key"),
    _integer("pre_auth_type", "Kerberos pre-authentication type", "INTEGER"),
    _integer("pre_auth_encryption_type", "Encryption type of the pre-authentication"),
    _text("service_available_keys", "Key kinds the service account has"),
    Column("client_encryption_types", "VARCHAR", "Encryption types the client offered", Form.LIST),
    _text("cert_thumbprint", "Certificate the client authenticated with"),
    _text("request_ticket_hash", "SHA-256 of the ticket that was presented, Base64"),
    _text("response_ticket_hash", "SHA-256 of the ticket that was given, Base64"),
    _text("ntlm_version", "NTLM version (4020 to 4033)"),
    # Terminal sessions
    _integer("terminal_session", "Number of the terminal session", "INTEGER"),
    _integer("other_terminal_session", "Session that disconnected it (39)", "INTEGER"),
    _text("session_name", "Console, RDP-Tcp#n: changes with every connection"),
    _integer(
        "reason_code",
        "Reason as a number: disconnect 40, 103, 1026; shutdown 1074, 109; sleep 42; blue screen 41; clock 1; NPS",
    ),
    # Host, clock and audit
    Column("old_time", "TIMESTAMP", "Clock before it was set", Form.TIME),
    Column("new_time", "TIMESTAMP", "Clock after it was set", Form.TIME),
    Column("boot_time", "TIMESTAMP", "Start of the system (Kernel-General 12)", Form.TIME),
    Column(
        "stop_time",
        "TIMESTAMP",
        "Stop of the system (Kernel-General 13), last sign of life before a crash (6008)",
        Form.TIME,
    ),
    _integer("uptime_s", "Seconds since the start (6013), from start to crash (6008)"),
    _integer("boot_type", "0 cold, 1 fast startup, 2 hibernation (Kernel-Boot 27)", "INTEGER"),
    Column("last_shutdown_good", "BOOLEAN", "The shutdown before was clean (Kernel-Boot 20)", Form.YES_NO),
    _text(
        "shutdown_type",
        "restart, power off ... in the host's language (1074); 4 shutdown, 5 restart, 6 power off (109)",
    ),
    _integer("os_build", "Windows build (Kernel-General 12, 6009)", "INTEGER"),
    _text("dns_host_name", "DNS name given to a computer account (4741, 4742)"),
    Column("audit_subcategory", "VARCHAR", "GUID of the audit subcategory that changed (4719)", Form.GUID),
    _text("audit_changes", "What changed: %%8448 success removed, 8449 added, 8450 failure removed, 8451 added"),
    # What a session did
    _text("object_type", "Kind of object: File, Key, ..."),
    _text("object_name", "File, process, service, task, credential, log or share path that was touched"),
    _text("share_name", "Network share"),
    _integer("access_mask", "Access asked for"),
    # All of it
    _system("data", "VARCHAR", "The record's own fields as a JSON object, as written"),
)

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}

PROBLEMS: tuple[Column, ...] = (
    _system("source_sha256", "VARCHAR", "The file; NULL when it could not be read at all"),
    _system("source", "VARCHAR", "Its name when it was read"),
    _system("position", "VARCHAR", "Where in the file, in words: chunk 17, line 4, byte 1024"),
    _system("kind", "VARCHAR", "lost: it could not be read; doubt: read, and may be wrong; skipped: left out"),
    _system("what", "VARCHAR", "What is wrong and what to do"),
    _system("records_lost", "BIGINT", "How many records that costs, where it is known"),
)

GIVEN_ADDRESSES: tuple[Column, ...] = (
    _system("address", "VARCHAR", "IP address"),
    _system("host", "VARCHAR", "Machine, as the list names it"),
    _system("machine_key", "VARCHAR", "First label of that, in lower case"),
    _system("from_time", "TIMESTAMP", "When it got the address; NULL: before anything is logged"),
    _system("until_time", "TIMESTAMP", "When it lost it; NULL: after everything is logged"),
)

EXTENTS: tuple[Column, ...] = (
    _system("source_sha256", "VARCHAR", "The file"),
    _system("form", "VARCHAR", "Its form"),
    _system("computer", "VARCHAR", "Host that logged the run"),
    _system("channel", "VARCHAR", "Log of the run"),
    _system("first_record_id", "BIGINT", "First record id of a run without a gap; NULL where the form has none"),
    _system("last_record_id", "BIGINT", "Last one"),
    _system("records", "BIGINT", "Records of the run, kept or not"),
    _system("first_time", "TIMESTAMP", "Earliest time in the run"),
    _system("last_time", "TIMESTAMP", "Latest time in the run"),
)

EVENT_COUNTS: tuple[Column, ...] = (
    _system("source_sha256", "VARCHAR", "The file"),
    _system("computer", "VARCHAR", "Host that logged them"),
    _system("channel", "VARCHAR", "Log"),
    _system("provider", "VARCHAR", "Event source"),
    _system("event_id", "INTEGER", "Event id"),
    _system("day", "DATE", "Day (UTC)"),
    _system("records", "BIGINT", "Records in the file, kept or not"),
    _system("kept", "BIGINT", "Records that serve logon tracking; copies are taken out later"),
)
