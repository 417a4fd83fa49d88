"""`streamflow models` on a terminal: 100 columns, and nothing that a person looks for is cut."""

from streamflow.cli.models import in_words


def version(number, model, aliases=(), problem="", **tags):
    return {
        "version": number,
        "aliases": list(aliases),
        "model": f"{model} as of 2024-01-31",
        "metrics": {} if problem else {"roc_auc": 0.84471, "f1": 0.63, "brier": 0.2},
        "problem": problem,
        "decision_in_short": "gate clean git tree, roc_auc +0.0303",
        "signed_by": ["anna (7baf93a23d7bcc47)", "ben (0123456789abcdef)"],
        "derived_again_by": ["anna (7baf93a23d7bcc47)", "ben (0123456789abcdef)", "eve (fedcba9876543210)"],
        "tags": {
            "streamflow.as_of": "2024-01-31",
            "streamflow.source": "synthetic users=7043 seed=42",
            "streamflow.model_sha256": "0ddec6ee4f8f" * 5,
            "streamflow.git_commit": "39ebb98bab4b" * 3,
            **tags,
        },
    }


def test_the_longest_model_name_and_production_fit_into_100_columns():
    lines = in_words(
        [
            version("12", "hist_gradient_boosting on churn_v2", **{"streamflow.git_dirty": "true"}),
            version("1", "random_forest on churn_v1", ("Production",)),
        ]
    )
    assert max(map(len, lines)) <= 100
    assert lines[:4] == [
        "version  model                               as of       metrics                alias",
        "12       hist_gradient_boosting on churn_v2  2024-01-31  AUC 0.8447, F1 0.6300",
        "         decision: gate clean git tree, roc_auc +0.0303; source synthetic users=7043 seed=42",
        "         SHA-256 0ddec6ee4f8f, commit 39ebb98bab4b (dirty)",
    ]
    assert "1        random_forest on churn_v1           2024-01-31  AUC 0.8447, F1 0.6300  Production" in lines
    for word in ("fedcba9876543210", "0123456789abcdef"):
        assert sum(word in line for line in lines) >= 2
    assert not any("…" in line for line in lines)


def test_what_is_wrong_with_a_version_stands_beside_its_decision_and_no_version_is_no_line():
    lines = in_words([version("1", "blend on churn_v2", problem="its run has no metrics")])
    assert lines[1] == "1        blend on churn_v2  2024-01-31"
    assert "decision: gate clean git tree, roc_auc +0.0303: its run has no metrics;" in lines[2]
    assert in_words([]) == []
