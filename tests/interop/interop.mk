# SPDX-License-Identifier: Apache-2.0
# Real clients and tools, by the names of their registries: `make interop`, `make interop QUICK=1`, `make interop ONLY=word`.
.PHONY: interop interop-checker reference
interop: all
	$(Q)TERN_BIN=$(abspath $(B)) tests/interop/run $(if $(QUICK),--quick) $(ONLY)
interop-checker:
	$(Q)tests/interop/checker_test.py
# Bad input, asked of a real Apache Kafka.
reference: all $(B)/tests/live/hostile/hostile
	$(Q)TERN_BIN=$(abspath $(B)) tests/interop/reference
