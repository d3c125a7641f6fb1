/* SPDX-License-Identifier: Apache-2.0 */
/* Admin calls: the blocking client in a thread, the node on the loop. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "net/client.h"
#include "tests/unit/net_rig.h"

#define TYPE_ECHO   1
#define TYPE_LATER  2
#define TYPE_REFUSE 3
#define TYPE_BIG    4
#define TYPE_NEVER  5
#define TYPE_WHO    6

/* The node's side. */
struct desk {
    struct rig *rig;
    unsigned calls;
    struct net_call *waiting;
    struct timer timer;
};

static void reply_later(struct timer *timer)
{
    struct desk *desk = CONTAINER_OF(timer, struct desk, timer);

    net_call_reply(desk->waiting, 0, slice_text("later"));
    desk->waiting = NULL;
}

static void on_call(void *ctx, struct net_call *call, const char *principal, uint16_t type,
                    struct slice body)
{
    struct desk *desk = ctx;
    static const uint8_t zeros[10 << 20];

    desk->calls++;
    switch (type) {
    case TYPE_ECHO:
        net_call_reply(call, 0, body);
        break;
    case TYPE_LATER:
        desk->waiting = call;
        desk->timer.fire = reply_later;
        timer_after_ms(desk->rig->clock, &desk->timer, 20);
        break;
    case TYPE_REFUSE:
        net_call_reply(call, TERN_EPOLICY, slice_text("three regions demanded, two exist"));
        break;
    case TYPE_BIG:
        net_call_reply(call, 0, slice_of(zeros, sizeof zeros));
        break;
    case TYPE_WHO:
        net_call_reply(call, 0, slice_text(principal));
        break;
    default:
        desk->waiting = call;
        break;
    }
}

static const struct net_admin_handler handler = {.call = on_call};

/* The caller's side: runs in a thread while the rig runs the loop. */
struct job {
    uv_work_t work;
    char address[64];
    char directory[64];
    char name[40];
    uint16_t type;
    size_t body_len;
    uint32_t timeout_ms;
    unsigned repeat;
    bool done;
    /* what came out */
    int connected;
    int called;
    int error;
    size_t answer_len;
    char answer[100];
    char peer[256];
    char why[256];
};

static void work(uv_work_t *request)
{
    struct job *job = CONTAINER_OF(request, struct job, work);
    struct client_files files;
    struct client *client = NULL;
    struct slice answer = {0};
    char path[3][160];
    uint8_t *body = calloc(1, job->body_len + 1);

    (void)snprintf(path[0], sizeof path[0], "%s/ca.crt", job->directory);
    (void)snprintf(path[1], sizeof path[1], "%s/%s.crt", job->directory, job->name);
    (void)snprintf(path[2], sizeof path[2], "%s/%s.key", job->directory, job->name);
    files = (struct client_files){path[0], path[1], path[2]};
    job->connected = client_connect(job->address, &files, job->timeout_ms, &client, job->why);
    for (unsigned i = 0; job->connected == 0 && job->called == 0 && i <= job->repeat; i++) {
        (void)snprintf(job->peer, sizeof job->peer, "%s", client_peer(client));
        job->called = client_call(client, job->type, slice_of(body, job->body_len), job->timeout_ms,
                                  &job->error, &answer, job->why);
        job->answer_len = answer.len;
        (void)snprintf(job->answer, sizeof job->answer, "%.*s",
                       (int)(answer.len < 90 ? answer.len : 90), (const char *)answer.base);
    }
    client_close(client);
    free(body);
}

static void after(uv_work_t *request, int status)
{
    (void)status;
    CONTAINER_OF(request, struct job, work)->done = true;
}

static void run_job(struct rig *rig, struct job *job)
{
    job->timeout_ms = job->timeout_ms > 0 ? job->timeout_ms : 5000;
    assert_int_equal(uv_queue_work(&rig->loop, &job->work, work, after), 0);
    assert_true(rig_until(rig, rig_is_true, &job->done, 10000));
}

