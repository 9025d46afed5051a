# ruff: noqa: INP001 - a script beside the pages it writes, not part of a package
"""Writes the reference pages from what the program itself goes by: schema.py, heads of models, data/*.csv, commands.

python docs/generate.py. tests/test_docs.py checks that the pages are what this would write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import click

from logontracks import catalogue, models, normalize, schema
from logontracks.catalogue import Event, Keep
from logontracks.cli import main as commands
from logontracks.sources.envelope import Kind

GENERATED = "<!-- Written by docs/generate.py. Change its sources, then run it again. -->"

SOURCES = {
    "sha256": "SHA-256 of the file; the other tables call it `source_sha256`",
    "name": "Its name when it was read: the folder that was given and the path in it, or the file that was given",
    "size_bytes": "Its size",
    "form": "`evtx`, or another that `logontracks formats` names",
    "records": "Records that were read from it, kept or not",
    "activity": "Whether what sessions did was kept as well; false after `--no-activity`",
    "source_tz": "The `--source-tz` it was read with; NULL for none",
    "kept": "Records that serve logon tracking, before copies were taken out",
    "duplicates": "How many of these do not stand in `events` under this source, because a copy of another source does",
    "problems": "Rows of `problems` about it, also those of kind `skipped`",
}
"""Columns of `sources`, which is no file: the case makes it of case.json and the other tables."""

TABLES: tuple[tuple[str, str, tuple[schema.Column, ...]], ...] = (
    ("problems", "What could not be read, or was read and may be wrong.", schema.PROBLEMS),
    (
        "extents",
        "What the sources hold, kept or not: a row for each run of record ids without a gap in one log of one host.",
        schema.EXTENTS,
    ),
    (
        "event_counts",
        "How many records of each kind there were, kept or not, by source, host, log and day.",
        schema.EVENT_COUNTS,
    ),
    (
        "given_addresses",
        "The list of `--addresses` that was given last: which machine had which address when.",
        schema.GIVEN_ADDRESSES,
    ),
)

DATA = {
    "audit_policy": "Audit subcategories and other settings, what they are for: see [auditing.md](auditing.md)",
    "blind_spots": "What makes logs tell less than they seem to: see [coverage.md](coverage.md)",
    "boot_types": "`boot_type`: how Windows started (Kernel-Boot 27)",
    "classic_strings": "Meaning of fields without a name: `#1` is the first string of the record",
    "columns": "Which field of which event becomes which column, or why it stays in `data`",
    "dialects": "Where each dialect of JSON has the parts of a record; the first choice that is there counts",
    "encryption_types": "Kerberos encryption types of tickets and keys",
    "events": "Kinds of events, what each is good for, and whether its records are kept",
    "failure_reasons": "The codes by which hosts, Kerberos and NTLM tell one and the same reason of a failure",
    "fields": "Names, order and types of the fields of each kind and version",
    "form_lacks": "What forms lack and what that costs: see `logontracks formats`",
    "impersonation_levels": "`impersonation_level`: how far a server may act as the client",
    "input_forms": "The forms that are read and what each lacks: see `logontracks formats`",
    "kerberos_codes": "`status` of 4768 to 4773: Kerberos error codes",
    "legacy_ids": "Event ids up to Windows 2003 and what they are today",
    "legacy_strings": "Order of the strings of those events, by how many there are",
    "logon_processes": "`logon_process`: which part of Windows took the credentials",
    "logon_types": "`logon_type`: how an account logged on",
    "marks": "What a record means to the tables that are worked out: see [rules.md](rules.md#marks)",
    "no_fields": "Kinds that have no fields, or whose fields are not known",
    "parameters": "Windows and thresholds of those tables: see [rules.md](rules.md#windows-and-thresholds)",
    "path_rules": "Rules of hops and links in words: see [rules.md](rules.md#rules-of-hops-and-links)",
    "percent_ids": "Texts that records name by number, such as `%%1842` for yes",
    "preauth_types": "`pre_auth_type`: how a Kerberos client proved who it is",
    "rdp_disconnect_reasons": "`reason_code` of LocalSessionManager 40: why a remote desktop was disconnected",
    "reserved_logon_ids": "Logon ids that stand for Windows itself and for no session",
    "session_names": "`session_name`: console, RDP, Citrix",
    "shutdown_1074": "Fields of User32 1074: who shut the host down and why",
    "sources": "Where the facts of these tables come from; each row of the others names its sources by these tokens",
    "special_accounts": "Accounts that are no person, by name or SID",
    "status_codes": "`status` and `sub_status`: NTSTATUS and other codes of failed logons",
    "supported_encryption_types": "Bits of the encryption types that an account supports",
    "ticket_options": "`ticket_options`: bits of what a Kerberos client asked for",
    "ticket_options_common": "Common sums of those bits, and where they are seen",
    "windows_builds": "`os_build`: releases of Windows, and whether they are servers: see [rules.md](rules.md#builds)",
}

READING_ORDER = (
    "sessions",
    "presence",
    "hosts",
    "accounts",
    "boots",
    "authentications",
    "failures",
    "attempts",
    "evidence",
    "blind_spots",
    "coverage",
    "log_spans",
)
"""The worked-out tables that have a command, as a reader meets them. Others follow in the order they are built."""

CODES = {
    "logon_types": "Field `LogonType` of 4624, 4625 and 4634; column `logon_type`.",
    "logon_processes": "Field `LogonProcessName`; column `logon_process`. Which part of Windows took the credentials.",
    "status_codes": "Fields `Status` and `SubStatus` of 4625, `Status` of 4776. Of the two in a 4625 read `SubStatus`,"
    " unless it is 0. `noise` says why a failure with that code is likely nothing that somebody tried.",
    "failure_reasons": "How the three layers tell one and the same reason: the host in a 4625, Kerberos and NTLM.",
    "kerberos_codes": "Field `Status` of 4768, 4769 and 4771. One code can have several reasons.",
    "preauth_types": "Field `PreAuthType` of 4768 and 4771: how a client proved who it is.",
    "encryption_types": "Field `TicketEncryptionType`, and lists of keys in later versions.",
    "supported_encryption_types": "Bits of `msDS-SupportedEncryptionTypes`, as 4768 and 4769 have them.",
    "ticket_options": "Bits of `TicketOptions`, counted from the highest one as Kerberos does.",
    "ticket_options_common": "Sums of those bits that are often seen, and where.",
    "impersonation_levels": "Field `ImpersonationLevel` of 4624.",
    "reserved_logon_ids": "Logon ids that Windows gives to itself. They are no sessions.",
    "special_accounts": "Accounts that are no person. A SID is sure; a name can be that of somebody.",
    "session_names": "Field `SessionName` of 4778 and 4779.",
    "rdp_disconnect_reasons": "Field `Reason` of LocalSessionManager 40.",
    "shutdown_1074": "Fields of User32 1074.",
    "boot_types": "Field `BootType` of Kernel-Boot 27.",
    "percent_ids": "Texts that records name by a number after `%%`.",
}
"""The tables of data/ that somebody looks a code up in, in the order of codes.md."""

MADE_MARKS = {
    "hint": "A boot hint (`boot_hint`) that differs from the one before by more than two seconds",
    "ids_fell": "Logon ids that begin again from below, told from the order of the 4624 alone",
    "system_logon": "A 4624 of type 0: the logon of Windows itself, which it writes at each start",
}
"""Marks of boots that no kind of event has by itself: models/boot_evidence.sql makes them."""

NOT_RUN = {"ingest": "its files stand for yours"}
"""Commands whose examples no test can run as they stand, and why."""

EXIT_CODES = {
    0: "Done. An empty answer is an answer.",
    1: "Unexpected: an output could not be written, or a bug, which shows its traceback. Please report the bug.",
    2: "The command is wrong: an unknown option, zone or time, or a query that `sql` does not take or that failed.",
    3: "`ingest` found nothing to read.",
    4: "`ingest` is done, but something was lost or is in doubt: see `logontracks problems`.",
    5: "The case cannot be used: not there, locked by another writer, of a newer format, damaged, no space.",
    130: "Interrupted (Ctrl-C).",
}


def events() -> str:
    return "\n".join(
        (
            *_top("events"),
            "One row of `events` is one record of a log that serves logon tracking. This page lists its columns.",
            "[kinds.md](kinds.md) says which fields of which event fill them, [data.md](data.md) what the codes mean.",
            "",
            "- Times are UTC.",
            "- NULL means that the record does not say it. It is never written as an empty text, `-` or 0.",
            "- Every record keeps its own fields in `data`, also those that fill columns.",
            "- Ask the columns: the names in `data` differ between versions of Windows, those of the columns do not.",
            "- `source_sha256` and `position` lead from a row back to the record in the file.",
            "",
            *_columns(),
            "## Normal forms",
            "",
            "The form says how the text of a field becomes the value of a column. In every form surrounding blanks",
            "go, and an empty text, a lone `-` and the `(NULL)` of NTLM records are NULL. A column without a form",
            "comes from what Windows wrote around the event, or from another column.",
            "",
            *_grid(("Form", "What it does"), ((f"`{form}`", meaning) for form, meaning in forms().items())),
        )
    )


def tables() -> str:
    parts = [
        *_top("tables"),
        "What was read stands in five tables. [events](events.md) has its own page; these are the others. What is",
        "worked out from them is in [worked-out.md](worked-out.md). `logontracks sql` reads all by their names. Times",
        "are UTC, and NULL means that it is not known.",
        "",
        "## sources",
        "",
        "The files that were read, one row for each. It is not stored: the case makes it of case.json, `events`,",
        "`event_counts` and `problems`.",
        "",
        *_grid(("Column", "Meaning"), ((f"`{name}`", meaning) for name, meaning in SOURCES.items())),
    ]
    for name, what, columns in TABLES:
        rows = ((f"`{column.name}`", column.type, column.meaning) for column in columns)
        parts += [f"## {name}", "", what, "", *_grid(("Column", "Type", "Meaning"), rows)]
    return "\n".join(parts)


def worked_out() -> str:
    tables = [models.model(name) for name in models.MODELS]
    shown = sorted(
        (table for table in tables if table.published),
        key=lambda table: READING_ORDER.index(table.name) if table.name in READING_ORDER else len(READING_ORDER),
    )
    parts = [
        *_top("worked-out"),
        "`logontracks ingest` works these tables out from what it has read; `logontracks build` does it again.",
        "[sessions.md](../explanation/sessions.md) explains what they say, [case.md](case.md#tables) where they are.",
        "`logontracks sql` reads them by these names.",
        "",
        "- Times are UTC, as the clock of the host had them.",
        "- NULL means that the logs do not tell it. It is never written as an empty text, `-` or 0.",
        "- A column that ends in `_uid` is the `uid` of a row of [events](events.md), one that ends in `_id` the",
        "  identity of a row of another table here (`logon_id` and `linked_logon_id` are those of Windows).",
        "- Identities come from the records themselves, so logs that are added later do not change them.",
        "- The sessions that commands show as `s-` and letters are the numbers in `session_id`.",
        "",
    ]
    for table in shown:
        text, made_of = _head(table)
        rows = ((f"`{column.name}`", column.type, _plain(column.meaning)) for column in table.columns)
        parts += [f"## {table.name}", "", *text, *_grid(("Column", "Type", "Meaning"), rows), *made_of]
    parts += [
        "## Steps",
        "",
        "On the way to these tables there are others, which are not kept. Each is a file in `src/logontracks/models`.",
        "",
    ]
    rows = []
    for table in tables:
        if not table.published:
            text, _ = _head(table)
            rows.append((f"`{table.name}`", text[0], ", ".join(f"`{name}`" for name in sorted(table.reads))))
    parts += _grid(("Step", "What a row is", "Worked out from"), rows)
    return "\n".join(parts)


def rules() -> str:
    parts = [
        *_top("rules"),
        "What the [worked-out tables](worked-out.md) go by, besides the SQL. All of it is in `src/logontracks/data`;",
        "when a row changes, `logontracks build` works the tables out anew.",
        "",
        "## Windows and thresholds",
        "",
        "File `parameters.csv`; the models have them by name.",
        "",
    ]
    parameters = (
        (f"`{row['name']}`", row["value"], row["unit"], _plain(row["reason"])) for row in catalogue.table("parameters")
    )
    parts += _grid(("Name", "Value", "Unit", "Why"), parameters)
    parts += [
        "## Rules of hops and links",
        "",
        "Column `rule` of [hops](worked-out.md#hops) and [links](worked-out.md#links). File `path_rules.csv`.",
        "",
    ]
    rules = ((f"`{row['rule']}`", f"`{row['table']}`", _plain(row["says"])) for row in catalogue.table("path_rules"))
    parts += _grid(("Rule", "Table", "What it says"), rules)
    parts += [
        "## Marks",
        "",
        "A mark is what a record means to the models, whatever its provider and event id. File `marks.csv`. The",
        "columns `started_by` and `ended_by` of `boots` hold marks.",
        "",
    ]
    records: dict[str, list[str]] = {}
    for row in catalogue.table("marks"):
        event = catalogue.events().get((row["provider"].lower(), int(row["event_id"])))
        title = _plain(event.title) if event else "(not among the kept kinds)"
        records.setdefault(row["mark"], []).append(f"{row['event_id']} {title} (`{row['provider']}`)")
    texts = {mark: "; ".join(found) for mark, found in records.items()} | MADE_MARKS
    parts += _grid(("Mark", "Records that have it"), ((f"`{mark}`", texts[mark]) for mark in sorted(texts)))
    parts += [
        "## Builds",
        "",
        "What the number of a build, which EventLog 6009 tells at a start, says of a host. Where workstations and",
        "servers share a build, it does not tell the role; then fast startup, records that only servers of a kind",
        "write, and the like do (`role_by` in [hosts](worked-out.md#hosts)). File `windows_builds.csv`.",
        "",
    ]
    builds = ((row["build"], row["workstation"], row["server"]) for row in catalogue.table("windows_builds"))
    parts += _grid(("Build", "Workstation", "Server"), builds)
    return "\n".join(parts)


def kinds() -> str:
    kept = [event for event in catalogue.events().values() if event.keep is not Keep.NO]
    logs: dict[str, list[Event]] = {}
    for event in sorted(kept, key=lambda event: (_rank(event), event.event_id, event.provider)):
        logs.setdefault(event.channel, []).append(event)
    parts = [
        *_top("kinds"),
        "The kinds of events whose records are kept, by log. A kind is a provider and an event id: ids alone are not",
        "enough, because providers use the same ones. A kind is",
        "",
        "- **always kept** when its records say something of a logon, an account, or the host and its clock;",
        "- **kept in a session** when they say what a session did. Such a record is kept when it stands in the",
        "  Security log and carries a logon id that is not reserved; `ingest --no-activity` leaves it out.",
        "",
        "A record of the Security log whose kind nobody here knows is treated as one of the second sort. A few kinds",
        "are known and never kept: they say nothing of a logon. Counts of all records, kept or not, are in",
        "[event_counts](tables.md#event_counts).",
        "",
        "Under each kind stand the columns that its fields fill ([events.md](events.md) says what they hold), over all",
        "versions of its layout. Where several fields could fill a column, the first that has a value does. A form in",
        "brackets is not the usual one of the column. `#1` is the first of a record's fields without a name. The other",
        "fields are in `data` only, with the reason.",
        "",
    ]
    parts += [f"- [{log}](#{slug(log)}): {len(found)}" for log, found in logs.items()]
    parts.append("")
    for log, found in logs.items():
        parts += [f"## {log}", ""]
        for event in found:
            parts += _kind(event)
    return "\n".join(parts)


def data() -> str:
    used: dict[str, list[str]] = {}
    parts = [
        *_top("data"),
        "What the program knows of Windows stands in tables, one CSV file each in `src/logontracks/data`. They are",
        "part of the installed package; `logontracks.catalogue.table(name)` gives their rows. Each row names where it",
        "comes from, in its column `source`, by the tokens at the end of this page; several are joined by `;`.",
        "`columns`, `parameters` and `path_rules` are choices of this program and have none.",
        "",
    ]
    rows = []
    for file in data_tables():
        content = catalogue.table(file)
        tokens = sorted({token for row in content if file != "sources" for token in row.get("source", "").split(";")})
        for token in filter(None, tokens):
            used.setdefault(token, []).append(file)
        names = ", ".join(f"`{name}`" for name in content[0])
        rows.append((f"`{file}`", DATA[file], names, ", ".join(filter(None, tokens))))
    parts += _grid(("Table", "What it holds", "Columns", "Sources"), rows)
    parts += ["## Sources", ""]
    sources = (
        (f"`{row['token']}`", row["description"], f"<{row['url']}>" if row["url"] else "")
        for row in catalogue.table("sources")
    )
    parts += _grid(("Token", "Source", "Where"), sources)
    return "\n".join(parts)


def codes() -> str:
    parts = [
        *_top("codes"),
        "What the numbers in logs mean. `logontracks code 0xC000006A` looks one up in all of these, and the commands",
        "show words in their place. Each row has its source in [data](data.md).",
        "",
    ]
    for name, what in CODES.items():
        rows = catalogue.table(name)
        shown = [column for column in rows[0] if column != "source" and any(row[column] for row in rows)]
        titles = [column.replace("_", " ").capitalize() for column in shown]
        parts += [f"## {name}", "", what, ""]
        parts += _grid(titles, ([f"`{row[shown[0]]}`", *(_plain(row[each]) for each in shown[1:])] for row in rows))
    return "\n".join(parts)


def coverage() -> str:
    parts = [
        *_top("coverage"),
        "What makes logs tell less than they seem to. `logontracks coverage` lists what it finds; its columns are",
        "those of [blind_spots](worked-out.md#blind_spots), its texts in `data/blind_spots.csv`. What is missing is",
        "said only where it must have happened: that a server nobody sits at has no locks says nothing. How much of",
        "it is enough is in [rules](rules.md#windows-and-thresholds); the settings behind it are in",
        "[auditing](auditing.md).",
        "",
    ]
    rows = (
        (f"`{row['kind']}`", row["subcategory"], row["unit"], _plain(row["what"]), _plain(row["unsafe"]))
        for row in catalogue.table("blind_spots")
    )
    parts += _grid(("Kind", "Audit subcategory", "Counts", "What it is", "Unsafe to conclude"), rows)
    return "\n".join(parts)


def auditing() -> str:
    parts = [
        *_top("auditing"),
        "What decides which records are written: audit subcategories and other settings, with their defaults, where",
        "they are needed, and what is lost without them. `logontracks coverage --policy ROLE` writes a script for",
        "a role; [Turn auditing on](../howto/auditing.md) is about doing it. File `data/audit_policy.csv`.",
        "",
    ]
    for row in catalogue.table("audit_policy"):
        parts += [f"## {row['name']}", ""]
        parts += [f"- {name}: {text}" for name, text in _setting(row)]
        parts.append("")
    return "\n".join(parts)


def _setting(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    defaults = {
        "workstations": row["default_workstation"],
        "servers": row["default_server"],
        "controllers as they are seen": row["default_dc_seen"],
    }
    told = {
        "What it is": " of ".join(filter(None, (row["kind"], row["category"]))),
        "GUID": f"`{row['guid']}`" if row["guid"] else "",
        "Events": _plain(row["events"]),
        "By default": "; ".join(f"{where}: {text}" for where, text in defaults.items() if text),
        "Needed on": row["needed_on"],
        "Needed": row["needed"],
        "How to set": (f"`{row['how_to_set']}`" if row["how_to_set"].startswith(("auditpol", "wevtutil")) else "")
        or _plain(row["how_to_set"]),
        "Without it": _plain(row["missing_means"]),
    }
    return ((name, text) for name, text in told.items() if text not in {"", "-"})


def command_line() -> str:
    context = click.Context(commands, info_name="logontracks", **commands.context_settings)
    codes = ((f"{code}", meaning) for code, meaning in EXIT_CODES.items())
    parts = [
        *_top("commands"),
        "The answer goes to stdout, everything else (progress, the closing sum, errors) to stderr. `logontracks`",
        "and `python -m logontracks` are the same.",
        "",
        "A case is named by `--case`, else by the environment variable `LOGONTRACKS_CASE`, else it is `./case`.",
        "Times that are shown are in `--tz`, which is UTC unless given; times that are given are read in it, unless",
        "they carry an offset. Reading a day as `--until` includes the day.",
        "",
        "| Format | What it is for |",
        "| --- | --- |",
        "| `table` | To read. At most 1000 rows unless `--limit` says otherwise. In a terminal it fits the width. |",
        "| `json`, `jsonl` | For programs: one array, or one object a line. Times are ISO 8601, `data` is an object. |",
        '| `csv` | For spreadsheets: RFC 4180, UTF-8; NULL is nothing, empty text is `""`. |',
        "| `parquet` | Exact types, for other programs. |",
        "",
        "Log text can be written by an attacker. Tables and CSV spell out control characters and other signs that",
        "cannot be seen, such as `\\x1b` or `\\u202e`; JSON escapes them; Parquet has them as they are. In CSV, text",
        "that a spreadsheet would take for a formula has an apostrophe before it.",
        "",
        "## Exit codes",
        "",
        *_grid(("Code", "Meaning"), codes),
    ]
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        if command is not None:
            parts += _command(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "events.md": events,
    "tables.md": tables,
    "worked-out.md": worked_out,
    "rules.md": rules,
    "kinds.md": kinds,
    "data.md": data,
    "codes.md": codes,
    "coverage.md": coverage,
    "auditing.md": auditing,
    "commands.md": command_line,
}
"""The pages of docs/reference that are written here."""


def slug(heading: str) -> str:
    """The anchor that forges give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def forms() -> dict[str, str]:
    """What each normal form does: the comments beside schema.Form."""
    found = re.findall(r'^    [A-Z_]+ = "(\w+)"(?:  # (.+))?$', inspect.getsource(schema.Form), re.MULTILINE)
    meanings = {name: _sentence(comment) if comment else "The text as it is" for name, comment in found}
    if list(meanings) != [form.value for form in schema.Form]:
        raise ValueError("the forms of schema.py are not written as expected")
    return meanings


