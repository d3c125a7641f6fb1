/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: what is made, what it says, what is refused. */
#include <sys/stat.h>

#include "tests/unit/net_rig.h"

static void path(char out[128], const char *directory, const char *name)
{
    (void)snprintf(out, 128, "%s/%s", directory, name);
}

static void nodes_and_clients_say_who_they_are(void **state)
{
    static const char *const names[] = {"node1.example.com", "10.1.2.3", "::1", "*.example.org"};
    struct certs_node node = {.node_id = 7, .region = "eu-west", .names = names, .name_count = 4};
    struct identity identity;
    struct stat info;
    char directory[64];
    char file[128];
    char text[CERTS_WHY];
    char why[CERTS_WHY] = "";

    (void)state;
    rig_directory(directory);
    assert_int_equal(certs_create_ca(directory, "acme", 0, why), 0);
    assert_int_equal(certs_create_node(directory, &node, why), 0);
    assert_int_equal(certs_create_client(directory, "ops", 10, why), 0);

    path(file, directory, "node-7.crt");
    assert_int_equal(certs_identity_of_file(file, &identity, why), 0);
    assert_string_equal(identity.cluster_name, "acme");
    assert_string_equal(identity.region, "eu-west");
    assert_int_equal(identity.node_id, 7);
    identity_text(&identity, text);
    assert_string_equal(text, "node 7 (eu-west) of acme");

    path(file, directory, "client-ops.crt");
    assert_int_equal(certs_identity_of_file(file, &identity, why), 0);
    assert_int_equal(identity.node_id, 0);
    assert_string_equal(identity.client, "ops");

    path(file, directory, "ca.crt");
    assert_int_equal(certs_identity_of_file(file, &identity, why), TERN_EIDENTITY);
    path(file, directory, "ca.key");
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(certs_identity_of_file(file, &identity, why), TERN_EMALFORMED);
    path(file, directory, "node-7.key");
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    rig_remove(directory);
}

static void nothing_that_exists_is_overwritten(void **state)
{
    struct certs_node node = {.node_id = 1, .region = "r"};
    char directory[64];
    char why[CERTS_WHY] = "";

    (void)state;
    rig_directory(directory);
    assert_int_equal(certs_create_ca(directory, "acme", 0, why), 0);
    assert_int_equal(certs_create_ca(directory, "acme", 0, why), TERN_EEXIST);
    assert_non_null(strstr(why, "exists already"));
    assert_int_equal(certs_create_node(directory, &node, why), 0);
    assert_int_equal(certs_create_node(directory, &node, why), TERN_EEXIST);
    rig_remove(directory);
}

static void bad_names_and_a_missing_ca_are_refused_with_a_sentence(void **state)
{
    static const char *const bad_name[] = {"host,URI:tern://acme/eu/node/2"};
    struct certs_node bad = {.node_id = 1, .region = "r", .names = bad_name, .name_count = 1};
    struct certs_node high = {.node_id = WIRE_NODES_MAX, .region = "r"};
    struct certs_node slash = {.node_id = 1, .region = "a/b"};
    char directory[64];
    char why[CERTS_WHY] = "";

    (void)state;
    rig_directory(directory);
    assert_int_equal(certs_create_client(directory, "ops", 0, why), TERN_ENOENT);
    assert_non_null(strstr(why, "tern certs create-ca"));
    assert_int_equal(certs_create_ca(directory, "a/b", 0, why), TERN_EINVALIDCONFIG);
    assert_int_equal(certs_create_ca(directory, "", 0, why), TERN_EINVALIDCONFIG);
    assert_int_equal(certs_create_ca(directory, "acme", 40000, why), TERN_EINVALIDCONFIG);
    assert_int_equal(certs_create_ca(directory, "acme", 0, why), 0);
    assert_int_equal(certs_create_node(directory, &bad, why), TERN_EINVALIDCONFIG);
    assert_non_null(strstr(why, "neither a DNS name nor an IP address"));
    assert_int_equal(certs_create_node(directory, &high, why), TERN_EINVALIDCONFIG);
    assert_int_equal(certs_create_node(directory, &slash, why), TERN_EINVALIDCONFIG);
    assert_int_equal(certs_create_client(directory, "a b", 0, why), TERN_EINVALIDCONFIG);
    rig_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_and_clients_say_who_they_are),
        cmocka_unit_test(nothing_that_exists_is_overwritten),
        cmocka_unit_test(bad_names_and_a_missing_ca_are_refused_with_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
