"""What all commands share: --case, --format, --since ... as decorators, times in and out, messages and exit codes.

Only the standard library and click are loaded with this module: `logontracks --help` shall not wait for pyarrow.
"""

from __future__ import annotations

import difflib
import errno
import functools
import io
import os
import re
import secrets
import stat
import sys
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

import click

from logontracks.errors import Error, QueryError, UsageError

Format = Literal["table", "json", "jsonl", "csv", "parquet"]
Clock = Callable[[int], str]  # microseconds since 1970 UTC, to text
R = TypeVar("R")
T = TypeVar("T")

INTERRUPTED = 130  # exit code
TABLE_ROWS = 1000  # a table is for reading; the other formats have no limit unless one is given

_BY_ENDING: dict[str, Format] = {".json": "json", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?) ?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)
_TIME_HINT = "Write 2026-10-05, 2026-10-05T08:12 or 2026-10-05T08:12:44.5+02:00."


@dataclass(frozen=True, slots=True)
class View:
    """How a table is wanted.

    `output` None is stdout; `limit` None is all; `total` is how many rows there are, None when nobody counted.
    `tz` is for display only: stored times are UTC. `microseconds` is for tables; the other formats always have them.
    """

    format: Format = "table"
    output: Path | None = None
    tz: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    limit: int | None = None
    total: int | None = None
    microseconds: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a case. `since` (included) and `until` (excluded) are UTC without a zone; None is open."""

    case: Path
    view: View
    since: datetime | None = None
    until: datetime | None = None

    @property
    def limit(self) -> int | None:
        """Most rows to show. `render` keeps it too, and tells that there are more: ask the engine for one above it."""
        return self.view.limit


# Options


_CASE = click.option(
    "--case",
    metavar="DIR",
    type=click.Path(path_type=Path),
    envvar="LOGONTRACKS_CASE",
    default=Path("case"),
    help="Folder of the case.  [default: $LOGONTRACKS_CASE, else ./case]",
)
_VIEW = (
    click.option(
        "--format",
        "form",
        type=click.Choice(get_args(Format)),
        help="Form of the answer.  [default: as the name of --output ends, else table]",
    ),
    click.option(
        "--output",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Write to FILE, which appears when it is complete; - is stdout.",
    ),
    click.option("--limit", type=click.IntRange(min=0), help=f"Most rows, 0 for all.  [default: table {TABLE_ROWS}]"),
    click.option(
        "--tz", "zone", metavar="ZONE", default="UTC", help="Zone of times, as Europe/Berlin.  [default: UTC]"
    ),
    click.option("--microseconds", is_flag=True, help="Times in tables to the microsecond."),
)
_PERIOD = (
    click.option("--since", metavar="TIME", help="From this time on: 2026-10-05, 2026-10-05T08:12, in --tz or +02:00."),
    click.option("--until", metavar="TIME", help="Up to this time, it left out; a day is taken to its end."),
)


def with_case(command: Callable[..., R]) -> Callable[..., R]:
    """Gives the command `case: Path`."""
    return _CASE(command)


def with_view(command: Callable[..., R]) -> Callable[..., R]:
    """Gives the command `view: View`, from --format, --output, --limit, --tz and --microseconds."""

    @functools.wraps(command)
    def viewed(*args: Any, form: Format | None, output: Path | None, limit: int | None, **rest: Any) -> R:
        return command(*args, view=_view(form, output, limit, rest.pop("zone"), rest.pop("microseconds")), **rest)

    return _add(viewed, *_VIEW)


def with_query(command: Callable[..., R]) -> Callable[..., R]:
    """Gives the command `query: Query`: the case, the view and the period."""

    @with_view
    @functools.wraps(command)
    def asked(*args: Any, case: Path, view: View, since: str | None, until: str | None, **rest: Any) -> R:
        begin = read_time(since, view.tz) if since is not None else None
        end = read_time(until, view.tz, end=True) if until is not None else None
        if begin is not None and end is not None and begin >= end:
            raise UsageError("--until is not after --since", "Both are read in --tz unless they carry an offset.")
        return command(*args, query=Query(case, view, begin, end), **rest)

    return _add(asked, _CASE, *_PERIOD)


def texts(name: str, metavar: str, text: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """An option that may be given again; the command gets them all as a tuple under its plural."""
    plural = name + ("es" if name.endswith("s") else "s")
    return click.option(f"--{name}", plural, metavar=metavar, multiple=True, callback=said, help=text)


def said(ctx: click.Context, parameter: click.Parameter, value: T) -> T:  # noqa: ARG001 - click calls it so
    """A callback for names: an empty one is a variable of a script that was never set, and no wish for everything."""
    if any(isinstance(one, str) and not one.strip() for one in (value if isinstance(value, tuple) else (value,))):
        what = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name.strip("[].")
        raise UsageError(f"{what} is empty", "Name something, or leave it out.")
    return value


class Number(click.FloatRange):
    """A number within bounds; `nan` is within none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:  # noqa: PLR0124 - that is what nan is
            self.fail(f"{value!r} is no number", param, ctx)
        return number


