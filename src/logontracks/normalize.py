"""Envelopes to rows of the events table, as data/columns.csv says: which field of which event becomes which column.

A rule for one event hides the rules for any event that name the same field; one without a column says that the field
stays in `data`. Where several fields feed one column the narrower rule is asked first, then the one further up in the
file. DuckDB takes the wanted fields out of the JSON, Arrow finds their distinct values,
and forms.py turns each of those once into the column's value; no loop runs over records. Doing the normal forms in
SQL as well was measured and took three times as long, most of it for planning the statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from operator import mul
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from logontracks import catalogue, quick_forms, schema
from logontracks.engines.duckdb import connect, literal
from logontracks.schema import Form
from logontracks.sources.envelope import Kind, first_of_each

AUDITING = "microsoft-windows-security-auditing"
UNKNOWN = Kind(AUDITING, 0)
"""Stands for all kinds that the catalogue does not know: Security records kept because they belong to a session."""

FEW = 48  # so few records of a kind are parsed in Python: a statement costs more

PRIME = (1 << 61) - 1
MIX = (0x1B3F5C9D7E2A4681 % PRIME, 0x0E47A1D96C835F2B % PRIME, 0x1597D3B8E04C6FA7 % PRIME)
"""A uid mixes log, record id, event id and second by random multipliers modulo a prime (universal hashing): as good
against chance as a cryptographic hash, and ten times as fast. They may never change."""

_ARROW = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "SMALLINT": pa.int16(),
    "TINYINT": pa.int8(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
}
STAGED = pa.schema(
    [("source", pa.int32()), ("short", pa.string()), ("day", pa.date32())]
    + [(column.name, _ARROW[column.type]) for column in schema.COLUMNS if column.name != "source_sha256"]
)
"""A staged row: the columns of the schema, and number of the source, first label of the host, UTC day."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One field of an event feeds one column, or with an empty `column` none: it stays in `data`.

    `provider` and `event_id` are empty where any event is meant.
    """

    provider: str
    event_id: int | None
    field: str
    column: str
    form: Form

    @property
    def narrowness(self) -> int:
        return (self.provider != "") + (self.event_id is not None)


@cache
def rules() -> tuple[Rule, ...]:
    """data/columns.csv. Raises ValueError on a column or form that the schema does not have."""
    found = []
    for row in catalogue.table("columns"):
        form: Form | None = Form.TEXT
        if row["column"]:
            column = schema.BY_NAME.get(row["column"])
            form = column.form if column else None
        if form is None:
            raise ValueError(f"columns.csv: {row['column']!r} is no column that a field can fill")
        if row["form"]:
            form = Form(row["form"])
        event_id = int(row["event_id"]) if row["event_id"] else None
        found.append(Rule(row["provider"].lower(), event_id, row["field"], row["column"], form))
    return tuple(found)


@cache
def known_fields() -> dict[Kind, frozenset[str]]:
    """The fields that any version of a kind has."""
    found: dict[Kind, set[str]] = {}
    for (provider, event_id, _), fields in catalogue.fields().items():
        found.setdefault(Kind(provider, event_id), set()).update(field.name for field in fields)
    return {kind: frozenset(names) for kind, names in found.items()}


@cache
def rules_of(kind: Kind) -> tuple[Rule, ...]:
    """The rules that fill columns from one kind of event, in the order they are asked: narrower ones first.

    Wider rules apply to the fields that any version of the kind has in the catalogue, and all of them to a kind whose
    fields it does not know.
    """
    known = known_fields().get(kind)
    applying = [
        rule
        for rule in rules()
        if rule.provider in {"", kind.provider} and rule.event_id in {None, kind.event_id}
        if known is None or rule.field in known or rule.event_id is not None
    ]
    narrowest: dict[str, int] = {}
    for rule in applying:
        narrowest[rule.field] = max(rule.narrowness, narrowest.get(rule.field, 0))
    chosen = (rule for rule in applying if rule.column and rule.narrowness == narrowest[rule.field])
    return tuple(sorted(chosen, key=lambda rule: -rule.narrowness))


class Normalizer:
    """Turns batches of envelopes into staged rows. Holds a small database for taking JSON apart."""

    def __init__(self) -> None:
        self._connection = connect(threads=1, memory="256MB")
        self._connection.execute("SET preserve_insertion_order = true")

    def rows(self, parts: Iterable[tuple[Kind, pa.Table]]) -> tuple[pa.Table, list[tuple[int, int]]]:
        """Staged rows of ENVELOPE tables of one kind each; (source, position) of records whose fields are no JSON."""
        done: list[pa.Table] = []
        bad: list[tuple[int, int]] = []
        for kind, part in parts:
            envelopes = part
            known = Kind(*catalogue.modern(*kind))  # one set of rules for what changed its number only
            known = known if known in known_fields() or tuple(known) in catalogue.events() else UNKNOWN
            fields, valid = self._fields(known, envelopes["data"])
            if valid is not None:
                wrong = envelopes.filter(pc.invert(valid))
                bad.extend(zip(wrong["source"].to_pylist(), wrong["position"].to_pylist(), strict=True))
                envelopes = envelopes.filter(valid)
                fields = {name: values.filter(valid) for name, values in fields.items()}
            done.append(_with_columns(envelopes, _columns(known, fields)))
        if not done:
            return STAGED.empty_table(), bad
        table = self._system(pa.concat_tables(done, promote_options="permissive"))
        return table, bad

    def _fields(self, kind: Kind, data: pa.ChunkedArray) -> tuple[dict[str, pa.Array], pa.Array | None]:
        """The fields that rules of this kind name, as text; and which rows are JSON, where not all are."""
        names = sorted({rule.field for rule in rules_of(kind)})
        if not names:
            return {}, None
        if len(data) > FEW:
            shape: dict[str, Any] = {name: "VARCHAR" for name in names if not name.startswith("#")}
            if len(shape) < len(names):
                shape["Data"] = ["VARCHAR"]
            batch = pa.table({"data": data})
            query = f"SELECT json_transform(data, {literal(json.dumps(shape))}) AS f FROM batch"
            try:
                parsed = self._connection.sql(query).to_arrow_table()["f"].combine_chunks()
            except (duckdb.InvalidInputException, UnicodeDecodeError):
                pass  # the message quotes the text, and may cut it within a character
            else:
                del batch
                if isinstance(parsed, pa.ChunkedArray):
                    parsed = pa.concat_arrays(parsed.chunks)
                return {name: _field(parsed, name) for name in names}, None
        return _parse_one_by_one(names, data)

    def _system(self, table: pa.Table) -> pa.Table:
        """The columns that come from the record's System part rather than from its fields."""
        time, written = self._times(table)
        day = time.cast(pa.date32(), safe=False)
        digits = pc.subtract(pc.binary_length(table["time"]), len("2026-10-01T00:00:00.Z"))
        microseconds = time.cast(pa.int64())
        below = pc.subtract(written, pc.multiply(_floor(written, 1000), 1000))
        same = pc.or_(pc.equal(digits, 7), pc.equal(_floor(written, 1000), microseconds))
        made = {
            "time": time,
            "day": day,
            "uid": _uids(table, pc.divide(microseconds, 1_000_000)),
            "time_100ns": pc.if_else(same, pc.divide(below, 100), None).cast(pa.int8()),
            "time_precision_us": pc.if_else(
                pc.less(digits, 3), 1_000_000, pc.if_else(pc.less(digits, 6), 1000, 1)
            ).cast(pa.int32()),
        }
        known = {name: table[name] for name in table.column_names} | made
        return pa.table({f.name: known[f.name] if f.name in known else pa.nulls(len(table), f.type) for f in STAGED})

    def _times(self, table: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Time of the records; and where their headers may have one digit more, theirs in nanoseconds since 1970."""
        texts = pa.table({"time": table["time"], "written": table["written"]})
        length = pc.binary_length(texts["time"])
        finer = pc.if_else(pc.equal(length, 27), texts["written"], None)
        usual = pc.min_max(length).as_py()
        if usual["min"] is not None and usual["min"] >= 20 and usual["max"] <= 27 and not texts["time"].null_count:
            try:
                time = texts["time"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
                return time, finer.cast(pa.timestamp("ns")).cast(pa.int64())
            except pa.ArrowInvalid:
                pass
        made = self._connection.sql("""
            SELECT TRY_CAST(time AS TIMESTAMP) AS time, epoch_ns(CASE WHEN STRLEN(time) = 28
                THEN TRY_CAST(time AS TIMESTAMP_NS) WHEN STRLEN(time) = 27 THEN TRY_CAST(written AS TIMESTAMP_NS) END)
                AS written
            FROM texts""").to_arrow_table()
        return made["time"], made["written"]


def _floor(numbers: pa.ChunkedArray, step: int) -> pa.ChunkedArray:
    """Integers by a step, rounded down where Arrow rounds to 0."""
    quotient = pc.divide(numbers, step)
    return pc.if_else(pc.less(numbers, pc.multiply(quotient, step)), pc.subtract(quotient, 1), quotient)


def _uids(table: pa.Table, seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Host, log, record id, event and second name a record; where the form has no record id, all it says does."""
    parts = [table["record_id"], table["event_id"].cast(pa.int64()), pc.fill_null(seconds, 0)]
    bounds = [pc.min_max(part).as_py() for part in parts]
    uid = table["log_key"].cast(pa.int64())
    if all(bound["min"] is None or (bound["min"] >= 0 and bound["max"] < 1 << 31) for bound in bounds):
        for part, factor in zip(parts, MIX, strict=True):
            uid = _modulo(pc.add(uid, _product(part, factor)))
        return uid
    known = zip(uid.to_pylist(), *(part.to_pylist() for part in parts), strict=True)
    return pa.chunked_array(
        [
            pa.array(
                [
                    None if numbers[0] is None else (key + sum(map(mul, numbers, MIX))) % PRIME
                    for key, *numbers in known
                ],
                pa.int64(),
            )
        ]
    )


def _product(numbers: pa.ChunkedArray, factor: int) -> pa.ChunkedArray:
    """Numbers of 31 bits by a factor of 61, modulo PRIME, in steps that stay in 63 bits."""
    high, low = factor >> 31, factor & (1 << 31) - 1
    above = pc.multiply(numbers, high)  # by 1 << 31, which moves its upper bits past the 61st: there they count once
    carried = pc.add(pc.shift_right(above, 30), pc.shift_left(pc.bit_wise_and(above, (1 << 30) - 1), 31))
    return _modulo(pc.add(carried, pc.multiply(numbers, low)))


def _modulo(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers of 63 bits modulo PRIME, which is 1 << 61 less 1."""
    folded = pc.add(pc.shift_right(numbers, 61), pc.bit_wise_and(numbers, PRIME))
    return pc.if_else(pc.greater_equal(folded, PRIME), pc.subtract(folded, PRIME), folded)


def _field(parsed: pa.Array, name: str) -> pa.Array:
    if not name.startswith("#"):
        return parsed.field(name)
    place = int(name[1:]) - 1
    padded = pc.list_slice(parsed.field("Data"), place, place + 1, return_fixed_size_list=True)  # lists may be shorter
    return pc.list_element(padded, 0) if len(parsed) else pa.array([], pa.string())


def _parse_one_by_one(names: list[str], data: pa.ChunkedArray) -> tuple[dict[str, pa.Array], pa.Array | None]:
    values: dict[str, list[str | None]] = {name: [] for name in names}
    valid: list[bool] = []
    for text in data.to_pylist():
        try:
            fields = json.loads(text, object_pairs_hook=first_of_each) if text else {}
            text.encode() if text else b""
        except (ValueError, RecursionError):
            fields = None
        valid.append(isinstance(fields, dict))
        unnamed = fields.get("Data") if isinstance(fields, dict) else None
        for name in names:
            value: Any = None
            if name.startswith("#"):
                at = int(name[1:]) - 1
                value = unnamed[at] if isinstance(unnamed, list) and at < len(unnamed) else None
            elif isinstance(fields, dict):
                value = fields.get(name)
            values[name].append(_as_text(value))
    return {name: pa.array(texts, pa.string()) for name, texts in values.items()}, None if all(valid) else pa.array(
        valid
    )


def _as_text(value: Any) -> str | None:
    """A JSON value as DuckDB's json_transform gives it as text."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _columns(kind: Kind, fields: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The schema's columns that these fields fill, text dictionary-encoded; folded columns share the indices."""
    columns: dict[str, pa.Array] = {}
    encoded = {name: values.dictionary_encode() for name, values in fields.items()}
    for rule in rules_of(kind):
        texts = encoded[rule.field]
        values = _fitting(quick_forms.values(rule.form, texts.dictionary), rule.column)
        if values.null_count == len(values):
            continue
        guid = schema.BY_NAME[rule.column].form == Form.GUID  # nearly all of them differ: a dictionary gains nothing
        column = values.take(texts.indices) if guid else _encoded(texts.indices, values)
        before = columns.get(rule.column)
        columns[rule.column] = column if before is None else _either(before, column)
    for column in schema.COLUMNS:
        of = columns.get(column.folded_from or "")
        if of is not None:
            columns[column.name] = _encoded(of.indices, quick_forms.lower(of.dictionary))
    return columns


def _fitting(values: pa.Array, column: str) -> pa.Array:
    """Numbers beyond the column's type are not known rather than wrong."""
    bits = {"INTEGER": 31, "SMALLINT": 15}.get(schema.BY_NAME[column].type)
    if bits is None or values.type != pa.int64():
        return values
    fits = pc.and_(pc.less(values, 1 << bits), pc.greater_equal(values, -(1 << bits)))
    return pc.if_else(fits, values, None)


def _encoded(indices: pa.Array, values: pa.Array) -> pa.Array:
    """The values that indices stand for: text as a dictionary of distinct values (Parquet can write no other)."""
    if values.type != pa.string():
        return values.take(indices)
    distinct = values.dictionary_encode()
    if len(distinct.dictionary) < len(values):
        indices = distinct.indices.take(indices)
    return pa.DictionaryArray.from_arrays(indices, distinct.dictionary)


def _either(first: pa.Array, second: pa.Array) -> pa.Array:
    """The first where there is one, else the second."""
    values = pc.coalesce(_plain(first), _plain(second))
    return values.dictionary_encode() if pa.types.is_dictionary(first.type) else values


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def _with_columns(envelopes: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    names = list(envelopes.column_names)
    arrays = [envelopes[name] for name in names]
    for name, values in columns.items():
        kind = _ARROW[schema.BY_NAME[name].type]
        names.append(name)
        arrays.append(values if values.type == kind or pa.types.is_dictionary(values.type) else values.cast(kind))
    return pa.table(arrays, names=names)
