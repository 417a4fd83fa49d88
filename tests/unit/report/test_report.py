"""The report says what it was given, escapes it, has the same bytes anywhere, and publishing adds without changing."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import ROOT
from small_evaluation import month, small_evaluation, small_publication

from streamflow.core.errors import ModelError
from streamflow.registry.decision import DecisionRecord
from streamflow.report.report import MARKS, evaluation_of, publish, render_report
from streamflow.snapshots.profile import waved_through

REPORT = render_report(small_evaluation())
PUBLISHED = publish(REPORT, small_publication())


class Reading(HTMLParser):
    """What a reader meets: table rows by caption, headings, links, ids, and what the elements carry."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tables, self.headings, self.links, self.ids, self.svgs, self.scopeless = {}, [], [], [], [], []
        self._cell, self._caption, self._rows = None, None, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.svgs += [given] if tag == "svg" else []
        self.scopeless += [given] if tag == "th" and "scope" not in given else []
        if tag == "table":
            self._caption, self._rows = None, []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td", "caption"):
            self._cell = ""

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self._rows[-1].append(self._cell.strip())
        elif tag == "caption":
            self._caption = self._cell.strip()
        elif tag == "table":
            assert self._caption, self._rows
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def table(self, caption):
        """The rows of the one table whose caption begins so."""
        (found,) = (rows for name, rows in self.tables.items() if name.startswith(caption))
        return found


READ, READ_PUBLISHED = Reading(REPORT), Reading(PUBLISHED)


def test_the_scores_stand_beside_their_spread_and_the_baseline():
    rows = {row[0]: row[1:] for row in READ.table("Test users, cross-validation")}
    metrics = small_evaluation().metrics
    assert rows["ROC AUC"] == [f"{metrics['roc_auc']:.4f}", "0.8229 ± 0.0117", "0.5000"]
    assert rows["F1"] == [f"{metrics['f1']:.4f}", "0.5000 ± 0.0117", "0.0000"]
    assert rows["accuracy"] == ["0.6500", "0.5000 ± 0.0117", "0.6000"]  # 9 and 17 of 40 right; 16 churned
    assert rows["Brier scorelower is better"][2] == "0.2400"  # 0.4 times 0.6
    assert rows["precision"][2] == "–"  # of nobody


def test_the_confusion_and_the_costs_are_those_of_the_users():
    confusion, cost = small_evaluation().confusion, READ.table("What the test users cost")
    assert READ.table("Test users by what they did")[1:] == [
        ["stayed", str(confusion["true_negative"]), str(confusion["false_positive"]), "24"],
        ["churned", str(confusion["false_negative"]), str(confusion["true_positive"]), "16"],
        ["all", "24", "16", "40"],
    ]
    lost = 200 * confusion["false_negative"] + 20 * confusion["false_positive"]
    assert cost[1] == ["by the model, at the threshold", f"{lost:,}", f"{lost / 40:,.2f}"]
    assert [row[1] for row in cost[2:]] == ["3,200", "480"]


def test_a_policy_without_prices_has_no_cost():
    training = {**small_evaluation().training, "threshold_policy": {"policy": "f1", "in_words": "the best F1"}}
    metrics = {name: value for name, value in small_evaluation().metrics.items() if not name.startswith("cost")}
    page = render_report(small_evaluation(training=training, metrics=metrics))
    assert "Policy: the best F1" in page
    assert "What the test users cost" not in page


def test_segments_importance_and_data_are_shown_with_their_numbers():
    (segment,) = (row for row in READ.table("Test users by segment") if row[0] == "Two year")
    given = next(each for each in small_evaluation().segments if each.value == "Two year")
    assert segment[1:5] == [
        "10",
        "50.0\N{NO-BREAK SPACE}%",
        f"{100 * given.mean_score:.1f}\N{NO-BREAK SPACE}%",
        "0.7600",
    ]
    assert READ.table("Loss of ROC AUC")[1][:2] == ["months_active", "0.1446 ± 0.0074"]
    assert READ.table("Frozen months")[1][2:] == [
        "40",
        "27.5\N{NO-BREAK SPACE}%",
        "plan_stream_tv 2, plan_stream_movies 2",
    ]
    assert READ.table("Parts of the training set")[1][2:4] == ["1,000", "270"]
    assert ["plan_stream_tv", "boolean", "TV plan; NULL without internet", "by design"] in READ.table("14 features")


def test_the_card_says_what_the_data_is_and_which_features_describe_people():
    assert "The users are synthetic" in REPORT
    assert "The model takes no user_gender" in REPORT
    dataset = {**small_evaluation().dataset, "feature_service": "churn_v2", "label_as_of": "2024-02-29"}
    months = [month("2024-01-31"), month("2024-02-29")]
    page = render_report(small_evaluation(dataset=dataset, source="csv", months=months))
    assert "synthetic" not in page
    assert "The model takes user_gender, user_is_senior, has_family, has_dependents" in page
    assert "the model looks ahead" in page
    assert [row[1] for row in Reading(page).table("Frozen months")[1:]] == ["features", "labels"]


