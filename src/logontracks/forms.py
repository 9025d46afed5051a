"""The normal forms: one function for each schema.Form, from a field's text to a column's value.

In every form surrounding blanks go, and a text that is empty, a lone `-` or the `(NULL)` of NTLM records is None. The
functions get each distinct value of a batch once, so they may be plain; none of them raises, whatever a log holds.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from logontracks.schema import Form

_NONE = {"", "-", "(NULL)"}
_BLANKS = re.compile(r"[\s%{}]+")
_V4 = re.compile(r"(?:::ffff:)?(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?::\d{1,5})?")
_V6 = re.compile(r"\[?([0-9a-f:.]*:[0-9a-f:.]*)(?:%\w+)?(?:\](?::\d{1,5})?)?")
_SERVICE = re.compile(r"[^/]+/([^/]+)(?:/.*)?")
_WSMAN = re.compile(r"(?:https?://)?([^/]+)/wsman(?:[?/].*)?", re.IGNORECASE)
_PORT_BEHIND = re.compile(r"(?:^[^:]*|\]):(\d{1,5})$")
_LEVELS = {
    "%%1831": "anonymous",
    "%%1832": "identification",
    "%%1833": "impersonation",
    "%%1840": "delegation",
}  # data/impersonation_levels.csv
_YES = {"%%1842", "true", "1"}
_NO = {"%%1843", "false", "0"}


def text(value: str) -> str | None:
    value = value.strip(" \t\r\n\0")
    return None if value in _NONE else value


def listed(value: str) -> str | None:
    """Entries on lines of their own, SIDs perhaps as %{SID}, to entries separated by one blank."""
    return text(_BLANKS.sub(" ", value))


def sid(value: str) -> str | None:
    plain = text(value)
    if plain is not None and plain.startswith("%{"):
        plain = plain.strip("%{}")
    return None if plain == "S-1-0-0" else plain


def guid(value: str) -> str | None:
    plain = value.strip(" {}").lower()
    return plain if len(plain) == 36 and plain.strip("0-") else None


def integer(value: str) -> int | None:
    """Decimal or 0x...; 64 bits unsigned become signed, so that every engine has one value for a logon id."""
    try:
        number = int(value, 16) if value[:2] in {"0x", "0X"} else int(value)
    except ValueError:
        plain = text(value)
        return integer(plain) if plain and plain != value else None
    if "_" in value:  # Python's own spelling
        return None
    if number >= 1 << 63:
        number -= 1 << 64
    return number if -(1 << 63) <= number < 1 << 63 else None


def logon_id(value: str) -> int | None:
    """As integer, or `(0x0,0x3E7)` as Windows up to 2003 wrote it; 0 is no logon."""
    if value.startswith("("):
        high, _, low = value.strip("() ").partition(",")
        parts = integer(high), integer(low)
        return None if None in parts else logon_id(str((parts[0] or 0) << 32 | (parts[1] or 0)))
    return integer(value) or None


def port(value: str) -> int | None:
    number = integer(value)
    return number if number and 0 < number < 65536 else None


def port_behind(value: str) -> int | None:
    found = _PORT_BEHIND.search(value.strip())
    return port(found[1]) if found else None


def address(value: str) -> str | None:
    """Lower case, without ::ffff: before IPv4, zone (%12) or port; LOCAL and other words stay as they are."""
    plain = text(value)
    if plain is None:
        return None
    folded = plain.lower()
    found = _V4.fullmatch(folded)
    if found is None:
        found = _V6.fullmatch(folded)
        found = found and (_V4.fullmatch(found[1]) or found)
    return found[1] if found else plain


def yes_no(value: str) -> bool | None:
    plain = value.strip().lower()
    return True if plain in _YES else False if plain in _NO else None


def percent_id(value: str) -> int | None:
    return integer(value.strip(" %"))


def impersonation(value: str) -> str | None:
    plain = text(value)
    return _LEVELS.get(plain, plain) if plain else None


def time(value: str) -> datetime | None:
    """ISO 8601 with a zone, to UTC; a time without a zone is not guessed at."""
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def unexpected_stop(value: str) -> datetime | None:
    """The second SYSTEMTIME in the Binary of a 6008, as hex: when the host was last alive before a crash, in UTC.

    The first one is the same in the host's zone, as are the texts of the record. Seen in all 3 real records at hand,
    where it agrees with the records before and after the crash.
    """
    try:
        year, month, _, day, hour, minute, second, milli = struct.unpack_from("<8H", bytes.fromhex(value), 16)
        return datetime(year, month, day, hour, minute, second, milli * 1000)  # noqa: DTZ001 - UTC without saying so
    except (ValueError, struct.error):
        return None


def _account(value: str) -> tuple[str, str]:
    """Domain and name of DOMAIN\\name or name@REALM; a name may hold an @ itself, and never a slash."""
    domain, backslash, name = value.partition("\\")
    if backslash:
        return domain, name
    name, at, domain = value.rpartition("@")
    if "/" in value:
        return "", ""
    return (domain, name) if at else ("", value)


def account_name(value: str) -> str | None:
    return text(_account(value)[1])


def account_domain(value: str) -> str | None:
    return text(_account(value)[0])


def realm(value: str) -> str | None:
    service, _, realm = value.strip().partition("/")
    return text(realm) if service.lower() == "krbtgt" else None


def server(value: str) -> str | None:
    """The host of a service principal name (service/host:port/domain), of a WinRM connection or of a plain name."""
    plain = text(value)
    if plain is None:
        return None
    found = _WSMAN.fullmatch(plain) or _SERVICE.fullmatch(plain)
    host = found[1] if found else plain
    return text(host.partition(":")[0] if host.count(":") == 1 else host)


FORMS: dict[Form, tuple[Callable[[str], Any], pa.DataType]] = {
    Form.TEXT: (text, pa.string()),
    Form.LIST: (listed, pa.string()),
    Form.SID: (sid, pa.string()),
    Form.GUID: (guid, pa.string()),
    Form.LOGON_ID: (logon_id, pa.int64()),
    Form.INTEGER: (integer, pa.int64()),
    Form.PORT: (port, pa.int32()),
    Form.PORT_BEHIND: (port_behind, pa.int32()),
    Form.ADDRESS: (address, pa.string()),
    Form.YES_NO: (yes_no, pa.bool_()),
    Form.PERCENT_ID: (percent_id, pa.int64()),
    Form.IMPERSONATION: (impersonation, pa.string()),
    Form.TIME: (time, pa.timestamp("us")),
    Form.ACCOUNT_NAME: (account_name, pa.string()),
    Form.ACCOUNT_DOMAIN: (account_domain, pa.string()),
    Form.REALM: (realm, pa.string()),
    Form.SERVER: (server, pa.string()),
    Form.UNEXPECTED_STOP: (unexpected_stop, pa.timestamp("us")),
}
