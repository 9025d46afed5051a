"""Damaged files: pieces that were overwritten, and ends that are missing; and which records that costs."""

import struct
from collections.abc import Sequence
from pathlib import Path

from logontracks.simulate.logs import Log
from logontracks.simulate.mess import Mess
from logontracks.simulate.truth import Truth

_HEADER_BYTES, _CHUNK_BYTES = 4096, 65_536
_NUMBERS = struct.Struct("<8sQQ")  # of a chunk: its mark, and the numbers in the file of its first and last record


def damage(mess: Mess, files: Sequence[tuple[Path, Log]], truth: Truth) -> list[Log]:
    """Damage some EVTX files of more than one chunk; gives the logs as far as they can still be read."""
    long = [(path, log) for path, log in files if path.stat().st_size > _HEADER_BYTES + 2 * _CHUNK_BYTES]
    chosen = {path for path, _ in mess.rng.sample(long, max(1, len(long) * mess.amount // 12))} if long else set()
    return [_hurt(mess, path, log, truth) if path in chosen else log for path, log in files]


def _hurt(mess: Mess, path: Path, log: Log, truth: Truth) -> Log:
    chunks = (path.stat().st_size - _HEADER_BYTES) // _CHUNK_BYTES
    number = mess.rng.randrange(chunks)
    cut = mess.rng.random() < 0.3
    start = _HEADER_BYTES + number * _CHUNK_BYTES
    with path.open("r+b") as file:
        file.seek(start)
        _, first, last = _NUMBERS.unpack(file.read(_NUMBERS.size))
        if cut:
            file.truncate(start + mess.rng.randrange(1, 512))  # within the header of the chunk: nothing of it is left
        else:
            file.seek(start)
            file.write(bytes(_CHUNK_BYTES))
    gone = log.records[first - 1 :] if cut else log.records[first - 1 : last]
    kept = list(log.records[: first - 1]) + ([] if cut else list(log.records[last:]))
    what = f"{log.channel}: the end from chunk {number} on" if cut else f"{log.channel}: chunk {number}"
    moments = [written.moment for written in gone]
    truth.spoiled("damage", log.host, what, since=min(moments), until=max(moments), amount=len(gone))
    return Log(log.host, log.channel, kept, log.first_id)
