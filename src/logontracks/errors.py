"""What can go wrong that a user can act on. Everything else is a bug and keeps its traceback."""

from __future__ import annotations


class Error(Exception):
    """Base of all. `hint` tells the user what to try; `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class UsageError(Error):
    """The question itself is wrong: an unknown zone, a time that cannot be read, a name that no case knows."""

    exit_code = 2


class SourceError(Error):
    """A source cannot be read at all."""

    exit_code = 3


class CaseError(Error):
    """The case cannot be used: locked, of a newer format, no space, not writable, not there."""

    exit_code = 5


class QueryError(Error):
    """A query that `sql` does not take, or that failed."""

    exit_code = 2
