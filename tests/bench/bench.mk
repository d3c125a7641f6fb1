# SPDX-License-Identifier: Apache-2.0
# `make bench-smoke`: the numbers of docs/BENCHMARKS.md. REPEATS=n shortens the faults (10 each by
# default), ROWS="overhead faults ..." measures only some.
.PHONY: bench-smoke
bench-smoke: $(B)/ternd $(B)/tern $(B)/tests/bench/fdatasync_probe
	$(Q)TERN_BIN=$(B) tests/bench/smoke --repeats $(or $(REPEATS),10) $(addprefix --row ,$(ROWS))

$(B)/tests/bench/fdatasync_probe: $(B)/tests/bench/fdatasync_probe.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
