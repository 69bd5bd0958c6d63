# mobyray's build: one Makefile for everything. `make help` lists the targets.
#
#   make                     build/mobyray (release); CONFIG=asan or tsan: build/asan/mobyray, build/tsan/mobyray
#   make CC=clang WERROR=1   another compiler, warnings are errors (as in CI)
#
# Objects of one configuration live in build/CONFIG alone, so sanitized and plain ones never mix.
# Each library is an archive; tests link all of them. tracer/kernel.c and integrator.c are compiled once for each instruction set.

MAKEFLAGS += --no-builtin-rules
CONFIG ?= release
VERSION := 0.1.0
B := build/$(CONFIG)
BIN := $(if $(filter release,$(CONFIG)),build/mobyray,$(B)/mobyray)
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
PYTEST_FLAGS ?=

# CONFIG=arm64: a cross-build for 64-bit ARM, against the libraries that docker/sysroot.sh fetches (`make arm64` does it all).
MACHINE := $(shell uname -m)
ifeq ($(CONFIG),arm64)
MACHINE := aarch64
SYSROOT := $(CURDIR)/$(B)/sysroot
override CC := aarch64-linux-gnu-gcc --sysroot=$(SYSROOT)
override AR := aarch64-linux-gnu-ar
CROSS_CLANG := --target=aarch64-linux-gnu --sysroot=$(SYSROOT)
# In the command, since make 4.3 exports nothing to $(shell).
CROSS_PKG_CONFIG := PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/aarch64-linux-gnu/pkgconfig:$(SYSROOT)/usr/share/pkgconfig
endif

# ---- flags -----------------------------------------------------------------------------------------------------------
CFLAGS ?= -O3 -g
sanitize_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
sanitize_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
sanitize_pic := -fPIC
sanitize_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_SECONDS ?= 60
SANITIZE := $(sanitize_$(CONFIG))

WARNINGS := -Wall -Wextra -Wshadow -Wconversion $(if $(filter 1,$(WERROR)),-Werror)
# After the user's CFLAGS: without these, pixels would depend on the machine.
SAME_BITS := -ffp-contract=off -fno-math-errno -fno-trapping-math

# pkg-config runs when the first file is compiled, not when make starts: `make render` installs it first.
PACKAGES := libzmq libcjson stb libdeflate OpenEXR assimp libsodium libzstd libmicrohttpd libcurl
once = $(eval $(1) := $(2))$($(1))
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(shell $(CROSS_PKG_CONFIG) pkg-config --cflags $(PACKAGES) | sed 's/-I/-isystem /g'))
PKG_LIBS = $(call once,PKG_LIBS,$(filter-out %OpenEXR-3_1 %OpenEXRUtil-3_1 %Iex-3_1 %IlmThread-3_1 %Imath-3_1,$(shell $(CROSS_PKG_CONFIG) pkg-config --libs $(PACKAGES))))

BASE_CFLAGS = -D_GNU_SOURCE -I. $(CFLAGS) $(SANITIZE) $(WARNINGS) $(SAME_BITS) -ffile-prefix-map=$(CURDIR)=. -pthread -MMD -MP
ALL_CFLAGS = -std=c11 $(BASE_CFLAGS) $(PKG_CFLAGS)
ALL_LIBS = -Wl,--as-needed $(PKG_LIBS) -lm -pthread

