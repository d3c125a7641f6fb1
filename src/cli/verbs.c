/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs. */
#include "cli/bench.h"
#include "cli/cli.h"

#define EXIT_HEALTH                                                                                \
    "Exit status: 0 good, 10 unhealthy, 11 degraded, 12 a critical topic's policy is violated,\n"  \
    "1 no node could be asked."

static const struct cli_option create_options[] = {
    {"partitions", "N", "number of partitions; default: as its policy says"},
    {"policy", "NAME", "policy by name; default: by the policies' patterns"},
    {NULL, NULL, NULL}};
static const struct cli_option yes_options[] = {
    {"yes", NULL, "don't ask for the name to be typed again"}, {NULL, NULL, NULL}};
static const struct cli_option recover_options[] = {
    {"accept-loss", NULL, "records that only the lost replicas hold are given up"},
    {"partition", "N", "only this partition; repeat for more; default: all that cannot recover"},
    {"yes", NULL, "don't ask for the name to be typed again"},
    {NULL, NULL, NULL}};
static const struct cli_option apply_options[] = {
    {"weaken", "NAME", "this critical policy may promise less than before; repeat for more"},
    {NULL, NULL, NULL}};
static const struct cli_option set_policy_options[] = {
    {"dry-run", NULL, "say what would be done, and do nothing"},
    {"weaken", "TOPIC", "this critical topic may promise less than before"},
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL}};
static const struct cli_option init_options[] = {
    {"node", "ID", "a founding voter, one per region; repeat; default: all of the profile"},
    {NULL, NULL, NULL}};
static const struct cli_option ca_options[] = {
    {"cluster", "NAME", "the cluster's name, in every certificate from now on"},
    {"certs-dir", "DIR", "where certificates are kept; default: certs"},
    {"days", "N", "how long it is valid; default: ten years"},
    {NULL, NULL, NULL}};
static const struct cli_option node_options[] = {
    {"node-id", "N", "number of the node, 1 to 63"},
    {"region", "NAME", "region that the node is in"},
    {"host", "HOST", "name or address under which others reach it; repeat for more"},
    {"certs-dir", "DIR", "where ca.crt and ca.key are; default: certs"},
    {"days", "N", "how long it is valid; default: two years"},
    {NULL, NULL, NULL}};
static const struct cli_option client_options[] = {
    {"certs-dir", "DIR", "where ca.crt and ca.key are; default: certs"},
    {"days", "N", "how long it is valid; default: two years"},
    {NULL, NULL, NULL}};

