"""The working days of one person: arrives, works, pauses, comes back, goes home; and what goes wrong in between.

A life is told as an iterator of moments: it stops before each thing it does and gives the moment at which it wants to
go on, so that many lives can run beside each other in the order of time.
"""

from collections.abc import Generator, Iterator
from dataclasses import replace
from random import Random
from typing import assert_never

from logontracks.simulate import desktop as desk
from logontracks.simulate import power, prompts, rdp, records, sleep, takeover
from logontracks.simulate.cast import Company, Person
from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Account, Outsider
from logontracks.simulate.network import Files, visit, visit_called_back, visit_ntlm
from logontracks.simulate.offline import log_on_cached
from logontracks.simulate.records import IPC, WRITE

_PROGRAMS = (
    r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE",
    r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE",
    r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
    r"C:\Windows\System32\notepad.exe",
    r"C:\Windows\System32\SearchProtocolHost.exe",
    r"C:\Windows\System32\dllhost.exe",
    r"C:\Windows\System32\RuntimeBroker.exe",
)
EXPLORER = r"C:\Windows\explorer.exe"
UPDATE = "Operating System: Service pack (Planned)"
OTHER = "Other (Unplanned)"

Days = Generator[int, None, Desktop | None]
"""Moments, and at the end the desktop that is left open."""


