"""One event in every form that is read, as its sender writes it. Each function gives the text of one record."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

SUCCESS, FAILURE = 0x8020000000000000, 0x8010000000000000


@dataclass(frozen=True, slots=True)
class Told:
    """An event. `ticks`: of 100 ns since 1970, UTC. `fields`: names and texts in the order of the layout."""

    provider: str
    event_id: int
    version: int
    channel: str
    computer: str
    record_id: int
    ticks: int
    keywords: int
    fields: tuple[tuple[str, str], ...]
    activity_id: str | None = None
    sid: str | None = None

    @property
    def seconds(self) -> datetime:
        return datetime.fromtimestamp(self.ticks // 10_000_000, UTC)

    def time(self, digits: int = 7, zone: str = "Z", between: str = "T") -> str:
        below = f"{self.ticks % 10_000_000:07}"[:digits]
        return f"{self.seconds:%Y-%m-%d}{between}{self.seconds:%H:%M:%S}{'.' if digits else ''}{below}{zone}"

    @property
    def own(self) -> dict[str, str]:
        return dict(self.fields)

    @property
    def outcome(self) -> str:
        return "success" if self.keywords == SUCCESS else "failure"


def xml(told: Told) -> str:
    activity = f" ActivityID={quoteattr(told.activity_id)}" if told.activity_id else ""
    user = f" UserID={quoteattr(told.sid)}" if told.sid else ""
    data = "".join(f"<Data Name={quoteattr(name)}>{escape(text)}</Data>" for name, text in told.fields)
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name={quoteattr(told.provider)} Guid='{{54849625-5478-4994-a5ba-3e3b0328c30d}}'/>"
        f"<EventID>{told.event_id}</EventID><Version>{told.version}</Version><Level>0</Level><Task>12544</Task>"
        f"<Opcode>0</Opcode><Keywords>{told.keywords:#x}</Keywords>"
        f"<TimeCreated SystemTime='{told.time()}'/><EventRecordID>{told.record_id}</EventRecordID>"
        f"<Correlation{activity}/><Execution ProcessID='4' ThreadID='8'/><Channel>{told.channel}</Channel>"
        f"<Computer>{escape(told.computer)}</Computer><Security{user}/></System><EventData>{data}</EventData></Event>"
    )


def winlogbeat(told: Told) -> dict[str, Any]:
    winlog: dict[str, Any] = {
        "api": "wineventlog", "channel": told.channel, "computer_name": told.computer, "event_data": told.own,
        "event_id": str(told.event_id), "keywords": [f"Audit {told.outcome.capitalize()}"], "opcode": "Info",
        "provider_name": told.provider, "record_id": told.record_id, "version": told.version,
    }  # fmt: skip
    if told.activity_id:
        winlog["activity_id"] = told.activity_id
    if told.sid:
        winlog["user"] = {"identifier": told.sid, "name": "x", "domain": "y"}
    return {
        "@timestamp": told.time(3),
        "event": {"code": str(told.event_id), "provider": told.provider, "outcome": told.outcome, "kind": "event"},
        "host": {"name": told.computer},
        "winlog": winlog,
    }


def winlogbeat_6(told: Told) -> dict[str, Any]:
    return {
        "@timestamp": told.time(3), "beat": {"name": "w", "version": "6.7.0"}, "type": "wineventlog",
        "log_name": told.channel, "source_name": told.provider, "event_id": told.event_id, "version": told.version,
        "record_number": str(told.record_id), "computer_name": told.computer,
        "keywords": [f"Audit {told.outcome.capitalize()}"], "event_data": told.own,
        **({"activity_id": told.activity_id} if told.activity_id else {}),
        **({"user": {"identifier": told.sid}} if told.sid else {}),
    }  # fmt: skip


def openwec(told: Told) -> dict[str, Any]:
    system: dict[str, Any] = {
        "Provider": {"Name": told.provider}, "EventID": told.event_id, "Version": told.version,
        "Keywords": f"{told.keywords:#x}", "TimeCreated": told.time(), "EventRecordID": told.record_id,
        "Correlation": {"ActivityID": told.activity_id} if told.activity_id else {}, "Channel": told.channel,
        "Computer": told.computer, **({"UserID": told.sid} if told.sid else {}),
    }  # fmt: skip
    return {"System": system, "EventData": told.own, "OpenWEC": {"IpAddress": "10.0.0.1"}}


def openwec_raw(told: Told) -> dict[str, Any]:
    return {"meta": {"IpAddress": "10.0.0.1", "TimeReceived": "2030-01-01T00:00:00Z"}, "data": xml(told)}


def nxlog(told: Told) -> dict[str, Any]:
    """As OpenWEC writes it, with a zone: of lines without one test_nxlog.py tells."""
    return {
        "EventTime": told.time(6, "+00:00"), "Hostname": told.computer,
        "Keywords": told.keywords - (1 << 64), "EventType": f"AUDIT_{told.outcome.upper()}", "EventID": told.event_id,
        "SourceName": told.provider, "Version": told.version, "RecordNumber": told.record_id, "Channel": told.channel,
        **({"ActivityID": told.activity_id} if told.activity_id else {}),
        **({"UserID": told.sid} if told.sid else {}), **told.own,
    }  # fmt: skip


def fluentbit(told: Told) -> dict[str, Any]:
    return {
        "ProviderName": told.provider, "ProviderGuid": "", "Qualifiers": "", "EventID": told.event_id,
        "Version": told.version, "Level": 0, "Task": 12544, "Opcode": 0, "Keywords": f"{told.keywords:#x}",
        "TimeCreated": told.time(0, " +0000", " "), "EventRecordID": told.record_id,
        "ActivityID": told.activity_id or "", "ProcessID": 4, "Channel": told.channel, "Computer": told.computer,
        "UserID": told.sid or "", "Message": "", "StringInserts": [text for _, text in told.fields],
    }  # fmt: skip


def fluentbit_map(told: Told) -> dict[str, Any]:
    found = fluentbit(told)
    del found["StringInserts"]
    return {**found, "EventData": told.own}


def fluentbit_xml(told: Told) -> dict[str, Any]:
    return {"System": xml(told), "Message": "An account was logged on"}


def vector(told: Told) -> dict[str, Any]:
    return {
        "timestamp": told.time(6), "event_id": told.event_id, "provider_name": told.provider, "channel": told.channel,
        "computer": told.computer, "record_id": told.record_id, "version": told.version, "level": "Information",
        "keywords": f"{told.keywords:#x}", "event_data": told.own,
        **({"activity_id": told.activity_id} if told.activity_id else {}),
        **({"user_id": told.sid} if told.sid else {}),
    }  # fmt: skip


def _otel(told: Told, data: Any) -> dict[str, Any]:
    return {
        "event_id": {"id": told.event_id, "qualifiers": 0}, "provider": {"name": told.provider, "guid": "{}"},
        "system_time": told.time(), "computer": told.computer, "channel": told.channel, "record_id": told.record_id,
        "keywords": [f"Audit {told.outcome.capitalize()}"], "event_data": data, "message": "",
        **({"correlation": {"activity_id": told.activity_id}} if told.activity_id else {}),
        **({"security": {"user_id": told.sid}} if told.sid else {}),
    }  # fmt: skip


def opentelemetry(told: Told) -> dict[str, Any]:
    return _otel(told, told.own)


def opentelemetry_list(told: Told) -> dict[str, Any]:
    """As it was for some versions: a list of objects with one name each."""
    return {"body": _otel(told, {"data": [{name: text} for name, text in told.fields], "name": "", "binary": ""})}


def _wrapped(value: Any) -> dict[str, Any]:
    match value:
        case dict():
            return {"kvlistValue": {"values": [{"key": key, "value": _wrapped(each)} for key, each in value.items()]}}
        case list():
            return {"arrayValue": {"values": [_wrapped(each) for each in value]}}
        case int():
            return {"intValue": str(value)}
        case _:
            return {"stringValue": str(value)}


def otlp(told: Told) -> dict[str, Any]:
    """As the collector's own protocol has it: here with one record."""
    record = {"timeUnixNano": "1", "body": _wrapped(_otel(told, told.own))}
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [record]}]}]}


