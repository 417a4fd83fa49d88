"""What the model card says that no file has: whom the model is for, and what it is not good for."""

from typing import Any

_SYNTHETIC = "the users are synthetic, generated from a seed: the metrics say nothing about other subscribers"


def considerations(source: str) -> dict[str, Any]:
    """The considerations of the model card; `source` is where the extracts came from: synthetic, csv or postgres."""
    return {
        "users": ["people who decide which subscribers get an offer that may keep them"],
        "useCases": ["rank the users of one month by the probability that they leave in it"],
        "technicalLimitations": [
            *([_SYNTHETIC] if source == "synthetic" else []),
            "scores hold for users like those of its date; `streamflow drift` compares a later month with it",
            "the same bytes are proven on x86-64 CPUs with AVX2; other CPUs score within 1e-6 of the golden rows",
        ],
        "performanceTradeoffs": ["the threshold was chosen on the validation users, see model/feature_schema.json"],
        "ethicalConsiderations": [
            {
                "name": "gender, age and family may be features, or go along with features",
                "mitigationStrategy": "report.html has scores by contract, net service and tenure; none by gender or age",
            }
        ],
    }
