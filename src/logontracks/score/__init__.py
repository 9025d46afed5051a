"""How close the tables of a case come to the truth of its logs, where that is known: logs that were simulated.

Each file of this folder is a query. A step pairs things of the truth with things of the case; a measure judges them,
one row for each thing that is counted, so that a sum and its worst examples are two views of the same rows. Nothing is
shared with what made the logs or works out the tables but the names of columns.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

import duckdb

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, literal
from logontracks.engines.duckdb import files as paths
from logontracks.errors import UsageError
from logontracks.queries.answer import Answer, answer
from logontracks.queries.tables import with_tables

TRUTH = {
    "identities": "account VARCHAR, sid VARCHAR, kind VARCHAR, until_time TIMESTAMP",
    "hosts": "host VARCHAR, names VARCHAR, role VARCHAR",
    "boots": "host VARCHAR, boot_no INTEGER, start_time TIMESTAMP, end_time TIMESTAMP, end_kind VARCHAR",
    "sessions": "session BIGINT, account VARCHAR, sid VARCHAR, host VARCHAR, boot_no INTEGER, logon_id BIGINT,"
    " linked_logon_id BIGINT, start_time TIMESTAMP, end_time TIMESTAMP, end_kind VARCHAR, source_address VARCHAR,"
    " opened_by VARCHAR, logged BOOLEAN, source_host VARCHAR, parent_session BIGINT, attack VARCHAR",
    "presence": "session BIGINT, state VARCHAR, start_time TIMESTAMP, end_time TIMESTAMP",
    "attempts": "attempt BIGINT, time TIMESTAMP, account VARCHAR, target_host VARCHAR, source_address VARCHAR,"
    " reason VARCHAR, logged BOOLEAN, source_host VARCHAR",
    "authentications": "authentication BIGINT, time TIMESTAMP, account VARCHAR, controller VARCHAR, kind VARCHAR,"
    " service VARCHAR",
    "links": "session BIGINT, authentication BIGINT",
    "addresses": "host VARCHAR, address VARCHAR, from_time TIMESTAMP, until_time TIMESTAMP",
    "hops": "from_session BIGINT, to_session BIGINT, attack VARCHAR",
    "mess": "kind VARCHAR, host VARCHAR, from_time TIMESTAMP, until_time TIMESTAMP, amount DOUBLE",
}
"""Columns of the truth that are compared, by table. Times are UTC and true, whatever a clock said."""

STEPS = ("host_pairs", "life_pairs", "session_pairs", "authentication_pairs")
MEASURES = (
    "hosts",
    "boots",
    "accounts",
    "sessions",
    "ends",
    "presence",
    "attempts",
    "addresses",
    "links",
    "hops",
    "tracks",
)

NEAR = {
    "near_s": "2",  # an exact time is right within this: what happens and its record are not the same moment
    "start_s": "60",  # the same of a start or stop of a host, which takes that long
    "life_s": "60",  # what the logs tell of a life may be written so long before it or after it
    "attempt_s": "5",  # the layers of one attempt tell it within this
    "record_s": "0.1",  # a record is of this moment
    "clocks_s": "300",  # an address is told by records of many hosts: so far may clocks be apart where Kerberos works
}
"""Seconds that SQL has by name."""

FUNCTIONS = (
    "seconds(a, b) AS (epoch_us(a) - epoch_us(b)) / 1e6",  # from b to a
    r"bare(account) AS LOWER(split_part(list_last(string_split(account, '\')), '@', 1))",  # a name without its domain
    """bin(sure) AS 'certainty ' || CASE WHEN sure < 0.5 THEN '0 to 0.5' WHEN sure < 0.7 THEN '0.5 to 0.7'
        WHEN sure < 0.8 THEN '0.7 to 0.8' WHEN sure < 0.9 THEN '0.8 to 0.9' ELSE '0.9 to 1' END""",
    # what a host of the truth or a stranger may be called
    """names_of(h) AS list_distinct(flatten([[LOWER(each), split_part(LOWER(each), '.', 1)]
        FOR each IN string_split(concat_ws(' ', h, (SELECT t.names FROM truth.hosts AS t WHERE t.host = h)), ' ')]))""",
    # what the clock of a host said at a true moment
    """clock(h, t) AS t + to_microseconds(CAST(1e6 * COALESCE((
        SELECT SUM(m.amount) FROM truth.mess AS m WHERE m.kind IN ('skew', 'steps') AND m.host = h
            AND COALESCE(t >= m.from_time, TRUE) AND COALESCE(t < m.until_time, TRUE)), 0) AS BIGINT))""",
)

JUDGED = """measure VARCHAR, level VARCHAR, counted DOUBLE, correct DOUBLE, host VARCHAR, account VARCHAR,
    time TIMESTAMP, told VARCHAR, truth VARCHAR, off_s DOUBLE, id VARCHAR, number BIGINT, place INTEGER"""
"""One row for each thing that is counted: by how much (1, or minutes), and how much of that is right. `correct` is
NULL for what claims nothing. `told` is what the case says, `truth` what was, `off_s` how far that is apart; `id` leads
to the row of the case, `number` to that of the truth."""

SHARE = (
    "CASE WHEN COUNT(correct) > 0 AND SUM(counted) > 0 THEN floor(1e4 * SUM(correct) / SUM(counted) + 1e-6) / 100 END"
)
"""Percent, cut to two places: 100 only where all is right."""


def score(case: Case, truth: Path, *, wrong: int = 0) -> Answer:
    """One row a measure: how many were counted, how many of them are right. With `wrong`, so many of the worst examples
    of each measure instead, with ids.

    Raises UsageError where the folder `truth` does not hold the truth, and CaseError when the tables of the case have
    not been worked out.
    """
    query = f"""
        SELECT measure, level, ROUND(SUM(counted))::BIGINT AS counted, ROUND(SUM(correct))::BIGINT AS correct,
            ROUND(SUM(counted - correct))::BIGINT AS wrong, {SHARE} AS share
        FROM judged GROUP BY place, measure, level ORDER BY place, measure, level"""
    if wrong:
        query = f"""
            SELECT measure, level, host, account, time, told, truth, off_s, id, number FROM judged
            WHERE counted - correct > 0.05
            QUALIFY ROW_NUMBER() OVER (PARTITION BY place, measure, level
                ORDER BY off_s DESC NULLS LAST, time, host, id, number) <= {wrong}
            ORDER BY place, measure, level, off_s DESC NULLS LAST, time, host, id, number"""

    def judged(connection: Connection) -> Answer:
        _judge(connection, truth)
        ((total,),) = connection.execute(f"SELECT COUNT(*) FROM ({query})").fetchall()
        return answer(connection, query, total)

    found, notes = with_tables(case, judged)
    return found.told(*notes)


def _judge(connection: Connection, truth: Path) -> None:
    """Fill the table `judged`."""
    connection.execute("CREATE SCHEMA truth")
    for name, columns in TRUTH.items():
        _read(connection, truth / f"{name}.parquet", name, columns)
    for function in FUNCTIONS:
        connection.execute(f"CREATE MACRO {function}")
    for name in STEPS:
        connection.execute(f"CREATE TABLE {name} AS {_sql(name)}")
    connection.execute(f"CREATE TABLE judged ({JUDGED})")
    for place, name in enumerate(MEASURES):
        connection.execute(f"INSERT INTO judged BY NAME SELECT *, {place} AS place FROM ({_sql(name)})")


def _sql(name: str) -> str:
    return Template((files("logontracks") / "score" / f"{name}.sql").read_text(encoding="utf-8")).substitute(NEAR)


def _read(connection: Connection, path: Path, name: str, columns: str) -> None:
    chosen = ", ".join(
        f"CAST({column} AS {kind}) AS {column}" for column, kind in (each.split() for each in columns.split(", "))
    )
    hint = "Give the folder `truth` that `logontracks simulate` writes beside the logs."
    if not path.is_file():
        raise UsageError(f"{path.parent} holds no truth: there is no {path.name}", hint)
    try:
        connection.execute(f"CREATE TABLE truth.{name} AS SELECT {chosen} FROM read_parquet({paths([path])})")
    except duckdb.Error as error:
        raise UsageError(f"{literal(str(path))} is no truth: {str(error).splitlines()[0]}", hint) from error
