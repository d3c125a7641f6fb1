# SPDX-License-Identifier: Apache-2.0
# `make replica-mutants`: do the tests of the replica room find each of the mistakes that
# src/base/mutant.h lists? One build in which the mistakes can be switched on, one run for each.
MUTANT_SRC   := $(wildcard src/base/*.c src/replica/*.c tests/lib/replica_world*.c) src/kafka/batch.c
MUTANT_O     := $(MUTANT_SRC:%.c=$(B)/mutants/%.o)
MUTANT_TESTS := $(addprefix $(B)/mutants/,replica_story_test replica_walk_test)

$(B)/mutants/%.o: %.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CFLAGS) $(WARN) $(INC) -DTERN_MUTANTS -MMD -MP -c -o $@ $<
$(B)/mutants/%_test: $(B)/mutants/tests/unit/%_test.o $(MUTANT_O)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

.PHONY: replica-mutants
replica-mutants: $(MUTANT_TESTS)
	$(Q)tests/sim/replica-mutants $^
