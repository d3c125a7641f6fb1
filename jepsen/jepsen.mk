# SPDX-License-Identifier: Apache-2.0
# Partition tests: README.md beside. `make jepsen-checker`: the checker's own tests, in seconds.
JEPSEN_CLIENT := $(B)/jepsen/client/client
JEPSEN_SHIM   := $(B)/jepsen/shim/clock.so
OTHER_BUILD   ?= build/debug
TIME          ?= 300
RUNS          ?= 1

$(JEPSEN_CLIENT): $(patsubst %.c,$(B)/%.o,$(wildcard jepsen/client/*.c))
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs rdkafka) -lpthread
$(JEPSEN_SHIM): jepsen/shim/clock.c
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -fPIC -fvisibility=hidden -shared -o $@ $<

.PHONY: jepsen jepsen-checker jepsen-programs
jepsen-programs: all wan disk-rigs $(JEPSEN_CLIENT) $(JEPSEN_SHIM)
jepsen: jepsen-programs
	$(Q)$(MAKE) --no-print-directory -s MODE=debug B=$(OTHER_BUILD) $(OTHER_BUILD)/ternd $(OTHER_BUILD)/tern wan
	$(Q)jepsen/run --bin $(B) --other-build $(OTHER_BUILD) --time $(TIME) --runs $(RUNS) $(if $(NEMESIS),--nemesis $(NEMESIS)) \
	    $(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE)) $(if $(WAN),--wan $(WAN)) $(JEPSEN_OPTIONS)
jepsen-checker:
	$(Q)jepsen/tests/checker_test.py
