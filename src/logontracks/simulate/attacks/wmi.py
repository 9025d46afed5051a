"""A program started on a server by way of WMI."""

from logontracks.simulate import records
from logontracks.simulate.attacks import stage
from logontracks.simulate.attacks.stage import Foothold
from logontracks.simulate.cast import Company
from logontracks.simulate.host import MILLISECOND, MINUTE, SECOND, ZERO_GUID, Account, Host, Session
from logontracks.simulate.network import spaced, visit, visit_ntlm
from logontracks.simulate.records import SVCHOST

_WMIC = rf"{records.SYSTEM32}\wbem\WMIC.exe"
_PROVIDER = rf"{records.SYSTEM32}\wbem\WmiPrvSE.exe"


def hop(company: Company, start: int) -> None:
    """Four network logons within a fifth of a second, then the provider's host and the program that it starts.

    Two logons of the administrator by Kerberos, one by NTLM over the same connection, and one of the person who asks,
    under their own name: evtx-attack-samples/LM_WMI_4624_4688_TargetHost.evtx 563285 to 563300. WmiPrvSE is a child of
    svchost that runs as NETWORK SERVICE; the program is its child, and the last logon's session the one it runs in:
    otrf-multihost-json/empire_wmi_dcerpc_wmi_IWbemServices_ExecMethod.zip, WORKSTATION6 768458, 768477 (Target fields
    of 4688 version 2) and 768702; the ends of the others 768692 to 768710.
    """
    net = company.net
    foothold = stage.enter(company, start)
    client, admin = foothold.host, stage.administrator(company, start)
    server = stage.server(company, start)
    at = _ask(company, foothold, admin, server)
    by, person = foothold.session, foothold.person.account
    for stay in (11 * SECOND, 24 * SECOND):
        visit(net, at, admin, client, server, privileged=True, stay=stay, by=by, means="wmi", credential="stolen")
    at += 170 * MILLISECOND
    session = visit_ntlm(
        net, at, admin, client, server, privileged=True, stay=9 * MINUTE, by=by, means="wmi", credential="stolen"
    )
    visit(net, session.opened, person, client, server, stay=24 * SECOND, by=by, means="wmi")
    at = _run(server, spaced(server, session.opened, 20, 40), session)
    foothold.leave(at + 12 * MINUTE)


def _run(server: Host, moment: int, session: Session) -> int:
    """The provider's host, the program in the session, and what the program starts; gives the moment after."""
    service = Session(Account(f"{server.name}$", "S-1-5-20", server.domain.netbios), 5, 0, server, logon_id=0x3E4)
    command = r"C:\Windows\system32\wbem\wmiprvse.exe -secured -Embedding"
    stage.started_for(
        server,
        moment,
        server.system,
        service,
        _PROVIDER,
        parent=stage.SVCHOST,
        command_line=command,
        label=stage.SYSTEM,
    )
    at = spaced(server, moment, 20, 40)
    command = "cmd.exe /Q /c whoami & nltest /dclist:"
    stage.started_for(server, at, service, session, stage.CMD, parent=_PROVIDER, command_line=command)
    for program in ("whoami.exe", "nltest.exe"):
        at = spaced(server, at, 60, 900)
        path = rf"{records.SYSTEM32}\{program}"
        records.process_started(server, at, session, path, parent=stage.CMD, command_line=program)
    return at


def _ask(company: Company, foothold: Foothold, admin: Account, server: Host) -> int:
    """The workstation's side: WMIC with another account's password; gives the moment after.

    Three 4648: for RPCSS by svchost and for host by WMIC with the LogonGuid of the 4769, and one without any GUID that
    has the domain as it was typed: evtx-attack-samples/LM_WMIC_4648_rpcss.evtx 433308 and 433333 to 433350.
    """
    net, client = company.net, foothold.host
    at = stage.later(company, foothold.moment, 20, 60)
    command = rf"wmic /node:{server.name} /user:{admin.name} process call create cmd.exe"
    foothold.run(at, _WMIC, command)
    at = stage.later(company, at, 4, 15)  # the password is typed
    net.sign_in(at - 9 * MILLISECOND, admin, client)
    ticket = net.service_ticket(at - 4 * MILLISECOND, admin, client, server.account, fresh=True)
    wmic = {"ProcessId": client.pid("explorer", at) + 808, "ProcessName": _WMIC}
    svchost = SVCHOST.values(client, at)
    asked = (
        (svchost, f"RPCSS/{server.fqdn}", ticket.guid),
        (wmic, f"host/{server.fqdn}", ticket.guid),
        (wmic, server.fqdn, ZERO_GUID),
    )
    for caller, service, guid in asked:
        records.explicit_credentials(
            client, at, foothold.session, admin, caller, server=server.fqdn, service=service, guid=guid
        )
        at = spaced(client, at, 9, 30)
    return at