def groups() -> dict[str, list[schema.Column]]:
    """The columns of events below the comments that head them in schema.py."""
    source = inspect.getsource(schema).partition("\nCOLUMNS:")[2].partition("\n)\n")[0]
    found: dict[str, list[schema.Column]] = {}
    heading = ""
    for comment, maker, name in re.findall(r'^    (?:# (.+)|(\w+)\(\s*"(\w+)")', source, re.MULTILINE):
        heading = comment or heading
        if maker:
            column = schema.BY_NAME[f"{name}_key" if maker == "_key" else name]
            found.setdefault(heading, []).append(column)
    if tuple(column.name for columns in found.values() for column in columns) != schema.NAMES:
        raise ValueError("the columns of schema.py are not written as expected")
    return found


def _top(title: str) -> tuple[str, ...]:
    return (f"# {title}", "", GENERATED, "")


def _head(table: models.Model) -> tuple[list[str], list[str]]:
    """The head of a model as Markdown: what a row is and what NULL means, a paragraph each; what it is made from."""
    text = re.sub(rf"^(View|{table.name}): ", "", table.meaning)
    text, _, after = text.partition("Reads: ")
    rest = re.sub(r"^Sorted by: .*\n?", "", after.partition(".\n")[2])
    paragraphs = [text, rest]
    lines = [_sentence(" ".join(part.split())) for each in paragraphs for part in each.split("\n\n") if part.strip()]
    read = ", ".join(f"`{name}`" for name in sorted(table.reads))
    return [line for each in lines for line in (each, "")], [f"Worked out from {read}.", ""]


