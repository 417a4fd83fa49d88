"""`streamflow check-skew`: compare online features and scores with offline ones, for every user."""

import sys
from typing import Any

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.cli.json_output import json_option, say_json
from streamflow.core.schema import features_of
from streamflow.operations.skew.compare import ABSENT, Skew
from streamflow.pipeline.reporting import say
from streamflow.postgres.server import database


@click.command("check-skew")
@click.option("--url", metavar="URL", help="Compare the answers of a running server too.")
@click.option("--token", metavar="TOKEN", envvar="STREAMFLOW_TOKEN", help="The server's bearer token, if it has one.")
@json_option
def check_skew(url: str | None, token: str | None, as_json: bool) -> None:
    """Compare the online store with the data that Production was trained on, for every user.

    \b
    streamflow check-skew                              the online store, read as serving and as Feast read it
    streamflow check-skew --url http://127.0.0.1:8000  and the answers of a running server

    Features value for value (NULL is only NULL), probabilities to 1e-6. Exit code 0 if nothing differs, 1 if
    anything differs, 2 if the comparison is not possible.
    """
    from streamflow.operations.skew.check import skew

    with database() as database_url:
        found = skew(database_url, url, token)
    if as_json:
        say_json(found.to_json())
    else:
        say("\n".join(_in_words(found)))
    sys.exit(SAYS_NO if found.findings else 0)


def _in_words(found: Skew) -> list[str]:
    values, scores = found.features, found.probabilities
    lines = [
        f"Production is version {found.version}: {found.service} as of {found.as_of}",
        f"  users          {found.users:,} compared",
        f"  features       {len(features_of(found.service))} of each: "
        + ", ".join(f"{count:,} values by {reader}" for reader, count in values.compared.items()),
        f"  probabilities  {sum(scores.compared.values()):,} compared by {', '.join(scores.compared)},"
        f" largest difference {found.largest_difference:.1e}",
    ]
    if not found.is_of_these_files:
        lines.append(f"  note           data/snapshots/{found.as_of} changed since version {found.version} was trained")
    if not found.findings:
        return [*lines, "no skew"]
    lines += ["", "SKEW", *(f"  {finding}" for finding in found.findings)]
    if found.first_differences:
        lines += ["", f"  {'user':<16} {'feature':<30} {'online':<24} {'offline':<24} read by"]
    return lines + [
        f"  {each.user_id:<16} {each.feature:<30} {_format(each.online):<24} {_format(each.offline):<24}"
        f" {', '.join(each.readers)}"
        for each in found.first_differences
    ]


def _format(value: Any) -> str:
    return "absent" if value is ABSENT else "NULL" if value is None else repr(value)
