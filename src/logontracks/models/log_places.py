"""Questions about places in the order of a host's Security log, which boots.py asks many of at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from logontracks.engines.duckdb import Connection

NOWHERE = 1 << 62  # a place behind every record


class Ask(NamedTuple):
    """Where is the first Security record of a host after a place and a time, before another place?"""

    host_id: int
    after: int
    until: int
    time: datetime
    logons_only: bool = False

    @property
    def stretch(self) -> tuple[int, int, int, bool]:
        return self.host_id, self.after, self.until, self.logons_only


def first_after(connection: Connection, asks: list[Ask]) -> list[int | None]:
    """Answers to the questions, in their order. The stretches that are asked about may not overlap."""
    if not asks:
        return []
    stretches = {stretch: n for n, stretch in enumerate(dict.fromkeys(ask.stretch for ask in asks))}
    moments = sorted({(stretches[ask.stretch], ask.time) for ask in asks})
    give(connection, "stretches", "n host_id after until logons_only", [(n, *each) for each, n in stretches.items()])
    give(connection, "moments", "n moment", moments)
    # a record answers the latest moment that it is behind; what answers a later one, answers all before as well
    found = {
        (n, moment): seq
        for n, moment, seq in connection.execute("""
            SELECT m.n, m.moment, MIN(r.seq) FROM (
                SELECT s.n, e.seq, e.time
                FROM (SELECT * FROM logged AS o SEMI JOIN stretches AS h ON h.host_id = o.host_id
                    WHERE o.channel = 'Security') AS e
                ASOF JOIN stretches AS s ON e.host_id = s.host_id AND e.seq > s.after
                WHERE e.seq < s.until AND (e.mark = 'logon' OR NOT s.logons_only)) AS r
            ASOF JOIN moments AS m ON r.n = m.n AND r.time >= m.moment
            GROUP BY m.n, m.moment""").fetchall()
    }
    take_back(connection, "stretches", "moments")
    answers: dict[tuple[int, datetime], int | None] = {}
    for n, later in groupby(reversed(moments), key=itemgetter(0)):
        first = NOWHERE
        for _, moment in later:
            first = min(first, found.get((n, moment), NOWHERE))
            answers[n, moment] = None if first == NOWHERE else first
    return [answers[stretches[ask.stretch], ask.time] for ask in asks]


def outlived(connection: Connection, cuts: list[tuple[Ask, int | None]]) -> list[bool]:
    """Whether a session from before the place is used behind it: then the host that was asked to stop never did."""
    asked = [(n, ask.host_id, place) for n, (ask, place) in enumerate(cuts) if ask.logons_only and place is not None]
    if not asked:
        return [False] * len(cuts)
    give(connection, "cuts", "n host_id place", asked)
    give(connection, "stretches", "host_id after", sorted({ask[:2] for ask, _ in cuts if ask.logons_only}))
    found = connection.execute("""
        WITH uses AS (
            SELECT e.host_id, e.target_logon_id AS logon_id, e.seq, SUM(CASE WHEN e.mark = 'logon' THEN 1 ELSE 0 END)
                OVER (PARTITION BY e.host_id, e.target_logon_id ORDER BY e.seq) AS logons
            FROM stretches AS s
            JOIN logged AS e ON e.host_id = s.host_id AND e.seq >= s.after
            WHERE e.channel = 'Security' AND e.target_logon_id IS NOT NULL AND e.mark IS NOT NULL),
        sessions AS (
            SELECT host_id, MIN(seq) AS first_seq, MAX(seq) AS last_seq FROM uses
            WHERE logons > 0 GROUP BY host_id, logon_id, logons),
        reaching AS (
            SELECT host_id, first_seq, MAX(last_seq) OVER (PARTITION BY host_id ORDER BY first_seq) AS last_seq
            FROM sessions)
        SELECT c.n FROM cuts AS c ASOF JOIN reaching AS r ON r.host_id = c.host_id AND c.place > r.first_seq
        WHERE r.last_seq >= c.place""").fetchall()
    take_back(connection, "cuts", "stretches")
    ran_on = {n for (n,) in found}
    return [n in ran_on for n in range(len(cuts))]


_KINDS = {"logons_only": pa.bool_(), **dict.fromkeys(("moment", "from_time", "until_time"), pa.timestamp("us"))}


def give(connection: Connection, name: str, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Rows as a table that SQL can join."""
    arrays = {
        column: pa.array([row[at] for row in rows], _KINDS.get(column, pa.int64()))
        for at, column in enumerate(columns.split())
    }
    connection.register(name, pa.table(arrays))


def take_back(connection: Connection, *names: str) -> None:
    for name in names:
        connection.unregister(name)
