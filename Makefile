# vectorx - vector data type and HNSW index access method
#
#   make && make install          build and install (PG_CONFIG=... picks the server)
#   make installcheck             SQL tests against the running server
#   make quickstart               from an empty machine to answered queries
#   make test                     every test, in private clusters
#   make torture                  the random tests for longer, upgrades, sanitizers: as root,
#                                 less than an hour
#   make bench                    measure it, beside pgvector and hnswlib (bench/README)
#   make bench-filter             searches with filters, beside pgvector

EXTENSION = vectorx
MODULE_big = vectorx
DATA = $(wildcard sql/install/vectorx--*.sql)
PGFILEDESC = "vectorx - vector data type and HNSW index access method"

OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c))
PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -fvisibility=hidden
SHLIB_LINK += -lm

# Only what lies directly in sql/ is a test; sql/install is for CREATE EXTENSION
REGRESS = $(patsubst sql/%.sql,%,$(wildcard sql/*.sql))
REGRESS_OPTS = --load-extension=vectorx

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

# These install what is missing, so they must work before PGXS is there
SCRIPTED = quickstart test torture bench bench-filter

ifneq ($(PGXS),)
include $(PGXS)
else ifneq ($(filter-out $(SCRIPTED),$(or $(MAKECMDGOALS),all)),)
$(error PostgreSQL's server headers were not found by "$(PG_CONFIG) --pgxs": \
install them (Debian: postgresql-server-dev-NN) or set PG_CONFIG)
endif

# PGXS does not track headers; there are few enough to rebuild everything
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h src/*/*.h) Makefile

# A PG_CONFIG that the user chose is used as it is; the default may be improved on
USER_PG_CONFIG = $(if $(filter file,$(origin PG_CONFIG)),,PG_CONFIG='$(PG_CONFIG)')

.PHONY: $(SCRIPTED)
quickstart:
	@$(USER_PG_CONFIG) bash bench/quickstart

test:
	@$(USER_PG_CONFIG) bash test/run

bench:
	@$(USER_PG_CONFIG) bash bench/run --out bench/results
	@$(USER_PG_CONFIG) bash bench/run --out bench/results --data clustered-50000x768 --parts search,wal

bench-filter:
	@$(USER_PG_CONFIG) bash bench/run --out bench/results --data fashion --parts filter,tenants --queries 200 --rounds 3

torture:
	@VX_TORTURE=1 $(USER_PG_CONFIG) bash test/run tap 008_crash_loop 010_crash_points \
		003_concurrency 011_equal_vectors 020_standby 021_recovery 012_filter 014_bitmap_filter \
		010_fuzz_values 011_fuzz_pages 030_disk_full 031_interrupts 032_small_memory 034_long_session
	@$(USER_PG_CONFIG) bash test/upgrade
	@bash test/asserts undefined
