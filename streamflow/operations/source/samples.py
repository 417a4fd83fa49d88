"""Files of a team's own as they were read, and the columns of them that are proposed for the schema's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A file's name for `reading.file`, how its text is read, and the values of its columns."""

    file: str
    columns: Mapping[str, Sequence[str]]
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: str = "."


@dataclass(frozen=True)
class Found:
    """The column of a sample that is proposed for one of the schema."""

    sample: Sample
    name: str
    fit: tuple[float, float]

    @property
    def values(self) -> list[str]:
        return sorted({value for value in self.sample.columns[self.name] if value.strip()})

    @property
    def blanks(self) -> set[str]:
        return {value for value in self.sample.columns[self.name] if not value.strip()}
