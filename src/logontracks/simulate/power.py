"""What Windows logs when a host starts, stops, or dies, and what it logs by itself while it runs."""

from collections.abc import Iterator
from random import Random

from logontracks.simulate import records
from logontracks.simulate.desktop import Desktop, log_off
from logontracks.simulate.host import (
    HOUR,
    LOCAL_SERVICE,
    MILLISECOND,
    MINUTE,
    NETWORK_SERVICE,
    SECOND,
    SYSTEM,
    Account,
    Host,
    Session,
    date_of,
)
from logontracks.simulate.kerberos import Network
from logontracks.simulate.network import Files, own_traffic, spaced, visit
from logontracks.simulate.records import ADVAPI_SERVICES, ADVAPI_WININIT, NETWORK, SYSVOL, Caller, Style
from logontracks.simulate.templates import (
    EVENTLOG,
    EVENTLOG_CLASSIC,
    KERNEL_BOOT,
    KERNEL_GENERAL,
    KERNEL_POWER,
    USER32,
)
from logontracks.simulate.timekeeping import VMWARE_TOOLS, set_clock
from logontracks.simulate.window_managers import window_managers

_RESERVED = {SYSTEM.name: 0x3E7, LOCAL_SERVICE.name: 0x3E5, NETWORK_SERVICE.name: 0x3E4}


def boot(net: Network, host: Host, moment: int, *, crashed_at: int | None = None) -> None:
    """A start: the kernel at `moment`, LSASS some seconds later, the services, the first talk with a controller.

    The log service starts after the kernel, so 13, 12, 27 and 41 stand in the log after 6009 and 6005, with earlier
    times. `crashed_at`: the last sign of life before, when the host went down without a word. Now and then 41 is told
    of a host that shut down as it should: host-belkasoft-win10-domain-member System 1147 to 1162, without 6008.
    """
    host.start(moment)
    if "clock_set" in host.ways:
        _clock_set(host, moment)
    host.terminal = host.console = 1
    host.dozes = 0
    net.forget_tickets(host)
    at = spaced(host, moment, 6000, 9000)
    host.log(4608, at)
    at = spaced(host, at, 1, 9)
    records.start_of_system(host, at)
    at = spaced(host, at, 60, 200)
    service_started(host, at, SYSTEM)
    at = spaced(host, at, 20, 60)
    if not host.build.is_old:
        _session_zero(host, at)
    managers, at = window_managers(host, spaced(host, at, 10, 40), 1)
    host.console_managers = managers
    for account in (NETWORK_SERVICE, LOCAL_SERVICE, *(SYSTEM,) * 6):
        at = spaced(host, at, 30, 400)
        service_started(host, at, account)
    at = spaced(host, at, 400, 1500)
    _log_service_started(host, at, moment, crashed_at)
    if crashed_at is not None and "dropped" in host.ways:
        _records_dropped(host, at, moment)
    at = spaced(host, at, 9000, 15_000)
    if "anonymous" in host.ways:
        _anonymous(host, spaced(host, at, 300, 9000))
    if not host.address:
        return
    net.sign_in(at, host.account, host, spelling=net.domain.realm)
    if host.role != "controller":
        refresh_policy(net, at + SECOND, host)


def _session_zero(host: Host, moment: int) -> None:
    account = Account("UMFD-0", "S-1-5-96-0-0", "Font Driver Host")
    session = host.open(account, 2, moment, opened_by="window_manager")
    caller = ADVAPI_WININIT.caller.values(host, moment)
    records.explicit_credentials(host, moment, host.system, account, caller)
    records.logon(
        host, moment + MILLISECOND // 10, session, ADVAPI_WININIT, elevated=False, by=host.system, virtual=True
    )


