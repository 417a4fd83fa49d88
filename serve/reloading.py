"""The served model: loaded from the registry once it is verified, and kept if the next version is bad."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from serve.metrics import Metrics
from streamflow.core.errors import RegistryError, StreamFlowError
from streamflow.provenance.record import PREFIX
from streamflow.registry.loading import LoadedModel
from streamflow.registry.served import ANSWERED_TAGS, WantedVersion, WithheldError, stopped_for_erased

LOG = logging.getLogger("ray.serve")
POLL_SECONDS = 2.0
# A refused version is tried again after this time: its files may have been repaired.
SECOND_LOOK_SECONDS = 30.0
_SWITCH_SECONDS = 0.0005


class Source(Protocol):
    """The source of versions."""

    def wanted(self) -> WantedVersion:
        """The version to serve now. Raises RegistryError if the registry does not answer or there is none."""

    def load(self, version: str) -> LoadedModel:
        """That version, verified. Raises ModelError or RegistryError."""

    def last_verified(self) -> LoadedModel:
        """The last version that was verified on this machine, verified again. Raises ModelError if there is none."""

    def elsewhere(self, model: LoadedModel) -> str:
        """Why a model can't answer for the users who are online now; empty if it can."""

    def objection(self, model: LoadedModel) -> str:
        """Why a model that is served would not be loaded now; empty if it would."""


@dataclass(frozen=True)
class RefusedVersion:
    """A version that should be served and is not, with the reason."""

    version: str | None
    reason: str
    since: datetime


