"""An error is one line, whatever it was made of."""

import pytest

from streamflow.core.errors import ConfigError, StreamFlowError, first_line


def test_a_message_is_one_line():
    assert str(ConfigError("seed=-1\n  is negative;\tuse 0 or more ")) == "seed=-1 is negative; use 0 or more"


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
