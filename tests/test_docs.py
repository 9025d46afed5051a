"""The documents tell what the program does: nothing undocumented, nothing out of date, nothing that does not work."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
from making import once
from making_cases import here

from logontracks import catalogue, errors, models, schema
from logontracks.case import TABLES, Case
from logontracks.catalogue import Keep
from logontracks.cli import main as commands
from logontracks.queries.sessions import REASONS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATOR = runpy.run_path(str(DOCS / "generate.py"))
EXAMPLES = runpy.run_path(str(DOCS / "examples.py"))
PAGES = sorted([*EXAMPLES["pages"](), ROOT / "CHANGELOG.md"])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# In pieces, so that this file does not hold what it looks for.
_FORBIDDEN = re.compile(
    "|".join(
        (
            re.escape(str(ROOT)) + r"(?![\w.-])",
            r"(?<![\w.<])/" + r"(?:root|home|Users|opt|private)/\w",
            r"[A-Z]:\\" + r"Users\\(?!Public\b)\w+\\(?:src|git|repos|code)",
            "file:" + "///",
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            "registry" + r"\.(?:npmjs|yarnpkg)",
            r"--(?:extra-)?index" + "-url",
            "proxy" + r"\.golang",
        )
    )
)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def sections(name: str, level: int) -> dict[str, str]:
    """The parts of a page by their headings."""
    parts = re.split(rf"^{'#' * level} (.+)$", text(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# Generated pages


@pytest.mark.parametrize("name", GENERATOR["PAGES"])
def test_generated_pages_are_fresh(name):
    wanted = GENERATOR["PAGES"][name]().rstrip("\n") + "\n"
    assert text(f"docs/reference/{name}") == wanted, "run: .venv/bin/python docs/generate.py"


def test_every_column_is_documented():
    listed = re.findall(
        r"^\| `(\w+)` \|", text("docs/reference/events.md").partition("## Normal forms")[0], re.MULTILINE
    )
    assert tuple(listed) == schema.NAMES
    for form in schema.Form:
        assert f"\n| `{form}` | " in text("docs/reference/events.md")
    for table, columns in TABLES.items():
        page = text("docs/reference/events.md") if table == "events" else sections("docs/reference/tables.md", 2)[table]
        for column in columns:
            assert re.search(rf"^\| `{column.name}` \| {column.type} \|.* \w.* \|$", page, re.MULTILINE)


PUBLISHED = [name for name in models.MODELS if models.model(name).published]


def test_every_worked_out_table_and_step_is_documented():
    pages = sections("docs/reference/worked-out.md", 2)
    assert set(pages) == {*PUBLISHED, "Steps"}
    for name in PUBLISHED:
        listed = re.findall(r"^\| `(\w+)` \| ([A-Z]+) \| .*\w.* \|$", pages[name], re.MULTILINE)
        assert listed == [(column.name, column.type) for column in models.model(name).columns]
        assert pages[name].lstrip().startswith("One row for each "), f"the head of {name} does not say what a row is"
        assert models.model(name).reads, f"the head of {name} does not say what it reads"
    steps = re.findall(r"^\| `(\w+)` \| One row for each .+ \| `.+` \|$", pages["Steps"], re.MULTILINE)
    assert steps == [name for name in models.MODELS if name not in PUBLISHED]


def test_every_parameter_mark_and_build_is_documented():
    pages = sections("docs/reference/rules.md", 2)
    for row in catalogue.table("parameters"):
        assert f"\n| `{row['name']}` | {row['value']} | {row['unit']} | " in pages["Windows and thresholds"]
        assert len(row["reason"]) > 20
    for row in catalogue.table("marks"):
        (told,) = re.findall(rf"^\| `{row['mark']}` \| (.+) \|$", pages["Marks"], re.MULTILINE)
        assert re.search(rf"\b{row['event_id']} [^;]+ \(`{row['provider']}`\)", told)
    for row in catalogue.table("windows_builds"):
        assert f"\n| {row['build']} | {row['workstation']} | {row['server']} |" in pages["Builds"]


def test_every_end_reason_and_way_of_opening_is_explained(company):
    pages = sections("docs/explanation/sessions.md", 2)
    reasons = re.findall(r"^\| `(\w+)` \| (.+?) \|", pages["End reasons"], re.MULTILINE)
    assert dict(reasons[1:]) == REASONS
    glossary = sections("docs/glossary.md", 1)["Glossary"]
    for reason in REASONS:
        assert f"\n| **{reason}** | " in glossary
    connection = Case(company / "demo" / "case").connect()
    made = (models.FOLDER / "sessions_told.sql").read_text(encoding="utf-8").partition("END AS opened_by")[0]
    ways = set(re.findall(r"THEN '(\w+)'", made[made.rindex("    CASE\n") :])) | {"application"}
    seen = {row[0] for row in connection.execute("SELECT DISTINCT opened_by FROM sessions").fetchall() if row[0]}
    assert ways >= seen
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?`) \|", pages["Opened by"], re.MULTILINE)))) == {
        "opened_by",
        *ways,
    }
    marks = set(re.findall(r"^\| `(\w+)` \|", text("docs/reference/rules.md"), re.MULTILINE))
    for (told,) in connection.execute("SELECT concat_ws(' ', started_by, ended_by) FROM boots").fetchall():
        assert set(told.split()) <= marks


def test_every_kept_kind_is_documented_with_all_its_fields():
    kept = (event for event in catalogue.events().values() if event.keep is not Keep.NO)
    wanted = {(event.provider, event.event_id): event for event in kept}
    found = set()
    pattern = re.compile(r"^### (\d+) .+\n\n`([^`]+)` · (.*)\n((?:(?!^##).*\n)*)", re.MULTILINE)
    for match in pattern.finditer(text("docs/reference/kinds.md")):
        key = (match[2], int(match[1]))
        found.add(key)
        keep = {Keep.LOGON: "always kept", Keep.ACTIVITY: "kept in a session"}[wanted[key].keep]
        assert match[3].endswith(keep)
        named = set(re.findall(r"`([^`]+)`", match[4]))
        for (provider, event_id, _), fields in catalogue.fields().items():
            if (provider, event_id) == (key[0].lower(), key[1]):
                assert {field.name for field in fields} <= named
    assert found == set(wanted)


def test_every_kind_of_blind_spot_and_every_setting_is_documented(company):
    page = text("docs/reference/coverage.md")
    connection = Case(company / "demo" / "case").connect()
    rows = catalogue.table("blind_spots")
    told = re.findall(r"^\| `(\w+)` \| .* \| .{20,} \| .{20,} \|$", page, re.MULTILINE)
    assert told == [row["kind"] for row in rows]
    assert {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM blind_spots").fetchall()} <= set(told)
    made = (models.FOLDER / "blind_spots.sql").read_text(encoding="utf-8")
    in_query = re.findall(r"'([a-z_]+)' (?:ELSE '([a-z_]+)' (?:END )?)?(?:END )?AS kind", made)
    assert {kind for pair in in_query for kind in pair if kind} <= set(told)
    settings = sections("docs/reference/auditing.md", 2)
    assert set(settings) == {row["name"] for row in catalogue.table("audit_policy")}
    for row in rows:
        assert not row["subcategory"] or row["subcategory"] in settings


def test_every_code_is_documented():
    pages = sections("docs/reference/codes.md", 2)
    coded = [name for name in GENERATOR["data_tables"]() if "meaning" in catalogue.table(name)[0]]
    read_yet = {name for name in coded if not name.startswith("legacy_")} - {"classic_strings"}
    assert set(pages) == read_yet
    for name, page in pages.items():
        assert len(re.findall(r"^\| ", page, re.MULTILINE)) == len(catalogue.table(name)) + 2


def test_every_data_table_is_documented():
    there = sorted(path.stem for path in (ROOT / "src/logontracks/data").glob("*.csv"))
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \|", text("docs/reference/data.md").partition("## Sources")[0], re.MULTILINE
    )
    assert [name for name, _ in rows] == there
    assert all(len(what) > 20 for _, what in rows)
    for row in catalogue.table("sources"):
        assert f"\n| `{row['token']}` | " in text("docs/reference/data.md")


def _options() -> list[tuple[str, str]]:
    context = click.Context(commands, info_name="logontracks")
    found = []
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            found.extend((name, option) for option in parameter.opts if isinstance(parameter, click.Option))
    return found


def test_every_command_and_option_is_documented():
    page = sections("docs/reference/commands.md", 2)
    context = click.Context(commands, info_name="logontracks")
    for name in commands.list_commands(context):
        assert f"logontracks {name} " in page[name]
        assert f"`logontracks {name}" in text("CHANGELOG.md")
        assert (
            name in {"problems", "sql"}
            or f"{name}`" in sections("README.md", 2)["What it answers"]
            or name
            in {
                "ingest",
                "info",
                "build",
                "hosts",
                "simulate",
            }
        )
    for name, option in _options():
        row = re.search(rf"^\| `{option}` \|.*\| (.*) \|$", page[name], re.MULTILINE)
        assert row, f"{name} {option} has no help"
        assert len(row[1]) > 5


def test_every_exit_code_is_documented():
    codes = {cls.exit_code for cls in (errors.Error, *errors.Error.__subclasses__())} | {0, 4, 130}
    table = re.findall(
        r"^\| (\d+) \| .{10,} \|$", sections("docs/reference/commands.md", 2)["Exit codes"], re.MULTILINE
    )
    assert {int(code) for code in table} == codes


def test_every_file_of_a_case_is_documented(company):
    page = text("docs/reference/case.md")
    layout, keys = (
        page.partition("```text\n")[2].partition("```")[0],
        sections("docs/reference/case.md", 2)["case.json"],
    )
    case = company / "demo" / "case"
    for path in case.iterdir():
        assert re.search(rf"^  {re.escape(path.name)}\b", layout, re.MULTILINE), path.name
    manifest = json.loads((case / "case.json").read_text(encoding="utf-8"))
    for key in manifest:
        assert re.search(rf"^\|.*`{key}`.* \| ", keys, re.MULTILINE), key
    for key in manifest["sources"][0]:
        assert f"`{key}`" in keys


def _given(model: str, column: str) -> set[str]:
    """The words that a model writes into a column, by its SQL."""
    (path,) = (ROOT / "src" / "logontracks" / "models").glob(f"{model}.*")
    expressions = re.findall(
        rf"(CASE\b(?:(?!\bCASE\b).)*?\bEND|'\w+') AS {column}\b", path.read_text(encoding="utf-8"), re.DOTALL
    )
    return {word for found in expressions for word in re.findall(r"(?:\b(?:THEN|ELSE) |^)'(\w+)'", found)}


def test_every_rule_and_label_of_paths_is_explained():
    page = sections("docs/explanation/paths.md", 2)
    for heading, given in (
        ("An address is not a machine", _given("sightings", "told_by")),
        ("What tells the session it came from", _given("named_sources", "rule") | _given("hop_sources", "rule")),
        ("A ticket is used again", _given("links", "rule")),
        ("Where the account changes", _given("tracks", "label")),
    ):
        rows = re.sub(r"^\|.*\n\| ---.*$", "", page[heading], flags=re.MULTILINE)
        first = re.findall(r"^\| (`.+?) \| ", rows, re.MULTILINE)
        assert sorted(word for cell in first for word in re.findall(r"`(\w+)`", cell)) == sorted(given), heading


# The case


@pytest.fixture(scope="session")
def company(tmp_path_factory):
    """A folder that holds what `make demo` makes, by the commands of the Makefile: demo/logs and demo/case."""

    def make(folder):
        folder.mkdir()
        EXAMPLES["make_demo"](folder)

    made = tmp_path_factory.mktemp("docs") / "company"
    _link(once(tmp_path_factory, "docs", make), made)
    return made


def _link(there, here):
    """A folder of the same files, in which commands can work undisturbed: files of a case are replaced, not changed."""
    shutil.copytree(there, here, copy_function=os.link, ignore=shutil.ignore_patterns(".lock"))


def test_sources_has_the_documented_columns(company):
    connection = Case(company / "demo" / "case").connect()
    columns = [row[0] for row in connection.execute("DESCRIBE sources").fetchall()]
    assert columns == list(GENERATOR["SOURCES"])


def test_tables_have_the_documented_columns(company):
    connection = Case(company / "demo" / "case").connect()
    for name in PUBLISHED:
        found = [row[:2] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
        assert found == [(column.name, column.type) for column in models.model(name).columns]


@pytest.fixture
def ask(monkeypatch, capsysbinary):
    """Runs the line of an example. Of `logontracks` within this process: pages have hundreds, and each would load all
    there is; what a process of its own does otherwise is tested with the command line."""

    def call(arguments, folder, environment):
        module, *rest = arguments
        if module != "logontracks":
            return EXAMPLES["process"](arguments, folder, environment)
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            return here(capsysbinary, *rest)

    def ask(line, folder, environment):
        return EXAMPLES["run"](line, folder, environment, call)

    return ask


_RUN = [page for page in EXAMPLES["pages"]() if "```" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", _RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_work_and_show_what_pages_say(company, page, tmp_path, ask):
    environment = EXAMPLES["environment"]()
    folder = tmp_path / "here"
    _link(company, folder)
    for name in ("case", "truth"):  # some examples have the case where it is by default
        _link(company / "demo" / name, folder / name)
    for block in EXAMPLES["blocks"](page.read_text(encoding="utf-8")):
        if block.reason is None:
            for line, shown in block.examples:
                written = ask(line, folder, environment)
                assert shown is None or written == shown, f"{line}: run `make examples` and look at the difference"


def test_the_picture_is_what_the_commands_show(company, ask):
    environment = EXAMPLES["environment"]()
    assert EXAMPLES["picture"](lambda line: ask(line, company, environment)) == EXAMPLES["PICTURE"].read_text(
        encoding="utf-8"
    )
    assert "docs/_static/night.svg" in text("README.md")


_LANGUAGES = {"console", "sh", "python", "bat", "text"}
_COMMAND = re.compile(r"^(?:\$ )?(?:logontracks|python|make|pip|wevtutil|auditpol|unzip|export) \S", re.MULTILINE)


@pytest.mark.parametrize("page", _RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_run_or_says_why_not(page):
    content = page.read_text(encoding="utf-8")
    found = list(EXAMPLES["blocks"](content))
    assert len(found) == len(re.findall(r"^ *```\w+$", content, re.MULTILINE)), "a block is indented or has no language"
    for block in found:
        assert block.language in _LANGUAGES, block.language
        if block.reason is not None:
            assert len(block.reason) > 10
        elif block.language == "text":
            commands_shown = [line for line in block.body.splitlines() if _COMMAND.match(line)]
            assert all(
                re.match(r"make \w+(-\w+)* {2,}\w|logontracks [a-z]+ \[OPTIONS\]", line) for line in commands_shown
            )
        else:
            assert block.language in {"console", "sh"} or page.name == "case.md", "say why this is not run"
            assert block.examples or block.language == "python"


def test_the_makefile_is_documented():
    for target in re.findall(r"^([\w-]+):", text("Makefile"), re.MULTILINE):
        assert f"make {target}" in text("docs/contributing.md"), target
    for example in EXAMPLES["pictured"]():
        assert example.startswith("logontracks "), example


def test_python_examples_of_the_case_work(company, monkeypatch):
    monkeypatch.chdir(company)
    scope: dict[str, object] = {}
    ran = 0
    for language, block in _FENCE.findall(text("docs/reference/case.md")):
        imports = set(re.findall(r"^(?:import|from) (\w+)", block, re.MULTILINE))
        if language == "python" and imports <= {"json", "pathlib", "duckdb"}:
            exec(block, scope)  # noqa: S102 - our own page
            ran += 1
    assert ran == 4
    assert scope["files"]
    assert scope["sessions"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_use_options_that_exist(page):
    known = set(_options())
    for language, block in _FENCE.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if language in {"sh", "console"} and line.removeprefix("$ ").startswith("logontracks "):
                _, name, *arguments = shlex.split(line.removeprefix("$ "))
                assert name in commands.list_commands(click.Context(commands)), line
                for argument in arguments:
                    if argument.startswith("--"):
                        assert (name, argument.partition("=")[0]) in known, line


# All pages


def _anchors(page: Path) -> set[str]:
    content = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {GENERATOR["slug"](heading.replace("`", "")) for heading in re.findall(r"^#+ (.+)$", content, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    content = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
    for link in re.findall(r"\]\(([^)\s]+)\)", content):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT.resolve())
        assert target.is_file(), link
        assert not anchor or anchor in _anchors(target), link


def test_the_index_leads_to_every_page_once():
    listed = re.findall(r"^- \[[^\]]+\]\(([\w/-]+\.md)\): ", text("docs/index.md"), re.MULTILINE)
    there = {path.relative_to(DOCS).as_posix() for path in EXAMPLES["pages"]() if path.is_relative_to(DOCS)}
    assert sorted(listed) == sorted(there - {"index.md"})


# The site


class _Fetched(HTMLParser):
    """What a page of the site makes a browser fetch."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag in {"script", "img", "iframe", "source"} and named.get("src"):
            self.addresses.append(named["src"])
        if tag == "link" and named.get("rel") not in {"canonical", "next", "prev", "index", "search", "genindex"}:
            self.addresses.append(named["href"])


