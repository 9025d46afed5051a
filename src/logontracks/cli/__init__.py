"""The command line: one file a command, loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module

import click

from logontracks import __version__

COMMANDS = (
    "ingest",
    "info",
    "sessions",
    "track",
    "tracks",
    "hops",
    "failures",
    "authentications",
    "presence",
    "now",
    "host",
    "hosts",
    "accounts",
    "addresses",
    "links",
    "boots",
    "evidence",
    "explain",
    "coverage",
    "events",
    "problems",
    "sql",
    "code",
    "formats",
    "build",
    "simulate",
    "score",
)
"""In the order of work, and of --help. Each is the function `command` of the module of its name."""


class _Commands(click.Group):
    """Loads a command's module only when it is run or listed, so that --version does not wait for all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"logontracks.cli.{cmd_name}").command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="logontracks %(version)s")
def main() -> None:
    """Who logged on where, from where, for how long: Windows event logs to answers, offline.

    \b
    logontracks ingest LOGS       read a folder of logs into ./case
    logontracks info              what is in it
    logontracks sessions          who was on which host, and until when
    logontracks host WKS-103 --at T   who was on a host at a moment
    logontracks events --user X   what the logs say of an account
    """
