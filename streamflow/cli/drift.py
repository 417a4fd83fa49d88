"""`streamflow drift`: one month's features, label and score against another's, and whether to train again."""

import sys
from pathlib import Path

import click

from streamflow.cli import repro
from streamflow.cli.endings import SAYS_NO
from streamflow.cli.json_output import json_option, lines_on_stderr, say_json
from streamflow.core.config import DriftConfig
from streamflow.core.errors import ConfigError
from streamflow.core.schema import LABEL
from streamflow.operations.drift.verdict import RETRAIN, SCORE, DataDrift, Policy, Shift, percent, points
from streamflow.operations.repro.compose import redate
from streamflow.pipeline.params import read_all_params
from streamflow.pipeline.project import replacing
from streamflow.pipeline.reporting import say


@click.command()
@click.argument("reference")
@click.argument("current")
@click.option("--model", "ref", metavar="REF", help="The version whose score is compared.  [default: Production]")
@json_option
@click.option("--html", "page", metavar="FILE", help="Write a page with the histograms.")
@click.option("--retrain", is_flag=True, help="If the verdict is RETRAIN, run the pipeline with as_of=CURRENT.")
@click.pass_obj
def drift(
    started_in: Path | None,
    reference: str,
    current: str,
    ref: str | None,
    as_json: bool,
    page: str | None,
    retrain: bool,
) -> None:
    """Compare two frozen months: every feature, the label and the model's score.

    \b
    streamflow drift 2024-01-31 2024-02-29                    what changed since REFERENCE, and the verdict
    streamflow drift 2024-01-31 2024-02-29 --html drift.html  the same as a page
    streamflow drift 2024-01-31 2024-02-29 --retrain          and a new model as of CURRENT, if the verdict is RETRAIN

    A column drifted if a test is significant (Kolmogorov-Smirnov or chi-square, Holm over all columns) and its PSI reaches
    drift.psi; conf/drift says when to train a new model. The months are read from data/snapshots, each with the labels of
    its own date, after their bytes were checked against dvc.lock.

    Exit code 0 for NO_ACTION, 1 for RETRAIN (also after --retrain), 2 for any error, also of the pipeline.
    """
    from streamflow.operations.drift.compare import data_drift

    if retrain and current <= reference:
        raise ConfigError(
            f"--retrain trains as of CURRENT={current}, which is not after REFERENCE={reference};"
            f" name the later month second, or run it without --retrain"
        )
    found = data_drift(reference, current, ref, _policy(read_all_params().drift))
    if page is not None:
        from streamflow.operations.drift.page import render_page

        _write((started_in or Path()) / page, render_page(found))
    if as_json:
        say_json(found.to_json())
    else:
        say("\n".join(in_words(found)))
    if retrain and found.verdict == RETRAIN:
        with lines_on_stderr(as_json):
            repro.run([f"as_of={current}"], lambda: redate(current))
    sys.exit(SAYS_NO if found.verdict == RETRAIN else 0)


def in_words(found: DataDrift) -> list[str]:
    """The comparison for a terminal."""
    reference, current = found.reference, found.current
    before, after = found.label_rates
    lines = [
        f"{reference.as_of} ({reference.users:,} users) against {current.as_of} ({current.users:,} users)",
        f"  label     {percent(before)} churned, then {percent(after)} ({points(after - before)})",
        f"  score     {_score(found)}",
        f"  features  {len(found.drifted)} of {len(found.features)} drifted"
        + (f": {', '.join(each.name for each in found.drifted)}" if found.drifted else ""),
    ]
    if reference.as_of == current.as_of:
        lines.append("  note      both are the same month, so nothing can differ")
    elif current.as_of < reference.as_of:
        lines.append(f"  note      {current.as_of} is the earlier month: the differences go backwards in time")
    lines += ["", f"  {'column':<30} {'PSI':>8}  {'test':<10} {'statistic':>9}  {'p':>8} {'adjusted':>9}  drift"]
    lines += [_row(found, each) for each in _in_order(found)]
    return [*lines, "", found.verdict, *(f"  {reason}" for reason in found.reasons)]


def _score(found: DataDrift) -> str:
    shift, score = found.shift(SCORE), found.score
    if isinstance(score, str) or shift is None:
        return f"left out: {score}; name a version with --model"
    before, after = score.means
    return f"version {score.version} ({score.service}), mean {before:.4f}, then {after:.4f}, PSI {shift.psi:.4f}"


def _in_order(found: DataDrift) -> list[Shift]:
    """Label and score first, then the features that drifted, then the others in schema order."""
    first = [each for name in (LABEL, SCORE) if (each := found.shift(name))]
    return [*first, *found.drifted, *(each for each in found.features if each not in found.drifted)]


def _row(found: DataDrift, shift: Shift) -> str:
    return (
        f"  {shift.name:<30} {shift.psi:8.4f}  {shift.test:<10} {shift.statistic:>9.4g}  {shift.p_value:8.2g}"
        f" {shift.adjusted_p:9.2g}  {found.level(shift) or '-'}"
    )


def _policy(config: DriftConfig) -> Policy:
    return Policy(
        alpha=config.alpha,
        psi=config.psi,
        psi_major=config.psi_major,
        label_rate=config.label_rate,
        share=config.share,
    )


def _write(path: Path, text: str) -> None:
    try:
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html {path} can't be written: {error.strerror}; name another file") from error
