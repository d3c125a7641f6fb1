# SPDX-License-Identifier: Apache-2.0
# The cluster simulator. `make sim SEED=n`: one run (SIM_VERBOSE=1..3 tells what happens); `make sim`: seeds 1 to 30.
SIM_SRC   := $(wildcard tests/sim/*.c)
SIM_BIN   := $(B)/tests/sim/sim
SIM_LIB_O := $(patsubst %.c,$(B)/%.o,$(filter-out tests/sim/sim_main.c,$(SIM_SRC)))
SEEDS     ?= 30

$(SIM_BIN): $(B)/tests/sim/sim_main.o $(SIM_LIB_O) $(B)/tests/lib/mem_disk.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/unit/sim_checker_test: $(B)/tests/sim/checker.o

.PHONY: sim
sim: $(SIM_BIN)
ifdef SEED
	$(Q)$(SIM_BIN) $(if $(filter 1,$(SIM_VERBOSE)),-v)$(if $(filter 2,$(SIM_VERBOSE)),-v -v)$(if $(filter 3,$(SIM_VERBOSE)),-v -v -v) $(SEED)
else
	$(Q)tests/sim/run-seeds $(SIM_BIN) $(SEEDS)
endif

# Planted bugs: the same program with a rule left out; the simulator has to notice.
REPLICA_SRC := $(wildcard src/replica/*.c)
STORE_SRC   := $(filter-out src/store/disk_real.c,$(wildcard src/store/*.c))
SIM_PLANTS  := ACK_BEFORE_FSYNC CHECKPOINT_UNSYNCED CHECKPOINT_UNAPPLIED

$(B)/mutants/%.o: %.c | $(PROTO_H)
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CFLAGS) -DTERN_MUTANTS $(WARN) $(INC) -MMD -MP -c -o $@ $<
$(B)/tests/sim/sim-mutants: $(B)/mutants/tests/sim/sim_main.o $(REPLICA_SRC:%.c=$(B)/mutants/%.o) $(SIM_LIB_O) $(B)/tests/lib/mem_disk.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

define SIM_PLANT
$(B)/plant-$(1)/%.o: %.c | $(PROTO_H)
	$$(call say,CC,$$<)mkdir -p $$(@D) && $$(CC) $$(CFLAGS) -DPLANT=PLANT_$(1) $$(WARN) $$(INC) -MMD -MP -c -o $$@ $$<
$(B)/tests/sim/sim-$(1): $(B)/tests/sim/sim_main.o $(STORE_SRC:%.c=$(B)/plant-$(1)/%.o) $(SIM_LIB_O) $(B)/tests/lib/mem_disk.o $(B)/libtern-all.a
	$$(call say,LD,$$@)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach plant,$(SIM_PLANTS),$(eval $(call SIM_PLANT,$(plant))))

.PHONY: sim-mutants
sim-mutants: $(SIM_BIN) $(B)/tests/sim/sim-mutants $(SIM_PLANTS:%=$(B)/tests/sim/sim-%)
	$(Q)tests/sim/run-mutants $(B)/tests/sim $(SIM_PLANTS)
