# The operator's image: the binary, the C library and the CA certificates; no shell and no package manager. `make image` builds it with
# buildah or docker.
#
# Builder and runtime must have the same C library, or the runtime a newer one: change both or neither.
ARG BUILDER=docker.io/library/rust:1.95-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILDER} AS build
# A profile of Cargo's.
ARG PROFILE=release
WORKDIR /src
COPY . .
RUN cargo install --locked --path . --bin rolebridge --profile "${PROFILE}" --root /built --no-track

FROM ${RUNTIME}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rolebridge" \
      org.opencontainers.image.description="A Kubernetes operator that manages cross-account AWS access the bastion way" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY LICENSE /licenses/rolebridge/LICENSE
COPY --from=build /built/bin/rolebridge /usr/local/bin/rolebridge
# The user `nonroot` of the runtime image, by number: Kubernetes cannot tell from a name that it is not root.
USER 65532:65532
EXPOSE 8081
ENTRYPOINT ["/usr/local/bin/rolebridge"]
