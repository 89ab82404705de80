SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CHART := charts/pai-notification
# Bins and examples together: dependencies then have the same features as in the tests, and are built only once.
BUILD := cargo build --quiet --locked --bins --examples
OPERATOR := target/debug/pai-notification
SCRIPTS := .ci/run $(shell git ls-files '*.sh')

SECONDS_EACH := 60

.PHONY: help demo test fuzz cluster cluster-down clean-cluster control-plane lint bless check-golden

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, start a local cluster, run real Jobs, and show the messages as a robot receives them
	@tests/demo/build.sh
	@target/debug/examples/demo

test: control-plane ## Run the unit and integration tests
	@tests/tiers.sh

fuzz: ## Try the decoders of foreign input with random damage, a minute each
	FUZZ_SECONDS=$(SECONDS_EACH) cargo test --locked --test fuzz -- --nocapture

cluster: control-plane ## Start a local control plane and leave it running; kubeconfig in target/cluster
	@cargo run --quiet --example local-cluster -- up

cluster-down: ## Stop the control plane that `make cluster` started
	@cargo run --quiet --example local-cluster -- down

clean-cluster: cluster-down ## Stop it, and remove its data and the links to its binaries
	rm -rf target/cluster

control-plane: ## Build the local control plane and the mail server of the tests, if they are not there
	@tests/cluster/build.sh controlplane kwok mailpit

lint: ## Check formatting, lints and scripts
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	for script in $(SCRIPTS); do bash -n "$$script"; done

bless: ## Renew the golden files: CRDs, payloads, command output
	rm -f crds/*.yaml
	$(BUILD)
	$(OPERATOR) crds --output crds
	mkdir -p $(CHART)/crds
	rm -f $(CHART)/crds/*.yaml
	cp crds/*.yaml $(CHART)/crds/
	INSTA_UPDATE=always INSTA_FORCE_PASS=1 cargo test --lib --bins --test chart

check-golden: ## Fail if the CRDs in crds/ or in the chart are not those that the types give
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(BUILD) && $(OPERATOR) crds --output "$$fresh"; \
	[ -n "$$(ls -A "$$fresh")" ] || { echo "pai-notification crds wrote nothing" >&2; exit 1; }; \
	diff -ru crds "$$fresh" && diff -ru $(CHART)/crds "$$fresh" || { echo "The CRDs differ: run 'make bless' and commit what it changes." >&2; exit 1; }; \
	echo "golden files are up to date"
