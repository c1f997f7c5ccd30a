# prosody-push. `make help` lists what can be made.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# LuaRocks names an interpreter, not a version.
LUA_VERSION ?= $(if $(LUA),$(shell $(LUA) -e 'print(_VERSION:match"%S+$$")'),5.4)
PREFIX ?= /usr/local
PLUGINDIR ?= $(PREFIX)/lib/prosody/modules
LUA_CMOD ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
PROSODY ?= 0.12
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

TARGET = $(or $(CARGO_TARGET_DIR),target)
# Kept per version, so that what is installed is never another Lua's.
LIBRARY = $(TARGET)/release/lua$(LUA_VERSION)/prosody_push.so
ROCK = prosody-push-$(VERSION)
ROCKS = $(TARGET)/rock
DEB = $(TARGET)/prosody-push_$(VERSION)_$(shell dpkg --print-architecture).deb
CARGO_LUA = --locked --no-default-features --features lua$(subst .,,$(LUA_VERSION))
BUSTED = /usr/bin/busted -o spec/support/output.lua

# Specs that need no server of a certain version, and those that run on each. Of spec/live, what has to do with storing runs on
# each storage.
SPECS = spec/boundary_spec.lua spec/facts_spec.lua spec/support_spec.lua spec/install_spec.lua spec/rocks_spec.lua
SERVER_SPECS = spec/faults_spec.lua spec/parity_spec.lua spec/tigase_parity_spec.lua spec/bench_spec.lua spec/reliability_spec.lua
SERVER_SPECS += spec/upgrade_spec.lua spec/docs_spec.lua
SERVERS = 0.12 13.0
STORAGES = sqlite postgresql
STORING = $(addprefix spec/live/,$(addsuffix _spec.lua,answers delivery handlers lifecycle push2 registration storage tigase))
# Beside 5.4: other Luas that a Prosody may run on.
LUAS = 5.2 5.3

# Inputs for each property in the long run.
CASES = 100000

# The runner of benches/, in the version of the library.
GUNGRAUN = $(shell sed -n 's/^gungraun = "=\(.*\)"/\1/p' Cargo.toml)
TOOLS = $(abspath $(TARGET))/tools
DENY_VERSION = 0.20.2
DENY = $(TOOLS)/deny-$(DENY_VERSION)/bin/cargo-deny

# What is built last lies where the suites look for it.
.NOTPARALLEL:
.PHONY: help build files install deb rock deps dev demo serve test core luas specs lint bench soak debian clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

# LuaRocks has a CC of its own, for which cargo would build aws-lc anew.
build: ## the library for LUA_VERSION (default 5.4)
	$(if $(LUA),env -u CC )cargo build --release $(CARGO_LUA)
	@install -D -m 755 "$(TARGET)/release/libprosody_push.so" "$(LIBRARY)"