def _log_service_started(host: Host, moment: int, started: int, crashed_at: int | None) -> None:
    """The first records of the System log in a boot, in the order in which they come to stand there."""
    if crashed_at is not None:
        then = date_of(host.shown(crashed_at))
        half = "AM" if then.hour < 12 else "PM"
        clock = f"{then.hour % 12 or 12}:{then:%M:%S} {half}"
        day = f"\u200e{then.month}/\u200e{then.day}/\u200e{then.year}"
        uptime = (crashed_at - host.boots[-2].started) // SECOND
        _classic(host, 6008, moment, (clock, day, "", "", str(uptime), "", ""))
    old = host.build.is_old
    release, pack = ("6.01.", "Service Pack 1") if old else ("10.00.", "")
    _classic(host, 6009, moment, (release, str(host.build.number), pack, "Multiprocessor Free", "0"))
    _classic(host, 6005, moment, ("",))
    uptime_told(host, moment)
    before = host.boots[-2]
    if crashed_at is None and before.stopped is not None:
        stopped = before.stopped
        power = {"ShutdownActionType": 5, "ShutdownEventCode": 0, "ShutdownReason": 5}
        if not old:
            at = stopped - SECOND // 4
            host.log(109, at, power, provider=KERNEL_POWER, written=moment + MILLISECOND, process="winlogon")
        host.log(
            13, stopped, {"StopTime": stopped}, provider=KERNEL_GENERAL, process="kernel", written=moment + MILLISECOND
        )
    at = started + host.rng.randint(150, 190) * MILLISECOND
    version: dict[str, object] = {
        "MajorVersion": 6 if old else 10,
        "MinorVersion": 1 if old else 0,
        "BuildVersion": host.build.number,
        "QfeVersion": 24_545 if old else 4291,
    }
    rest = {"ServiceVersion": 0, "BootMode": 0, "StartTime": started}
    boot_type = {"BootType": 0, "LoadOptions": " NOEXECUTE=OPTIN"}
    told: list[tuple[str, int, int, dict[str, object]]] = [
        (KERNEL_GENERAL, 12, at, version | rest),
        *([] if old else [(KERNEL_BOOT, 27, at + 3000, boot_type)]),
    ]
    if crashed_at is not None or ("false_alarm" in host.ways and host.rng.random() < 0.15):
        told.append((KERNEL_POWER, 41, at + SECOND, _LOST_POWER))
    for provider, event_id, early, values in told:
        written = moment + 2 * MILLISECOND
        host.log(event_id, early, values, provider=provider, user_sid=SYSTEM.sid, process="kernel", written=written)


def _clock_set(host: Host, moment: int) -> None:
    """A virtual machine starts with a clock that is a little off, and has it set when it is up.

    evtx-parser-edge-cases/security.evtx 259, 292 and 2039, each within some seconds of 4608; 4616 stands behind records
    with later times.
    """
    right = host.shown(moment) - moment
    off = host.rng.randint(150, 900) * host.rng.choice((1, 1, -1))
    host.clock.append((moment, right + off * MILLISECOND))
    set_clock(host, moment + host.rng.randint(11, 14) * SECOND, right, program=VMWARE_TOOLS)


def _anonymous(host: Host, moment: int) -> None:
    """A null session, once a start: of nobody, from nowhere, by NTLM V1, and never logged off.

    evtx-parser-edge-cases/security.evtx 32, 78 and 172; incident-velociraptor-rdp-dc RDPAuth_Security 506188.
    """
    session = host.open(Account("ANONYMOUS LOGON", "S-1-5-7", "NT AUTHORITY"), 3, moment)
    style = Style("NtLmSsp ", "NTLM", NETWORK, "NTLM V1", activity=False)
    records.logon(host, moment, session, style, elevated=False, workstation="")


def _records_dropped(host: Host, moment: int, started: int) -> None:
    """1101 after a crash: written before 4608, with a later time (host-belkasoft-win10-domain-member Security 2370)."""
    at = spaced(host, moment, 60, 130)
    host.log(1101, at, {"Reason": 0}, provider=EVENTLOG, process="eventlog", written=started)


_LOST_POWER: dict[str, object] = {
    "BugcheckCode": 0,
    "BugcheckParameter1": 0,
    "BugcheckParameter2": 0,
    "BugcheckParameter3": 0,
    "BugcheckParameter4": 0,
    "SleepInProgress": 0,
    "PowerButtonTimestamp": 0,
    "BootAppStatus": 0,
    "Checkpoint": 0,
    "ConnectedStandbyInProgress": False,
    "SystemSleepTransitionsToOn": 0,
    "CsEntryScenarioInstanceId": 0,
    "BugcheckInfoFromEFI": False,
    "CheckpointStatus": 0,
    "CsEntryScenarioInstanceIdV2": 0,
    "LongPowerButtonPressDetected": False,
    "LidReliability": False,
    "InputSuppressionState": 0,
    "PowerButtonSuppressionState": 0,
    "LidState": 0,
}


