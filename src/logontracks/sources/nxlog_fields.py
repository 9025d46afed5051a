"""The event's own fields of NXLog records, as the JSON object that envelopes hold in `data`.

NXLog writes each event as one flat object: the record's System part and the event's own fields side by side. Where
both have a field of one name its own stays and the event's is lost (seen on Sysmon's EventType). Fields of UserData
are not written at all, only the message that was made of them; `from_message` takes them out of it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from logontracks import catalogue
from logontracks.engines.duckdb import literal
from logontracks.sources.dialects import dialects, loads
from logontracks.sources.envelope import Head, Kind
from logontracks.sources.json_lines import dumps, query_parts
from logontracks.sources.records import Problems

SOME = 100  # records that are looked at to tell what most of them have
MAX_MESSAGE = 4096  # characters; those that fields are taken from are short

ADDED = (
    *(
        path[0]
        for each in dialects()
        if each.fields == (("nxlog", ()),)
        for paths in each.paths.values()
        for path in paths
    ),
    *("Domain", "AccountType", "ExecutionProcessID"),
    *("Severity", "SeverityValue", "ProviderGuid", "Task", "TaskValue", "Opcode", "OpcodeValue", "Level", "Category"),
    *("Message", "ThreadID", "ExecutionThreadID", "RelatedActivityID", "EventTypeOrignal", "ERROR_EVT_UNRESOLVED"),
    *("EventXML", "UserData", "OpenWEC", "SourceModuleName", "SourceModuleType", "MessageSourceAddress"),
    *("@version", "@metadata", "host", "port", "tags", "type"),
)
"""What NXLog, Logstash and the labs' set-ups write beside the event's own fields."""


def _patch(names: AbstractSet[str]) -> str:
    """A JSON merge patch (RFC 7386) that takes these fields away."""
    return literal(json.dumps(dict.fromkeys(sorted(names))))


# Not always NXLog's own: AccountName belongs to UserID and then comes with Domain and AccountType, as in no record of
# the Security log; ProcessID was renamed to ExecutionProcessID in newer versions.
_OWN_ACCOUNT = "(told[1] IS NULL OR told[2] IS NULL AND told[3] IS NULL)"
_OWN_PROCESS = "(told[4] IS NOT NULL)"
_TOLD = "json_extract_string(line, ['$.UserID', '$.Domain', '$.AccountType', '$.ExecutionProcessID'])"
_ASKED = frozenset({"AccountName", "ProcessID", "UserData"})
"""Fields for which the others have to be asked."""


@cache
def _statement(names: frozenset[str]) -> str:
    """SQL for `data`, the line as a whole where it has to be looked at, and whether `more` has to be taken away.

    `names`: the fields that records mostly have beside their own. To take away all that there could be takes three
    times as long: each is looked for.
    """
    mine = names - {"AccountName", "ProcessID"}
    if names & _ASKED:
        data = f"""SELECT line, json_merge_patch(line, CASE
                WHEN {_OWN_ACCOUNT} AND {_OWN_PROCESS} THEN {_patch(mine)}
                WHEN {_OWN_ACCOUNT} THEN {_patch({*mine, "ProcessID"})}
                WHEN {_OWN_PROCESS} THEN {_patch({*mine, "AccountName"})}
                ELSE {_patch({*mine, "AccountName", "ProcessID"})} END) AS data
            FROM (SELECT line, {_TOLD} AS told FROM lines)"""
        left = _ADDED - names
        whole = "CASE WHEN data = '{}' OR line LIKE '%\"UserData\"%' OR data LIKE '%\"Data\":\"%' THEN line END"
    else:
        data = f"SELECT json_merge_patch(line, {_patch(names)}) AS data FROM lines"
        left = _ADDED | _ASKED - names
        whole = "CAST(NULL AS VARCHAR)"
    looked_for = "|".join(sorted(map(re.escape, left)))
    more = f"""data = '{{}}' OR regexp_matches(data, '"(?:(?:{looked_for})":|Data":")')"""
    return f"SELECT NULLIF(data, '{{}}') AS data, {whole} AS whole, {more} AS more FROM ({data})"


_ADDED = frozenset(ADDED)
_ALL = _ADDED | _ASKED


def with_data(records: pa.Table, heads: list[Head], problems: Problems) -> pa.Table:
    """The records with their own fields as `data` in place of `line`; one that is too large is lost."""
    usual = _ALL & _names(records)
    found = query_parts(_statement(usual), records, problems)
    if pc.any(found["more"]).as_py():
        others = found.filter(found["more"]).drop_columns(["data", "whole", "more"])
        others = query_parts(_statement(_ALL), others, problems)
        found = pa.concat_tables([found.filter(pc.invert(found["more"])), others]).sort_by("position")
    if found["whole"].null_count < len(found):
        columns = (found[name].to_pylist() for name in ("data", "whole", "head"))
        data = [
            _completed(heads[number], line, data, problems) if line else data
            for data, line, number in zip(*columns, strict=True)
        ]
        found = found.set_column(found.column_names.index("data"), "data", pa.array(data, pa.string()))
    return found.drop_columns(["line", "whole", "more"])


def _names(records: pa.Table) -> set[str]:
    """Names of fields that some of the records have."""
    few = pa.array(range(0, len(records), len(records) // SOME + 1), pa.int64())
    some = query_parts(_NAMES, records.select(["position", "line"]).take(few), Problems())
    return {name for names in some["names"].to_pylist() for name in names}


_NAMES = "SELECT json_keys(line) AS names FROM lines"


def _completed(which: Head, line: str, data: str | None, problems: Problems) -> str | None:
    """The own fields of an event that has them in UserData, or has only a message."""
    kind = Kind(which.provider.lower(), which.event_id)
    try:
        fields = loads(line)
        found = loads(data) if data else {}
        found.update(_user_data(fields.get("UserData")) or _user_data(fields.get("EventXML")))
        if isinstance(found.get("Data"), str):
            found["Data"] = [found["Data"]]
        if not found and isinstance(fields.get("Message"), str):
            found = from_message(kind, which.version, fields["Message"])
        completed = dumps(found) or None
    except (ValueError, RecursionError):
        completed = data
    if completed is None and (kind in _SENTENCES or kind in _LABELLED):
        what = f"records of {kind.provider} {kind.event_id} have no fields and no message that can be read"
        problems.note("doubt", f"{what}: they say only that it happened")
    return completed


_LEAF = re.compile(r"<([A-Za-z_][\w.-]*)(?:\s[^<>]*)?(?:/>|>([^<]*)</\1\s*>)")


def _user_data(value: Any) -> dict[str, Any]:
    """Fields of UserData, as XML or as nested objects; {} for anything else."""
    while isinstance(value, dict):
        inner = [part for part in value.values() if isinstance(part, dict)]
        if not inner:
            return {name: part for name, part in value.items() if name[:1] not in "#@" and isinstance(part, str)}
        value = inner[0]
    if not isinstance(value, str) or "<" not in value:
        return {}
    start = value.find("<UserData")
    part = value[start:] if start >= 0 else "" if "<Event " in value or "<Event>" in value else value
    return {found[1]: html.unescape(found[2] or "") for found in _LEAF.finditer(part)}


_LSM = "microsoft-windows-terminalservices-localsessionmanager"
_RCM = "microsoft-windows-terminalservices-remoteconnectionmanager"
_EVENTLOG = "microsoft-windows-eventlog"

_LABELLED = frozenset(
    {Kind(_EVENTLOG, 1102), Kind(_EVENTLOG, 1105), Kind(_RCM, 1149)}
    | {Kind(_LSM, number) for number in (21, 22, 23, 24, 25, 41, 42)}
)
"""Messages that list the event's fields in their order, one a line behind a label, in whatever language."""

