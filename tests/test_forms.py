"""The normal forms, one by one: what logs write, and what becomes of it."""

# ruff: noqa: DTZ001 - columns hold UTC without saying so
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logontracks import forms, schema
from logontracks.schema import Form

ABSENT = ["", "-", " ", " - ", "\t-\r\n", "\0", "(NULL)"]

CASES: dict[Form, list[tuple[str, Any]]] = {
    Form.TEXT: [
        ("alice", "alice"),
        ("Advapi  ", "Advapi"),
        ("NtLmSsp ", "NtLmSsp"),
        ("\tUser32\r\n", "User32"),
        ("a b", "a b"),
        ("--", "--"),
        ("NULL", "NULL"),  # may be a name
        ("-\u202e", "-\u202e"),
        ("\u00a0", "\u00a0"),  # a name can be made of it
        ("ALICE", "ALICE"),
    ],
    Form.SID: [
        ("S-1-5-18", "S-1-5-18"),
        ("S-1-0-0", None),
        ("%{S-1-5-21-1-2-3-500}", "S-1-5-21-1-2-3-500"),
        ("%{S-1-0-0}", None),
        ("S-1-5-21-1-2-3-500 ", "S-1-5-21-1-2-3-500"),
    ],
    Form.GUID: [
        ("{6A3B1B52-0C7F-4B3E-9F41-2D2F0D7A1C11}", "6a3b1b52-0c7f-4b3e-9f41-2d2f0d7a1c11"),
        ("6a3b1b52-0c7f-4b3e-9f41-2d2f0d7a1c11", "6a3b1b52-0c7f-4b3e-9f41-2d2f0d7a1c11"),
        ("{00000000-0000-0000-0000-000000000000}", None),
        ("00000000-0000-0000-0000-000000000000", None),
        ("0x0", None),
        ("6a3b1b52", None),
    ],
    Form.LOGON_ID: [
        ("0x3e7", 999),
        ("0x3E7", 999),
        ("0X3E7", 999),
        ("999", 999),
        (" 0x3e7 ", 999),
        ("0x0", None),
        ("0", None),
        ("0x8000000000000000", -(1 << 63)),
        ("0xFFFFFFFFFFFFFFFF", -1),
        ("18446744073709551615", -1),
        ("0x7fffffffffffffff", (1 << 63) - 1),
        ("0x10000000000000000", None),
        ("(0x0,0x3E7)", 999),
        ("(0x0, 0x3E7)", 999),
        ("(0x1,0x2)", (1 << 32) + 2),
        ("(0x0,0x0)", None),
        ("(0x0)", None),
        ("(0x0,0xxxxx)", None),
        ("0xxxxxxxxxx", None),
        ("alice", None),
        ("1_000", None),
        ("0x1_0", None),
    ],
    Form.INTEGER: [
        ("3", 3),
        ("0", 0),
        ("0x0", 0),
        ("0xC000006D", 0xC000006D),
        ("0xc000006d", 0xC000006D),
        ("3221225581", 0xC000006D),
        ("-1073741718", -1073741718),
        ("0xFFFFFFFF", 0xFFFFFFFF),
        ("0x500ff", 0x500FF),
        ("18363", 18363),
        ("10.00.", None),
        ("%%1538", None),
        ("1_000", None),
        ("0x", None),
        ("9" * 5000, None),
        ("0x" + "f" * 5000, None),
    ],
    Form.PORT: [("49711", 49711), ("0", None), ("65535", 65535), ("65536", None), ("-1", None), ("0xC22F", 49711)],
    Form.ADDRESS: [
        ("10.0.0.5", "10.0.0.5"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("::FFFF:10.0.0.5", "10.0.0.5"),
        ("10.0.0.5:49711", "10.0.0.5"),
        ("[::ffff:10.0.0.5]:49711", "10.0.0.5"),
        ("::1", "::1"),
        ("fe80::1%12", "fe80::1"),
        ("FE80::1%eth0", "fe80::1"),
        ("::%16777216", "::"),
        ("[fe80::1%12]:3389", "fe80::1"),
        ("[2001:DB8::5]:3389", "2001:db8::5"),
        (" 10.0.0.5 ", "10.0.0.5"),
        ("LOCAL", "LOCAL"),
        ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - nothing is bound to it
        ("Not an address", "Not an address"),
    ],
    Form.YES_NO: [
        ("%%1842", True),
        ("%%1843", False),
        ("true", True),
        ("False", False),
        ("1", True),
        ("0", False),
        ("%%1844", None),
        ("maybe", None),
    ],
    Form.PERCENT_ID: [("%%2313", 2313), (" %%2304 ", 2304), ("2313", 2313), ("Unknown user name", None)],
    Form.TIME: [
        ("2026-10-01T09:30:00Z", datetime(2026, 10, 1, 9, 30)),
        ("2026-10-01T09:30:00.123456Z", datetime(2026, 10, 1, 9, 30, 0, 123456)),
        ("2026-10-01T09:30:00.1234567Z", datetime(2026, 10, 1, 9, 30, 0, 123456)),
        ("2026-10-01T11:30:00+02:00", datetime(2026, 10, 1, 9, 30)),
        ("1601-01-01T00:00:00Z", datetime(1601, 1, 1)),
        ("2026-10-01T09:30:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("9:30:00 AM", None),
        ("16:25:30.1230000", None),
    ],
    Form.ACCOUNT_NAME: [
        ("CORP\\alice", "alice"),
        ("alice@CORP.LOCAL", "alice"),
        ("alice@corp.com@CORP.LOCAL", "alice@corp.com"),
        ("alice", "alice"),
        (".\\alice", "alice"),
        ("CORP\\", None),
        ("CORP\\al@ice", "al@ice"),
        ("corp.local/Users/Alice Smith", None),
        ("host/ws1.corp.local", None),
    ],
    Form.ACCOUNT_DOMAIN: [
        ("CORP\\alice", "CORP"),
        ("alice@CORP.LOCAL", "CORP.LOCAL"),
        ("alice@corp.com@CORP.LOCAL", "CORP.LOCAL"),
        ("alice", None),
        ("\\alice", None),
        ("CORP\\al@ice", "CORP"),
        ("corp.local/Users/Alice Smith", None),
    ],
    Form.REALM: [
        ("krbtgt/CORP.LOCAL", "CORP.LOCAL"),
        ("krbtgt/corp", "corp"),
        ("KRBTGT/CORP", "CORP"),
        ("krbtgt", None),
        ("krbtgt/", None),
        ("cifs/fs01", None),
    ],
    Form.SERVER: [
        ("fs01", "fs01"),
        ("cifs/fs01.corp.local", "fs01.corp.local"),
        ("TERMSRV/10.0.0.5", "10.0.0.5"),
        ("MSSQLSvc/db1.corp.local:1433", "db1.corp.local"),
        ("ldap/dc1.corp.local/CORP.LOCAL", "dc1.corp.local"),
        ("fs01/wsman?PSVersion=5.1.17763.1", "fs01"),
        ("http://fs01:5985/wsman", "fs01"),
        ("TERMSRV/fe80::1", "fe80::1"),
        ("localhost", "localhost"),
    ],
    Form.IMPERSONATION: [
        ("%%1831", "anonymous"),
        ("%%1832", "identification"),
        ("%%1833", "impersonation"),
        ("%%1840", "delegation"),
        ("%%1834", "%%1834"),
    ],
    Form.LIST: [
        ("SeSecurityPrivilege\r\n\t\t\tSeBackupPrivilege", "SeSecurityPrivilege SeBackupPrivilege"),
        ("\r\n\t\t%{S-1-5-21-1-2-3-513}\r\n\t\t%{S-1-1-0}", "S-1-5-21-1-2-3-513 S-1-1-0"),
        ("\n\t\tAES256-CTS-HMAC-SHA1-96\n\t\tRC4-HMAC-NT", "AES256-CTS-HMAC-SHA1-96 RC4-HMAC-NT"),
        ("18  17  23", "18 17 23"),
    ],
    Form.PORT_BEHIND: [
        ("10.0.0.5:49711", 49711),
        ("[fe80::1%12]:49711", 49711),
        ("10.0.0.5:0", None),
        ("10.0.0.5", None),
        ("fe80::1", None),
        ("::ffff:10.0.0.5", None),
    ],
    Form.UNEXPECTED_STOP: [
        (
            "E4070800050007000C0032001D00E100E407080005000700130032001D00E100600900003C00000001000000",
            datetime(2020, 8, 7, 19, 50, 29, 225000),
        ),
        ("E4070800050007000C0032001D00E100", None),
        ("00" * 32, None),
        ("no bytes", None),
    ],
}


@pytest.mark.parametrize(
    ("form", "written", "expected"), [(form, *case) for form, cases in CASES.items() for case in cases]
)
def test_form(form, written, expected):
    make, kind = forms.FORMS[form]
    value = make(written)
    assert value == expected
    assert type(value) is type(expected)
    pa.array([value], kind)  # it fits


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("written", ABSENT)
def test_absent_is_none(form, written):
    assert forms.FORMS[form][0](written) is None


def test_every_form_is_here():
    assert set(CASES) == set(forms.FORMS) == set(Form)


def test_every_column_has_the_type_of_its_form():
    plain = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us")}
    for column in schema.COLUMNS:
        if column.form:
            kind = forms.FORMS[column.form][1]
            narrower = pa.types.is_integer(kind) and column.type in {"INTEGER", "SMALLINT"}
            assert kind == plain.get(column.type) or narrower, column


SPICE = st.sampled_from(["0x", "(", ",", "%%", "%{", "}", "S-1-", ":", "::", "[", "]", "\\", "@", "/", "-", "_", "\0"])
HOSTILE = st.lists(st.one_of(st.text(max_size=8), st.integers().map(str), SPICE), max_size=8).map("".join)


@pytest.mark.parametrize("form", Form)
@given(written=HOSTILE)
def test_no_text_breaks_a_form(form, written):
    make, kind = forms.FORMS[form]
    pa.array([make(written)], kind)


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_any_spelling_of_a_logon_id_is_one_value(logon_id):
    high, low = divmod(logon_id, 1 << 32)
    spellings = [f"0x{logon_id:x}", f"0x{logon_id:X}", str(logon_id), f"(0x{high:X},0x{low:X})", f"0x{logon_id:016x}"]
    values = {forms.logon_id(spelling) for spelling in spellings}
    assert values == {(logon_id - (1 << 64) if logon_id >> 63 else logon_id) or None}


@given(
    st.datetimes(min_value=datetime(1602, 1, 1), max_value=datetime(2200, 1, 1)),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_times_become_utc(moment, minutes):
    local = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes)))
    assert forms.time(local.isoformat()) == moment


@given(st.ip_addresses(v=4).map(str), st.integers(min_value=1, max_value=65535))
def test_all_spellings_of_an_address_are_one(address, port):
    for spelling in (address, f"::ffff:{address}", f"{address}:{port}", f"[::ffff:{address}]:{port}"):
        assert forms.address(spelling) == address
    assert forms.port_behind(f"{address}:{port}") == port


@given(st.ip_addresses(v=6).map(str), st.integers(min_value=1, max_value=65535))
def test_all_spellings_of_an_ipv6_address_are_one(address, port):
    for spelling in (address, address.upper(), f"{address}%12", f"[{address}]:{port}", f"[{address}%5]:{port}"):
        assert forms.address(spelling) == forms.address(address)
    assert forms.port_behind(f"[{address}]:{port}") == port
