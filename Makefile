# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Everything is written below build/. `make help` lists the targets, V=1 shows the commands.

VERSION   := 0.1.0
SOVERSION := 0
SONAME    := liblbctl.so.$(SOVERSION)
SOFILE    := liblbctl.so.$(SOVERSION).1

CLANG      ?= clang
BPFTOOL    ?= bpftool
LLVM_STRIP ?= llvm-strip
PKG_CONFIG ?= pkg-config

PREFIX        ?= /usr/local
SBINDIR       ?= $(PREFIX)/sbin
LIBDIR        ?= $(PREFIX)/lib
INCLUDEDIR    ?= $(PREFIX)/include
MANDIR        ?= $(PREFIX)/share/man
NODEDIR       ?= $(PREFIX)/share/lbctl/node
PYTHONDIR     ?= $(PREFIX)/share/lbctl/python
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

# What `make info` accepts per BPF program.
INSN_BUDGET  := 50000
STACK_BUDGET := 512

# Set, all that is built and tested is built with the address and undefined-behaviour sanitizers.
SANITIZE ?=

B := build$(if $(SANITIZE),/sanitize)

# Set, a warning is an error: so CI builds.
WERROR ?=

# Where `make bench` leaves its figures, pictures and report.
BENCH_OUT ?= $(B)/bench

CFLAGS    ?= -O2 -g
# What makes a mistake of ours harder to use: of all programs and the library. Empty = none of it.
HARDEN_CFLAGS  ?= -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
		  $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
HARDEN_LDFLAGS ?= -Wl,-z,relro,-z,now,-z,noexecstack
LB_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DLBCTL_VERSION='"$(VERSION)"' \
	     -Wall -Wextra -Wshadow -Wmissing-prototypes -Wvla $(if $(WERROR),-Werror) \
	     -Iinclude -Iuser -I$(B)/bpf -I$(B)/web -MMD -MP
ASAN      := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	     -U_FORTIFY_SOURCE
ifneq ($(SANITIZE),)
CFLAGS         := -O1 -g $(ASAN)
HARDEN_CFLAGS  := -fPIE
# The shared libubsan of gcc goes by no log_path beside ASan: what it found in who has no standard
# error would be told nobody.
HARDEN_LDFLAGS := $(if $(findstring clang,$(CC)),,-static-libubsan)
endif
LIBS      := -Wl,--as-needed -lbpf -ljansson -lsystemd -lyaml -lelf -lz -lm -ldl
BPF_ARCH  := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/; s/ppc64le/powerpc/; s/riscv64/riscv/')
# clang -target bpf does not look where Debian keeps <asm/types.h>.
BPF_MULTIARCH := $(wildcard /usr/include/$(shell uname -m)-linux-gnu)
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -Wall -Wextra $(if $(WERROR),-Werror) -D__TARGET_ARCH_$(BPF_ARCH) \
	      -Iinclude -Ibpf $(addprefix -idirafter ,$(BPF_MULTIARCH)) $(BPF_CPPFLAGS) -MMD -MP

ifeq ($(V),1)
Q    :=
say  := @:
else
Q    := @
say  := @printf '  %-8s %s\n'
MAKEFLAGS += --no-print-directory
endif

