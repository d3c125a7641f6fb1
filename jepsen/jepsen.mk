# SPDX-License-Identifier: Apache-2.0
# Partition tests: README.md beside. `make jepsen-checker`: the checker's own tests, in seconds.
JEPSEN_CLIENT := $(B)/jepsen/client/client
JEPSEN_SHIM   := $(B)/jepsen/shim/clock.so
OTHER_BUILD   ?= build/debug
TIME          ?= 300
RUNS          ?= 1
JEPSEN_RUN    = --time $(TIME) --runs $(RUNS) $(if $(NEMESIS),--nemesis $(NEMESIS)) $(if $(SEED),--seed $(SEED)) \
                $(if $(RATE),--rate $(RATE)) $(if $(WAN),--wan $(WAN)) $(JEPSEN_OPTIONS)

$(JEPSEN_CLIENT): $(patsubst %.c,$(B)/%.o,$(wildcard jepsen/client/*.c))
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs rdkafka) -lpthread
$(JEPSEN_SHIM): jepsen/shim/clock.c
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -fPIC -fvisibility=hidden -shared -o $@ $<

.PHONY: jepsen jepsen-rpo jepsen-controls jepsen-checker jepsen-programs jepsen-other
jepsen-programs: all wan disk-rigs $(JEPSEN_CLIENT) $(JEPSEN_SHIM)
# For rolling-upgrade: the same source, built otherwise.
jepsen-other:
	$(Q)$(MAKE) --no-print-directory -s MODE=debug B=$(OTHER_BUILD) $(OTHER_BUILD)/ternd $(OTHER_BUILD)/tern $(OTHER_BUILD)/tests/wan/wan
	$(Q)ln -sf tests/wan/wan $(OTHER_BUILD)/wan
jepsen: deps
	$(Q)$(MAKE) --no-print-directory -s jepsen-programs jepsen-other
	$(Q)jepsen/run --bin $(B) --other-build $(OTHER_BUILD) $(JEPSEN_RUN)
# The loss of an async home under ten times its bound; what clients miss is compared with the ledger.
jepsen-rpo: deps
	$(Q)$(MAKE) --no-print-directory -s jepsen-programs
	$(Q)jepsen/run --rpo --bin $(B) $(JEPSEN_RUN)
# Builds that break one rule (src/base/mutant.h); each must be convicted.
JEPSEN_BAD := acks_early stale_acked rpo_ignored stable_ignored aborted_lost
jepsen-controls: jepsen-programs
	$(Q)for bad in $(or $(ONLY),$(JEPSEN_BAD)); do \
	    $(MAKE) --no-print-directory -s B=$(B)/known-bad-$$bad EXTRA_CFLAGS=-DTERN_MUTANT=MUTANT_$$bad \
	        $(B)/known-bad-$$bad/ternd $(B)/known-bad-$$bad/tern && \
	    ln -sfn $(abspath $(B)/jepsen) $(B)/known-bad-$$bad/jepsen && ln -sfn $(abspath $(B)/tests/wan/wan) $(B)/known-bad-$$bad/wan || exit 1; \
	done
	$(Q)jepsen/controls --builds $(B) $(if $(ONLY),--only $(ONLY)) $(JEPSEN_OPTIONS)
jepsen-checker:
	$(Q)jepsen/tests/checker_test.py
