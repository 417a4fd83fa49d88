"""For unit tests: one thread, as in the stages; two test processes on two cores with two each wait for each other."""

from streamflow.pipeline.environment import pin_kernels

pin_kernels()
