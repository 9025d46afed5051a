"""The event's own fields in the shapes that senders give them, to names and values as Windows has them."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # only what has no DTD gets here: xml_records.py
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from logontracks import catalogue
from logontracks.sources.dialects import Fields, loads
from logontracks.sources.envelope import Kind

MAX_STRINGS = 256  # of one record; Windows writes at most 256 of them
_NAME_KEYS = ("Name", "@Name", "name")
_TEXT_KEYS = ("#text", "text", "Text", "Value", "value", "$t", "_")
_BITS = {"HexInt32": 32, "UInt32": 32, "HexInt64": 64, "UInt64": 64}


class NotCertainError(Exception):
    """Why strings without names cannot be placed: words for a problem."""


# Strings in their order


@cache
def _layouts(kind: Kind) -> dict[int, tuple[catalogue.Field, ...]]:
    return {
        version: layout
        for (provider, event_id, version), layout in catalogue.fields().items()
        if (provider, event_id) == tuple(kind)
    }


@cache
def _layout(kind: Kind, version: int | None, count: int) -> tuple[catalogue.Field, ...]:
    """The names of so many strings. Raises NotCertainError where more than one layout has as many, or none."""
    known = _layouts(kind)
    what = f"records of {kind.provider} {kind.event_id}"
    if not known:
        raise NotCertainError(f"{what} have strings without names, and no layout of it is known")
    if version is not None:
        if version not in known:
            raise NotCertainError(f"{what} have strings without names, and version {version} of it is not known")
        if len(known[version]) != count:
            raise NotCertainError(f"{what} version {version} have {count} strings, and not {len(known[version])}")
        return known[version]
    fitting = {tuple(field.name for field in layout): layout for layout in known.values() if len(layout) == count}
    if len(fitting) != 1:
        raise NotCertainError(
            f"{what} have {count} strings without names and no version: {len(fitting)} layouts have as many"
        )
    return next(iter(fitting.values()))


def placed(kind: Kind, version: int | None, values: Sequence[Any]) -> dict[str, Any]:
    """Strings by the names they have in the catalogue; those that have none there as the list `Data`.

    Raises NotCertainError where their places are not certain.
    """
    if len(values) > MAX_STRINGS:
        raise NotCertainError(f"records of {kind.provider} {kind.event_id} have more than {MAX_STRINGS} strings")
    layout = _layout(kind, version, len(values))
    if any(field.name.startswith("#") for field in layout):
        return {"Data": [_text(value) for value in values]}
    return {field.name: _unsigned(_text(value), field.type) for field, value in zip(layout, values, strict=True)}


def _unsigned(value: Any, kind: str) -> Any:
    """.NET shows hex numbers as signed ones: a status of -1073741715 is 0xc000006d."""
    bits = _BITS.get(kind)
    return value + (1 << bits) if bits and isinstance(value, int) and -(1 << bits - 1) <= value < 0 else value


def _text(entry: Any) -> Any:
    """A value, or the value in {"Value": ...}, at most one deep within the next."""
    for _ in range(3):
        if not isinstance(entry, dict):
            break
        entry = next((entry[key] for key in _TEXT_KEYS if key in entry), None)
    return None if isinstance(entry, dict | list) else entry


# Fields with names


def named(kind: Kind, value: Any) -> dict[str, Any]:
    """Fields of EventData or UserData as objects or lists; entries without a name as the list `Data`."""
    if isinstance(value, list):
        return _of_entries(value)
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if name in {"Data", "data"} and isinstance(inner, list | dict):
            found |= _of_entries(inner if isinstance(inner, list) else [inner])
        elif name == "Data" and isinstance(inner, str):
            found["Data"] = [inner]
        elif name[:1] not in "#@" and not name.startswith("xmlns") and not name.endswith("_attributes"):
            found[name] = _text(inner) if isinstance(inner, dict) and _is_entry(inner) else inner
    deeper = [inner for inner in found.values() if isinstance(inner, dict)]
    if len(deeper) == 1 and len(found) == 1:  # UserData wraps its fields
        return named(kind, deeper[0])
    return _without_numbers(kind, {name: inner for name, inner in found.items() if inner != ""} if deeper else found)


def _is_entry(entry: dict[str, Any]) -> bool:
    return any(key in entry for key in _TEXT_KEYS) or not entry or all(key[:1] in "#@" for key in entry)


def _of_entries(entries: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    unnamed: list[Any] = []
    for entry in entries:
        name, text = _entry(entry)
        if name is None:
            unnamed.append(text)
        else:
            found.setdefault(name, text)
    if unnamed:
        found["Data"] = unnamed
    return found


def _entry(entry: Any) -> tuple[str | None, Any]:
    """{"Name": ..., "Value": ...} in any of its spellings, {name: value}, or a value without a name."""
    if not isinstance(entry, dict):
        return None, None if isinstance(entry, list) else entry
    attributes = next((entry[key] for key in ("#attributes", "_attributes", "$") if key in entry), entry)
    source = attributes if isinstance(attributes, dict) else entry
    name = next((source[key] for key in _NAME_KEYS if isinstance(source.get(key), str)), None)
    if name is not None or any(key in entry for key in _TEXT_KEYS):
        return name, _text({key: value for key, value in entry.items() if key in _TEXT_KEYS})
    if len(entry) == 1:
        ((key, value),) = entry.items()
        return (None, None) if key[:1] in "#@" else (key, _text(value))
    return None, None


@cache
def _unnamed_fields(kind: Kind) -> bool:
    return any(field.name.startswith("#") for layout in _layouts(kind).values() for field in layout)


def _without_numbers(kind: Kind, fields: dict[str, Any]) -> dict[str, Any]:
    """Beats and OpenTelemetry call fields without a name param1, param2 ...; some events have fields of that name."""
    if "param1" not in fields or not _unnamed_fields(kind):
        return fields
    numbers = {int(name[5:]): value for name, value in fields.items() if name[:5] == "param" and name[5:].isdecimal()}
    rest = {name: value for name, value in fields.items() if name[:5] != "param"}
    last = max(number for number in numbers if number <= MAX_STRINGS)
    return rest | {"Data": [numbers.get(at) for at in range(1, last + 1)]}


@cache
def _names(kind: Kind) -> dict[str, str]:
    """Names of the kind's fields by those in lower case."""
    return {field.name.lower(): field.name for layout in _layouts(kind).values() for field in layout}


