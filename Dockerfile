# One image for every service: docker run nightledger serve [SERVICE...]
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY commands commands
COPY sagas sagas
COPY projections projections
COPY api api
COPY infra infra
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home nightledger && install -d -o nightledger /data
COPY --from=build /venv /venv
USER nightledger
ENV PATH=/venv/bin:$PATH NIGHTLEDGER_DATA_DIR=/data NIGHTLEDGER_HOST=0.0.0.0 NIGHTLEDGER_LOG_JSON=true
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["nightledger"]
CMD ["serve"]
