"""How a model is made: calibration keeps the order, the threshold is what its policy wants, no user scores herself."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, f1_score
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.core.schema import service_features
from streamflow.evaluation.cross_validation import cross_validate, fold_numbers, spread
from streamflow.model.calibration import UNCHANGED, Calibration, calibration
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import pipeline_frame, uncalibrated_probability
from streamflow.model.thresholds import GRID, ThresholdPolicy, choose_threshold
from streamflow.model.training import Recipe, fit_pipeline, sample_weights, train

F1 = ThresholdPolicy("f1")
FEATURES = service_features("churn_v1")
FOREST = {
    "_target_": "sklearn.ensemble.RandomForestClassifier",
    "n_estimators": 20,
    "min_samples_leaf": 5,
    "class_weight": "balanced",
    "random_state": 0,
}
LINEAR = {"_target_": "sklearn.linear_model.LogisticRegression", "max_iter": 500}
BLEND = {
    "_target_": "streamflow.model.estimators.blend",
    "weights": {"boosting": 2, "linear": 1},
    "boosting": {"_target_": "sklearn.ensemble.HistGradientBoostingClassifier", "max_iter": 10, "random_state": 0},
    "linear": LINEAR,
}
SCORED_USERS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=60)


def arrays(pairs):
    return np.array([churned for churned, _ in pairs]), np.array([score for _, score in pairs])


@pytest.fixture(scope="module")
def month():
    rows = joined_month(900)
    return rows, pipeline_frame(rows, FEATURES), np.array(rows["churn_label"].to_pylist())


@given(SCORED_USERS)
@settings(max_examples=30)
def test_no_threshold_of_the_grid_has_a_higher_f1(pairs):
    churned, scores = arrays(pairs)
    chosen = choose_threshold(F1, churned, scores)
    best = max(f1_score(churned, scores >= each, zero_division=0.0) for each in GRID)
    assert f1_score(churned, scores >= chosen, zero_division=0.0) == best
    assert chosen in GRID


@given(SCORED_USERS, st.floats(1, 500), st.floats(1, 500))
@settings(max_examples=30)
def test_no_threshold_of_the_grid_costs_less(pairs, missed, wasted):
    churned, scores = arrays(pairs)

    def cost(threshold):
        called = scores >= threshold
        return missed * (churned & ~called).sum() + wasted * (~churned & called).sum()

    chosen = choose_threshold(ThresholdPolicy("cost", missed, wasted), churned, scores)
    assert cost(chosen) == pytest.approx(min(cost(each) for each in GRID))


@given(st.lists(st.floats(0.01, 0.99), min_size=5, max_size=60, unique=True), st.floats(0.05, 0.9))
@example([0.5, np.nextafter(0.5, 1), 0.1, 0.2, 0.3], 0.2)
@example([0.3, np.nextafter(0.3, 0), 0.1, 0.2, 0.05], 0.2)
def test_a_fraction_of_the_users_is_called_whoever_churned(scores, fraction):
    scores = np.array(scores)
    chosen = choose_threshold(ThresholdPolicy("top_fraction", fraction=fraction), np.zeros(len(scores), bool), scores)
    assert (scores >= chosen).sum() == max(1, round(fraction * len(scores)))


def test_prices_move_the_threshold_as_they_should():
    random = np.random.default_rng(0)
    scores = random.uniform(size=20_000)
    churned = random.uniform(size=20_000) < scores
    # Whoever is worth an offer churns with a probability of at least price of an offer / sum of both prices.
    for missed, wasted in ((180.0, 20.0), (100.0, 100.0), (20.0, 180.0)):
        chosen = choose_threshold(ThresholdPolicy("cost", missed, wasted), churned, scores)
        assert chosen == pytest.approx(wasted / (wasted + missed), abs=0.05)


@given(st.floats(0.2, 5), st.floats(-3, 3), st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_calibration_never_changes_the_order_of_users(slope, intercept, scores):
    before = np.sort(np.array(scores))
    after = Calibration(slope, intercept).of(before)
    assert np.all(np.diff(after) >= -1e-14)  # a logarithm of neighbouring floats may be off by its last bit
    assert np.all((after >= 0) & (after <= 1))
    assert UNCHANGED.of(before) is before


def test_calibration_finds_the_rates_that_a_distorted_score_hides():
    random = np.random.default_rng(0)
    odds = random.normal(-1, 1.5, 50_000)
    churned = random.uniform(size=50_000) < 1 / (1 + np.exp(-odds))
    distorted = 1 / (1 + np.exp(-(0.5 * odds + 1)))
    found = calibration("sigmoid", churned, distorted)
    assert (found.slope, found.intercept) == pytest.approx((2.0, -2.0), abs=0.06)
    assert brier_score_loss(churned, found.of(distorted)) < brier_score_loss(churned, distorted) - 0.02
    assert calibration("none", churned, distorted) == UNCHANGED


def test_a_score_that_ranks_users_the_wrong_way_round_is_no_score():
    with pytest.raises(ModelError, match="no better than chance"):
        calibration("sigmoid", np.array([True, True, False, False] * 9), np.array([0.1, 0.2, 0.8, 0.9] * 9))


@pytest.mark.parametrize("settings_", [FOREST, LINEAR, BLEND], ids=["forest", "linear", "blend"])
def test_the_graph_holds_calibration_and_threshold(month, settings_):
    rows, frame, churned = month
    recipe = Recipe(settings_, FEATURES, "sigmoid", F1)
    trained = train(recipe, frame, churned, np.arange(len(churned)) % 4 == 0, None)
    model = ChurnModel(export_onnx(trained.pipeline, FEATURES, trained.threshold, trained.calibration), FEATURES)
    probabilities, predictions = model.score({c.name: rows[c.name].to_pylist() for c in FEATURES})
    expected = trained.churn_probability(frame)
    assert trained.calibration != UNCHANGED
    assert np.max(np.abs(np.array(probabilities) - expected)) < 1e-5
    assert not np.allclose(expected, uncalibrated_probability(trained.pipeline, frame), atol=1e-3)
    assert predictions == [int(p >= np.float32(trained.threshold)) for p in np.array(probabilities, np.float32)]


def test_calibration_mends_the_balanced_forest(month):
    _, frame, churned = month
    rest, scored = slice(0, 600), slice(600, None)
    validation = np.arange(600) % 4 == 0
    briers = {
        method: brier_score_loss(
            churned[scored],
            train(Recipe(FOREST, FEATURES, method, F1), frame[rest], churned[rest], validation, None).churn_probability(
                frame[scored]
            ),
        )
        for method in ("none", "sigmoid")
    }
    assert briers["sigmoid"] < briers["none"]


def test_threshold_and_calibration_come_from_a_model_that_never_saw_the_validation_users(month):
    _, frame, churned = month
    validation = np.arange(len(churned)) % 4 == 0
    recipe = Recipe(FOREST, FEATURES, "sigmoid", F1)
    trained = train(recipe, frame, churned, validation, None)
    unseen = uncalibrated_probability(
        fit_pipeline(recipe, frame[~validation], churned[~validation], None), frame[validation]
    )
    expected = calibration("sigmoid", churned[validation], unseen)
    assert trained.calibration == expected
    assert trained.threshold == choose_threshold(F1, churned[validation], expected.of(unseen))
    whole = uncalibrated_probability(fit_pipeline(recipe, frame, churned, None), frame)
    assert np.array_equal(uncalibrated_probability(trained.pipeline, frame), whole)


@pytest.mark.parametrize(
    "settings_", [LINEAR, {**BLEND, "weights": {"boosting": 0, "linear": 1}}], ids=["alone", "blend"]
)
def test_users_of_weight_zero_teach_nothing(month, settings_):
    _, frame, churned = month
    weights = np.where(np.arange(len(churned)) < 450, 2.0, 0.0)
    recipe = Recipe(settings_, FEATURES, "none", F1)
    weighted = uncalibrated_probability(fit_pipeline(recipe, frame, churned, weights), frame)
    alike = uncalibrated_probability(fit_pipeline(recipe, frame, churned, None), frame)
    assert not np.allclose(weighted, alike, atol=1e-3)
    other = np.where(np.arange(len(churned)) < 450, churned, ~churned)
    assert np.allclose(
        uncalibrated_probability(fit_pipeline(recipe, frame, other, weights), frame), weighted, atol=1e-9
    )


def test_a_blend_is_the_weighted_mean_of_its_members(month):
    _, frame, churned = month

    def scores(settings_):
        return uncalibrated_probability(
            fit_pipeline(Recipe(settings_, FEATURES, "none", F1), frame, churned, None), frame
        )

    alone = [scores({**BLEND, "weights": {"boosting": one, "linear": 1 - one}}) for one in (1, 0)]
    assert np.allclose(scores(BLEND), (2 * alone[0] + alone[1]) / 3)
    assert np.allclose(alone[0], scores(BLEND["boosting"]))


def test_a_blend_whose_weights_name_others_than_its_members_is_refused(month):
    _, frame, churned = month
    settings_ = {**BLEND, "weights": {"boosting": 2, "forest": 1}}
    with pytest.raises(ModelError, match="weights are for boosting, forest, members are boosting, linear"):
        fit_pipeline(Recipe(settings_, FEATURES, "none", F1), frame, churned, None)


def test_weights_have_a_mean_of_one_and_can_not_be_negative():
    rows = pa.table({"monthly_fee": [10.0, 30.0], "debt": [-1.0, 2.0], "nothing": [0.0, 0.0]})
    assert sample_weights(rows, "monthly_fee").tolist() == [0.5, 1.5]
    assert sample_weights(rows, None) is None
    for column in ("debt", "nothing"):
        with pytest.raises(ModelError, match=f"sample_weight={column}"):
            sample_weights(rows, column)


@pytest.mark.parametrize(
    "broken", [{"_target_": "sklearn.linear_model.LogisticRegression", "C": -1}, {"_target_": "no.such.Thing"}]
)
def test_an_estimator_that_refuses_its_settings_is_named(month, broken):
    _, frame, churned = month
    with pytest.raises(ModelError, match=f"{broken['_target_']} refuses its settings: .*; see conf/model"):
        fit_pipeline(Recipe(broken, FEATURES, "none", F1), frame, churned, None)


def folds_of(month, users=None, **changes):
    rows, frame, churned = month
    order = np.arange(len(churned)) if users is None else users
    recipe = Recipe(LINEAR, FEATURES, "sigmoid", F1)
    how = {"salt": "s", "repeats": 2, "folds": 3, "validation": 0.25, **changes}
    ids = np.array(rows["user_id"].to_pylist())[order].tolist()
    return list(cross_validate(partial(train, recipe), ids, frame.iloc[order], churned[order], None, **how))


def test_every_user_is_scored_once_in_each_repeat(month):
    rows = folds_of(month)
    assert [(row["repeat"], row["fold"]) for row in rows] == [(r, f) for r in range(2) for f in range(3)]
    assert sum(row["users"] for row in rows) == 2 * 900
    assert all(0.6 < row["roc_auc"] < 1 for row in rows)
    found = spread(rows)
    assert found["roc_auc"] == pytest.approx(np.mean([row["roc_auc"] for row in rows]), abs=1e-5)
    assert found["roc_auc_fold_sd"] == pytest.approx(np.std([row["roc_auc"] for row in rows], ddof=1), abs=1e-6)
    assert found["roc_auc_repeat_sd"] > 0
    assert spread(rows[:3])["roc_auc_repeat_sd"] == 0.0


def test_the_order_of_users_does_not_change_their_folds():
    ids = [f"user {number}" for number in range(500)]
    shuffled = np.random.default_rng(0).permutation(500)
    assert fold_numbers([ids[i] for i in shuffled], "s", 5).tolist() == fold_numbers(ids, "s", 5)[shuffled].tolist()
    counts = np.bincount(fold_numbers(ids, "s", 5))
    assert len(counts) == 5
    assert counts.min() > 70


def test_more_folds_than_churners_is_refused(month):
    with pytest.raises(ModelError, match=r"cross_validation\.folds=300: a fold of"):
        folds_of(month, users=np.arange(300), folds=300)


def test_a_feature_of_noise_ranks_nobody_in_cross_validation(month):
    rows, frame, _ = month
    noise = np.random.default_rng(1).uniform(size=900) < 0.5
    recipe = Recipe(FOREST, FEATURES, "none", F1)
    how = {"salt": "s", "repeats": 1, "folds": 3, "validation": 0.25}
    found = cross_validate(partial(train, recipe), rows["user_id"].to_pylist(), frame, noise, None, **how)
    assert 0.42 < spread(found)["roc_auc"] < 0.58
