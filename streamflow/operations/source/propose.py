"""A first mapping of a team's own files, from their headers and values: YAML for conf/source, with a reason at each line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamflow.core.schema import ENTITY, LABELS, SUBSCRIPTIONS, TABLES, USERS, Column, Table
from streamflow.operations.source.samples import Found, Sample
from streamflow.operations.source.similarity import ENOUGH, NO, YES, date_format, name_fit, values_fit

_SHOWN = 5
_MONTHS = SUBSCRIPTIONS.column("months_active")


@dataclass
class _Texts:
    """The texts that have a meaning of their own, over all columns."""

    yes: set[str] = field(default_factory=set)
    no: set[str] = field(default_factory=set)
    null: set[str] = field(default_factory=lambda: {""})


def propose(name: str, samples: Sequence[Sample]) -> str:
    """The text of conf/source/NAME.yaml. What was not found is declared absent; nobody has to trust it unread."""
    chosen = {table.name: _columns(table, samples) for table in TABLES}
    texts = _texts(chosen)
    absent = [*_absent_tables(chosen), *_absent_columns(chosen)]
    first = _sample_of(chosen, USERS.name) or samples[0]
    lines = [
        f"# Proposed by `streamflow source init` from {', '.join(each.file for each in samples)}: read every line.",
        f"# Then: streamflow source check source={name} source.dir=PATH",
        "defaults:",
        "  - limits@_global_.limits: default",
        "  - _self_",
        "",
        f"name: {name}",
        "kind: csv",
        "dir: ???",
        "max_row_drop: 0.5",
    ]
    if absent:
        lines.append("# Nothing was found for these; features of them are left out of the feature service.")
        lines.append(f"absent: [{', '.join(absent)}]")
    lines += ["reading:", *_reading(first, texts), "tables:"]
    for table in TABLES:
        if table.name not in absent:
            lines += _table(table, chosen[table.name], first, _months(chosen))
    return "\n".join(lines) + "\n"


def _columns(table: Table, samples: Sequence[Sample]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for column in table.columns:
        candidates = [
            Found(sample, name, name_fit(column, name))
            for sample in samples
            for name in sample.columns
            if name != _key(sample)
        ]
        fitting = [each for each in candidates if each.fit[0] >= ENOUGH and values_fit(column, each.values)]
        if fitting:
            found[column.name] = max(fitting, key=lambda each: each.fit)  # the first of those that fit best
    return found


def _key(sample: Sample) -> str:
    """The column of the user's id: all values there and different, and a name that says so where possible."""
    unique = [name for name, values in sample.columns.items() if all(values) and len(set(values)) == len(values)]
    named = [name for name in unique if name.lower().endswith("id") or ENTITY in name.lower()]
    return next(iter([*named, *unique, *sample.columns]))


def _texts(chosen: Mapping[str, Mapping[str, Found]]) -> _Texts:
    texts = _Texts()
    for table in TABLES:
        for column in table.columns:
            found = chosen[table.name].get(column.name)
            if found is None:
                continue
            texts.null |= found.blanks
            if column.kind == "boolean":
                texts.yes |= {value for value in found.values if value.lower() in YES}
                texts.no |= {value for value in found.values if value.lower() in NO}
                others = {value for value in found.values if value.lower() not in YES | NO}
                texts.null |= others if column.nullable else set()
    return texts


def _absent_tables(chosen: Mapping[str, Mapping[str, Found]]) -> list[str]:
    return [name for name, columns in chosen.items() if not columns and name not in (USERS.name, LABELS.name)]


def _absent_columns(chosen: Mapping[str, Mapping[str, Found]]) -> list[str]:
    return [
        f"{table.name}.{column.name}"
        for table in TABLES
        if chosen[table.name] or table is USERS
        for column in table.columns
        if column.name not in chosen[table.name] and not (column.kind == "date" and _months(chosen))
    ]


