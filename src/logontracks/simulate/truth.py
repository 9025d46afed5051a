"""What the simulator knows of what it made: who was where when, whatever the logs say of it; written as Parquet.

Hosts, desktops and the network tell it as things happen. Times are the true ones, in ticks until they are written: no
clock is wrong here. What is recorded within `Truth.attack` belongs to that attack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from logontracks.simulate.host import Account, Host, Peer, Session, filetime_us

_TABLES = {
    "identities": "person account sid kind from_time until_time",
    "hosts": "host names role owner",
    "boots": "host boot_no start_time end_time end_kind",
    "sessions": "session person account sid host boot_no logon_id linked_logon_id logon_type start_time end_time "
    "end_kind source_host source_address parent_session opened_by attack logged",
    "presence": "session state start_time end_time",
    "attempts": "attempt time account target_host source_host source_address logon_type reason attack logged",
    "authentications": "authentication time account client_host client_address controller kind service session attack",
    "links": "session authentication",
    "addresses": "host address from_time until_time",
    "hops": "hop time from_session to_session means credential attack",
    "mess": "kind host from_time until_time amount detail",
}
"""The columns of each table. NULL is what does not apply."""

_TYPES = {
    **dict.fromkeys(
        ("session", "parent_session", "from_session", "to_session", "attempt", "authentication", "hop"), pa.int64()
    ),
    **dict.fromkeys(("logon_id", "linked_logon_id"), pa.int64()),
    **dict.fromkeys(("boot_no", "logon_type"), pa.int32()),
    **dict.fromkeys(("time", "from_time", "until_time", "start_time", "end_time"), pa.timestamp("us")),
    "logged": pa.bool_(),
    "amount": pa.float64(),
}
"""Types of columns that are no text."""


@dataclass(eq=False, slots=True)
class Attempt:
    """A logon that failed. `account` as it was typed; hosts that do not apply are None."""

    number: int
    moment: int
    account: str
    target: Host | None
    source: Peer | None
    source_address: str | None
    logon_type: int | None
    reason: str
    attack: str | None
    logged: bool = False


@dataclass(eq=False, slots=True)
class Authentication:
    """A ticket or an NTLM check that a controller gave. `session`: the one that it was made for.

    Others may be opened with it later: `Truth.used`.
    """

    moment: int
    account: str
    client: Peer | str
    address: str | None
    controller: Host
    kind: str
    service: str | None
    attack: str | None
    session: Session | None = None


@dataclass(eq=False)
class Truth:
    """All that happened. One recorder serves all hosts of a company."""

    hosts: list[Host] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)  # host to person
    sessions: list[Session] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    authentications: list[Authentication] = field(default_factory=list)
    attempt_now: Attempt | None = None  # records logged now are of this one
    _attack: str | None = None
    _identities: list[tuple[str | None, Account, str, int | None, int | None]] = field(default_factory=list)
    _presence: list[tuple[Session, str, int]] = field(default_factory=list)
    _addresses: list[tuple[Host, str, int]] = field(default_factory=list)
    _links: list[tuple[Session, Authentication]] = field(default_factory=list)
    _hops: list[tuple[int, Session | None, Session, str, str, str | None]] = field(default_factory=list)
    _mess: list[tuple[str, Host | None, int | None, int | None, float | None, str]] = field(default_factory=list)

    @contextmanager
    def attack(self, name: str) -> Iterator[None]:
        """Everything recorded within belongs to the attack `name`."""
        before, self._attack = self._attack, name
        try:
            yield
        finally:
            self._attack = before

    @contextmanager
    def attempt(
        self,
        moment: int,
        account: Account,
        host: Host | None,
        *,
        source: Peer | None,
        logon_type: int | None,
        reason: str,
    ) -> Iterator[Attempt]:
        """A logon that fails; failures that hosts log within are of it. `host`: which was meant; None: none was."""
        made = Attempt(
            len(self.attempts) + 1,
            moment,
            spelled(account),
            host,
            source,
            source.address if source else None,
            logon_type,
            reason,
            self._attack,
        )
        self.attempts.append(made)
        before, self.attempt_now = self.attempt_now, made
        try:
            yield made
        finally:
            self.attempt_now = before

    def identity(self, account: Account, kind: str, *, person: str | None = None, since: int | None = None) -> None:
        """An account has this name from `since` on: a name that the SID had before ends there."""
        for number, (whose, before, sort, begin, end) in enumerate(self._identities):
            if before.sid == account.sid and end is None:
                self._identities[number] = (whose, before, sort, begin, since)
        self._identities.append((person, account, kind, since, None))

    def joined(self, host: Host) -> None:
        """A host is a member of the domain, under its name of now."""
        self.hosts.append(host)
        self.identity(host.account, "computer")

    def accounts(self) -> list[Account]:
        """All there are and were, under each of their names."""
        return [account for _, account, *_ in self._identities]

    def renamed(self, account: Account, moment: int) -> None:
        """The account of this SID has this name from now on."""
        person, _, kind, _, _ = next(row for row in self._identities if row[1].sid == account.sid)
        self.identity(account, kind, person=person, since=moment)

    def opened(self, session: Session) -> None:
        """A session begins; halves of one logon are told once, as soon as they are linked."""
        self.sessions.append(session)
        session.number = len(self.sessions)
        session.attack = self._attack

    def presence(self, session: Session, state: str, moment: int) -> None:
        """A desktop is active, locked, disconnected or asleep from now on."""
        self._presence.append((session, state, moment))

    def authenticated(
        self, moment: int, account: str, client: Peer | str, controller: Host, *, service: str | None = None
    ) -> Authentication:
        """A controller gave a ticket, a ticket for a service, or checked a password for a client known by name."""
        kind = "ntlm" if isinstance(client, str) else "service_ticket" if service else "ticket"
        address = None if isinstance(client, str) else client.address
        made = Authentication(moment, account, client, address, controller, kind, service, self._attack)
        self.authentications.append(made)
        return made

    def used(self, given: Authentication, session: Session) -> None:
        """A session is opened with what a controller gave: made for it, or at hand since an earlier one."""
        given.session = given.session or session
        self._links.append((session, given))

    def lease(self, host: Host, address: str, moment: int) -> None:
        """A host has another address from now on; "" is none."""
        self._addresses.append((host, address, moment))

    def move_back(self, host: Host, moment: int) -> None:
        """Give a host the address that it had at a moment."""
        leases = [(since, address) for each, address, since in self._addresses if each is host]
        if leases:
            host.address = max((lease for lease in leases if lease[0] <= moment), default=(0, ""))[1]

    def hop(
        self, moment: int, from_session: Session | None, to_session: Session, means: str, credential: str = "same"
    ) -> None:
        """A session caused another one, on another host or under another account. None: from outside."""
        to_session.parent = from_session
        self._hops.append((moment, from_session, to_session, means, credential, self._attack))

    def spoiled(
        self,
        kind: str,
        host: Host | None,
        detail: str,
        *,
        since: int | None = None,
        until: int | None = None,
        amount: float | None = None,
    ) -> None:
        """What was done to the logs, or to the clock or name of a host."""
        self._mess.append((kind, host, since, until, amount, detail))

    def cut(self, end: int) -> None:
        """The simulation ends: what was planned for later has not happened."""
        self.sessions = [session for session in self.sessions if session.opened < end]
        for session in self.sessions:
            if session.ended is not None and session.ended >= end:
                session.ended = None
        for host in self.hosts:
            for boot in host.boots:
                if boot.stopped is not None and boot.stopped >= end:
                    boot.stopped = boot.silent = boot.end_kind = None
        self.attempts = [attempt for attempt in self.attempts if attempt.moment < end]
        self.authentications = [given for given in self.authentications if given.moment < end]
        self._links = [link for link in self._links if link[0].opened < end]
        self._presence = [told for told in self._presence if told[2] < end]
        self._addresses = [lease for lease in self._addresses if lease[2] < end]
        self._hops = [hop for hop in self._hops if hop[0] < end]

    # --- writing ----------------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, pa.Table]:
        """Each table by its name, its rows in the order of time."""
        given = sorted(self.authentications, key=lambda each: each.moment)
        numbers = {each: number for number, each in enumerate(given, 1)}
        rows: dict[str, list[tuple[Any, ...]]] = {
            "identities": [
                (person, spelled(account), account.sid, kind, _time(since), _time(until))
                for person, account, kind, since, until in self._identities
            ],
            "hosts": [
                (host.fqdn.lower(), " ".join(host.names()), host.role, self.owners.get(host.name))
                for host in self.hosts
            ],
            "boots": [
                (host.fqdn.lower(), number, _time(boot.started), _time(boot.stopped), boot.end_kind)
                for host in self.hosts
                for number, boot in enumerate(host.boots, 1)
            ],
            "sessions": self._session_rows(),
            "presence": list(self._presence_rows()),
            "attempts": [
                (
                    each.number,
                    _time(each.moment),
                    each.account,
                    name_of(each.target) if each.target else None,
                    name_of(each.source) if each.source else None,
                    each.source_address,
                    each.logon_type,
                    each.reason,
                    each.attack,
                    each.logged,
                )
                for each in sorted(self.attempts, key=lambda attempt: attempt.moment)
            ],
            "authentications": [
                (
                    number,
                    _time(each.moment),
                    each.account,
                    each.client if isinstance(each.client, str) else name_of(each.client),
                    each.address,
                    name_of(each.controller),
                    each.kind,
                    each.service,
                    _row_of(each.session).number if each.session else None,
                    each.attack,
                )
                for each, number in numbers.items()
            ],
            "links": sorted((_row_of(session).number, numbers[each]) for session, each in self._links),
            "addresses": list(self._address_rows()),
            "hops": [
                (
                    number,
                    _time(moment),
                    _row_of(source).number if source else None,
                    _row_of(target).number,
                    means,
                    credential,
                    attack,
                )
                for number, (moment, source, target, means, credential, attack) in enumerate(
                    sorted(self._hops, key=lambda hop: hop[0]), 1
                )
            ],
            "mess": [
                (kind, name_of(host) if host else None, _time(since), _time(until), amount, detail)
                for kind, host, since, until, amount, detail in self._mess
            ],
        }
        return {name: _table(names, rows[name]) for name, names in _TABLES.items()}

    def write(self, folder: Path) -> None:
        """Write FOLDER/<table>.parquet, after the logs: which sessions they show is known only then."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables().items():
            pq.write_table(table, folder / f"{name}.parquet")

    def _session_rows(self) -> list[tuple[Any, ...]]:
        persons = {account.sid: person for person, account, _, _, _ in self._identities}
        rows = []
        for session in self.sessions:
            if _row_of(session) is not session:
                continue
            host = session.host
            boot = host.boot_at(session.opened)
            ended, end_kind = end_of(session)
            linked = session.linked
            row = (
                session.number,
                persons.get(session.account.sid),
                spelled(session.account),
                session.account.sid,
                host.fqdn.lower(),
                host.boots.index(boot) + 1,
                session.logon_id,
                linked.logon_id if linked else None,
                session.logon_type,
                _time(session.opened),
                _time(ended),
                end_kind,
                name_of(session.source) if session.source else None,
                session.source_address,
                _row_of(session.parent).number if session.parent else None,
                session.opened_by,
                session.attack,
                session.logged or (linked is not None and linked.logged),
            )
            rows.append((session.opened, row))
        return [row for _, row in sorted(rows, key=lambda each: each[0])]

    def _presence_rows(self) -> Iterator[tuple[Any, ...]]:
        of: dict[int, tuple[Session, list[tuple[int, str]]]] = {}
        for session, state, moment in sorted(self._presence, key=lambda told: told[2]):
            row = _row_of(session)
            changes = of.setdefault(row.number, (row, []))[1]
            if not changes or changes[-1][1] != state:
                changes.append((moment, state))
        for number, (session, changes) in sorted(of.items()):
            ended, _ = end_of(session)
            before = [(moment, state) for moment, state in changes if ended is None or moment < ended]
            ends = [moment for moment, _ in before[1:]] + [ended]
            for (begin, state), end in zip(before, ends, strict=True):
                yield number, state, _time(begin), _time(end)

    def _address_rows(self) -> Iterator[tuple[Any, ...]]:
        for host in self.hosts:
            leases = [(address, moment) for each, address, moment in self._addresses if each is host]
            if not leases:
                yield host.fqdn.lower(), host.address, None, None
            for number, (address, moment) in enumerate(leases):
                until = leases[number + 1][1] if number + 1 < len(leases) else None
                if address:
                    yield host.fqdn.lower(), address, _time(moment), _time(until)


def end_of(session: Session) -> tuple[int | None, str]:
    """When a session was over, and how: asked for, or with its host; (None, "open") while both run on.

    A host that shuts down ends its services, and with them their sessions, before the log stops.
    """
    boot = session.host.boot_at(session.opened)
    over = boot.silent or boot.stopped
    if session.ended is not None and (over is None or session.ended <= over):
        return session.ended, "logoff"
    return over, boot.end_kind or "open"


def spelled(account: Account) -> str:
    return rf"{account.domain}\{account.name}" if account.domain else account.name


def name_of(peer: Peer) -> str:
    """A host's full name in lower case; what a stranger calls itself."""
    return peer.fqdn.lower() if isinstance(peer, Host) else peer.name


def _row_of(session: Session) -> Session:
    """The half of a split logon that stands for both: the filtered one, which locks and logoffs carry."""
    linked = session.linked
    return linked if linked is not None and linked.is_filtered else session


def _time(ticks: int | None) -> int | None:
    """Microseconds since 1970."""
    return None if ticks is None else filetime_us(ticks)


def _table(names: str, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in names.split()])
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
