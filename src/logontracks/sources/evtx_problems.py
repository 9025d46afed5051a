"""Problems of the chunks of one source: where they are, in words, and told together where they are alike."""

from __future__ import annotations

import re

from logontracks.sources.envelope import Problem

MAX_PROBLEMS = 200  # of one source told one by one; the rest as a sum


def place(first: int, last: int | None = None) -> str:
    """Chunks in words, as problems tell them."""
    return f"chunk {first}" if last is None or last <= first else f"chunks {first} to {last}"


_CHUNKS = re.compile(r"chunks? (\d+)(?: to (\d+))?")


def condense(problems: list[Problem]) -> list[Problem]:
    """Problems of one source in the order of its chunks; what is said of consecutive chunks is said once.

    No more than MAX_PROBLEMS are told one by one, and the rest as a sum for each kind.
    """
    others: dict[Problem, None] = {}
    places: list[tuple[int, int, Problem]] = []
    for problem in problems:
        match = _CHUNKS.fullmatch(problem.position)
        if match is None:
            others.setdefault(problem)
        else:
            places.append((int(match[1]), int(match[2] or match[1]), problem))
    places.sort(key=lambda each: each[:2])
    merged: list[tuple[int, int, Problem]] = []
    for first, last, problem in places:
        if merged:
            start, end, before = merged[-1]
            if (before.kind, before.what) == (problem.kind, problem.what) and first == end + 1:
                lost = _sum([before, problem])
                merged[-1] = (start, last, Problem(place(start, last), problem.kind, problem.what, lost))
                continue
        merged.append((first, last, problem))
    rest = merged[MAX_PROBLEMS:]
    told = [*others, *(problem for _, _, problem in merged[:MAX_PROBLEMS])]
    for kind in dict.fromkeys(problem.kind for _, _, problem in rest):
        some = [each for each in rest if each[2].kind == kind]
        chunks = sum(last - first + 1 for first, last, _ in some)
        what = f"{chunks} more chunks of these, such as: {some[0][2].what}"
        lost = _sum([problem for _, _, problem in some])
        told.append(Problem(place(some[0][0], some[-1][1]), kind, what, lost))
    return told


def _sum(problems: list[Problem]) -> int | None:
    known = [problem.records_lost for problem in problems if problem.records_lost is not None]
    return sum(known) if known else None
