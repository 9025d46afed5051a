"""The questions that the faces ask of a case. Every face gets its answer from here, so all tell the same."""

from logontracks.queries.answer import Answer
from logontracks.queries.events import EventFilter, events
from logontracks.queries.info import Info, info, problems
from logontracks.queries.lists import accounts, boots, evidence, hosts
from logontracks.queries.sessions import REASONS, SessionFilter, at_the_end, presence, sessions, who_was_on
from logontracks.queries.sql import SQL_SECONDS, sql

__all__ = [
    "REASONS",
    "SQL_SECONDS",
    "Answer",
    "EventFilter",
    "Info",
    "SessionFilter",
    "accounts",
    "at_the_end",
    "boots",
    "events",
    "evidence",
    "hosts",
    "info",
    "presence",
    "problems",
    "sessions",
    "sql",
    "who_was_on",
]
