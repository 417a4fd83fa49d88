"""Server A: how a data-science laboratory would serve the model. FastAPI, Feast's online store, mlflow.pyfunc of a pickle.

One process, the feature store of feature_repo/, a data frame for each request. The same forest, not the same file: the
registry holds ONNX only, so the pipeline is fitted again and goes through MLflow's cloudpickle format.

    python -m benchmarks.serving.lab_way --port 8000
"""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
from fastapi import FastAPI, HTTPException
from mlflow.models import infer_signature
from mlflow.pyfunc import PyFuncModel
from pydantic import BaseModel

from benchmarks.serving.forest import fitted_forest, held_out_users
from benchmarks.serving.listening import listen
from streamflow.core.schema import ENTITY_KEY, service_features
from streamflow.model.scoring import model_inputs
from streamflow.online.publication import online_feature_store
from streamflow.pipeline.params import read_all_params
from streamflow.postgres.server import database

if TYPE_CHECKING:
    from feast import FeatureStore


class PredictRequest(BaseModel):
    """Whose churn is asked for."""

    user_id: str


def pickled_forest(folder: Path) -> PyFuncModel:
    """The fitted pipeline as mlflow.pyfunc loads it from a pickle; it answers with shape (n_users, 2)."""
    _, frame = held_out_users()
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns of the pickle, which is the point here
    mlflow.sklearn.save_model(
        fitted_forest(),
        str(folder),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        signature=infer_signature(frame),
        pip_requirements=[],
    )
    return mlflow.pyfunc.load_model(str(folder))


def lab_app(store: "FeatureStore", service_name: str, model: PyFuncModel) -> FastAPI:
    """POST /predict over a feature store and a pyfunc model."""
    service = store.get_feature_service(service_name)
    features = service_features(service_name)
    app = FastAPI()

    # Feast and scikit-learn block; FastAPI runs a plain function in its thread pool.
    @app.post("/predict")
    def predict(request: PredictRequest) -> dict[str, Any]:
        rows = [{ENTITY_KEY: request.user_id}]
        found = store.get_online_features(features=service, entity_rows=rows).to_dict()
        if all(found[column.name][0] is None for column in features):
            raise HTTPException(404, f"Missing features for user_id={request.user_id}")
        probability = float(model.predict(pd.DataFrame(model_inputs(found, features)))[0][1])
        return {"user_id": request.user_id, "prediction": int(probability >= 0.5), "probability": probability}

    return app


def main() -> None:
    """Fit, pickle, load and serve until SIGINT."""
    with database() as url, tempfile.TemporaryDirectory() as scratch:
        model = pickled_forest(Path(scratch) / "model")
        listen(lab_app(online_feature_store(url), read_all_params().features.service, model), __doc__)


if __name__ == "__main__":
    main()
