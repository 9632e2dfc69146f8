# SPDX-License-Identifier: Apache-2.0
# The image of the BIDS app. docs/containers.rst tells how to use it, and what the arguments do.
#
#   docker build -t bidsqa:0.1.0 .
#   docker build -t bidsqa:0.1.0-cuda --build-arg DEVICE=cuda .
#   docker build -t bidsqa:0.1.0-lean --build-arg TRAINING=no .
ARG BASE=python:3.11.13-slim-bookworm

# What bidsqa needs: rebuilt only when the list of packages changes.
FROM ${BASE} AS dependencies
ARG DEVICE=cpu
ARG TRAINING=yes
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG PIP_ARGS=""
COPY setup.cfg constraints.txt /src/
COPY containers/dependencies.sh containers/requirements.py /src/containers/
RUN sh /src/containers/dependencies.sh /src /opt/venv /opt/bidsqa

# bidsqa itself, in a folder of its own: a new version is a layer of a few MB.
FROM dependencies AS package
ARG PIP_ARGS=""
COPY . /src
RUN sh /src/containers/package.sh /src /opt/venv /opt/bidsqa

# Tissue maps for the metrics tpm_overlap_*; without a network they are left out, and a line says so.
FROM package AS templates
RUN TEMPLATEFLOW_HOME=/opt/templateflow /opt/venv/bin/python3 /src/containers/templates.py

# hadolint ignore=DL3006 # the base has its tag in the argument
FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="bidsqa" \
      org.opencontainers.image.description="BIDS app: which MRI scans of a study can be trusted, and why" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.authors="The bidsqa developers" \
      org.bids-apps.levels="participant group"
# Mount points, for engines that can't make them in a read-only image.
RUN mkdir /data /out /work && chmod 0777 /out /work
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=templates /opt/templateflow /opt/templateflow
COPY --from=package /opt/bidsqa /opt/bidsqa
COPY version /version
# Nothing is sent; nothing of the user's home or working directory is imported; users without an entry have a name.
ENV PATH=/opt/bidsqa/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONNOUSERSITE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LC_ALL=C.UTF-8 \
    USER=bidsqa \
    LOGNAME=bidsqa \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    TEMPLATEFLOW_AUTOUPDATE=off \
    NO_ET=1 \
    BIDSQA_CONTAINER_TYPE=docker \
    BIDSQA_CONTAINER_TAG=bidsqa:${VERSION}
USER 1000:1000
ENTRYPOINT ["bidsqa"]
CMD ["--help"]
