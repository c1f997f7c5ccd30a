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
BUILT = $(TARGET)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release
# Kept per version, so that what is installed is never another Lua's.
LIBRARY = $(BUILT)/lua$(LUA_VERSION)/prosody_push.so
ROCK = prosody-push-$(VERSION)
ROCKS = $(TARGET)/rock

# One version and date for all that is made at once. In a clean Debian, where no git is, they are given.
export DEB_VERSION := $(or $(DEB_VERSION),$(shell packaging/version))
export SOURCE_DATE_EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || date +%s))
# Asks about the machine that is built for: this one, or CARGO_BUILD_TARGET.
GNU_TARGET = $(subst -unknown,,$(CARGO_BUILD_TARGET))
DPKG_ARCHITECTURE = $(if $(GNU_TARGET),CC=$(GNU_TARGET)-gcc )dpkg-architecture $(if $(GNU_TARGET),-t$(GNU_TARGET))
DEB = $(TARGET)/prosody-push_$(DEB_VERSION)_$(or $(ARCH),$(shell $(DPKG_ARCHITECTURE) -qDEB_HOST_ARCH)).deb
RUST_amd64 = x86_64-unknown-linux-gnu
RUST_arm64 = aarch64-unknown-linux-gnu
# Of the command line only: many environments have one.
ARCH =
ifneq ($(ARCH),)
RUST_ARCH := $(or $(RUST_$(ARCH)),$(error ARCH is amd64 or arm64))
endif
CLEAN_MAKE = make DEB_VERSION=$(DEB_VERSION) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH)
RELEASE = $(TARGET)/release-$(VERSION)
AS_ROOT = $(if $(filter-out 0,$(shell id -u)),sudo )
CARGO_LUA = --locked --no-default-features --features lua$(subst .,,$(LUA_VERSION))
BUSTED = /usr/bin/busted -o spec/support/output.lua

# Specs that need no server of a certain version, and those that run on each version under test. What stores runs on each
# storage, too; it is the same in 13.0.1 and in the newest 13.0.x that Debian has.
SPECS = spec/boundary_spec.lua spec/facts_spec.lua spec/support_spec.lua spec/package_spec.lua \
	spec/install_spec.lua spec/rocks_spec.lua spec/gateways_spec.lua spec/interop_spec.lua
SERVERS = 0.12 13.0 newest
SERVER_SPECS = spec/faults_spec.lua spec/parity_spec.lua spec/tigase_parity_spec.lua spec/upgrade_spec.lua spec/docs_spec.lua \
	spec/browser_spec.lua spec/clients_spec.lua spec/s2s_spec.lua spec/ejabberd_spec.lua spec/community_spec.lua \
	spec/programs_spec.lua spec/serve_spec.lua
STORING_SERVERS = 0.12 13.0
STORAGES = sqlite postgresql
STORING = $(addprefix spec/live/,$(addsuffix _spec.lua,answers delivery handlers lifecycle push2 registration storage tigase))
STORING_SPECS = spec/bench_spec.lua spec/reliability_spec.lua
# Beside 5.4: other Luas that a Prosody may run on.
LUAS = 5.2 5.3

# A client that is no Rust (spec/support/programs.lua).
QXMPP_PHONE = $(TARGET)/qxmpp_phone

# Inputs for each property in the long run.
CASES = 100000

# The runner of benches/, in the version of the library.
GUNGRAUN = $(shell sed -n 's/^gungraun = "=\(.*\)"/\1/p' Cargo.toml)
TOOLS = $(abspath $(TARGET))/tools
DENY_VERSION = 0.20.2
DENY = $(TOOLS)/deny-$(DENY_VERSION)/bin/cargo-deny
CYCLONEDX_VERSION = 0.5.9
CYCLONEDX = $(TOOLS)/cyclonedx-$(CYCLONEDX_VERSION)/bin/cargo-cyclonedx

# What is built last lies where the suites look for it.
.NOTPARALLEL:
.PHONY: help build files install deb rock deps dev demo serve test core luas specs lint clients bench soak debian tagged release reproduce clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

