"""`make house`: what it measures, and that the code keeps its limits."""

from dataclasses import replace

import pytest
from project import ROOT

from benchmarks.house import Room, broken_limits, shape


@pytest.fixture(scope="module")
def today():
    return shape(ROOT)


def test_the_code_keeps_the_limits(today):
    assert broken_limits(today) == []
    assert today.files >= 150
    assert len(today.rooms) >= 25
    assert sum(room.lines for room in today.rooms.values()) == today.lines >= 15_000
    assert sum(room.share for room in today.rooms.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"rooms": {"cli": Room(2, 21, 0.21)}}, "cli holds 21.0% of the lines; the limit is 20%"),
        ({"circles_of_modules": [["a", "b"]]}, "a circle of modules: a, b"),
        ({"circles_of_rooms": [["model", "registry"]]}, "a circle of rooms: model, registry"),
        ({"longest_file": 301, "longest_file_path": "serve/app.py"}, "serve/app.py has 301 lines; the limit is 300"),
        ({"median_text": 70.5}, "the median file has 70.5 lines that are not blank; the limit is 70"),
    ],
)
def test_each_limit_that_is_broken_is_a_line(today, change, line):
    assert broken_limits(replace(today, **change)) == [line]


def test_a_small_house_is_measured(tmp_path):
    files = {
        "streamflow/core/low.py": "def one():\n    return 1\n",
        "streamflow/core/__init__.py": '"""Not counted."""\n',
        "streamflow/flat.py": "from streamflow.core.low import one\n\n\nfor _ in range(9):\n    one()\n",
        "streamflow/operations/repro/run.py": "from stages.train import main\n",
        "stages/train.py": "import streamflow.operations.repro.run\n\n\nasync def main():\n    if True:\n        pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = shape(tmp_path)
    assert found.rooms == {
        "stages": Room(1, 6, 6 / 14),
        "no room": Room(1, 5, 5 / 14),
        "core": Room(1, 2, 2 / 14),
        "operations/repro": Room(1, 1, 1 / 14),
    }
    assert (found.files, found.lines, found.median_file, found.median_text) == (4, 14, 3.5, 2.5)
    assert (found.arrows_between_rooms, found.arrows_between_modules) == (3, 3)
    assert found.circles_of_rooms == [["operations/repro", "stages"]]
    assert found.circles_of_modules == [["stages.train", "streamflow.operations.repro.run"]]
    assert (found.longest_file, found.longest_file_path, found.largest_room) == (6, "stages/train.py", "stages")
    assert (found.median_function, found.longest_function_of_ten) == (2.5, 3)
