"""Who does what when: the working days of the people, the services, the copier, and David's administration."""

from collections import defaultdict
from dataclasses import replace

from logontracks.simulate import desktop as desk
from logontracks.simulate import power, records
from logontracks.simulate.cast import Company, Person
from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from logontracks.simulate.network import Files, visit, visit_ntlm
from logontracks.simulate.records import ADVAPI_SERVICES, ADVAPI_SVCHOST, IPC, WRITE, Share

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
_EXPLORER = r"C:\Windows\explorer.exe"
_UPDATE = "Operating System: Service pack (Planned)"


class Week:
    """The ordinary week. Each person's days run in order; the servers see the sum."""

    def __init__(self, company: Company, monday: int) -> None:
        self.company = company
        self.net = company.net
        self.rng = company.rng
        self.monday = monday
        self.files, self.app = company.hosts["FS01"], company.hosts["APP01"]
        self._desktops: dict[str, list[tuple[int, Desktop]]] = defaultdict(list)
        self._locked_out_at = 0

    def run(self) -> None:
        """Everything but the traffic of the computers themselves, which needs to know when they were up."""
        for name in sorted(self.company.people, reverse=True):
            self.live(self.company.people[name])
        self._help_clara()
        self._run_services()
        self._administer()
        self._update_file_server()

    def at(self, day: int, hour: int, minute: int = 0, second: float = 0) -> int:
        """A moment of the week, to the second; what comes after the second is chance."""
        exact = self.monday + day * DAY + hour * HOUR + minute * MINUTE + int(second * SECOND)
        return exact + self.rng.randrange(SECOND)

    def near(self, moment: int, minutes: int = 12) -> int:
        return moment + self.rng.randint(-minutes * MINUTE, minutes * MINUTE)

    # --- people -----------------------------------------------------------------------------------------------------

    def live(self, person: Person) -> None:
        """Five working days of one person at one desk."""
        desktop = self._left_over_from_friday(person) if person.stays else None
        for day in range(5):
            desktop = self._work_day(person, desktop, self.monday + day * DAY)

    def desktop_of(self, name: str, moment: int) -> Desktop:
        """The desktop that a person has at a moment."""
        return [desktop for since, desktop in self._desktops[name] if since <= moment][-1]

    def _left_over_from_friday(self, person: Person) -> Desktop:
        """A desktop that was locked when the week began: its 4624 lies before the logs."""
        opened = self.monday - 2 * DAY - 15 * HOUR
        host = person.host
        session = host.open_pair(person.account, 2, opened) if person.split else host.open(person.account, 2, opened)
        host.truth.presence(session, "locked", opened)
        return Desktop(host, session, host.console, [])

    def _work_day(self, person: Person, desktop: Desktop | None, midnight: int) -> Desktop | None:
        arrival, leaving = self.near(midnight + person.arrives), self.near(midnight + person.leaves)
        desktop = self._sit_down(person, desktop, arrival)
        now = arrival + MINUTE
        for begin, length in self._interruptions(person, midnight):
            self._work(person, desktop, now, begin - MINUTE)
            if length:
                desk.lock(desktop, begin)
                now = begin + length
                self._back_from_pause(person, desktop, now)
            else:
                desktop = self._start_again(person, desktop, begin)
                now = begin + 9 * MINUTE
        self._work(person, desktop, now, leaving - MINUTE)
        if person.stays:
            desk.lock(desktop, leaving)
            return desktop
        desk.log_off(desktop, leaving)
        return None

    def _interruptions(self, person: Person, midnight: int) -> list[tuple[int, int]]:
        """Pauses of the day as (moment, length), and restarts and crashes, whose length is 0. They do not overlap."""
        fixed = [(moment, 0) for moment in person.restarts + person.crashes if 0 <= moment - midnight < DAY]
        pauses = [(self.near(midnight + person.lunch, 10), self.rng.randint(28 * MINUTE, 50 * MINUTE))]
        if self.rng.random() < 0.7:
            pauses.append((self.near(midnight + 14 * HOUR + 40 * MINUTE), self.rng.randint(4 * MINUTE, 16 * MINUTE)))
        clear = 12 * MINUTE
        return sorted(
            fixed
            + [
                (begin, length)
                for begin, length in pauses
                if not any(begin - clear < moment < begin + length + clear for moment, _ in fixed)
            ]
        )

    def _sit_down(self, person: Person, desktop: Desktop | None, moment: int) -> Desktop:
        if self.rng.random() < 0.25:
            logon_type = 2 if desktop is None else 7
            desk.mistype(self.net, moment - 9 * SECOND, person.account, person.host, logon_type)
        if desktop is not None:
            desk.unlock(self.net, desktop, moment)
            return desktop
        desktop = desk.log_on_console(self.net, moment, person.account, person.host, split=person.split)
        self._desktops[person.account.name].append((moment, desktop))
        controller = self.net.controller_for(person.host, moment)
        logon_script = Files(records.SYSVOL, [rf"{self.net.domain.dns}\scripts\logon.cmd"])
        visit(
            self.net,
            moment + 2 * SECOND,
            person.account,
            person.host,
            controller,
            shares=[logon_script],
            stay=14 * SECOND,
            by=desktop.session,
        )
        shell = rf"{records.SYSTEM32}\userinit.exe"
        records.process_started(person.host, moment + SECOND, desktop.session, _EXPLORER, parent=shell)
        return desktop

    def _back_from_pause(self, person: Person, desktop: Desktop, moment: int) -> None:
        if self.rng.random() < 0.15:
            desk.mistype(self.net, moment - 6 * SECOND, person.account, person.host, 7)
        if person.account.name == "clara.diaz" and not self._locked_out_at and moment > self.monday + 2 * DAY:
            self._lock_out(person, moment - 11 * MINUTE)
        desk.unlock(self.net, desktop, moment)

    def _start_again(self, person: Person, desktop: Desktop, moment: int) -> Desktop:
        """A restart for updates, or a crash; the person logs on again when the host is back."""
        host = person.host
        crashed = moment in person.crashes
        moment += self.rng.randrange(40 * SECOND)
        if crashed:
            power.crash(host, moment)
        else:
            power.shut_down(host, moment, person.account, desktops=(desktop,), reason=_UPDATE)
        back = moment + self.rng.randint(80 * SECOND, 120 * SECOND)
        power.boot(self.net, host, back, crashed_at=moment if crashed else None)
        return self._sit_down(person, None, back + self.rng.randint(3 * MINUTE, 5 * MINUTE))

    def _work(self, person: Person, desktop: Desktop, begin: int, end: int) -> None:
        """Programs, shares, the application, now and then a share by its address (so by NTLM)."""
        now = begin
        while now < end - 3 * MINUTE:
            now += self.rng.randint(20 * SECOND, 420 * SECOND)
            if now > end - 2 * MINUTE:
                return
            chance = self.rng.random()
            if chance < 0.72:
                program = self.rng.choice(_PROGRAMS)
                records.process_started(person.host, now, desktop.session, program, parent=_EXPLORER)
            elif chance < 0.92:
                self._open_share(person, desktop, now)
            elif chance < 0.985:
                service = self.company.accounts["svc-app"]
                stay = self.rng.randint(1, 90) * SECOND
                by = desktop.session
                visit(self.net, now, person.account, person.host, self.app, service=service, stay=stay, by=by)
            else:
                shares = [self.company.public]
                visit_ntlm(
                    self.net,
                    now,
                    person.account,
                    person.host,
                    self.files,
                    shares=shares,
                    stay=12 * SECOND,
                    by=desktop.session,
                )

    def _open_share(self, person: Person, desktop: Desktop, moment: int) -> None:
        chosen = self.rng.sample(person.files.names, self.rng.randint(1, len(person.files.names)))
        files = replace(person.files, names=chosen, access=self.rng.choice((records.READ, WRITE)))
        shares = [Files(IPC, ["srvsvc"], records.OPEN_PIPE), files] if self.rng.random() < 0.3 else [files]
        stay = None if self.rng.random() < 0.02 else self.rng.randint(8 * SECOND, 60 * SECOND)
        fresh = self.rng.random() < 0.35
        visit(
            self.net,
            moment,
            person.account,
            person.host,
            self.files,
            shares=shares,
            stay=stay,
            fresh=fresh,
            by=desktop.session,
        )

    def _lock_out(self, person: Person, moment: int) -> None:
        """Five wrong passwords after lunch, locked out, a call to David, unlocked by his second account."""
        account, host = person.account, person.host
        now = moment
        for _ in range(5):
            now += self.rng.randint(6 * SECOND, 16 * SECOND)
            desk.mistype(self.net, now, account, host, 7)
        for controller in dict.fromkeys((self.net.controllers[0], self.net.controller_for(host, now))):
            now += self.rng.randint(3 * MILLISECOND, 90 * MILLISECOND)
            records.account_lockout(controller, now, account, host.name)
        desk.mistype(self.net, now + 20 * SECOND, account, host, 7, is_locked=True)
        self._locked_out_at = now

    def _help_clara(self) -> None:
        """David starts the console of the directory as adm-david and unlocks her account on the first controller."""
        moment = self._locked_out_at + 6 * MINUTE
        david = self.desktop_of("david.engel", moment)
        admin = self.company.accounts["adm-david"]
        as_admin = desk.run_as(self.net, moment, david, admin, stay=12 * MINUTE)
        console = rf"{records.SYSTEM32}\mmc.exe"
        records.process_started(
            david.host, moment + SECOND, david.session, console, parent=_EXPLORER, command_line="mmc.exe dsa.msc"
        )
        first = self.net.controllers[0]
        session = visit(
            self.net, moment + 20 * SECOND, admin, david.host, first, privileged=True, stay=3 * MINUTE, by=as_admin
        )
        clara = self.company.accounts["clara.diaz"]
        records.account_unlocked(first, moment + 55 * SECOND, clara, session)

    # --- services ---------------------------------------------------------------------------------------------------

    def _run_services(self) -> None:
        for day in range(7):
            self._recycle_application(self.at(day, 3, 30))
            self._back_up(self.near(self.at(day, 22, 30), 1))
            if day < 5:
                self._scan(day)

    def _recycle_application(self, moment: int) -> None:
        """The application's service starts anew each night: type 5 under its own account, which never ends."""
        account = self.company.accounts["svc-app"]
        desk.log_on(
            self.net,
            moment,
            account,
            self.app,
            5,
            split=False,
            style=ADVAPI_SERVICES,
            address="-",
            joins=False,
            privileged=True,
        )

    def _back_up(self, moment: int) -> None:
        """The nightly task on APP01 (type 4) reads all shares of FS01."""
        account, app, files = self.company.accounts["svc-backup"], self.app, self.files
        session, at = desk.log_on(
            self.net,
            moment,
            account,
            app,
            4,
            split=False,
            style=ADVAPI_SVCHOST,
            address="-",
            privileged=True,
            joins=False,
        )
        script = r"C:\Scripts\nightly-backup.cmd"
        records.process_started(
            app,
            at,
            session,
            rf"{records.SYSTEM32}\cmd.exe",
            parent=rf"{records.SYSTEM32}\svchost.exe",
            command_line=script,
        )
        for number, person in enumerate(self.company.people.values()):
            begin = at + self.rng.randint(1 + 7 * number, 3 + 7 * number) * MINUTE
            stay = self.rng.randint(3, 6) * MINUTE
            shares = [person.files]
            visit(self.net, begin, account, app, files, privileged=True, shares=shares, stay=stay, by=session)
        desk.close(app, at + self.rng.randint(41, 55) * MINUTE, session)

    def _scan(self, day: int) -> None:
        """The copier on the second floor puts scans on a share, by NTLM."""
        account, copier = self.company.accounts["svc-scan"], self.company.copier
        moment = self.at(day, 7, 40)
        while moment < self.at(day, 17):
            moment += self.rng.randint(12 * MINUTE, 45 * MINUTE)
            scan = Files(Share("Scans", r"D:\Shares\Scans"), [f"scan-{self.rng.randint(1000, 9999)}.pdf"], WRITE)
            visit_ntlm(self.net, moment, account, copier, self.files, shares=[scan], stay=11 * SECOND)

    # --- David's administration -------------------------------------------------------------------------------------

    def _administer(self) -> None:
        """RDP from WKS-104 by adm-david; one session is left disconnected on APP01 from Wednesday to Thursday."""
        self._visit_server("APP01", self.at(0, 10, 12, 31), 74 * MINUTE)
        self._visit_server("FS01", self.at(1, 14, 3, 8), 26 * MINUTE)
        left = self._open_server("APP01", self.at(2, 16, 11, 47))
        desk.disconnect(left, self.at(2, 17, 22, 5), reason=11)
        client = self.company.hosts["WKS-104"]
        desk.reconnect(self.net, left, self.at(3, 9, 18, 40), client)
        self._use_tools(left, self.at(3, 9, 20), 40 * MINUTE)
        desk.log_off(left, self.at(3, 10, 4, 12))
        self._visit_server("DC01", self.at(4, 10, 2, 19), 18 * MINUTE)

    def _update_file_server(self) -> None:
        """On Saturday David comes in and restarts FS01 from an RDP session, which the restart ends."""
        person = self.company.person("david.engel")
        david = desk.log_on_console(self.net, self.at(5, 9, 31, 14), person.account, person.host, split=True)
        self._desktops["david.engel"].append((self.at(5, 9, 31), david))
        desktop = self._open_server("FS01", self.at(5, 9, 40, 2))
        self._use_tools(desktop, self.at(5, 9, 42), 25 * MINUTE)
        moment = self.at(5, 10, 9, 33)
        power.shut_down(self.files, moment, desktop.account, desktops=(desktop,), reason=_UPDATE)
        power.boot(self.net, self.files, moment + 140 * SECOND)
        desk.log_off(david, self.at(5, 10, 31, 50))

    def _visit_server(self, name: str, moment: int, length: int) -> None:
        desktop = self._open_server(name, moment)
        self._use_tools(desktop, moment + MINUTE, length - 2 * MINUTE)
        desk.log_off(desktop, moment + length)

    def _open_server(self, name: str, moment: int) -> Desktop:
        server, client = self.company.hosts[name], self.company.hosts["WKS-104"]
        admin = self.company.accounts["adm-david"]
        by = self.desktop_of("david.engel", moment).session
        desk.remote_credentials(
            self.net, moment - 2 * SECOND, client, by, account=admin, server=server, service="TERMSRV"
        )
        return desk.connect(self.net, moment, admin, client, server, split=True, by=by)

    def _use_tools(self, desktop: Desktop, begin: int, length: int) -> None:
        now = begin
        while (now := now + self.rng.randint(30 * SECOND, 400 * SECOND)) < begin + length:
            program = self.rng.choice(("mmc.exe", "eventvwr.exe", "cmd.exe", "Taskmgr.exe"))
            path = rf"{records.SYSTEM32}\{program}"
            records.process_started(desktop.host, now, desktop.session, path, parent=_EXPLORER)
