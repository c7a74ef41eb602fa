# make test    installs what the tests need and runs all that blocks a change
# make accept  the long run: 60 s of every fuzz target, kill -9 loops, benches
# make bench   the benchmarks, with their peers
# make run     gantry serve from this checkout

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
FUZZTIME    ?= 5s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
MODULES     := . bench interop

.PHONY: run test accept bench deps lint generated unit interop fuzz vuln build

run:
	go run ./cmd/gantry serve

build:
	CGO_ENABLED=0 go build -tags disable_grpc_modules -trimpath -o bin/gantry ./cmd/gantry

test: deps lint generated unit interop fuzz vuln

accept: deps
	GANTRY_ACCEPT=1 go test -race -shuffle=on -count=1 -timeout 30m ./...
	$(MAKE) fuzz FUZZTIME=60s
	GANTRY_ACCEPT=1 $(MAKE) interop
	$(MAKE) bench

# Debian packages and npm modules that the tests start or load.
deps:
	@./scripts/deps.sh

lint:
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	@for m in $(MODULES); do echo "vet and staticcheck $$m"; (cd $$m && go vet ./... && go run $(STATICCHECK) ./...); done

# What is generated must be what is committed.
generated:
	go generate ./...
	@git diff --exit-code -- docs internal || { echo "generated files are stale: commit what go generate made"; exit 1; }

unit:
	go test -race -shuffle=on -timeout 15m ./...

interop:
	cd interop && go test -race -shuffle=on -timeout 10m ./...

fuzz:
	@./scripts/fuzz.sh $(FUZZTIME)

# Blocking where the vulnerability data can be reached; says so where not.
vuln:
	@./scripts/vuln.sh $(GOVULNCHECK)

bench: build
	cd bench && go run ./inprocess
	cd bench && go run ./http
	cd bench && go run ./signups
	cd bench && go run ./media
