# SPDX-License-Identifier: Apache-2.0
# make crash: the store loses power at every write point. make crash-mutants: planted faults are found.
CRASH_WORKLOADS ?= 12
CRASH_O := $(patsubst %.c,$(B)/%.o,$(wildcard tests/crash/*.c) tests/lib/mem_disk.c tests/lib/fake_clock.c)
CRASH_BIN := $(B)/tests/crash/store_crash
TEST_PROGRAMS += $(CRASH_BIN)

$(CRASH_BIN): $(CRASH_O) $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: crash crash-mutants
crash: $(CRASH_BIN) $(B)/tests/crash/flips/store_bitflips
	$(Q)$(B)/tests/crash/flips/store_bitflips 2000
	$(Q)$(CRASH_BIN) tests/crash/points.txt $(CRASH_WORKLOADS)

# Only what the store needs is built again for each fault.
CRASH_SRC := $(filter-out src/store/disk_% src/store/raft_log%,$(wildcard src/base/*.c src/store/*.c)) \
             $(addprefix src/kafka/,rewrite.c compress.c batch.c) \
             $(addprefix tests/lib/,mem_disk.c fake_clock.c) $(wildcard tests/crash/*.c)
CRASH_PLANTS := ack_unsynced checkpoint_unsynced checkpoint_unapplied names_unsynced names_trusted \
                quarantine_unsynced producers_unsynced given_unwritten roster_believed torn_believed compact_unsynced compact_unnamed tail_unkept
CRASH_MUTANTS := $(CRASH_PLANTS:%=$(B)/tests/crash/mutant-%)

$(B)/tests/crash/mutant-%: $(CRASH_SRC) $(wildcard src/base/*.h src/store/*.h tests/lib/*.h tests/crash/*.h)
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) $(INC) -DTERN_MUTANT=MUTANT_$* -o $@ $(CRASH_SRC) $(LIBS)
# What flipped bits find.
FLIPS_SRC     := $(filter-out tests/crash/%,$(CRASH_SRC)) tests/crash/model.c tests/crash/flips/store_bitflips.c
FLIPS_MUTANTS := $(B)/tests/crash/flips-epoch_unread
$(B)/tests/crash/flips-%: $(FLIPS_SRC) $(wildcard src/base/*.h src/store/*.h tests/lib/*.h tests/crash/*.h)
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) $(INC) -DTERN_MUTANT=MUTANT_$* -o $@ $(FLIPS_SRC) $(LIBS)
# What the unit test of compaction finds.
COMPACT_SRC     := $(filter-out tests/crash/%,$(CRASH_SRC)) tests/unit/store_compact_test.c
COMPACT_MUTANTS := $(addprefix $(B)/tests/crash/compact-,compact_beyond compact_newest compact_aborted tombstone_early)
$(B)/tests/crash/compact-%: $(COMPACT_SRC) $(wildcard src/base/*.h src/store/*.h tests/lib/*.h)
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) $(INC) -DTERN_MUTANT=MUTANT_$* -o $@ $(COMPACT_SRC) $(LIBS) -lcmocka
crash-mutants: $(CRASH_MUTANTS) $(FLIPS_MUTANTS) $(COMPACT_MUTANTS)
	$(Q)tests/crash/run-mutants $(CRASH_WORKLOADS) $^

# make bitflips: FLIPS bits flip in stores at rest and in open ones, from workload SEED on.
FLIPS ?= 10000
FLIPS_BIN := $(B)/tests/crash/flips/store_bitflips
TEST_PROGRAMS += $(FLIPS_BIN)

$(FLIPS_BIN): $(addprefix $(B)/tests/,crash/flips/store_bitflips.o crash/model.o lib/mem_disk.o lib/fake_clock.o) $(B)/libtern-all.a
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: bitflips
bitflips: $(FLIPS_BIN)
	$(Q)$(FLIPS_BIN) $(FLIPS) $(SEED)
