# The commands of the project. `make` alone lists them.
#
# It takes Rust, Go, Python 3, make and a C compiler. Everything else that the testbed runs is built or installed when it is first needed,
# into ~/.cache/rolebridge-testbed (or ROLEBRIDGE_TESTBED_CACHE).

SHELL := /bin/sh
CARGO ?= cargo
SIMULATOR := testbed/aws
# What `rolebridge crds` writes, for kubectl and for Helm.
CRDS := crds charts/rolebridge-crds/templates
# What `rolebridge reference` prints.
CONDITIONS := docs/reference/conditions.md
.DEFAULT_GOAL := help

# No credentials, profile or cluster of the user's takes part in anything here.
unexport $(filter AWS_% KUBECONFIG,$(.VARIABLES))

# Where cargo builds to; only asked when it is used.
TARGET = $(shell $(CARGO) metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

# The tests that take seconds, of those that exist.
FAST := $(foreach test,crds charts architecture circles golden properties,$(if $(wildcard tests/$(test).rs tests/$(test)/main.rs),--test $(test)))

# End-to-end tests mostly wait, so that a processor has room for several.
TEST_THREADS ?= $(shell python3 -c 'import os; print(max(8, os.cpu_count()))')

# The simulation of the whole operator takes a profile of its own. Seeds that nobody names are drawn and printed.
SIMULATION := test --locked --profile simulation --package rolebridge-simulation --test simulation
SEED ?=
RUNS ?= $(if $(SEED),$(if $(MINUTES),,1))
MINUTES ?=
simulate = $(if $(SEED),ROLEBRIDGE_SEED=$(SEED)) $(if $(RUNS),ROLEBRIDGE_RUNS=$(RUNS)) $(if $(MINUTES),ROLEBRIDGE_MINUTES=$(MINUTES)) $(CARGO) $(SIMULATION)

# The image that `make image` builds: its name, what builds it, and further flags, such as --build-arg RUNTIME=... for another base image.
# Within a container buildah may need BUILDAH_FLAGS='--storage-driver vfs' BUILDAH_BUILD_FLAGS='--isolation chroot'.
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
REVISION = $(or $(shell git rev-parse HEAD 2>/dev/null),unknown)
IMAGE ?= rolebridge:$(VERSION)
IMAGE_TOOL ?= $(firstword $(foreach tool,buildah docker,$(shell command -v $(tool) 2>/dev/null)))
IMAGE_FLAGS ?=
BUILDAH_FLAGS ?=
BUILDAH_BUILD_FLAGS ?=

# Says which program is missing ($1) and how to get it ($2).
need = @command -v $1 >/dev/null 2>&1 || { echo "$1 is not installed, or not in PATH. It takes $2." >&2; exit 1; }

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: tools ## Show the classic recipe and prove that it works; KEEP=1 keeps everything running
	$(CARGO) build --locked --workspace --bins
	@$(TARGET)/debug/demo $(TARGET)/debug/rolebridge

.PHONY: test
test: tools ## Run every test, those on a real control plane included
	$(CARGO) build --locked --workspace --bins
	@$(TARGET)/debug/testbed build >/dev/null
	RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --locked --workspace --no-fail-fast
	@# The same seeds each time, as long as fresh ones still find something now and then (docs/testing.md); `make simulate` draws others.
	ROLEBRIDGE_SEED=$${ROLEBRIDGE_SEED:-1} $(CARGO) $(SIMULATION) -- --nocapture
	cd $(SIMULATOR) && $(CARGO) test --locked

.PHONY: campaign
campaign: tools ## Try every crash point and every order, which takes long; `make test` takes a sample
	$(CARGO) build --locked --workspace --bins
	@$(TARGET)/debug/testbed build >/dev/null
	ROLEBRIDGE_CAMPAIGN=full $(CARGO) test --locked --test e2e -- --nocapture crash:: errors:: grants:: iam_model:: order::
	ROLEBRIDGE_KEEP_GOING=1 ROLEBRIDGE_RUNS=1000000 $(CARGO) $(SIMULATION) -- --nocapture

.PHONY: simulate
simulate: rust ## Run the whole operator in a simulated world: SEED=7 repeats one run, RUNS=100000 or MINUTES=10 goes on
	$(simulate) -- --nocapture fresh_seeds

.PHONY: fuzz
fuzz: rust ## Draw objects that the schemas let in, and texts near them, for MINUTES=10, and work out what is wanted of each
	ROLEBRIDGE_MINUTES=$(or $(MINUTES),10) $(CARGO) test --locked --test properties -- --nocapture the_way_from_text

.PHONY: test-fast
test-fast: rust ## Run the tests that take seconds and need no control plane
	$(CARGO) test --locked --workspace --lib --bins $(FAST)

.PHONY: bench
bench: tools ## Measure calls, writes, time and memory against the budgets, in a release build
	$(CARGO) build --locked --workspace --bins
	@$(TARGET)/debug/testbed build etcd kube-apiserver kubectl helm aws-sim >/dev/null
	$(CARGO) bench --locked --bench budgets

.PHONY: check
check: rust ## Check format, lints, generated files and that ring is not linked
	$(CARGO) fmt --all --check
	cd $(SIMULATOR) && $(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --package rolebridge-simulation --test simulation -- -D warnings
	cd $(SIMULATOR) && $(CARGO) clippy --locked --all-targets -- -D warnings
	@echo "comparing the generated files with what the code gives"
	@generated=$$(mktemp -d) && trap 'rm -rf "$$generated"' EXIT && \
		$(CARGO) run --quiet --locked --bin rolebridge -- crds --output-directory "$$generated" && \
		for copy in $(CRDS); do diff -ru $$copy "$$generated" || { echo "$$copy is not what the code gives: run \`make generate\`" >&2; exit 1; }; done
	@$(CARGO) run --quiet --locked --bin rolebridge -- reference | diff -u $(CONDITIONS) - || \
		{ echo "$(CONDITIONS) is not what the code gives: run \`make generate\`" >&2; exit 1; }
	@echo "making sure that ring is not linked"
	@if grep -q '^name = "ring"$$' Cargo.lock && [ -n "$$($(CARGO) tree --locked --workspace --invert ring 2>/dev/null)" ]; then \
		$(CARGO) tree --locked --workspace --invert ring; \
		echo "ring is linked: a second TLS provider beside aws-lc-rs makes the operator panic at its start" >&2; exit 1; fi

.PHONY: image
image: ## Build the image IMAGE, with buildah or docker
ifeq ($(IMAGE_TOOL),)
	@echo "neither buildah nor docker is installed, or in PATH" >&2; exit 1
else
	$(IMAGE_TOOL) $(if $(filter buildah,$(notdir $(IMAGE_TOOL))),$(BUILDAH_FLAGS) build $(BUILDAH_BUILD_FLAGS),build) --tag $(IMAGE) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) $(IMAGE_FLAGS) .
endif

.PHONY: image-test
image-test: rust ## Build the image without a registry and start it; says so where there is no buildah
	$(CARGO) build --locked --bin rolebridge
	scripts/image-test $(TARGET)

.PHONY: generate
generate: rust ## Write the generated files anew: the CRDs, in crds/ and in their chart, and the reference of conditions
	for copy in $(CRDS); do $(CARGO) run --quiet --locked --bin rolebridge -- crds --output-directory $$copy || exit 1; done
	$(CARGO) run --quiet --locked --bin rolebridge -- reference > $(CONDITIONS)

.PHONY: fmt
fmt: rust ## Format the code
	$(CARGO) fmt --all
	cd $(SIMULATOR) && $(CARGO) fmt --all

.PHONY: clean
clean: rust ## Remove what was built here; what the testbed has in ~/.cache stays
	$(CARGO) clean
	cd $(SIMULATOR) && $(CARGO) clean

# What compiling the project takes.
.PHONY: rust
rust:
	$(call need,$(CARGO),Rust from https://rustup.rs)
	$(call need,cc,a C compiler; Debian and Ubuntu have it in build-essential and macOS in xcode-select --install)

# What the testbed takes beside that.
.PHONY: tools
tools: rust
	$(call need,go,Go 1.26 or newer from https://go.dev/dl)
	$(call need,python3,Python 3.10 or newer from https://www.python.org/downloads or your system's packages)
	@python3 -c 'import ensurepip, venv' || { echo "Python's venv module is missing. Debian and Ubuntu have it in python3-venv." >&2; exit 1; }
