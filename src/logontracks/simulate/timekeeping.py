"""A clock that is set while its host runs."""

from logontracks.simulate.host import LOCAL_SERVICE, MILLISECOND, SYSTEM, ClockTime, Host, Session
from logontracks.simulate.records import SYSTEM32, subject
from logontracks.simulate.templates import KERNEL_GENERAL

TIME_SERVICE = rf"{SYSTEM32}\svchost.exe"
VMWARE_TOOLS = r"C:\Program Files\VMware\VMware Tools\vmtoolsd.exe"


def set_clock(host: Host, moment: int, ahead: int, *, program: str = TIME_SERVICE) -> int:
    """The clock is so many ticks ahead from now on: 4616 and Kernel-General 1, which have the new time.

    Gives by how much it was set forth; where that is nothing, nothing is logged.
    """
    before = host.shown(moment)
    host.clock.append((moment, ahead))
    after = host.shown(moment)
    if after == before:
        return 0
    of_service = program == TIME_SERVICE
    by = Session(LOCAL_SERVICE, 5, 0, host, logon_id=0x3E5) if of_service else host.system
    old, new = ClockTime(before), ClockTime(after)
    process_id = host.pid("svchost", moment) + (0 if of_service else 1100)
    told = {"PreviousTime": old, "NewTime": new, "ProcessId": process_id, "ProcessName": program}
    host.log(4616, moment + MILLISECOND // 2, subject(by) | told, process="kernel")
    clock = {
        "NewTime": new,
        "OldTime": old,
        "TimeDeltaInMs": (after - before) // MILLISECOND,
        "Reason": 1,
        "ProcessName": program.replace("C:", r"\Device\HarddiskVolume2"),
        "ProcessID": process_id,
        "CmosTime": new,
        "TimeZoneBias": 0,
        "RealTimeIsUniversal": False,
        "SystemInCmosMode": False,
    }
    host.log(1, moment + MILLISECOND // 2, clock, provider=KERNEL_GENERAL, user_sid=SYSTEM.sid, process="svchost")
    return after - before
