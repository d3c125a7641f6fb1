# SPDX-License-Identifier: Apache-2.0
# The cluster simulator. `make sim SEED=n`: one run (SIM_VERBOSE=1..3 tells what happens); `make sim`: seeds 1 to 30.
SIM_SRC   := $(wildcard tests/sim/*.c)
SIM_BIN   := $(B)/tests/sim/sim
SIM_LIB_O := $(patsubst %.c,$(B)/%.o,$(filter-out tests/sim/sim_main.c,$(SIM_SRC)))
SEEDS     ?= 30

$(SIM_BIN): $(B)/tests/sim/sim_main.o $(SIM_LIB_O) $(B)/tests/lib/mem_disk.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: sim
sim: $(SIM_BIN)
ifdef SEED
	$(Q)$(SIM_BIN) $(if $(filter 1,$(SIM_VERBOSE)),-v)$(if $(filter 2,$(SIM_VERBOSE)),-v -v)$(if $(filter 3,$(SIM_VERBOSE)),-v -v -v) $(SEED)
else
	$(Q)tests/sim/run-seeds $(SIM_BIN) $(SEEDS)
endif
