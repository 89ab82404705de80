# syntax=docker/dockerfile:1
# Built for the machine that builds it. The binary is static: nothing but it, and no shell, is in the image.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev gcc make
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src ./src
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin pai-notification \
    && cp target/release/pai-notification /pai-notification \
    && echo 'pai:x:65532:65532:PAI Notification:/:/sbin/nologin' > /passwd

FROM scratch
COPY --from=build /passwd /etc/passwd
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /pai-notification /usr/local/bin/pai-notification
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/pai-notification"]
CMD ["run"]
