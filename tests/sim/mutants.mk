# SPDX-License-Identifier: Apache-2.0
# Planted bugs: src/base/mutant.h lists them. One build in which they can be switched on, one run or
# hunt for each: `make replica-mutants` by the tests of the replica room, `make sim-mutants` by the simulator.
$(B)/mutants/%.o: %.c | $(PROTO_H)
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CFLAGS) $(WARN) $(INC) -DTERN_MUTANTS -MMD -MP -c -o $@ $<

MUTANT_SRC   := $(wildcard src/base/*.c src/replica/*.c tests/lib/replica_world*.c) src/kafka/batch.c
MUTANT_TESTS := $(addprefix $(B)/mutants/,replica_story_test replica_log_start_test replica_loss_test replica_walk_test)
$(B)/mutants/%_test: $(B)/mutants/tests/unit/%_test.o $(MUTANT_SRC:%.c=$(B)/mutants/%.o)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

.PHONY: replica-mutants
replica-mutants: $(MUTANT_TESTS)
	$(Q)tests/sim/replica-mutants $^
