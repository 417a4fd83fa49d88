"""`streamflow tune`: search for better parameters, and write them as an experiment."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.cli.json_output import json_option, lines_on_stderr, say_json
from streamflow.core.config import Config
from streamflow.pipeline.reporting import say

if TYPE_CHECKING:
    from streamflow.operations.tuning.search import Trial
    from streamflow.operations.tuning.tune import Request, Tuned, Watch


@click.command()
@click.option(
    "--model", metavar="NAME", help="A file of conf/model that has one in conf/search; default: params.yaml's."
)
@click.option("--features", metavar="SERVICE", help="Feature service; default: params.yaml's.")
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Sets of parameters to try.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Start no new trial after that time.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of the search; default: params.yaml's.")
@click.option(
    "--metric",
    type=click.Choice(["roc_auc", "average_precision", "brier", "log_loss"]),
    default="roc_auc",
    show_default=True,
    help="The score to improve.",
)
@click.option("--name", metavar="EXPERIMENT", help="File of conf/experiment to write; default: tuned_MODEL.")
@click.option("--force", is_flag=True, help="Overwrite an experiment of that name.")
@json_option
@click.argument("overrides", nargs=-1, metavar="[OVERRIDE]...")
def tune(
    model: str | None,
    features: str | None,
    trials: int,
    timeout: float | None,
    seed: int | None,
    metric: str,
    name: str | None,
    force: bool,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Search for better parameters (Optuna) and write the best as conf/experiment/NAME.yaml.

    \b
    streamflow tune --model hist_gradient_boosting --features churn_v2 --trials 100
    streamflow tune --model blend --timeout 600 --name spring
    streamflow tune --metric brier cross_validation.repeats=1

    Repeated cross-validation on the train and validation users of data/dataset; a test user is never used. The search space
    is in conf/search/MODEL.yaml. Then the best and the untuned model are compared on other folds; if it is not better there,
    nothing is written and the exit code is 1. The same seed and trials write the same file.
    Ctrl-C keeps the best so far.
    """
    from streamflow.operations.tuning.tune import Request, tune

    chosen = [f"{group}={choice}" for group, choice in (("model", model), ("features", features)) if choice]
    request = Request([*chosen, *overrides], metric, trials, timeout, seed, name, force)
    with lines_on_stderr(as_json):
        tuned = tune(request, _progress_of(metric))
    if as_json:
        say_json(_to_json(request, tuned))
    else:
        _say_in_words(request, tuned)
    sys.exit(SAYS_NO if tuned.path is None else 0)


def _to_json(request: "Request", tuned: "Tuned") -> dict[str, Any]:
    found, spread = tuned.found, tuned.spread
    return {
        "metric": request.metric,
        "model": tuned.config.model_name,
        "features": tuned.config.features.service,
        "as_of": tuned.config.as_of,
        "score": spread.score,
        "sd": spread.sd,
        "untuned": spread.untuned,
        "untuned_sd": spread.untuned_sd,
        "gain": spread.gain,
        "gain_sd": spread.gain_sd,
        "is_noise": spread.is_noise,
        "folds": spread.folds,
        "trials": found.trials,
        "pruned": found.given_up,
        "ended": found.ended or None,
        "written": str(tuned.path) if tuned.path else None,
    }


def _say_in_words(request: "Request", tuned: "Tuned") -> None:
    metric, trials = request.metric, request.trials
    found, spread = tuned.found, tuned.spread
    if found.ended:
        say(f"tune: {found.ended} after {found.trials} of {trials} trials; using the best so far")
    say(
        f"tune: {metric} {spread.score:.4f} ± {spread.sd:.4f}, untuned {spread.untuned:.4f} ± {spread.untuned_sd:.4f}:"
        f" {spread.gain:+.4f} ± {spread.gain_sd:.4f} over {spread.folds} other folds"
        + (", which is within the noise" if spread.is_noise else "")
    )
    if tuned.path is None:
        say("tune: on other folds that is not better than the untuned model; nothing was written")
        return
    say(f"tune: {tuned.path} is written: {found.trials} trials, {found.given_up} pruned")
    say(
        f"  next        git add {tuned.path} params.yaml && git commit, then streamflow repro experiment={tuned.path.stem}"
    )


def _progress_of(metric: str) -> "Watch":
    from streamflow.operations.tuning.search import LOSSES

    sign = -1 if metric in LOSSES else 1

    @contextmanager
    def watch(config: Config, trials: int, untuned: Sequence[float]) -> Iterator[Callable[[int, "Trial | None"], None]]:
        """Print the score of the untuned model; on a terminal, show the progress and the best so far."""
        say(
            f"tune: {config.model_name} on {config.features.service} as of {config.as_of},"
            f" {metric} {sign * mean(untuned):.4f} untuned over {len(untuned)} folds"
        )
        if not sys.stderr.isatty():
            yield lambda number, best: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("searching", total=trials)

            def after_trial(number: int, best: "Trial | None") -> None:
                shown = f"{sign * mean(best.scores):.4f}" if best else "none yet"
                progress.update(task, completed=number, description=f"best {metric} {shown}")

            yield after_trial

    return watch