const struct cli_verb cli_verbs[] = {
    {"status", "", "is the cluster well, and if not, what is wrong",
     "Named findings, worst first; then topics, regions, timers and settings.\n" EXIT_HEALTH,
     "  tern status\n  tern status -o json | jq '.checks[].code'\n", 0, 0, NULL, verb_status},
    {"quorum", "", "all regions and nodes: role, term, commit, lag, last seen, round trips",
     "Every node is asked. Values marked with '?' are second-hand: the node did not answer.\n"
     "SEEN and RTT are what the controller measures.\n" EXIT_HEALTH,
     "  tern quorum\n  tern quorum -o json | jq .leader\n", 0, 0, NULL, verb_quorum},
    {"topic list", "", "topics, their policies, and where their leaders are", EXIT_HEALTH,
     "  tern topic list\n  tern topic list -o json | jq '.topics[] | {name, leaders}'\n", 0, 0,
     NULL, verb_topic_list},
    {"topic describe", "TOPIC", "partitions of a topic: leaders, epochs, offsets, replicas",
     "Offsets come from each partition's leader; '-' where it did not answer.\n" EXIT_HEALTH,
     "  tern topic describe payments\n", 1, 1, NULL, verb_topic_describe},
    {"topic create", "TOPIC", "make a topic", "",
     "  tern topic create payments\n  tern topic create audit --partitions 3 --policy payments\n",
     1, 1, create_options, verb_topic_create},
    {"topic delete", "TOPIC", "delete a topic and its records", "",
     "  tern topic delete scratch\n  tern topic delete scratch --yes\n", 1, 1, yes_options,
     verb_topic_delete},
    {"topic set-policy", "TOPIC POLICY", "let a topic that is in use follow another policy",
     "Says what the promise is now and what it would be, and which leaders and replicas would\n"
     "move, and asks before it does it. '-' as POLICY: the one that the topic's name falls under.\n"
     "Records are kept; replicas come as learners, and leaders move, while the topic is written.\n"
     "Exit status: 0 done or so already, 2 not confirmed, 13 refused.",
     "  tern topic set-policy clicks standard --dry-run\n"
     "  tern topic set-policy audit relaxed --weaken audit --yes\n",
     2, 2, set_policy_options, verb_topic_set_policy},
    {"topic recover", "TOPIC", "go on without replicas that are lost for good",
     "Partitions that cannot recover by their rule (too many regions lost their disks) begin\n"
     "again with the longest log that is left. Acknowledged records may be lost by that; the\n"
     "ledger says so, with your name. What returns later is cut into quarantine.\n"
     "Partitions that can recover without loss are left alone, unless --partition names them.\n"
     "Exit status: 0 begun, 2 not confirmed, 13 refused.",
     "  tern topic recover payments --accept-loss\n"
     "  tern topic recover payments --accept-loss --partition 3 --yes\n",
     1, 1, recover_options, verb_topic_recover},
    {"node remove", "ID", "take a dead node out of the cluster for good",
     "Its replicas move to other nodes of its region: start a replacement there first, under\n"
     "a node id of its own. The removed node may come back with an empty directory only.\n"
     "Exit status: 0 removed, 2 not confirmed, 13 refused: it is there, or something cannot be\n"
     "recovered without it.",
     "  tern node remove 3\n  tern node remove 3 --yes\n", 1, 1, yes_options, verb_node_remove},
    {"policy validate", "FILE...", "check policy files; asks no node",
     "Every problem is shown with file, line and column. A directory stands for its *.yaml.",
     "  tern policy validate policy/\n  tern policy validate policy/payments.yaml\n", 1, 64, NULL,
     verb_policy_validate},
    {"policy apply", "FILE...", "put policies into force",
     "Policies that stand in no file stay as they are.\n"
     "Exit status: 0 applied, 2 a file is wrong, 13 refused.",
     "  tern policy apply policy/\n  tern policy apply policy/payments.yaml --weaken payments\n", 1,
     64, apply_options, verb_policy_apply},
    {"policy show", "[NAME]", "policies in force, who applied them and when", "",
     "  tern policy show\n  tern policy show payments\n", 0, 1, NULL, verb_policy_show},
    {"policy remove", "NAME", "take a policy out of force", "",
     "  tern policy remove clicks --yes\n", 1, 1, yes_options, verb_policy_remove},
    {"cluster init", "", "found a cluster: the one explicit act, done once",
     "The nodes become the first voters of a new cluster. They must be up, with empty\n"
     "directories. Nodes that come later join by themselves.",
     "  tern cluster init\n  tern cluster init --node 1 --node 2 --node 3\n", 0, 0, init_options,
     verb_cluster_init},
    {"certs create-ca", "", "make the cluster's certificate authority; asks no node", "",
     "  tern certs create-ca --cluster prod --certs-dir certs\n", 0, 0, ca_options,
     verb_certs_create_ca},
    {"certs create-node", "", "make a node's certificate; asks no node", "",
     "  tern certs create-node --node-id 1 --region eu-west --host n1.example --host 10.0.0.1\n", 0,
     0, node_options, verb_certs_create_node},
    {"certs create-client", "NAME", "make an operator's or program's certificate; asks no node", "",
     "  tern certs create-client admin --certs-dir certs\n", 1, 1, client_options,
     verb_certs_create_client},
    {"ledger", "[TOPIC]", "every interval in which a promise was weaker than its policy", "",
     "  tern ledger\n  tern ledger clicks -o json\n", 0, 1, NULL, verb_ledger},
    {"quarantine list", "[TOPIC]", "records that were cut off and kept aside, per node", "",
     "  tern quarantine list\n  tern quarantine list clicks -o json\n", 0, 1, NULL,
     verb_quarantine_list},
    {"group list", "", "consumer groups, and who coordinates them", "",
     "  tern group list\n  tern group list -o json | jq '.groups[] | {name, state}'\n", 0, 0, NULL,
     verb_group_list},
    {"group describe", "GROUP", "a consumer group: members, committed offsets, lag",
     "END is the end of what is committed, as the coordinator's node knows it.",
     "  tern group describe readers\n", 1, 1, NULL, verb_group_describe},
    {"metrics", "NODE", "one node's counters as Prometheus text", "",
     "  tern metrics 1\n  tern metrics 1 | grep tern_journal_fsyncs_total\n", 1, 1, NULL,
     verb_metrics},
    {"bench produce", "TOPIC", "open-loop load: latency from when each record was due",
     "Record i is due at start + i / rate and goes to partition i modulo their number. What "
     "cannot\n"
     "be sent in time waits, and its wait counts.",
     "  tern bench produce payments --rate 1000 --duration 30s\n"
     "  tern bench produce payments --rate 50000 --linger 5ms -o json --out raw.txt\n",
     1, 1, bench_produce_options, verb_bench_produce},
    {"bench consume", "TOPIC", "reads a topic to its end, as fast as it comes",
     "Long polls, one fetch at a time per node; checksums are checked.",
     "  tern bench consume payments\n"
     "  tern bench consume payments --from 127.0.0.1:39092 -o json\n",
     1, 1, bench_read_options, verb_bench_consume},
    {"bench e2e", "TOPIC", "open-loop load that reads what it wrote: latency until it is read",
     "Only records of this run count; what is missing at the end is told.",
     "  tern bench e2e payments --rate 1000 --duration 30s --plot e2e.svg\n", 1, 1,
     bench_arrival_options, verb_bench_e2e},
    {"bench ship-lag", "TOPIC", "the same, read from a node that follows: how far it is behind",
     "What is read is committed, so the lag is that of whoever reads there.",
     "  tern bench ship-lag clicks --from 127.0.0.1:39092 --rate 1000\n", 1, 1,
     bench_arrival_options, verb_bench_ship_lag},
    {"bench gap", "TOPIC", "longest time without an ack per partition under a fault",
     "While the load goes on, a shell command does something to the cluster and another undoes it.",
     "  tern bench gap payments --rate 600 --fault 'deploy/local/regions kill eu-west' \\\n"
     "      --heal 'deploy/local/regions start eu-west' --repeats 10\n",
     1, 1, bench_gap_options, verb_bench_gap},
    {"bench conns", "TOPIC", "many connections at once, then requests on them in turn",
     "A connection is usable once it has told its versions; requests ask for the topic.",
     "  tern bench conns payments --connections 5000 --rate 1000\n", 1, 1, bench_conns_options,
     verb_bench_conns},
    {"version", "", "print the version", "", "  tern version\n", 0, 0, NULL, verb_version},
};
const size_t cli_verb_count = ARRAY_COUNT(cli_verbs);
