# SPDX-License-Identifier: Apache-2.0
# Disks that fail, for live tests: README.md beside. `sudo make disk-test`: the rigs test themselves.
DISK_WIRE_O := $(addprefix $(B)/jepsen/disk/,fuse_wire.o control.o faults.o) $(addprefix $(B)/src/base/,check.o trace.o prng.o)
DISK_RIGS   := $(B)/jepsen/disk/forgetful $(B)/jepsen/disk/badblock

$(B)/jepsen/disk/forgetful: $(addprefix $(B)/jepsen/disk/,forgetful.o forget_fs.o forget_data.o) $(DISK_WIRE_O)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -lpthread
$(B)/jepsen/disk/badblock: $(B)/jepsen/disk/badblock.o $(DISK_WIRE_O)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -lpthread

.PHONY: disk-rigs disk-test
disk-rigs: $(DISK_RIGS)
disk-test: $(DISK_RIGS)
	$(Q)TERN_BIN=$(abspath $(B)) jepsen/disk/disk_test $(ONLY)

# A ternd that acknowledges what it has not synced: the power cuts must convict it.
PLANTED_STORE_O := $(patsubst %.c,$(B)/planted/%.o,$(filter-out src/store/disk_real.c,$(wildcard src/store/*.c)))
$(B)/planted/src/store/%.o: src/store/%.c | $(PROTO_H)
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) -DTERN_MUTANT=MUTANT_ack_unsynced $(WARN) $(INC) -MMD -MP -c -o $@ $<
$(B)/planted/ternd: $(B)/src/daemon/main.o $(PLANTED_STORE_O) $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Power failures of a live cluster; adds up in jepsen/disk/results.jsonl. As root.
CUTS ?= 10
.PHONY: powercuts powercuts-planted
powercuts: all demo-programs disk-rigs
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer
	$(Q)TERN_BIN=$(abspath $(B)) jepsen/disk/powercuts $(CUTS) $(if $(SEED),--seed $(SEED))
# Exit status 0 only if the build with the mistake is found out.
powercuts-planted: all demo-programs disk-rigs $(B)/planted/ternd
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer
	$(Q)ln -sfn ../jepsen $(B)/planted/jepsen; ln -sf ../tern ../numbered_producer $(B)/planted/
	$(Q)TERN_BIN=$(abspath $(B))/planted jepsen/disk/powercuts --dry --all --block 1 10; test $$? -eq 1 && echo "powercuts-planted: found out"

# A write or fsync of a live node fails: at each of the first POINTS of either kind. As root.
POINTS ?= 200
.PHONY: eio
eio: all demo-programs disk-rigs
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer
	$(Q)TERN_BIN=$(abspath $(B)) jepsen/disk/eio $(POINTS)

# Live tests on these disks: power, EIO, disks that hang. As root.
.PHONY: disk-live
disk-live: all demo-programs disk-rigs
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer
	$(Q)TERN_BIN=$(abspath $(B)) jepsen/disk/live $(ONLY)

# Single bits flip in the files of live nodes: up to FLIPS in all; adds up in jepsen/disk/results.jsonl.
LIVE_FLIPS = $(if $(filter command line,$(origin FLIPS)),$(FLIPS),100)
.PHONY: bitflips-live
bitflips-live: all demo-programs
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer
	$(Q)TERN_BIN=$(abspath $(B)) jepsen/disk/bitflips $(LIVE_FLIPS) $(if $(SEED),--seed $(SEED))
