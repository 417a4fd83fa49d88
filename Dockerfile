# One image for the pipeline, MLflow's server and Ray Serve: Python 3.11 with exactly the packages of requirements.lock.
FROM python:3.11-slim

# git: the pipeline tags every model with its commit.
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home streamflow && install -d -o streamflow /app /app/var

WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1

COPY --chown=streamflow . .
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index --editable . \
    && chown -R streamflow /app

USER streamflow
CMD ["streamflow", "repro"]
