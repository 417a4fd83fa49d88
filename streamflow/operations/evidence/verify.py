"""The check of an archive by whoever got it: needs no database, no registry, no network and no git."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamflow.core.errors import ConfigError, ModelError, StreamFlowError, printable
from streamflow.operations.evidence.archive import read_archive
from streamflow.operations.evidence.claims import claims
from streamflow.operations.evidence.keys import CountedKeys, counted_keys
from streamflow.operations.evidence.subject import Subject, subject_of
from streamflow.provenance.git import resolve
from streamflow.trust.trusted import TrustedKeys

_LONGEST_LINE = 300
_FOR_A_STRANGER = {
    "`streamflow keys trust FILE` if you know whose it is": "`--key FILE` if you know whose it is",
}
"""What the reasons of a clone are called where there is none."""


@contextmanager
def reason_in_one_line() -> Iterator[None]:
    """Turn what a malformed statement does to its reader into a reason, and the words of others into printable ones.

    Whoever made an archive may sign anything: the signature is right then, and the content another than is expected.
    """
    try:
        yield
    except StreamFlowError as error:
        reason = str(error)
        for ours, theirs in _FOR_A_STRANGER.items():
            reason = reason.replace(ours, theirs)
        raise type(error)(short_line(reason)) from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(f"a statement in it is malformed ({type(error).__name__}); don't use the model") from error


def open_archive(path: Path, given: Sequence[Path], clone: TrustedKeys | None) -> tuple[Subject, CountedKeys]:
    """An archive and the keys that count for it. Raises a StreamFlowError if no provenance in it counts."""
    files = read_archive(path)
    keys = counted_keys(files, given, clone)
    try:
        return subject_of(files, keys.trusted), keys
    except StreamFlowError as error:
        raise ModelError(f"provenance does not hold: {error}") from error


def check(subject: Subject) -> Iterator[str]:
    """A line for each claim that holds. Raises ModelError that begins with the first that does not."""
    for claim in claims(subject):
        yield f"{claim.what:<18} {short_line(claim.found)}; {short_line(claim.signer)}"


def derive_again(subject: Subject, say: Callable[[str], None]) -> str:
    """Derive the model of an archive again in this clone; a line about it.

    Raises ModelError if it comes out with other bytes, ConfigError if this clone has not got the commit.
    """
    from streamflow.registry.references import Target
    from streamflow.rerun.rerun import rerun

    claim = subject.claim
    expected = claim.files["model.onnx"]
    if resolve(claim.commit) is None:
        raise ConfigError(f"commit {claim.commit[:12]} is not in this clone; `git fetch --all --tags`, then try again")
    target = Target(f"commit {claim.commit[:12]}", claim.commit, b"", None, expected, {})
    found = rerun(target, fresh_env=False, from_source=False, say=say).found
    if found.model_actual != expected or not all(out.same for out in found.outs):
        first = f", first at {found.first_divergence.stage}" if found.first_divergence else ""
        raise ModelError(f"derived again, the model is {found.model_actual[:12]}, not {expected[:12]}{first}")
    return (
        f"{'derived again':<18} {len(found.outs)} outputs of {claim.commit[:12]} are the same, in {found.seconds:.0f} s"
    )


def short_line(text: str) -> str:
    """A text that others wrote, for a terminal: one line, no control characters, not too long."""
    plain = printable(" ".join(text.split()))
    return plain if len(plain) <= _LONGEST_LINE else f"{plain[:_LONGEST_LINE]}…"