def shut_down(
    host: Host,
    moment: int,
    by: Account,
    *,
    desktops: tuple[Desktop, ...] = (),
    reason: str,
    kind: str = "restart",
) -> None:
    """A restart asked for by a person: 1074, 4647, 23, 7002, 6006, 1100; no 4634 for the person, 13 comes later."""
    told_shutdown(host, moment, by, program="RuntimeBroker.exe", kind=kind, reason=reason)
    at = spaced(host, moment, 900, 2400)
    # the log service says that it ends before it writes what it was told at last: evtx-parser-edge-cases/security.evtx
    # 273 and 274, host-belkasoft-win10-domain-member Security 3245 and 3246, System 189 and 190
    last_words = (at - 1, moment - 1) if "late_words" in host.ways and host.rng.random() < 0.6 else (None, None)
    for desktop in desktops:
        log_off(desktop, at, ends=False)
        at = spaced(host, at, 1800, 3500)
    if host.console_managers and not any(desktop.address == "LOCAL" for desktop in desktops):
        records.logoff(host, at, host.console_managers[0])
    at = spaced(host, at, 1200, 2600)
    _classic(host, 6006, at, ("",), written=last_words[1])
    host.log(1100, at + MILLISECOND, {}, provider=EVENTLOG, process="eventlog", written=last_words[0])
    host.boots[-1].silent = at + MILLISECOND
    host.boots[-1].stopped = spaced(host, at, 4000, 7000)
    host.boots[-1].end_kind = "shutdown"


def told_shutdown(host: Host, moment: int, by: Account, *, program: str, kind: str, reason: str) -> None:
    """1074: who asked for it, and for what (restart, power off)."""
    asked = rf"{records.SYSTEM32}\{program} ({host.name})"
    code = "0x80020010" if reason.startswith("Operating System") else "0x500ff"
    values = (asked, host.name, reason, code, kind, "", rf"{by.domain}\{by.name}")
    full = {f"param{number}": value for number, value in enumerate(values, 1)}
    host.log(1074, moment, full, provider=USER32, user_sid=by.sid, process="winlogon")


def uptime_told(host: Host, moment: int) -> None:
    """6013: seconds since the start; at every start and at noon."""
    uptime = (moment - host.boot_at(moment).started) // SECOND
    _classic(host, 6013, moment, ("", "", "", "", str(uptime), "60", "0 Coordinated Universal Time"))


def _classic(host: Host, event_id: int, moment: int, strings: tuple[str, ...], *, written: int | None = None) -> None:
    host.log(event_id, moment, strings, provider=EVENTLOG_CLASSIC, process="none", written=written)


def service_started(host: Host, moment: int, account: Account) -> Session:
    """A service under SYSTEM or its kin: 4624 type 5 with the same id every time, 4672 after it."""
    session = Session(account, 5, moment, host, logon_id=_RESERVED[account.name])
    records.logon(host, moment, session, ADVAPI_SERVICES, elevated=True, by=host.system)
    records.privileges(host, spaced(host, moment, 0.05, 0.2), session)
    return session


def refresh_policy(net: Network, moment: int, host: Host) -> None:
    """A member reads its group policy from the controller it talks to."""
    controller = net.controller_for(host, moment)
    policy = rf"{net.domain.dns}\Policies\{{31B2F340-016D-11D2-945F-00C04FB984F9}}\gpt.ini"
    visit(
        net,
        moment,
        host.account,
        host,
        controller,
        shares=[Files(SYSVOL, [policy])],
        stay=host.rng.randint(11 * SECOND, 30 * SECOND),
        impersonation=records.DELEGATION,
    )