_SENTENCES: dict[Kind, tuple[re.Pattern[str], tuple[str, ...]]] = {
    Kind(_LSM, 39): (re.compile(r"\D*(\d+)\D+(\d+)\D*", re.ASCII), ("TargetSession", "Source")),
    Kind(_LSM, 40): (re.compile(r"\D*(\d+)\D+(\d+)\D*", re.ASCII), ("Session", "Reason")),
    Kind(_RCM, 261): (re.compile(r"Listener (\S+) received a connection\.?"), ("listenerName",)),
    Kind(_EVENTLOG, 104): (re.compile(r"The (.+) log file was cleared\."), ("Channel",)),
    Kind("eventlog", 6009): (re.compile(r"\D+([\d.]+) +(\d+) .*", re.ASCII), ("#1", "#2")),
    Kind("eventlog", 6011): (re.compile(r".+ from (\S+) to (\S+?)\.?"), ("#1", "#2")),
    Kind("eventlog", 6013): (re.compile(r"\D*(\d+)\D*", re.ASCII), ("#5",)),
}
"""Messages that have the fields in a sentence; numbers are found in any language."""

_LABEL = re.compile(r"(\s*)[^:\uff1a]{1,80}[:\uff1a](?:[ \t]+(.*))?")


def from_message(kind: Kind, version: int | None, message: str) -> dict[str, Any]:
    """Fields of an event as its message tells them; {} when that has not exactly the shape we know."""
    message = message.strip()
    if len(message) > MAX_MESSAGE:
        return {}
    if kind in _SENTENCES:
        pattern, names = _SENTENCES[kind]
        found = pattern.fullmatch(message)
        return _named(dict(zip(names, found.groups(), strict=True))) if found else {}
    if kind not in _LABELLED:
        return {}
    layouts = catalogue.fields()
    layout = layouts.get((*kind, version or 0)) or layouts[(*kind, 0)]
    lines = [found for line in message.splitlines()[1:] if (found := _LABEL.fullmatch(line.rstrip()))]
    indented = [line for line in lines if line[1]]  # below a title of their own
    values = [(line[2] or "").strip() for line in indented or lines]
    if not 0 < len(values) <= len(layout):
        return {}
    return {
        known.name: value
        for known, value in zip(layout, values, strict=False)
        if known.type != "SID" or value.startswith("S-1-")  # a viewer may have put a name there
    }


def _named(fields: dict[str, str]) -> dict[str, Any]:
    """With unnamed fields, #1 and so on, as the list that they are in a record."""
    unnamed = {int(name[1:]): value for name, value in fields.items() if name[0] == "#"}
    if not unnamed:
        return dict(fields)
    return {"Data": [unnamed.get(at) for at in range(1, max(unnamed) + 1)]}
