# SPDX-License-Identifier: Apache-2.0
# Three real ternd: `make live`, `make live ONLY=word`.
.PHONY: live
live: all demo-programs
	$(Q)ln -sf tests/lib/producer/numbered_producer $(B)/numbered_producer; ln -sf tests/lib/producer/teller $(B)/teller
	$(Q)TERN_BIN=$(abspath $(B)) tests/live/run $(ONLY)
