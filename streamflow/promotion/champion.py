"""The Production version (champion) and the current model (challenger) on the test users of the current run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from streamflow.core.config import Config, source_identity
from streamflow.core.errors import ModelError, StreamFlowError
from streamflow.core.schema import ENTITY_KEY, FEATURE_VIEWS, LABEL, feature_view_of
from streamflow.core.yaml_text import parse_yaml
from streamflow.features.dataset import SPLIT
from streamflow.features.splits import TEST
from streamflow.model.card import schema_features
from streamflow.model.scoring import ChurnModel
from streamflow.pipeline.complete import complete_month
from streamflow.pipeline.dvc_files import locked_stages
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.layout import DATASET, DATASET_ROWS, FEATURE_SCHEMA, ONNX, SNAPSHOTS
from streamflow.promotion.challenge import paired_bootstrap
from streamflow.promotion.data_gates import data_gates, split_of
from streamflow.promotion.decisions import FIRST, Decision, decide, gate_reason, judge
from streamflow.promotion.overlap import Split
from streamflow.registry.decision import Comparison, DecisionRecord, Gate, PromotionRule
from streamflow.registry.loading import LoadedModel, prove
from streamflow.registry.registry import Registry


def decide_promotion(config: Config, registry: Registry, champion: Any) -> DecisionRecord:
    """Compare the current model with the champion on the same test users, and decide by the policy; writes nothing.

    A champion whose files are missing or damaged can't serve, so the current model replaces it. Policy `never` compares
    nothing. The gates `leakage` and `overlap` are always checked; if one fails, the scores don't matter.
    """
    rule, test = _rule(config), _test_users()
    loaded, damage, distrust = _load_champion(registry, champion)
    then, unknown = _champion_split(registry, champion) if loaded else (None, "")
    gates = tuple(
        _check_champion_overlap(gate, champion, test, then, split_of(config), unknown) for gate in data_gates(config)
    )
    comparison, judged = None, FIRST
    source = source_identity(config.source)
    if loaded and loaded.source not in ("", source):
        judged = Decision(
            False,
            f"Production, version {champion.version}, is a model of {loaded.source}, this one of {source}: models of"
            " different sources are not compared; `streamflow rerun vN`, then `streamflow promote vN` makes it Production,"
            " with its users online",
        )
    elif distrust:
        judged = Decision(
            False,
            f"the champion, version {champion.version}, is not trusted: {distrust}; `streamflow promote --adopt`, or"
            " `streamflow rollback`",
        )
    elif damage:
        judged = Decision(True, f"the champion, version {champion.version}, is not usable: {damage}")
    elif loaded and rule.policy != "never":
        comparison, judged = _compare(rule, config.as_of, loaded, test, then)
    failed = next((gate for gate in gates if not gate.passed), None)
    decided = Decision(False, gate_reason(failed)) if failed and rule.policy != "never" else decide(rule, judged)
    version = str(champion.version) if champion else None
    return DecisionRecord(decided.promote, decided.reason, rule, version, comparison, gates)


def frozen_features(names: Sequence[str], user_ids: pa.ChunkedArray, as_of: str) -> dict[str, list[Any]]:
    """Features of a month by name, one value for each user in the order given, from the frozen snapshot.

    Raises ModelError if the snapshot differs from dvc.lock or lacks a user.
    """
    if not names:
        return {}
    folder = SNAPSHOTS / as_of
    locked, content = locked_stages()[f"snapshot@{as_of}"].outs[str(folder)], content_of(folder)
    if content is None or content.md5 != locked:
        raise ModelError(f"{folder} differs from dvc.lock (MD5 {locked[:12]}); `dvc checkout {folder}`")
    found: dict[str, list[Any]] = {}
    with complete_month(folder, names) as whole:
        for name in names:
            file = f"{FEATURE_VIEWS[feature_view_of(name)].name}.parquet"
            rows = pq.read_table(whole / file, columns=[ENTITY_KEY, name])
            places = pc.index_in(user_ids, value_set=rows[ENTITY_KEY].combine_chunks())
            if places.null_count:
                raise ModelError(f"{folder / file} lacks {places.null_count} users of {DATASET}; `streamflow repro`")
            found[name] = rows[name].take(places).to_pylist()
    return found


def _rule(config: Config) -> PromotionRule:
    promotion = config.promotion
    return PromotionRule(
        policy=promotion.policy,
        metric=promotion.metric,
        delta=promotion.delta,
        confidence=promotion.confidence,
        resamples=promotion.resamples,
        leak_auc=promotion.leak_auc,
        seed=config.seed,
    )


def _test_users() -> pa.Table:
    dataset = pq.read_table(DATASET_ROWS)
    return dataset.filter(pc.equal(dataset[SPLIT], TEST))


def _load_champion(registry: Registry, champion: Any) -> tuple[LoadedModel | None, str, str]:
    """The champion, or why its files are damaged, or why it is not accepted; nothing if there is none."""
    if champion is None:
        return None, "", ""
    try:
        loaded = prove(registry.files(champion))
    except StreamFlowError as error:
        return None, str(error), ""
    try:
        return registry.load(champion), "", ""
    except StreamFlowError as error:
        return loaded, "", str(error)


def _champion_split(registry: Registry, champion: Any) -> tuple[Split | None, str]:
    """The split that the champion was trained with, or why it is unknown."""
    try:
        section: Mapping[str, Any] = parse_yaml(registry.run_file(champion, "params.yaml"))["split"]
        return Split(section["salt"], section["validation"], section["test"]), ""
    except StreamFlowError as error:
        return None, str(error)
    except (KeyError, TypeError, yaml.YAMLError) as error:
        return None, f"params.yaml of its run has no usable section split ({error!r})"


def _check_champion_overlap(
    gate: Gate, champion: Any, test: pa.Table, then: Split | None, now: Split, unknown: str
) -> Gate:
    """Check the gate `overlap`, if it passed, for the champion too: it must not be trained on test users of this run."""
    if gate.name != "overlap" or not gate.passed or not (then or unknown):
        return gate
    whom = f"the champion, version {champion.version}"
    force = "`streamflow promote vN --force --reason WHY`"
    if then is None:
        return Gate(gate.name, f"the users that trained {whom} are unknown: {unknown}; {force}")
    trained = then.held_out(test[ENTITY_KEY].to_pylist()).count(False)
    if not trained:
        return gate
    return Gate(
        gate.name,
        f"{trained} of {test.num_rows} test users trained {whom} ({then.differences(now)});"
        f" `streamflow repro {then.overrides(now)}`, or {force}",
    )


def _compare(
    rule: PromotionRule, as_of: str, champion: LoadedModel, test: pa.Table, then: Split | None
) -> tuple[Comparison | None, Decision]:
    """Score both models on the test users that trained neither, and judge by the rule."""
    users = test.filter(pa.array(then.held_out(test[ENTITY_KEY].to_pylist()))) if then else test
    churned = users[LABEL].to_pylist()
    if len(set(churned)) < 2:
        return None, Decision(
            False,
            f"the champion, version {champion.version}, can't be compared: {users.num_rows} of {test.num_rows} test users"
            " did not train it, and they are not both churners and others; `streamflow promote vN` decides",
        )
    names = [column.name for column in champion.model.features]
    lacking = [name for name in names if name not in users.column_names]
    columns = {name: users[name].to_pylist() for name in users.column_names}
    columns |= frozen_features(lacking, users[ENTITY_KEY], as_of)
    defending, challenging = (model.score(columns)[0] for model in (champion.model, _current_model()))
    differences = paired_bootstrap(
        churned,
        defending,
        challenging,
        delta=rule.delta,
        confidence=rule.confidence,
        resamples=rule.resamples,
        seed=rule.seed,
    )
    comparison = Comparison(champion.version, users.num_rows, sum(churned), differences)
    return comparison, judge(rule, comparison)


def _current_model() -> ChurnModel:
    schema = json.loads(FEATURE_SCHEMA.read_text(encoding="utf-8"))
    return ChurnModel(ONNX.read_bytes(), schema_features(schema))
