"""An error is one line, whatever it was made of."""

import pytest

from streamflow.core.errors import ConfigError, StreamFlowError, cut, did_you_mean, first_line, shown


def test_a_message_is_one_line():
    assert str(ConfigError("seed=-1\n  is negative;\tuse 0 or more ")) == "seed=-1 is negative; use 0 or more"


def test_what_a_terminal_would_obey_is_escaped():
    assert str(ConfigError("a\x1b[2Jb\u200bc\x00é")) == "a\\x1b[2Jb\\u200bc\\x00é"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (1.5, "1.5"),
        ("a\nb", r"'a\nb'"),
        ("x" * 80, f"'{'x' * 80}'"),
        ("x" * 2_000_000, f"'{'x' * 80}'… (2000000 characters)"),
    ],
)
def test_a_value_is_shown_short(value, words):
    assert shown(value) == words


@pytest.mark.parametrize(
    ("error", "otherwise", "line"),
    [
        (ValueError("first\nsecond"), "", "first"),
        (ValueError("\n  first  \nsecond"), "other", "first  "),
        (ValueError(""), "no reason given\nat all", "no reason given"),
        (ValueError(" "), "", "ValueError"),
        ("text\nof a program", "", "text"),
    ],
)
def test_the_first_line_of_another_error(error, otherwise, line):
    assert first_line(error, otherwise) == line


def test_what_a_user_can_cause_is_one_tree_of_seven():
    assert sorted(kind.__name__ for kind in StreamFlowError.__subclasses__()) == [
        *("ConfigError", "EnvironmentFault", "ExtractError", "FeatureStoreError", "HistoryError", "ModelError"),
        "RegistryError",
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("modle", " (did you mean model?)"),
        ("production", " (did you mean Production?)"),
        ("Production", ""),
        ("nonesuch", ""),
    ],
)
def test_what_was_meant_is_the_nearest_known_word_whatever_its_case(word, said):
    assert did_you_mean(word, ["model", "months", "Production"]) == said
    assert did_you_mean(word, []) == ""


def test_what_somebody_typed_is_cut_where_nobody_reads_on():
    assert (cut("a" * 80), cut("a" * 81)) == ("a" * 80, "a" * 80 + "…")
