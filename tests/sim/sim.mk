# SPDX-License-Identifier: Apache-2.0
# The cluster simulator. `make sim SEED=n`: one run (SIM_VERBOSE=1..3 tells what happens); `make sim`: seeds 1 to 30.
SIM_SRC   := $(wildcard tests/sim/*.c)
SIM_BIN   := $(B)/tests/sim/sim
SIM_LIB_O := $(patsubst %.c,$(B)/%.o,$(filter-out tests/sim/sim_main.c tests/sim/sim_many.c,$(SIM_SRC)))
SEEDS     ?= 30
SEEDS_HUNT ?= 2000
REFRESH   ?= 0

$(SIM_BIN): $(B)/tests/sim/sim_main.o $(B)/tests/sim/sim_many.o $(SIM_LIB_O) $(B)/tests/lib/mem_disk.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/unit/sim_checker_test: $(B)/tests/sim/checker.o $(B)/tests/sim/checker_keys.o

.PHONY: sim
sim: $(SIM_BIN)
ifdef SEED
	$(Q)$(SIM_BIN) $(if $(SHAPE),-s $(SHAPE)) $(if $(filter 1,$(SIM_VERBOSE)),-v)$(if $(filter 2,$(SIM_VERBOSE)),-vv)$(if $(filter 3,$(SIM_VERBOSE)),-vvv) $(SEED)
else
	$(Q)tests/sim/run-seeds $(SIM_BIN) $(SEEDS)
endif

# Runs that somebody wrote down: tests/sim/stories (sim_story.h tells the language).
.PHONY: sim-stories
sim-stories: $(SIM_BIN)
	$(Q)tests/sim/run-stories $(SIM_BIN) tests/sim/stories/*.story

# Planted bugs (mutants.mk): only the files with one in them are built again.
SIM_MUTANT_SRC := $(shell grep -lw MUTANT $$(find src -name '*.c'))
SIM_MUTANTS    := $(B)/tests/sim/sim-mutants
$(SIM_MUTANTS): $(B)/mutants/tests/sim/sim_main.o $(B)/mutants/tests/sim/sim_many.o $(SIM_MUTANT_SRC:%.c=$(B)/mutants/%.o) \
                $(SIM_LIB_O) $(B)/tests/lib/mem_disk.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: sim-mutants
sim-mutants: $(SIM_MUTANTS)
	$(Q)REFRESH=$(REFRESH) SEEDS=$(SEEDS_HUNT) tests/sim/run-mutants $(SIM_MUTANTS) tests/sim/mutant-seeds.txt $(ONLY)

# Runs on for HOURS (FIRST=seed), adds to docs/results/sim.jsonl and tests/sim/seeds.txt.
.PHONY: soak
soak: $(SIM_BIN)
	$(Q)tests/sim/soak $(SIM_BIN) $(or $(HOURS),1) $(FIRST)
