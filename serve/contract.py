"""The models of HTTP requests and responses, from which /docs is made."""

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
    """The user to predict churn for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "7590-VHVEG"}]})

    user_id: UserId


class BatchRequest(BaseModel):
    """The users to predict churn for, up to 1,000; a user may be named twice."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_ids": ["7590-VHVEG", "nobody"]}]})

    user_ids: list[UserId] = Field(min_length=1, max_length=MAX_BATCH)


class ModelReference(BaseModel):
    """The model that made the prediction."""

    name: str = Field(description="registered model")
    version: str = Field(description="version in the registry")
    model_sha256: str = Field(description="SHA-256 of the ONNX file")
    git_commit: str = Field(description="commit of the model; `streamflow rerun vN` derives the same bytes again")
    as_of: str = Field(description="date of the features of the training set")


class Prediction(BaseModel):
    """A prediction, its features and its model."""

    user_id: str
    prediction: int = Field(description="1: churns, 0: stays, at the model's own threshold", ge=0, le=1)
    probability: float = Field(description="probability of churn", ge=0, le=1)
    features_used: dict[str, Any] = Field(description="by name in the model's order; null is a value")
    null_by_design: list[str] = Field(
        description="features that are null and may be null: the model was trained with nulls"
    )
    feature_timestamp: datetime = Field(description="event timestamp of the newest feature (UTC)")
    stale: bool = Field(description="whether the newest feature is older than the limit of this deployment")
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
    """Features that the prediction needs and that are not in the store, or are null and must not be."""

    error: str = Field(examples=["Missing features for user_id=nobody"])
    missing_features: list[str] = Field(examples=[["months_active", "monthly_fee"]])


class StaleFeatures(BaseModel):
    """Features older than the limit, if this deployment rejects them (`stale_policy=refuse`)."""

    error: str = Field(examples=["Stale features for user_id=7590-VHVEG: newest of 2024-01-31, limit 62 days"])
    stale_features: list[str]


class ErrorAnswer(BaseModel):
    """The reason of an error."""

    error: str = Field(examples=["the online store does not answer: connection refused"])


class Refused(BaseModel):
    """One user of a batch without a prediction: the error and status that /predict returns for the user."""

    user_id: str
    status: int = Field(description="status that /predict returns for this user", examples=[404])
    error: str
    missing_features: list[str] = []
    stale_features: list[str] = []


class BatchAnswer(BaseModel):
    """A prediction or an error for each user, in the order of the request; all predictions are of one model."""

    results: list[Prediction | Refused]


class Features(BaseModel):
    """A user's online features, null if null is stored, and their event timestamps."""

    user_id: str
    features: dict[str, Any] = Field(examples=[FEATURES])
    timestamps: dict[str, datetime] = Field(description="event timestamp of each feature (UTC)")
    stale_features: list[str] = Field(description="features older than the limit of this deployment")


class NotServed(BaseModel):
    """The version that should be served and is not; the version before it is still served."""

    version: str | None = Field(
        description="null if the registry did not answer, or the moves of Production contradict each other"
    )
    reason: str
    since: datetime


class ModelAnswer(ModelReference):
    """The served model and its provenance."""

    run_id: str
    loaded_at: datetime = Field(description="since when it is served")
    from_local_copy: bool = Field(
        description="true if the registry did not answer at the start and this machine's copy is served"
    )
    not_served: NotServed | None = Field(description="why the version of the alias is not served; null if it is")
    signed_by: str | None = Field(description="the trusted key that signed for these bytes and this commit")
    unsigned: str | None = Field(
        description="why no trusted key stands behind the version; null if one does (STREAMFLOW_TRUST=warn serves it)"
    )
    threshold: float = Field(description="probability from which a user is predicted to churn", ge=0, le=1)
    features: list[str] = Field(description="in the model's order")
    provenance: dict[str, str] = Field(
        description="the tags of the version, with the verdict of its last rerun and the decision on it"
    )


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Model and feature store are ready."""

    status: Literal["ready"]
    model_version: str
