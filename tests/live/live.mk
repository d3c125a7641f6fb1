# SPDX-License-Identifier: Apache-2.0
# Three real ternd: `make live`, `make live ONLY=word`.
# Bad input for every API (tests/live/hostile).
HOSTILE := $(B)/tests/live/hostile/hostile
TEST_PROGRAMS += $(HOSTILE)

$(HOSTILE): $(patsubst %.c,$(B)/%.o,$(wildcard tests/live/hostile/*.c)) $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: live
live: all demo-programs $(HOSTILE)
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer; ln -sf tests/lib/producer/teller $(B)/teller
	$(Q)TERN_BIN=$(abspath $(B)) tests/live/run $(ONLY)
