"""Which of the copies of a record stays in the case: the one that says most.

It is decided over the few columns that tell copies apart and compare them, in the engine, which lays down on disk what
does not fit into memory. So any number of rows can be compared, however much each of them says.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from logontracks import schema
from logontracks.engines.duckdb import Connection
from logontracks.normalize import PRIME

PART_ROWS = 500_000  # are decided at once

_RICHNESS = " + ".join(f"({name} IS NOT NULL)::INTEGER" for name in schema.NAMES if name not in {"data", "uid"})
_SAID = ", ".join(
    f"COALESCE(CAST({name} AS VARCHAR), chr(1))"
    for name in ["short", *schema.NAMES]
    if name not in {"uid", "source_sha256", "position", "computer", "computer_key"}
)
"""All that a record says, as far as copies of it say the same. Needed where it has no record id."""


class Copies:
    """Rows in which one record may stand more than once. Give them all, `decide`, and take them in the same order.

    Rows without a record id get their uid here: of all that they say, and of which of equal ones of a source it is.
    """

    def __init__(self, connection: Connection, order: Mapping[str, int]) -> None:
        """`order` has the place of each source by its sha256."""
        self._connection = connection.cursor()
        self._order = order
        self._given = self._taken = 0
        self._stay = pa.table({"row": pa.array([], pa.int64()), "uid": pa.array([], pa.int64())})
        self._connection.execute("""
            CREATE TEMP TABLE copies ("row" BIGINT, short VARCHAR, log VARCHAR, record_id BIGINT, event_id INTEGER,
                form VARCHAR, uid BIGINT, nth BOOLEAN, computer_key VARCHAR, step BIGINT, moment BIGINT,
                richness INTEGER, size BIGINT, source BIGINT, position BIGINT)""")

    def give(self, rows: pa.Table) -> None:
        """Rows with all columns of the schema, and `short`."""
        sources = rows["source_sha256"].combine_chunks()
        places = pa.array([self._order[sha256] for sha256 in sources.dictionary.to_pylist()], pa.int64())
        given = rows.append_column("place", places.take(sources.indices))
        given = given.append_column("row", pa.array(range(self._given, self._given + len(rows)), pa.int64()))
        self._given += len(rows)
        self._connection.register("given", given)
        self._connection.execute(f"""
            INSERT INTO copies
            SELECT "row", short, LOWER(channel), record_id, event_id, CASE WHEN record_id IS NULL THEN form END,
                CASE WHEN uid IS NULL THEN CAST(md5_number_lower(concat_ws(chr(2), {_SAID}, '1')) % {PRIME} AS BIGINT)
                    ELSE uid END,
                uid IS NULL, computer_key, COALESCE(time_precision_us, 1), epoch_us(time), {_RICHNESS}, strlen(data),
                place, position
            FROM given""")
        self._connection.unregister("given")

    def decide(self) -> None:
        """Choose one of each record's copies.

        Copies have the same host, log, record id, event id and second; without record ids only copies of one form are
        compared, by all they say, and the n-th of equal ones in one source is a copy of the n-th in another. A host's
        full name goes before its short one, which may stand for any full one; then a finer time before a coarser one
        that it agrees with; then what says more; then the source of the first place. So the choice does not depend on
        the order in which copies arrive.
        """
        parts = self._given // PART_ROWS + 1
        self._connection.execute('CREATE TEMP TABLE repeated ("row" BIGINT, uid BIGINT)')
        for part in range(parts):
            self._connection.execute(f"""
                INSERT INTO repeated
                SELECT "row", CAST(md5_number_lower(concat_ws(chr(2), uid, n)) % {PRIME} AS BIGINT) FROM (
                    SELECT "row", uid, ROW_NUMBER() OVER (PARTITION BY source, uid ORDER BY position) AS n
                    FROM copies WHERE nth AND uid % {parts} = {part})
                WHERE n > 1""")
        self._connection.execute(
            'UPDATE copies SET uid = repeated.uid FROM repeated WHERE repeated."row" = copies."row"'
        )
        record = "PARTITION BY short, log, record_id, event_id, form, uid"
        found = [
            self._connection.sql(f"""
            SELECT "row", uid FROM (
                SELECT *, MIN(step) OVER ({record}, computer_key) AS finest,
                    MIN(step) OVER ({record}, computer_key, moment * step // 1000) AS finest_of_ms
                FROM (
                    SELECT *, CONTAINS(computer_key, '.') AS is_full,
                        BOOL_OR(CONTAINS(computer_key, '.')) OVER ({record}) AS full_is_known
                    FROM (
                        SELECT short, log, record_id, event_id, form, uid, computer_key, step, moment // step AS moment,
                            arg_min("row", (-richness, COALESCE(-size, 1), source, position)) AS "row"
                        FROM copies WHERE COALESCE(uid, 0) % {parts} = {part} GROUP BY ALL)
                )
                WHERE is_full OR NOT full_is_known
            )
            WHERE step <= CASE WHEN step > 1000 THEN finest ELSE finest_of_ms END
            ORDER BY "row" """).to_arrow_table()
            for part in range(parts)
        ]
        self._connection.close()
        self._stay = pa.concat_tables(found).sort_by("row").combine_chunks()

    def take(self, rows: pa.Table) -> pa.Table:
        """Those of the next rows that stay."""
        numbers = self._stay["row"]
        begin = bisect_left(range(len(numbers)), self._taken, key=lambda at: numbers[at].as_py())
        self._taken += len(rows)
        end = bisect_left(range(len(numbers)), self._taken, key=lambda at: numbers[at].as_py())
        stay = self._stay.slice(begin, end - begin)
        kept = rows.take(pc.subtract(stay["row"], self._taken - len(rows)))
        return kept.set_column(kept.column_names.index("uid"), "uid", stay["uid"])