# LuaRocks has a CC of its own, for which cargo would build aws-lc anew.
build: ## the library for LUA_VERSION (default 5.4)
	$(if $(LUA),env -u CC )cargo build --release $(CARGO_LUA)
	@install -D -m 755 "$(BUILT)/libprosody_push.so" "$(LIBRARY)"

# Under sudo there is often no cargo, or another one: then what `make build` left is installed.
files: $(if $(and $(SUDO_USER),$(wildcard $(LIBRARY))),,$(if $(shell command -v cargo),build))
	@test -f "$(LIBRARY)" || { echo "Neither cargo nor $(LIBRARY) is here: make build first." >&2; exit 1; }
	install -d "$(DESTDIR)$(LUA_CMOD)" "$(DESTDIR)$(PLUGINDIR)"
	install -m 755 "$(LIBRARY)" "$(DESTDIR)$(LUA_CMOD)/prosody_push.so"
	install -m 644 lua/*.lib.lua "$(DESTDIR)$(PLUGINDIR)"
	for module in lua/mod_*; do \
		install -d "$(DESTDIR)$(PLUGINDIR)/$${module##*/}"; \
		install -m 644 "$$module"/* "$(DESTDIR)$(PLUGINDIR)/$${module##*/}"; \
	done

install: files ## library and modules; DESTDIR, PREFIX, PLUGINDIR, LUA_CMOD say where
	@echo "Installed. Prosody's configuration wants:"
	@echo "    plugin_paths = { \"$(PLUGINDIR)\" }"
	@echo "    modules_enabled = { …; \"cloud_notify\" }"
	@echo "Then restart Prosody."

ifneq ($(ARCH),)
deb:
	$(AS_ROOT)packaging/clean . "$(TARGET)" "$(CLEAN_MAKE) deb CARGO_BUILD_TARGET=$(RUST_ARCH)" "$(notdir $(DEB))"
	@$(SAY_DEB)
else
deb: ## a package for Debian's Prosody; ARCH=amd64 or arm64 builds it in a clean Debian 12, for 12 and 13, and wants sudo
	rm -rf "$(TARGET)/deb"
	$(MAKE) build files LUA_VERSION=5.4 DESTDIR="$(TARGET)/deb" PLUGINDIR=/usr/lib/prosody/modules \
		LUA_CMOD="/usr/lib/$$($(DPKG_ARCHITECTURE) -qDEB_HOST_MULTIARCH)/lua/5.4"
	$(DPKG_ARCHITECTURE) -c packaging/deb "$(TARGET)/deb" "$(DEB_VERSION)" "$(DEB)"
	@$(SAY_DEB)
endif

define SAY_DEB
printf '%s\n' "" "$(DEB)" "wants $$(dpkg-deb -f "$(DEB)" Depends)." \
	"Debian 12 has libc6 2.36, Debian 13 has 2.41. Bring it to the server, and install it there:" \
	"    scp $(DEB) SERVER:" "    sudo apt install ./$(notdir $(DEB))"
endef

# The same source gives the same bytes: tar and zip keep who made a file and when, and the order of the folder.
SAME_TAR = --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@$(SOURCE_DATE_EPOCH)

# The rockspec of the work tree with a version, and with the archive that lies beside it in the source rock. What is built
# runs on one Lua.
rock: ## for luarocks and prosodyctl install, source and built for LUA_VERSION: target/rock/prosody-push-VERSION-1.*.rock
	rm -rf "$(ROCKS)"
	mkdir -p "$(ROCKS)"
	tar --create --gzip $(SAME_TAR) --transform='s,^,$(ROCK)/,' --file="$(ROCKS)/$(ROCK).tar.gz" \
		.cargo Cargo.* LICENSE Makefile *.md benches lua packaging spec/*/*.rs src
	sed 's,"scm-1","$(VERSION)-1",; s,git+file://\.,file://$(ROCK).tar.gz,' prosody-push-scm-1.rockspec >"$(ROCKS)/$(ROCK)-1.rockspec"
	cd "$(ROCKS)" && zip -q "$(ROCK)-1.src.rock" "$(ROCK)-1.rockspec" "$(ROCK).tar.gz"
	sed -i 's/lua >= .*"/lua ~> $(LUA_VERSION)"/' "$(ROCKS)/$(ROCK)-1.rockspec"
	luarocks --lua-version=$(LUA_VERSION) --tree="$(ROCKS)/tree" make "$(ROCKS)/$(ROCK)-1.rockspec"
	cd "$(ROCKS)" && luarocks --lua-version=$(LUA_VERSION) --tree=tree pack prosody-push $(VERSION)-1
	cd "$(ROCKS)" && for rock in *.rock; do \
		unzip -q -d same "$$rock"; \
		rm "$$rock"; \
		find same -exec touch --date="@$(SOURCE_DATE_EPOCH)" {} +; \
		(cd same && find . -type f | LC_ALL=C sort | TZ=UTC zip -q -X -@ "../$$rock"); \
		rm -r same; \
	done

deps: ## what demo and tests run on: Debian packages, both Prosodys in .prosody
	spec/support/deps

dev: $(QXMPP_PHONE)
	cargo build --locked --lib --examples

# Debian 12 has QXmpp with Qt 5, Debian 13 with Qt 6. `deps` has unpacked it, with the libraries that it is linked with.
$(QXMPP_PHONE): spec/clients/qxmpp_phone.cpp
	@mkdir -p "$(@D)"
	root="$(CURDIR)/.prosody/qxmpp"; lib=$$(echo "$$root"/usr/lib/*-linux-gnu); \
	export PKG_CONFIG_SYSROOT_DIR="$$root" PKG_CONFIG_LIBDIR="$$lib/pkgconfig"; \
	g++ -std=c++17 -fPIC -Wall $< -o "$@" -L"$$lib" -Wl,-rpath-link,"$$lib:$$lib/libproxy:$$root/lib/$${lib##*/}" \
		$$(pkg-config --cflags --libs "$$lib"/pkgconfig/{[qQ]*mpp*,Qt?Network}.pc)

