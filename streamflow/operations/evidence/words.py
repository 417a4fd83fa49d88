"""What the model card says that no file has: whom the model is for, and what it is not good for."""

CONSIDERATIONS = {
    "users": ["people who decide which subscribers get an offer that may keep them"],
    "useCases": ["rank the users of one month by the probability that they leave in it"],
    "technicalLimitations": [
        "the data that comes with the project is synthetic: metrics say nothing about other subscribers",
        "scores hold for the feature service and the date of the model; `streamflow drift` compares a later month",
        "golden rows are scored equally on one machine; a CPU without AVX2 may train other bytes",
    ],
    "performanceTradeoffs": ["the threshold is chosen on the validation users, see params.yaml and feature_schema.json"],
    "ethicalConsiderations": [
        {
            "name": "age, gender and family may be features or go along with features",
            "mitigationStrategy": "report.html has the scores for each segment; look at them before a use that differs",
        }
    ],
}
