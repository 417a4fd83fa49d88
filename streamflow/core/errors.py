"""Everything a user can cause, as one tree.

StreamFlowError                 exit code 2, one line, no traceback
├── ConfigError                 an override, params.yaml or conf/ is wrong
├── ExtractError                a monthly extract is missing, malformed or implausible
├── HistoryError                Postgres history lacks the requested rows, or was changed without a record
├── FeatureStoreError           Feast does not answer or has other features than the schema
├── ModelError                  a model can't be made, or a file differs from its recorded digest
├── RegistryError               MLflow does not answer, or the same inputs gave another model
└── EnvironmentFault            a problem of Python, git, disk, Postgres or a port

A message has what, where, the value and the command that fixes it, in one line.
"""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_VALUE = 80
"""Characters of a value that a message shows."""


class StreamFlowError(Exception):
    """A failure that the user can fix; its message is one line, with what a terminal would obey escaped."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


class ConfigError(StreamFlowError):
    """The configuration is wrong."""


class ExtractError(StreamFlowError):
    """A monthly extract is rejected; nothing was written."""


class HistoryError(StreamFlowError):
    """The warehouse history lacks the requested rows, or was changed without a record."""


class FeatureStoreError(StreamFlowError):
    """The feature store does not answer or has other features than the schema."""


class ModelError(StreamFlowError):
    """A model can't be made, or a file differs from its recorded digest."""


class RegistryError(StreamFlowError):
    """The model registry does not answer, or the same inputs gave another model."""


class EnvironmentFault(StreamFlowError):
    """A problem outside of the project: Python, git, disk, Postgres or a port."""


def printable(text: str) -> str:
    """The text with each character that is not printable escaped, as Python writes it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown(value: object) -> str:
    """A value in a message: text quoted and escaped, at most LONGEST_VALUE characters of it; `nothing` for None."""
    if value is None:
        return "nothing"
    text = str(value)
    start = text[:LONGEST_VALUE]
    more = f"… ({len(text)} characters)" if len(text) > LONGEST_VALUE else ""
    return (repr(start) if isinstance(value, str) else start) + more


def cut(text: str) -> str:
    """What somebody typed, at most LONGEST_VALUE characters of it."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the known word that is nearest to a mistyped one; empty if none is near."""
    names = {each.lower(): each for each in known if each != word}
    near = get_close_matches(word.lower(), names, 1)
    return f" (did you mean {names[near[0]]}?)" if near else ""


def first_line(error: BaseException | str, otherwise: str = "") -> str:
    """The first line of an error's text; `otherwise`, or else the name of its class, if it is empty."""
    return (str(error).strip() or otherwise or type(error).__name__).splitlines()[0]
