"""Windows event logs to answers: who logged on where, from where, for how long, each with its evidence."""

__version__ = "0.1.0"  # pyproject.toml reads it here: to ask what is installed takes a tenth of a short command
