"""The parts of a serving graph as small real classes, a gateway over them, and requests to it without a server."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
from counters import counters

from serve.gateway import Gateway
from serve.http_api import HttpApi
from streamflow.core.errors import FeatureStoreError, RegistryError
from streamflow.core.schema import FEATURE_SERVICES, service_features
from streamflow.online.values import Score, Scored, UserFeatures, is_complete

NAMES = list(FEATURE_SERVICES["churn_v1"])
WANTED = service_features("churn_v1")
VALUES = {name: "DSL" if name == "net_service" else 1 for name in NAMES}
MODEL = {"name": "streamflow_churn", "version": "7", "model_sha256": "ab", "git_commit": "cd", "as_of": "2024-01-31"}
LOADED_AT = datetime(2024, 2, 1, tzinfo=UTC)


class Store:
    """Users in a dict; down when told so."""

    def __init__(self, moment):
        self.users = {
            "known": VALUES,
            "offline": {**VALUES, "plan_stream_tv": None, "plan_stream_movies": None, "net_service": "No"},
            "holed": {**VALUES, "monthly_fee": None, "skips_7d": None},
            "partial": {name: value for name, value in VALUES.items() if name != "failed_payments_90d"},
        }
        self.moment = moment
        self.old = {}
        self.down = False

    async def lookup(self, user_ids):
        if self.down:
            raise FeatureStoreError("the online store does not answer: connection refused")
        found = [self.users.get(user, {}) for user in user_ids]
        return [
            UserFeatures(user, values, {**dict.fromkeys(values, self.moment), **(self.old if values else {})})
            for user, values in zip(user_ids, found, strict=True)
        ]


class Model:
    """Scores by the number of NULLs; absent when told so."""

    def __init__(self):
        self.absent = False

    async def score(self, users):
        await self.about()
        return [Scored(user, self._score(user) if is_complete(user, WANTED) else None) for user in users]

    async def about(self):
        if self.absent:
            raise RegistryError("no version of streamflow_churn has the alias Production; run `make repro`")
        return {
            **MODEL,
            "run_id": "run",
            "loaded_at": LOADED_AT,
            "from_local_copy": False,
            "not_served": {"version": "8", "reason": "model.onnx has another SHA-256", "since": LOADED_AT},
            "signed_by": "build-1 (0123456789abcdef)",
            "unsigned": None,
            "threshold": 0.4,
            "features": NAMES,
            "provenance": {"streamflow.seed": "42"},
        }

    @staticmethod
    def _score(user):
        nulls = sum(user.values[name] is None for name in NAMES)
        return Score(0.25 * nulls, int(nulls > 0), MODEL)


class Client:
    """Requests to an ASGI app without a server."""

    def __init__(self, app):
        self._transport = httpx.ASGITransport(app)

    def request(self, method, path, **body):
        async def send():
            async with httpx.AsyncClient(transport=self._transport, base_url="http://gateway") as client:
                return await client.request(method, path, **body)

        return asyncio.run(send())

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, json, **options):
        return self.request("POST", path, json=json, **options)


def http_api(store, model, folder, token=None, **options):
    """The ASGI app of a gateway over a store and a model."""

    async def assess(user_ids):
        return await model.score(await store.lookup(user_ids))

    gateway = Gateway(
        "churn_v1",
        assess=assess,
        lookup=store.lookup,
        about=model.about,
        metrics=counters(folder),
        max_age=timedelta(days=31),
        **options,
    )
    return HttpApi(gateway, token)
