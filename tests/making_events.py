"""Tables worked out from rows of events, also from such as no sane log holds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from logontracks import models
from logontracks.case import TABLES
from logontracks.engines import duckdb

Row = dict[str, Any]


def worked_out(events: Iterable[Row], folder: Path, *, until: str = models.MODELS[-1]) -> duckdb.Connection:
    """A connection with the tables up to a model. `events` are rows of the events table, of which the rest is NULL."""
    connection = given(events)
    for name in models.MODELS[: models.MODELS.index(until) + 1]:
        models.make(name, connection, folder)
    return connection


def given(events: Iterable[Row]) -> duckdb.Connection:
    """A connection with events, and the extents and counts that belong to them: record ids cut to the 62 bits that
    sources leave of them."""
    connection = duckdb.connect(threads=2, memory="1GB")
    duckdb.give_core(connection)
    models.give_facts(connection)
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({', '.join(f'{each.name} {each.type}' for each in columns)})")
    types = {name: connection.table("events").limit(0).to_arrow_table().schema.field(name).type
             for name in connection.table("events").columns}  # fmt: skip
    rows = [{"uid": n, "source_sha256": "a", "form": "evtx"} | row for n, row in enumerate(events, 1)]
    given_rows = pa.table({name: pa.array([row.get(name) for row in rows], type_) for name, type_ in types.items()})
    connection.register("given", given_rows)
    connection.execute("""
        INSERT INTO events SELECT * REPLACE (LOWER(computer) AS computer_key,
            LOWER(subject_name) AS subject_name_key, LOWER(subject_domain) AS subject_domain_key,
            LOWER(target_name) AS target_name_key, LOWER(target_domain) AS target_domain_key) FROM given""")
    connection.unregister("given")
    connection.execute("""
        INSERT INTO extents SELECT source_sha256, form, computer, channel, MIN(record_id & 4611686018427387903),
            MAX(record_id & 4611686018427387903), COUNT(*), MIN(time), MAX(time)
        FROM events GROUP BY source_sha256, form, computer, channel""")
    connection.execute("""
        INSERT INTO event_counts SELECT source_sha256, computer, channel, provider, event_id, CAST(time AS DATE),
            COUNT(*), COUNT(*) FROM events WHERE isfinite(time)
        GROUP BY source_sha256, computer, channel, provider, event_id, CAST(time AS DATE)""")
    return connection