def path_options(command: Callable[..., R]) -> Callable[..., R]:
    """What hops and tracks are chosen by."""
    return _add(
        command,
        texts("user", "NAME", "Account on the way: name, DOMAIN\\name, name@domain or SID; * fits anything."),
        click.option(
            "--from",
            "sources",
            metavar="HOST",
            multiple=True,
            callback=said,
            help="Machine it came from, of a track any on its way; * fits anything.",
        ),
        click.option(
            "--to",
            "targets",
            metavar="HOST",
            multiple=True,
            callback=said,
            help="Host it went to, of a track any on its way; * fits anything.",
        ),
        click.option("--switches", is_flag=True, help="Only where the account changed."),
        click.option(
            "--min-certainty",
            "certainty",
            type=Number(0, 1),
            default=0.0,
            metavar="SHARE",
            help="Only what is at least so sure, 0 to 1.",
        ),
    )


def _add(command: Callable[..., R], *options: Callable[[Callable[..., R]], Callable[..., R]]) -> Callable[..., R]:
    """Options in the order that --help shall show."""
    for option in reversed(options):
        command = option(command)
    return command


def _view(form: Format | None, output: Path | None, limit: int | None, zone: str, microseconds: bool) -> View:
    if output == Path("-"):
        output = None
    if form is None:
        form = _BY_ENDING.get(output.suffix.lower(), "table") if output else "table"
    if limit is None and form == "table":
        limit = TABLE_ROWS
    if limit is not None and limit >= sys.maxsize:
        limit = None  # more rows than any engine counts
    return View(form, output, read_zone(zone), limit or None, microseconds=microseconds)


# Times


