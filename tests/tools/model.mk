# SPDX-License-Identifier: Apache-2.0
# make model: every state of the Spin model of the replication protocol, and every rule of it left out. QUICK=1: smaller bounds.
.PHONY: model
model:
	$(Q)docs/model/check $(if $(QUICK),--quick) $(if $(AGAIN),--again) $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only '$(ONLY)')