static struct job job_of(struct rig *rig, const char *name, uint16_t type)
{
    struct job job = {.type = type};

    (void)snprintf(job.address, sizeof job.address, "%s", net_address(rig->nets[1], NET_ADMIN));
    (void)snprintf(job.directory, sizeof job.directory, "%s", rig->directory);
    (void)snprintf(job.name, sizeof job.name, "%s", name);
    return job;
}

static void begin(struct rig *rig, struct desk *desk)
{
    char why[CERTS_WHY];

    rig_init(rig);
    assert_int_equal(certs_create_client(rig->directory, "ops", 0, why), 0);
    *desk = (struct desk){.rig = rig};
    net_set_admin(rig_open(rig, 1, NULL), &handler, desk);
}

static void calls_are_answered_now_or_later_well_or_not(void **state)
{
    struct rig rig;
    struct desk desk;

    (void)state;
    begin(&rig, &desk);
    struct job echo = job_of(&rig, "client-ops", TYPE_ECHO);
    echo.body_len = 1 << 20;
    echo.repeat = 3;
    run_job(&rig, &echo);
    assert_string_equal(echo.why, "");
    assert_int_equal(echo.called, 0);
    assert_int_equal(echo.error, 0);
    assert_int_equal(echo.answer_len, 1 << 20);
    assert_int_equal(desk.calls, 4);
    assert_string_equal(echo.peer, "node 1 (eu-west) of acme");

    struct job later = job_of(&rig, "client-ops", TYPE_LATER);
    run_job(&rig, &later);
    assert_string_equal(later.answer, "later");

    struct job refuse = job_of(&rig, "client-ops", TYPE_REFUSE);
    run_job(&rig, &refuse);
    assert_int_equal(refuse.called, 0);
    assert_int_equal(refuse.error, TERN_EPOLICY);
    assert_string_equal(refuse.answer, "three regions demanded, two exist");

    struct job big = job_of(&rig, "client-ops", TYPE_BIG);
    run_job(&rig, &big);
    assert_int_equal(big.answer_len, 10 << 20);

    struct job who = job_of(&rig, "client-ops", TYPE_WHO);
    run_job(&rig, &who);
    assert_string_equal(who.answer, "client:ops");
    struct job node = job_of(&rig, "node-2", TYPE_WHO);
    run_job(&rig, &node);
    assert_string_equal(node.answer, "node:2");
    assert_int_equal(rig_line_count, 0);
    rig_fini(&rig);
}

static void a_call_that_is_never_answered_times_out_with_advice(void **state)
{
    struct rig rig;
    struct desk desk;

    (void)state;
    begin(&rig, &desk);
    struct job never = job_of(&rig, "client-ops", TYPE_NEVER);
    never.timeout_ms = 200;
    run_job(&rig, &never);
    assert_int_equal(never.called, TERN_ETIMEDOUT);
    assert_non_null(strstr(never.why, "did not answer in time; is the node running"));
    rig_run_ms(&rig, 20);
    net_call_reply(desk.waiting, 0, slice_text("too late")); /* the caller is gone: allowed */

    struct job again = job_of(&rig, "client-ops", TYPE_NEVER);
    again.timeout_ms = 200;
    run_job(&rig, &again);
    rig_fini(&rig);
    net_call_reply(desk.waiting, 0, slice_text("too late")); /* and so is the net */
}

