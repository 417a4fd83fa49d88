"""One module for each DVC stage; `python -m stages.NAME` runs it in the project's root.

Importing the package pins threads, BLAS kernel, time zone and locale, before a stage imports numpy.
"""

from streamflow.pipeline.environment import pin_kernels, silence_telemetry

pin_kernels()
silence_telemetry()
