# `make` lists the targets. Each is one line; what a target does step by step is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help test soak bench compare sqlite-suite fmt lint doc

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## everything that must hold before a change is merged
	@scripts/check

soak: ## the tests in their long form, the ignored ones too (hours)
	@scripts/check --soak

bench: ## measure
	cargo bench --workspace

compare: ## measure beside SQLite, SQLCipher and Askar (ARGS=records or fhir: that alone; --full: a million too)
	@scripts/compare $(ARGS)

sqlite-suite: ## SQLite's own tests over sealed databases (FILES="wal crash": only these)
	@scripts/sqlite-suite $(FILES)

fmt: ## format the code
	cargo fmt --all

lint: ## clippy over every target, warnings refused
	cargo clippy --workspace --all-targets -- -D warnings

doc: ## build the reference, warnings refused
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