# As many jobs as there are CPUs, unless -j says otherwise; goals named together are made in turn.
ifeq ($(MAKELEVEL)$(word 2,$(MAKECMDGOALS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

# --- what there is to build ---------------------------------------------------------------------

BPF_NAMES := $(patsubst bpf/%.bpf.c,%,$(wildcard bpf/*.bpf.c))
# The same programs for kernels before 5.12, which lack atomics that return a value.
BPF_NAMES += steer_v5 datagram_v5 track_v5
# The same program for the sockets of UDP.
BPF_NAMES += sample_udp
BPF_OBJS  := $(BPF_NAMES:%=$(B)/bpf/%.bpf.o)
SKELS     := $(BPF_NAMES:%=$(B)/bpf/%.skel.h)
PAGE      := $(addprefix user/web/,page.html page.css page.js page_service.js page_figures.js)
GENERATED := $(SKELS) $(B)/web/page_files.h

USER_SRCS := $(filter-out user/lib/%,$(wildcard user/*/*.c))
USER_OBJS := $(USER_SRCS:%.c=$(B)/%.o)
LIB_SRCS  := $(wildcard user/lib/*.c)
LIB_OBJS  := $(LIB_SRCS:%.c=$(B)/%.o)
LIBS_A    := $(B)/liblbuser.a $(B)/liblbctl.a
TOOLS     := $(patsubst tools/%.c,$(B)/%,$(wildcard tools/*.c))

ASAN_LIBS := $(B)/asan/liblbuser.a $(B)/asan/liblbctl.a
UNIT      := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
INTEGRATION := $(patsubst tests/%.c,$(B)/tests/%,$(sort $(wildcard tests/integration/*.c)))
# Those that take long are run by `make test-full`, or take longer there.
marked = $(shell sed -nE 's/\#.*//; s|^(\S+)\s.*$(1).*|$(B)/tests/\1|p' tests/order.txt)
FULL      := $(call marked,full)
BOTH      := $(call marked,both)
HARNESS   := $(B)/tests/libharness.a
HARNESS_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/integration/harness/*.c))

C_FILES   := $(filter-out bpf/vmlinux.h,$(wildcard $(foreach d,bpf include user user/* tools \
		tools/bench tools/demo-worker tools/steercost tests tests/integration \
		tests/integration/harness tests/fuzz vmtests,$(d)/*.c $(d)/*.h)))
SH_FILES  := $(wildcard .ci/run tools/*.sh tools/node/*.sh tools/observe/*.sh tools/bench/*.sh \
		tools/bench/peers/*.sh tests/*.sh tests/*/*.sh vmtests/run vmtests/*.sh)
MAN_PAGES := $(wildcard user/man/*.[1-9])

.PHONY: all deps demo observe observe-files bench bench-full bench-deps test test-full clang-build check asan info structure format format-check lint \
	install uninstall clean help systemdtest test-programs mutate soak compat vmtest FORCE
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

all: $(B)/lbctl $(B)/liblbctl.a $(B)/liblbctl.so $(B)/lbctl.pc $(TOOLS) ## build lbctl, liblbctl and the tools (needs neither root nor network)

# Objects depend on this file, which changes only when the compiler or its flags do.
BUILD_ID := $(CC) $(CLANG) $(CPPFLAGS) $(HARDEN_CFLAGS) $(CFLAGS) $(LDFLAGS) $(LB_CFLAGS) $(BPF_CFLAGS) $(ASAN)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(call quote,$(BUILD_ID)) | cmp -s - $@ || printf '%s\n' $(call quote,$(BUILD_ID)) >$@
quote = '$(subst ','\'',$(1))'

# --- kernel side --------------------------------------------------------------------------------

$(B)/bpf/%_v5.bpf.o: bpf/%.bpf.c $(B)/flags
	$(say) BPF $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -DLB_NO_FETCH -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/bpf/%_udp.bpf.o: bpf/%.bpf.c $(B)/flags
	$(say) BPF $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -DLB_DATAGRAM -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(B)/flags
	$(say) BPF $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(say) SKEL $@
	$(Q)$(BPFTOOL) gen skeleton $< name $* >$@

# The page of lbctl export, as texts of C.
$(B)/web/page_files.h: $(PAGE) Makefile
	$(say) TEXT $@
	@mkdir -p $(@D)
	$(Q)for kind in html css js; do \
		echo "static const char page_$$kind[] ="; \
		for file in $(PAGE); do case $$file in *.$$kind) sed 's/[\\"]/\\&/g; s/^/"/; s/$$/\\n"/' $$file;; esac; done; \
		echo ';'; \
	done >$@

# --- user side ----------------------------------------------------------------------------------

COMPILE  = $(Q)$(CC) $(LB_CFLAGS) $(CPPFLAGS) $(HARDEN_CFLAGS) $(CFLAGS)
LINK     = $(Q)$(CC) $(CFLAGS) $(HARDEN_LDFLAGS) $(LDFLAGS)
LINK_PIE = $(LINK) $(if $(HARDEN_CFLAGS),-pie)

$(B)/user/lib/%.o: user/lib/%.c $(B)/flags
	$(say) CC $@
	@mkdir -p $(@D)
	$(COMPILE) -fPIC -c $< -o $@

$(B)/user/%.o: user/%.c $(B)/flags | $(GENERATED)
	$(say) CC $@
	@mkdir -p $(@D)
	$(COMPILE) -c $< -o $@

$(B)/tools/%.o: tools/%.c $(B)/flags | $(GENERATED)
	$(say) CC $@
	@mkdir -p $(@D)
	$(COMPILE) -c $< -o $@

$(B)/liblbuser.a: $(USER_OBJS)
$(B)/liblbctl.a: $(LIB_OBJS)
$(B)/liblbuser.a $(B)/liblbctl.a:
	$(say) AR $@
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/lbctl: $(B)/user/lbctl.o $(LIBS_A)
	$(say) LINK $@
	$(LINK_PIE) $^ $(LIBS) -o $@

# Only what <lbctl.h> declares is exported.
$(B)/liblbctl.map: include/lbctl.h Makefile
	@mkdir -p $(@D)
	$(Q){ echo 'LBCTL_$(SOVERSION) { global:'; grep -o 'lbctl_[a-z0-9_]*(' $< | sort -u | tr '(' ';'; \
		echo 'local: *; };'; } >$@

$(B)/$(SOFILE): $(LIB_OBJS) $(B)/liblbctl.map
	$(say) LINK $@
	$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=$(B)/liblbctl.map -Wl,-z,defs $(LIB_OBJS) -o $@

$(B)/$(SONAME): $(B)/$(SOFILE)
	$(Q)ln -sf $(<F) $@

$(B)/liblbctl.so: $(B)/$(SONAME)
	$(Q)ln -sf $(<F) $@

$(B)/lbctl.pc: user/lib/lbctl.pc.in Makefile FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' $< >$@

$(TOOLS): $(B)/%: $(B)/tools/%.o $(LIBS_A)
	$(say) LINK $@
	$(LINK_PIE) $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -o $@

$(B)/lbctl-demo-worker: $(patsubst %.c,$(B)/%.o,$(wildcard tools/demo-worker/*.c))
$(B)/steercost: $(patsubst %.c,$(B)/%.o,$(wildcard tools/steercost/*.c))
$(B)/lb-bench: $(patsubst %.c,$(B)/%.o,$(wildcard tools/bench/*.c))

# --- the same under the address and undefined-behaviour sanitizers -------------------------------

$(B)/asan/%.o: %.c $(B)/flags | $(GENERATED)
	$(say) 'CC asan' $@
	@mkdir -p $(@D)
	$(COMPILE) -O1 $(ASAN) -c $< -o $@

$(B)/asan/liblbuser.a: $(USER_SRCS:%.c=$(B)/asan/%.o)
$(B)/asan/liblbctl.a: $(LIB_SRCS:%.c=$(B)/asan/%.o)
$(ASAN_LIBS):
	$(say) AR $@
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/asan/lbctl: $(B)/asan/user/lbctl.o $(ASAN_LIBS)
	$(say) LINK $@
	$(LINK) $(ASAN) $^ $(LIBS) -o $@

asan: $(B)/asan/lbctl check ## build lbctl with ASan and UBSan (build/asan/lbctl) and run the unit tests

# --- tests --------------------------------------------------------------------------------------

# How many test binaries run at a time; empty = two for each CPU.
JOBS ?=
RUN_TESTS = LBCTL_BUILD=$(CURDIR)/$(B) SANITIZE=$(SANITIZE) LB_TEST_LOG=$${LB_TEST_LOG:-$(B)/tests/log} \
	    tests/run.sh $(JOBS:%=-j %)

# A test that nobody registered must not compile.
TEST_CFLAGS := -Werror=unused-function -Itests -Itests/integration

$(B)/tests/test_%.o: tests/test_%.c $(B)/flags | $(GENERATED)
	$(say) 'CC test' $@
	@mkdir -p $(@D)
	$(COMPILE) -O1 $(ASAN) $(TEST_CFLAGS) -c $< -o $@

# What several of them share.
TEST_PARTS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/reconcile_*.c) tests/control_world.c)
$(TEST_PARTS): $(B)/%.o: %.c $(B)/flags
	$(say) 'CC test' $@
	@mkdir -p $(@D)
	$(COMPILE) -O1 $(ASAN) -Itests -c $< -o $@

IN_A_WORLD := $(addprefix $(B)/tests/test_reconcile,_starts _operations _parallel _renews _ends) $(B)/tests/test_reconcile
$(IN_A_WORLD): $(patsubst %,$(B)/tests/reconcile_%.o,world fakes sockets)
$(B)/tests/test_reconcile: $(B)/tests/reconcile_events.o
BY_PASSES := $(addprefix $(B)/tests/test_reconcile,_actions _listen _waits _renews)
$(BY_PASSES): $(B)/tests/reconcile_pass.o
$(B)/tests/test_control $(B)/tests/test_control_room: $(B)/tests/control_world.o

$(UNIT): %: %.o $(ASAN_LIBS)
	$(say) LINK $@
	$(LINK) $(ASAN) $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -lcmocka -o $@

$(B)/tests/integration/%.o: tests/integration/%.c $(B)/flags | $(GENERATED)
	$(say) 'CC test' $@
	@mkdir -p $(@D)
	$(COMPILE) $(TEST_CFLAGS) -c $< -o $@

$(HARNESS): $(HARNESS_OBJS)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(INTEGRATION): %: %.o $(HARNESS) $(LIBS_A)
	$(say) LINK $@
	$(LINK) $^ $(LIBS) -lcmocka -o $@

$(B)/static-server: tests/static-server.c $(B)/flags
	$(say) LINK $@
	$(Q)$(CC) $(LB_CFLAGS) -O2 -static $< -o $@

# An lbctl that has appended a field to every map value (LB_ABI_APPENDED), for the test of upgrades.
APPENDED := $(B)/tests/appended

$(APPENDED)/lbctl: FORCE
	$(Q)$(MAKE) B=$(APPENDED) CFLAGS=-O0 HARDEN_CFLAGS= CPPFLAGS=-DLB_ABI_APPENDED BPF_CPPFLAGS=-DLB_ABI_APPENDED $@

test-programs: $(UNIT) $(INTEGRATION) $(B)/static-server $(APPENDED)/lbctl

# Where an lbctl that is below build/sanitize or build/clang looks for it.
ifeq ($(dir $(B)),build/)
test-programs: build/tools/node
build/tools/node:
	@mkdir -p $(@D)
	$(Q)ln -s ../../tools/node $@
endif

check: $(UNIT) $(B)/lbctl $(B)/lbctl-demo-worker $(B)/lbctl-observe $(B)/liblbctl.so ## run the unit tests (no root, no network)
	$(Q)$(RUN_TESTS) $(UNIT) tests/docs.sh tests/completion.sh tests/observe.sh tests/examples.sh tests/runner.sh tests/hardening.sh

test: ## install what is missing, build, run unit and integration tests side by side, JOBS at a time; SANITIZE=1: all of it with ASan and UBSan (root)
	@test "$$(id -u)" = 0 || { echo 'make test: needs root (namespaces, BPF); "make check" runs the unit tests without it' >&2; exit 1; }
	$(Q)$(MAKE) deps
	$(Q)$(MAKE) all test-programs
	$(Q)$(RUN_TESTS) $(UNIT) tests/docs.sh tests/completion.sh tests/observe.sh tests/examples.sh tests/runner.sh tests/hardening.sh tests/bindings.sh $(filter-out $(FULL),$(INTEGRATION))

test-full: ## the tests that take long, which make test leaves out or cuts short (root)
	@test "$$(id -u)" = 0 || { echo 'make test-full: needs root (namespaces, BPF)' >&2; exit 1; }
	$(Q)$(MAKE) deps
	$(Q)$(MAKE) all test-programs
	$(Q)export LB_TEST_LOG=$${LB_TEST_LOG:-$(B)/tests/log-full} LB_TEST_FULL=1; $(RUN_TESTS) $(FULL) $(BOTH)

# Half the time that it takes with optimization, and clang warns of the same kinds of mistakes.
clang-build: ## build all of it with clang, too, below build/clang; a warning is an error
	$(Q)$(MAKE) B=$(B)/clang CC=$(CLANG) CFLAGS=-O0 HARDEN_CFLAGS= WERROR=1 all test-programs

include tests/fuzz/fuzz.mk

mutate: ## does a test notice each wrong decision of the keeper? some 400 of them, minutes (no root)
	$(Q)tests/mutate.sh $(JOBS:%=-j %)

soak: ## all at once and at random, an hour, and two hours of tests with far more load (root; vmtests/README.md)
	$(Q)tools/deps.sh build test
	$(Q)$(MAKE) all test-programs
	$(Q)tests/soak.sh

# Beside it: tests/compat/latency.sh, what latency=on measures beside clients of its servers, some minutes
# on a machine that does nothing else; node_cluster.sh and pm2.sh.
compat: all ## programs that people run as workers of lbctl run, unchanged: some twenty, ten minutes; servers that join, in four languages; the dashboard against Grafana's types (root; installs them)
	$(Q)tools/deps.sh build test compat
	$(Q)tests/bindings.sh go ruby
	$(Q)tests/compat/run.sh
	$(Q)tests/compat/forks.sh
	$(Q)tests/compat/grafana.sh

systemdtest: all $(APPENDED)/lbctl ## units of lbctl unit under a systemd of their own, in a container (root)
	$(Q)vmtests/systemd.sh

# The guest has no libraries but those of the programs that it needs.
$(B)/vmtest/guest-exit: vmtests/guest-exit.c $(B)/flags
	$(say) LINK $@
	@mkdir -p $(@D)
	$(COMPILE) -static $< -o $@

vmtest: ## run the integration tests on Linux 5.10, 6.1 (an old one, too), 6.12 and 7.x in QEMU (root for the packages; vmtests/README.md)
	$(Q)tools/deps.sh build test vm
	$(Q)$(MAKE) all test-programs $(B)/vmtest/guest-exit
	$(Q)vmtests/run

# --- people -------------------------------------------------------------------------------------

deps: ## install the packages that building and testing need (root, Debian or Ubuntu)
	$(Q)tools/deps.sh build test

demo: ## show it: build, start a demo service, steer it
	$(Q)$(MAKE) deps
	$(Q)$(MAKE) all
	$(Q)tools/demo.sh

observe: ## Debian's Prometheus, with the dashboard's queries and the alert rules, looks at a demo service; a minute (root)
	$(Q)tools/deps.sh build test observe
	$(Q)$(MAKE) all
	$(Q)tools/observe/observe.sh

# They stand in the tree: who uses them need not build.
observe-files: $(B)/lbctl-observe ## make the dashboard and the alert rules anew from the tables of metrics
	$(Q)$(B)/lbctl-observe grafana >tools/observe/grafana.json
	$(Q)$(B)/lbctl-observe rules >tools/observe/rules.yml

bench: ## lbctl and its peers side by side: S1, S2, S3, S6, S7, idle cost, growth, a report; some 10 minutes (root; gets Node.js 24 and PM2 from npm)
	$(Q)$(MAKE) bench-deps
	$(Q)tools/bench/bench.sh quick $(B) $(BENCH_OUT)

bench-full: ## the same with all scenarios, all peers and more rounds: hours
	$(Q)$(MAKE) bench-deps
	$(Q)tools/bench/bench.sh full $(B) $(BENCH_OUT)

# Without npm those peers are listed as missing.
bench-deps:
	$(Q)tools/deps.sh build bench
	$(Q)$(MAKE) all
	@mkdir -p $(BENCH_OUT)
	-$(Q)tools/bench/fetch.sh

structure: ## how the code hangs together: folders, cycles of includes, longest functions and files
	$(Q)tools/structure.py

info: $(B)/bpfinfo $(BPF_OBJS) ## verified instructions and stack of every BPF program, against the budget (root)
	@test "$$(id -u)" = 0 || { echo 'make info: needs root (it loads the programs)' >&2; exit 1; }
	$(Q)$(B)/bpfinfo --max-insns $(INSN_BUDGET) --max-stack $(STACK_BUDGET) $(BPF_OBJS)

format: ## rewrite the C files in the project's style
	$(Q)clang-format -i $(C_FILES)

format-check: ## fail where format would change something
	$(say) FORMAT 'check of $(words $(C_FILES)) files'
	$(Q)clang-format --dry-run --Werror $(C_FILES)

# cppcheck does not know the cleanup attribute, hence no resourceLeak.
# Ways round base/text.h: calls that fail on what is not UTF-8, that write beside the guarded streams,
# or that read what processes are called.
AROUND_TEXT := \<(json_(v?pack(_ex)?|v?sprintf|stringn?(_nocheck)?)|v?dprintf|v?syslog|perror|freopen|fileno|sd_journal_(print|send|perror)[a-z_]*) *[(]|["/](comm|cmdline)"
READS_NAMES := user/base/text_json.c user/host/proc_name.c user/host/proc_title.c user/host/usage.c user/keeper/again.c user/cmd/kept.c

lint: format-check ## format-check, comments, text, structure, headers, cppcheck, shellcheck, manual pages, codespell
	$(say) COMMENTS 'of at most 100 columns'
	$(Q)! for file in $(C_FILES); do expand $$file | grep -nE '^ *(/\*| \*)' | \
		sed -nE "s|^[0-9]+:.{101}.*|$$file:&|p"; done | grep .
	$(say) TEXT 'of others, which goes through base/text.h'
	$(Q)! grep -nE '$(AROUND_TEXT)' $(filter-out $(READS_NAMES),$(USER_SRCS)) user/lbctl.c
	$(say) STRUCTURE 'of the includes'
	$(Q)tools/structure.py --check
	$(say) HEADERS 'of bpf and include, each compiled alone'
	$(Q)for header in bpf/*.bpf.h include/lb_*.h; do $(CLANG) $(filter-out -MMD -MP,$(BPF_CFLAGS)) \
		-Werror -Wno-unused-function -fsyntax-only -x c $$header || exit 1; done
	$(say) CPPCHECK user
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --suppress=resourceLeak --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --error-exitcode=1 \
		-D_GNU_SOURCE -Iinclude -Iuser user
	$(say) SHELL '$(words $(SH_FILES)) scripts'
	$(Q)shellcheck $(SH_FILES)
	$(say) MAN '$(words $(MAN_PAGES)) pages'
	$(Q)mandoc -Tlint $(MAN_PAGES)
	$(Q)! groff -ww -man -z $(MAN_PAGES) 2>&1 | grep .
	$(say) SPELL '.'
	$(Q)codespell --skip './build,./.git,./LICENSE,./bpf/vmlinux.h,./tests/fuzz/corpus'

# --- installation -------------------------------------------------------------------------------

# A page goes where its section is; `man lbctl_worker_open` finds the library's.
MAN_DEST = $(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))
NODE_FILES := $(addprefix tools/node/,package.json README.md) $(wildcard tools/node/cluster.* tools/node/join.*)
PYTHON_FILES := README.md pyproject.toml lbctl/__init__.py
LIB_CALLS = $(shell sed -nE 's/^LBCTL_EXPORT .*(lbctl_[a-z_]+).(const|struct|void).*/\1/p' include/lbctl.h)

# mode:source:destination, used by both directions so that uninstall removes exactly this.
INSTALLED := 0755:$(B)/lbctl:$(SBINDIR)/lbctl \
	     0644:$(B)/liblbctl.a:$(LIBDIR)/liblbctl.a \
	     0755:$(B)/$(SOFILE):$(LIBDIR)/$(SOFILE) \
	     link:$(SOFILE):$(LIBDIR)/$(SONAME) \
	     link:$(SONAME):$(LIBDIR)/liblbctl.so \
	     0644:include/lbctl.h:$(INCLUDEDIR)/lbctl.h \
	     0644:$(B)/lbctl.pc:$(LIBDIR)/pkgconfig/lbctl.pc \
	     $(foreach page,$(MAN_PAGES),0644:$(page):$(call MAN_DEST,$(page))) \
	     $(foreach call,$(LIB_CALLS),link:liblbctl.3:$(MANDIR)/man3/$(call).3) \
	     $(foreach file,$(NODE_FILES),0644:$(file):$(NODEDIR)/$(notdir $(file))) \
	     $(foreach file,$(PYTHON_FILES),0644:tools/python/$(file):$(PYTHONDIR)/$(file)) \
	     0644:user/completion/lbctl.bash:$(COMPLETIONDIR)/lbctl

install: all ## install below DESTDIR and PREFIX (default /usr/local)
	$(say) INSTALL '$(DESTDIR)$(PREFIX)'
	$(Q)set -e; for entry in $(INSTALLED); do \
		mode=$${entry%%:*}; from=$${entry#*:}; to='$(DESTDIR)'$${from#*:}; from=$${from%%:*}; \
		mkdir -p "$${to%/*}"; \
		if [ "$$mode" = link ]; then ln -sf "$$from" "$$to"; else install -m "$$mode" "$$from" "$$to"; fi; \
	done

uninstall: ## remove exactly what install put there
	$(say) REMOVE '$(DESTDIR)$(PREFIX)'
	$(Q)rm -f $(foreach entry,$(INSTALLED),'$(DESTDIR)$(lastword $(subst :, ,$(entry)))')

clean: ## remove build/
	$(Q)rm -rf $(B)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile tests/fuzz/fuzz.mk

-include $(shell find $(B) -name '*.d' 2>/dev/null)