# ---- what is built ---------------------------------------------------------------------------------------------------
EACH_SRC := tracer/kernel.c tracer/integrator.c
LIBRARIES := coordinator worker wire tracer
tracer_SRC := $(filter-out $(EACH_SRC),$(wildcard tracer/*.c tracer/scene/*.c))
wire_SRC := $(wildcard wire/*.c)
coordinator_SRC := $(wildcard coordinator/*.c)
worker_SRC := $(wildcard worker/*.c)
cli_SRC := $(filter-out cli/main.c,$(wildcard cli/*.c))

# One build of the ray kernels and of shading for each instruction set; every one gives the same bits (tracer/kernel.h, lanes.h).
KERNELS := $(if $(filter x86_64,$(MACHINE)),scalar sse avx2 avx512,$(if $(filter aarch64,$(MACHINE)),scalar neon,scalar))
avx2_FLAGS := -mavx2 -mfma -mbmi -mbmi2 -mpopcnt -mlzcnt
avx512_FLAGS := $(avx2_FLAGS) -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=256
# clang makes the faster kernels (15 to 19 % on x86-64); a sanitized build stays with one compiler.
KERNEL_CC ?= $(call once,KERNEL_CC,$(if $(filter asan tsan fuzz,$(CONFIG)),$(CC),$(if $(shell command -v clang),clang $(CROSS_CLANG),$(CC))))

objects = $(patsubst %.c,$(B)/%.o,$(1))
EACH_OBJ := $(foreach src,$(EACH_SRC),$(KERNELS:%=$(B)/$(src:.c=).%.o))
tracer_OBJ := $(call objects,$(tracer_SRC)) $(EACH_OBJ)
ARCHIVES := $(LIBRARIES:%=$(B)/lib%.a)
MEDDLER := $(B)/tests/cluster/meddler
TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c tests/sim/test_*.c))
# Benchmarks: programs of their own, over a library of what they share. Embree is compared with where it is installed.
BENCHES := $(addprefix $(B)/bench/,rays growth split coordinator lives watched crowd)
bench_SRC := $(filter-out $(BENCHES:$(B)/%=%.c),$(wildcard bench/*.c))
EMBREE := $(if $(filter release,$(CONFIG)),$(wildcard /usr/include/embree3/rtcore.h))
bench/embree_FLAGS := $(if $(EMBREE),-DBENCH_EMBREE)
BENCH_MESHES ?= terrain:4000000,foliage:1000000,blob:1000000,scenes/mobydock/whale.ply
MODEL := build/tools/mobydock-model
MODEL_SRC := $(wildcard scenes/mobydock/*.c)
MODEL_STAMP := $(if $(MODEL_SRC),build/tools/mobydock.stamp)
# tracer/simd_*.h are parts of tracer/simd.h, one an instruction set.
HEADERS := $(filter-out tracer/simd_%.h,$(wildcard tracer/*.h tracer/*/*.h wire/*.h coordinator/*.h worker/*.h cli/*.h bench/*.h))

# A newcomer's `make render` and `make test` use all CPUs, unless make was told how many.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# One short line a step; V=1 shows the commands.
ifneq ($(V),1)
.SILENT:
endif
comma := ,
say = @printf '  %-5s %s\n' $(1) $(2)

.PHONY: all deps deps-test deps-lint render test tests unit chaos bench bench-workers bench-rays bench-growth bench-split benches fuzz fuzzers asan tsan lint headers layers docker install clean help rays-plugin arm64 FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BIN) $(MODEL_STAMP) ## build build/mobyray and the model of the mobydock scene (the default)

deps: ## install what the build needs (apt, as root), or say what is missing
	@docker/deps.sh build

deps-test: ## install what the build and the tests need
	@docker/deps.sh build test

deps-fuzz:
	@docker/deps.sh build fuzz

deps-lint:
	@docker/deps.sh build test lint bench

render: deps ## install what is missing, build, render mobydock into out/mobydock.png on an embedded cluster
	@$(MAKE) --no-print-directory $(JOBS) all
	@mkdir -p out
	build/mobyray render scenes/mobydock -o out/mobydock.png
	@echo "the picture is in out/mobydock.png"

test: deps-test ## install what the tests need, build, run every test
	@$(MAKE) --no-print-directory $(JOBS) all tests benches
	@$(MAKE) --no-print-directory unit
	MOBYRAY=$(CURDIR)/$(BIN) MEDDLER=$(CURDIR)/$(MEDDLER) $(PYTHON) -m pytest -p no:cacheprovider -q tests $(PYTEST_FLAGS)

tests: $(TESTS) $(MEDDLER)

unit: $(TESTS) # runs the C tests; every one runs, then the first failure counts
	@failed=; for test in $(TESTS); do echo "== $$test"; $$test || failed="$$failed $$test"; done; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed"; exit 1; fi; echo "$(words $(TESTS)) test programs passed"

chaos: deps-test ## the fault tests at full size (tests/FAULTS.md); `make test` runs a short form of each
	@$(MAKE) --no-print-directory $(JOBS) all tests
	CHAOS=1 MOBYRAY=$(CURDIR)/$(BIN) MEDDLER=$(CURDIR)/$(MEDDLER) $(PYTHON) -m pytest -p no:cacheprovider -q -s tests/cluster/test_faults*.py tests/cluster/test_image.py \
	  tests/cluster/test_docker_swarm.py $(PYTEST_FLAGS)

bench: bench-rays bench-growth bench-split bench-coordinator bench-workers ## all of the following five: tables, and JSON in out/

benches: $(BENCHES)

bench-rays: $(BENCHES) $(MODEL_STAMP) ## the ray kernels beside Embree's; MESHES=a.ply,b.obj adds yours
	@mkdir -p out
	$(B)/bench/rays --meshes $(BENCH_MESHES)$(if $(MESHES),$(comma)$(MESHES)) -o out/bench-rays.json

bench-growth: $(BENCHES) ## cost of rays from 10 thousand to 10 million triangles, from 10 to a million instances
	@mkdir -p out
	$(B)/bench/growth -o out/bench-growth.json

bench-split: $(BENCHES) $(MODEL_STAMP) ## a render's time in the ray kernel and outside of it
	@mkdir -p out
	$(B)/bench/split -o out/bench-split.json

.PHONY: bench-coordinator
bench-coordinator: $(BENCHES) all ## what a tile costs the coordinator beside a bare ZeroMQ loop, without and with CURVE; workers' start and loss
	@mkdir -p out
	$(B)/bench/coordinator -o out/bench-coordinator.json
	$(B)/bench/coordinator --curve -o out/bench-coordinator-curve.json
	$(B)/bench/lives -o out/bench-lives.json
	$(B)/bench/watched -o out/bench-watched.json

.PHONY: bench-dashboard
bench-dashboard: $(BENCHES) all deps-test ## what the dashboard costs, and its frames a second, with 1,000 workers and a 4K picture
	@mkdir -p out
	$(PYTHON) bench/dashboard.py -o out/bench-dashboard.json

bench-workers: all ## how mobydock scales with workers
	@mkdir -p out
	build/mobyray bench --workers 1,2,4 --size 960x540 --spp 16 -o out/bench.json --html out/bench.html scenes/mobydock

asan: deps-test ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) CONFIG=asan PYTEST_FLAGS="-k 'not docker' $(PYTEST_FLAGS)" test

tsan: deps-test ## all tests under ThreadSanitizer
	TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp:$$TSAN_OPTIONS" \
	$(MAKE) CONFIG=tsan PYTEST_FLAGS="-k 'not docker' $(PYTEST_FLAGS)" test

fuzz: deps-fuzz ## fuzz every decoder, FUZZ_SECONDS in all (60); FUZZ="ply image" only those
	@$(MAKE) --no-print-directory $(JOBS) CONFIG=fuzz CC=clang fuzzers
	tests/fuzz/run.sh build/fuzz/tests/fuzz $(FUZZ_SECONDS) $(FUZZ)

fuzzers: $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))

lint: deps-lint headers layers ## clang-tidy, cppcheck, shellcheck, headers and layers
	@$(MAKE) --no-print-directory lint-c
	shellcheck .ci/run docker/*.sh docker/instances/*.sh tests/fuzz/*.sh && echo "lint: nothing found"

# Two at a time: clang-tidy takes seconds a file. tests/lint.h tells it what mr_fail returns.
lint-c:
	@mkdir -p build
	printf '%s\n' $(filter-out tracer/error.c,$(tracer_SRC) $(wire_SRC) $(coordinator_SRC) $(worker_SRC) $(cli_SRC) cli/main.c $(wildcard bench/*.c)) | \
	xargs -P2 -n4 sh -c 'log=build/tidy.$$$$.log; clang-tidy --quiet "$$@" -- -std=c11 -D_GNU_SOURCE -DMR_VERSION=\"\" -DMR_COMMIT=\"\" -DMR_KERNEL_COMPILER=\"\" $(bench/embree_FLAGS) \
	  -include tests/lint.h -I. $(PKG_CFLAGS) >$$log 2>&1; status=$$?; [ $$status = 0 ] || cat $$log; rm -f $$log; exit $$status' tidy
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning -j2 -I. \
	  --suppressions-list=tests/cppcheck.supp -D_GNU_SOURCE -DMR_KERNEL_scalar tracer wire coordinator worker cli bench

headers: deps ## check that each header compiles alone
	@for header in $(HEADERS); do \
	  $(CC) -std=gnu11 -D_GNU_SOURCE -DMR_KERNEL_scalar -I. $(PKG_CFLAGS) -Wall -Wextra -Werror -Wno-unused-function -fsyntax-only -include $$header \
	    -x c /dev/null || exit 1; done; echo "$(words $(HEADERS)) headers stand alone"

layers: ## check includes against the layers: who may know whom
	@docker/layers.sh

arm64: ## cross-build build/arm64/mobyray, its unit tests and its image's files for 64-bit ARM; tests/cluster/test_arm64.py runs them under qemu
	@docker/deps.sh build arm64 image
	@docker/sysroot.sh arm64 build/arm64/sysroot
	@$(MAKE) --no-print-directory $(JOBS) build/tools/squeezed.stamp
	@$(MAKE) --no-print-directory $(JOBS) CONFIG=arm64 build/arm64/mobyray tests image-root

# ---- the container image -------------------------------------------------------------------------------------------
# Its mobyray is linked with what Debian has as archives, and with a small libcurl: docs/IMAGE.md says why.
IMAGE ?= mobyray
BASE_IMAGE ?= debian:bookworm-slim
IMAGE_ARCH := $(if $(filter aarch64,$(MACHINE)),arm64,amd64)
IMAGE_LIBS = -Wl,--as-needed -Wl,-Bstatic -lzmq -lsodium -lbsd -lmd -ldeflate -lzstd $(if $(filter libmicrohttpd,$(PACKAGES)),-lmicrohttpd) \
  -Wl,-Bdynamic $(if $(filter libcurl,$(PACKAGES)),$(B)/curl/libcurl.a) -lcjson -lOpenEXRCore-3_1 -lassimp -l:libstdc++.so.6 -lm -pthread
export VERSION
image_environment = COMMIT="$${COMMIT-$$(git describe --always --dirty 2>/dev/null)}" SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
image_created = CREATED="$$(date -u -d "@$$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"

.PHONY: image image-arm64 image-root sbom
image: ## build the container image (docs/IMAGE.md); IMAGE=... names it, BASE_IMAGE=... is what it is built in, MIRROR=... pins the packages
	@export $(image_environment); export $(image_created); docker build -f docker/Dockerfile -t $(IMAGE) --build-arg BASE_IMAGE=$(BASE_IMAGE) --build-arg MIRROR=$(MIRROR) \
	  --build-arg COMMIT="$$COMMIT" --build-arg SOURCE_DATE_EPOCH="$$SOURCE_DATE_EPOCH" --build-arg VERSION=$(VERSION) --build-arg CREATED="$$CREATED" .

.PHONY: image-again
image-again: ## build it twice and compare the layers
	@export $(image_environment); docker/reproducible.sh $(BASE_IMAGE) --build-arg COMMIT="$$COMMIT" --build-arg SOURCE_DATE_EPOCH="$$SOURCE_DATE_EPOCH"

image-arm64: arm64 ## the same for 64-bit ARM, cross-built here: mobyray:arm64
	@export $(image_environment); docker/import.sh arm64 build/arm64/image $(IMAGE):arm64

image-root: $(B)/image/mobyray $(if $(filter release,$(CONFIG)),build/tools/squeezed.stamp) # the image's file system: build/release/image/root; docker/Dockerfile copies it
	@export $(image_environment); docker/rootfs.sh $(IMAGE_ARCH) $< $<.linked $(B)/curl $(B)/image $(SYSROOT)

sbom: image-root ## what an image built here would hold: out/sbom.spdx.json
	@mkdir -p out
	cp $(B)/image/root/usr/share/mobyray/sbom.spdx.json out/sbom.spdx.json
	@echo "the bill of materials is in out/sbom.spdx.json"

rays-plugin: ## build/mobyray-rays.so: the kernels behind the five functions of the ray benchmark
	@$(MAKE) --no-print-directory CONFIG=pic build/mobyray-rays.so

docker: ## build the container image as Compose does, with the commit's name and time in it
	export $(image_environment); export $(image_created); if command -v docker-compose >/dev/null; then docker-compose build; else docker compose build; fi

install: $(BIN) ## install the binary below PREFIX (/usr/local)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/mobyray

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

# ---- rules -----------------------------------------------------------------------------------------------------------
$(BIN): $(B)/cli/main.o $(B)/libcli.a $(ARCHIVES) | build/curve.ok
	$(call say,link,$@)
	$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

$(B)/image/mobyray: $(B)/cli/main.o $(B)/libcli.a $(ARCHIVES) $(B)/docker/absent.o | $(if $(filter libcurl,$(PACKAGES)),$(B)/curl/libcurl.a)
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(CC) $(CFLAGS) $(LDFLAGS) -s -Wl,--gc-sections -Wl,--trace -o $@ $^ $(IMAGE_LIBS) > $@.linked

$(B)/curl/libcurl.a: docker/curl.sh
	@docker/deps.sh image
	docker/curl.sh $(B)/curl $(if $(filter arm64,$(CONFIG)),"$(CC)" aarch64-linux-gnu)

# Keys need CURVE. 126: built for another machine, cannot be run here; the program looks, too, when it starts.
build/curve.ok:
	@mkdir -p build
	@printf '#include <zmq.h>\nint main(void) { return zmq_has("curve") ? 0 : 3; }\n' | \
	$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) $(shell $(CROSS_PKG_CONFIG) pkg-config --cflags libzmq) -x c - -x none -o build/curve-probe $(shell $(CROSS_PKG_CONFIG) pkg-config --libs libzmq)
	@build/curve-probe 2>/dev/null; status=$$?; [ $$status = 0 ] || [ $$status = 126 ] || \
	{ echo "mobyray needs a libzmq that was built with CURVE (libsodium); this one was not: see pkg-config --libs libzmq" >&2; exit 1; }
	@touch $@

$(B)/libtracer.a: $(tracer_OBJ)
define library
$(B)/lib$(1).a: $(call objects,$($(1)_SRC))
endef
$(foreach lib,wire coordinator worker cli bench,$(eval $(call library,$(lib))))
$(B)/lib%.a:
	@rm -f $@; mkdir -p $(@D)
	$(AR) rcs $@ $^

# The page is copied into this one by the assembler, which tells nobody (.incbin).
$(B)/coordinator/http_assets.o: $(wildcard coordinator/page/*) coordinator/openapi.json

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,cc,$<)
	$(CC) $(ALL_CFLAGS) $($*_FLAGS) -c -o $@ $<

# Fuzzing runs the scalar kernel; clang 14 crashes on the widest one with all that fuzzing adds to it.
plain_unless_scalar = $(if $(filter fuzz,$(CONFIG)),$(if $(filter scalar,$(1)),,-fno-sanitize=all -g0))
define each
$(B)/tracer/kernel.$(1).o $(B)/tracer/integrator.$(1).o: $(B)/tracer/%.$(1).o: tracer/%.c
	@mkdir -p $$(@D)
	$$(call say,$(1),$$<)
	$$(KERNEL_CC) -std=gnu11 $$(BASE_CFLAGS) -DMR_KERNEL_$(1) $$($(1)_FLAGS) $$(call plain_unless_scalar,$(1)) -c -o $$@ $$<
endef
$(foreach kernel,$(KERNELS),$(eval $(call each,$(kernel))))

tracer/scene/texture_FLAGS = -fwrapv -fno-sanitize=nonnull-attribute# stb_image: signed overflow, and copies of no bytes to nowhere
cli/version_FLAGS = -DMR_VERSION='"$(VERSION)"' -DMR_COMMIT='"$(shell cat build/commit)"' \
  -DMR_KERNEL_COMPILER='"$(shell $(KERNEL_CC) --version | head -n 1)"'
$(B)/cli/version.o: build/commit
build/commit: FORCE # the commit, where git knows it; touched only when it changes
	@mkdir -p build; commit=$${COMMIT-$$(git describe --always --dirty 2>/dev/null || true)}; \
	[ "$$(cat $@ 2>/dev/null || echo none)" = "$$commit" ] || echo "$$commit" > $@

$(B)/tests/%: $(B)/tests/%.o $(B)/libcli.a $(ARCHIVES)
	$(call say,link,$@)
	$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka

$(BENCHES): $(B)/bench/%: $(B)/bench/%.o $(B)/libbench.a $(B)/libcli.a $(ARCHIVES)
	$(call say,link,$@)
	$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(ALL_LIBS) $(if $(EMBREE),-lembree3)

# assimp's call is wrapped so that its own faults can be told from ours.
$(B)/tests/fuzz/fuzz_import: LINK_EXTRA := -Wl,--wrap=aiImportFileExWithProperties
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/fuzz.o $(B)/libcli.a $(ARCHIVES)
	$(call say,link,$@)
	$(CC) $(CFLAGS) $(SANITIZE) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(ALL_LIBS) $(LINK_EXTRA)

build/mobyray-rays.so: build/pic/bench/rays_plugin.o build/pic/libtracer.a
	$(CC) -shared $(CFLAGS) -Wl,-Bsymbolic -Wl,-z,defs -o $@ $^ $(ALL_LIBS)

# The model does not depend on CONFIG: its output is the same for all.
build/tools/%.o: %.c
	@mkdir -p $(@D)
	$(call say,cc,$<)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -I. $(WARNINGS) -ffp-contract=off -pthread -MMD -MP -c -o $@ $<
$(MODEL): $(MODEL_SRC:%.c=build/tools/%.o)
	$(CC) -o $@ $^ -lm -lpthread
build/tools/mobydock.stamp: $(MODEL)
	$(call say,model,scenes/mobydock)
	$(MODEL) scenes/mobydock >/dev/null
	@touch $@

build/tools/squeezed.stamp: tracer/scene/squeeze.c $(MODEL_STAMP) | build/mobyray
	$(call say,small,scenes)
	for mesh in scenes/*/*.ply; do mkdir -p build/tools/squeezed/$${mesh%/*} && build/mobyray scene squeeze $$mesh -o build/tools/squeezed/$$mesh || exit 1; done
	@touch $@

-include $(shell find build -name sysroot -prune -o -type f -name '*.d' -print 2>/dev/null)