def opentelemetry_raw(told: Told) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": xml(told)}}]}]}]}


def securityevent(told: Told) -> dict[str, Any]:
    return {
        "TenantId": "0", "SourceSystem": "OpsManager", "TimeGenerated": told.time(7), "Computer": told.computer,
        "EventSourceName": told.provider, "Channel": told.channel, "Task": 12544, "Level": "8",
        "EventID": told.event_id, "Activity": f"{told.event_id} - x", "Account": "X\\y", "Type": "SecurityEvent",
        "Keywords": f"{told.keywords:#x}", **told.own,
    }  # fmt: skip


def windowsevent(told: Told) -> dict[str, Any]:
    return {
        "TimeGenerated": told.time(), "Computer": told.computer, "Provider": told.provider, "Channel": told.channel,
        "EventID": told.event_id, "Version": told.version, "Keywords": f"{told.keywords:#x}",
        "EventRecordId": str(told.record_id), "EventData": told.own, "SystemUserId": told.sid or "N/A",
        "Correlation": {"ActivityID": told.activity_id} if told.activity_id else {}, "Type": "WindowsEvent",
    }  # fmt: skip


def velociraptor(told: Told) -> dict[str, Any]:
    own = {name: int(text, 0) if re.fullmatch(r"\d+|0x[0-9a-fA-F]+", text) else text for name, text in told.fields}
    system = {
        "Provider": {"Name": told.provider}, "EventID": {"Value": told.event_id}, "Version": told.version,
        "Keywords": told.keywords, "TimeCreated": {"SystemTime": told.ticks / 10_000_000},
        "EventRecordID": told.record_id, "Channel": told.channel, "Computer": told.computer,
        "Correlation": {"ActivityID": told.activity_id.strip("{}").upper()} if told.activity_id else {},
        "Security": {"UserID": told.sid} if told.sid else {},
    }  # fmt: skip
    return {"System": system, "EventData": own, "Message": "An account", "OSPath": "C:\\x.evtx"}


