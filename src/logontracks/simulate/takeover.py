"""A desk that is in use is taken over from elsewhere: its session goes on in a remote desktop."""

from logontracks.simulate import records
from logontracks.simulate.desktop import Desktop, close
from logontracks.simulate.host import Peer
from logontracks.simulate.kerberos import Network
from logontracks.simulate.network import spaced
from logontracks.simulate.rdp import log_on_remotely, window_station
from logontracks.simulate.window_managers import window_managers


def take_over(net: Network, desktop: Desktop, moment: int, client: Peer) -> int:
    """Whoever left a desk unlocked connects to it by RDP, from a machine that is no member and tells NTLM no name.

    The logon is one of type 10 in a terminal session of its own (41, 42, never 21), which lives for some seconds; the
    session at the screen is disconnected with reason 5 and connected to the client (4779, 24, 4778, 25), and the screen
    gets a new one: incident-velociraptor-rdp-dc RDPAuth_Security 506483 to 506542 and RDPAuth_LocalSessionManager
    171 to 177; also host-belkasoft-win10-domain-member Security 752 to 764 and LocalSessionManager 57 to 63.
    Gives the moment after.
    """
    host, account = desktop.host, desktop.account
    split = desktop.session.linked is not None
    visitor, at = log_on_remotely(
        net, moment, account, client, host, split=split, kerberos=False, named=False, opened_by="unlock"
    )
    at = spaced(host, at, 10, 40)
    visitor.tell(41, at)
    at = spaced(host, at, 100, 300)
    desktop.connection = visitor.connection
    desktop.tell(40, at, Reason=5)
    host.truth.presence(desktop.session, "disconnected", at)
    at = spaced(host, at, 60, 200)
    window_station(desktop, 4779, at)
    at = spaced(host, at, 90, 500)
    desktop.tell(24, at)
    visitor.tell(40, spaced(host, at, 40, 90), Reason=0)
    at = spaced(host, at, 200, 450)
    desktop.tell(40, at, Reason=5)
    host.terminal += 1
    host.console = host.terminal
    host.console_managers, at = window_managers(host, spaced(host, at, 100, 400), host.console)
    desktop.address, desktop.client, desktop.number = client.address, client.name, host.connections
    at = spaced(host, at, 150, 400)
    host.truth.presence(desktop.session, "active", at)
    window_station(desktop, 4778, at)
    at = spaced(host, at, 300, 900)
    desktop.tell(25, at)
    at = spaced(host, at, 0.5, 20)
    visitor.tell(42, at)
    at = close(host, spaced(host, at, 20, 180), visitor.session)
    for manager in visitor.managers:
        at = spaced(host, at, 0.1, 300)
        records.logoff(host, at, manager)
    return at
