# SPDX-License-Identifier: Apache-2.0
# Partition tests: README.md beside. `make jepsen-checker`: the checker's own tests, in seconds.
JEPSEN_CLIENT := $(B)/jepsen/client/client
$(JEPSEN_CLIENT): $(patsubst %.c,$(B)/%.o,$(wildcard jepsen/client/*.c))
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs rdkafka) -lpthread

.PHONY: jepsen-checker
jepsen-checker:
	$(Q)jepsen/tests/checker_test.py
