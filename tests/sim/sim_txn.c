/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_txn_inner.h"

void txns_open(struct sim_txns *t, struct sim_conn *conns, uint32_t place, const char *name)
{
    for (uint32_t id = 1; id <= t->sim->node_count; id++) {
        sim_conn_init(&conns[id], t->sim, place, id, name);
    }
}

struct sim_txns *sim_txns_new(struct sim *sim, uint32_t tellers)
{
    struct sim_txns *t = mem_new(sizeof *t);

    CHECK(tellers <= TELLERS_MAX);
    t->sim = sim;
    prng_init(&t->chance, sim->seed ^ 0x74786e73);
    t->teller_count = tellers;
    for (uint32_t i = 0; i < tellers; i++) {
        teller_begin(t, i);
    }
    for (uint32_t i = 0; i < CLERKS; i++) {
        clerk_begin(t, i);
    }
    for (uint32_t i = 0; i < (tellers + 1) / 2; i++) {
        auditor_begin(t, i);
    }
    return t;
}

static void close_conns(struct sim_txns *t, struct sim_conn *conns, struct timer *timer)
{
    sim_stop(t->sim, timer);
    for (uint32_t id = 1; id <= t->sim->node_count; id++) {
        sim_conn_fini(&conns[id]);
    }
}

void sim_txns_free(struct sim_txns *t)
{
    if (t == NULL) {
        return;
    }
    for (uint32_t i = 0; i < t->teller_count; i++) {
        close_conns(t, t->tellers[i].conns, &t->tellers[i].again);
    }
    for (uint32_t i = 0; i < CLERKS; i++) {
        close_conns(t, t->readers[i].conns, &t->readers[i].again);
    }
    for (uint32_t i = 0; i < (t->teller_count + 1) / 2; i++) {
        close_conns(t, t->auditors[i].conns, &t->auditors[i].again);
    }
    free(t);
}

void sim_txns_heal(struct sim_txns *t)
{
    t->healed_us = t->sim->now_us;
}

static bool all_idle(const struct sim_txns *t)
{
    for (uint32_t i = 0; i < t->teller_count; i++) {
        const struct teller *one = &t->tellers[i];
        bool nothing = one->deal == 0 && (one->step == STEP_IDLE || one->producer_id < 0);
        if (!nothing) {
            return false;
        }
    }
    return true;
}

bool sim_txns_begun(const struct sim_txns *t)
{
    return t->deal_count > 0;
}

bool sim_txns_settled(struct sim_txns *t)
{
    if (t->ended_us == 0 && all_idle(t)) {
        t->ended_us = t->sim->now_us;
    }
    for (uint32_t i = 0; i < CLERKS; i++) {
        const struct clerk *r = &t->readers[i];
        if (t->ended_us == 0 || r->worked_us <= t->ended_us || !r->level ||
            (r->again_and_again && !r->last)) {
            return false;
        }
    }
    t->read_us = t->read_us != 0 ? t->read_us : t->sim->now_us;
    for (uint32_t i = 0; i < (t->teller_count + 1) / 2; i++) {
        if (!t->auditors[i].last) {
            return false;
        }
    }
    return true;
}

void sim_txns_judge(struct sim_txns *t)
{
    int64_t newest[TELLERS_MAX] = {0};

    for (uint32_t n = 1; n <= t->deal_count; n++) {
        const struct deal *deal = &t->deals[n];
        uint32_t all = 0;
        uint32_t seen = 0;
        for (uint32_t i = 0; i < CLERKS; i++) {
            bool wrote = (deal->mask >> t->readers[i].part & 1) != 0;
            all += wrote;
            seen += wrote && t->readers[i].seen[n] != 0;
        }
        for (uint32_t i = 0; i < CLERKS; i++) {
            if ((deal->mask >> t->readers[i].part & 1) != 0 && t->readers[i].seen[n] == 0) {
                sim_whisper(t->sim, "%s has not read transaction %u", t->readers[i].name, n);
            }
        }
        if (seen != all && (seen != 0 || deal->committed)) {
            sim_fail(t->sim, "X2: transaction %u, %s: %u of %u records are read", n,
                     deal->committed ? "told to be committed" : "of unknown end", seen, all);
        }
        if (seen == all && deal->offsets && n > newest[deal->id]) {
            newest[deal->id] = n;
        }
    }
    for (uint32_t i = 0; i < (t->teller_count + 1) / 2; i++) {
        if (t->auditors[i].told != newest[i]) {
            sim_fail(t->sim, "X4: the offset is of transaction %lld, the newest committed is %lld",
                     (long long)t->auditors[i].told, (long long)newest[i]);
        }
    }
}

void sim_txns_describe(const struct sim_txns *t, char out[160])
{
    for (uint32_t i = 0; i < t->teller_count; i++) {
        const struct teller *one = &t->tellers[i];
        if (t->ended_us == 0 && (one->deal != 0 || one->step != STEP_IDLE)) {
            (void)snprintf(out, 160, "%s waits in step %d with transaction %u, last error %s",
                           one->name, one->step, one->deal, kafka_error_name(one->error));
            return;
        }
    }
    for (uint32_t i = 0; i < CLERKS; i++) {
        const struct clerk *r = &t->readers[i];
        if (!r->level) {
            (void)snprintf(out, 160,
                           "X5: %s: partition %d is stable to %lld, high watermark %lld, read to "
                           "%lld",
                           r->name, r->part, (long long)r->stable, (long long)r->hw,
                           (long long)r->next);
            return;
        }
    }
    (void)snprintf(out, 160, "transactions: readers or auditors do not come to an end");
}