def evtx_dump(told: Told) -> dict[str, Any]:
    system = {
        "Provider": {"#attributes": {"Name": told.provider, "Guid": "x"}}, "EventID": told.event_id,
        "Version": told.version, "Keywords": f"{told.keywords:#x}",
        "TimeCreated": {"#attributes": {"SystemTime": told.time()}}, "EventRecordID": told.record_id,
        "Correlation": {"#attributes": {"ActivityID": told.activity_id}} if told.activity_id else None,
        "Channel": told.channel, "Computer": told.computer,
        "Security": {"#attributes": {"UserID": told.sid}} if told.sid else None,
    }  # fmt: skip
    return {"Event": {"#attributes": {"xmlns": "http"}, "System": system, "EventData": told.own}}


def chainsaw(told: Told) -> dict[str, Any]:
    system = evtx_dump(told)["Event"]["System"]
    for name in ("Provider", "TimeCreated", "Correlation", "Security"):
        system[f"{name}_attributes"] = (system.pop(name) or {}).get("#attributes")
    return {"Event": {"System": system, "EventData": told.own, "Event_attributes": {"xmlns": "http"}}}


def of_xml(told: Told) -> dict[str, Any]:
    """XML as other programs turn it into JSON: fields as a list."""
    system = {
        "Provider": {"Name": told.provider}, "EventID": str(told.event_id), "Version": str(told.version),
        "Keywords": f"{told.keywords:#x}", "TimeCreated": {"SystemTime": told.time()},
        "EventRecordID": str(told.record_id), "Channel": told.channel, "Computer": told.computer,
        "Correlation": {"ActivityID": told.activity_id} if told.activity_id else None,
        "Security": {"UserID": told.sid} if told.sid else None,
    }  # fmt: skip
    return {"Event": {"System": system, "EventData": {"Data": [{"text": t, "Name": n} for n, t in told.fields]}}}


def evtxecmd(told: Told) -> dict[str, Any]:
    payload = {"EventData": {"Data": [{"@Name": name, "#text": text} for name, text in told.fields]}}
    return {
        "PayloadData1": "Target: X", "ChunkNumber": 0, "Computer": told.computer, "Payload": json.dumps(payload),
        "UserId": told.sid or "", "Channel": told.channel, "Provider": told.provider, "EventId": told.event_id,
        "EventRecordId": str(told.record_id), "ProcessId": 4, "Level": "LogAlways",
        "Keywords": f"Audit {told.outcome}", "SourceFile": "x.evtx", "TimeCreated": told.time(7, "+00:00"),
    }  # fmt: skip