def member_traffic(net: Network, host: Host, begin: int, end: int) -> Iterator[int]:
    """What a member asks of its controller all day: tickets, directory look-ups, policy. Gives moments, as a life."""
    rng = host.rng
    renewed = begin
    for moment in _moments(rng.randint(0, 40 * MINUTE), 41 * MINUTE, begin, end, rng):
        yield moment
        if not (host.address and host.is_up(moment) and host.is_up(moment + 3 * MINUTE)):
            continue
        controller = net.controller_for(host, moment)
        stay = rng.choice((SECOND // 4, SECOND, 12 * SECOND, 60 * SECOND, 120 * SECOND))
        if moment - renewed > 7 * HOUR:
            renewed = moment
            net.renew(moment - 2 * SECOND, host.account, host)
        fresh = rng.random() < 0.35
        visit(net, moment, host.account, host, controller, stay=stay, fresh=fresh)
        if rng.random() < 0.3:
            refresh_policy(net, moment + 3 * SECOND, host)


def housekeeping(host: Host, begin: int, end: int) -> Iterator[int]:
    """What a host does by itself: services that come and go."""
    for moment in _moments(host.rng.randint(0, 30 * MINUTE), 55 * MINUTE, begin, end, host.rng):
        yield moment
        if host.is_up(moment) and host.is_up(moment + 3 * MINUTE):
            service_started(host, moment, SYSTEM)


def noons(host: Host, begin: int, end: int) -> Iterator[int]:
    """Its uptime, at noon."""
    for moment in range(begin + 12 * HOUR, end, 24 * HOUR):
        yield moment
        if host.is_up(moment):
            uptime_told(host, spaced(host, moment, 0, 20))


def own_logons(net: Network, host: Host, begin: int, end: int) -> Iterator[int]:
    """Every eight hours a task of the host logs its computer account on to the host: 4648, and a session of no length.

    incident-jpcert-japanese-csv Appendix1_Security 3207 to 3210 and 3230 to 3233;
    otrf-multihost-json empire_persistence_registry_modification_run_keys_standard_user, WORKSTATION5 47543 to 47547.
    """
    program = "taskhost.exe" if host.build.is_old else "taskhostw.exe"
    task = Caller(rf"{records.SYSTEM32}\{program}", process_id=4 * host.rng.randint(300, 2000))
    moment = begin + host.rng.randrange(8 * HOUR)
    while moment < end:
        yield moment
        if host.address and host.is_up(moment):
            _log_on_to_itself(net, moment, host, task)
        moment += 8 * HOUR + host.rng.randint(0, 3) * SECOND


def _log_on_to_itself(net: Network, moment: int, host: Host, task: Caller) -> None:
    ticket = net.service_ticket(moment - 4 * MILLISECOND, host.account, host, host.account, fresh=True)
    itself = f"{host.name.lower()}$"
    caller = task.values(host, moment)
    records.explicit_credentials(
        host, moment, host.system, host.own, caller, server=itself, service=itself, guid=ticket.guid
    )
    at = spaced(host, moment, 0.05, 0.1)
    session = host.open(host.own, 3, at, guid=ticket.server_guid)
    net.truth.used(ticket.told, session)
    records.privileges(host, at, session)
    at = spaced(host, at, 0.05, 0.1)
    records.logon(host, at, session, records.KERBEROS, elevated=True, domain=net.domain.realm)
    records.logoff(host, spaced(host, at, 0.05, 0.2), session)


def controller_traffic(net: Network, controller: Host, begin: int, end: int) -> Iterator[int]:
    """What a controller asks of itself and of the others, at all hours."""
    rng = controller.rng
    others = [host for host in net.controllers if host is not controller]
    moment = begin + rng.randint(0, 9 * MINUTE)
    while moment < end:
        yield moment
        if controller.is_up(moment):
            own_traffic(net, moment, controller)
        if rng.random() < 0.3:
            stay = rng.randint(0, MINUTE)
            other = others[0] if len(others) == 1 else rng.choice(others) if others else controller
            if controller.is_up(moment) and other.is_up(moment + MINUTE):
                at = moment + MINUTE
                visit(net, at, controller.account, controller, other, privileged=True, stay=stay)
        moment += rng.randint(8 * MINUTE, 22 * MINUTE)


def _moments(first: int, mean: int, begin: int, end: int, rng: Random) -> list[int]:
    """Moments about `mean` apart."""
    found, moment = [], begin + first
    while moment < end:
        found.append(moment)
        moment += rng.randint(mean // 2, mean * 3 // 2)
    return found


def crash(host: Host, moment: int) -> None:
    """Power gone: nothing is logged now."""
    host.boots[-1].stopped = moment
    host.boots[-1].end_kind = "crash"
