"""Eleven kinds of bad version come behind Production, one after another: each time the old one goes on, and says why.

/model names the refused version and the reason, /metrics counts it, every answer is the good version's; then a good
version is promoted and taken.

    python -m drills.serving_bad_versions [KEY=VALUE of serve]...
"""

import hashlib
import json
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import onnx
from onnx import TensorProto, helper
from project import Project

from drills.load import Load
from drills.served import Server, load_average, move, offline_scores, registry_of, report, two_versions, wait_for
from drills.serving_reload import is_mixed
from streamflow.core.schema import MODEL_NAME
from streamflow.provenance.record import PREFIX
from streamflow.registry.registry import Registry

LIMIT = 10.0


@dataclass
class Version:
    """The files of a version to be, and its tags."""

    folder: Path
    tags: dict[str, str]

    def rewrite(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change a file."""
        (self.folder / name).write_bytes(change((self.folder / name).read_bytes()))

    def rewrite_json(self, name: str, change: Callable[[dict], object]) -> None:
        """Change a JSON file in place."""
        content = json.loads((self.folder / name).read_text())
        change(content)
        (self.folder / name).write_text(json.dumps(content))

    def replace_model(self, content: bytes) -> None:
        """Other bytes as the model, and the digest that goes with them."""
        (self.folder / "model.onnx").write_bytes(content)
        self.tags[f"{PREFIX}model_sha256"] = hashlib.sha256(content).hexdigest()


class Trap:
    """What a pickle may hold: code that runs when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def flip(content: bytes) -> bytes:
    """One bit in the middle the other way round."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def other_inputs() -> bytes:
    """An ONNX model of one input that no feature service names."""
    shape, names = [None], ("churn_probability", "churn")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["credit_card"], [name]) for name in names],
        "other",
        [helper.make_tensor_value_info("credit_card", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
    )
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    )


def other_probabilities(golden: dict) -> None:
    """Scores that this model does not give."""
    for row in golden["rows"]:
        row["churn_probability"] = float(np.clip(1 - row["churn_probability"], 0, 1))


def rename_first(schema: dict) -> None:
    """A feature by another name."""
    schema["features"][0]["name"] += "_renamed"


KINDS: dict[str, tuple[Callable[[Version], object], str]] = {
    "a flipped bit in model.onnx": (lambda v: v.rewrite("model.onnx", flip), "model.onnx has SHA-256"),
    "model.onnx cut in half": (lambda v: v.rewrite("model.onnx", lambda b: b[: len(b) // 2]), "model.onnx has SHA-256"),
    "files gone from the artifact store": (lambda v: shutil.rmtree(v.folder), "can't be fetched"),
    "the digest of another": (lambda v: v.tags.update({f"{PREFIX}model_sha256": "0" * 64}), "registered was 000000"),
    "a feature renamed": (lambda v: v.rewrite_json("feature_schema.json", rename_first), "_renamed"),
    "features in another order": (
        lambda v: v.rewrite_json("feature_schema.json", lambda s: s["features"].reverse()), "order",
    ),
    "another feature service": (
        lambda v: v.tags.update({f"{PREFIX}feature_service": "churn_v2"}), "takes the features of churn_v2",
    ),
    "other golden probabilities": (lambda v: v.rewrite_json("golden.json", other_probabilities), "golden row"),
    "no golden rows": (lambda v: v.rewrite_json("golden.json", lambda g: g["rows"].clear()), "holds no row"),
    "a pickle with a matching digest": (
        lambda v: v.replace_model(pickle.dumps(Trap(v.folder / "ran"))), "not a usable ONNX file",
    ),
    "a model of other inputs with a matching digest": (lambda v: v.replace_model(other_inputs()), "['credit_card']"),
}  # fmt: skip


def register(registry: Registry, folder: Path, spoil: Callable[[Version], object]) -> str:
    """A copy of version 1, spoiled, as a new version; returns its number."""
    good = registry.version("1")
    client = mlflow.MlflowClient()
    mlflow.artifacts.download_artifacts(f"models:/{MODEL_NAME}/1", dst_path=str(folder))
    version = Version(folder, dict(good.tags))
    spoil(version)
    made = client.create_model_version(MODEL_NAME, folder.as_uri(), good.run_id, tags=version.tags)
    return str(made.version)


def is_refused(server: Server, load: Load, version: str, reason: str) -> tuple[bool, str]:
    """Move Production to a version and look at what the server says and does."""
    sent = len(load.answers)
    move(version)
    waited = wait_for(
        lambda: (server.model()["not_served"] or {}).get("version") == version,
        LIMIT,
        f"{version} not refused",
        server.said,
    )
    model, counted = server.model(), server.metric("streamflow_model_not_served")
    wait_for(lambda: len(load.answers) >= sent + 200, 10, "no answers")
    said = model["not_served"]["reason"]
    held = model["version"] == "1" and reason in said and counted == 1 and server.status("/ready") == 200
    return held, f"named after {waited:.1f} s, metric {counted}: {said}"


def drill(project: Project, store: Path, *arguments: str) -> bool:
    """Every kind of bad version, and then a good one."""
    with registry_of(project) as registry:
        scores = offline_scores(registry, "1", "2")
        move("1")
        held = []
        with Server(project, *arguments) as server, Load(server.port, sorted(scores["1"]), 100) as load:
            for number, (name, (spoil, reason)) in enumerate(KINDS.items()):
                before = len(load.answers)
                version = register(registry, store / str(number), spoil)
                refused, said = is_refused(server, load, version, reason)
                during = load.answers[before:]
                good = all(each.status == 200 and each.version == "1" and not is_mixed(each, scores) for each in during)
                ran = (store / str(number) / "ran").exists()
                figures = f"{len(during)} answers {'all of version 1' if good else 'NOT all of version 1'}; {said}"
                held.append(report(refused and good and not ran, name, figures))
            move("2")
            waited = wait_for(
                lambda: server.model()["version"] == "2", LIMIT, "the good version is not taken", server.said
            )
            well = server.model()["not_served"] is None and server.metric("streamflow_model_not_served") == 0
        well = well and not load.failed() and not any(is_mixed(each, scores) for each in load.answers)
        held.append(report(well, "then a good version", f"answers after {waited:.1f} s"))
    print(f"{sum(held[:-1])} of {len(KINDS)} bad versions refused while the old one went on ({load_average()})")
    return all(held)


def main() -> None:
    """One server, all versions."""
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = two_versions(Path(scratch) / "streamflow")
        held = drill(project, Path(scratch) / "bad", *sys.argv[1:])
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