def _columns() -> Iterator[str]:
    for heading, columns in groups().items():
        yield from (f"## {heading}", "")
        rows = (
            (f"`{column.name}`", column.type, f"`{column.form}`" if column.form else "", column.meaning)
            for column in columns
        )
        yield from _grid(("Column", "Type", "Form", "Meaning"), rows)


def _rank(event: Event) -> tuple[int, str]:
    first = ("Security", "System")
    return (first.index(event.channel) if event.channel in first else len(first), event.channel)


def _kind(event: Event) -> Iterator[str]:
    kind = Kind(event.provider.lower(), event.event_id)
    yield from (f"### {event.event_id} {event.title}", "")
    facts = [f"`{event.provider}`"]
    if event.subcategory:
        facts.append(" and ".join(dict.fromkeys(event.subcategory.split(";"))))
    if event.outcome:
        facts.append("success and failure" if event.outcome == "both" else event.outcome)
    facts.append("any host" if event.host_role == "any" else event.host_role)
    if event.legacy_ids:
        facts.append(f"up to Windows 2003: {', '.join(map(str, event.legacy_ids))}")
    facts.append("always kept" if event.keep is Keep.LOGON else "kept in a session")
    yield from (f"{' · '.join(facts)}", "")
    if event.use:
        yield from (_plain(event.use), "")
    columns: dict[str, list[str]] = {}
    for rule in normalize.rules_of(kind):
        usual = schema.BY_NAME[rule.column].form
        form = "" if rule.form is usual else f" ({rule.form})"
        columns.setdefault(rule.column, []).append(f"`{rule.field}`{form}")
    known = normalize.known_fields().get(kind)
    if known is None:
        known = frozenset()
        empty = any(key[:2] == kind for key in catalogue.fields())
        columns = {}
        yield "The record has no fields." if empty else _UNKNOWN_FIELDS
        yield ""
    if columns:
        rows = (
            (f"`{column.name}`", ", ".join(columns[column.name])) for column in schema.COLUMNS if column.name in columns
        )
        yield from _grid(("Column", "From"), rows)
    reasons: dict[str, list[str]] = {}
    filled = {rule.field for rule in normalize.rules_of(kind)}
    for name in sorted(known - filled, key=_by_number):
        reasons.setdefault(reason(kind, name), []).append(f"`{name}`")
    if reasons:
        yield "In `data` only:"
        yield ""
        yield from (f"- {', '.join(names)}: {_plain(why)}" for why, names in reasons.items())
        yield ""


