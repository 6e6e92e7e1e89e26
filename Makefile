# usher: `make` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
LIBRARY     := ./repo,./locking,./dialect,./models,./runner,./schedule,./transfer
MODULES     = otelusher tests/glebarez tests/migrating examples/observed
SIZE        := medium
CHAOSTIME   ?= 10m
FUZZTIME    ?= 1m
FUZZTARGETS  = $(shell grep -ro --include=*_test.go '^func Fuzz[A-Za-z]*' . | sed 's,^\./\(.*\)/[^/]*:func ,\1/,')
SERVERS     := eval "$$(tests/servers.sh up)"

.PHONY: help demo test test/sqlite test/postgres test/mysql test/mariadb test/soak prove prove/orders prove/chaos prove/clusters prove/copy fuzz bench bench/peers lint fmt up down servers

help: ## List the targets
	@grep -hE '^[a-z/]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

demo: ## Race several schedulers for one backfill, on SQLite
	go run ./cmd/usher demo

# modernc's SQLite is Go itself, which -race makes several times slower; it watches usher's code as well with mattn's.
test: ## Every test on all four engines; installs and starts what is missing
	$(SERVERS) && go test -race -count=1 -timeout 25m -skip Modernc -coverpkg=$(LIBRARY) -coverprofile=coverage.out ./... && \
		go test -count=1 -timeout 15m -run Modernc ./... && \
		for module in $(MODULES); do (cd $$module && go test -count=1 ./...); done

test/sqlite: ## What needs no server: nothing but Go
	go test -count=1 -timeout 15m -skip 'PostgreSQL|MySQL|MariaDB' ./...
	for module in $(MODULES); do (cd $$module && go test -count=1 -skip 'PostgreSQL|MySQL|MariaDB' ./...); done

test/postgres: ## The conformance suite on PostgreSQL
	$(SERVERS) && go test -race -count=1 -timeout 15m -run PostgreSQL ./...

test/mysql: ## The conformance suite on MySQL
	$(SERVERS) && go test -race -count=1 -timeout 15m -run MySQL ./...

test/mariadb: ## The conformance suite on MariaDB
	$(SERVERS) && go test -race -count=1 -timeout 15m -run MariaDB ./...

test/soak: ## Every contest of schedulers 20 times in a row, on all engines
	$(SERVERS) && USHER_TEST_ROUNDS=20 go test -race -count=1 -timeout 60m -v -run '^Test(SQLite(Mattn|Modernc)|PostgreSQL|MySQL|MariaDB)$$/(8_|control)' ./tests

prove/chaos: ## Everything that breaks, on each engine for CHAOSTIME (10m), and 500 lost COMMITs on each server
	$(SERVERS) && USHER_TEST_PROVE=1 USHER_CHAOS_TIME=$(CHAOSTIME) go test -tags prove -count=1 -timeout 2h -v -run 'Chaos|LostCommit|Clock' ./tests

prove/clusters: ## Galera and Group Replication, 10,000 admissions each with faults, and replicas of PostgreSQL
	$(SERVERS) && USHER_TEST_PROVE=1 go test -count=1 -timeout 2h -v -run 'Galera|GroupReplication|Replica' ./tests

prove/copy: ## 100,000 runs from each engine to each, by processes that are killed and go on
	$(SERVERS) && USHER_TEST_PROVE=1 go test -count=1 -timeout 2h -v -run 'Moving' ./tests

bench: ## Measure usher beside the floor and Airflow's algorithm, into docs/benchmarks: SIZE=small, medium or full
	$(SERVERS) && go run ./tests/bench -size $(SIZE) -out docs/benchmarks

bench/peers: ## Measure usher beside River and DBOS, on PostgreSQL, into docs/benchmarks
	$(SERVERS) && cd tests/bench/peers && go run . -out ../../../docs/benchmarks/peers.md

# Chaos waits most of its time, and the explorer for answers: they share the cores.
prove: ## The long form of the proofs: two hours on two cores
	$(SERVERS) && $(MAKE) -j2 prove/chaos prove/orders prove/copy
	$(MAKE) prove/clusters fuzz

prove/orders: ## Every order of two operations, random operations, histories, hostile input
	$(SERVERS) && USHER_TEST_PROVE=1 go test -count=1 -timeout 100m -v -run '^Test(SQLite(Mattn|Modernc)|PostgreSQL|MySQL|MariaDB)$$/(every_order|the_orders|control:_orders|random_operations|concurrent_histories|control:_histories|hostile|what_cannot_be_stored)' ./tests

fuzz: ## Every fuzz target in turn, each for FUZZTIME (1m)
	for target in $(FUZZTARGETS); do \
		echo "$$target"; \
		go test -run '^$$' -fuzz "^$${target##*/}$$" -fuzztime $(FUZZTIME) "./$${target%/*}"; \
	done

lint: ## go vet, staticcheck, gofumpt, and the shape of the code
	go vet ./...
	go vet -tags prove ./tests
	for module in $(MODULES); do (cd $$module && go vet ./...); done
	go run $(STATICCHECK) ./...
	@unformatted=$$(go run $(GOFUMPT) -l .); [ -z "$$unformatted" ] || { echo "not gofumpt-clean:"; echo "$$unformatted"; exit 1; }
	go test -count=1 -run Architecture ./tests

fmt: ## Format with gofumpt
	go run $(GOFUMPT) -w .

servers: ## Start the servers of the tests and print their DSNs
	@tests/servers.sh up

up: ## Start the servers of the tests in Docker
	docker compose up -d --wait

down: ## Stop the servers of the tests, in Docker or local, and delete their data
	@if docker info >/dev/null 2>&1; then docker compose down; fi
	@tests/servers.sh down