def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "--fail-on-warning",
            "--keep-going",
            "-q",
            "-b",
            "html",
            DOCS,
            tmp_path / "site",
        ],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    made = sorted(path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html"))
    for page in PAGES:
        if page.is_relative_to(DOCS):
            assert page.relative_to(DOCS).with_suffix(".html").as_posix() in made
    for name in made:
        parser = _Fetched()
        parser.feed((tmp_path / "site" / name).read_text(encoding="utf-8"))
        assert not [address for address in parser.addresses if re.match(r"(?:https?:)?//", address)], name
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", style.read_text(encoding="utf-8")), style


def test_the_glossary_is_sorted_and_says_every_word_once():
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", text("docs/glossary.md"), re.MULTILINE)
    assert words == sorted(set(words))


def test_the_layout_in_contributing_is_that_of_the_code():
    page = sections("docs/contributing.md", 2)["Layout"]
    package = ROOT / "src" / "logontracks"
    commands_and_models = {f"{name}.py" for name in (*commands.list_commands(click.Context(commands)), *models.MODELS)}
    folders = ("", "sources/", "engines/", "models/", "queries/", "cli/")
    for path in sorted(path for folder in folders for path in package.glob(f"{folder}*.py")):
        told_together = path.name in commands_and_models and path.parent.name in {"cli", "models"}
        assert path.name in page or told_together or path.stat().st_size < 400 or path.name == "__init__.py", path
    for name in re.findall(r"\b(?:\w+/)*\w+\.py\b", page):
        assert [*package.rglob(name.rpartition("/")[2]), *DOCS.glob(name)], name


def _committed() -> list[Path]:
    """Text files that are in git, or will be with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_path_of_a_machine_and_no_registry_is_committed():
    for path in _committed():
        if not path.is_file():
            continue
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a binary file
        found = _FORBIDDEN.search(content)
        assert found is None, f"{path.relative_to(ROOT)}: {found and found[0]}"
