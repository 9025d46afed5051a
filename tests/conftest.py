"""What tests share: the real logs, and the road from events to rows of the events table."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import settings

from logontracks.normalize import Normalizer
from logontracks.simulate.evtx_writer import Event, write_evtx
from logontracks.sources import evtx
from logontracks.sources.envelope import to_tables
from logontracks.sources.evtx_text import Common, Piece

SHARED = Path(__file__).parents[2] / "shared"

settings.register_profile("logontracks", deadline=None)  # the first example of a test pays for imports and look-ups
settings.load_profile("logontracks")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write tests/golden anew instead of comparing")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, a test over real logs that was skipped although they are there makes the run fail."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI") or not (SHARED / "logs").is_dir():
        return
    skipped = [report.nodeid for report in reporter.stats.get("skipped", []) if "logs" in str(report.longrepr)]
    if skipped:
        reporter.write_line(f"skipped, though the real logs are there: {', '.join(skipped)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared_logs() -> Path:
    """The folder of real logs. They are no part of the project: without them the test skips, and says so."""
    logs = SHARED / "logs"
    if not (logs / "MANIFEST.csv").is_file():
        reason = f"no real logs: {logs} does not exist"
        if os.environ.get("CI") and SHARED.is_dir():
            pytest.fail(f"{reason}, though {SHARED} does; in CI that is an error")
        pytest.skip(reason)
    return logs


@pytest.fixture(scope="session")
def normalizer() -> Normalizer:
    return Normalizer()


@pytest.fixture(scope="session")
def normalized(normalizer: Normalizer) -> Callable[[Common, Piece], pa.Table]:
    """Rows of the events table for all that a piece holds, in the order of the source."""

    def normalized(common: Common, piece: Piece) -> pa.Table:
        tables = to_tables(piece.rows, common.heads, common.tails)
        staged, bad = normalizer.rows(tables)
        assert not bad
        return staged.sort_by([("source", "ascending"), ("position", "ascending")])

    return normalized


@pytest.fixture
def road(
    tmp_path: Path, normalized: Callable[[Common, Piece], pa.Table]
) -> Callable[[Iterable[Event]], list[dict[str, Any]]]:
    """The whole road: events are written as EVTX, read as the program reads them, and come back as rows."""

    def road(events: Iterable[Event]) -> list[dict[str, Any]]:
        path = tmp_path / "road.evtx"
        write_evtx(path, events)
        where = evtx.layout(path)
        assert where is not None
        common = Common(activity=True)
        return normalized(common, evtx.read(common, 7, path, where, 0, where.chunks)).to_pylist()

    return road
