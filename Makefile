# `make help` says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

CHATCLUSTER_CACHE ?= $(HOME)/.cache/chatcluster
export CHATCLUSTER_CACHE
export PATH := $(CHATCLUSTER_CACHE)/tools/bin:$(PATH)

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
REVISION := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

PORT ?= 3000
TARGET = $${CARGO_TARGET_DIR:-target}

WEB := chat-server/web
WEB_SOURCES := $(shell find $(WEB) \( -name node_modules -o -name dist \) -prune -o -type f -print)

.PHONY: help
help: ## this list
	@echo 'usage: make VERB'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' Makefile | column -t -s '|'

# `make run PORT=3001` where 3000 is taken.
.PHONY: run
run: needs ## a chat at http://localhost:3000, in one process; needs Rust and Node.js only
	@! (: < /dev/tcp/127.0.0.1/$(PORT)) 2>/dev/null || { echo 'port $(PORT) is taken; try: make run PORT=3001' >&2; exit 1; }
	@mkdir -p $(WEB)/dist
	@tests/setup/parallel '$(MAKE) web' 'cargo build --locked -p chat-server --no-default-features'
	@trap : INT TERM; \
	RUST_LOG=$(or $(RUST_LOG),warn) "$(TARGET)/debug/chat-server" --listen 127.0.0.1:$(PORT) --admin-listen 127.0.0.1:0 & \
	until (: < /dev/tcp/127.0.0.1/$(PORT)) 2>/dev/null; do kill -0 $$! 2>/dev/null || wait $$!; sleep 0.1; done; \
	printf '\nOpen http://localhost:%s\n' $(PORT); \
	wait $$! || wait $$! || true

# Scenarios wait more than they work.
TEST := RUST_TEST_THREADS=$$((2 * $$(nproc))) cargo test --workspace --locked --

.PHONY: test
test: $(WEB)/dist/index.html ## unit tests and scenarios, with a real Redis, nginx, Chromium and stock clients; needs Rust and Node.js only
	@tests/setup/parallel '$(MAKE) setup web-test' '$(MAKE) programs'
	$(TEST) --skip platform::

.PHONY: test-all
test-all: test test-platform ## `make test`, and Kubernetes, Traefik, helm, containers, Redis 8 and Valkey; needs Go, too

# What `make test-all` adds to `make test`: see tests/platform.rs.
.PHONY: test-platform
test-platform: $(WEB)/dist/index.html
	@tests/setup/parallel '$(MAKE) setup-all' 'cargo test --workspace --locked --no-run'
	$(TEST) platform::

# `make soak SECONDS=600 SEED=7`; FAULTS=NodeKilled,RedisLost for some kinds of faults only, NGINX=1 for people who
# connect through nginx; CROWD=20 for so many hostile strangers beside 100 people, within the limits as shipped, instead
# of faults (optimized builds; the curve of memory is in target/soak).
.PHONY: soak
soak: setup ## many stock clients while everything fails, or beside a hostile crowd, for SECONDS (600) by the schedule of SEED (1)
	cargo build $(if $(CROWD),--release) --workspace --locked
	SECONDS=$(SECONDS) SEED=$(SEED) FAULTS=$(FAULTS) NGINX=$(NGINX) CROWD=$(CROWD) \
		cargo test $(if $(CROWD),--release) --locked -p tests --test suite -- --ignored --exact --nocapture cluster_history::soak

# `make bench QUICK=1` takes 8 minutes at most; `SCENARIOS=big-fixed,idle` some only (`target/release/bench --list`).
.PHONY: bench
bench: setup $(WEB)/dist/index.html ## chat-server beside its peers: costs, latencies, memory, losses; 45 minutes, into target/bench
	@# Each by itself, or the peers' features of shared crates would be chat-server's, too.
	cargo build --release --locked -p chat-server
	cargo build --release --locked -p tests --features bench --bins
	QUICK=$(QUICK) "$(TARGET)/release/bench" --scenarios "$(SCENARIOS)"

