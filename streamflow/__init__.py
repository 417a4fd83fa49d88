"""StreamFlow churn: the pure logic and the adapters behind the pipeline and the serving graph."""
