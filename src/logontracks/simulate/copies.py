"""One simulated company many times over: other names, other addresses, other tickets, another hour.

Each copy is a company of its own, so that nothing in one points into another. Memory is that of one company, however
many copies there are.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logontracks.simulate.truth import Truth

MOST = 200  # copies: each has a second octet of its own in its addresses

_SHIFT_US = 97_000_001  # one copy after the other: nothing happens at the same moment in two
_UNIQUE = {"logon_guid", "request_ticket_hash", "response_ticket_hash"}  # random: their first characters tell the copy
_TELLING = 8  # characters; so many hardly ever stand first in a random one of the company itself
_NUMBERS = ("session", "parent_session", "from_session", "to_session", "attempt", "authentication", "hop", "uid")
_RENAMED = re.compile(r"name|domain|computer|host|sid|workstation|address|server|account|person|info|detail|group")
_AS_IT_IS = {"logon_process", "auth_package", "process_name", "provider", "channel", "form", "share_name", "opened_by"}


class Copy(NamedTuple):
    """The `number`-th of the copies; 0 is the company itself."""

    number: int
    rename: Callable[[str], str]


def copies(truth: Truth, count: int) -> Iterator[Copy]:
    """So many companies. ValueError for more than there are addresses for."""
    if count > MOST:
        raise ValueError(f"{count} copies of a company are too many; {MOST} are the most")
    for number in range(count):
        yield Copy(number, _renamer(truth, number))


def _renamer(truth: Truth, number: int) -> Callable[[str], str]:
    """What a text of the company is in a copy: hosts, domains, SIDs and addresses are others."""
    if not number:
        return str
    tag = f"-{number}"
    others: dict[str, str] = {}
    for host in truth.hosts:
        domain = host.domain
        others[host.link_local] = f"{host.link_local[:-4]}{number:04x}"
        for name in (host.name, *(before.partition(".")[0] for _, before in host.former)):
            others[name] = f"{name}{tag}"
            others[name.lower()] = f"{name.lower()}{tag}"
        others[domain.netbios] = f"{domain.netbios}{tag}"
        others[domain.netbios.lower()] = f"{domain.netbios.lower()}{tag}"
    for account in truth.accounts():
        issuer = account.sid.rpartition("-")[0]
        others[issuer] = f"{issuer[:-3]}{number:03}"
    networks = {f"10.{octet}.": f"{10 + more}.{number + 30}." for more, octet in enumerate((20, 30))}
    known = "|".join(map(re.escape, sorted(others, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w.-])(?:(?:{known})(?![A-Za-z0-9])|{'|'.join(map(re.escape, networks))})")
    others |= networks

    def rename(text: str) -> str:
        return pattern.sub(lambda found: others[found[0]], text)

    return rename


def copied(table: pa.Table, copy: Copy) -> pa.Table:
    """The rows of a table as the copy has them."""
    if not copy.number:
        return table
    columns = []
    for kind, column in zip(table.schema, table.columns, strict=True):
        name, changed = kind.name, column
        if column.null_count == len(column):
            pass
        elif pa.types.is_timestamp(kind.type):
            changed = pc.add(column, pa.scalar(copy.number * _SHIFT_US, pa.duration("us")))
        elif name in _NUMBERS:
            changed = pc.add(column, pa.scalar(copy.number << 32, pa.int64()))
        elif name in _UNIQUE:
            rest = pc.utf8_slice_codeunits(column, _TELLING)
            changed = pc.binary_join_element_wise(pa.scalar(f"{copy.number:0{_TELLING}x}"), rest, "")
        elif pa.types.is_string(kind.type) and _RENAMED.search(name) and name not in _AS_IT_IS:
            changed = _renamed(column, copy.rename)
        columns.append(changed.cast(kind.type))
    return pa.Table.from_arrays(columns, schema=table.schema)


def _renamed(column: pa.ChunkedArray, rename: Callable[[str], str]) -> pa.ChunkedArray:
    """Each distinct text is changed once."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    texts = pa.array([rename(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([texts.take(encoded.indices)])


def write_copies(folder: Path, tables: Mapping[str, pa.Table], truth: Truth, count: int) -> None:
    """Write FOLDER/<table>/<number>.parquet for each table of each copy."""
    for name in tables:
        (folder / name).mkdir(parents=True)
    for copy in copies(truth, count):
        for name, table in tables.items():
            path = folder / name / f"{copy.number:03}.parquet"
            pq.write_table(copied(table, copy), path, compression="zstd", row_group_size=122_880)


def write_truth(folder: Path, truth: Truth, count: int) -> None:
    """Write FOLDER/<table>.parquet with the rows of all copies."""
    folder.mkdir(parents=True)
    for name, table in truth.tables().items():
        with pq.ParquetWriter(folder / f"{name}.parquet", table.schema) as writer:
            for copy in copies(truth, count):
                writer.write_table(copied(table, copy))
