# The recipes of this project. CI calls the same ones (.ci/run), so that "checked" means one thing.
# Each does all of its own set-up and is quick when nothing is missing.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-test clip demo test check-compose test-compose test-upgrade bench sim lint translations pictures measure-window failures deny deb test-deb

help: ## list the recipes
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | expand -t 14

setup: ## system packages through apt (sudo if not root) and a check of the Rust toolchain
	@deploy/setup.sh

setup-test:
	@deploy/setup.sh test

clip: ## fetch the clip that the demo and the tests play into .cache/, checked by its hash
	@deploy/clip.sh

demo: setup clip ## a whole platform on this machine: DEMO_SECONDS=60 stops by itself, CLIP=FILE plays another video
	@. deploy/environment.sh; cargo build --workspace --bins && exec "$${CARGO_TARGET_DIR:-target}/debug/braidcast-demo"

# Programs and tests in one build: what tests alone need of a library would make cargo build it twice.
test: setup-test clip ## every test, those with the real programs included
	@. deploy/environment.sh; cargo build --workspace --bins --tests --examples && cargo test --workspace --no-fail-fast

bench: setup-test ## what the programs cost, one table of ratios at the end: PART=media|engine|headend|headend-20|viewer|rendezvous|rendezvous-redis|overload|delay|delay-many|fan-out|fan-out-400|fan-out-20 runs one part, PART=parts the pure parts alone
	@. deploy/environment.sh; cargo build --release --workspace --bins && bench/run.sh "$${PART:-all}"

sim: setup ## the scenarios at full size on the simulator (an hour or more), results in docs/results/
	@. deploy/environment.sh; cargo build --release -p sim && sim/results.sh

lint: setup ## formatting and lints, warnings refused
	@. deploy/environment.sh; cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings

translations: setup ## the texts of the viewer's window anew into client/po: translate what is empty or fuzzy
	@. deploy/environment.sh; WRITE_TEMPLATE=1 cargo test -q -p client --lib the_template_has_all_texts && \
	  msgmerge --quiet --update --backup=none --no-wrap --previous client/po/de.po client/po/braidcast.pot && \
	  msgfmt --statistics -o /dev/null client/po/de.po

pictures: setup-test clip ## the window's pictures in docs/pictures anew, and those of the console's pages in target/pictures
	@. deploy/environment.sh; cargo build --workspace --bins --tests --examples && cargo test --workspace --test system -- --ignored --exact window::pictures --nocapture
	@. deploy/environment.sh; export PICTURES="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/pictures"; \
	  cargo test --workspace --test system console:: -- --nocapture && cargo test --workspace --test behaviour browser:: -- --nocapture && \
	  echo "the console's pictures are in $$PICTURES"

measure-window: setup-test clip ## what the window costs and how fast it is: PART=start,zap,play (a few minutes) or PART=growth (half an hour), PROFILE=release
	@. deploy/environment.sh; cargo build --profile "$${PROFILE:-dev}" --workspace --bins --tests --examples && \
	  cargo test --profile "$${PROFILE:-dev}" --workspace --test system -- --ignored --exact window::measurements --nocapture

failures: setup-test clip ## tries what may go wrong while watching, and says what the viewer reads then: OUT=FOLDER keeps pictures of it
	@. deploy/environment.sh; cargo build --workspace --bins --tests --examples && cargo test --workspace --test system -- --ignored --exact window::failures --nocapture

check-compose: setup ## whether docker-compose.yml is valid and its images can be made (as far as there is Docker)
	@. deploy/environment.sh; cargo build --workspace --bins --tests --examples && deploy/compose/check.sh "$${CARGO_TARGET_DIR:-target}/debug"

test-upgrade: setup ## this platform on the volumes of an older one (needs docker): PREVIOUS=COMMIT PREVIOUS_PROGRAMS=FOLDER with its programs
	@. deploy/environment.sh; cargo build --workspace --bins && deploy/compose/test.py

test-compose: setup ## the platform of docker-compose.yml for real: each container killed while somebody watches (needs docker)
	@. deploy/environment.sh; cargo build -p auth -p rendezvous -p repeater -p headend -p client --bins && { [ -n "$${BUILD:-}" ] || deploy/compose/images.sh "$${CARGO_TARGET_DIR:-target}/debug"; } && deploy/compose/test.py

deny: ## licences and advisories of all dependencies (needs cargo-deny and the network)
	cargo deny check

deb: setup ## Debian packages of the viewer's program and the repeater in target/deb (PROFILE=dev packs the debug build)
	@. deploy/environment.sh; cargo build --profile "$${PROFILE:-release}" -p client -p repeater \
	  && deploy/deb/build.sh "$$([ "$${PROFILE:-release}" = dev ] && echo debug || echo "$${PROFILE:-release}")" "$${CARGO_TARGET_DIR:-target}/deb"

test-deb: setup-test clip ## the viewer's package on a clean Debian 12, its window driven there (needs root and Debian's mirror)
	@. deploy/environment.sh; cargo build --workspace --bins --tests --examples && out="$${CARGO_TARGET_DIR:-target}" && deploy/deb/build.sh debug "$$out/deb" && \
	  deploy/deb/test.sh "$$out/deb" cargo test --workspace --test system -- --exact window::a_viewer_signs_in_zaps_pauses_and_signs_out --nocapture
