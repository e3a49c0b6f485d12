# The images of chat-server and operator:
#
#   docker build --target chat-server -t chatcluster/chat-server .
#   docker build --target operator -t chatcluster/operator .
#
# (Docker before 23 needs DOCKER_BUILDKIT=1, so that only the stages of the target are built.)

# What the images are built with and from. By digest: docs/operations.md.
ARG NODE_IMAGE=node:24-bookworm-slim
# The version is that of rust-toolchain.toml, which stays outside: rustup would fetch the
# components for editors that it names.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The page. Its dependencies are installed anew only when they change.
FROM ${NODE_IMAGE} AS web
WORKDIR /src
COPY chat-server/web/package.json chat-server/web/package-lock.json chat-server/web/.npmrc ./
RUN npm ci
COPY chat-server/web/ ./
RUN npm run build

# The workspace without its code: a layer that changes only with a Cargo.toml or Cargo.lock. Every
# member is there, or cargo would not take it for a workspace, each as empty programs.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY chat-server/Cargo.toml chat-server/
# Named one by one in that manifest, and cargo wants to see them; nothing of them is built.
COPY chat-server/benches/ chat-server/benches/
COPY operator/Cargo.toml operator/
COPY tests/Cargo.toml tests/
RUN mkdir chat-server/src operator/src \
 && for main in chat-server/src/lib.rs chat-server/src/main.rs operator/src/main.rs tests/main.rs; do echo 'fn main() {}' > $main; done

# First the dependencies alone, then, in a layer above, the code. Each is built for its package
# only, and so without the others' dependencies. Cargo goes by the time of a file, and what comes
# from the repository may be older than the empty program just built.
FROM manifests AS chat-server-build
RUN cargo build --release --locked -p chat-server
COPY chat-server/src/ chat-server/src/
COPY --from=web /src/dist/ chat-server/web/dist/
RUN find chat-server/src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked -p chat-server

FROM manifests AS operator-build
RUN cargo build --release --locked -p operator
COPY operator/src/ operator/src/
COPY charts/chat-operator/monitoring/ charts/chat-operator/monitoring/
RUN find operator/src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked -p operator

FROM ${RUNTIME_IMAGE} AS operator
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ChatCluster operator" \
      org.opencontainers.image.description="The Kubernetes operator that runs ChatClusters" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=operator-build /src/target/release/operator /usr/local/bin/operator
ENTRYPOINT ["/usr/local/bin/operator"]

# Last, and so what a build without a target makes.
FROM ${RUNTIME_IMAGE} AS chat-server
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ChatCluster chat-server" \
      org.opencontainers.image.description="A node of a chat over Socket.IO, with its page" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=chat-server-build /src/target/release/chat-server /usr/local/bin/chat-server
# Clients; and health and metrics, which are on loopback only unless CHAT_ADMIN_LISTEN says else.
EXPOSE 3000 9090
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/chat-server", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/chat-server"]
