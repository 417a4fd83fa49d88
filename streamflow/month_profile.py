"""What a frozen month holds, in numbers: users, NULLs of each column, churn rate."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MonthProfile:
    """Counts of one snapshot; `nulls` names every column of every table, in schema order."""

    as_of: str
    users: int
    churners: int
    nulls: Mapping[str, int]

    @property
    def churn_rate(self) -> float:
        """Share of the users whose label of this month says that they churned; 0 without users."""
        return self.churners / self.users if self.users else 0.0

    @property
    def columns_with_null(self) -> dict[str, int]:
        """The columns that hold NULL at all, with their count."""
        return {name: count for name, count in self.nulls.items() if count}
