"""Binary XML as Windows event logs hold it: typed values, the names of a chunk, elements and template definitions.

It follows [MS-EVEN6] 2.2.12, the libevtx format documentation for what an EVTX chunk adds to it (names and templates by
offset, with their hash tables), and the bytes of real Security.evtx files where both are silent.
"""

import re
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

FieldType: TypeAlias = Literal[
    "UnicodeString",
    "AnsiString",
    "SID",
    "GUID",
    "HexInt32",
    "HexInt64",
    "Pointer",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Int32",
    "Int64",
    "Boolean",
    "FILETIME",
]

FRAGMENT = bytes((0x0F, 1, 1, 0))  # fragment header: version 1.1, no flags
END = b"\0"
DEFINITION_HEADER_BYTES = 24  # next definition, GUID, size

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MAX_VALUE_BYTES = 0xFFFF  # the size in a substitution array has 16 bits
_MAX_REMEMBERED = 32_768  # entries per type; the commonest values of a log are few
_MAX_REMEMBERED_BYTES = 256  # longer values seldom come twice


def filetime(moment: datetime) -> int:
    """FILETIME of an aware datetime: 100 ns ticks since 1601-01-01 UTC. [MS-DTYP] 2.3.3

    ValueError when `moment` has no zone or lies before 1601.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; a FILETIME is UTC")
    delta = moment - _EPOCH
    ticks = (delta.days * 86_400 + delta.seconds) * 10_000_000 + delta.microseconds * 10
    if ticks < 0:
        raise ValueError(f"{moment!r} is before 1601, where FILETIME begins")
    return ticks


# --- values ---------------------------------------------------------------------------------------------------------


def utf16(text: object) -> bytes:
    """UTF-16-LE without terminator. NUL and lone surrogates become U+FFFD, all else stays as it is.

    Control characters stand in real logs unchanged, so they do here. A NUL would end the string for some readers (the
    wheel, libevtx); a lone surrogate is dropped by the wheel, and libevtx and python-evtx fail on its record.
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no string")  # noqa: TRY004 - one kind of error for every value that cannot be
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        return text.encode("utf-16-le")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode("utf-16-le")


