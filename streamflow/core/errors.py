"""Everything a user can cause, as one tree.

StreamFlowError                 exit code 2, one line, no traceback
├── ConfigError                 an override, params.yaml or conf/ is wrong
├── ExtractError                a monthly extract is missing, malformed or implausible
├── HistoryError                Postgres history can't give what is asked, or was changed behind our back
├── FeatureStoreError           Feast is unreachable or holds other features than the schema
├── ModelError                  a model file is not what its record says, or could not be made
├── RegistryError               MLflow is unreachable, or a version contradicts another
└── EnvironmentFault            Python, git, disk, Postgres or a port is not as it must be

A message gives what, where, the value and the command that mends it, in one line.
"""


class StreamFlowError(Exception):
    """A failure with a cause that the reader of its one line can mend."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(StreamFlowError):
    """The configuration is wrong."""


class ExtractError(StreamFlowError):
    """A monthly extract is refused; nothing was written."""


class HistoryError(StreamFlowError):
    """The warehouse history can't give what is asked, or was changed without a record."""


class FeatureStoreError(StreamFlowError):
    """The feature store is unreachable or disagrees with the schema."""


class ModelError(StreamFlowError):
    """A model could not be made, or its bytes are not the recorded ones."""


class RegistryError(StreamFlowError):
    """The model registry is unreachable or contradicts what was derived."""


class EnvironmentFault(StreamFlowError):
    """Something outside the project is not as it must be."""


def first_line(error: BaseException | str, otherwise: str = "") -> str:
    """The first line of an error's text; `otherwise`, or else the name of its class, if it has none."""
    return (str(error).strip() or otherwise or type(error).__name__).splitlines()[0]