def wazuh(told: Told) -> dict[str, Any]:
    system = {
        "providerName": told.provider, "eventID": str(told.event_id), "version": str(told.version),
        "keywords": f"{told.keywords:#x}", "systemTime": told.time(), "eventRecordID": str(told.record_id),
        "channel": told.channel, "computer": told.computer, "severityValue": f"AUDIT_{told.outcome.upper()}",
    }  # fmt: skip
    data = {name[:1].lower() + name[1:]: text for name, text in told.fields}
    return {"timestamp": "2030", "agent": {"id": "1"}, "data": {"win": {"system": system, "eventdata": data}}}


def powershell(told: Told) -> dict[str, Any]:
    return {
        "Id": told.event_id, "Version": told.version, "Level": 0, "Keywords": told.keywords - (1 << 64),
        "RecordId": told.record_id, "ProviderName": told.provider, "LogName": told.channel, "ProcessId": 4,
        "MachineName": told.computer, "UserId": {"BinaryLength": 12, "Value": told.sid} if told.sid else None,
        "TimeCreated": f"/Date({told.ticks // 10_000})/", "ActivityId": told.activity_id, "Message": "x",
        "KeywordsDisplayNames": ["Audit"], "Properties": [{"Value": text} for _, text in told.fields],
    }  # fmt: skip


FORMS: dict[str, tuple[str, Callable[[Told], dict[str, Any]], set[str]]] = {
    "winlogbeat": ("winlogbeat", winlogbeat, {"ms"}),
    "elastic export": ("winlogbeat", lambda told: {"_index": "x", "_source": winlogbeat(told)}, {"ms"}),
    "winlogbeat 6": ("winlogbeat-6", winlogbeat_6, {"ms"}),
    "openwec json": ("openwec", openwec, set()),
    "openwec rawjson": ("xml-in-json", openwec_raw, set()),
    "nxlog": ("nxlog", nxlog, {"us"}),
    "fluent bit, positional": ("fluentbit", fluentbit, {"s"}),
    "fluent bit, map": ("fluentbit", fluentbit_map, {"s"}),
    "fluent bit, xml": ("xml-in-json", fluentbit_xml, set()),
    "vector": ("vector", vector, {"us"}),
    "opentelemetry": ("opentelemetry", opentelemetry, {"version"}),
    "opentelemetry, list": ("opentelemetry", opentelemetry_list, {"version"}),
    "opentelemetry, otlp": ("opentelemetry", otlp, {"version"}),
    "opentelemetry, raw": ("xml-in-json", opentelemetry_raw, set()),
    "hec, xml": ("xml-in-json", lambda told: {"event": xml(told), "sourcetype": "XmlWinEventLog"}, set()),
    "sentinel securityevent": ("sentinel-securityevent", securityevent, {"version", "record_id", "activity", "sid"}),
    "sentinel windowsevent": ("sentinel-windowsevent", windowsevent, set()),
    "velociraptor": ("velociraptor", velociraptor, {"double"}),
    "evtx_dump": ("evtx-dump", evtx_dump, set()),
    "chainsaw": ("evtx-dump", chainsaw, set()),
    "xml to json": ("evtx-dump", of_xml, set()),
    "evtxecmd": ("evtxecmd", evtxecmd, {"version", "activity"}),
    "wazuh": ("wazuh", wazuh, {"activity", "sid"}),
    "powershell": ("powershell", powershell, {"ms"}),
}
"""Of each: the name of its form, what writes it, and what it lacks beside EVTX: a finer time (s, ms, us; double: a last
microsecond that is exact) or a part."""


def lines(records: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


LAYOUTS: dict[str, Callable[[Sequence[dict[str, Any]]], bytes]] = {
    "lines": lambda records: lines(records).encode(),
    "windows lines": lambda records: b"\xef\xbb\xbf" + lines(records).replace("\n", "\r\n").encode(),
    "utf-16": lambda records: lines(records).encode("utf-16"),
    "array": lambda records: json.dumps(list(records)).encode(),
    "array of lines": lambda records: ("[" + ",\n".join(map(json.dumps, records)) + "]").encode(),
    "indented array": lambda records: json.dumps(list(records), indent=4).encode(),
    "indented array, utf-16": lambda records: (
        json.dumps(list(records), indent=4).replace("\n", "\r\n").encode("utf-16")
    ),
    "indented, concatenated": lambda records: "\n".join(json.dumps(each, indent=2) for each in records).encode(),
    "concatenated": lambda records: "".join(map(json.dumps, records)).encode(),
}
