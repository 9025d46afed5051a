"""Windows event logs to answers: who logged on where, from where, for how long, each with its evidence."""

from importlib.metadata import version

__version__ = version("logontracks")