.PHONY: lint
lint: setup-lint $(WEB)/dist/index.html ## formatting, clippy, licences, and the compose and nginx configuration
	cargo fmt --all --check
	@# A macro declares these modules: cargo fmt does not see them.
	rustfmt --edition 2024 --check chat-server/src/transport/socketio/requests/*.rs
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p tests --bins --features bench --locked -- -D warnings
	cargo clippy -p chat-server --no-default-features --locked -- -D warnings
	cargo clippy -p chat-server --features fault-injection --locked -- -D warnings
	cargo deny --locked check licenses bans sources
	@# What needs more of the network than crates.io and npm is not checked where it can't be reached, and never fails for that.
	@if timeout 30 cargo deny --locked fetch db >/dev/null 2>&1; then \
		echo 'cargo deny check advisories'; cargo deny --locked --offline check advisories; \
	else echo 'cargo deny check advisories: not checked, the database (github.com) cannot be fetched here'; fi
	@tests/setup/signatures $(WEB)
	@# Compose reads the file without an engine; where there is not even the command, CI has it.
	@if docker compose version >/dev/null 2>&1; then \
		echo 'docker compose config'; docker compose --profile observability config --quiet; \
	else echo 'docker compose config: not checked, there is no docker compose here'; fi
	@echo 'nginx -t'
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	export NGINX_LISTEN=127.0.0.1:8080 NGINX_UPSTREAM=chat-server:3000 NGINX_RESOLVER=127.0.0.11 NGINX_REAL_IP_FROM=127.0.0.1 NGINX_BASE_PATH=; \
	export NGINX_CONNECTIONS_PER_ADDRESS=4096 NGINX_HANDSHAKES_PER_SECOND=200 NGINX_PAGES_PER_SECOND=500; \
	envsubst "$$(env | sed -n 's/^\(NGINX_[A-Z_]*\)=.*/$$\1/p')" < nginx/nginx.conf.template > "$$folder/nginx.conf"; \
	"$$(tests/setup/nginx)" -p "$$folder" -c nginx.conf -e stderr -t -q

.PHONY: fmt
fmt: ## format the code
	cargo fmt --all

.PHONY: generate
generate: ## make the generated files anew: parts of docs/, the CRD, the page's types
	UPDATE=1 cargo test --locked -p chat-server -p operator --lib --bins --quiet fresh
	UPDATE=1 cargo test --locked -p tests --test suite --quiet -- metrics_page::the_page_in_docs_is_fresh

.PHONY: web
web: needs $(WEB)/dist/index.html ## build the page, if its sources changed

.PHONY: images
images: ## the container images, chatcluster/chat-server and chatcluster/operator
	@[ ! -f .env ] || { set -a; . ./.env; set +a; }; \
	for base in NODE_IMAGE RUST_IMAGE RUNTIME_IMAGE; do \
		[[ "$${!base:-}" == *@sha256:* ]] || echo "$$base is not pinned by digest: docs/operations.md#images-by-digest"; \
	done; \
	for target in chat-server operator; do \
		DOCKER_BUILDKIT=1 docker build --target $$target --build-arg NODE_IMAGE --build-arg RUST_IMAGE --build-arg RUNTIME_IMAGE \
			--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
			-t chatcluster/$$target -t chatcluster/$$target:$(VERSION) .; \
	done

.PHONY: up
up: ## three nodes behind nginx with Redis, in containers, at http://localhost:3000 (or CHAT_PORT)
	@# The key that signs session tokens: not in Redis, and the same at each start.
	@[ -n "$${CHAT_SESSION_KEYS:-}" ] || grep -qs '^CHAT_SESSION_KEYS=.' .env || { umask 077; \
		printf '\nCHAT_SESSION_KEYS=%s\n' "$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >> .env; \
		echo 'made CHAT_SESSION_KEYS, in .env: keep it, or everybody is a new guest'; }
	docker compose up --build -d --wait

.PHONY: down
down: ## stop what `make up` started; what was said stays (docker compose down -v forgets it)
	docker compose down

# `make demo SECONDS=60 PEOPLE=10`; URL=http://localhost:3000 for another chat than that of `make run` or `make up`.
.PHONY: demo
demo: ## some people (40) who talk for SECONDS (600), so that dashboards have something to show
	@[ -d tests/clients/js/node_modules ] || npm --prefix tests/clients/js ci --ignore-scripts --no-progress
	node tests/clients/js/demo.cjs $(or $(URL),http://localhost:3000) $(or $(SECONDS),600) $(or $(PEOPLE),40)

.PHONY: clean
clean: ## remove what was built here
	rm -rf $(WEB)/dist $(WEB)/node_modules
	cargo clean

.PHONY: setup
setup: ## install what `make test` needs and this machine lacks (a part of it)
	@tests/setup/install test

.PHONY: setup-all
setup-all: ## the same for `make test-all`
	@tests/setup/install all

.PHONY: setup-lint
setup-lint:
	@tests/setup/install lint

# First the server with injected faults, which the history checker has to find; then the true one in its place.
.PHONY: programs
programs: $(WEB)/dist/index.html
	cargo build --workspace --locked --features chat-server/fault-injection
	cp "$(TARGET)/debug/chat-server" "$(TARGET)/debug/chat-server-faulty"
	cargo build --workspace --locked
	cargo test --workspace --locked --no-run

.PHONY: needs
needs:
	@tests/setup/install --build

.PHONY: web-test
web-test: $(WEB)/dist/index.html
	npm --prefix $(WEB) run check
	npm --prefix $(WEB) test

# npm writes this file when it has installed everything: it stands for the folder.
$(WEB)/node_modules/.package-lock.json: $(WEB)/package.json $(WEB)/package-lock.json
	npm --prefix $(WEB) ci
	@touch $@

$(WEB)/dist/index.html: $(WEB)/node_modules/.package-lock.json $(WEB_SOURCES)
	npm --prefix $(WEB) run build
	@touch $@