def _ansi(text: object) -> bytes:
    """Windows code page 1252; what it lacks becomes a question mark."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no string")  # noqa: TRY004 - as above
    return text.replace("\0", "?").encode("cp1252", "replace")


def _sid(text: object) -> bytes:
    """Revision, count, 48-bit authority (big endian), 32-bit sub-authorities. [MS-DTYP] 2.4.2"""
    match = re.fullmatch(r"S-1-([0-9]+|0x[0-9a-fA-F]+)((?:-[0-9]+){0,15})", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no SID")
    authority = int(match[1], 16 if match[1].startswith("0x") else 10)
    parts = [int(part) for part in match[2].split("-")[1:]]
    if authority >= 1 << 48 or any(part >= 1 << 32 for part in parts):
        raise ValueError(f"{text!r} is no SID: a number is too large")
    return bytes((1, len(parts))) + authority.to_bytes(6, "big") + struct.pack(f"<{len(parts)}I", *parts)


def _guid(text: object) -> bytes:
    try:
        return uuid.UUID(str(text)).bytes_le
    except ValueError:
        raise ValueError(f"{text!r} is no GUID") from None


def _integer(name: str, code: str) -> Callable[[Any], bytes]:
    pack = struct.Struct("<" + code).pack

    def encode(value: Any) -> bytes:
        try:
            return pack(value)
        except struct.error:
            raise ValueError(f"{value!r} is no {name}") from None

    return encode


def _boolean(value: object) -> bytes:
    if value not in (0, 1):
        raise ValueError(f"{value!r} is no Boolean")
    return b"\1\0\0\0" if value else b"\0\0\0\0"


_ticks = _integer("FILETIME", "Q")


def _time(value: object) -> bytes:
    return _ticks(filetime(value) if isinstance(value, datetime) else value)


_TEXT_TYPES = (0x01, 0x02)


class Values(dict[Any, tuple[int, bytes]]):
    """Value -> (descriptor, bytes) for one field type; what is met for the first time is encoded, and remembered.

    The descriptor is the entry of the substitution array, size | type << 16. None is an empty string where the type is
    text, else the NULL type. `declared` is the type code a template names. It differs from the type of the value for a
    pointer: the template says Size (0x10), the value is a 64-bit hexadecimal integer (libevtx documentation).
    ValueError for a value that is none of this type, or needs more than 65,535 bytes.
    """

    def __init__(self, encode: Callable[[Any], bytes], code: int, declared: int | None = None) -> None:
        super().__init__()
        self.declared = code if declared is None else declared
        self._encode = encode
        self._type = code << 16
        self.text = code in _TEXT_TYPES
        self._absent = self._type if self.text else 0

    def __missing__(self, value: Any) -> tuple[int, bytes]:
        if value is None:
            return self._absent, b""
        data = self._encode(value)
        if len(data) > _MAX_VALUE_BYTES:
            raise ValueError(f"the value needs {len(data):,} bytes, a log value can have {_MAX_VALUE_BYTES:,}")
        entry = len(data) | self._type, data
        if len(data) <= _MAX_REMEMBERED_BYTES:
            if len(self) >= _MAX_REMEMBERED:
                self.clear()
            self[value] = entry
        return entry


# Type codes: [MS-EVEN6] 2.2.12, "value types" in the libevtx documentation.
VALUES: dict[FieldType, Values] = {
    "UnicodeString": Values(utf16, 0x01),
    "AnsiString": Values(_ansi, 0x02),
    "UInt8": Values(_integer("UInt8", "B"), 0x04),
    "UInt16": Values(_integer("UInt16", "H"), 0x06),
    "Int32": Values(_integer("Int32", "i"), 0x07),
    "UInt32": Values(_integer("UInt32", "I"), 0x08),
    "Int64": Values(_integer("Int64", "q"), 0x09),
    "UInt64": Values(_integer("UInt64", "Q"), 0x0A),
    "Boolean": Values(_boolean, 0x0D),
    "GUID": Values(_guid, 0x0F),
    "Pointer": Values(_integer("Pointer", "Q"), 0x15, declared=0x10),
    "FILETIME": Values(_time, 0x11),
    "SID": Values(_sid, 0x13),
    "HexInt32": Values(_integer("HexInt32", "I"), 0x14),
    "HexInt64": Values(_integer("HexInt64", "Q"), 0x15),
}
BINXML = 0x21


# --- the tables of a chunk ------------------------------------------------------------------------------------------


def _hash(units: tuple[int, ...]) -> int:
    """The hash of names and template GUIDs over 16-bit units.

    Names: libevtx documentation, checked against real files. Template GUIDs: found by trying it on 2,217 definitions of
    real files; it gives the bucket of 1,652 of them. Readers find definitions by offset and do not check the bucket.
    """
    value = 0
    for unit in units:
        value = (value * 65_599 + unit) & 0xFFFFFFFF
    return value


class Table:
    """What a chunk has defined so far: key -> offset, and the buckets of the hash table in its header.

    A bucket holds the offset of its newest entry, and every entry the offset of the one before it in its bucket.
    """

    def __init__(self, buckets: int) -> None:
        self.offsets: dict[Any, int] = {}
        self.buckets = [0] * buckets
        self._undo: list[tuple[Any, int, int]] = []

    def add(self, key: Any, hashed: int, offset: int) -> int:
        """The offset of the entry before this one in its bucket, 0 for none."""
        bucket = hashed % len(self.buckets)
        before = self.buckets[bucket]
        self._undo.append((key, bucket, before))
        self.offsets[key] = offset
        self.buckets[bucket] = offset
        return before

    def mark(self) -> int:
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Forget what was added since `mark`: the record that needed it did not fit."""
        while len(self._undo) > mark:
            key, bucket, before = self._undo.pop()
            del self.offsets[key]
            self.buckets[bucket] = before


# --- elements and template definitions ------------------------------------------------------------------------------


