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
