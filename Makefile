# Every target is one line of shell or one script; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test check lint fmt bench cover man services-up services-down

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: ## the main job: this machine's package history as an event-sourced system, on SQLite
	go run ./examples/packages

test: ## all tests, with the race detector; installs and starts the servers they need
	scripts/test

check: lint ## the quick round: lint, vet, and the tests that need no server
	go vet ./...
	env -u TEST_POSTGRES_URL -u TEST_POSTGRES_OLDEST_URL -u TEST_POSTGRES_NEWEST_URL -u TEST_MONGO_URL -u TEST_FERRETDB_URL -u TEST_REDIS_URL -u TEST_REDIS_DURABLE_URL go test -short ./...

lint: ## golangci-lint with .golangci.yml
	scripts/lint

fmt: ## format all Go files (gofumpt, goimports)
	scripts/lint fmt

bench: ## all benchmarks, then `lexevents bench` on SQLite and PostgreSQL
	scripts/bench

cover: ## test coverage of all packages together, into coverage.out
	scripts/with-services go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -1

man: ## write the manual pages of lexevents into ./man
	go run ./cmd/lexevents man man

services-up: ## start the servers and print their variables
	@scripts/services up

services-down: ## stop the servers
	@scripts/services down
