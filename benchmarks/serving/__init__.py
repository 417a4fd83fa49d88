"""The load benchmark of serving: the project's graph beside a laboratory's server and the best one written by hand.

Run each from the project's root after `make repro`: `python -m benchmarks.serving.NAME`; README.md says what they measure.
"""

from streamflow.pipeline.environment import silence_telemetry

silence_telemetry()