def read_zone(name: str) -> ZoneInfo:
    """Zone of an IANA name, in any case. Raises UsageError with names that are like it."""
    with suppress(zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(name)
    names = sorted(zoneinfo.available_timezones())
    spellings = {one.rpartition("/")[2].casefold(): one for one in names} | {one.casefold(): one for one in names}
    wanted = name.strip().casefold().replace(" ", "_")
    if wanted in spellings and (spellings[wanted].casefold() == wanted):
        return ZoneInfo(spellings[wanted])
    near = dict.fromkeys(spellings[one] for one in difflib.get_close_matches(wanted, spellings, 3))
    hint = f"Did you mean {' or '.join(near)}?" if near else "Zones are named like Europe/Berlin or UTC."
    raise UsageError(f"no time zone {name!r}", hint)


def read_time(text: str, tz: ZoneInfo, *, end: bool = False) -> datetime:
    """A time as a user writes it, to UTC without a zone; read in `tz` when it has no offset of its own.

    A day is its first moment, also where clocks skip midnight; with `end` it is the first moment of the day after.
    What lies beyond the calendar is its first or last moment. Raises UsageError for what is no time, and for a time of
    day that clocks skip or show twice.
    """
    found = _TIME.fullmatch(text.strip())
    wrong = UsageError(f"{text!r} is no time", _TIME_HINT)
    if not found:
        raise wrong
    try:
        if not found["clock"]:
            day = datetime.fromisoformat(found["day"]) + timedelta(days=end)
            return day.replace(tzinfo=tz).astimezone(UTC).replace(tzinfo=None)
        moment = datetime.fromisoformat(f"{found['day']}T{found['clock']}{(found['zone'] or '').upper()}")
        local = moment if moment.tzinfo else _once(moment, tz)
        return local.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return datetime.max if found["day"] >= "9999" else datetime.min  # noqa: DTZ901 - UTC without a zone
    except ValueError:
        raise wrong from None


def _once(moment: datetime, tz: ZoneInfo) -> datetime:
    """The moment in the zone, when clocks there show it exactly once."""
    early, late = (moment.replace(tzinfo=tz, fold=fold) for fold in (0, 1))
    if early.utcoffset() == late.utcoffset():
        return early
    there = early.astimezone(UTC).astimezone(tz)
    if there.replace(tzinfo=None) != moment:
        raise UsageError(
            f"there is no {moment} in {tz.key}: the clocks skipped it", f"{there.isoformat()} is the same moment."
        )
    raise UsageError(
        f"{moment} came twice in {tz.key}: the clocks went back",
        f"Say which: {early.isoformat()} or {late.isoformat()}.",
    )


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of a naive UTC time, as clocks want them."""
    return (moment.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def iso_clock(tz: ZoneInfo) -> Clock:
    """2026-10-05T08:12:44.000000Z, or with the offset of the zone; also Z where that has odd seconds."""

    def iso(microseconds: int) -> str:
        try:
            moment = _zoned(microseconds, tz)
        except OverflowError:
            return f"{microseconds} us"
        text = moment.isoformat(timespec="microseconds")
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text

    return iso


def wall_clock(tz: ZoneInfo, timespec: str = "seconds") -> Clock:
    """2026-10-05 08:12:44; a time that comes twice, when the clocks go back, has its offset behind it."""

    def wall(microseconds: int) -> str:
        try:
            moment = _zoned(microseconds, tz)
        except OverflowError:
            return f"{microseconds} us"
        twice = moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()
        told = moment if twice or moment.tzinfo is not tz else moment.replace(tzinfo=None)
        return told.isoformat(" ", timespec)

    return wall


def _zoned(microseconds: int, tz: ZoneInfo) -> datetime:
    """The moment in the zone; in UTC where the zone leaves the calendar or has odd seconds (before about 1900).

    Raises OverflowError when UTC leaves the calendar too.
    """
    moment = _EPOCH + timedelta(microseconds=microseconds)
    with suppress(OverflowError):
        there = moment.astimezone(tz)
        if not (there.utcoffset() or timedelta()) % timedelta(minutes=1):
            return there
    return moment


# Output


class _PipeClosedError(Exception):
    """Whoever read our stdout has gone."""


class Sink:
    """Where the bytes go. Counts them, as a pipe cannot tell, and puts into words what the system refuses."""

    closed = False

    def __init__(self, file: BinaryIO, name: str, *, pipe: bool = False) -> None:
        self._file, self._name, self._pipe, self._written = file, name, pipe, 0

    def write(self, data: Any) -> int:
        with self.told():
            self._file.write(data)
        self._written += len(data)
        return len(data)

    def flush(self) -> None:
        with self.told():
            self._file.flush()

    def tell(self) -> int:
        return self._written

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""

    @contextmanager
    def told(self) -> Iterator[None]:
        """What the system refuses in the block becomes an Error."""
        try:
            yield
        except OSError as error:
            gone = error.errno == errno.EPIPE or (os.name == "nt" and error.errno == errno.EINVAL)
            if self._pipe and gone:
                raise _PipeClosedError from error
            hint = "Choose a place with more space." if error.errno == errno.ENOSPC else ""
            raise Error(f"cannot write {self._name}: {error.strerror}", hint) from error


@contextmanager
def _standard_output() -> Iterator[Sink]:
    """Stdout as bytes: UTF-8 and plain line ends on every system. A closed pipe ends the block, and no more is said."""
    try:
        sys.stdout.flush()
        sink = Sink(sys.stdout.buffer, "to stdout", pipe=True)
        yield sink
        sink.flush()
    except (_PipeClosedError, BrokenPipeError):
        # What is still in the buffers has to go somewhere, or Python complains when it ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _file(path: Path) -> Iterator[Sink]:
    """A file that appears when it is complete; what is no regular file (/dev/null, a pipe) is written as it is."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode) or path.is_dir()
    except OSError:
        regular = True
    goal = Path(os.path.realpath(path)) if regular else path
    if os.path.isdir(goal):  # noqa: PTH112 - Path.is_dir raises where the folder around it may not be looked into
        raise UsageError(f"{path} is a folder", f"Name a file in it, such as {path / 'sessions.csv'}.")
    part = goal.with_name(f".{secrets.token_hex(8)}.part") if regular else goal
    try:
        file = part.open("xb" if regular else "wb")
    except OSError as error:
        hint = "Make the folder first." if error.errno == errno.ENOENT else "Choose another place."
        raise UsageError(f"cannot write {path}: {error.strerror}", hint) from error
    sink = Sink(file, str(path))
    try:
        yield sink
        sink.flush()
        with sink.told():
            if regular:
                os.fsync(file.fileno())
            file.close()
            if regular:
                part.replace(goal)
    except BaseException:
        with suppress(OSError):  # what is in the buffer cannot be written either
            file.close()
        if regular:
            part.unlink(missing_ok=True)
        raise


def opened(path: Path | None) -> AbstractContextManager[Sink]:
    """Stdout for None, else the file, which appears at the end of the block unless the block raises."""
    return _standard_output() if path is None else _file(path)


# Messages


# Printable by their category, and yet nothing to see: fillers, joiners, variation selectors, empty braille.
_UNSEEN = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4\U0001d159"
    r"\U000e0100-\U000e01ef]"
)
_MOST_MARKS = 3  # combining marks on one letter; more reach into the lines above and below


