# Detent with its policy engine. Images are named with their digest, by whoever builds:
#
#   docker build --build-arg PYTHON_IMAGE=python@sha256:… --build-arg OPA_IMAGE=openpolicyagent/opa@sha256:… .
#   docker build --build-arg EGRESS_IMAGE=debian@sha256:… --target egress …   (for sidecars)
#
# PYTHON_IMAGE: Debian with Python 3.11 or newer. OPA_IMAGE: OPA 1.22, statically linked, at /opa.
ARG PYTHON_IMAGE
ARG OPA_IMAGE
ARG EGRESS_IMAGE=scratch

# What an agent's pod starts with: loads the rule that lets Detent's uid alone leave it. The chart
# runs it as root with NET_ADMIN and nothing else.
FROM ${EGRESS_IMAGE} AS egress
ARG EGRESS_IMAGE
RUN case "${EGRESS_IMAGE}" in *@sha256:*) ;; *) echo "EGRESS_IMAGE needs its digest" >&2; exit 1;; esac
RUN apt-get update \
 && apt-get install --yes --no-install-recommends nftables \
 && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["nft"]
CMD ["--file", "/etc/detent-egress/egress.nft"]

FROM ${OPA_IMAGE} AS opa

FROM ${PYTHON_IMAGE} AS build
ARG PYTHON_IMAGE
ARG OPA_IMAGE
RUN for image in "${PYTHON_IMAGE}" "${OPA_IMAGE}"; do \
      case "${image}" in *@sha256:*) ;; *) echo "${image} needs its digest" >&2; exit 1;; esac; \
    done
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock requirements.runtime.lock ./
RUN python -m venv /opt/detent \
 && /opt/detent/bin/pip install --require-hashes --only-binary :all: -r requirements.runtime.lock
# What builds the package is not in the image; its pin and hashes stand in the same lock.
RUN python -m venv /opt/build \
 && awk '/^[a-z]/ {wanted = /^setuptools==/} wanted' requirements.lock > build.lock \
 && /opt/build/bin/pip install --require-hashes --only-binary :all: -r build.lock
COPY pyproject.toml README.md ./
COPY proxy proxy
COPY credentials credentials
# `proxy/pdp/starter` is a link to them.
COPY policies policies
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/detent/bin/pip install --no-deps --no-index /wheels/*.whl \
 && /opt/detent/bin/detent --version \
 && /opt/detent/bin/pip uninstall --yes pip setuptools

# Nothing in it has to be written: mount /tmp and /var/lib/detent, and make the root read-only.
FROM ${PYTHON_IMAGE} AS gateway
COPY --from=opa /opa /usr/local/bin/opa
COPY --from=build /opt/detent /opt/detent
ENV PATH=/opt/detent/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/detent
STOPSIGNAL SIGTERM
ENTRYPOINT ["detent"]
CMD ["serve", "--config", "/etc/detent/detent.yaml"]