def completed(kind: Kind, fields: dict[str, Any], moved: dict[str, Any]) -> dict[str, Any]:
    """The fields with those that the Security module of winlogbeat has moved to names that all its sources share.

    Where a record is of a new process, `process` is that one and not the one that asked.
    """
    names = set(_names(kind).values())
    if "NewProcessId" in names:
        names -= {"ProcessId", "ProcessName"}
    return {name: value for name, value in moved.items() if name in names} | fields


def camel(kind: Kind, value: Any) -> dict[str, Any]:
    """Wazuh's targetUserName is TargetUserName. It joins fields without names into one text, which says no more."""
    if not isinstance(value, dict):
        return {}
    names = _names(kind)
    found = {names.get(name.lower(), name[:1].upper() + name[1:]): text for name, text in value.items()}
    if isinstance(found.get("Data"), str):
        joined = found.pop("Data")
        if _unnamed_fields(kind) and "#2" not in names.values():
            return found | {"Data": [joined]}
        if _unnamed_fields(kind):
            raise NotCertainError(f"records of {kind.provider} {kind.event_id} have their strings joined into one")
    return named(kind, found)


def of_text(kind: Kind, value: Any) -> dict[str, Any]:
    """Fields of EvtxECmd's Payload: JSON within a text, with EventData or UserData."""
    found = loads(value) if isinstance(value, str) else value
    inner = (found.get("EventData") or found.get("UserData")) if isinstance(found, dict) else None
    return named(kind, inner)


def of_xml(_: Kind, value: Any) -> dict[str, Any]:
    """Fields of an <EventData> or <UserData> element. Raises ValueError on text that is no XML, or has a DTD."""
    if not isinstance(value, str) or not value.lstrip().startswith("<"):
        return {}
    if "<!" in value:
        raise ValueError("it declares something")
    try:
        root = ET.fromstring(value)  # noqa: S314 - nothing in it can be declared
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    return of_element(root)


def local(tag: str) -> str:
    """The name of an element without its namespace."""
    return tag.rpartition("}")[2]


def of_element(data: ET.Element) -> dict[str, Any]:
    """Fields of EventData; or those of what UserData wraps."""
    if local(data.tag) == "UserData" and len(data):
        return {local(child.tag): child.text for child in data[0] if not len(child)}
    found: dict[str, Any] = {}
    unnamed: list[str | None] = []
    for child in data:
        name = child.get("Name") or (None if local(child.tag) == "Data" else local(child.tag))
        if name is None:
            unnamed.append(child.text)
        else:
            found.setdefault(name, child.text)
    if unnamed:
        found["Data"] = unnamed
    return found


def flat(kind: Kind, value: Any) -> dict[str, Any]:
    """Those columns of a table that are fields of this kind of event."""
    names = _names(kind)
    return {name: text for name, text in value.items() if name.lower() in names} if isinstance(value, dict) else {}


READ: dict[Fields, Callable[[Kind, Any], dict[str, Any]]] = {
    "map": named,
    "list": named,
    "camel": camel,
    "payload": of_text,
    "xml": of_xml,
    "flat": flat,
}
