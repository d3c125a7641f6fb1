/* SPDX-License-Identifier: Apache-2.0 */
/* What is lost is given up: by an operator, who says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/settings.h"
#include "cli/cli.h"
#include "cli/print.h"

static const char *operator_name(void)
{
    const char *name = getenv("USER");

    return name != NULL ? name : "";
}

int verb_topic_recover(struct cli *cli)
{
    struct tern *tern = NULL;
    uint32_t partitions[CLI_OPTIONS_MAX];
    size_t count = 0;
    uint32_t begun = 0;
    const char *text;
    int rv;

    while ((text = cli_option_at(cli, "partition", (int)count)) != NULL) {
        uint64_t number;

        if (!value_number(text, 0, UINT32_MAX, &number)) {
            return cli_fail(EXIT_USAGE, "--partition: a number is expected, not %s", text);
        }
        partitions[count++] = (uint32_t)number;
    }
    if (cli_option(cli, "accept-loss") == NULL) {
        return cli_fail(EXIT_USAGE,
                        "records of %s that only the lost replicas hold would be given up, "
                        "acknowledged ones too; if you mean it: --accept-loss",
                        cli->args[0]);
    }
    rv = cli_connect(cli, &tern);
    if (rv != 0) {
        return rv;
    }
    rv = cli_confirm(cli, tern, "records that only the lost replicas hold will be given up",
                     cli->args[0]);
    if (rv != 0) {
        tern_close(tern);
        return rv;
    }
    rv = tern_topic_recover(tern, cli->args[0], partitions, count, operator_name(), &begun);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    (void)printf(
        "%u partitions of %s begin again with what is left: see tern topic describe %s and "
        "tern ledger %s\n",
        begun, cli->args[0], cli->args[0], cli->args[0]);
    tern_close(tern);
    return EXIT_GOOD;
}

int verb_node_remove(struct cli *cli)
{
    struct tern *tern = NULL;
    const char *name = cli->args[0];
    uint64_t node = 0;
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
    rv = cli_confirm(cli, tern, "the node's disk will be given up", cli->args[0]);
    if (rv != 0) {
        tern_close(tern);
        return rv;
    }
    rv = tern_node_remove(tern, (uint32_t)node, operator_name());
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    (void)printf("node %u is removed; its replicas move to other nodes of its region: see tern "
                 "status\n",
                 (unsigned)node);
    tern_close(tern);
    return EXIT_GOOD;
}
