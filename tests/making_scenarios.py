"""Scenarios: a few events as people write them, the rows they have to become, and the road between.

tests/scenarios/README.md tells how a scenario is written. All scenarios share one case, as a case of one scenario
takes a second and one of all of them few more: hosts, domains and SIDs carry the number of their scenario in it.
"""

import hashlib
import json
import re
import struct
import tomllib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from making import once

from logontracks import catalogue, pipeline, pool, staging, worker
from logontracks.build import build
from logontracks.case import Case, writing
from logontracks.catalogue import Keep
from logontracks.normalize import Normalizer, rules_of
from logontracks.schema import Form
from logontracks.simulate.evtx_writer import filetime
from logontracks.sources import Source
from logontracks.sources.envelope import Extents, Head, Kind, Row, Run, Tail, head, tail, to_tables

FOLDER = Path(__file__).parent / "scenarios"
MONDAY = datetime(2026, 10, 5)  # noqa: DTZ001 - UTC, as all times in a case
TABLES = (
    "sessions", "boots", "hosts", "accounts", "presence", "evidence", "authentications", "failures",
    "log_spans", "coverage", "blind_spots", "addresses", "links", "hops", "tracks", "requests",
)  # fmt: skip
AUDIT_SUCCESS = 0x8020000000000000
SECURITY = "Microsoft-Windows-Security-Auditing"

ALIASES = {
    "lsm": "Microsoft-Windows-TerminalServices-LocalSessionManager",
    "rcm": "Microsoft-Windows-TerminalServices-RemoteConnectionManager",
    "winlogon": "Microsoft-Windows-Winlogon",
    "kernel-general": "Microsoft-Windows-Kernel-General",
    "kernel-power": "Microsoft-Windows-Kernel-Power",
    "kernel-boot": "Microsoft-Windows-Kernel-Boot",
}
LOGON_PROCESSES = {0: "-", 2: "User32 ", 3: "Kerberos", 4: "Advapi  ", 5: "Advapi  ", 7: "User32 ", 8: "Advapi  ",
                   9: "seclogo", 10: "User32 ", 11: "User32 ", 12: "User32 ", 13: "User32 "}  # fmt: skip
SIDS = {
    r"nt authority\system": "S-1-5-18",
    r"nt authority\local service": "S-1-5-19",
    r"nt authority\network service": "S-1-5-20",
    r"nt authority\anonymous logon": "S-1-5-7",
}
WINDOWS_OWN = {"nt authority": "", "window manager": "S-1-5-90-0-{}", "font driver host": "S-1-5-96-0-{}", "-": "",
               "nt service": "S-1-5-80-{}", "iis apppool": "S-1-5-82-{}"}  # fmt: skip
OF_TARGET = {4624, 4627, 4634, 4647, 4778, 4779, 4800, 4801, 4802, 4803, 4964}
LOCALIZED = {Form.YES_NO: {"yes": "%%1842", "no": "%%1843"}}

_TOKEN = re.compile(r'([\w#]+)=(?:"([^"]*)"|(\S*))|(\S+)')
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-]\d+)?")
_MARK = re.compile(r"~\d+~")


class WrittenWrongError(Exception):
    """A scenario that is not written as the README says."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`tables`: the rows that are expected, one a line, by table."""

    name: str
    why: str
    events: str
    tables: dict[str, str]
    number: int


@cache
def scenarios() -> tuple[Scenario, ...]:
    found: list[Scenario] = []
    for path in sorted(FOLDER.glob("*.toml")):
        for raw in tomllib.loads(path.read_text(encoding="utf-8"))["scenario"]:
            name = f"{path.stem}/{raw.pop('name')}"
            why, events = raw.pop("why"), raw.pop("events")
            if wrong := raw.keys() - set(TABLES):
                raise WrittenWrongError(f"{name}: what is {', '.join(wrong)}?")
            if not raw:
                raise WrittenWrongError(f"{name} expects nothing")
            found.append(Scenario(name, why, events, raw, len(found)))
    if len({each.name for each in found}) < len(found):
        raise WrittenWrongError("two scenarios have one name")
    return tuple(found)


# Names that no other scenario has, and back


