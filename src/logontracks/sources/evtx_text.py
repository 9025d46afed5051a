"""The `evtx` wheel's JSON text of a record to rows and extents, by cutting instead of parsing.

The wheel writes a record's parts in the order of the record, so a few searches find what is needed: the text before
the time says which kind of event it is, the text from the channel on which log of which host, and the rest is the
event's own fields. Both are few and are parsed once each. Nothing an attacker writes into a field can look like one
of the marks, because inside a JSON string every quote has a backslash. Text of another shape is parsed in full.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from logontracks import catalogue
from logontracks.sources.envelope import Extents, Head, Kind, Problem, Row, Run, Tail, head, tail

_decoder = json.JSONDecoder()

MAX_CHUNK_TEXT = 4 << 20  # characters of the records of a chunk: real ones have a tenth; forged templates can multiply
MAX_COMMON = 20_000  # distinct heads or tails before the look-ups start afresh

_TIME = '"TimeCreated":{"#attributes":{"SystemTime":"'
_RECORD_ID = '"EventRecordID":'
_CHANNEL = '"Channel":"'
_ACTIVITY = '"ActivityID":"'
_EVENT_DATA = ',"EventData":{'
_BEHIND_TIME = '"}},"EventRecordID":'
_NO_CORRELATION = ',"Correlation":null'
_NOWHERE = "\0"  # in no text: JSON spells it out
_LOGON_ID = 'LogonId":'
_DIGITS = re.compile(r"\d+")


class NotCleanError(Exception):
    """The range did not read as a clean one does; read it carefully."""


class IrrelevantError(Exception):
    """The first chunk holds no log that has to do with logons."""


class Common:
    """Heads and tails seen by this process, and what is to be done with the records that have them."""

    def __init__(self, *, activity: bool) -> None:
        self.activity = activity
        self.heads: list[Head] = []
        self.tails: list[Tail] = []
        self.head_of: dict[str, int] = {}
        self.tail_of: dict[str, int] = {}
        self.keep: list[int] = []  # by head: 0 never, 1 always, 2 when it belongs to a session
        self.security: list[bool] = []  # by tail: the Security log
        self.relevant: list[bool] = []  # by tail: a log that the catalogue knows
        self.channels = catalogue.channels()
        reserved = catalogue.reserved_logon_ids()
        self.reserved = {f'"0x{logon_id:x}"' for logon_id in reserved} | {str(logon_id) for logon_id in reserved}

    def full(self) -> bool:
        """Start afresh before the next piece: only a hostile log has so many kinds or hosts."""
        return max(len(self.heads), len(self.tails)) > MAX_COMMON

    def head(self, text: str, system: dict[str, Any]) -> int:
        found = _head(system)
        match catalogue.keep(found.provider, found.event_id):
            case catalogue.Keep.LOGON:
                self.keep.append(1)
            case catalogue.Keep.ACTIVITY:
                self.keep.append(2 if self.activity else 0)
            case catalogue.Keep.NO:
                self.keep.append(0)
        self.heads.append(found)
        self.head_of[text] = len(self.heads) - 1
        return len(self.heads) - 1

    def tail(self, text: str, system: dict[str, Any]) -> int:
        found = _tail(system)
        self.security.append(found.channel.lower() == "security")
        self.relevant.append(found.channel.lower() in self.channels)
        self.tails.append(found)
        self.tail_of[text] = len(self.tails) - 1
        return len(self.tails) - 1


@dataclass(slots=True)
class Piece:
    """What one range of one source gave."""

    rows: dict[Kind, list[Row]] = field(default_factory=dict)
    extents: Extents = field(default_factory=Extents)
    problems: list[Problem] = field(default_factory=list)
    records: int = 0


def collect(
    common: Common,
    piece: Piece,
    source: int,
    records: Iterator[dict[str, Any]],
    limits: list[tuple[int, int]],
    *,
    may_skip: bool = False,
) -> int:
    """Take the records of consecutive chunks into the piece and return how many there were.

    `limits` holds (chunk, records up to its end). Raises NotCleanError when there are more records than that,
    IrrelevantError when `may_skip` and the first of several chunks has no log of the catalogue, and ValueError,
    KeyError, TypeError or AttributeError on a record that is not one.
    """
    keep, security, head_of = common.keep, common.security, common.head_of
    rows_by_head: dict[int, list[Row]] = {}
    counts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    kept: dict[tuple[int, int], int] = defaultdict(int)
    here = counts[-1]
    tails_here: set[int] = set()
    step = iter(limits)
    chunk, limit = next(step)
    base = chunk << 16
    number = 0
    day = next_day = low = high = ""
    tail_text = _NOWHERE
    log_index = last_tail = -1
    last_id = -2
    run: Run | None = None
    room = MAX_CHUNK_TEXT // 2 * (len(limits) + 1)

    for record in records:
        number += 1
        if number > limit:
            if may_skip and not any(common.relevant[known] for known in tails_here):
                raise IrrelevantError
            may_skip = False
            while number > limit:
                following = next(step, None)
                if following is None:
                    raise NotCleanError("more records than the chunk headers tell")
                chunk, limit = following
            base = (chunk << 16) - number + 1
        text: str = record["data"]
        room -= len(text)
        if room < 0:
            raise NotCleanError("records larger than their chunks can hold")
        # of nearly all records the first Z behind the provider ends the time, and head and tail are known
        zone = text.find("Z", 150)
        head_index = head_of.get(text[: zone - 26], -1)
        comma = text.find(",", zone + 21)
        end = text.find(tail_text, comma, comma + 400)
        if head_index >= 0 and end > 0 and text.startswith(_BEHIND_TIME, zone + 1):
            time = text[zone - 26 : zone + 1]
            digits = text[zone + 21 : comma]
            start = end + len(tail_text)
        else:
            head_index, log_index, time, digits, end, start = _cut(common, text) or _parse(common, text)
            tail_text = text[end:start] or _NOWHERE
            tails_here.add(log_index)
            comma = 0
        record_id = int(digits) if digits.isdigit() and len(digits) < 19 else _own_number(record)
        if not day <= time < next_day:
            _count(common, piece, day, counts, kept)
            day = time[:10]
            next_day = day + "U"  # sorts behind all times of the day
            here = counts[log_index]
        if record_id != last_id + 1 or log_index != last_tail:
            here = counts[log_index]
            log = common.tails[log_index]
            if run is None or record_id != last_id + 1 or (log.computer, log.channel) != (run.computer, run.channel):
                _close(run, last_id, low, high)
                run = Run(log.computer, log.channel, record_id, record_id, 1, time, time)
                piece.extents.runs.append(run)
                low = high = time
            last_tail = log_index
        here[head_index] += 1
        last_id = record_id
        if time > high:
            high = time
        elif time < low:
            low = time

        mode = keep[head_index]
        if mode == 0:
            continue
        if mode == 2:
            if not security[log_index] or not _in_session(text, end, common.reserved):
                continue
            kept[head_index, log_index] += 1
        rows = rows_by_head.get(head_index)
        if rows is None:
            which = common.heads[head_index]
            rows = rows_by_head[head_index] = piece.rows.setdefault(Kind(which.provider.lower(), which.event_id), [])
        data: str | None
        if start and text.startswith(_EVENT_DATA, start):
            data = text[start + 13 : -2]
            if data.find("}") != len(data) - 1 or "#" in data or data.startswith('{"Data":'):
                data = _flat(text, data)
            activity = None
            if not text.startswith(_NO_CORRELATION, comma):
                mark = text.find(_ACTIVITY, comma, end)
                activity = text[mark + 14 : mark + 50] if mark > 0 else None
        else:
            event = json.loads(text)["Event"]
            activity = _attribute(event["System"].get("Correlation"), "ActivityID")
            data = own_fields(event)
        rows.append(
            (source, base + number, head_index, log_index, record_id, time, record["timestamp"], activity, data)
        )
    _count(common, piece, day, counts, kept)
    _close(run, last_id, low, high)
    piece.records += number
    return number


def _count(
    common: Common,
    piece: Piece,
    day: str,
    counts: dict[int, dict[int, int]],
    kept: dict[tuple[int, int], int],
) -> None:
    for log_index, heads in counts.items():
        for head_index, count in heads.items():
            which, log = common.heads[head_index], common.tails[log_index]
            entry = piece.extents.counts[log.computer, log.channel, which.provider, which.event_id, day]
            entry[0] += count
            entry[1] += count if common.keep[head_index] == 1 else kept.get((head_index, log_index), 0)
    counts.clear()
    kept.clear()


def _close(run: Run | None, last_id: int, low: str, high: str) -> None:
    if run is not None and run.first_id is not None:
        run.last_id, run.first_time, run.last_time = last_id, low, high
        run.records = last_id - run.first_id + 1


def _in_session(text: str, start: int, reserved: set[str]) -> bool:
    """Whether a record names a logon id that stands for a session: neither 0 nor reserved."""
    at = text.find(_LOGON_ID, start)
    while at > 0:
        at += 9
        if text.startswith('"0x', at):
            if text[at : at + 7] not in reserved and text[at : at + 5] != '"0x0"':
                return True
        elif (number := _DIGITS.match(text, at)) and number[0] not in reserved:
            return True  # 5888 to 5890 (COM+) write a decimal number
        at = text.find(_LOGON_ID, at)
    return False


def sound(common: Common, record: dict[str, Any]) -> str | None:
    """What is wrong with a record that came out of damaged bytes; None when it can be collected."""
    try:
        own_fields(json.loads(record["data"])["Event"])
        collect(common, Piece(), 0, iter([record]), [(0, 1)])
    except NotCleanError as error:
        return str(error)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return f"what record {record.get('event_record_id')} holds is no event"
    return None


def _tail_at(common: Common, text: str, time: int, start: int) -> tuple[str, int]:
    """Text and number of the tail that starts there; it ends where the System part does.

    The text is empty where this is no tail: a record whose System part has no channel, but whose fields have one.
    `time`: where in the System part its time is.
    """
    if text.find('Data":', time, start) > 0:
        return "", -1
    ends = [found for mark in ('},"EventData":', '},"UserData":') if (found := text.find(mark, start)) > 0]
    part = text[start : min(ends) + 1] if ends else ""
    if part in common.tail_of:
        return part, common.tail_of[part]
    system, length = _decoder.raw_decode("{" + text[start:])
    part = text[start : start + length - 1]
    index = common.tail_of.get(part)
    return part, common.tail(part, system) if index is None else index


def _own_number(record: dict[str, Any]) -> int:
    """Number of the record in its file. It stands in where that of the log it was written to is missing.

    The file numbers its records itself: a log that was exported or forwarded begins with 1, and only the System part
    keeps the number that the record had (78 of 107 real logs at hand). Forged numbers are cut to 62 bits, so that what
    counts on from them stays in 64.
    """
    number: int = record["event_record_id"]
    return number & (1 << 62) - 1


class _Cut(NamedTuple):
    """What a record's System part says. `tail` and `end`: where the text of the tail is; both 0 where it has none."""

    head_index: int
    log_index: int
    time: str
    record_id: str
    tail: int
    end: int


