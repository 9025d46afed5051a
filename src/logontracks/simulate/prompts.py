"""What comes of passwords that are typed at a desk beside its logon: wrong ones, and those of other accounts."""

from logontracks.simulate import records
from logontracks.simulate.desktop import Desktop, close, log_on, write_logon
from logontracks.simulate.host import ZERO_GUID, Account, Host, Session
from logontracks.simulate.kerberos import LOCKED, WRONG_PASSWORD, Network
from logontracks.simulate.network import spaced
from logontracks.simulate.records import SECLOGO, SYSTEM32, USER32, Caller, Style


def mistype(
    net: Network, moment: int, account: Account, host: Host, logon_type: int, *, is_locked: bool = False
) -> None:
    """A wrong password at the desk: Kerberos refuses (4771), the host says so (4625). The first controller is told."""
    why = "locked_out" if is_locked else "wrong_password"
    with host.truth.attempt(moment, account, host, source=None, logon_type=logon_type, reason=why):
        if host.address:
            _refuse(net, moment, account, host, is_locked=is_locked)
        records.failed_logon(
            host,
            spaced(host, moment, 8, 60),
            account,
            logon_type,
            USER32,
            status=LOCKED if is_locked else 0xC000006D,
            sub_status=0 if is_locked else WRONG_PASSWORD,
            reason="%%2307" if is_locked else "%%2313",
            workstation=host.name,
            address="127.0.0.1",
            port=0,
        )


def _refuse(net: Network, moment: int, account: Account, host: Host, *, is_locked: bool) -> None:
    controller = net.controller_for(host, moment)
    if is_locked:
        net.refuse_locked(moment, account, host, controller)
        return
    net.refuse(moment, account, host, controller)
    if controller is not net.controllers[0]:
        net.refuse(spaced(controller, moment, 2, 9), account, host, net.controllers[0])


def run_as(net: Network, moment: int, desktop: Desktop, account: Account, *, stay: int) -> Session:
    """A program started under another account: 4648 by the person, a type 2 pair by seclogo that is no desktop."""
    host = desktop.host
    session, at = log_on(
        net,
        moment,
        account,
        host,
        2,
        split=True,
        style=SECLOGO,
        address="::1",
        by=desktop.session,
        opened_by="runas",
    )
    host.truth.hop(session.opened, desktop.session, session, "runas", "switch")
    close(host, at + stay, session)
    return session


def prompt(moment: int, desktop: Desktop, account: Account, *, stay: int | None) -> Session:
    """A UAC prompt with the name and password of an administrator: a logon that the host checks by what it remembers.

    SYSTEM asks (4648), from ::1, and the type 11 logon is no desktop. It goes after `stay`, or with the desktop
    (None): host-belkasoft-win10-domain-member Security 2068 to 2070, 2140 to 2159, and 2302 to 2309 of its logoff.
    """
    host = desktop.host
    session, at = write_logon(
        host,
        moment,
        account,
        11,
        split=False,
        style=_consent(host),
        address="::1",
        guid=ZERO_GUID,
        privileged=True,
        opened_by="uac_prompt",
    )
    host.truth.hop(session.opened, desktop.session, session, "uac_prompt", "switch")
    if stay is None:
        desktop.prompts.append(session)
    else:
        close(host, at + stay, session)
    return session


def mistype_prompt(net: Network, moment: int, desktop: Desktop, account: Account) -> None:
    """A wrong password in a UAC prompt is tried with what the host remembers and then as typed: two 4625.

    host-belkasoft-win10-domain-member Security 2199 and 2200, 2264 and 2265, 2268 and 2269, 5578 and 5579.
    """
    host, style = desktop.host, _consent(desktop.host)
    with host.truth.attempt(moment, account, host, source=None, logon_type=2, reason="wrong_password"):
        for logon_type in (11, 2):
            if logon_type == 2 and host.address:
                moment = spaced(host, moment, 5, 40)
                _refuse(net, moment, account, host, is_locked=False)
            moment = spaced(host, moment, 4, 30)
            records.failed_logon(
                host,
                moment,
                account,
                logon_type,
                style,
                status=0xC000006D,
                sub_status=WRONG_PASSWORD,
                reason="%%2313",
                workstation=host.name,
                address="::1",
                port=0,
            )


def _consent(host: Host) -> Style:
    """The program that shows a UAC prompt, a new process each time."""
    return Style("CredPro", "Negotiate", Caller(rf"{SYSTEM32}\consent.exe", process_id=4 * host.rng.randint(130, 2000)))
