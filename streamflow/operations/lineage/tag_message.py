"""The message of an annotated tag exp/NAME: a title, and what the tagged result is, as git trailers."""

from collections.abc import Mapping

from streamflow.provenance.result import Result

METRICS = ("roc_auc", "average_precision", "f1", "accuracy")


def tag_message(name: str, result: Result) -> str:
    """Title and trailers (`git for-each-ref --format='%(trailers)'` reads them)."""
    trailers = {
        "as_of": result.params["as_of"],
        "feature_service": result.params["features"]["service"],
        "model": result.params["model_name"],
        **{name: f"{result.metrics[name]:.6f}" for name in METRICS if name in result.metrics},
        "dataset_md5": result.dataset_md5,
        "model_sha256": result.model_sha256,
        "dvc_lock_sha256": result.dvc_lock_sha256,
        "requirements_lock_sha256": result.requirements_lock_sha256,
        "input_fingerprint": result.input_fingerprint,
    }
    title = f"{name}: {trailers['model']} on {trailers['feature_service']} as of {trailers['as_of']}"
    return f"{title}\n\n" + "".join(f"{_key(key)}: {value}\n" for key, value in trailers.items())


def tagged_facts(message: str) -> Mapping[str, str]:
    """The trailers of a tag's message, by the names that `tag_message` gave them; empty for another message."""
    pairs = (line.split(": ", 1) for line in message.splitlines()[1:] if ": " in line)
    return {key.lower().replace("-", "_"): value for key, value in pairs}


def _key(name: str) -> str:
    return name.replace("_", "-").capitalize()
