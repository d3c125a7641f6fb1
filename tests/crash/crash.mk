# SPDX-License-Identifier: Apache-2.0
# make crash: the store loses power at every write point. make crash-mutants: planted faults are found.
CRASH_WORKLOADS ?= 12
CRASH_O := $(patsubst %.c,$(B)/%.o,$(wildcard tests/crash/*.c) tests/lib/mem_disk.c tests/lib/fake_clock.c)
CRASH_BIN := $(B)/tests/crash/store_crash
TEST_PROGRAMS += $(CRASH_BIN)

$(CRASH_BIN): $(CRASH_O) $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: crash crash-mutants
crash: $(CRASH_BIN)
	$(Q)$(CRASH_BIN) tests/crash/points.txt $(CRASH_WORKLOADS)

# Only what the store needs is built again for each fault.
CRASH_SRC := $(filter-out src/store/disk_real.c src/store/raft_log%,$(wildcard src/base/*.c src/store/*.c)) \
             $(addprefix tests/lib/,mem_disk.c fake_clock.c) $(wildcard tests/crash/*.c)
CRASH_PLANTS := ack_unsynced checkpoint_unsynced checkpoint_unapplied names_unsynced names_trusted \
                quarantine_unsynced torn_believed
CRASH_MUTANTS := $(CRASH_PLANTS:%=$(B)/tests/crash/mutant-%)

$(B)/tests/crash/mutant-%: $(CRASH_SRC) $(wildcard src/base/*.h src/store/*.h tests/lib/*.h tests/crash/*.h)
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) $(INC) -DTERN_MUTANT=MUTANT_$* -o $@ $(CRASH_SRC) $(LIBS)
crash-mutants: $(CRASH_MUTANTS)
	$(Q)tests/crash/run-mutants $(CRASH_WORKLOADS) $(CRASH_MUTANTS)
