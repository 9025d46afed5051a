"""A simulated Windows host: it owns its logs, its boots and the logon sessions that exist in each."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from logontracks.simulate.evtx_writer import Event, Template, filetime
from logontracks.simulate.templates import SECURITY, template

if TYPE_CHECKING:
    from logontracks.simulate.truth import Attempt, Truth

MILLISECOND = 10_000
SECOND = 1000 * MILLISECOND
MINUTE = 60 * SECOND
NTLM_CHECKED = 8004
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_TICK = SECOND // 64

ZERO_GUID = "00000000-0000-0000-0000-000000000000"

Role = Literal["controller", "server", "workstation"]
Way = Literal["anonymous", "clock_set", "dropped", "false_alarm", "late_words", "link_local", "own_logons"]
"""What some hosts do and others do not; docs/howto/simulate.md has where real ones did."""


_EPOCH = filetime(datetime(1970, 1, 1, tzinfo=UTC))


def filetime_us(ticks: int) -> int:
    """Microseconds since 1970, cut."""
    return (ticks - _EPOCH) // 10


def date_of(ticks: int) -> datetime:
    """UTC time of FILETIME ticks, cut to whole microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=filetime_us(ticks))


def new_guid(rng: Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@dataclass(frozen=True, slots=True)
class Domain:
    netbios: str
    dns: str
    sid: str

    @property
    def realm(self) -> str:
        return self.dns.upper()


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs on. `domain` is the NETBIOS spelling that most records have; `realm` is empty outside the domain."""

    name: str
    sid: str
    domain: str
    realm: str = ""


SYSTEM = Account("SYSTEM", "S-1-5-18", "NT AUTHORITY")
LOCAL_SERVICE = Account("LOCAL SERVICE", "S-1-5-19", "NT AUTHORITY")
NETWORK_SERVICE = Account("NETWORK SERVICE", "S-1-5-20", "NT AUTHORITY")


class Peer(Protocol):
    """Anything on the network that a logon can come from: a host, a copier, an attacker's machine."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    def port(self) -> int: ...


@dataclass(eq=False, slots=True)
class Outsider:
    """A peer that is no member of the domain and keeps no logs here."""

    name: str
    address: str
    next_port: int = 50_100

    def port(self) -> int:
        self.next_port += 3
        return self.next_port


@dataclass(eq=False, slots=True)
class Session:
    """One logon session. Its id is 0 until `Host.number_sessions` knows all sessions of the boot.

    `number` and what follows it is for the truth. `ended`: when somebody logged off; a session ends with its host else.
    `parent`: the session that it came from, where that is one of a member. `logged`: its start is in the logs that
    were written.
    """

    account: Account
    logon_type: int
    opened: int
    host: "Host"
    guid: str = ZERO_GUID
    linked: "Session | None" = None
    logon_id: int = 0
    is_filtered: bool = False
    number: int = 0
    ended: int | None = None
    source: Peer | None = None
    source_address: str | None = None
    parent: "Session | None" = None
    opened_by: str = ""
    attack: str | None = None
    logged: bool = False


_OPENED_BY = {
    2: "desktop",
    3: "network",
    4: "scheduled_task",
    5: "service",
    7: "unlock",
    9: "netonly",
    10: "remote_desktop",
    11: "desktop",
    13: "unlock",
}
"""What opens a session of a type unless more is said."""


@dataclass(frozen=True, slots=True)
class Build:
    """A version of Windows: its build number and the versions of the events that it writes (0 where not listed)."""

    number: int
    versions: Mapping[tuple[str, int], int]

    @property
    def is_old(self) -> bool:
        """Windows 7 or Server 2008 R2.

        It has no ActivityIDs, no sessions of window managers and nothing that joins the halves of a logon; winlogon.exe
        asks for desktops; and its clock ticks 64 times a second, so that what one call writes bears one time:
        evtx-parser-edge-cases/security.evtx 127 to 130, 1287 to 1292.
        """
        return self.number < 9200


class Hint(NamedTuple):
    """What LSASS makes ActivityIDs of: two times of its start and a small number."""

    head: int
    flags: int
    tail: int


class ClockTime(int):
    """A time in a field that is the host's own clock's already; others are true, and shown as its clock has them."""


@dataclass(slots=True)
class Doze:
    """A sleep within a boot, or the time between a power off and a fast startup. `until` is None while it lasts."""

    since: int
    fast: bool
    until: int | None = None


@dataclass(slots=True)
class Boot:
    """One life of a host. `stopped` is None while it runs; `silent` is when its log stopped before that.

    `hints`: what its ActivityIDs are made of, the usual one and a rare second one.
    """

    started: int
    hints: "tuple[Hint, Hint]"
    pids: Mapping[str, int]
    first_logon_id: int
    stopped: int | None = None
    silent: int | None = None
    end_kind: str | None = None  # shutdown, crash
    dozes: list[Doze] = field(default_factory=list)

    def runs_at(self, moment: int) -> bool:
        """Whether the host runs and is awake."""
        if self.stopped is not None and moment > self.stopped:
            return False
        return not any(doze.since <= moment and (doze.until is None or moment < doze.until) for doze in self.dozes)


@dataclass(frozen=True, slots=True)
class _Record:
    written: int  # when the log service wrote it: the order of the log
    moment: int  # what its time stamp says
    template: Template
    values: Sequence[object]
    activity: str | bool
    user_sid: str | None
    process_id: int
    thread_id: int
    keywords: int | None
    about: "Session | Attempt | None"


class Written(NamedTuple):
    """A record as it stands in a log, the session that it begins or the attempt that it tells of, and its true time."""

    event: Event
    about: "Session | Attempt | None"
    moment: int


_FIXED_PIDS = {"kernel": 4, "none": 0}
_PROCESSES = ("lsass", "services", "winlogon", "svchost", "eventlog", "lsm", "rcm", "rdp", "explorer")


@dataclass(eq=False)
class Host:
    """A member of the domain. All that happens on it goes through `log`; `write` makes its files at the end."""

    name: str
    address: str
    domain: Domain
    rid: int
    role: Role
    build: Build
    rng: Random
    truth: "Truth"
    boots: list[Boot] = field(default_factory=list)
    terminal: int = 1  # the last terminal session that was made
    console: int = 1  # the one at the screen; a new one when its user logs off
    console_managers: list[Session] = field(default_factory=list)
    connections: int = -1  # the number of the last RDP connection
    dozes: int = 0  # how often it slept since it was started
    unfinished: list[Session] = field(default_factory=list)  # to be logged off when it wakes
    audits_ntlm: bool = False
    is_member: bool = True
    clock: list[tuple[int, int]] = field(default_factory=list)  # since when it is ahead of the true time, and by what
    former: list[tuple[int, str]] = field(default_factory=list)  # full names of before, and until when
    ways: frozenset[Way] = frozenset()
    _next_port: int = 49_800
    _sessions: list[Session] = field(default_factory=list)
    _records: dict[str, list[_Record]] = field(default_factory=lambda: defaultdict(list))

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{self.domain.dns}" if self.is_member else self.name

    @property
    def account(self) -> Account:
        """The computer account as other hosts see it."""
        return Account(f"{self.name}$", f"{self.domain.sid}-{self.rid}", self.domain.netbios, self.domain.realm)

    @property
    def own(self) -> Account:
        """The computer account as the host itself writes it."""
        return Account(f"{self.name}$", SYSTEM.sid, self.domain.netbios, self.domain.realm)

    @property
    def link_local(self) -> str:
        """The address that it has on its own network alone."""
        rng = Random(f"{self.name} {self.domain.sid}")
        return "fe80::" + ":".join(f"{rng.randrange(0x1000, 0x10000):x}" for _ in range(4))

    @property
    def system(self) -> Session:
        """The operating system as the subject of its own records: SYSTEM's SID under the computer's name."""
        return Session(self.own, 0, 0, self, logon_id=0x3E7)

    def names(self) -> list[str]:
        """All names it has had, in lower case."""
        names = dict.fromkeys((self.fqdn, *(name for _, name in self.former)))
        return [each.lower() for name in names for each in dict.fromkeys((name, name.partition(".")[0]))]

    def name_at(self, moment: int) -> str:
        """What it calls itself at a moment."""
        return next((name for until, name in self.former if moment < until), self.fqdn)

    def shown(self, moment: int) -> int:
        """What its clock shows at a moment."""
        return moment + next((ahead for since, ahead in reversed(self.clock) if since <= moment), 0)

    def port(self) -> int:
        """The next client port: ports of one host rise and come round again."""
        self._next_port += self.rng.randint(1, 4)
        if self._next_port > 65_000:
            self._next_port = 49_700
        return self._next_port

    def start(self, moment: int) -> Boot:
        """A new boot; its kernel starts at `moment`."""
        rng = self.rng
        head = moment + rng.randint(1200, 1400) * (MILLISECOND // 10)
        tail = head + rng.randint(30, 260)
        flags = rng.choice((0, 0, 0, 1, 2))
        hints = Hint(head, flags, tail), Hint(head, 0, tail + rng.randint(900, 1900))
        pids = {name: 4 * rng.randint(130 + 60 * order, 180 + 60 * order) for order, name in enumerate(_PROCESSES)}
        boot = Boot(moment, hints, pids, first_logon_id=rng.randint(0x62A0, 0x6A00))
        self.boots.append(boot)
        return boot

    def boot_at(self, moment: int) -> Boot:
        return self.boots[max(0, bisect_right(self.boots, moment, key=lambda boot: boot.started) - 1)]

    def pid(self, process: str, moment: int) -> int:
        """The id of a process that runs all the time a host is up; "kernel" and "none" have fixed ones."""
        return _FIXED_PIDS[process] if process in _FIXED_PIDS else self.boot_at(moment).pids[process]

    def is_up(self, moment: int) -> bool:
        """Whether the host runs, has come up fully (services need half a minute) and still logs what it does."""
        boot = self.boot_at(moment)
        logs = boot.silent is None or moment < boot.silent
        return moment > boot.started + 40 * SECOND and boot.runs_at(moment) and logs

    def sleep(self, moment: int, *, fast: bool) -> None:
        """Nothing happens here from now on. `fast`: it was powered off, and will start fast."""
        self.boots[-1].dozes.append(Doze(moment, fast))

    def wake(self, moment: int) -> tuple[int, bool]:
        """The end of a sleep: since when it lasted, and whether this is a fast startup."""
        doze = self.boots[-1].dozes[-1]
        doze.until = moment
        return doze.since, doze.fast

    @property
    def is_asleep(self) -> bool:
        dozes = self.boots[-1].dozes
        return bool(dozes) and dozes[-1].until is None

    def open(
        self,
        account: Account,
        logon_type: int,
        moment: int,
        *,
        guid: str = ZERO_GUID,
        source: Peer | None = None,
        opened_by: str = "",
    ) -> Session:
        """A new session. `source`: the machine that it is opened from, where that is another one."""
        session = Session(
            account,
            logon_type,
            moment,
            self,
            guid,
            source=source,
            source_address=source.address if source else None,
            opened_by=opened_by or _OPENED_BY.get(logon_type, ""),
        )
        self._sessions.append(session)
        self.truth.opened(session)
        return session

    def open_pair(
        self,
        account: Account,
        logon_type: int,
        moment: int,
        *,
        guid: str = ZERO_GUID,
        source: Peer | None = None,
        opened_by: str = "",
    ) -> Session:
        """The two halves of a split token; gives the filtered one, whose `linked` is the elevated one."""
        elevated = self.open(account, logon_type, moment, guid=guid, source=source, opened_by=opened_by)
        filtered = self.open(account, logon_type, moment, source=source, opened_by=opened_by)
        elevated.linked, filtered.linked = filtered, elevated
        filtered.is_filtered = True
        return filtered

    def log(
        self,
        event_id: int,
        moment: int,
        values: Mapping[str, object] | Sequence[object] = (),
        *,
        provider: str = SECURITY,
        activity: str | bool = False,
        user_sid: str | None = None,
        process: str = "lsass",
        keywords: int | None = None,
        written: int | None = None,
        starts: Session | None = None,
    ) -> None:
        """Log one record. `starts`: the session whose beginning it tells.

        `values` by field name may hold more than the version of this host has: what it lacks is left out; a sequence
        gives the values of unnamed fields. A Session stands for its id. `activity` True means the id of the boot.
        """
        # 8004 names whose password is checked, not what came of it: no failure is told
        attempt = None if event_id == NTLM_CHECKED else self.truth.attempt_now
        kind = template(provider, event_id, self.build.versions.get((provider, event_id), 0))
        row = [values[name] for name, _ in kind.fields] if isinstance(values, Mapping) else values
        record = _Record(
            moment if written is None else written,
            moment,
            kind,
            row,
            activity,
            user_sid,
            self.pid(process, moment),
            4 * self.rng.randint(140, 1600),
            keywords,
            starts or attempt,
        )
        self._records[kind.channel].append(record)

    def number_sessions(self) -> None:
        """Deal logon ids: rising within a boot in order of creation, with time, and fastest in its first minutes."""
        by_boot: dict[int, list[Session]] = defaultdict(list)
        for session in self._sessions:
            by_boot[self.boot_at(session.opened).started].append(session)
        for boot in self.boots:
            logon_id, before = boot.first_logon_id, boot.started
            for session in sorted(by_boot[boot.started], key=lambda session: session.opened):
                pace = 240 if session.opened < boot.started + 10 * MINUTE else 3
                logon_id += self.rng.randint(0x16, 0x3F0) + (session.opened - before) // SECOND * pace
                session.logon_id, before = logon_id, session.opened

    def events(self, channel: str, since: int, until: int) -> list[Written]:
        """The records of a channel that were written in a stretch of time, in their order."""
        records = sorted(self._records[channel], key=lambda record: record.written)
        return [
            Written(self._event(record), record.about, record.moment)
            for record in records
            if since <= record.written < until and self._was_written(record)
        ]

    def _was_written(self, record: _Record) -> bool:
        """Not what was to be logged later, when the host did not run or the session had gone with an earlier boot."""
        boot = self.boot_at(record.moment)
        if not boot.runs_at(record.moment):
            return False
        return not any(
            value.number and self.boot_at(value.opened) is not boot
            for value in record.values
            if isinstance(value, Session)
        )

    def channels(self) -> list[str]:
        return sorted(self._records)

    def _event(self, record: _Record) -> Event:
        activity = record.activity
        if self.build.is_old:
            activity = False
        if activity is True:
            boot = self.boot_at(record.moment)
            activity = _activity_id(boot.hints[self.rng.random() < 0.004], self.shown(boot.started) - boot.started)
        values = [value.logon_id if isinstance(value, Session) else value for value in record.values]
        if self.clock:
            values = [
                self.shown(value) if form == "FILETIME" and type(value) is int and value else value
                for (_, form), value in zip(record.template.fields, values, strict=True)
            ]
        shown = self.shown(record.moment)
        return Event(
            record.template,
            shown - shown % _TICK if self.build.is_old else shown,
            self.name_at(record.moment),
            values,
            activity_id=activity or None,
            user_sid=record.user_sid,
            process_id=record.process_id,
            thread_id=record.thread_id,
            keywords=record.keywords,
        )


@cache
def _activity_id(hint: Hint, ahead: int) -> str:
    """An ActivityID as LSASS makes them: low 48 bits of a time, a small number, the whole time, little endian.

    `ahead`: by how much the clock was wrong when it started.
    """
    head, flags, tail = hint.head + ahead, hint.flags, hint.tail + ahead
    little = tail.to_bytes(8, "little").hex()
    return f"{head & 0xFFFFFFFF:08x}-{head >> 32 & 0xFFFF:04x}-{flags:04x}-{little[:4]}-{little[4:]}"
