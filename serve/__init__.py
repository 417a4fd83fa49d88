"""The serving graph: gateway, feature lookup and scorer; only `serve.app` binds them."""
