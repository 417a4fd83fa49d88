"""A delivered month beside what is recorded: refused if it is not plausible, or let pass and kept in its receipt.

What was let pass once is let pass again for the same rows, by the receipts of git and of the working tree: in another clone
and in an empty database the answer is the same.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa

from streamflow.core.config import LimitConfig
from streamflow.core.errors import ExtractError
from streamflow.core.schema import TABLES
from streamflow.extracts.plausibility import REFUSE, Implausible, Limit, Month, implausible, tables_with_facts
from streamflow.pipeline.layout import INGEST_RECEIPTS
from streamflow.provenance.erasures import Erasures
from streamflow.provenance.git import file_at
from streamflow.warehouse.history import Warehouse
from streamflow.warehouse.versions import months_beside, months_with

Finding = dict[str, Any]
"""What a receipt keeps of a finding that was let pass: limit, of, contents and what."""


def plausibility(
    store: Warehouse,
    month: str,
    rows: Mapping[str, pa.Table],
    digests: Mapping[str, str],
    limits: Mapping[str, LimitConfig],
    erased: Erasures,
) -> list[Finding]:
    """What a new or corrected month's receipt keeps as let pass. Raises ExtractError if it is not plausible.

    It is compared with the recorded months next to it, and with its version before.
    """
    others = [_recorded(store, each) for each in (*months_beside(store, month), month)]
    facts = {name: digests[name] for name in tables_with_facts(rows)}
    found = implausible(
        Month(month, rows, digests),
        [each for each in others if each.tables],
        months_with(store, month, facts),
        {name: Limit(each.limit, each.action) for name, each in limits.items()},
    )
    before = kept(month, digests, erased)
    if not found:
        return before
    ours = {_key(each, erased): each for receipt in _receipts(month) for each in _findings(receipt)}
    theirs = {_key(each, erased) for other in _other_receipts(month) for each in _findings(other)}
    new = [each for each in found if each.key not in ours and each.key not in theirs]
    _refuse(month, [each for each in new if each.action == REFUSE])
    for each in found:
        print(
            f"ingest {month}: not plausible, let pass{'' if each in new else ' before'}: {each.what}", file=sys.stderr
        )
    again = [ours[each.key] for each in found if each.key in ours and ours[each.key] not in before]
    return [*before, *again, *(_kept_of(each) for each in new)]


def kept(month: str, digests: Mapping[str, str], erased: Erasures) -> list[Finding]:
    """What the receipt of a month keeps as let pass, if it is of the same rows; users who were erased count as absent."""
    for receipt in _receipts(month):
        try:
            then = {name: erased.left_of(table["content_sha256"]) for name, table in receipt["tables"].items()}
        except (KeyError, TypeError, AttributeError):
            continue
        if then == digests:
            return list(receipt.get("waved_through", ()))
    return []


def _refuse(month: str, refused: list[Implausible]) -> None:
    if refused:
        more = f" (and {len(refused) - 1} more)" if refused[1:] else ""
        passes = " ".join(dict.fromkeys(f"limits.{each.name}.action=warn" for each in refused))
        raise ExtractError(
            f"{month} is not plausible: {refused[0].what}{more}; deliver it again, or let it pass: `streamflow repro …"
            f" {passes}`; nothing was written"
        )


def _recorded(store: Warehouse, month: str) -> Month:
    digests = {table.name: store.recorded_digest(table, month) for table in TABLES}
    known = {name: digest for name, digest in digests.items() if digest}
    return Month(month, {each.name: store.history_rows(each, month) for each in TABLES if each.name in known}, known)


def _receipts(month: str) -> Iterator[Mapping[str, Any]]:
    """The receipt in the working tree, then that of git; none that is missing or damaged."""
    path = INGEST_RECEIPTS / f"{month}.json"
    yield from _parsed(path.read_bytes() if path.is_file() else None)
    yield from _parsed(file_at("HEAD", path))


def _parsed(text: bytes | None) -> Iterator[Mapping[str, Any]]:
    with suppress(ValueError):
        receipt = json.loads(text or b"null")
        if isinstance(receipt, dict) and isinstance(receipt.get("waved_through", []), list):
            yield receipt


def _other_receipts(month: str) -> Iterator[Mapping[str, Any]]:
    for path in sorted(INGEST_RECEIPTS.glob("*.json")):
        if path.stem != month:
            yield from _receipts(path.stem)


def _findings(receipt: Mapping[str, Any]) -> list[Finding]:
    # Older receipts have the words only, which do not say whose rows they are about.
    findings = (each for each in receipt.get("waved_through", ()) if isinstance(each, dict))
    return [each for each in findings if isinstance(each.get("contents"), list)]


def _key(finding: Finding, erased: Erasures) -> tuple[str, str, tuple[str, ...]]:
    contents = sorted(erased.left_of(str(digest)) for digest in finding["contents"])
    return str(finding.get("limit")), str(finding.get("of")), tuple(contents)


def _kept_of(found: Implausible) -> Finding:
    return {"limit": found.name, "of": found.of, "contents": list(found.contents), "what": found.what}
