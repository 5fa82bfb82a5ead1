# Landfall. On a fresh Debian 12 or 13, or Ubuntu 24.04 or newer, with Go:
#
#   make demo    see it work
#   make test    install what is missing, and prove that it works
#
# No package is listed here: what a target needs is found in the code.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Where downloads and built tools are kept, by version.
LANDFALL_CACHE ?= $(CURDIR)/.cache
export LANDFALL_CACHE := $(abspath $(LANDFALL_CACHE))

# An ordinary user's PATH on Debian lacks the folder that HAProxy is in.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# A test whose dependency is named here fails without it, instead of being skipped.
LANDFALL_TEST_REQUIRE ?= haproxy,apiserver,ip,setpriv,sh,strace$(if $(filter 0,$(shell id -u)),$(comma)root)
export LANDFALL_TEST_REQUIRE
comma := ,

# Debian releases whose HAProxy the tests run on, besides this machine's: 3.0, and
# the newest there is. None is no mistake.
RELEASES ?= trixie sid

VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
# What "make image" makes, and where.
IMAGE ?= localhost/landfall
ARCHES ?= amd64 arm64
DIST ?= dist
FUZZTIME ?= 60s
BENCH ?= .
# What "make bench" measures; empty is everything, as test/bench says.
ROWS ?=
SERVICES ?= 100,1000,10000
CHURN ?= 0s
TESTFLAGS ?=
ARGS ?=

# folders PATTERN: the folders whose tests hold a line like it.
folders = $(sort $(dir $(shell grep -rlE --include='*_test.go' --exclude-dir=.cache '$(1)' .)))
# Packages that start goroutines or guard something from them.
concurrent = $(sort $(dir $(shell grep -rlE --include='*.go' --exclude='*_test.go' --exclude-dir=.cache \
	'^\s+go [a-z]|"sync"$$|"sync/atomic"$$|sync/errgroup"$$' .)))
# Lines about packages without tests tell nobody anything.
brief = sed -u '/\[no test files\]$$/d'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: go
go:
	@hack/check-go

.PHONY: build
build: go ## build bin/landfall, static
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/landfall ./cmd/landfall

.PHONY: image
image: go ## pack images of the phone-home agent into dist, with no Docker
	@for arch in $(ARCHES); do \
		CGO_ENABLED=0 GOARCH=$$arch go build -tags phonehome -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)' \
			-o '$(DIST)'/landfall-$$arch ./cmd/landfall; \
	done
	@go run -C hack/image . -name '$(IMAGE)' -version '$(VERSION)' -o '$(abspath $(DIST))' \
		$(foreach arch,$(ARCHES),$(arch)='$(abspath $(DIST))/landfall-$(arch)')

.PHONY: demo
demo: go ## show it on this machine, with no cluster: make demo ARGS="--help"
	@hack/need haproxy
	@$(MAKE) build
	@exec bin/landfall demo $(ARGS)

.PHONY: test-deps
test-deps: go ## install and build what the tests run: HAProxy, kube-apiserver, etcd
	@hack/need haproxy gcc ip setpriv strace curl
	@hack/build-kubernetes >/dev/null

.PHONY: test
test: test-deps lint ## install what is missing and run every test
	@hack/fuzz 3s
	@$(MAKE) race
	@# What the race detector has seen pass need not pass again without it.
	go test -vet=off $(TESTFLAGS) $$(go list ./... | grep -vxF "$$(go list $(concurrent))") 2>&1 | $(brief)
	@$(MAKE) versions

# All of the engine but for what is only large, and one way through everything.
.PHONY: versions
versions: test-deps ## test on other versions of HAProxy: make versions RELEASES=sid
	@export LANDFALL_TEST_REQUIRE=$$LANDFALL_TEST_REQUIRE,other-haproxy; \
	for release in $(RELEASES); do \
		program=$$(hack/get-haproxy $$release); \
		echo "on $$($$program -v | head -n 1)"; \
		PATH=$${program%/*}:$$PATH; \
		go test -vet=off $(TESTFLAGS) -skip 'TestManyServices|TestLimitTableIsBounded' ./internal/engine/haproxy ./test/pipeline; \
		go test -vet=off $(TESTFLAGS) -run '^Test(Requests|FromTheAPIToASocket)$$' ./test/hostile ./test/edge; \
		PATH=$${PATH#*:}; \
	done

.PHONY: race
race: test-deps ## test the packages that use goroutines under the race detector
	go test -vet=off -race $(TESTFLAGS) $(or $(concurrent),./...) 2>&1 | $(brief)

.PHONY: fuzz
fuzz: go ## run each fuzz target for long: make fuzz FUZZTIME=10m
	@hack/fuzz $(FUZZTIME)

.PHONY: bench
bench: test-deps ## measure an edge, some 20 minutes: make bench ROWS=endpoint,ingress SERVICES=100
	@mkdir -p bin
	go test -vet=off -c -o bin/bench ./test/bench
	@cd test/bench && exec ../../bin/bench -test.run '^TestMeasure$$' -test.timeout 0 -measure -docs ../../docs \
		-commit '$(VERSION)' -rows '$(ROWS)' -services '$(SERVICES)' -churn '$(CHURN)' $(ARGS)

.PHONY: microbench
microbench: test-deps ## run the Go benchmarks: make microbench BENCH=Diff
	go test -vet=off -run '^$$' -bench '$(BENCH)' -benchmem $(call folders,^func Benchmark)

.PHONY: golden
golden: test-deps ## rewrite the expected results in testdata; review the diff
	go test -vet=off $(call folders,testgolden\.Run) -update

.PHONY: docs
docs: go ## regenerate what is generated below docs
	go test -vet=off $(call folders,testgolden\.File) -run TestReference -update

.PHONY: lint
lint: go ## look for mistakes and for breaks of the style
	@go vet ./...
	@hack/golangci-lint run

.PHONY: fmt
fmt: go ## format every Go file
	@hack/golangci-lint fmt

.PHONY: clean
clean: ## remove what was built; with CACHE=1 the kept tools too
	rm -rf bin dist $(if $(filter 1,$(CACHE)),.cache)
