"""Logons at the console that no controller takes part in: with a remembered password, or to an account of the host."""

from logontracks.simulate.desktop import Desktop, arrive, verify, write_logon
from logontracks.simulate.host import ZERO_GUID, Account, Host
from logontracks.simulate.kerberos import Network
from logontracks.simulate.records import USER32


def log_on_cached(net: Network, moment: int, account: Account, host: Host, *, split: bool) -> Desktop:
    """A password checked against what the host remembers: type 11, no ticket, no GUID.

    Where the host has a network, a short type 7 logon of LSASS with a ticket follows at once:
    host-belkasoft-win10-domain-member Security 1351 to 1355.
    """
    address = "127.0.0.1"
    session, at = write_logon(host, moment, account, 11, split=split, style=USER32, address=address, guid=ZERO_GUID)
    desktop = Desktop(host, session, host.console, host.console_managers)
    host.truth.presence(session, "active", session.opened)
    if host.address:
        verify(net, host, account, at, split=split)
    arrive(desktop, at)
    return desktop


def log_on_local(moment: int, account: Account, host: Host) -> Desktop:
    """An account of the host itself, at the console: no ticket and no GUID."""
    address = "127.0.0.1"
    session, at = write_logon(host, moment, account, 2, split=False, style=USER32, address=address, guid=ZERO_GUID)
    desktop = Desktop(host, session, host.console, host.console_managers)
    host.truth.presence(session, "active", session.opened)
    arrive(desktop, at)
    return desktop
