"""Every scene of the repository satisfies scenes/scene.schema.json, and the schema refuses what the parser refuses."""
import json
import pathlib

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "scenes/scene.schema.json").read_text())
SCENES = sorted((ROOT / "scenes").glob("*/scene.json"))
BAD = sorted((ROOT / "tests/scenes/bad").glob("*.json"))
GOOD = sorted((ROOT / "tests/scenes/good").glob("*.json"))
# What a schema cannot say: text that is no JSON, keys given twice, names and files that do not exist, geometry that makes no sense.
BEYOND = ("syntax-", "name-", "file-", "sense-")


def validator():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def test_there_are_scenes():
    assert {p.parent.name for p in SCENES} >= {"cornell", "spheres"}
    assert len(BAD) > 20 and GOOD


@pytest.mark.parametrize("path", SCENES + GOOD, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_scene_is_valid(path):
    validator().validate(json.loads(path.read_text()))


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.name)
def test_bad_scene_is_refused(path):
    if path.name.startswith(BEYOND):
        pytest.skip("beyond a schema")
    assert list(validator().iter_errors(json.loads(path.read_text()))), "the schema accepts what the parser refuses"