class CurrentModel:
    """The served model; `refresh` replaces it in one step, so one batch never sees two models."""

    def __init__(self, source: Source, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._metrics, self._clock = source, metrics, clock
        self._model: LoadedModel | None = None
        self._kept_copy = False
        self._refused: RefusedVersion | None = None
        self._ignored: RefusedVersion | None = None
        self._error: StreamFlowError = RegistryError("no model is loaded yet; try again")
        self._next_look = self._next_check = 0.0
        self._objection: tuple[str | None, str] | None = None
        self.loaded_at: datetime | None = None

    def get(self) -> LoadedModel:
        """The verified model. Raises the reason if there is none."""
        if self._model is None:
            raise self._error
        return self._model

    @property
    def is_kept_copy(self) -> bool:
        """Whether this machine's copy is served because the registry did not answer at the start."""
        return self._kept_copy

    @property
    def refused(self) -> RefusedVersion | None:
        """The version that should be served and is not; None if the served version is the right one."""
        return self._refused or self._ignored

    def refresh(self) -> None:
        """Ask the registry once, and load its version if it is another one and can be verified."""
        wanted, earlier = None, ()
        try:
            named = self._source.wanted()
            wanted, earlier = named.version, named.earlier
            self._ignore(named.ignored or self._objection_to_the_served())
            if self._model is not None and (reason := self._source.elsewhere(self._model)):
                self._stop(WithheldError(reason))
            if self._model is not None and (reason := stopped_for_erased(self._model.tags | dict(named.tags))):
                self._stop(WithheldError(f"version {self._model.version} can't answer: {reason}"))
            elif self._model is not None and wanted == self._model.version and not self._kept_copy:
                self._refused = None
                self._model = replace(self._model, tags=_renewed(self._model, named.tags))
            elif self._due(wanted):
                self._take(self._source.load(wanted))
        except StreamFlowError as error:
            self._refuse(wanted, error)
            if self._model is None:
                self._fall_back(wanted, earlier, has_copy=not isinstance(error, WithheldError))
        self._metrics.behind.set(0 if self.refused is None else 1)

    def follow(self, seconds: float = POLL_SECONDS) -> None:
        """Refresh repeatedly, in a thread of its own."""

        def refresh_for_ever() -> None:
            while True:
                time.sleep(seconds)
                try:
                    self.refresh()
                except Exception:  # whatever it is, the old model goes on answering and the next look may succeed
                    LOG.exception("streamflow: asking the registry failed")

        # While the thread looks (some 30 ms of Python), the requests' thread would wait 5 ms each time that it has given up
        # the interpreter lock, as it does to score.
        sys.setswitchinterval(_SWITCH_SECONDS)
        threading.Thread(target=refresh_for_ever, daemon=True, name="model reload").start()

    def _due(self, wanted: str) -> bool:
        return self._refused is None or self._refused.version != wanted or self._clock() >= self._next_look

    def _take(self, model: LoadedModel) -> None:
        previous, self._model = self._model, model
        self._refused, self._kept_copy, self.loaded_at = None, False, datetime.now(UTC)
        self._objection, self._next_check = None, self._clock() + SECOND_LOOK_SECONDS
        self._metrics.unsigned.set(1 if model.unsigned else 0)
        if model.unsigned:
            LOG.warning("streamflow: STREAMFLOW_TRUST=warn: %s", model.unsigned)
        self._metrics.reloads.labels("loaded").inc()
        if previous is not None:
            self._metrics.replicas.labels(previous.version, previous.model_sha256).set(0)
        self._metrics.replicas.labels(model.version, model.model_sha256).set(1)
        instead = f", version {previous.version} before" if previous else ""
        LOG.warning("streamflow: version %s is served (model %s%s)", model.version, model.model_sha256[:12], instead)

    def _stop(self, error: StreamFlowError) -> None:
        """Take the served model away: it may not answer any more, and no other takes its place by itself."""
        stopped, self._model = self._model, None
        if stopped is not None:
            self._metrics.replicas.labels(stopped.version, stopped.model_sha256).set(0)
            self._refuse(stopped.version, error)
            self._next_look = self._clock()

    def _refuse(self, version: str | None, error: StreamFlowError) -> None:
        self._error = error
        self._next_look = self._clock() + SECOND_LOOK_SECONDS
        known = self._refused
        if known is None or (known.version, known.reason) != (version, str(error)):
            self._refused = RefusedVersion(version, str(error), datetime.now(UTC))
            self._metrics.reloads.labels("unreachable" if version is None else "refused").inc()
            kept = f"version {self._model.version} is still served" if self._model else "no model is served"
            LOG.error("streamflow: %s, %s: %s", f"version {version}" if version else "registry", kept, error)

    def _ignore(self, ignored: tuple[str | None, str] | None) -> None:
        known = self._ignored and (self._ignored.version, self._ignored.reason)
        if known == ignored:
            return
        self._ignored = RefusedVersion(*ignored, datetime.now(UTC)) if ignored else None
        if ignored:
            self._metrics.reloads.labels("refused").inc()
            LOG.error("streamflow: %s", ignored[1])

    def _fall_back(self, wanted: str | None, earlier: tuple[str, ...], has_copy: bool) -> None:
        """At the start: a version that was moved to by an earlier signed move, or this machine's copy of the wanted one."""
        for version in earlier:
            try:
                self._take_instead(self._source.load(version), is_kept_copy=False)
                return
            except StreamFlowError as error:
                LOG.error("streamflow: version %s, moved to before, can't answer either: %s", version, error)
        if not has_copy:
            return
        try:
            model = self._source.last_verified()
        except StreamFlowError as error:
            self._error = type(self._error)(f"{self._error}; {error}")
            return
        # Only if the registry does not answer, the last version is used; the registry's version is never replaced.
        if wanted in (None, model.version):
            self._take_instead(model, is_kept_copy=True)

    def _take_instead(self, model: LoadedModel, is_kept_copy: bool) -> None:
        refused, error = self._refused, self._error
        self._take(model)
        self._refused, self._error, self._kept_copy = refused, error, is_kept_copy

    def _objection_to_the_served(self) -> tuple[str | None, str] | None:
        """Why the served version would not be loaded now; asked every SECOND_LOOK_SECONDS. It is served until another is."""
        if self._model is not None and self._clock() >= self._next_check:
            self._next_check = self._clock() + SECOND_LOOK_SECONDS
            reason = self._source.objection(self._model)
            self._objection = (self._model.version, reason) if reason else None
        return self._objection


def _renewed(model: LoadedModel, tags: dict[str, str]) -> dict[str, str]:
    """The current tags, which may have a new verdict or commit while the model is served.

    The verified digest stays, and the tags that every response names are never removed.
    """
    needed = {name: model.tags[name] for name in ANSWERED_TAGS}
    return {**needed, **tags, f"{PREFIX}model_sha256": model.model_sha256}
