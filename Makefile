# Ignite's two commands are `make quickstart` and `make test`; `make help`
# lists the others. Everything made lands in build/ and target/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
DESTDIR ?=
IMAGE ?=
FUZZ_SECONDS ?= 20

triple := $(shell uname -m)-unknown-linux-gnu
static := RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static" cargo build --quiet --profile small --target $(triple)
bin := build/bin
libexec := build/libexec/ignite
shellcheck := build/tools/shellcheck/usr/bin/shellcheck
scripts := $(wildcard tools/*.sh) tools/as-root tools/quickstart/web .ci/run $(wildcard crates/testkit/src/*.sh crates/testkit/src/*/*.sh)

# Tests that make namespaces need root: cargo starts them through this.
test_as_root := CARGO_TARGET_$(shell tr a-z- A-Z_ <<<$(triple))_RUNNER=$(CURDIR)/tools/as-root

.PHONY: help
help: ## List what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

## Building

.PHONY: build
build: build-packages programs ## Build the programs into build/

.PHONY: build-packages
build-packages:
	@tools/packages.sh build

# The supervisor runs once for each VM: it is built for size.
.PHONY: programs
programs: holder guest
	@echo "Building (release mode)"
	@cargo build --quiet --release -p ignite-cli -p ignite-daemon -p ignite-overlay
	@cargo build --quiet --profile small -p ignite-spawn -p ignite-cni-plugins
	@mkdir -p $(bin) $(libexec)
	@install -C -m 755 target/release/ignite target/release/ignited $(bin)/
	@install -C -m 755 target/release/ignite-overlay target/small/ignite-spawn target/small/ignite-cni $(libexec)/
	@mkdir -p $(libexec)/cni
	@ln -sf ../ignite-cni $(libexec)/cni/flannel

# The guest program is in every initramfs: it is built for size, without a
# libc to find, nor anything to relocate, which an interpreted processor takes
# its time for.
.PHONY: guest
guest:
	@$(static) -p ignite-guest
	@mkdir -p $(libexec)
	@install -C -m 755 target/$(triple)/small/ignite-guest $(libexec)/

# The program of a VM's Docker container is alone in it: static.
.PHONY: holder
holder:
	@$(static) -p ignite-docker --bins
	@mkdir -p $(libexec)
	@install -C -m 755 target/$(triple)/small/ignite-holder $(libexec)/

.PHONY: install
install: programs ## Install programs, completions and man pages (PREFIX, DESTDIR)
	@tools/install.sh "$(DESTDIR)" "$(PREFIX)"

## First steps

.PHONY: quickstart
quickstart: ## Install what is needed, build, run a VM, fetch a page from it (IMAGE=... for another image)
	@tools/packages.sh run build quickstart
	@$(MAKE) programs
	@tools/quickstart.sh "$(IMAGE)"

.PHONY: quickstart-clean
quickstart-clean: ## Take everything back that quickstart made
	@tools/quickstart-clean.sh

## Tests

.PHONY: test
test: test-packages lint unit fuzz-short e2e ## Run every test, with real VMs

.PHONY: test-packages
test-packages:
	@tools/packages.sh run build test
	@tools/unpack.sh shellcheck docker-registry etcd-server

.PHONY: lint
lint: ## Format, lints, layers, shell scripts
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo clippy --quiet -p ignite-cli --test e2e -- -D warnings
	cargo xtask layers
	@[ -x $(shellcheck) ] || tools/unpack.sh shellcheck
	$(shellcheck) $(scripts)

.PHONY: unit
unit: helper holder guest ## Unit, property and snapshot tests
	@tools/unpack.sh etcd-server
	@tools/beside.sh docker docker.io containerd runc tini
	@tools/kernel.sh >/dev/null
	@tools/vhost-device-vsock.sh
	$(test_as_root) cargo test --quiet --workspace

.PHONY: e2e
e2e: programs e2e-fixtures ## End-to-end tests with real VMs (TESTS=filter)
	@$(test_as_root) tools/e2e.sh $(TESTS)

# What the end-to-end tests take as given: a kernel, images, a registry.
.PHONY: e2e-fixtures
e2e-fixtures: helper
	@tools/unpack.sh docker-registry etcd-server openssh-server libwrap0
	@tools/libcni.sh
	@tools/beside.sh podman podman conmon crun
	@tools/beside.sh docker docker.io containerd runc tini
	@tools/beside.sh chromium chromium chromium-common fonts-dejavu-core
	@tools/beside.sh shells zsh zsh-common fish fish-common
	@tools/kernel.sh >/dev/null
	@tools/images.sh busy systemd

# What the tests run inside their hosts and VMs, and in place of a VMM where
# hundreds of VMs live and die.
.PHONY: helper
helper:
	@$(static) -p ignite-testkit --bins
	@mkdir -p build/testkit/stand-in
	@install -C -m 755 target/$(triple)/small/testkit-helper build/testkit/
	@install -C -m 755 target/$(triple)/small/stand-in-vmm build/testkit/stand-in/qemu-system-x86_64
	@install -C -m 755 target/$(triple)/small/stand-in-firecracker build/testkit/stand-in/firecracker
	@install -C -m 755 target/$(triple)/small/stand-in-jailer build/testkit/stand-in/jailer

.PHONY: test-firecracker
test-firecracker: programs e2e-fixtures ## The end-to-end tests with a real Firecracker (IGNITE_FIRECRACKER=program)
	@tools/firecracker.sh e2e $(TESTS)

.PHONY: test-firecracker-api
test-firecracker-api: ## A real Firecracker's API through the driver (IGNITE_FIRECRACKER=program IGNITE_TEST_GUEST=kernel)
	@tools/firecracker.sh api

.PHONY: bench
bench: programs e2e-fixtures ## Measure, and write bench/RESULTS.md and bench/results.json
	@cargo build --quiet --release --package xtask
	@tools/as-root target/release/xtask bench

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZ_SECONDS
	@tools/fuzz.sh $(FUZZ_SECONDS)

.PHONY: fuzz-short
fuzz-short:
	@tools/fuzz.sh short

.PHONY: clean
clean: ## Remove build/ and target/
	@cargo clean --quiet
	@tools/as-root rm -rf build
