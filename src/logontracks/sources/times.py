"""When a record happened, in UTC, and how sure that is.

Most forms tell UTC or a zone. NXLog's `EventTime` has no zone in most set-ups: it is local time of the collector, as
`EventReceivedTime` is. What arrives through Logstash also has `@timestamp`, UTC of the moment of arrival, so that the
offset can be told from the two: _WAYS. In 131,922 Sysmon records of real labs, which hold UTC of their own, 94 % of the
times so found are within a second of it and none is further off than Sysmon was late (27 s).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from logontracks.sources.database import query
from logontracks.sources.envelope import Problem

# A time as it is written


class Moment(NamedTuple):
    """A time as written: microseconds since 1970 of its own clock or, `zoned`, of UTC, and its digits below seconds."""

    time: int
    digits: str
    zoned: bool


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone yet
_WRITTEN = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,](\d+))? ?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII | re.IGNORECASE
)
_NUMBER = re.compile(r"\d{9,17}", re.ASCII)
_FRACTION = re.compile(r"(\d{9,11})\.(\d{1,12})", re.ASCII)  # seconds, with as many digits as a double has
_DATE = re.compile(r"\\?/Date\((\d{9,17})\)\\?/", re.ASCII)  # as PowerShell up to 5.1 writes it


def moment(text: str | None) -> Moment | None:
    """ISO 8601, with or without a zone, or a number of seconds, milli- or microseconds since 1970 in UTC."""
    text = (text or "").strip()
    if found := _DATE.fullmatch(text):
        text = found[1]
    if found := _FRACTION.fullmatch(text):
        micros = round(int(found[2].ljust(12, "0")) / 1_000_000)
        return Moment(int(found[1]) * 1_000_000 + micros, f"{micros % 1_000_000:06}"[: len(found[2])], zoned=True)
    if _NUMBER.fullmatch(text):
        below = 0 if len(text) < 12 else 3 if len(text) < 15 else 6
        return Moment(int(text) * 10 ** (6 - below), text[len(text) - below :], zoned=True)
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    date, clock, digits, zone = found.groups()
    try:
        read = datetime.fromisoformat(f"{date}T{clock}{(zone or '').upper()}")
    except ValueError:
        return None
    if not 1601 < read.year < 9999:
        return None
    offset = read.utcoffset() or timedelta()
    micros = (read.replace(tzinfo=None) - offset - _EPOCH) // timedelta(microseconds=1)
    return Moment(micros + int(f"{digits or ''}000000"[:6]), (digits or "")[:7], zone is not None)


def in_zone(local: Moment, zone: ZoneInfo) -> tuple[int, int] | None:
    """UTC of a local time, and 1 where its hour comes twice (then the first is meant), -1 where it is skipped."""
    if local.zoned:
        return None
    clock = _EPOCH + timedelta(microseconds=local.time)
    first, second = (clock.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return local.time - first // timedelta(microseconds=1), (first > second) - (first < second)


def iso(micros: int) -> str:
    """Microseconds since 1970 as text."""
    time = _EPOCH + timedelta(microseconds=micros)
    return f"{time.isoformat(timespec='microseconds' if time.microsecond else 'seconds')}Z"


# The times of many records

_QUARTER = 900_000_000  # microseconds; every zone in use is a multiple of it away from UTC
_WAYS = f"""
    WITH since AS (
        SELECT *, utc - event AS since_event, utc - received AS since_received,
            CAST(FLOOR((utc - event + {_QUARTER // 2}) / {_QUARTER}.0) AS BIGINT) AS by_event,
            CAST(FLOOR((utc - received + {_QUARTER // 2}) / {_QUARTER}.0) AS BIGINT) AS by_received
        FROM lines)
    SELECT CASE
        WHEN event IS NULL THEN 'unreadable'
        WHEN zoned THEN 'zone'
        -- @timestamp was made of EventTime: nothing but whole quarters of an hour lies between them
        WHEN since_event = by_event * {_QUARTER} AND by_event BETWEEN -56 AND 56 THEN 'event'
        -- as NXLog received it, and as it arrived: a moment apart
        WHEN since_received - by_received * {_QUARTER} BETWEEN -60000000 AND 300000000
            AND by_received BETWEEN -56 AND 56 THEN 'received'
        -- arrived moments after it happened; a line that was late by whole hours cannot be told from another zone
        WHEN since_event - by_event * {_QUARTER} BETWEEN -60000000 AND 300000000
            AND by_event BETWEEN -56 AND 56 THEN 'event'
        WHEN in_zone IS NOT NULL THEN 'source-tz'
        WHEN utc IS NOT NULL THEN 'arrival'
        ELSE 'local' END AS way,
        CASE way
            WHEN 'zone' THEN event
            WHEN 'event' THEN event + by_event * {_QUARTER}
            WHEN 'received' THEN event + by_received * {_QUARTER}
            WHEN 'source-tz' THEN in_zone
            WHEN 'arrival' THEN utc END AS time,
        CASE way WHEN 'event' THEN by_event WHEN 'received' THEN by_received END AS quarters,
        CASE way WHEN 'source-tz' THEN turn END AS turn,
        CASE way WHEN 'arrival' THEN arrival_digits ELSE digits END AS digits
    FROM since"""

_MOMENTS = pa.schema(
    [
        ("time", pa.int64()),
        ("digits", pa.string()),
        ("zoned", pa.bool_()),
        ("in_zone", pa.int64()),
        ("turn", pa.int8()),
    ]
)


def times(told: pa.Table, source_tz: ZoneInfo | None) -> pa.Table:
    """For each record the `way` its time was found, `time` (microseconds UTC), offset and what `doubts` asks for.

    `told` has texts: `time` as the record has it, `time_utc` where it has one known to be UTC, and what NXLog and
    Logstash say of its way here, `received` in the zone of `time` and `arrival` in UTC. `quarters`: of an hour that UTC
    is ahead, where `arrival` tells it. `turn`: of the clocks, as `in_zone` says.
    """
    event = _moments(_event_time(told), source_tz)
    if pc.all(event["zoned"], skip_nulls=False).as_py():  # nothing else is asked for then
        return pa.table(
            {
                "way": pa.repeat(pa.scalar("zone"), len(told)),
                "time": event["time"],
                "quarters": pa.nulls(len(told), pa.int64()),
                "turn": pa.nulls(len(told), pa.int8()),
                "digits": event["digits"],
            }
        )
    received = _moments(told["received"])
    arrival = _moments(told["arrival"])
    columns = {
        "event": event["time"],
        "zoned": event["zoned"],
        "digits": event["digits"],
        "in_zone": event["in_zone"],
        "turn": event["turn"],
        "received": pc.if_else(received["zoned"], None, received["time"]),
        "utc": pc.coalesce(arrival["time"], pc.if_else(received["zoned"], received["time"], None)),
        "arrival_digits": arrival["digits"],
    }
    return query(_WAYS, pa.table(columns))


def in_utc(told: pa.Table) -> pa.Table:
    """The same records, with what `times` tells in place of their `time`, where that is in UTC or says its zone."""
    nothing = pa.nulls(len(told), pa.string())
    for name in ("time_utc", "received", "arrival"):
        told = told.append_column(name, nothing)
    return replaced(told, times(told, None))


def replaced(told: pa.Table, found: pa.Table) -> pa.Table:
    """The records with what was found of their times in place of the texts."""
    rest = told.drop_columns(["time", "time_utc", "received", "arrival"])
    for name in found.column_names:
        rest = rest.append_column(name, found[name])
    return rest


def _event_time(told: pa.Table) -> pa.ChunkedArray:
    """The time, or the one in UTC where that is given and the other tells no zone."""
    event, utc = told["time"], told["time_utc"]
    utc = pc.if_else(pc.match_substring_regex(utc, r"^\s*\d{4}-\d\d-"), utc, None)
    if utc.null_count == len(utc):
        return event
    zone = r"(?i)^.{10}.*(Z|[+-]\d\d(:?\d\d)?)\s*$"
    utc = pc.if_else(pc.match_substring_regex(utc, zone), utc, pc.binary_join_element_wise(utc, "Z", ""))
    zoned = pc.fill_null(pc.match_substring_regex(event, zone), fill_value=False)
    return pc.if_else(zoned, event, pc.coalesce(utc, event))


_PLAIN = r"^\d{4}-\d\d-\d\d[T ][0-2]\d:[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$"
_SENSE = [datetime(1602, 1, 2), datetime(9998, 12, 30)]  # noqa: DTZ001 - `moment` draws the line by the year as written


def _moments(column: pa.Array | pa.ChunkedArray, zone: ZoneInfo | None = None) -> pa.Table:
    """The moments of a column. Those with a zone as most forms write it are read together, others one by one, once."""
    if len(column) > column.null_count and pc.all(pc.match_substring_regex(column, _PLAIN)).as_py():
        try:
            return _zoned(column)
        except pa.ArrowInvalid:
            pass  # a day or an hour that no calendar has is among them
    encoded = (column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column).dictionary_encode(
        null_encoding="encode"
    )
    rows = []
    for text in encoded.dictionary.to_pylist():
        found = moment(text)
        utc, turn = (found and zone and in_zone(found, zone)) or (None, None)
        rows.append((*(found or (None, None, None)), utc, turn))
    columns = list(zip(*rows, strict=True)) or [()] * len(_MOMENTS)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _MOMENTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_MOMENTS).take(encoded.indices)


def _zoned(column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The moments of texts that are _PLAIN. Raises pa.ArrowInvalid where one of them has no sense."""
    below = pc.replace_substring_regex(pc.utf8_slice_codeunits(column, 19), "[Z+-].*$", "")
    fine = pc.max(pc.binary_length(below)).as_py() > len(".123456")
    text = pc.replace_substring_regex(column, r"(\.\d{6})\d+", r"\1") if fine else column
    time = text.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    bounds = pc.min_max(time).as_py()
    if bounds["min"] < _SENSE[0] or bounds["max"] > _SENSE[1]:
        raise pa.ArrowInvalid("years without sense")
    return pa.table(
        {
            "time": time.cast(pa.int64()),
            "digits": pc.utf8_slice_codeunits(below, 1, 8),
            "zoned": pc.equal(time, time),
            "in_zone": pa.nulls(len(time), pa.int64()),
            "turn": pa.nulls(len(time), pa.int8()),
        }
    )


def texts(found: pa.Table) -> pa.Array:
    """The `time` of records as ISO 8601 in UTC, with as many `digits` below seconds as were written."""
    seconds = pc.floor_temporal(found["time"].cast(pa.timestamp("us")), unit="second").cast(pa.timestamp("s"))
    clock = pc.replace_substring(seconds.cast(pa.string()), " ", "T", max_replacements=1)
    digits = pc.if_else(pc.equal(found["digits"], ""), None, found["digits"])
    below = pc.fill_null(pc.binary_join_element_wise("", digits, "."), "")
    return pc.binary_join_element_wise(clock, below, "Z", "")


# What is to be said about them


def doubts(kept: pa.Table) -> Iterator[Problem]:
    """What may be wrong with the times of kept records, or leaves them without one."""
    ways = Counter(kept["way"].to_pylist())
    turns = Counter(kept["turn"].drop_null().to_pylist())
    if count := ways["unreadable"]:
        what = f"{count} records from here on have no time that can be read"
        yield Problem(_first(kept, "unreadable"), "lost", what, count)
    if count := ways["local"]:
        what = f"{count} records have local times without a zone"
        yield Problem("", "lost", f"{what}; run again with --source-tz ZONE, such as Europe/Berlin", count)
    if count := ways["arrival"]:
        what = f"{count} records from here on have local times whose zone cannot be told"
        what += ": the time of their arrival (@timestamp) stands for them"
        yield Problem(_first(kept, "arrival"), "doubt", what)
    if count := turns[1]:
        what = f"{count} records are in the hour that comes twice when the clocks of --source-tz go back"
        yield Problem("", "doubt", f"{what}; the first was taken")
    if count := turns[-1]:
        what = f"{count} records are in the hour that --source-tz leaves out when its clocks go forward"
        yield Problem("", "doubt", f"{what}: is it the right zone?")
    quarters = sorted(Counter(kept["quarters"].drop_null().to_pylist()).items())
    if any(quarter - quarters[0][0] not in {0, 4} for quarter, _ in quarters):  # one zone, in summer and winter
        found = ", ".join(f"{_hours(-quarter)} ({count} records)" for quarter, count in quarters)
        yield Problem("", "doubt", f"times come from several zones, or some lines arrived very late: UTC {found}")


def _first(kept: pa.Table, way: str) -> str:
    return f"byte {kept['position'][kept['way'].index(way).as_py()]}"


def _hours(quarters: int) -> str:
    hours, rest = divmod(abs(quarters), 4)
    return f"{'-' if quarters < 0 else '+'}{hours:02}:{rest * 15:02}"
