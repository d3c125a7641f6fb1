# SPDX-License-Identifier: Apache-2.0
# `make bench-smoke`: the numbers of docs/BENCHMARKS.md. REPEATS=n shortens the faults (10 each by
# default), ROWS="overhead faults ..." measures only some, REALTIME=1 keeps other work of the machine
# away from nodes and load by SCHED_FIFO (needs root).
.PHONY: bench-smoke
bench-smoke: $(B)/ternd $(B)/tern $(B)/tests/bench/fdatasync_probe
	$(Q)TERN_BIN=$(B) tests/bench/smoke --repeats $(or $(REPEATS),10) $(addprefix --row ,$(ROWS)) $(if $(REALTIME),--realtime)

$(B)/tests/bench/fdatasync_probe: $(B)/tests/bench/fdatasync_probe.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# What consumer groups cost (QUICK=1: a small one; REALTIME=1 as above).
.PHONY: bench-groups
bench-groups: $(B)/ternd $(B)/tern $(B)/tests/bench/group_load
	$(Q)TERN_BIN=$(abspath $(B)) tests/bench/groups $(if $(QUICK),--quick) $(if $(REALTIME),--realtime) $(ROWS)

$(B)/tests/bench/group_load: $(B)/tests/bench/group_load.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# What a fetch of many idle partitions costs, with a session and without.
.PHONY: bench-fetch
bench-fetch: $(B)/ternd $(B)/tern
	$(Q)TERN_BIN=$(abspath $(B)) tests/bench/fetch_idle

# tern, Apache Kafka and NATS JetStream side by side (root). ROWS="ack-us tput-1 ..." and SYSTEMS="tern kafka-best ...": only these, as `tests/bench/peers list` has them;
# ROUNDS=n, 5 without; MINUTES=n, 42 without (and the build before): what is left then goes on with the next call. PRIORITY=1: before other work of the machine.
.PHONY: bench-peers bench-page bench-page-check
bench-peers: all wan $(B)/tests/bench/fdatasync_probe
	$(Q)TERN_BIN=$(abspath $(B)) tests/bench/peers $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PRIORITY),--priority) $(addprefix --system ,$(SYSTEMS)) $(ROWS)
	$(Q)TERN_BIN=$(abspath $(B)) tests/bench/page
# docs/BENCHMARKS.md and its pictures, from the results alone; the check fails if they differ.
bench-page:
	$(Q)tests/bench/page
bench-page-check:
	$(Q)tests/bench/page --check
