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


class StreamFlowError(Exception):
    """A failure that the user can fix; its message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


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


def first_line(error: BaseException | str, otherwise: str = "") -> str:
    """The first line of an error's text; `otherwise`, or else the name of its class, if it is empty."""
    return (str(error).strip() or otherwise or type(error).__name__).splitlines()[0]
