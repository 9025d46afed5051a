"""Who does what when: the working days of the people, the services, the copier, and David's administration."""

from collections import deque

from logontracks.simulate import desktop as desk
from logontracks.simulate import power, rdp, records
from logontracks.simulate.cast import Company
from logontracks.simulate.desktop import Desktop
from logontracks.simulate.host import DAY, HOUR, MINUTE, SECOND
from logontracks.simulate.network import Files, visit, visit_ntlm
from logontracks.simulate.people import EXPLORER, UPDATE, Life, help_out
from logontracks.simulate.records import ADVAPI_SERVICES, ADVAPI_SVCHOST, WRITE, Share


class Week:
    """The ordinary week. Each person's days run in order; the servers see the sum."""

    def __init__(self, company: Company, monday: int) -> None:
        self.company = company
        self.net = company.net
        self.rng = company.rng
        self.monday = monday
        self.files, self.app = company.hosts["FS01"], company.hosts["APP01"]
        self.lives = {name: Life(company, person, monday, self.rng) for name, person in company.people.items()}

    def run(self) -> None:
        """Everything but the traffic of the computers themselves, which needs to know when they were up."""
        for name in sorted(self.company.people, reverse=True):
            deque(self.lives[name].days(5), maxlen=0)  # one life after the other: they do not meet
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

    def _help_clara(self) -> None:
        """David unlocks Clara's account as adm-david, when she has called him."""
        clara = self.lives["clara.diaz"]
        help_out(self.company, self.lives["david.engel"], clara, clara.locked_out_at + 6 * MINUTE)

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
        rdp.disconnect(left, self.at(2, 17, 22, 5), reason=11)
        moment, client = self.at(3, 9, 18, 40), self.company.hosts["WKS-104"]
        rdp.reconnect(self.net, left, moment, client, by=self.lives["david.engel"].desktop_at(moment).session)
        self._use_tools(left, self.at(3, 9, 20), 40 * MINUTE)
        desk.log_off(left, self.at(3, 10, 4, 12))
        self._visit_server("DC01", self.at(4, 10, 2, 19), 18 * MINUTE)

    def _update_file_server(self) -> None:
        """On Saturday David comes in and restarts FS01 from an RDP session, which the restart ends."""
        person = self.company.person("david.engel")
        david = desk.log_on_console(self.net, self.at(5, 9, 31, 14), person.account, person.host, split=True)
        self.lives["david.engel"].desktops.append((self.at(5, 9, 31), david))
        desktop = self._open_server("FS01", self.at(5, 9, 40, 2))
        self._use_tools(desktop, self.at(5, 9, 42), 25 * MINUTE)
        moment = self.at(5, 10, 9, 33)
        power.shut_down(self.files, moment, desktop.account, desktops=(desktop,), reason=UPDATE)
        power.boot(self.net, self.files, moment + 140 * SECOND)
        desk.log_off(david, self.at(5, 10, 31, 50))

    def _visit_server(self, name: str, moment: int, length: int) -> None:
        desktop = self._open_server(name, moment)
        self._use_tools(desktop, moment + MINUTE, length - 2 * MINUTE)
        desk.log_off(desktop, moment + length)

    def _open_server(self, name: str, moment: int) -> Desktop:
        server, client = self.company.hosts[name], self.company.hosts["WKS-104"]
        admin = self.company.accounts["adm-david"]
        by = self.lives["david.engel"].desktop_at(moment).session
        desk.remote_credentials(
            self.net, moment - 2 * SECOND, client, by, account=admin, server=server, service="TERMSRV"
        )
        return rdp.connect(self.net, moment, admin, client, server, split=True, by=by)

    def _use_tools(self, desktop: Desktop, begin: int, length: int) -> None:
        now = begin
        while (now := now + self.rng.randint(30 * SECOND, 400 * SECOND)) < begin + length:
            program = self.rng.choice(("mmc.exe", "eventvwr.exe", "cmd.exe", "Taskmgr.exe"))
            path = rf"{records.SYSTEM32}\{program}"
            records.process_started(desktop.host, now, desktop.session, path, parent=EXPLORER)
