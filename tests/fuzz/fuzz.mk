# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Part of the Makefile: the fuzz drivers, below build/fuzz.

.PHONY: fuzz fuzz-drivers fuzz-coverage

# Drivers of libFuzzer, which comes with clang, and all that they link, which is instrumented. With
# FUZZ_SECONDS=0 they go through what is in tests/fuzz/corpus and no further.
FUZZ_BUILD := $(B)/fuzz
FUZZ       := $(patsubst tests/fuzz/%.c,$(FUZZ_BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_LINK  := -fsanitize=fuzzer,address,undefined
COVERAGE   := -fprofile-instr-generate -fcoverage-mapping
FUZZ_SECONDS ?= 60

# Of these most of the time went to telling what is compared with what, which is nothing of the
# input's.
$(patsubst %,$(FUZZ_BUILD)/%.o,$(addprefix tests/,reconcile_world reconcile_events) $(addprefix user/, \
	base/suggest keeper/lifecycle keeper/pass keeper/pass_facts keeper/plan keeper/reconcile \
	service/schedule service/service service/settings service/state_values service/steer)): \
	FUZZ_FLAGS += -fno-sanitize-coverage=trace-cmp

$(FUZZ_BUILD)/%.o: %.c $(B)/flags | $(GENERATED)
	$(say) 'CC fuzz' $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(LB_CFLAGS) $(CPPFLAGS) -Itests -O1 -g $(FUZZ_FLAGS) -c $< -o $@

$(FUZZ_BUILD)/libkeeper.a: $(USER_SRCS:%.c=$(FUZZ_BUILD)/%.o) $(LIB_SRCS:%.c=$(FUZZ_BUILD)/%.o)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ_BUILD)/fuzz_reconcile: $(patsubst %,$(FUZZ_BUILD)/tests/reconcile_%.o,world fakes sockets events)
$(FUZZ): $(FUZZ_BUILD)/%: $(FUZZ_BUILD)/tests/fuzz/%.o $(FUZZ_BUILD)/libkeeper.a
	$(say) LINK $@
	$(Q)$(CLANG) $(FUZZ_LINK) $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -lcmocka -o $@

fuzz-drivers: $(FUZZ)

fuzz: ## what others send, write and leave, made up, FUZZ_SECONDS a driver; corpus below build/fuzz (root)
	$(Q)tools/deps.sh build fuzz
	$(Q)$(MAKE) fuzz-drivers
	$(Q)tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ)

fuzz-coverage: ## which lines of each parser the inputs of make fuzz reach (root)
	$(Q)tools/deps.sh build fuzz
	$(Q)$(MAKE) FUZZ_BUILD=$(B)/fuzz-coverage FUZZ_FLAGS='-fsanitize=fuzzer-no-link $(COVERAGE)' \
		FUZZ_LINK='-fsanitize=fuzzer $(COVERAGE)' fuzz-drivers
	$(Q)tests/fuzz/coverage.sh $(B)/fuzz $(B)/fuzz-coverage