def test_the_bytes_are_the_same_in_other_surroundings(tmp_path):
    other = {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/small_evaluation.py")],
        env={**os.environ, **other, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [hashlib.sha256(page.encode()).hexdigest() for page in (REPORT, PUBLISHED)]


def test_a_single_repeat_has_no_spread_of_repeats_to_speak_of():
    spread = {**small_evaluation().cross_validation, "roc_auc_repeat_sd": 0.0}
    assert "The mean over the repeats varies by 0.0002 in ROC AUC" in REPORT
    assert "The mean over the repeats" not in render_report(small_evaluation(cross_validation=spread))


def test_all_that_comes_from_outside_is_escaped():
    evil = "<script>alert('&')</script>"
    services = [evil, "No"] * 20
    evaluation = small_evaluation(
        services, source=evil, folds=evil, settings={evil: evil}, inputs={evil: evil}, months=[month(evil)]
    )
    importance = [{"feature": evil, "auc_loss": 0.1, "spread": 0.0}]
    training = {**evaluation.training, "estimator": evil, "parameters": {evil: evil}, "sample_weight": evil}
    curves = {**evaluation.curves, "importance": importance}
    page = publish(
        render_report(replace(evaluation, curves=curves, training=training)),
        small_publication(reason=f"{evil} `{evil}`"),
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 14
    assert Reading(page).table("Loss of ROC AUC")[1][0] == evil


@given(st.text(max_size=80), st.booleans())
@settings(max_examples=20)
def test_publishing_adds_and_changes_nothing(reason, promoted):
    published = publish(REPORT, small_publication(promoted, f"{reason}<!-- end: status -->"))
    assert evaluation_of(published) == REPORT
    assert len(published) > len(REPORT)


def test_the_published_report_begins_with_what_became_of_the_version():
    head, _, _ = PUBLISHED.partition("<nav")
    assert (
        "<strong>In Production</strong> since 2026-11-23 19:20:00 UTC. Version 4 of streamflow_churn: there was" in head
    )
    refused = publish(REPORT, small_publication(False, "gate clean git tree: `streamflow tag NAME`"))
    assert "<strong>Not in Production</strong> as of 2026-11-23 19:20:00 UTC" in refused
    assert "gate clean git tree: <code>streamflow tag NAME</code>." in refused


def test_the_published_report_has_champion_gates_months_and_lineage():
    assert READ_PUBLISHED.table("Champion (version 3) and challenger (version 4)")[1] == [
        "ROC AUC",
        "0.8121",
        "0.8144",
        "+0.0023",
        "-0.0011",
        "+0.0057",
    ]
    assert "better in ROC AUC by at least 0.002, with 95 % confidence." in PUBLISHED
    gates = READ_PUBLISHED.table("Gates")
    assert [row[:2] for row in gates[1:]] == [["leakage", "passed"], ["clean git tree", "failed"]]
    assert [row[:3] for row in READ_PUBLISHED.table("Every month")[1:]] == [
        ["2024-01-31", "40", "11"],
        ["2024-02-29", "40", "9"],
    ]
    assert READ_PUBLISHED.table("Provenance")[1:] == [["git commit", "b25d82ff04e8" * 3]]  # no tag


def test_a_decision_without_numbers_is_published_too():
    bare = replace(
        small_publication(),
        decision=DecisionRecord(False, "policy never"),
        months=(),
    )
    page = publish(REPORT, bare)
    assert "did not become Production" in page
    assert "Champion" not in page
    assert evaluation_of(page) == REPORT


@pytest.mark.parametrize("broken", ["<html></html>", PUBLISHED])
def test_a_report_without_its_places_is_refused(broken):
    with pytest.raises(ModelError, match="has 0 places for the status; `dvc repro"):
        publish(broken, small_publication())


@pytest.mark.parametrize("page", [REPORT, PUBLISHED], ids=["evaluation", "published"])
def test_the_page_needs_nothing_else(page):
    assert not re.search(r"https?://|<script|<link|<img|<iframe|src=|url\(|@import|@font-face", page)
    assert len(page) < 100_000


@pytest.mark.parametrize("read", [READ, READ_PUBLISHED], ids=["evaluation", "published"])
def test_the_page_can_be_read_by_ear(read):
    assert read.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(read.headings, read.headings[1:], strict=False))
    assert read.scopeless == []
    assert len(read.svgs) == 4 + 2 + len(small_evaluation().segments)
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in read.svgs)
    assert len(read.ids) == len(set(read.ids)) >= 8
    assert {link.removeprefix("#") for link in read.links} == set(read.ids)


def test_every_place_is_there_once_and_in_order():
    positions = [REPORT.index(f"<!-- published: {name} --><!-- end: {name} -->") for name in MARKS]
    assert positions == sorted(positions)
    assert [REPORT.count(f"<!-- published: {name} -->") for name in MARKS] == [1] * 5


def luminance(colour):
    digits = colour.removeprefix("#")
    digits = "".join(2 * each for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first, second):
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_text_is_readable_on_light_and_on_dark():
    light, dark, paper = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", part)) for part in REPORT.split(":root")[1:4])
    for scheme in (light, dark, paper):
        for text in ("ink", "muted", "accent"):
            for ground in ("paper", "soft"):
                assert contrast(scheme[text], scheme[ground]) >= 4.5, (scheme, text, ground)
        for mood in ("good", "held"):
            assert contrast(scheme[mood], scheme[f"{mood}-soft"]) >= 4.5, (scheme, mood)
        assert contrast(scheme["second"], scheme["soft"]) >= 3


def test_a_published_report_says_what_was_let_pass_by_the_receipts_of_its_months(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts/ingest").mkdir(parents=True)
    kept = [
        {"limit": "scale", "of": "subscriptions.monthly_fee", "contents": [], "what": "the median <b>is</b> 80 times"},
        "an older receipt has words only",
    ]
    (tmp_path / "artifacts/ingest/2024-02-29.json").write_text(json.dumps({"waved_through": kept}))
    months = [replace(each, waved_through=waved_through(each.as_of)) for each in small_publication().months]
    page = publish(REPORT, replace(small_publication(), months=months))
    line = (
        "<p>Not plausible at the ingest of 2024-02-29, and let pass: the median &lt;b&gt;is&lt;/b&gt; 80 times;"
        " an older receipt has words only.</p>"
    )
    assert [each for each in page.splitlines() if "let pass" in each] == [line]
    assert "let pass" not in PUBLISHED
