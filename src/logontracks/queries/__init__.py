"""The questions that the faces ask of a case. Every face gets its answer from here, so all tell the same."""

from logontracks.queries.answer import Answer
from logontracks.queries.authentications import AuthenticationFilter, By, FailureFilter, authentications, failures
from logontracks.queries.coverage import blind_spots, coverage, logs, policy
from logontracks.queries.events import EventFilter, events
from logontracks.queries.explain import Explanation, explain
from logontracks.queries.info import Info, info, problems
from logontracks.queries.lists import accounts, boots, evidence, hosts
from logontracks.queries.paths import PathFilter, addresses, hops, links, tracks
from logontracks.queries.sessions import REASONS, SessionFilter, at_the_end, presence, sessions, who_was_on
from logontracks.queries.sql import sql
from logontracks.queries.track import Track, track

__all__ = [
    "REASONS",
    "Answer",
    "AuthenticationFilter",
    "By",
    "EventFilter",
    "Explanation",
    "FailureFilter",
    "Info",
    "PathFilter",
    "SessionFilter",
    "Track",
    "accounts",
    "addresses",
    "at_the_end",
    "authentications",
    "blind_spots",
    "boots",
    "coverage",
    "events",
    "evidence",
    "explain",
    "failures",
    "hops",
    "hosts",
    "info",
    "links",
    "logs",
    "policy",
    "presence",
    "problems",
    "sessions",
    "sql",
    "track",
    "tracks",
    "who_was_on",
]
