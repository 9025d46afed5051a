# ruff: noqa: INP001, T201 - a script beside the pages it writes, which says what it does
"""Runs the examples of the pages, and puts what they show into the pages and into the picture of the README.

python docs/examples.py. The examples ask the case that `make demo` makes. In a page

- a block of `console` is commands, each after `$ `, and what they write to stdout: run and compared. `| head -N` after
  one keeps the first lines;
- a block of `sh` is commands alone: run;
- a block behind a comment `not run: ...` is not run, for that reason.

tests/test_docs.py runs the same and fails where a page shows anything else.
"""

from __future__ import annotations

import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "_static" / "night.svg"
ROOM = 120  # columns of the picture: more could not be read in a page

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page. `reason` says why it is not run; `begin` and `end` are the place of its body in the page."""

    language: str
    body: str
    reason: str | None
    begin: int
    end: int

    @property
    def examples(self) -> list[tuple[str, str | None]]:
        """Its commands, each with what the page shows of it; None where it shows nothing."""
        if self.language == "sh":
            lines = (line.strip() for line in self.body.splitlines())
            return [(line, None) for line in lines if line and not line.startswith("#")]
        if self.language == "console":
            _, *parts = re.split(r"^\$ (.+)\n", self.body, flags=re.MULTILINE)
            return list(zip(parts[::2], parts[1::2], strict=True))
        return []


def pages() -> list[Path]:
    return [ROOT / "README.md", *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts)]


def blocks(text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        yield Block(found["language"], found["body"], found["reason"], *found.span("body"))


def demo() -> list[str]:
    """The commands of `make demo`, as the Makefile has them."""
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    if recipe is None:
        raise ValueError("the Makefile has no target demo")
    lines = (line.strip() for line in recipe[1].replace("\\\n", "").splitlines())
    return [line.removeprefix("@").replace("$(BIN)/", "") for line in lines if line.startswith(("$(BIN)/", "@$(BIN)/"))]


def pictured() -> list[str]:
    """The questions of `make demo`, which are those of the picture: their answers are narrow enough to be read."""
    return [" ".join(line.replace(" --case demo/case", "").split()) for line in demo()[2:]]


Done = tuple[int, bytes, str]
"""What a command left behind: exit code, stdout, stderr."""


def process(arguments: list[str], folder: Path, environment: dict[str, str]) -> Done:
    """A module and its arguments, as a process in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr.decode()


def run(
    line: str,
    folder: Path,
    environment: dict[str, str],
    call: Callable[[list[str], Path, dict[str, str]], Done] = process,
) -> str:
    """What a command writes to stdout. `export` changes the environment. Raises ValueError when a command fails."""
    line, _, most = line.partition(" | head -")
    program, *arguments = shlex.split(line)
    if program == "export":
        name, _, value = arguments[0].partition("=")
        environment[name] = value
        return ""
    if program == "python" and arguments[0] == "-m":
        arguments = arguments[1:]
    elif program == "logontracks":
        arguments = ["logontracks", *arguments]
    else:
        raise ValueError(f"only logontracks can be run here: {line}")
    code, out, said = call(arguments, folder, environment)
    if code:
        raise ValueError(f"{line}\nends with {code}: {said}")
    shown = out.decode()
    return "".join(shown.splitlines(keepends=True)[: int(most)]) if most else shown


def environment() -> dict[str, str]:
    """What examples run in: a terminal of no width, and the demo case, which pages name once or leave out."""
    left_out = {"COLUMNS", "LOGONTRACKS_CASE", "NO_COLOR", "FORCE_COLOR"}
    return {name: value for name, value in os.environ.items() if name not in left_out} | {
        "LOGONTRACKS_CASE": "demo/case",
        "PYTHONUTF8": "1",
    }


def make_demo(folder: Path) -> None:
    """What `make demo` makes, in a folder."""
    for line in demo():
        run(line, folder, environment())


def refreshed(text: str, ask: Callable[[str], str]) -> str:
    """A page with what its examples show now."""
    parts, last = [], 0
    for block in blocks(text):
        if block.language == "console" and block.reason is None:
            parts += [text[last : block.begin], *(f"$ {line}\n{ask(line)}" for line, _ in block.examples)]
            last = block.end
    return "".join((*parts, text[last:]))


def narrowed(lines: list[str]) -> list[str]:
    """A table that has no room as a terminal shows it: a block of lines for each row, what is blank left out."""
    if max(map(len, lines)) <= ROOM:
        return lines
    head, rule, *rows = lines
    places = [slice(*found.span()) for found in re.finditer(r"-+", rule)]
    width = max(len(head[place].strip()) for place in places)
    shown = []
    for number, row in enumerate(rows, 1):
        cells = ((head[place].strip(), row[place].strip()) for place in places)
        shown += [f"-- {number} --", *(f"{title:{width}}  {cell}" for title, cell in cells if cell)]
    return shown


def picture(ask: Callable[[str], str]) -> str:
    """What `make demo` asks and is told, in a terminal, as SVG. It names no font that would have to be fetched."""
    answers = [(line, narrowed(ask(line).rstrip("\n").splitlines())) for line in pictured()]
    width = max(len(line) for _, shown in answers for line in shown) + 1
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line, (head, *rows) in answers:
        console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
        console.print(Text(head, "bold cyan"), soft_wrap=True)
        for row in rows:
            console.print(Text(row), soft_wrap=True)
        console.print()
    form = inspect.signature(Console.export_svg).parameters["code_format"].default
    form = re.sub(r"@font-face \{\{.*?\}\}\n|<!--.*?-->\n", "", form, flags=re.DOTALL)
    svg = console.export_svg(title="a night at larch.example", code_format=form, unique_id="night")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_demo(folder)

        def ask(line: str) -> str:
            return run(line, folder, environment())

        for page in pages():
            text = page.read_text(encoding="utf-8")
            new = refreshed(text, ask)
            if new != text:
                page.write_text(new, encoding="utf-8")
                print(page.relative_to(ROOT))
        PICTURE.write_text(picture(ask), encoding="utf-8")


if __name__ == "__main__":
    main()
