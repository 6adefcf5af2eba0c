# Relay as an image: Python, Relay and the libraries that these load; no shell, no package manager, no root.
#   docker build -t relay .
#   docker run --rm relay demo --once
#   mkdir -p relay.d && docker run --rm relay init zendesk --out - > relay.d/relay.yaml
#   docker run --stop-timeout 40 -p 8080:8080 -v "$PWD/relay.d:/etc/relay:ro" -v relay:/var/lib/relay --env-file relay.env relay
# The same file builds for amd64 and arm64. The base by its digest: --build-arg PYTHON_IMAGE=python:3.14-slim@sha256:...
ARG PYTHON_IMAGE=python:3.14-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# strip is a tool of the build: any version will do. tini is the image's first process, as Debian has it; the bill says which.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils tini && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /opt/relay && python3 -m venv --without-pip /opt/build
COPY requirements.lock requirements-build.lock ./
# There is no compiler here, for either machine: what has no wheel is named at once (`make wheels` asks before).
RUN python3 -m pip --python /opt/relay/bin/python install --only-binary=:all: --require-hashes -r requirements.lock && \
    python3 -m pip --python /opt/build/bin/python install --only-binary=:all: --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY relay ./relay
COPY config/recipes ./config/recipes
COPY .ci/browser.py ./.ci/browser.py
# What the console's pages load in a browser, as package-lock.json pins it.
RUN python3 .ci/browser.py
# The backend is the one with hashes: pip would fetch another for an isolated build.
RUN python3 -m pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --wheel-dir /wheel . && \
    python3 -m pip --python /opt/relay/bin/python install --no-deps /wheel/*.whl
COPY .ci/bill.py .ci/pack.py .ci/probe.py ./
RUN /opt/relay/bin/python pack.py /opt/relay /below /above

FROM scratch
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Relay" \
      org.opencontainers.image.description="Turns what happens in a CRM, a helpdesk or a queue into Cargo AI chats: none lost, none twice." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.licenses="MIT" \
      relay.stop-timeout="40"
# What Relay stands on, which stays as it is until a lock file or the base changes; then Relay, in a small layer.
COPY --from=build /below /
COPY --from=build /above /
ENV PATH=/opt/relay/bin LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt RELAY_CONFIG=/etc/relay
USER 10001:10001
WORKDIR /var/lib/relay
# hooks and health; the ops listener stays on loopback unless the configuration says otherwise
EXPOSE 8080 8082
STOPSIGNAL SIGTERM
# `serve` lingers for 5 s and drains for 20 s; an engine kills after 10 s unless it is told to wait, and no image can say so
# but by the label above: docker run --stop-timeout 40, stop_grace_period: 40s of Compose.
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s CMD ["python", "-I", "-S", "/opt/relay/probe.py"]
# The kernel drops a stop that the first process has no handler for yet, and Python takes a while to have one.
ENTRYPOINT ["/usr/bin/tini", "--", "relay"]
CMD ["serve"]
