"""What goes over HTTP: the models of requests and answers, from which /docs is made."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_BATCH = 1000
FEATURES = {"months_active": 1, "monthly_fee": 29.85, "net_service": "DSL", "plan_stream_tv": False}
MODEL = {
    "name": "streamflow_churn",
    "version": "3",
    "model_sha256": "9f2c…",
    "git_commit": "4e1d…",
    "as_of": "2024-01-31",
}
# Postgres text holds no NUL character; the others of its class have no place in an id.
UserId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["7590-VHVEG"])]
StalePolicy = Literal["flag", "refuse"]


class PredictRequest(BaseModel):
    """Whose churn is asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "7590-VHVEG"}]})

    user_id: UserId


class BatchRequest(BaseModel):
    """Whose churn is asked for, up to 1,000 users; a user may be named twice."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_ids": ["7590-VHVEG", "nobody"]}]})

    user_ids: list[UserId] = Field(min_length=1, max_length=MAX_BATCH)


class ModelReference(BaseModel):
    """Which model answered."""

    name: str = Field(description="registered model")
    version: str = Field(description="version in the registry")
    model_sha256: str = Field(description="SHA-256 of the ONNX bytes that scored")
    git_commit: str = Field(description="commit that derives these bytes: `streamflow rerun vN`")
    as_of: str = Field(description="date whose state the training set describes")


class Prediction(BaseModel):
    """A score, the features it came from and the model that gave it."""

    user_id: str
    prediction: int = Field(description="1: churns, 0: stays, at the model's own threshold", ge=0, le=1)
    probability: float = Field(description="probability of churn", ge=0, le=1)
    features_used: dict[str, Any] = Field(description="by name in the model's order; null where null is a value")
    null_by_design: list[str] = Field(description="features that are null and may be: the model was trained on that")
    feature_timestamp: datetime = Field(description="event timestamp of the newest feature (UTC)")
    stale: bool = Field(description="the newest feature is older than the limit of this deployment")
    stale_features: list[str] = Field(description="features older than the limit")
    model: ModelReference

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "7590-VHVEG",
                    "prediction": 1,
                    "probability": 0.61,
                    "features_used": FEATURES,
                    "null_by_design": [],
                    "feature_timestamp": "2024-01-31T00:00:00Z",
                    "stale": False,
                    "stale_features": [],
                    "model": MODEL,
                }
            ]
        }
    )


class MissingFeatures(BaseModel):
    """Features that a prediction needs and the store does not have, or has as null where null is not allowed."""

    error: str = Field(examples=["Missing features for user_id=nobody"])
    missing_features: list[str] = Field(examples=[["months_active", "monthly_fee"]])


class StaleFeatures(BaseModel):
    """Features older than the limit, where this deployment refuses them (`stale_policy=refuse`)."""

    error: str = Field(examples=["Stale features for user_id=7590-VHVEG: newest of 2024-01-31, limit 62 days"])
    stale_features: list[str]


class ErrorAnswer(BaseModel):
    """Why there is no answer."""

    error: str = Field(examples=["the online store does not answer: connection refused"])


class Refused(BaseModel):
    """One user of a batch without a prediction: what /predict would have answered, and its status."""

    user_id: str
    status: int = Field(description="status that /predict would have answered with", examples=[404])
    error: str
    missing_features: list[str] = []
    stale_features: list[str] = []


class BatchAnswer(BaseModel):
    """A prediction or a refusal for each user, in the order asked; all predictions are of one model."""

    results: list[Prediction | Refused]


class Features(BaseModel):
    """A user's online features, null where null is stored, and when each was true."""

    user_id: str
    features: dict[str, Any] = Field(examples=[FEATURES])
    timestamps: dict[str, datetime] = Field(description="event timestamp of each feature (UTC)")
    stale_features: list[str] = Field(description="features older than the limit of this deployment")


class NotServed(BaseModel):
    """The version that should answer and does not; the one before goes on."""

    version: str | None = Field(description="null if the registry could not be asked")
    reason: str
    since: datetime


class ModelAnswer(ModelReference):
    """Provenance of the model that answers."""

    run_id: str
    loaded_at: datetime = Field(description="since when it answers")
    from_local_copy: bool = Field(
        description="the registry could not be asked at the start; this machine's copy answers"
    )
    not_served: NotServed | None = Field(description="why the version behind the alias does not answer, if so")
    threshold: float = Field(description="probability from which a user is predicted to churn", ge=0, le=1)
    features: list[str] = Field(description="in the model's order")
    provenance: dict[str, str] = Field(
        description="the tags of the version, the verdict of its last rerun and the decision on it among them"
    )


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Model and store are usable."""

    status: Literal["ready"]
    model_version: str
