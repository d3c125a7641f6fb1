# SPDX-License-Identifier: Apache-2.0
# `make wan`: the emulator, build/wan. `sudo make wan-test`: it is measured, and real nodes run over it
# (ONLY="word ...": tests whose name holds a word; SEED=n).
WAN_O      := $(patsubst %.c,$(B)/%.o,$(wildcard tests/wan/*.c))
WAN_BASE_O := $(patsubst %.c,$(B)/%.o,$(wildcard src/base/*.c))
$(B)/tests/wan/wan: $(WAN_O) $(WAN_BASE_O)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
TEST_PROGRAMS += $(B)/tests/wan/wan

WAN_PURE_O := $(addprefix $(B)/tests/wan/,packet.o link.o link_words.o network.o network_show.o)
WAN_UNIT   := $(addprefix $(B)/tests/unit/,wan_packet_test wan_network_test)
$(WAN_UNIT): $(WAN_PURE_O)

.PHONY: wan wan-test
wan: $(B)/tests/wan/wan
	$(Q)ln -sf tests/wan/wan $(B)/wan
	$(if $(filter build/$(MODE),$(B)),$(Q)ln -sf $(MODE)/wan build/wan)
wan-test: deps
	$(Q)$(MAKE) --no-print-directory all wan demo-programs $(WAN_UNIT)
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer
	$(Q)TERN_BIN=$(abspath $(B)) tests/wan/run '$(WAN_UNIT)' $(ONLY)
