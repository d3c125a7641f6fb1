# SPDX-License-Identifier: Apache-2.0
# tern: `make demo`, `make test`. All words are explained in docs/HACKING.md.
MODE ?= release
CC   ?= gcc
V    ?= 0
Q    := $(if $(filter 1,$(V)),,@)
say   = $(if $(filter 1,$(V)),,@echo "  $(1)	$(2)";)

B := build/$(MODE)
PACKAGES := raft libuv libprotobuf-c openssl libfyaml jansson smartcols libisal zlib snappy liblz4 libzstd
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread -lm

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wvla \
        -Wswitch-enum -Wundef -Wpointer-arith -Wcast-qual $(if $(NO_WERROR),,-Werror)
MODE_debug   := -O1 -g
MODE_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
MODE_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_tsan    := -O1 -g -fsanitize=thread
MODE_cov     := -O0 -g --coverage
ifeq ($(MODE_$(MODE)),)
$(error MODE must be one of debug release asan tsan cov)
endif
CFLAGS  := -std=c11 -D_GNU_SOURCE $(MODE_$(MODE)) $(EXTRA_CFLAGS)
INC     := -Isrc -Iinclude -I. -I$(B)/gen $(PKG_CFLAGS)
LDFLAGS := $(MODE_$(MODE))

ROOMS := base kafka policy replica control group txn store net quorum agent link admin cli daemon
PURE  := base kafka policy replica control group txn
SRC   := $(wildcard $(addprefix src/,$(addsuffix /*.c,$(ROOMS)))) $(wildcard src/agent/api/*.c)
PROTO := $(wildcard proto/*.proto)
PROTO_O := $(PROTO:proto/%.proto=$(B)/gen/%.pb-c.o)
PROTO_H := $(PROTO:proto/%.proto=$(B)/gen/%.pb-c.h)
# The two mains are not part of the library that everything else links.
MAINS := src/cli/main.c src/daemon/main.c
LIB_O := $(patsubst %.c,$(B)/%.o,$(filter-out $(MAINS),$(SRC))) $(PROTO_O)
PURE_O := $(patsubst %.c,$(B)/%.o,$(wildcard $(addprefix src/,$(addsuffix /*.c,$(PURE))))) $(PROTO_O)

.PHONY: all
all: $(B)/ternd $(B)/tern
	$(Q)ln -sf $(MODE)/ternd build/ternd; ln -sf $(MODE)/tern build/tern

$(B)/ternd: $(B)/src/daemon/main.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tern: $(B)/src/cli/main.o $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/libtern-all.a: $(LIB_O)
	$(call say,AR,$@)rm -f $@; ar rcs $@ $^
$(B)/libtern-pure.a: $(PURE_O)
	$(call say,AR,$@)rm -f $@; ar rcs $@ $^

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: proto/%.proto
	$(call say,PROTOC,$<)mkdir -p $(B)/gen && protoc-c --proto_path=proto --c_out=$(B)/gen $<
$(B)/gen/%.o: $(B)/gen/%.c
	$(call say,CC,$<)$(CC) -std=c11 $(MODE_$(MODE)) $(INC) -MMD -MP -c -o $@ $<
$(B)/%.o: %.c | $(PROTO_H)
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CFLAGS) $(WARN) $(INC) -MMD -MP -c -o $@ $<
.SECONDARY:

# ---- tests -------------------------------------------------------------------------------------
UNIT_SRC := $(wildcard tests/unit/*_test.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)
TEST_LIB_O := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))

$(B)/libtest.a: $(TEST_LIB_O)
	$(call say,AR,$@)rm -f $@; ar rcs $@ $^
$(B)/tests/unit/%_test: $(B)/tests/unit/%_test.o $(B)/libtest.a $(B)/libtern-all.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

.PHONY: unit
unit: $(UNIT_BIN)
	$(Q)tests/tools/run-units $(UNIT_BIN)

# Rules of the other kinds of tests and programs stand beside them.
include $(wildcard tests/*/*.mk deploy/local/*.mk src/cli/*.mk docs/model/*.mk jepsen/*.mk jepsen/*/*.mk)

# ---- words for people ----------------------------------------------------------------------------
# `make demo` and `make test` install what is missing first; the inner make then finds it.
.PHONY: deps demo test
deps:
	$(Q)tests/tools/deps
demo: deps
	$(Q)$(MAKE) --no-print-directory all demo-programs && tests/live/demo
test: deps
	$(Q)$(MAKE) --no-print-directory all test-programs && $(MAKE) --no-print-directory -s test-run
.PHONY: test-programs test-run
test-programs: $(UNIT_BIN) $(TEST_PROGRAMS)
test-run:
	$(Q)tests/tools/run-all rooms='make -s rooms' units='make -s unit MODE=$(MODE)' \
	    crash='make -s crash MODE=$(MODE)' sim='make -s sim MODE=$(MODE)' sim-stories='make -s sim-stories MODE=$(MODE)' live='make -s live MODE=$(MODE)'

.PHONY: rooms format format-check tidy clean
rooms:
	$(Q)awk -f tests/tools/rooms.awk src/rooms.txt $$(find src -name '*.[ch]') && echo "rooms: doors are one-way"
FORMATTED = $(shell find src include tests jepsen -name '*.[ch]' -not -path '*/generated/*')
format:
	$(Q)clang-format-14 -i $(FORMATTED)
format-check:
	$(Q)clang-format-14 --dry-run --Werror $(FORMATTED) && echo "format: clean"
tidy: $(PROTO_H)
	$(Q)printf '%s\n' $(SRC) | xargs -P 2 -n 4 sh -c 'clang-tidy-14 --quiet --warnings-as-errors="*" "$$@" -- -std=c11 -D_GNU_SOURCE $(INC) 2>/dev/null' sh && echo "tidy: clean"
clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
