"""YAML is read as PyYAML's safe loader reads it, and nothing but plain values comes of it."""

import pytest
import yaml
from project import ROOT

from streamflow.core.yaml_text import parse_yaml


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock", "params.yaml", "docker-compose.yml"])
def test_the_project_files_are_read_as_the_safe_loader_reads_them(name):
    text = (ROOT / name).read_text()
    assert parse_yaml(text) == yaml.safe_load(text) != None  # noqa: E711


def test_a_tag_that_makes_an_object_is_refused():
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        parse_yaml("!!python/object/apply:os.getcwd []")
