# run: the server. test: installs what the tests need and is missing, then runs all of them.
# bench: measures everything (about 25 minutes, on an otherwise idle machine). crash, recycles, soak: long runs of crashes and of churn.

SHELL := bash
PYTHON ?= python3
VENV := .cache/venv/bin/python
BINARY := target/release/monasca-sidecar
STATIC := target/static

.PHONY: run test bench explore crash recycles soak fmt setup check unit build end-to-end client image bench-tools

run:
	cargo run --release

fmt:
	cargo fmt --all
	cargo fmt --manifest-path bench/Cargo.toml
	cargo fmt --manifest-path fuzz/Cargo.toml

test: setup check unit build client end-to-end image bench-tools

setup:
	scripts/setup-tests.sh

check:
	cargo fmt --all --check
	cargo fmt --manifest-path bench/Cargo.toml --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

# The same random cases each time, so that a run says something of the change; `make explore` tries others.
unit:
	PROPTEST_RNG_SEED=4888 cargo test --workspace --locked

explore:
	PROPTEST_CASES=5000 cargo test --release --locked -p sidecar-store -p sidecar-formats

# One static release build serves the end-to-end tests and the image.
build:
	deploy/build_static.sh $(STATIC)

# Many rounds of what `make test` does a few of.
crash: build
	cd tests && MONASCA_SIDECAR_BIN=$(CURDIR)/$(STATIC)/monasca-sidecar $(CURDIR)/$(VENV) crash_rounds.py
	cd tests && MONASCA_SIDECAR_BIN=$(CURDIR)/$(STATIC)/monasca-sidecar $(CURDIR)/$(VENV) crash_rounds.py --sync always --rounds 100

# Workers are recycled and the daemon is killed while it folds dead workers' files.
recycles: build
	cd tests && MONASCA_SIDECAR_BIN=$(CURDIR)/$(STATIC)/monasca-sidecar $(CURDIR)/$(VENV) multiproc_recycles.py

soak: build
	cd tests && MONASCA_SIDECAR_BIN=$(CURDIR)/$(STATIC)/monasca-sidecar $(CURDIR)/$(VENV) soak.py

client: build
	MONASCA_SIDECAR_BIN=$(CURDIR)/$(STATIC)/monasca-sidecar $(VENV) -m pytest clients/python/tests -q

end-to-end: build
	MONASCA_SIDECAR_BIN=$(CURDIR)/$(STATIC)/monasca-sidecar $(VENV) -m pytest tests -q

image: build
	$(PYTHON) deploy/test_image.py $(STATIC)/monasca-sidecar
	deploy/test_unit.sh

bench-tools:
	cargo test --locked --manifest-path bench/Cargo.toml
	cd bench && $(PYTHON) -m unittest

bench:
	$(PYTHON) bench/run.py --with-criterion