class Substitution(NamedTuple):
    """Where value number `place` of the record goes. Optional: the attribute or element falls away for a NULL value."""

    place: int
    declared: int
    optional: bool = False


class Element(NamedTuple):
    """`dependency`: index of the value without which the element falls away, or 0xFFFF."""

    name: str
    attributes: tuple[tuple[str, "str | Substitution"], ...] = ()
    children: "tuple[Element | Substitution, ...]" = ()
    dependency: int = 0xFFFF


_U32 = struct.Struct("<I")
_NAME = struct.Struct("<IHH")
_OPEN = struct.Struct("<BHII")
_SUBSTITUTION = struct.Struct("<BHB")
_TEXT = struct.Struct("<BBH")
_ATTRIBUTE = struct.Struct("<BI")


class Definition:
    """One template: an element with places for values, known by a GUID made from its content and `seed`.

    ValueError for a name or text of more than 65,535 characters.
    """

    def __init__(self, seed: str, root: Element) -> None:
        self.root = root
        self.guid = uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {root!r}".encode("unicode_escape").decode()).bytes_le
        self.instance = b"\x0c\x01" + self.guid[:4]  # token, 1, template id; the definition's offset comes next
        self._hash = _hash(struct.unpack("<8H", self.guid))
        self.write(0, Table(64), Table(32))  # what cannot be written fails here, before a chunk's tables know of it

    def write(self, offset: int, names: Table, templates: Table) -> bytes:
        """The definition as it stands at `offset` of a chunk, entered in its tables with the names it brings."""
        before = templates.add(self.guid, self._hash, offset)
        body = bytearray(FRAGMENT)
        _write_element(body, offset + DEFINITION_HEADER_BYTES, self.root, names)
        body += END
        return _U32.pack(before) + self.guid + _U32.pack(len(body)) + body


def _template_text(text: str) -> bytes:
    encoded = utf16(text)
    if len(encoded) // 2 > 0xFFFF:  # the length has 16 bits
        raise ValueError(f"a name or text of a template can have 65,535 characters, not {len(encoded) // 2:,}")
    return encoded


def _name(out: bytearray, base: int, name: str, names: Table) -> int:
    """Offset of a name in the chunk. A new name is appended to `out`, so what refers to it must end there."""
    known = names.offsets.get(name)
    if known is not None:
        return known
    offset = base + len(out)
    encoded = _template_text(name)
    units = struct.unpack(f"<{len(encoded) // 2}H", encoded)
    hashed = _hash(units) & 0xFFFF
    before = names.add(name, hashed, offset)
    out += _NAME.pack(before, hashed, len(units)) + encoded + b"\0\0"
    return offset


def _write_content(out: bytearray, content: "str | Substitution") -> None:
    if isinstance(content, str):
        encoded = _template_text(content)
        out += _TEXT.pack(0x05, 0x01, len(encoded) // 2) + encoded
    else:
        out += _SUBSTITUTION.pack(0x0E if content.optional else 0x0D, content.place, content.declared)


def _write_element(out: bytearray, base: int, element: Element, names: Table) -> None:
    """Append `element`; `base` is the offset in the chunk of the first byte of `out`."""
    start = len(out)
    token = 0x41 if element.attributes else 0x01
    out += bytes(_OPEN.size)
    offset = _name(out, base, element.name, names)
    if element.attributes:
        list_start = len(out)
        out += bytes(4)
        for number, (name, content) in enumerate(element.attributes, 1):
            at = len(out)
            out += bytes(_ATTRIBUTE.size)
            more = 0x40 if number < len(element.attributes) else 0
            name_offset = _name(out, base, name, names)
            _ATTRIBUTE.pack_into(out, at, 0x06 | more, name_offset)
            _write_content(out, content)
        _U32.pack_into(out, list_start, len(out) - list_start - 4)
    if element.attributes and not element.children:
        out.append(0x03)
    else:
        out.append(0x02)
        for child in element.children:
            if isinstance(child, Element):
                _write_element(out, base, child, names)
            else:
                _write_content(out, child)
        out.append(0x04)
    _OPEN.pack_into(out, start, token, element.dependency, len(out) - start - 7, offset)
