"""What Feast collects from feature_repo/ follows from the schema."""

from project import ROOT

from streamflow.core.schema import FEATURE_SERVICES, FEATURE_VIEWS, Column, Table
from streamflow.features.point_in_time import MONTH_VARIABLE, REPO, definitions, import_feast


def test_a_view_of_the_schema_is_collected_without_a_line_in_the_feature_repo(monkeypatch):
    ratings = Table("ratings_agg_90d", (Column("titles_rated_90d", "integer", "titles rated", minimum=0, maximum=9),))
    monkeypatch.setitem(FEATURE_VIEWS, "ratings_agg_90d_fv", ratings)
    monkeypatch.setitem(FEATURE_SERVICES, "churn_v2", (*FEATURE_SERVICES["churn_v2"], "titles_rated_90d"))
    monkeypatch.setenv(MONTH_VARIABLE, "2024-01-31")
    import_feast()
    parsed = definitions(ROOT / REPO)
    assert {view.name for view in parsed.feature_views} == set(FEATURE_VIEWS)
    projections = {service.name: service.feature_view_projections for service in parsed.feature_services}
    assert {each.name for each in projections["churn_v2"]} == set(FEATURE_VIEWS)
