"""What the questions to worked-out tables share: that the tables are there, whose rows are meant, how ids are told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import MAXYEAR, datetime, timedelta
from typing import TypeVar

import duckdb

from logontracks import catalogue
from logontracks.build import flaw, is_newest
from logontracks.case import Case
from logontracks.engines.duckdb import Connection, literal
from logontracks.errors import CaseError, QueryError
from logontracks.queries.answer import Answer, like

_T = TypeVar("_T")
MOST_DAYS = 366  # of a span; the records of a longer one are looked for everywhere
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"[a-z]-[0-9a-hjkmnp-tv-z]{1,13}")

_LETTERS = " || ".join(
    f"substr('{_ALPHABET}', CAST((id >> {shift}) & 31 AS INTEGER) + 1, 1)" for shift in range(60, -1, -5)
)

FUNCTIONS = (
    # ids as people type them: 13 letters of base 32 behind a letter for the table
    f"told_id(id) AS 's-' || {_LETTERS}",
    f"told_failure(id) AS 'f-' || {_LETTERS}",
    f"told(letter, id) AS letter || '-' || {_LETTERS}",
    # 3d 04h, 2h 05m, 7m 12s, 0.4s
    """spelled(s) AS CASE
        WHEN s IS NULL THEN NULL
        WHEN s >= 86400 THEN printf('%dd %02dh', floor(s / 86400)::BIGINT, floor(s / 3600)::BIGINT % 24)
        WHEN s >= 3600 THEN printf('%dh %02dm', floor(s / 3600)::BIGINT, floor(s / 60)::BIGINT % 60)
        WHEN s >= 60 THEN printf('%dm %02ds', floor(s / 60)::BIGINT, floor(s)::BIGINT % 60)
        WHEN s >= 10 OR s = 0 THEN printf('%ds', floor(s)::BIGINT)
        ELSE printf('%.1fs', s) END""",
    "words(x) AS replace(x, '_', ' ')",
)


def give_functions(connection: Connection) -> None:
    """Make the functions on a connection, those of `sql` too."""
    for function in FUNCTIONS:
        connection.execute(f"CREATE MACRO {function}")


def _give_short_names(connection: Connection) -> None:
    """short(host): a host without its domain, where no other host of the case has the same short name."""
    rows = connection.execute("""
        SELECT split_part(computer_key, '.', 1) FROM host_names
        GROUP BY 1 HAVING COUNT(DISTINCT host_id) > 1""").fetchall()
    keep = ", ".join(literal(name) for (name,) in rows) or "''"
    connection.execute(f"""CREATE MACRO short(host) AS
        CASE WHEN LOWER(split_part(host, '.', 1)) IN ({keep}) OR regexp_matches(host, '^[0-9]+[.][0-9]+[.]|:') THEN host
            ELSE split_part(host, '.', 1) END""")


def with_tables(case: Case, work: Callable[[Connection], _T]) -> tuple[_T, tuple[str, ...]]:
    """What `work` finds in the worked-out tables of a case, and what the user should know of them.

    Raises CaseError when they have not been worked out, or are no longer what they were.
    """

    def worked(connection: Connection) -> _T:
        if case.manifest.tables is None:
            raise CaseError(
                f"the tables of the case in {case.folder} have not been worked out",
                f"run `logontracks build --case {case.folder}`",
            )
        give_functions(connection)
        _give_short_names(connection)
        types = (f"({int(row['code'])}, {literal(row['symbol'])})" for row in catalogue.table("logon_types"))
        connection.execute(f"CREATE TABLE logon_words AS FROM (VALUES {', '.join(types)}) AS t (code, symbol)")
        return work(connection)

    try:
        found = case.read(worked)
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        if told := unusable(case):
            raise told from error
        raise
    if is_newest(case):
        return found, ()
    tables = case.manifest.tables
    older = "the events of the case" if tables and tables.of != case.manifest.state else "this version of logontracks"
    return found, (f"The tables are older than {older}: run `logontracks build --case {case.folder}`.",)


def answered(case: Case, asked: Callable[[Connection], Answer]) -> Answer:
    """The answer to a question to the tables, with what the user should know of them. Raises CaseError as above."""
    found, notes = with_tables(case, asked)
    return found.told(*notes)


def unusable(case: Case) -> CaseError | None:
    """Why tables are not there to be asked, or not with the columns they should have; None where that is no reason."""
    what = flaw(case)
    if what is None and is_newest(case):
        return None
    return CaseError(
        f"the tables of the case in {case.folder} cannot be read: {what or 'they are of another version'}",
        f"run `logontracks build --case {case.folder}`",
    )


def accounts_of(connection: Connection, users: tuple[str, ...]) -> tuple[list[int], tuple[str, ...]]:
    """Accounts that are meant by names, and what the user should know: how many fit, or which are like them.

    A name fits in any case, with `*` for anything, and also when the account had it only once: bare, as DOMAIN\\name
    with any spelling of the domain, as name@domain, as SID.
    """
    found: list[int] = []
    notes: list[str] = []
    for user in users:
        rows = connection.execute(f"""
            SELECT DISTINCT a.account_id, a.account FROM account_names AS n JOIN accounts AS a USING (account_id)
            WHERE {_account_fits(user.lower())} ORDER BY a.account, a.account_id""").fetchall()
        if not rows:
            known = [name for (name,) in connection.execute("SELECT DISTINCT name_key FROM account_names").fetchall()]
            near = difflib.get_close_matches(re.split(r"[\\@]", user.lower())[-1], known, 3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            notes.append(f"No account of the case fits {user}.{hint}")
        elif len(rows) > 1:
            told = ", ".join(account for _, account in rows[:6])
            more = f" and {len(rows) - 6:,} more" if len(rows) > 6 else ""
            notes.append(f"{user} fits {len(rows):,} accounts: {told}{more}.")
        found += [account for account, _ in rows]
    return found, tuple(notes)


def _account_fits(name: str) -> str:
    if name.startswith("s-1-"):
        return like("n.sid", name.upper())
    domain, separator, account = name.partition("\\")
    if not separator:
        account, separator, domain = name.partition("@")
    if not separator:
        return f"({like('n.name_key', name)} OR {like('LOWER(n.upn)', name)})"
    of_domain = f"""EXISTS (SELECT 1 FROM account_names AS m WHERE {like("m.domain_key", domain)}
        AND (m.account_id = n.account_id
            OR (m.sid_domain = n.sid_domain AND m.local_host_id IS NOT DISTINCT FROM n.local_host_id)
            OR EXISTS (SELECT 1 FROM account_names AS k WHERE k.sid_domain = m.sid_domain
                AND k.local_host_id IS NULL AND m.local_host_id IS NULL AND k.domain_key = n.domain_key)))"""
    both = f"({like('n.name_key', account)} AND {of_domain})"
    return f"({both} OR {like('LOWER(n.upn)', name)})" if "@" in name else both


def hosts_of(connection: Connection, hosts: tuple[str, ...]) -> tuple[list[int], tuple[str, ...]]:
    """Hosts that are meant by names, any name that they ever had, and what the user should know."""
    found: list[int] = []
    notes: list[str] = []
    for host in hosts:
        name = host.lower()
        fits = like("computer_key", name)
        if "." not in name:
            fits += f" OR {like('computer_key', name + '.*')}"
        rows = connection.execute(
            f"SELECT DISTINCT host_id, host_key FROM host_names WHERE {fits} ORDER BY 2, 1"
        ).fetchall()
        if not rows:
            known = [key for (key,) in connection.execute("SELECT computer_key FROM host_names").fetchall()]
            near = difflib.get_close_matches(name, [*known, *{key.partition(".")[0] for key in known}], 3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            account = literal(f"{name.partition('.')[0]}$")
            if connection.execute(f"SELECT 1 FROM account_names WHERE name_key = {account}").fetchone():
                hint = " Other logs name it; its own are not here."
            notes.append(f"No host of the case is called {host}.{hint}")
        elif len(rows) > 1 and "*" not in host:
            notes.append(f"{host} fits {len(rows):,} hosts: {', '.join(key for _, key in rows[:6])}.")
        found += [host_id for host_id, _ in rows]
    return found, tuple(notes)


def many(number: int, noun: str) -> str:
    """1 session, 1,203 sessions."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def no_host(notes: tuple[str, ...]) -> QueryError:
    """The error of who asked for one host, made of what `hosts_of` said."""
    what, _, hint = notes[0].partition(". ")
    return QueryError(what.removesuffix("."), hint or "list them with `logontracks hosts`")


