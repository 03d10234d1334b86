# make demo     windows over sample and generated LLM traffic, with a dashboard; DEMO_SECS=n ends it after n seconds
# make test     all tests, those on a real Kafka included
# make check-deploy   manifests, image, alert rules, dashboards
# make check-docs     links, commands, configurations and schemas of the documentation
# make check    format, lints and documentation; a warning is an error
# make bench    throughput
# make clean-kafka   ends the Kafka of the tests and removes its topics
#
# CARGO_TARGET_DIR is honoured everywhere. RocksDB is linted and tested too; the first time it compiles for more than ten minutes.
# `make test FEATURES=` leaves it out.

SHELL := /bin/bash
CARGO ?= cargo
FEATURES ?= llm-optimizer-processor/rocksdb
# scripts/setup and scripts/test go by it.
test clippy doc: export FEATURES := $(FEATURES)
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test check check-deploy check-docs fmt clippy doc bench clean-kafka
.NOTPARALLEL:

demo:
	@scripts/setup demo
	@$(CARGO) build --release --locked -p llm-optimizer-processor --bin processor
	@$(TARGET)/release/processor demo

test:
	@scripts/setup test
	@scripts/test

check: fmt clippy doc

check-deploy:
	@scripts/setup test
	@scripts/check-deploy

check-docs:
	@scripts/setup test
	@scripts/check-docs

fmt:
	@scripts/setup demo
	$(CARGO) fmt --all -- --check

clippy:
	@scripts/setup demo
	$(CARGO) clippy --locked --workspace --all-targets $(if $(FEATURES),--features $(FEATURES)) -- -D warnings
	$(CARGO) clippy --locked -p llm-optimizer-processor --no-default-features --lib --bins -- -D warnings

doc:
	@scripts/setup demo
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps $(if $(FEATURES),--features $(FEATURES))

bench:
	@scripts/setup demo
	$(CARGO) bench --locked --workspace

clean-kafka:
	@scripts/kafka clean
