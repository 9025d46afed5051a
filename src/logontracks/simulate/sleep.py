"""What Windows logs when a host goes to sleep and wakes, or powers off so that it can start fast.

Fast startup hibernates the kernel: everybody is logged off, but there is no new boot, no 4608, and logon ids go on
rising. The sequence is that of host-belkasoft-win10-domain-member, System 637 to 648 and Security 1858 to 1870.
"""

from logontracks.simulate import records
from logontracks.simulate.desktop import Desktop, torn_down
from logontracks.simulate.host import MILLISECOND, SECOND, SYSTEM, Account, Host, Session
from logontracks.simulate.network import spaced
from logontracks.simulate.power import told_shutdown
from logontracks.simulate.templates import KERNEL_BOOT, KERNEL_GENERAL, KERNEL_POWER
from logontracks.simulate.window_managers import window_managers

_SLEEPING, _HIBERNATE, _SHUTDOWN = 4, 5, 6  # states of power as the kernel numbers them


def power_off(host: Host, moment: int, by: Account, desktop: Desktop) -> None:
    """Shut down so that the next start is fast: 1074 "power off", 4647, 7002, then 42 and 107 of the hibernation.

    The window manager of the screen is only logged off when the host wakes.
    """
    told_shutdown(host, moment, by, program="winlogon.exe", kind="power off", reason=_NO_TITLE)
    managers, at = _log_off(desktop, spaced(host, moment, 300, 500))
    _doze(host, spaced(host, at, 300, 600), _SHUTDOWN, _HIBERNATE)
    host.unfinished = managers


def _log_off(desktop: Desktop, moment: int) -> tuple[list[Session], int]:
    """The logoff before a power off: a new terminal is ready before 4647, and the old one's managers stay for later.

    The screen is taken from the terminal that is gone already: 39, 40 and 24 of it stand behind its 23
    (host-belkasoft-win10-domain-member LocalSessionManager 105 to 109, 116 to 120).
    Gives the sessions that are still to be logged off, and the moment after.
    """
    host = desktop.host
    host.terminal += 1
    host.console = host.terminal
    host.console_managers, at = window_managers(host, moment, host.console)
    at = spaced(host, at, 600, 900)
    records.logoff_asked(host, at, desktop.session)
    at = spaced(host, torn_down(desktop, at), 70, 150)
    desktop.tell(39, at, TargetSession=desktop.terminal, Source=desktop.terminal)
    desktop.tell(40, at, Reason=11)
    desktop.tell(24, spaced(host, at, 30, 90))
    if desktop.managers:
        records.logoff(host, spaced(host, at, 200, 500), desktop.managers[0])
    return desktop.managers[1:][::-1], at + SECOND // 2


_NO_TITLE = "No title for this reason could be found"


def fall_asleep(host: Host, moment: int, desktops: tuple[Desktop, ...] = ()) -> None:
    """The lid is closed: desktops are locked and the host sleeps; all sessions live on.

    The records are those of a hibernation (see above) with the states of a sleep; there is none in shared/logs.
    """
    for desktop in desktops:
        records.locked(host, moment, desktop.session, desktop.terminal)
        host.truth.presence(desktop.session, "asleep", moment)
    _doze(host, spaced(host, moment, 1000, 2500), _SLEEPING, _SLEEPING)


def _doze(host: Host, moment: int, target: int, effective: int) -> None:
    """42, and 107 with a time before the sleep though it is written after it."""
    host.dozes += 1
    asked = {"TargetState": target, "EffectiveState": effective, "Reason": 4 if target == _SHUTDOWN else 0, "Flags": 0}
    host.log(42, moment, asked | {"TransitionsToOn": host.dozes}, provider=KERNEL_POWER, process="kernel")
    at = spaced(host, moment, 250, 450)
    woken = {
        "TargetState": target,
        "EffectiveState": effective,
        "WakeFromState": effective,
        "ProgrammedWakeTimeAc": 0,
        "ProgrammedWakeTimeDc": 0,
        "WakeRequesterTypeAc": 0,
        "WakeRequesterTypeDc": 0,
    }
    host.log(107, at, woken, provider=KERNEL_POWER, process="kernel")
    host.sleep(spaced(host, at, 1, 9), fast=target == _SHUTDOWN)


def wake(host: Host, moment: int) -> None:
    """The clock is set from the hardware's (Kernel-General 1, reason 2); after a fast startup 27 with type 1."""
    slept, fast = host.wake(moment)
    clock = {
        "NewTime": moment,
        "OldTime": slept,
        "TimeDeltaInMs": (moment - slept) // MILLISECOND,
        "Reason": 2,
        "ProcessName": "",
        "ProcessID": 4,
        "CmosTime": moment - moment % SECOND,
        "TimeZoneBias": 0,
        "RealTimeIsUniversal": False,
        "SystemInCmosMode": False,
    }
    at = spaced(host, moment, 0.1, 0.9)
    host.log(1, at, clock, provider=KERNEL_GENERAL, user_sid=SYSTEM.sid, process="kernel")
    if not fast:
        return
    at = spaced(host, at, 200, 300)
    boot_type = {"BootType": 1, "LoadOptions": ""}
    host.log(27, at, boot_type, provider=KERNEL_BOOT, user_sid=SYSTEM.sid, process="kernel")
    for manager in host.unfinished:
        at = spaced(host, at, 0.05, 900)
        records.logoff(host, at, manager)
    host.unfinished = []
