# Our programs, static, on an empty base: one image for the manager and for what host pods run (monitor, init,
# provider). `make images` puts the same programs into an image without a container engine.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t understudy:dev .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=unknown
RUN make build GOOS=$TARGETOS ARCH=$TARGETARCH VERSION=$VERSION

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/bin/manager /src/bin/monitor /src/bin/init /src/bin/provider /
USER 65532:65532
ENTRYPOINT ["/manager"]
