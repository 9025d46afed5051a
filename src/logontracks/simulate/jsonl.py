"""Records as a collector with NXLog writes them: one flat JSON object a line, the logs of all hosts in one file.

Values are text as Windows renders them. What stands in UserData, and the unnamed strings of classic events, NXLog has
only in the message that was made of them; so these records have one, and the others have none.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from logontracks.simulate.evtx_writer import Event, FieldType
from logontracks.simulate.host import Written, date_of
from logontracks.simulate.logs import Log
from logontracks.simulate.templates import AUDIT_FAILURE, EVENTLOG, EVENTLOG_CLASSIC, LSM, RCM

_SENTENCES = {
    (LSM, 39): "Session {0} has been disconnected by session {1}",
    (LSM, 40): "Session {0} has been disconnected, reason code {1}",
    (RCM, 261): "Listener {0} received a connection",
    (EVENTLOG_CLASSIC, 6009): "Microsoft (R) Windows (R) {0} {1} {2} {3}.",
    (EVENTLOG_CLASSIC, 6013): "The system uptime is {4} seconds.",
}
_SEVERITY = {1: ("CRITICAL", 5), 2: ("ERROR", 4), 3: ("WARNING", 3)}


def write_jsonl(path: Path, logs: Iterable[Log]) -> None:
    """Write the records of all logs, which carry their numbers, in the order in which they were written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = sorted((each for log in logs for each in log.records), key=lambda each: each.moment)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in map(_line, records))


def _line(written: Written) -> str:
    return json.dumps(flat(written.event), ensure_ascii=False)


def flat(event: Event) -> dict[str, object]:
    """The object of one record."""
    kind = event.template
    keywords = kind.keywords if event.keywords is None else event.keywords
    audit = "AUDIT_FAILURE" if keywords == AUDIT_FAILURE else "AUDIT_SUCCESS" if not kind.level else None
    severity, value = ("ERROR", 4) if audit == "AUDIT_FAILURE" else _SEVERITY.get(kind.level, ("INFO", 2))
    fields: dict[str, object] = {
        "EventTime": date_of(event.filetime).isoformat(timespec="microseconds"),
        "Hostname": event.computer,
        "Keywords": keywords - (1 << 64) if keywords >> 63 else keywords,
        "EventType": audit or severity,
        "SeverityValue": value,
        "Severity": severity,
        "EventID": kind.event_id,
        "SourceName": kind.provider,
        "Version": kind.version,
        "Task": kind.task,
        "OpcodeValue": kind.opcode,
        "RecordNumber": event.record_id,
        "ExecutionProcessID": event.process_id,
        "ThreadID": event.thread_id,
        "Channel": kind.channel,
    }
    if kind.provider_guid:
        fields["ProviderGuid"] = f"{{{kind.provider_guid.upper()}}}"
    if event.activity_id:
        fields["ActivityID"] = f"{{{event.activity_id.upper()}}}"
    if event.user_sid:
        fields["UserID"] = event.user_sid
    pairs = [
        (name, None if value is None else text(value, form))
        for (name, form), value in zip(kind.fields, event.values, strict=True)
    ]
    if kind.user_data or any(not name for name, _ in pairs):
        fields["Message"] = _message(event, [(name, value or "") for name, value in pairs])
    else:
        fields.update((name, value) for name, value in pairs if value is not None)
    return fields | {"SourceModuleName": "eventlog", "SourceModuleType": "im_msvistalog"}


def text(value: object, form: FieldType) -> str:
    """A value as Windows renders it in XML."""
    match form:
        case "HexInt32" | "HexInt64" | "Pointer":
            return f"0x{value:x}"
        case "GUID":
            return f"{{{value}}}"
        case "Boolean":
            return "true" if value else "false"
        case "FILETIME":
            return date_of(int(str(value))).isoformat(timespec="microseconds").replace("+00:00", "Z")
        case _:
            return str(value)


def _message(event: Event, pairs: list[tuple[str, str]]) -> str:
    kind = event.template.provider, event.template.event_id
    if sentence := _SENTENCES.get(kind):
        return sentence.format(*(value for _, value in pairs))
    indent = "\t" if kind == (EVENTLOG, 1102) else ""
    title = ["Subject:"] if indent else []
    return "\r\n".join([f"Event {kind[1]}", *title, *(f"{indent}{name}: {value}" for name, value in pairs)])
