# A server of one machine: tiles, maps and the API over an SQLite index in /data, or any other index.
#   docker build -t livemosaic .
#   docker run -p 8000:8000 -v "$PWD/scenes:/scenes:ro" -v livemosaic:/data livemosaic
FROM node:22-slim AS web
WORKDIR /src
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make && rm -rf /var/lib/apt/lists/*
COPY Makefile package.json package-lock.json ./
RUN make web

FROM python:3.13-slim AS wheel
WORKDIR /src
COPY pyproject.toml requirements.txt MANIFEST.in LICENSE README.md CHANGELOG.md ./
COPY packaging packaging
COPY infra infra
COPY lambda lambda
COPY --from=web /src/lambda/livemosaic/api/web lambda/livemosaic/api/web
RUN pip wheel --no-cache-dir --no-deps -w /wheels . && grep -v '^-e' requirements.txt > /wheels/pins.txt

FROM python:3.13-slim
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile -c /wheels/pins.txt "$(ls /wheels/*.whl)[geoparquet]"
RUN useradd --create-home livemosaic && mkdir /data && chown livemosaic /data
USER livemosaic
WORKDIR /data
VOLUME /data
ENV LIVEMOSAIC_INDEX=sqlite:////data/livemosaic.db \
    LIVEMOSAIC_ALLOWED_PREFIXES=/scenes/,s3://,https://
EXPOSE 8000
ENTRYPOINT ["livemosaic"]
CMD ["serve", "--host", "0.0.0.0"]