class Own:
    """Gives hosts, domains and SIDs of one scenario names that no other has. ~12~ in them is its number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def host(self, name: str) -> str:
        """The number stands in the first label, so that short and full names stay those of one host."""
        label, dot, rest = name.partition(".")
        return f"{label}~{self.number}~{dot}{rest}"

    def domain(self, name: str) -> str:
        return name if name.lower() in WINDOWS_OWN or not name else self.host(name)

    def sid(self, sid: str) -> str:
        return re.sub(r"^S-1-5-21-", f"S-1-5-21-{900000 + self.number}", sid)

    def value(self, column: str, text: str) -> str:
        """Names of machines and addresses in fields: no other scenario has those either. ~ is its number already."""
        if "~" in text:
            return text
        if (
            column in {"workstation", "target_server"}
            and text.lower() not in {"localhost", "null"}
            and not text[:1].isdigit()
        ):
            return self.host(text)
        if column == "service_name" and text.endswith("$"):
            return f"{self.host(text[:-1])}$"
        if column == "source_address":
            return re.sub(r"10\.0\.0\.(?=\d)", f"10.{self.number // 250 + 1}.{self.number % 250}.", text)
        return text

    def plain(self, text: str) -> str:
        """A value of a table as the scenario writes it."""
        text = re.sub(rf"\b10\.{self.number // 250 + 1}\.{self.number % 250}\.(?=\d)", "10.0.0.", text)
        return _MARK.sub("", re.sub(r"S-1-5-21-9\d{5}", "S-1-5-21-", text))


def account(own: Own, user: str, sid: str | None) -> tuple[str, str, str | None]:
    """Domain, name and SID of DOMAIN\\name. A SID that is not written follows from the two; `-` is none."""
    domain, _, name = user.rpartition("\\")
    if sid == "-":
        return own.domain(domain), name, None
    if sid is None:
        key = domain.lower()
        sid = SIDS.get(user.lower()) or WINDOWS_OWN.get(key, "").format(re.sub(r"\D", "", name) or "7")
        if not sid:
            # spellings of a domain (LARCH, larch.example) share the SID before the last number
            of_domain = int(hashlib.sha256(key.partition(".")[0].encode()).hexdigest()[:6], 16)
            of_name = int(hashlib.sha256(name.lower().encode()).hexdigest()[:4], 16)
            sid = f"S-1-5-21-1-{of_domain}-7-{1000 + of_name}"
    if name.endswith("$") and "~" not in name:
        name = f"{own.host(name[:-1])}$"
    return own.domain(domain), name, own.sid(sid)


# Events


class Log(NamedTuple):
    """A log file: of a host unless the scenario says log=..., and of one channel."""

    scenario: int
    name: str
    channel: str


@dataclass(slots=True)
class Record:
    log: Log
    host: str
    kind: Kind
    provider: str
    version: int
    record_id: int | None
    time: datetime
    activity_id: str | None = None
    record_sid: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


def kind_of(text: str) -> tuple[str, int]:
    """Provider and event id of `4624`, `System:12` or `LSM:21`."""
    prefix, _, number = text.rpartition(":")
    if not number.isdigit():
        raise WrittenWrongError(f"{text!r} is no event")
    marked = {(row["provider"], int(row["event_id"])) for row in catalogue.table("marks")}
    every = {(event.provider, event.event_id) for event in catalogue.events().values()}
    of_id = {each for each in every if each[1] == int(number)}
    wanted = ALIASES.get(prefix.lower(), prefix).lower()
    if prefix:
        of_id = {e for e in of_id if wanted in (e[0].lower(), catalogue.events()[e[0].lower(), e[1]].channel.lower())}
    if len(of_id) > 1:
        of_id = {each for each in of_id if each in marked} or of_id
    for known in () if prefix else (SECURITY, "Microsoft-Windows-Eventlog"):
        if len(of_id) > 1 and (known, int(number)) in of_id:
            of_id = {(known, int(number))}
    if len(of_id) != 1:
        named = ", ".join(sorted(provider for provider, _ in of_id)) or "none"
        raise WrittenWrongError(f"{text!r}: providers with such an event: {named}; write one before a colon")
    return of_id.pop()


def moment(text: str, day: datetime) -> datetime:
    """10:00:00, 10:00:00.25 or 08:00:00+1 (the next day)."""
    match = _TIME.fullmatch(text)
    if not match:
        raise WrittenWrongError(f"{text!r} is no time")
    hours, minutes, seconds, part, days = match.groups()
    micros = int((part or "0").ljust(6, "0"))
    return day + timedelta(
        days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=int(seconds), microseconds=micros
    )


def clock(time: datetime | None, day: datetime) -> str:
    """The other way round."""
    if time is None:
        return "-"
    days = (time - day).days
    text = time.strftime("%H:%M:%S") + (f".{time.microsecond:06}".rstrip("0") if time.microsecond else "")
    return text + (f"{days:+}" if days else "")


def written(time: datetime) -> str:
    return time.isoformat(timespec="microseconds") + "0Z"


def records(scenario: Scenario, day: datetime) -> Iterator[Record]:
    """The records that a scenario writes down. Ids count on in each log from the last one."""
    own = Own(scenario.number)
    ids: dict[Log, int] = {}
    known: dict[tuple[str, int], dict[str, str]] = {}  # who a logon id is of: later records need not repeat it
    for line in scenario.events.strip().splitlines():
        if not line.strip() or line.strip().startswith("#"):
            continue
        try:
            for each in _repeated(line.strip().replace("~", f"~{scenario.number}~"), day):
                yield _record(scenario, own, day, each, ids, known)
        except (WrittenWrongError, ValueError, KeyError) as error:
            raise WrittenWrongError(f"{scenario.name}: {line.strip()!r}: {error}") from error


def _repeated(line: str, day: datetime) -> Iterator[str]:
    """A line, or with `repeat=50/60` 50 of it, 60 seconds apart; logon ids rise by 16 but for reserved ones."""
    found = re.search(r" repeat=(\d+)/(\d+)", line)
    if not found:
        yield line
        return
    rest = line.replace(found[0], "")
    time, _, rest = rest.partition(" ")
    first = moment(time, day)
    for number in range(int(found[1])):
        at = clock(first + timedelta(seconds=number * int(found[2])), day)
        words = (
            f"logon_id={int(word[9:], 16) + 16 * number:#x}" if re.match(r"logon_id=0x\w{4}", word) else word
            for word in rest.split(" ")
        )
        yield " ".join((at, *words))


def _record(  # noqa: PLR0917 - all of them are the line's surroundings
    scenario: Scenario, own: Own, day: datetime, line: str, ids: dict[Log, int], known: dict[Any, dict[str, str]]
) -> Record:
    words, values = words_of(line)
    if len(words) != 3:
        raise WrittenWrongError("a line is: time host event field=value ...")
    provider, event_id = kind_of(words[2])
    event = catalogue.events()[provider.lower(), event_id]
    channel = values.pop("channel", event.channel)
    log = Log(scenario.number, values.pop("log", words[1]).lower(), channel)
    record_id: int | None = ids.get(log, 0) + 1
    if "record_id" in values:
        text = values.pop("record_id")
        record_id = None if text == "-" else int(text)
    ids[log] = record_id or 0
    versions = [v for p, e, v in catalogue.fields() if (p, e) == (provider.lower(), event_id)]
    default = 2 if event_id == 4624 else max(versions, default=0)
    found = Record(
        log, own.host(words[1]), Kind(provider.lower(), event_id), provider, int(values.pop("version", default)),
        record_id, moment(words[0], day),
    )  # fmt: skip
    if "boot" in values:
        tail_bytes = struct.pack("<Q", filetime(moment(values.pop("boot"), day).replace(tzinfo=UTC)))
        found.activity_id = "{" + str(uuid.UUID(bytes=bytes(8) + tail_bytes)) + "}"
    if "activity" in values:
        number = hashlib.sha256(f"{scenario.number} {values.pop('activity')}".encode()).digest()[:6].hex()
        found.activity_id = f"{{f4200000-0000-0000-0000-{number}}}"
    if "record_sid" in values:
        found.record_sid = own.sid(values.pop("record_sid"))
    _fill(found, own, day, _with_defaults(words[1], found, values, known))
    return found


def words_of(line: str) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    values: dict[str, str] = {}
    for key, quoted, bare, word in _TOKEN.findall(line.strip()):
        if key:
            values[key] = quoted or bare
        else:
            words.append(word)
    return words, values


def _with_defaults(
    host: str, found: Record, values: dict[str, str], known: dict[Any, dict[str, str]]
) -> dict[str, str]:
    columns = {rule.column for rule in fields_of(found.kind)}
    values = dict(values)
    if found.kind == (SECURITY.lower(), 4624):
        values.setdefault("logon_type", "2")
        values.setdefault("user", r"LARCH\anna")
        values.setdefault("logon_process", LOGON_PROCESSES[int(values["logon_type"])])
        values.setdefault("auth_package", "Negotiate")
        if "linked" in values:
            values["target_linked_logon_id"] = values.pop("linked")
        if values.get("logon_id", "0") != "0":
            keys = ("user", "sid", "logon_type")
            known[host.lower(), int(values["logon_id"], 0)] = {k: values[k] for k in keys if k in values}
    elif found.kind == (SECURITY.lower(), 4625):  # Windows does not say whose SID
        values = {"sid": "-", "logon_type": "3", "user": r"LARCH\anna"} | values
        values.setdefault("logon_process", LOGON_PROCESSES[int(values["logon_type"])])
    elif "logon_id" in values:
        of_id = known.get((host.lower(), int(values["logon_id"], 0)), {"user": r"LARCH\anna"})
        if "user" in values:
            of_id = {key: value for key, value in of_id.items() if key != "sid"}
        for key in ("user", "sid") + (("logon_type",) if "logon_type" in columns else ()):
            if key in of_id:
                values.setdefault(key, of_id[key])
    if "logon_id" in values:
        values[f"{side(found.kind)}_logon_id"] = values.pop("logon_id")
    return values


def side(kind: Kind, *, has_id: bool = True) -> str:
    """Whether an event is about the session of its target or that of its subject, as what is only done in one is."""
    columns = {rule.column for rule in fields_of(kind)}
    if kind.event_id in OF_TARGET or "subject_name" not in columns:
        return "target"
    return "subject" if has_id or "target_name" not in columns else "target"


@cache
def fields_of(kind: Kind) -> tuple[Any, ...]:
    return rules_of(kind)


def _fill(found: Record, own: Own, day: datetime, values: dict[str, str]) -> None:
    """Columns to the fields that they are read from."""
    rules = fields_of(found.kind)
    user, sid = values.pop("user", None), values.pop("sid", None)
    if user is not None:
        domain, name, sid = account(own, user, sid)
        columns = {rule.column for rule in rules}
        of = side(found.kind, has_id=any(key.endswith("logon_id") for key in values))
        for column, value in ((f"{of}_domain", domain), (f"{of}_name", name), (f"{of}_sid", sid)):
            if column in columns and value is not None:
                values.setdefault(column, value)
    elif sid is not None:
        values["target_sid"] = own.sid(sid)
    names = {rule.field for rule in rules}
    unnamed: dict[int, str] = {}
    for key, value in values.items():
        if key in names:
            found.data[key] = value
            continue
        rule = next((rule for rule in rules if rule.column == key), None)
        if rule is None:
            raise WrittenWrongError(
                f"this event fills no column {key}; it has {', '.join(sorted({r.column for r in rules}))}"
            )
        text = own.value(key, value)
        if key == "target_name" and "@" in value:
            text = f"{value.rpartition('@')[0]}@{own.domain(value.rpartition('@')[2])}"
        if rule.form is Form.TIME:
            text = written(moment(value, day))
        elif rule.form is Form.UNEXPECTED_STOP:
            at = moment(value, day)
            parts = (at.year, at.month, 0, at.day, at.hour, at.minute, at.second, at.microsecond // 1000)
            text = struct.pack("<16H", *parts, *parts).hex()
        elif rule.form in LOCALIZED:
            text = LOCALIZED[rule.form].get(value, value)
        elif rule.form is Form.ACCOUNT_DOMAIN:
            text = value + "\\" + values.get(key.replace("domain", "name"), "")
        elif rule.form is Form.REALM:
            text = f"krbtgt/{value}"
        elif rule.form is Form.ACCOUNT_NAME and found.kind.event_id in {4769, 4770}:
            text = f"{value}@{values.get('target_domain', '').upper()}"
        elif rule.form is Form.ACCOUNT_NAME:
            domain = values.get(key.replace("name", "domain"), "")
            text = f"{domain}\\{value}" if domain else value
        elif key in {"old_name", "new_name"} and found.kind.event_id == 6011:
            text = own.host(value)
        if rule.field.startswith("#"):
            unnamed[int(rule.field[1:])] = text
        else:
            found.data[rule.field] = text
    if unnamed:
        found.data["Data"] = [unnamed.get(at, "") for at in range(1, max(unnamed) + 1)]


# The road: envelopes, normalize, merge, build


def is_kept(record: Record) -> bool:
    keep = catalogue.keep(record.provider, record.kind.event_id)
    ids = {record.data.get(name) for name in ("SubjectLogonId", "TargetLogonId", "LogonID")} - {None}
    return keep is Keep.LOGON or (
        keep is Keep.ACTIVITY and any(int(each, 0) not in catalogue.reserved_logon_ids() for each in ids)
    )


def make_case(folder: Path, chosen: Iterable[Scenario], day: datetime = MONDAY, batches: int = 1) -> Case:
    """A case of what the scenarios write down, in so many ingests."""
    logs: dict[Log, list[Record]] = defaultdict(list)
    for scenario in chosen:
        for record in records(scenario, day):
            logs[record.log].append(record)
    normalizer = Normalizer()
    names = list(logs)
    for batch in range(batches):
        _ingest(folder, normalizer, {log: logs[log] for log in names[batch::batches]}, day)
    build(folder)
    return Case(folder)


def _ingest(folder: Path, normalizer: Normalizer, logs: dict[Log, list[Record]], day: datetime) -> None:
    heads: dict[Head, int] = {}
    tails: dict[Tail, int] = {}
    rows: dict[Kind, list[Row]] = defaultdict(list)
    extents: dict[int, Extents] = {}
    sources: list[Source] = []
    sha256: dict[int, str] = {}
    for source, (log, found) in enumerate(logs.items()):
        sha256[source] = hashlib.sha256(repr((log, day)).encode()).hexdigest()
        name = f"{log.scenario}/{log.name}/{log.channel}"
        sources.append(Source(source, Path(name), name, "evtx", 1))
        extents[source] = _extents(found)
        for position, record in enumerate(found):
            if not is_kept(record):
                continue
            of_kind = head(record.provider, record.kind.event_id, record.version, AUDIT_SUCCESS)
            of_log = tail(log.channel, record.host, record.record_sid)
            time = written(record.time)
            data = json.dumps(record.data) if record.data else None
            rows[record.kind].append(
                (source, position, heads.setdefault(of_kind, len(heads)), tails.setdefault(of_log, len(tails)),
                 record.record_id, time, time, record.activity_id, data)
            )  # fmt: skip
    staged, bad = normalizer.rows(to_tables(rows, list(heads), list(tails)))
    assert not bad
    with writing(folder) as writer:
        staging.write(writer.staging, "0", staged)
        worker._write_extents(writer.staging, 0, extents)
        records = {source.number: sum(run.records for run in extents[source.number].runs) for source in sources}
        result = pool.Result(tasks=[0], rows=len(staged), records=records)
        pipeline._finish(writer, sources, sha256, result, [], given=None, jobs=2)


def _extents(found: list[Record]) -> Extents:
    """Runs of record ids of a log, and what is in it: also of records that are not kept."""
    extents = Extents()
    for record in found:
        last = extents.runs[-1] if extents.runs else None
        time = written(record.time)
        going_on = (
            last is not None
            and (last.computer, last.channel) == (record.host, record.log.channel)
            and (record.record_id is None if last.last_id is None else record.record_id == last.last_id + 1)
        )
        if last is None or not going_on:
            run = Run(record.host, record.log.channel, record.record_id, record.record_id, 1, time, time)
            extents.runs.append(run)
        else:
            last.last_id = record.record_id
            last.records += 1
            last.first_time, last.last_time = min(last.first_time, time), max(last.last_time, time)
        key = (record.host, record.log.channel, record.provider, record.kind.event_id, time[:10])
        counts = extents.counts[key]
        counts[0] += 1
        counts[1] += is_kept(record)
    return extents


def shared_case(factory: pytest.TempPathFactory, name: str = "scenarios", **options: Any) -> Case:
    """The case of all scenarios. All workers of a test run share it, to read."""
    return Case(once(factory, name, lambda folder: make_case(folder, scenarios(), **options)))


# Rows as scenarios write them


QUERIES = {
    "sessions": "SELECT * FROM sessions",
    "boots": "SELECT * FROM boots",
    "hosts": "SELECT * FROM hosts",
    "accounts": """SELECT a.*, n.host_id AS of_host FROM accounts AS a
        JOIN (SELECT DISTINCT account_id, host_id FROM account_names) AS n ON n.account_id = a.account_id
        WHERE a.kind IN ('person', 'computer')""",
    "presence": """SELECT p.*, s.logon_id FROM presence AS p JOIN sessions AS s ON s.session_id = p.session_id
        WHERE s.host_id = p.host_id""",
    "evidence": """SELECT v.role, s.host_id, s.host, s.logon_id, e.event_id, e.time FROM evidence AS v
        JOIN sessions AS s ON s.session_id = v.row_id JOIN events AS e ON e.uid = v.uid""",
    "authentications": "SELECT * FROM authentications",
    "failures": """SELECT f.*, COALESCE(f.target_host_id, a.host_id) AS of_host FROM failures AS f
        LEFT JOIN authentications AS a ON a.authentication_id = f.failure_id""",
    "addresses": """SELECT a.*, n.host_id AS of_host FROM addresses AS a JOIN events AS e ON e.uid = a.first_uid
        JOIN host_names AS n ON n.computer_key = e.computer_key""",
    "links": """SELECT l.*, s.host_id, s.host, s.logon_id, s.start_time, e.event_id, e.time FROM links AS l
        JOIN sessions AS s ON s.session_id = l.session_id JOIN events AS e ON e.uid = l.authentication_id""",
    "hops": """SELECT h.*, s.logon_id, p.logon_id AS from_logon_id FROM hops AS h
        JOIN sessions AS s ON s.session_id = h.to_session_id
        LEFT JOIN sessions AS p ON p.session_id = h.from_session_id""",
    "requests": """SELECT r.*, n.host_id AS of_host FROM requests AS r JOIN events AS e ON e.uid = r.first_uid
        JOIN host_names AS n ON n.computer_key = e.computer_key""",
    "tracks": """SELECT t.*, s.host_id FROM tracks AS t JOIN sessions AS s ON s.session_id = t.end_session_id""",
    "log_spans": "SELECT * FROM log_spans",
    "coverage": "SELECT * FROM coverage WHERE channel = 'Security'",
    "blind_spots": "SELECT * FROM blind_spots",
}
HOST_COLUMN = {"accounts": "of_host", "failures": "of_host", "addresses": "of_host", "hops": "to_host_id",
               "requests": "of_host"}  # fmt: skip


class Told:
    """The tables of a case, cut into those of each scenario."""

    def __init__(self, case: Case, day: datetime = MONDAY) -> None:
        self.day = day
        connection = case.connect()
        hosts = connection.execute("SELECT DISTINCT host_id, computer FROM host_names").fetchall()
        of_host = {host_id: int(re.search(r"~(\d+)~", name)[1]) for host_id, name in hosts}  # type: ignore[index]
        self.rows: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for table, query in QUERIES.items():
            answer = connection.execute(query)
            names = [column[0] for column in answer.description or ()]
            for row in answer.fetchall():
                values = dict(zip(names, row, strict=True))
                host = values[HOST_COLUMN.get(table, "host_id")]
                if host is None:  # of a computer without a log
                    marked = re.search(r"~(\d+)~", values["host"])
                    number = int(marked[1]) if marked else -1
                else:
                    number = of_host[host]
                self.rows[table, number].append(values)
        connection.close()

    def compare(self, scenario: Scenario, table: str) -> tuple[list[str], list[str]]:
        """Lines as found and as expected, in one order. A found line has the columns of its expected one."""
        own = Own(scenario.number)
        expected = [line.split("#")[0].rstrip() if " #" in line else line.strip()
                    for line in scenario.tables[table].strip().splitlines()]  # fmt: skip
        wanted = [_normal(line) for line in expected if line.strip() and not line.strip().startswith("#")]
        asked = [(words_of(line)[0], list(words_of(line)[1])) for line in wanted]
        every = sorted({key for _, columns in asked for key in columns}) if table != "sessions" else []
        rows = self.rows.get((table, scenario.number), [])
        if table == "accounts":
            rows = list({row["account_id"]: row for row in rows}.values())
        found = []
        for row in rows:
            words = [own.plain(word) for word in SHOWN[table](row, self.day)]
            # the columns of the line that is meant: the same one, else the one that begins alike
            alike = [(n, columns) for line, columns in asked for n in (4, 3, 2, 1) if line[:n] == words[:n]]
            columns = max(alike, key=lambda each: each[0], default=(0, every))[1]
            more = [f"{column}={self._value(own, row[column])}" for column in columns]
            found.append(_normal(" ".join([*map(_quoted, words), *more])))
        return sorted(found), sorted(wanted)

    def _value(self, own: Own, value: Any) -> str:
        if isinstance(value, datetime):
            return clock(value, self.day)
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            return f"{value:.6f}".rstrip("0").rstrip(".")
        return "-" if value is None else _quoted(own.plain(str(value)))


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _normal(line: str) -> str:
    """One spelling of a line: single blanks; ids of columns as written in the head of the line."""
    found = []
    for key, quoted, bare, word in _TOKEN.findall(line.replace('"', "\x00").replace("\x00", '"')):
        value = quoted or bare
        if key == "linked_logon_id" and value.isdigit():
            value = hex(int(value))
        found.append(f"{key}={_quoted(value)}" if key else word)
    return " ".join(found)


def _end(end: datetime | None, least: datetime | None, most: datetime | None, certainty: str, day: datetime) -> str:
    """10:00:00 is exact; 10:00:00..11:00:00 bounded, with a third between where the end is not the first; - unknown."""
    if certainty != "bounded":
        assert least is None
        return clock(end, day)
    times = [least, most] if least == end else [least, end, most]
    return "..".join(clock(time, day) for time in times)


def _session(row: dict[str, Any], day: datetime) -> list[str]:
    assert (row["start_time"] is None) == (row["start_certainty"] == "unknown")
    assert (row["end_time"] is None) == (row["end_certainty"] == "unknown")
    end = _end(row["end_time"], row["end_time_min"], row["end_time_max"], row["end_certainty"], day)
    return [row["host"], hex(row["logon_id"]), clock(row["start_time"], day), end, row["end_reason"]]


def _boot(row: dict[str, Any], day: datetime) -> list[str]:
    assert row["end_certainty"] != "bounded" or row["end_time_min"] == row["end_time"]
    end = _end(row["end_time"], row["end_time_min"], row["end_time_max"], row["end_certainty"], day)
    return [row["host"], clock(row["start_time"], day), end, row["end_kind"]]


def _host(row: dict[str, Any], _: datetime) -> list[str]:
    return [row["host"]]


def _account(row: dict[str, Any], _: datetime) -> list[str]:
    return [row["account"]]


def _presence(row: dict[str, Any], day: datetime) -> list[str]:
    times = clock(row["start_time"], day), clock(row["end_time"], day)
    return [row["host"], hex(row["logon_id"]), *times, row["state"] or "-"]


def _evidence(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["host"], hex(row["logon_id"]), row["role"], str(row["event_id"]), clock(row["time"], day)]


def _authentication(row: dict[str, Any], day: datetime) -> list[str]:
    result = {True: "success", False: "failure", None: "-"}[row["success"]]
    return [row["controller"], clock(row["time"], day), row["account"] or "-", row["step"], result]


def _failure(row: dict[str, Any], day: datetime) -> list[str]:
    times = clock(row["first_time"], day), str(row["attempts"])
    return [row["account"] or "-", row["target_host"] or "-", *times, row["reason_key"] or "-"]


def _address(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["address"], row["host"], clock(row["first_time"], day), clock(row["last_time"], day)]


def _link(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["host"], hex(row["logon_id"]), row["rule"], str(row["event_id"]), clock(row["time"], day)]


def _hop(row: dict[str, Any], _: datetime) -> list[str]:
    source = [row["from_host"] or "-", hex(row["from_logon_id"]) if row["from_logon_id"] else "-"]
    return [*source, row["to_host"], hex(row["logon_id"]), row["rule"]]


def _track(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["hosts"], row["accounts"], clock(row["start_time"], day), row["label"]]


def _request(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["account"], row["from_host"] or "-", row["to_host"], row["protocol"], clock(row["first_time"], day)]


def _log_span(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["host"], row["channel"], clock(row["first_time"], day), clock(row["last_time"], day)]


def _coverage(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["host"], f"+{(row['day'] - day.date()).days}", row["subcategory"] or "-", str(row["records"])]


def _blind_spot(row: dict[str, Any], day: datetime) -> list[str]:
    return [row["host"], row["kind"], clock(row["start_time"], day), clock(row["end_time"], day)]


SHOWN = {
    "addresses": _address,
    "links": _link,
    "hops": _hop,
    "tracks": _track,
    "requests": _request,
    "sessions": _session,
    "boots": _boot,
    "hosts": _host,
    "accounts": _account,
    "presence": _presence,
    "evidence": _evidence,
    "authentications": _authentication,
    "failures": _failure,
    "log_spans": _log_span,
    "coverage": _coverage,
    "blind_spots": _blind_spot,
}
"""The words that are always shown."""
