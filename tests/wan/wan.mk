# SPDX-License-Identifier: Apache-2.0
# `make wan`: the emulator, build/wan. `sudo make wan-test`: measures it, in network namespaces.
WAN_O := $(patsubst %.c,$(B)/%.o,$(filter-out %_test.c,$(wildcard tests/wan/*.c)))
WAN_BASE_O := $(patsubst %.c,$(B)/%.o,$(wildcard src/base/*.c))
$(B)/tests/wan/wan: $(WAN_O) $(WAN_BASE_O)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
TEST_PROGRAMS += $(B)/tests/wan/wan

.PHONY: wan wan-test
wan: $(B)/tests/wan/wan
	$(Q)ln -sf tests/wan/wan $(B)/wan; ln -sf $(MODE)/wan build/wan
