# Relay as an image: Python, Relay and the libraries that these load; no shell, no package manager, no root.
#   docker build -t relay .
#   docker run --rm relay demo --once
#   mkdir -p relay.d && docker run --rm relay init zendesk --out - > relay.d/relay.yaml
#   docker run -p 8080:8080 -v ./relay.d:/etc/relay:ro -v relay:/var/lib/relay --env-file relay.env relay
# The base by its digest: --build-arg PYTHON_IMAGE=python:3.14-slim@sha256:...
ARG PYTHON_IMAGE=python:3.14-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# strip is a tool of the build, none of it is in the image: any version will do
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /opt/relay && python3 -m venv --without-pip /opt/build
COPY requirements.lock requirements-build.lock ./
RUN python3 -m pip --python /opt/relay/bin/python install --require-hashes -r requirements.lock && \
    python3 -m pip --python /opt/build/bin/python install --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY relay ./relay
COPY config/recipes ./config/recipes
# The backend is the one with hashes: pip would fetch another for an isolated build.
RUN python3 -m pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --wheel-dir /wheel . && \
    python3 -m pip --python /opt/relay/bin/python install --no-deps /wheel/*.whl
COPY .ci/pack.py ./
RUN /opt/relay/bin/python pack.py /opt/relay /image

FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Relay" \
      org.opencontainers.image.description="Turns what happens in a CRM, a helpdesk or a queue into Cargo AI chats: none lost, none twice." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image /
ENV PATH=/opt/relay/bin LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt RELAY_CONFIG=/etc/relay
USER 10001:10001
WORKDIR /var/lib/relay
# hooks and health; the ops listener stays on loopback unless the configuration says otherwise
EXPOSE 8080 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["relay", "health"]
ENTRYPOINT ["relay"]
CMD ["serve"]
