"""The sessions that Windows opens for each screen by itself: the font driver's and the window manager's."""

from logontracks.simulate import records
from logontracks.simulate.host import MILLISECOND, Account, Host, Session
from logontracks.simulate.network import spaced


def open_managers(host: Host, moment: int, terminal: int) -> list[Session]:
    """The sessions of a terminal's font driver and window manager (filtered, elevated), in the order of their end."""
    if host.build.is_old:
        return []
    by = "window_manager"
    driver = host.open(
        Account(f"UMFD-{terminal}", f"S-1-5-96-0-{terminal}", "Font Driver Host"), 2, moment, opened_by=by
    )
    later = spaced(host, moment, 90, 300)
    filtered = host.open_pair(
        Account(f"DWM-{terminal}", f"S-1-5-90-0-{terminal}", "Window Manager"), 2, later, opened_by=by
    )
    return [driver, filtered, filtered.linked or filtered]


def window_managers(host: Host, moment: int, terminal: int) -> tuple[list[Session], int]:
    """The logons of the managers of a new terminal session; gives their sessions and the moment after."""
    if host.build.is_old:
        return [], moment
    driver, filtered, elevated = open_managers(host, moment, terminal)
    _log_manager(host, moment, driver, elevated=False)
    at = elevated.opened
    _log_manager(host, at, elevated, elevated=True)
    style = records.ADVAPI_WINLOGON
    records.logon(host, spaced(host, at), filtered, style, elevated=False, by=host.system, virtual=True)
    for number, half in enumerate((elevated, filtered)):
        records.privileges(host, at + (number + 4) * MILLISECOND // 10, half)
    return [driver, filtered, elevated], at + MILLISECOND


def _log_manager(host: Host, moment: int, session: Session, *, elevated: bool) -> None:
    style = records.ADVAPI_WINLOGON
    records.explicit_credentials(host, moment, host.system, session.account, style.caller.values(host, moment))
    at = spaced(host, moment, 0.05, 0.1)
    records.logon(host, at, session, style, elevated=elevated, by=host.system, virtual=True)