def _cut(common: Common, text: str) -> _Cut | None:
    """The System part found by its marks; None where it has another shape."""
    at = text.find(_TIME, 150)
    tail = text.find(_CHANNEL, at)
    if at < 0 or tail < 0:
        return None
    tail_text, log_index = _tail_at(common, text, at, tail)
    if not tail_text:
        return None
    begin = at + len(_TIME)
    head_index = common.head_of.get(text[:begin])
    if head_index is None:
        head_index = common.head(text[:begin], json.loads(text[:at].rstrip(",") + "}}}")["Event"]["System"])
    time = text[begin : text.index('"', begin)]
    mark = text.find(_RECORD_ID, at, tail) + len(_RECORD_ID)
    return _Cut(head_index, log_index, time, text[mark : text.find(",", mark, tail)], tail, tail + len(tail_text))


def _parse(common: Common, text: str) -> _Cut:
    """The System part of a record of any shape."""
    system = json.loads(text)["Event"]["System"]
    time = _attribute(system.get("TimeCreated"), "SystemTime")
    if not isinstance(time, str) or len(time) < 20:
        raise ValueError("it has no time")
    head_key, tail_key = repr(_head(system)), repr(_tail(system))
    known_head, known_tail = common.head_of.get(head_key), common.tail_of.get(tail_key)
    return _Cut(
        common.head(head_key, system) if known_head is None else known_head,
        common.tail(tail_key, system) if known_tail is None else known_tail,
        time,
        str(_scalar(system.get("EventRecordID"))),
        0,
        0,
    )