static void strangers_are_told_what_to_do(void **state)
{
    struct rig rig;
    struct desk desk;
    char other[64];
    char why[CERTS_WHY];

    (void)state;
    begin(&rig, &desk);
    rig_directory(other);
    assert_int_equal(certs_create_ca(other, "acme", 0, why), 0);
    assert_int_equal(certs_create_client(other, "ops", 0, why), 0);

    struct job wrong = job_of(&rig, "client-ops", TYPE_ECHO);
    (void)snprintf(wrong.directory, sizeof wrong.directory, "%s", other);
    run_job(&rig, &wrong);
    assert_int_equal(wrong.connected, TERN_EIDENTITY);
    assert_non_null(strstr(wrong.why, "use ca.crt and a client certificate of this cluster"));

    struct job missing = job_of(&rig, "client-nobody", TYPE_ECHO);
    run_job(&rig, &missing);
    assert_int_equal(missing.connected, TERN_ENOENT);
    assert_non_null(strstr(missing.why, "client-nobody.crt"));

    struct job kafka = job_of(&rig, "client-ops", TYPE_ECHO);
    (void)snprintf(kafka.address, sizeof kafka.address, "%s", net_address(rig.nets[1], NET_KAFKA));
    run_job(&rig, &kafka);
    assert_int_equal(kafka.connected, TERN_EIO);

    struct job nobody = job_of(&rig, "client-ops", TYPE_ECHO);
    (void)snprintf(nobody.address, sizeof nobody.address, "127.0.0.1:1");
    run_job(&rig, &nobody);
    assert_int_equal(nobody.connected, TERN_EIO);
    assert_non_null(strstr(nobody.why, "cannot connect to 127.0.0.1:1: Connection refused"));

    struct job senseless = job_of(&rig, "client-ops", TYPE_ECHO);
    (void)snprintf(senseless.address, sizeof senseless.address, "nonsense");
    run_job(&rig, &senseless);
    assert_int_equal(senseless.connected, TERN_EINVALIDCONFIG);
    assert_int_equal(desk.calls, 0);
    rig_remove(other);
    rig_fini(&rig);
}

/* Half the proof: our side accepts the node (same CA file), but our own certificate is foreign. */
static void a_foreign_client_certificate_is_refused_and_logged(void **state)
{
    struct rig rig;
    struct desk desk;
    char other[64];
    char from[128];
    char to[128];
    char why[CERTS_WHY];

    (void)state;
    begin(&rig, &desk);
    rig_directory(other);
    assert_int_equal(certs_create_ca(other, "acme", 0, why), 0);
    assert_int_equal(certs_create_client(other, "ops", 0, why), 0);
    (void)snprintf(to, sizeof to, "%s/ca.crt", other);
    (void)snprintf(from, sizeof from, "%s/ca.crt", rig.directory);
    assert_int_equal(unlink(to), 0);
    assert_int_equal(symlink(from, to), 0);
    struct job job = job_of(&rig, "client-ops", TYPE_ECHO);
    (void)snprintf(job.directory, sizeof job.directory, "%s", other);
    run_job(&rig, &job);
    assert_int_equal(job.connected, TERN_EIDENTITY);
    assert_non_null(strstr(job.why, "the other side does not accept us"));
    assert_int_equal(rig_said("event=admin_closed"), 1);
    assert_int_equal(rig_said("its certificate is not acceptable"), 1);
    rig_remove(other);
    rig_fini(&rig);
}

static void without_a_handler_callers_are_told_to_ask_again(void **state)
{
    struct rig rig;
    struct desk desk;

    (void)state;
    begin(&rig, &desk);
    net_set_admin(rig.nets[1], NULL, NULL);
    struct job job = job_of(&rig, "client-ops", TYPE_ECHO);
    run_job(&rig, &job);
    assert_int_equal(job.called, 0);
    assert_int_equal(job.error, TERN_ECANCELED);
    assert_non_null(strstr(job.answer, "ask again"));
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_answered_now_or_later_well_or_not),
        cmocka_unit_test(a_call_that_is_never_answered_times_out_with_advice),
        cmocka_unit_test(strangers_are_told_what_to_do),
        cmocka_unit_test(a_foreign_client_certificate_is_refused_and_logged),
        cmocka_unit_test(without_a_handler_callers_are_told_to_ask_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
