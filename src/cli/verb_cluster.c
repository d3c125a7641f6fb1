/* SPDX-License-Identifier: Apache-2.0 */
/* Founding, certificates, metrics, version. */
#include <stdio.h>
#include <string.h>

#include "admin/settings.h"
#include "admin/version.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "net/certs.h"

int verb_cluster_init(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_founded founded = {0};
    uint32_t nodes[CLI_OPTIONS_MAX];
    size_t count = 0;
    const char *text;
    int rv;

    while ((text = cli_option_at(cli, "node", (int)count)) != NULL) {
        uint64_t number;

        if (!value_number(text, 1, TERN_NODES_MAX, &number)) {
            return cli_fail(EXIT_USAGE, "--node: a number from 1 to %d is expected, not %s",
                            TERN_NODES_MAX, text);
        }
        nodes[count++] = (uint32_t)number;
    }
    rv = cli_connect(cli, &tern);
    if (rv != 0) {
        return rv;
    }
    rv = tern_init(tern, nodes, count, &founded);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_t *out = json_object();

        json_object_set_new(out, "cluster", json_text(founded.cluster));
        json_object_set_new(out, "cluster_id", json_text(founded.cluster_id));
        json_print(out);
    } else {
        (void)printf("cluster %s is %s, id %s\n", founded.cluster,
                     founded.completed ? "completed" : "founded", founded.cluster_id);
    }
    tern_close(tern);
    return EXIT_GOOD;
}

/* ---- certificates --------------------------------------------------------------------------- */

static const char *certs_dir(const struct cli *cli)
{
    const char *dir = cli_option(cli, "certs-dir");

    return dir != NULL ? dir : "certs";
}

int verb_certs_create_ca(struct cli *cli)
{
    const char *cluster = cli_option(cli, "cluster");
    uint32_t days = 0;
    char why[CERTS_WHY] = "";

    if (cluster == NULL) {
        return cli_fail(EXIT_USAGE, "--cluster NAME is needed; see tern certs create-ca --help");
    }
    if (!cli_number(cli, "days", 1, 36500, &days)) {
        return EXIT_USAGE;
    }
    if (certs_create_ca(certs_dir(cli), cluster, days, why) != 0) {
        return cli_fail(EXIT_NOT_ASKED, "%s", why);
    }
    (void)printf("%s/ca.crt and ca.key made for cluster %s; keep ca.key off the nodes\n",
                 certs_dir(cli), cluster);
    return EXIT_GOOD;
}

int verb_certs_create_node(struct cli *cli)
{
    const char *names[CERTS_NAMES_MAX];
    struct certs_node node = {.region = cli_option(cli, "region"), .names = names};
    char why[CERTS_WHY] = "";
    uint32_t days = 0;

    if (!cli_number(cli, "node-id", 1, TERN_NODES_MAX, &node.node_id) ||
        !cli_number(cli, "days", 1, 36500, &days)) {
        return EXIT_USAGE;
    }
    if (node.node_id == 0 || node.region == NULL) {
        return cli_fail(
            EXIT_USAGE,
            "--node-id N and --region NAME are needed; see tern certs create-node --help");
    }
    node.days = days;
    while (node.name_count < CERTS_NAMES_MAX &&
           cli_option_at(cli, "host", (int)node.name_count) != NULL) {
        names[node.name_count] = cli_option_at(cli, "host", (int)node.name_count);
        node.name_count++;
    }
    if (certs_create_node(certs_dir(cli), &node, why) != 0) {
        return cli_fail(EXIT_NOT_ASKED, "%s", why);
    }
    (void)printf("%s/node-%u.crt and node-%u.key made: node %u in %s\n", certs_dir(cli),
                 node.node_id, node.node_id, node.node_id, node.region);
    return EXIT_GOOD;
}

int verb_certs_create_client(struct cli *cli)
{
    char why[CERTS_WHY] = "";
    uint32_t days = 0;

    if (!cli_number(cli, "days", 1, 36500, &days)) {
        return EXIT_USAGE;
    }
    if (certs_create_client(certs_dir(cli), cli->args[0], days, why) != 0) {
        return cli_fail(EXIT_NOT_ASKED, "%s", why);
    }
    (void)printf("%s/client-%s.crt and client-%s.key made\n", certs_dir(cli), cli->args[0],
                 cli->args[0]);
    return EXIT_GOOD;
}

/* ---- one node ------------------------------------------------------------------------------- */

int verb_metrics(struct cli *cli)
{
    struct tern *tern = NULL;
    const char *name = cli->args[0];
    uint64_t node = 0;
    char *text = NULL;
    int rv;

    name += name[0] == 'n' ? 1 : 0; /* "n1", as other verbs print it */
    if (!value_number(name, 1, TERN_NODES_MAX, &node)) {
        return cli_fail(EXIT_USAGE, "a node's number is expected, not %s; see tern quorum",
                        cli->args[0]);
    }
    rv = cli_connect(cli, &tern);
    if (rv != 0) {
        return rv;
    }
    rv = tern_metrics(tern, (uint32_t)node, &text);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    (void)fputs(text, stdout);
    free(text);
    tern_close(tern);
    return EXIT_GOOD;
}

int verb_version(struct cli *cli)
{
    if (cli->json) {
        json_t *out = json_object();

        json_object_set_new(out, "version", json_text(TERN_VERSION));
        json_print(out);
    } else {
        (void)printf("tern %s\n", TERN_VERSION);
    }
    return EXIT_GOOD;
}