def visible(text: str) -> str:
    """The text with all that a terminal could act on or the eye cannot see spelled out: \\x1b, \\u202e, \\U000e0041."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(piece for piece, _ in pieces(text))


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Each character as it is shown, and whether it had to be spelled out.

    Also spelled out is a combining mark that has no letter to stand on, or too many below it.
    """
    marks = _MOST_MARKS
    for char in text:
        marks = marks + 1 if unicodedata.category(char).startswith("M") else 0
        if marks <= _MOST_MARKS and is_seen(char):
            yield char, False
        else:
            code = ord(char)
            yield (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"), True


def is_seen(char: str) -> bool:
    """isprintable() is False for Cc, Cf, Cs, Co, Cn, Zl, Zp and every blank but the space."""
    return char.isprintable() and not _UNSEEN.match(char)


def say(text: str) -> None:
    """One message on stderr, on one line and made visible: a name in it may hold anything, line ends too."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def report(error: BaseException) -> int:
    """Tell what went wrong, and the exit code that says so. What is no error of the user's is raised again: a bug."""
    match error:
        case Error():
            # what the engine says of a query shows the place in it below
            first, *more = str(error).split("\n") if isinstance(error, QueryError) else [str(error)]
            hint = [f"Hint: {error.hint}"] if error.hint else []
            for line in (f"Error: {first}", *(f"       {each}" for each in more), *hint):
                say(line)
            return error.exit_code
        case KeyboardInterrupt() | click.Abort():
            say("Interrupted.")
            return INTERRUPTED
        case RuntimeError() if str(error) == "Query interrupted":  # what DuckDB makes of a Ctrl-C
            say("Interrupted.")
            return INTERRUPTED
        case click.ClickException():
            told = io.StringIO()
            error.show(told)
            message = "" if isinstance(error, click.exceptions.NoArgsIsHelpError) else error.message  # that is the help
            for line in told.getvalue().replace(message, visible(message)).removesuffix("\n").split("\n"):
                say(line)
            return error.exit_code
        case _:
            raise error


def run(command: click.Command, arguments: list[str] | None = None) -> int:
    """Run a command of the command line (None: with the arguments of the process); its exit code."""
    try:
        code = command.main(arguments, prog_name="logontracks", standalone_mode=False)
    except (Error, click.ClickException, click.Abort, KeyboardInterrupt, RuntimeError) as error:
        return report(error)
    return code if isinstance(code, int) else 0