def _scalar(value: Any) -> Any:
    return value.get("#text") if isinstance(value, dict) else value


def _attribute(value: Any, name: str) -> Any:
    return value.get("#attributes", {}).get(name) if isinstance(value, dict) else None


def _integer(value: Any, below: int) -> int | None:
    try:
        number = int(str(_scalar(value)), 0)
    except ValueError:
        return None
    return number if 0 <= number < below else None


def _head(system: dict[str, Any]) -> Head:
    provider = _attribute(system.get("Provider"), "Name") or _attribute(system.get("Provider"), "EventSourceName")
    event_id = _integer(system.get("EventID"), 1 << 31)
    keywords = _scalar(system.get("Keywords"))
    return head(
        str(provider or ""), -1 if event_id is None else event_id, _integer(system.get("Version"), 1 << 15), keywords
    )


def _tail(system: dict[str, Any]) -> Tail:
    sid = _attribute(system.get("Security"), "UserID")
    return tail(
        str(_scalar(system.get("Channel")) or ""), str(_scalar(system.get("Computer")) or ""), str(sid) if sid else None
    )


def _flat(text: str, data: str) -> str | None:
    """The event's own fields of a record's text; `data` is what looks like them."""
    if data.startswith('{"Data":') or '"#' in data or '"RenderingInfo":' in data:
        return own_fields(json.loads(text)["Event"])
    return data


def own_fields(event: dict[str, Any]) -> str | None:
    """The event's own fields as a flat JSON object: EventData, or what UserData wraps; unnamed ones as list `Data`."""
    fields: Any = event.get("EventData")
    if not isinstance(fields, dict):
        wrapped = event.get("UserData")
        inner = [value for name, value in wrapped.items() if name[:1] != "#"] if isinstance(wrapped, dict) else []
        fields = inner[0] if inner and isinstance(inner[0], dict) else None
    if fields is None:
        return None
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "Data":
            unnamed = _scalar(value)
            flat["Data"] = unnamed if isinstance(unnamed, list) else [unnamed]
        elif not name.startswith(("#", "xmlns")):
            flat[name] = _scalar(value) if isinstance(value, dict) and "#text" in value else value
    return json.dumps(flat, ensure_ascii=False, separators=(",", ":"))