def row_of(connection: Connection, text: str, *, tables: tuple[str, ...] = ("sessions", "failures")) -> tuple[str, int]:
    """The table and row that an id means: the first letter of the table and letters, as many as make it the only one.

    Raises QueryError when none fits, or several.
    """
    name = text.strip().lower()  # as copied from a list
    table = next((table for table in tables if table.startswith(name[:1])), "")
    if not _ID.fullmatch(name) or not table:
        lists = " and ".join(f"`logontracks {table}`" for table in tables if table != "requests")
        raise QueryError(f"{text!r} is no id", f"ids are in the last column, or with --format json, of {lists}")
    key = key_of(table)
    # ids of one beginning lie side by side, so that no other row has to be spelled
    told = f"told('{table[0]}', {key})"
    least, most = (_number(name[2:].ljust(13, letter)) for letter in "0z")
    rows = connection.execute(
        f"SELECT {key}, {told} FROM {table} WHERE {key} BETWEEN {least} AND {most} ORDER BY 2 LIMIT 4"
    ).fetchall()
    if not rows:
        # what was asked for stands among hops
        at = "hops" if table == "requests" else table
        raise QueryError(f"the case has no {key.removesuffix('_id')} {text}", f"list them with `logontracks {at}`")
    if len(rows) > 1:
        raise QueryError(
            f"{text} fits several {table}", f"give more of it: {', '.join(each for _, each in rows[:3])} ..."
        )
    return table, int(rows[0][0])


LAST_TIME = "GREATEST(last_time, end_time, end_time_max)"
"""SQL: the latest time that a session's records may have."""


def days_of(spans: list[tuple[datetime | None, datetime | None]]) -> set[str]:
    """Days from the first to the last of each span, as `Case.keep_records` takes them: a hint where to look first."""
    return {
        str(first.date() + timedelta(days=day))
        for first, last in spans
        if first and last and first.year < MAXYEAR - 1  # not beyond the last day that can be counted
        for day in range(min((last - first).days + 2, MOST_DAYS))
    }


def key_of(table: str) -> str:
    """The column of a table that holds the ids of its rows."""
    return "address_id" if table == "addresses" else f"{table[:-1]}_id"


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number << 5 | _ALPHABET.index(letter)
    return min(number, (1 << 63) - 1)


def among(column: str, ids: list[int]) -> str:
    """SQL: the column has one of these ids."""
    if len(ids) == 1:
        return f"{column} = {ids[0]}"  # of a list the engine reads all other columns too
    return f"{column} IN ({', '.join(map(str, ids))})" if ids else "FALSE"