class Life:
    """What one person does at one desk. `begin` is the midnight of the first day, `rng` what chance decides."""

    def __init__(self, company: Company, person: Person, begin: int, rng: Random) -> None:
        self.company, self.person, self.begin, self.rng = company, person, begin, rng
        self.net, self.host = company.net, person.host
        self.desktops: list[tuple[int, Desktop]] = []
        self.locked_out_at = 0
        self.desktop: Desktop | None = None  # the one that is in use

    def near(self, moment: int, minutes: int = 12) -> int:
        return moment + self.rng.randint(-minutes * MINUTE, minutes * MINUTE)

    def desktop_at(self, moment: int) -> Desktop:
        """The desktop that the person has at a moment."""
        return [desktop for since, desktop in self.desktops if since <= moment][-1]

    def days(self, count: int) -> Iterator[int]:
        """So many days, of which the person works on some."""
        desktop = self._left_over_from_friday() if self.person.evening == "lock" else None
        for day in range(count):
            if day % 7 in self.person.weekdays:
                desktop = yield from self._work_day(desktop, self.begin + day * DAY)

    def _left_over_from_friday(self) -> Desktop:
        """A desktop that was locked when the week began: its 4624 lies before the logs."""
        opened = self.begin - 2 * DAY - 15 * HOUR
        make = self.host.open_pair if self.person.split else self.host.open
        session = make(self.person.account, 2, opened)
        self.host.truth.presence(session, "locked", opened)
        desktop = Desktop(self.host, session, self.host.console, [])
        self.desktops.append((opened, desktop))
        return desktop

    def _work_day(self, desktop: Desktop | None, midnight: int) -> Days:
        person = self.person
        arrival, leaving = self.near(midnight + person.arrives), self.near(midnight + person.leaves)
        yield arrival - 3 * MINUTE
        self._start_host(arrival - 2 * MINUTE, desktop)
        yield arrival - 10 * SECOND
        desktop = self._sit_down(desktop, arrival)
        now = arrival + MINUTE
        if not self.host.address:
            now = yield from self._dial_in(now)
        for begin, length in self._interruptions(midnight):
            yield from self._work(desktop, now, begin - MINUTE)
            yield begin
            if length:
                desk.lock(desktop, begin)
                self.desktop = None
                now = begin + length
                yield now - (12 * MINUTE if self._will_forget(now) else 10 * SECOND)
                self._back_from_pause(desktop, now)
            else:
                desktop = yield from self._start_again(desktop, begin)
                now = begin + 9 * MINUTE
        yield from self._work(desktop, now, leaving - MINUTE)
        yield leaving
        self._let_go(leaving - SECOND)
        if person.evening == "lock" and person.comes_back and self.rng.random() < person.comes_back:
            yield from self._come_back(desktop, leaving)
            return None
        keeps = self._leave(desktop, leaving)
        if person.laptop:
            yield leaving + 30 * SECOND
            self._unplug(leaving + 30 * SECOND)
        return keeps

    def _leave(self, desktop: Desktop, moment: int) -> Desktop | None:
        person = self.person
        match person.evening:
            case "lock":
                desk.lock(desktop, moment)
                return desktop
            case "sleep":
                sleep.fall_asleep(self.host, moment, (desktop,))
                return desktop
            case "log_off":
                desk.log_off(desktop, moment)
            case "power_off":
                sleep.power_off(self.host, moment, person.account, desktop)
            case "shut_down":
                desktops = (desktop,)
                power.shut_down(self.host, moment, person.account, desktops=desktops, reason=OTHER, kind="power off")
            case _:
                assert_never(person.evening)
        return None

    def _come_back(self, desktop: Desktop, leaving: int) -> Iterator[int]:
        """The desk was left unlocked: in the evening its owner goes on from a machine at home, and logs off there."""
        moment = leaving + self.rng.randint(40, 150) * MINUTE
        yield moment
        digits = f"{self.rng.randrange(10_000):04}"
        home = Outsider(f"HOME-{digits}", f"10.20.241.{self.rng.randint(20, 220)}")
        now, end = takeover.take_over(self.net, desktop, moment, home), moment + self.rng.randint(8, 45) * MINUTE
        while (now := now + self.rng.randint(30 * SECOND, 400 * SECOND)) < end:
            yield now
            program = self.rng.choice(_PROGRAMS)
            records.process_started(self.host, now, desktop.session, program, parent=EXPLORER)
        yield max(now, end)
        desk.log_off(desktop, max(now, end))

    def _let_go(self, moment: int) -> None:
        """The desk is left: remote desktops that were opened from it lose their client."""
        self.desktop = None
        for remote in self.company.remotes:
            if remote.connected and remote.client == self.host.name:
                rdp.disconnect(remote, moment)

    def _start_host(self, moment: int, desktop: Desktop | None) -> None:
        """The host is plugged in, and started or woken, where it is not running."""
        host, pool = self.host, self.company.office
        at_home = (moment - self.begin) // DAY % 7 in self.person.home_days
        if self.person.laptop and pool and not at_home:
            pool.lease(host, moment)
        if host.is_asleep:
            sleep.wake(host, moment)
            if desktop:
                host.truth.presence(desktop.session, "locked", moment)
            if host.address:
                self.net.sign_in(moment + 4 * SECOND, host.account, host, spelling=self.net.domain.realm)
        elif host.boots[-1].stopped is not None:
            power.boot(self.net, host, moment)

    def _dial_in(self, now: int) -> Generator[int, None, int]:
        """A laptop at home gets an address of the VPN, and tickets for itself and its user from there."""
        now += self.rng.randint(MINUTE, 5 * MINUTE)
        yield now
        if pool := self.company.vpn:
            pool.lease(self.host, now)
            self.net.sign_in(now + SECOND, self.host.account, self.host, spelling=self.net.domain.realm)
            power.refresh_policy(self.net, now + 2 * SECOND, self.host)
            self.net.sign_in(now + 9 * SECOND, self.person.account, self.host, spelling=self.net.domain.dns)
        return now + MINUTE

    def _unplug(self, moment: int) -> None:
        for pool in (self.company.office, self.company.vpn):
            if pool and pool.holds(self.host):
                pool.release(self.host, moment)

    def _interruptions(self, midnight: int) -> list[tuple[int, int]]:
        """Pauses of the day as (moment, length), and restarts and crashes, whose length is 0. They do not overlap."""
        person = self.person
        fixed = [(moment, 0) for moment in person.restarts + person.crashes if 0 <= moment - midnight < DAY]
        pauses = [(self.near(midnight + person.lunch, 10), self.rng.randint(28 * MINUTE, 50 * MINUTE))]
        if self.rng.random() < 0.7:
            pauses.append((self.near(midnight + person.pause), self.rng.randint(4 * MINUTE, 16 * MINUTE)))
        clear = 12 * MINUTE
        return sorted(
            fixed
            + [
                (begin, length)
                for begin, length in pauses
                if not any(begin - clear < moment < begin + length + clear for moment, _ in fixed)
            ]
        )

    def _sit_down(self, desktop: Desktop | None, moment: int) -> Desktop:
        person, host = self.person, self.host
        if self.rng.random() < 0.25:
            logon_type = 2 if desktop is None else 7
            prompts.mistype(self.net, moment - 9 * SECOND, person.account, host, logon_type)
        if desktop is not None:
            desk.unlock(self.net, desktop, moment)
            self.desktop = desktop
            return desktop
        log_on = log_on_cached if person.cached or not host.address else desk.log_on_console
        self.desktop = desktop = log_on(self.net, moment, person.account, host, split=person.split)
        self.desktops.append((moment, desktop))
        shell = rf"{records.SYSTEM32}\userinit.exe"
        if host.address:
            self._run_script(desktop, moment + 2 * SECOND)
        records.process_started(host, moment + SECOND, desktop.session, EXPLORER, parent=shell)
        return desktop

    def _run_script(self, desktop: Desktop, moment: int) -> None:
        """The logon script lies on the controller."""
        controller = self.net.controller_for(self.host, moment)
        shares = [Files(records.SYSVOL, [rf"{self.net.domain.dns}\scripts\logon.cmd"])]
        account, stay = self.person.account, 14 * SECOND
        visit(self.net, moment, account, self.host, controller, shares=shares, stay=stay, by=desktop.session)

    def _will_forget(self, moment: int) -> bool:
        forgets = self.person.forgets
        return forgets is not None and not self.locked_out_at and moment > forgets

    def _back_from_pause(self, desktop: Desktop, moment: int) -> None:
        if self.rng.random() < 0.15:
            prompts.mistype(self.net, moment - 6 * SECOND, self.person.account, self.host, 7)
        if self._will_forget(moment):
            self._lock_out(moment - 11 * MINUTE)
        desk.unlock(self.net, desktop, moment)
        self.desktop = desktop

    def _start_again(self, desktop: Desktop, moment: int) -> Generator[int, None, Desktop]:
        """A restart for updates, or a crash; the person logs on again when the host is back."""
        host = self.host
        crashed = moment in self.person.crashes
        moment += self.rng.randrange(40 * SECOND)
        self._let_go(moment)
        if crashed:
            power.crash(host, moment)
        else:
            power.shut_down(host, moment, self.person.account, desktops=(desktop,), reason=UPDATE)
        back = moment + self.rng.randint(80 * SECOND, 120 * SECOND)
        yield back
        power.boot(self.net, host, back, crashed_at=moment if crashed else None)
        again = back + self.rng.randint(3 * MINUTE, 5 * MINUTE)
        yield again - 10 * SECOND
        return self._sit_down(None, again)

    def _work(self, desktop: Desktop, begin: int, end: int) -> Iterator[int]:
        """Programs, shares, the application, now and then a share by its address (so by NTLM)."""
        person, host, by = self.person, self.host, desktop.session
        now = begin
        while now < end - 3 * MINUTE:
            now += self.rng.randint(20 * SECOND, 420 * SECOND)
            if now > end - 2 * MINUTE:
                return
            yield now
            if person.prompts and person.admin and self.rng.random() < person.prompts:
                self._ask_administrator(desktop, person.admin, now)
                continue
            if person.called_back and host.address and self.rng.random() < person.called_back:
                stay = self.rng.randint(8, 30) * SECOND
                visit_called_back(self.net, now, person.account, host, person.files_at, stay=stay, by=by)
                continue
            chance = self.rng.random()
            if chance < 0.72 or not host.address:
                program = self.rng.choice(_PROGRAMS)
                records.process_started(host, now, by, program, parent=EXPLORER)
            elif chance < 0.92:
                self._open_share(desktop, now)
            elif chance < 1 - person.ntlm:
                stay = self.rng.randint(1, 90) * SECOND
                service, server = person.app_as, person.app_at
                visit(self.net, now, person.account, host, server, service=service, stay=stay, by=by)
            else:
                shares, stay = [self.company.public], 12 * SECOND
                visit_ntlm(self.net, now, person.account, host, person.files_at, shares=shares, stay=stay, by=by)

    def _ask_administrator(self, desktop: Desktop, admin: Account, moment: int) -> None:
        """A program wants more rights: the second account's name and password, now and then a wrong one first."""
        if self.rng.random() < 0.2:
            prompts.mistype_prompt(self.net, moment - 6 * SECOND, desktop, admin)
        stay = self.rng.randint(5000, 6000) * MILLISECOND if self.rng.random() < 0.4 else None
        prompts.prompt(moment, desktop, admin, stay=stay)

    def _open_share(self, desktop: Desktop, moment: int) -> None:
        person = self.person
        chosen = self.rng.sample(person.files.names, self.rng.randint(1, len(person.files.names)))
        files = replace(person.files, names=chosen, access=self.rng.choice((records.READ, WRITE)))
        shares = [Files(IPC, ["srvsvc"], records.OPEN_PIPE), files] if self.rng.random() < 0.3 else [files]
        stay = None if self.rng.random() < person.leaks else self.rng.randint(8 * SECOND, 60 * SECOND)
        fresh = self.rng.random() < 0.35
        if stay and person.late and self.rng.random() < person.late:
            stay += self.rng.randint(5 * MINUTE, 25 * MINUTE)
        visit(
            self.net,
            moment,
            person.account,
            self.host,
            person.files_at,
            shares=shares,
            stay=stay,
            fresh=fresh,
            by=desktop.session,
        )

    def _lock_out(self, moment: int) -> None:
        """Five wrong passwords after lunch, and locked out: the first controller and the one that was asked tell it."""
        account, host = self.person.account, self.host
        now = moment
        for _ in range(5):
            now += self.rng.randint(6 * SECOND, 16 * SECOND)
            prompts.mistype(self.net, now, account, host, 7)
        for controller in dict.fromkeys((self.net.controllers[0], self.net.controller_for(host, now))):
            now += self.rng.randint(3 * MILLISECOND, 90 * MILLISECOND)
            records.account_lockout(controller, now, account, host.name)
        prompts.mistype(self.net, now + 20 * SECOND, account, host, 7, is_locked=True)
        self.locked_out_at = now


def help_out(company: Company, helper: Life, life: Life, moment: int) -> None:
    """The console of the directory under a second account: the locked account is free, on the first controller."""
    desktop, admin = helper.desktop_at(moment), helper.person.admin
    if admin is None:
        raise ValueError(f"{helper.person.account.name} is no administrator")
    as_admin = prompts.run_as(company.net, moment, desktop, admin, stay=12 * MINUTE)
    console = rf"{records.SYSTEM32}\mmc.exe"
    command_line = "mmc.exe dsa.msc"
    at = moment + SECOND
    records.process_started(desktop.host, at, desktop.session, console, parent=EXPLORER, command_line=command_line)
    first = company.net.controllers[0]
    at = moment + 20 * SECOND
    session = visit(company.net, at, admin, desktop.host, first, privileged=True, stay=3 * MINUTE, by=as_admin)
    records.account_unlocked(first, moment + 55 * SECOND, life.person.account, session)