# Under sudo there is often no cargo, or another one: then what `make build` left is installed.
files: $(if $(and $(SUDO_USER),$(wildcard $(LIBRARY))),,$(if $(shell command -v cargo),build))
	@test -f "$(LIBRARY)" || { echo "Neither cargo nor $(LIBRARY) is here: make build first." >&2; exit 1; }
	install -d "$(DESTDIR)$(LUA_CMOD)" "$(DESTDIR)$(PLUGINDIR)"
	install -m 755 "$(LIBRARY)" "$(DESTDIR)$(LUA_CMOD)/prosody_push.so"
	install -m 644 lua/*.lib.lua "$(DESTDIR)$(PLUGINDIR)"
	for module in lua/mod_*; do \
		install -d "$(DESTDIR)$(PLUGINDIR)/$${module##*/}"; \
		install -m 644 "$$module"/*.lua "$(DESTDIR)$(PLUGINDIR)/$${module##*/}"; \
	done

install: files ## library and modules; DESTDIR, PREFIX, PLUGINDIR, LUA_CMOD say where
	@echo "Installed. Prosody's configuration wants:"
	@echo "    plugin_paths = { \"$(PLUGINDIR)\" }"
	@echo "    modules_enabled = { …; \"cloud_notify\" }"
	@echo "Then restart Prosody."

deb: ## a package for Debian's Prosody, 0.12 and 13.0: target/prosody-push_VERSION_ARCH.deb
	rm -rf "$(TARGET)/deb"
	$(MAKE) files LUA_VERSION=5.4 DESTDIR="$(TARGET)/deb" PLUGINDIR=/usr/lib/prosody/modules \
		LUA_CMOD="/usr/lib/$$(cc -print-multiarch)/lua/5.4"
	packaging/deb "$(TARGET)/deb" "$(DEB)"

# The rockspec of the work tree with a version, and with the archive that lies beside it in the source rock. What is built
# runs on one Lua.
rock: ## for luarocks and prosodyctl install, source and built for LUA_VERSION: target/rock/prosody-push-VERSION-1.*.rock
	rm -rf "$(ROCKS)"
	mkdir -p "$(ROCKS)"
	tar --create --gzip --transform='s,^,$(ROCK)/,' --file="$(ROCKS)/$(ROCK).tar.gz" Cargo.* LICENSE Makefile *.md benches lua spec/support/oracle.rs src
	sed 's,"scm-1","$(VERSION)-1",; s,git+file://\.,file://$(ROCK).tar.gz,' prosody-push-scm-1.rockspec >"$(ROCKS)/$(ROCK)-1.rockspec"
	cd "$(ROCKS)" && zip -q "$(ROCK)-1.src.rock" "$(ROCK)-1.rockspec" "$(ROCK).tar.gz"
	sed -i 's/lua >= .*"/lua ~> $(LUA_VERSION)"/' "$(ROCKS)/$(ROCK)-1.rockspec"
	luarocks --lua-version=$(LUA_VERSION) --tree="$(ROCKS)/tree" make "$(ROCKS)/$(ROCK)-1.rockspec"
	cd "$(ROCKS)" && luarocks --lua-version=$(LUA_VERSION) --tree=tree pack prosody-push $(VERSION)-1

deps: ## what demo and tests run on: Debian packages, both Prosodys in .prosody
	spec/support/deps

dev:
	cargo build --locked --lib --example oracle

demo: deps dev ## a phone is woken, step by step; PROSODY=13 for 13.0
	@PROSODY=$(PROSODY) lua5.4 spec/demo.lua

serve: deps dev ## a server to connect an own client to, until Ctrl-C
	@PROSODY=$(PROSODY) lua5.4 spec/serve.lua

test: deps lint core luas specs ## everything
	@echo "All suites passed, on Prosody $(SERVERS)."

core:
	@echo "== The core, without Lua and Prosody"
	cargo test --locked --no-default-features --no-fail-fast 2>&1 | awk '{ print } \
		/^test result:/ { passed += $$4; failed += $$6 } \
		END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }'

# A folder for each: the next build takes the place of the last.
luas: deps
	@for lua in $(LUAS); do \
		echo "== spec/boundary_spec.lua on Lua $$lua"; \
		cargo build --locked --no-default-features --features lua$${lua//./}; \
		install -D "$(TARGET)/debug/libprosody_push.so" "$(TARGET)/debug/lua$$lua/libprosody_push.so"; \
		PROFILE=debug/lua$$lua lua$$lua $(BUSTED) spec/boundary_spec.lua; \
	done

specs: deps dev
	@run() { \
		echo "== $$*"; \
		lua5.4 $(BUSTED) $$1 || { echo "Failed: $$*. What comes after it was not run." >&2; exit 1; }; \
	}; \
	for spec in $(SPECS); do run $$spec; done; \
	for version in $(SERVERS); do \
		export PROSODY=$$version; \
		run spec/live on Prosody $$version, storage internal; \
		for storage in $(STORAGES); do STORAGE=$$storage run "$(STORING)" on Prosody $$version, storage $$storage; done; \
		for spec in $(SERVER_SPECS); do run $$spec on Prosody $$version; done; \
	done

$(DENY):
	cargo install --quiet --locked --debug --no-default-features cargo-deny --version $(DENY_VERSION) --root "$(TOOLS)/deny-$(DENY_VERSION)"

lint: deps $(DENY) ## luacheck, rustfmt, clippy, the architecture, cargo-deny
	luacheck -q lua spec
	cargo fmt --check
	cargo clippy -q --locked --all-targets -- -D warnings
	cargo clippy -q --locked --all-targets --no-default-features -- -D warnings
	cargo test -q --locked --no-default-features --test architecture
	"$(DENY)" --locked check licenses bans sources
	@if timeout 60 "$(DENY)" --log-level off fetch db; then \
		"$(DENY)" --locked check --disable-fetch advisories; \
	else \
		echo "Skipped: advisories. Their database cannot be fetched."; \
	fi

bench: ## what a push costs beside the reference; writes docs/bench.md (some 10 minutes)
	spec/support/deps bench
	cargo install --quiet --locked gungraun-runner --version $(GUNGRAUN) --root "$(TOOLS)"
	PATH="$(TOOLS)/bin:$$PATH" cargo bench --locked --no-default-features --bench core | tee "$(TARGET)/core-bench.txt"
	$(MAKE) build
	PROFILE=release lua5.4 spec/bench.lua "$(TARGET)/core-bench.txt"

soak: ## faults, load and hostile input beside the reference; writes docs/reliability.md (some 30 minutes)
	spec/support/deps
	cargo build --locked
	$(MAKE) build
	for test in "properties" "outages in_the_end"; do \
		PROPTEST_CASES=$(CASES) cargo test --release --locked --no-default-features --test $$test || exit; \
	done | tee "$(TARGET)/properties.txt"
	PROPTEST_CASES=$(CASES) PROFILE=release lua5.4 spec/soak.lua "$(TARGET)/properties.txt"

debian: ## package and rock on clean Debians with either Prosody; wants root, or sudo (some 3 minutes)
	spec/support/deps debian
	$(MAKE) deb rock LUA_VERSION=5.4
	$(if $(filter-out 0,$(shell id -u)),sudo )env PACKAGE="$(DEB)" ROCK="$$(ls $(ROCKS)/*.linux-*.rock)" lua5.4 $(BUSTED) spec/debian_spec.lua

clean: ## removes all that was made
	cargo clean
	rm -rf .prosody
