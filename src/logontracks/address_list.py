"""Read a list of which machine had which address when, as a DHCP server or a DNS zone can give it."""

from __future__ import annotations

import csv
import ipaddress
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from logontracks import forms, schema
from logontracks.errors import SourceError
from logontracks.sources.times import in_zone, moment

MOST_BYTES = 256 << 20
NEEDED = ("address", "host")
COLUMNS = (*NEEDED, "from", "until")

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC without a zone, as in the case
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_Row = tuple[str, str, int | None, int | None]  # address, host, microseconds since 1970 in UTC


def read(path: Path, zone: ZoneInfo | None = None) -> pa.Table:
    """The rows of a CSV file as table `given_addresses`, stretches of one machine that touch each other as one.

    Its first line names the columns: `address` and `host`, and `from` and `until` where they are known; others are not
    read. Times are ISO 8601; `zone` is that of times without one. Raises SourceError when it cannot be read, and tells
    the line and what is wrong with it.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(
                f"{path} is larger than {MOST_BYTES >> 20} MB", "give a list of the addresses in question"
            )
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(path, file, zone))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "give --addresses a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} is no CSV in UTF-8: {error}", "save it as CSV in UTF-8") from error
    columns = zip(*_joined(rows), strict=True) if rows else ((), (), (), ())
    addresses, hosts, since, until = columns
    made = {
        "address": addresses,
        "host": hosts,
        "machine_key": [host.partition(".")[0].lower() for host in hosts],
        "from_time": since,
        "until_time": until,
    }
    types = {"VARCHAR": pa.string(), "TIMESTAMP": pa.timestamp("us")}
    return pa.table({each.name: pa.array(made[each.name], types[each.type]) for each in schema.GIVEN_ADDRESSES})


def _rows(path: Path, lines: Iterable[str], zone: ZoneInfo | None) -> Iterator[_Row]:
    reader = csv.reader(lines, strict=True)
    head = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in NEEDED if name not in head]
    if missing:
        raise SourceError(
            f"{path} has no column {' and no column '.join(missing)}",
            f"its first line names the columns: {','.join(COLUMNS)}; the last two may be left out",
        )
    places = {name: head.index(name) for name in COLUMNS if name in head}
    for cells in reader:
        told = {name: cells[at].strip() for name, at in places.items() if at < len(cells)}
        if not any(told.values()):
            continue
        where = f"{path}, line {reader.line_num}"
        since, until = (_time(where, told.get(name, ""), zone) for name in ("from", "until"))
        if since is not None and until is not None and since > until:
            raise SourceError(f"{where}: it ends before it begins", "give `from` the earlier time")
        host = told.get("host", "").rstrip(".")
        if not host:
            raise SourceError(f"{where}: it names no host", "name the host, or take the line out")
        yield _address(where, told.get("address", "")), host, since, until


def _address(where: str, text: str) -> str:
    plain = forms.address(text)
    try:
        return str(ipaddress.ip_address(plain or ""))
    except ValueError:
        raise SourceError(f"{where}: {text[:60]!a} is no IP address", "correct it, or take the line out") from None


def _time(where: str, text: str, zone: ZoneInfo | None) -> int | None:
    if not text:
        return None
    found = moment(f"{text} 00:00:00" if _DAY.fullmatch(text) else text)
    if found is None:
        raise SourceError(f"{where}: {text[:60]!a} is no time", "write it as 2026-10-08 14:00:00+02:00")
    if found.zoned:
        return found.time
    local = in_zone(found, zone) if zone else None
    if local is None:
        raise SourceError(
            f"{where}: {text} has no time zone", "name the zone of the list with --source-tz, as Europe/Berlin or UTC"
        )
    return local[0]


def _joined(rows: Iterable[_Row]) -> Iterator[tuple[str, str, datetime | None, datetime | None]]:
    """Stretches that touch or overlap as one: a lease is renewed before it ends."""
    early, late = -(1 << 62), 1 << 62

    def key(row: _Row) -> tuple[str, str, int]:
        return row[0], row[1].lower(), early if row[2] is None else row[2]

    held: _Row | None = None
    for row in sorted(rows, key=key):
        if held is not None and key(held)[:2] == key(row)[:2] and key(row)[2] <= (late if held[3] is None else held[3]):
            until = None if held[3] is None or row[3] is None else max(held[3], row[3])
            held = (*held[:3], until)
            continue
        if held is not None:
            yield _told(held)
        held = row
    if held is not None:
        yield _told(held)


def _told(row: _Row) -> tuple[str, str, datetime | None, datetime | None]:
    since, until = (None if each is None else _EPOCH + timedelta(microseconds=each) for each in row[2:])
    return row[0], row[1], since, until
