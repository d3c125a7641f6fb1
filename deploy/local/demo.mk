# SPDX-License-Identifier: Apache-2.0
# A producer for the demo and the live tests; librdkafka is not linked by tern itself.
NUMBERED_PRODUCER := $(B)/tests/lib/producer/numbered_producer
$(NUMBERED_PRODUCER): $(B)/tests/lib/producer/numbered_producer.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs rdkafka)
TELLER := $(B)/tests/lib/producer/teller
$(TELLER): $(B)/tests/lib/producer/teller.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs rdkafka)
TEST_PROGRAMS += $(NUMBERED_PRODUCER) $(TELLER)

.PHONY: demo-programs
demo-programs: $(NUMBERED_PRODUCER) $(TELLER)
	$(Q)ln -sf $(MODE)/tests/lib/producer/numbered_producer build/numbered_producer