_UNKNOWN_FIELDS = "Its fields are not known; those that go by a common name fill its column all the same."


def reason(kind: Kind, field: str) -> str:
    """Why a field of a kind fills no column: the note of the narrowest rule that says so."""
    candidates = [
        (bool(row["provider"]) + bool(row["event_id"]), row["note"])
        for row in catalogue.table("columns")
        if row["field"] == field
        and row["provider"].lower() in {"", kind.provider}
        and row["event_id"] in {"", str(kind.event_id)}
        and not row["column"]
    ]
    return max(candidates, key=lambda each: each[0])[1]


def _by_number(field: str) -> tuple[int, str]:
    return (int(field[1:]), "") if field[:1] == "#" and field[1:].isdigit() else (0, field)


def data_tables() -> list[str]:
    folder = files("logontracks") / "data"
    return sorted(file.name.removesuffix(".csv") for file in folder.iterdir() if file.name.endswith(".csv"))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield from (
        f"## {command.name}",
        "",
        "```text",
        f"{context.command_path} {' '.join(_usage(command, context))}",
        "```",
        "",
    )
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            heading, *lines = paragraph.removeprefix("\b\n").split("\n")
            mark = [f"<!-- not run: {NOT_RUN[command.name]} -->"] if command.name in NOT_RUN else []
            yield from (heading, "", *mark, "```sh", *(line.strip() for line in lines), "```", "")
        else:
            yield from (_plain(" ".join(paragraph.split())), "")
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            names, _, metavar = record[0].partition(" ") if ", " not in record[0] else (record[0], "", "")
            rows.append(
                (
                    f"`{names}`",
                    f"`{metavar}`".replace("|", "\\|") if metavar else "",
                    _plain(re.sub("  +", " ", record[1])),
                )
            )
    yield from _grid(("Option", "Value", "Meaning"), rows)


def _usage(command: click.Command, context: click.Context) -> list[str]:
    return command.collect_usage_pieces(context)


def _grid(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(head)
    yield f"| {' | '.join(titles)} |"
    yield f"|{'|'.join(' --- ' for _ in titles)}|"
    for row in rows:
        yield f"| {' | '.join(_cell(text) for text in row)} |"
    yield ""


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " "))


def _plain(text: str) -> str:
    """Text of which Markdown makes nothing but text; what stands in backticks is code already."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if number % 2 else re.sub(r"([<*]|\\(?=[!-/:-@\[-`{-~]))", r"\\\1", part)
        for number, part in enumerate(parts)
    )


def _sentence(text: str) -> str:
    return _plain(text[:1].upper() + text[1:])


def write(folder: Path) -> None:
    for name, make in PAGES.items():
        (folder / name).write_text(make().rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent / "reference")
