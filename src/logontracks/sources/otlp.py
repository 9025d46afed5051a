"""OpenTelemetry's own JSON: many log records in one object, each value wrapped with its type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from logontracks.sources.dialects import loads
from logontracks.sources.json_lines import dumps
from logontracks.sources.records import Problems

MAX_DEPTH = 32  # of values within values
_SCALARS = ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue")


def is_export(record: Any) -> bool:
    """Whether an object is an ExportLogsServiceRequest."""
    return isinstance(record, dict) and isinstance(record.get("resourceLogs"), list)


def records(export: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
    """Its log records, with plain values; None for each thing in its place that is no object, and so holds none."""
    yield from _within(export, "resourceLogs", "scopeLogs", "logRecords")


def _within(holder: dict[str, Any], name: str, *deeper: str) -> Iterator[dict[str, Any] | None]:
    held = holder.get(name, [])
    for each in held if isinstance(held, list) else [None]:
        if not isinstance(each, dict):
            yield None
        elif deeper:
            yield from _within(each, *deeper)
        else:
            yield {"otlp": 1, "body": _value(each.get("body"), 0)}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _value(value: Any, depth: int) -> Any:
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return None
    if isinstance(found := value.get("kvlistValue"), dict):
        return {str(each.get("key")): _value(each.get("value"), depth + 1) for each in _objects(found.get("values"))}
    if isinstance(found := value.get("arrayValue"), dict):
        return [_value(each, depth + 1) for each in _objects(found.get("values"))]
    return next((value[name] for name in _SCALARS if name in value), None)


def expanded(lines: pa.Table, problems: Problems) -> pa.Table:
    """Exports to one line for each of their records, with the place of the export, counted on. Other lines stay."""
    exports = pc.match_substring(lines["line"], '"resourceLogs"')
    if not pc.any(exports).as_py():
        return lines
    positions: list[int] = []
    texts: list[str] = []
    for position, line, maybe in zip(
        lines["position"].to_pylist(), lines["line"].to_pylist(), exports.to_pylist(), strict=True
    ):
        found = [line]
        if maybe:
            try:
                export = loads(line)
            except (ValueError, RecursionError):
                problems.lose(position, f"the line is no JSON object: {line[:40]!a}")
                continue
            if is_export(export):
                told = list(records(export))
                found = [dumps(record) for record in told if record is not None]
                if others := told.count(None):
                    what = "parts of exports from here on are no log records: they are no objects"
                    problems.note("skipped", what, others, position)
        texts.extend(found)
        positions.extend(range(position, position + len(found)))
    return pa.table({"position": pa.array(positions, pa.int64()), "line": pa.array(texts, pa.string())})
