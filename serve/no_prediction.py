"""The error response for one user."""

from typing import Any

NOT_FOUND, REQUEST_TIMEOUT, UNUSABLE, UNAVAILABLE, FORBIDDEN = 404, 408, 422, 503, 401


class NoPrediction(Exception):
    """Status and body of an error for one user."""

    def __init__(self, status: int, user_id: str, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status, self.user_id, self.body = status, user_id, body

    def item(self) -> dict[str, Any]:
        """The same as one result of a batch."""
        return {
            "user_id": self.user_id,
            "status": self.status,
            "missing_features": [],
            "stale_features": [],
            **self.body,
        }