def _months(chosen: Mapping[str, Mapping[str, Found]]) -> str:
    """The column of months, if it is in the file of the users: a day can be counted back from it; else nothing."""
    found = chosen[SUBSCRIPTIONS.name].get(_MONTHS.name)
    users = _sample_of(chosen, USERS.name)
    return found.name if found and users in (None, found.sample) else ""


def _sample_of(chosen: Mapping[str, Mapping[str, Found]], table: str) -> Sample | None:
    return next((found.sample for found in chosen[table].values()), None)


def _reading(sample: Sample, texts: _Texts) -> list[str]:
    lines = [f'  file: "{sample.file}"', f"  key: {_text(_key(sample))}"]
    usual = Sample("", {})
    for name in ("delimiter", "encoding", "decimal"):
        if getattr(sample, name) != getattr(usual, name):
            lines.append(f"  {name}: {_text(getattr(sample, name))}")
    lines += [f"  true_values: {_list(texts.yes)}"] if texts.yes else []
    lines += [f"  false_values: {_list(texts.no)}"] if texts.no else []
    return [*lines, f"  null_values: {_list(texts.null)}"]


def _table(table: Table, columns: Mapping[str, Found], first: Sample, months: str) -> list[str]:
    sample = next((found.sample for found in columns.values()), first)
    lines = [f"  {table.name}:"]
    if sample is not first:
        lines += [f'    file: "{sample.file}"', f"    key: {_text(_key(sample))}"]
    lines.append("    columns:")
    for column in table.columns:
        found = columns.get(column.name)
        if found is not None:
            lines.append(f"      {column.name}: {_rule(column, found)}  # {_reason(column, found)}")
        elif column.kind == "date" and months:
            lines.append(
                f"      {column.name}: {{months_before: {_text(months)}}}  # counted back from the month's date"
            )
        elif table is LABELS:
            lines.append(f"      {column.name}: ???  # nothing was found: {column.meaning}")
    return lines


def _rule(column: Column, found: Found) -> str:
    options = []
    if found.blanks and not column.nullable and column.kind in ("integer", "real"):
        options.append("empty: 0")
    if column.allowed and (values := _values(column, found)):
        options.append(f"values: {{{', '.join(f'{_text(old)}: {_text(new)}' for old, new in values.items())}}}")
    if column.kind == "boolean" and not column.nullable:
        others = [value for value in found.values if value.lower() not in YES | NO]
        if others:
            options.append(f"values: {{{', '.join(f'{_text(each)}: false' for each in others)}}}")
    dates = date_format(found.values) if column.kind == "date" else None
    if dates not in (None, "%Y-%m-%d"):
        options.append(f"dates: {_text(str(dates))}")
    return f"{{column: {_text(found.name)}, {', '.join(options)}}}" if options else _text(found.name)


def _values(column: Column, found: Found) -> dict[str, str]:
    """Texts that differ from an allowed one by their case only."""
    allowed = {each.lower(): each for each in column.allowed}
    return {
        value: allowed[value.lower()]
        for value in found.values
        if value not in column.allowed and value.lower() in allowed
    }


def _reason(column: Column, found: Found) -> str:
    values = found.values
    few = ", ".join(values[:_SHOWN]) + (", …" if values[_SHOWN:] else "")
    unknown = [each for each in values if column.allowed and each.lower() not in {a.lower() for a in column.allowed}]
    hint = (
        f"; say in `values` what {', '.join(unknown[:_SHOWN])} is: one of {', '.join(column.allowed)}"
        if unknown
        else ""
    )
    return f"{len(values)} values: {few}{hint}"[:200].replace("\n", " ")


def _list(texts: set[str]) -> str:
    return f"[{', '.join(_text(each) for each in sorted(texts))}]"


def _text(value: str) -> str:
    """A text as YAML that nothing else can be read from."""
    plain = value.replace("_", "a").isalnum() and value.isascii() and not value[0].isdigit()
    if plain and value.lower() not in ("yes", "no", "true", "false", "on", "off", "null", "y", "n"):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
