# syntax=docker/dockerfile:1.7
# The image of the service: built with the toolchain that Cargo.toml names, run without a compiler and without root.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin concertctl \
    && cp target/release/concertctl /usr/local/bin/concertctl

FROM debian:12.12-slim
# Certificates, to authenticate the receivers of notifications.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/concertctl concertctl
COPY --from=build /usr/local/bin/concertctl /usr/local/bin/concertctl
USER concertctl
ENV CONCERTCTL_DATA_DIR=/var/lib/concertctl
EXPOSE 8080 8081
# The other containers reach the operations API; Compose publishes it only on loopback.
ENTRYPOINT ["concertctl"]
CMD ["serve", "--api-addr", "0.0.0.0:8080", "--ops-addr", "0.0.0.0:8081"]