demo: deps dev ## a phone is woken, step by step; PROSODY=13.0 or newest for another version
	@PROSODY=$(PROSODY) lua5.4 spec/demo.lua

serve: deps dev ## a server to connect an own client to, until Ctrl-C
	@PROSODY=$(PROSODY) lua5.4 spec/serve.lua

# With the minutes that each takes on a machine with two processors.
STEPS = lint:2 core:2 luas:2 specs:16

test: deps ## everything (some 22 minutes)
	@steps=($(STEPS)); left=0; for step in $${steps[@]}; do left=$$((left + $${step#*:})); done; \
	for i in $${!steps[@]}; do \
		echo "== make test, $$((i + 1)) of $${#steps[@]}: $${steps[i]%:*} (some $${steps[i]#*:} minutes, $$left until all is done)"; \
		left=$$((left - $${steps[i]#*:})); \
		$(MAKE) --no-print-directory $${steps[i]%:*}; \
	done
	@echo "All suites passed, on Prosody $(SERVERS). make clients (with npm) and make debian (with root) are not among them."

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

# Each server under test has two runs, and all go at once: they mostly wait.
RUNS = $(foreach server,$(SERVERS),live-$(server) specs-$(server))

specs: deps dev
	@for spec in $(SPECS); do echo "== $$spec"; lua5.4 $(BUSTED) $$spec; done
	@echo "Prosody $(SERVERS), in two runs each, all at once. The output of each run comes when it has ended (some 14 minutes)."
	@logs=$$(mktemp -d); watch=; trap 'kill $$watch 2>/dev/null || true; rm -rf "$$logs"' EXIT; failed=; \
	for run in $(RUNS); do $(MAKE) --no-print-directory $$run >"$$logs/$$run" 2>&1 & pids+=($$!); done; \
	spec/support/progress "$$logs" & watch=$$!; \
	for run in $(RUNS); do \
		wait $${pids[0]} || failed+=" $$run"; pids=($${pids[@]:1}); cat "$$logs/$$run"; \
	done; \
	[ -z "$$failed" ] || { echo "Failed:$$failed." >&2; exit 1; }

live-%:
	@echo "== spec/live on Prosody $*, storage internal"
	PROSODY=$* lua5.4 $(BUSTED) spec/live

specs-%:
	@suites=$(words $(SERVER_SPECS)) suite=0; \
	[[ " $(STORING_SERVERS) " != *" $* "* ]] || suites=$$((suites + $(words $(STORAGES) $(STORING_SPECS)))); \
	run() { \
		suite=$$((suite + 1)); \
		echo "== $$suite of $$suites: $$*"; \
		lua5.4 $(BUSTED) $$1 || { echo "Failed: $$*. What comes after it was not run." >&2; exit 1; }; \
	}; \
	export PROSODY=$*; \
	for spec in $(SERVER_SPECS); do run $$spec on Prosody $*; done; \
	[[ " $(STORING_SERVERS) " == *" $* "* ]] || exit 0; \
	for storage in $(STORAGES); do STORAGE=$$storage run "$(STORING)" on Prosody $*, storage $$storage; done; \
	for spec in $(STORING_SPECS); do run $$spec on Prosody $*; done

$(DENY):
	cargo install --quiet --locked --debug --no-default-features cargo-deny --version $(DENY_VERSION) --root "$(TOOLS)/deny-$(DENY_VERSION)"

$(CYCLONEDX):
	cargo install --quiet --locked --debug cargo-cyclonedx --version $(CYCLONEDX_VERSION) --root "$(TOOLS)/cyclonedx-$(CYCLONEDX_VERSION)"

lint: deps $(DENY) ## luacheck, rustfmt, clippy, the architecture, cargo-deny
	luacheck -q lua spec
	@if cargo fmt --version >/dev/null 2>&1; then cargo fmt --check; else echo "Skipped: rustfmt, which is not installed."; fi
	@if cargo clippy --version >/dev/null 2>&1; then \
		cargo clippy -q --locked --all-targets -- -D warnings; \
		cargo clippy -q --locked --all-targets --no-default-features -- -D warnings; \
	else \
		echo "Skipped: clippy, which is not installed."; \
	fi
	cargo test -q --locked --no-default-features --test architecture
	"$(DENY)" --locked check licenses bans sources
	@if timeout 60 "$(DENY)" --log-level off fetch db; then \
		"$(DENY)" --locked check --disable-fetch advisories; \
	else \
		echo "Skipped: advisories. Their database cannot be fetched."; \
	fi

clients: ## Converse.js, which npm fetches, in Chromium; writes the day into docs/interop.md (some 4 minutes)
	spec/support/deps clients
	$(MAKE) --no-print-directory dev
	@for version in $(SERVERS); do \
		echo "== spec/converse_spec.lua on Prosody $$version"; \
		PROSODY=$$version lua5.4 $(BUSTED) spec/converse_spec.lua; \
	done
	lua5.4 spec/support/interop.lua clients

bench: ## what a push costs beside the reference; writes docs/bench.md (some 45 minutes)
	@echo "== 1 of 3: what it runs on, and the counts of the core (some 5 minutes)"
	spec/support/deps bench
	cargo install --quiet --locked gungraun-runner --version $(GUNGRAUN) --root "$(TOOLS)"
	PATH="$(TOOLS)/bin:$$PATH" cargo bench --locked --no-default-features --bench core | tee "$(TARGET)/core-bench.txt"
	@echo "== 2 of 3: the release build (some 2 minutes)"
	$(MAKE) build
	@echo "== 3 of 3: beside the reference, on live servers (some 40 minutes)"
	PROFILE=release lua5.4 spec/bench.lua "$(TARGET)/core-bench.txt"

soak: ## faults, load and hostile input beside the reference; writes docs/reliability.md (some 30 minutes)
	@echo "== 1 of 3: what it runs on, and the builds (some 3 minutes)"
	spec/support/deps
	cargo build --locked
	$(MAKE) build
	@echo "== 2 of 3: the properties, with $(CASES) inputs each (some 7 minutes)" >&2
	for test in "properties" "outages in_the_end"; do \
		PROPTEST_CASES=$(CASES) cargo test --release --locked --no-default-features --test $$test || exit; \
	done | tee "$(TARGET)/properties.txt"
	@echo "== 3 of 3: beside the reference, on live servers (some 20 minutes)"
	PROPTEST_CASES=$(CASES) PROFILE=release lua5.4 spec/soak.lua "$(TARGET)/properties.txt"

# The package that people upgrade from. Version 0.1.0 was never tagged.
BEFORE = $(TARGET)/before/prosody-push_0.1.0_amd64.deb
BEFORE_COMMIT = 374e80f

$(BEFORE):
	rm -rf "$(@D)"
	mkdir -p "$(@D)/tree"
	git archive $(BEFORE_COMMIT) | tar --extract --directory="$(@D)/tree"
	$(AS_ROOT)packaging/clean "$(@D)/tree" "$(@D)" "make deb" "$(@F)"

debian: ## package and rock on clean Debians, 12 to sid, or with ARCH=arm64 the package; wants root, or sudo (some 25 minutes)
	spec/support/deps debian
ifneq ($(ARCH),)
	$(MAKE) deb ARCH=$(ARCH)
	$(AS_ROOT)env ARCH=$(ARCH) PACKAGE="$(DEB)" lua5.4 $(BUSTED) spec/debian_spec.lua
else
	$(MAKE) "$(BEFORE)"
	$(AS_ROOT)packaging/clean . "$(TARGET)/debian" "$(CLEAN_MAKE) deb rock" "$(notdir $(DEB))" "rock/$(ROCK)-1.linux-x86_64.rock"
	lintian --fail-on error "$(TARGET)/debian/$(notdir $(DEB))"
	$(AS_ROOT)env ARCH=amd64 PACKAGE="$(TARGET)/debian/$(notdir $(DEB))" BEFORE="$(BEFORE)" \
		ROCK="$(TARGET)/debian/$(ROCK)-1.linux-x86_64.rock" lua5.4 $(BUSTED) spec/debian_spec.lua
endif

RELEASED = prosody-push_$(VERSION)_amd64.deb prosody-push_$(VERSION)_arm64.deb $(addprefix $(ROCK)-1.,src.rock linux-x86_64.rock)

tagged:
	@[ "$(DEB_VERSION)" = "$(VERSION)" ] && git rev-parse --quiet --verify "refs/tags/v$(VERSION)" >/dev/null || \
		{ echo "make release wants the tag v$(VERSION), with nothing changed. This is $(DEB_VERSION)." >&2; exit 1; }

# All from one clean Debian: the source, and the compiler of that day, give the same bytes.
release: tagged $(CYCLONEDX) ## packages, rocks, SBOM, checksums and notes of the tag that is checked out: target/release-VERSION
	rm -rf "$(RELEASE)"
	$(AS_ROOT)packaging/clean . "$(RELEASE)" \
		"export CARGO_BUILD_TARGET; for CARGO_BUILD_TARGET in $(RUST_arm64) $(RUST_amd64); do $(CLEAN_MAKE) deb; done; $(CLEAN_MAKE) rock" \
		$(filter %.deb,$(RELEASED)) $(addprefix rock/,$(filter %.rock,$(RELEASED)))
	"$(CYCLONEDX)" cyclonedx --quiet --format json --no-default-features --features lua54 \
		--no-build-deps --target $(RUST_amd64) --override-filename sbom.cdx
	sed 's,$(CURDIR),,g' sbom.cdx.json >"$(RELEASE)/prosody-push_$(VERSION).cdx.json"
	rm sbom.cdx.json
	awk '/^## / { entry++ } entry == 1' CHANGELOG.md >"$(RELEASE)/NOTES.md"
	cd "$(RELEASE)" && sha256sum * >SHA256SUMS && cat SHA256SUMS

reproduce: ## builds the release again, in another clean Debian: are the bytes the same?
	mv "$(RELEASE)" "$(RELEASE).first"
	$(MAKE) release
	cd "$(RELEASE)" && sha256sum --check "$(abspath $(RELEASE).first)/SHA256SUMS"
	rm -rf "$(RELEASE).first"

clean: ## removes all that was made
	cargo clean
	rm -rf .prosody
