/* SPDX-License-Identifier: Apache-2.0 */
/* What ternd tells: log lines as JSON, and states to the service manager. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"
#include "net/notify.h"
#include "tests/lib/test.h"

static const char *json(const char *line)
{
    static char out[512];

    log_json("T", "info", line, out, sizeof out);
    return out;
}

static void fields_become_members(void **state)
{
    (void)state;
    assert_string_equal(json("node=1 event=peer_down why=\"it said \"no\", then went\" n=-3"),
                        "{\"ts\":\"T\",\"level\":\"info\",\"node\":\"1\",\"event\":\"peer_down\","
                        "\"why\":\"it said \\\"no\\\", then went\",\"n\":\"-3\"}");
    assert_string_equal(
        json("plain words event=x"),
        "{\"ts\":\"T\",\"level\":\"info\",\"event\":\"x\",\"text\":\"plain words\"}");
    assert_string_equal(json("a=\"cut off"), "{\"ts\":\"T\",\"level\":\"info\",\"a\":\"cut off\"}");
    assert_string_equal(json("a=\x01\\"),
                        "{\"ts\":\"T\",\"level\":\"info\",\"a\":\"\\u0001\\\\\"}");
    assert_string_equal(json(""), "{\"ts\":\"T\",\"level\":\"info\"}");
}

static void a_field_that_does_not_fit_is_left_out_whole(void **state)
{
    char out[65];

    (void)state;
    log_json("T", "info", "short=1 long=0123456789012345678901234567890123456789", out, sizeof out);
    assert_string_equal(out, "{\"ts\":\"T\",\"level\":\"info\",\"short\":\"1\"}");
}

static void the_service_manager_is_told(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char heard[64] = "";

    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    assert_false(notify_manager("READY=1"));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/tern-notify-%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    assert_true(notify_manager("READY=1"));
    assert_int_equal(recv(fd, heard, sizeof heard - 1, 0), 7);
    assert_string_equal(heard, "READY=1");
    (void)close(fd);
    (void)unlink(address.sun_path);
    assert_false(notify_manager("STOPPING=1")); /* it is gone: no harm */
    (void)unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_become_members),
        cmocka_unit_test(a_field_that_does_not_fit_is_left_out_whole),
        cmocka_unit_test(the_service_manager_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
