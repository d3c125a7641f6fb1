# SPDX-License-Identifier: Apache-2.0
"""What Apache ships beside the client: the tools by the class names that their scripts run, Connect, Streams, MirrorMaker 2."""
import contextlib
import json
import os
import re
import subprocess
import time

import checker
import failover
import toolchain
from cluster import REGIONS, Failure, expect, free_base

VERSION = '4.3.1'
ARTIFACTS = [f'org.apache.kafka:{a}:{VERSION}' for a in ('kafka_2.13', 'kafka-tools', 'connect-runtime', 'connect-file', 'connect-json',
                                                         'connect-mirror', 'kafka-streams')] + ['org.slf4j:slf4j-simple:1.7.36']
TOOLS, APPS = [], []


def tool(function):
    TOOLS.append(function)
    return function


def app(function):
    APPS.append(function)
    return function


def title(function):
    return function.__name__.replace('_', '-')


def jars():
    return toolchain.jars(f'kafka-{VERSION}', ARTIFACTS)


class Apache:
    """One cluster, and the tools against it."""

    def __init__(self, cluster):
        self.cluster, self.brokers = cluster, cluster.brokers()
        self.folder = os.path.join(cluster.dir, 'apache')
        os.makedirs(self.folder, exist_ok=True)
        self.jars = jars()

    def command(self, name, *words, heap='256m', classes='', flags=()):
        return [*toolchain.java(heap), *flags, '-cp', f'{classes}:{self.jars}/*' if classes else f'{self.jars}/*', name, *words]

    def archive(self):
        """Classes as the JVM keeps them, made by the first tool: the others start twice as fast."""
        path = os.path.join(os.path.dirname(self.jars), 'tools.jsa')
        return f'-XX:SharedArchiveFile={path}' if os.path.exists(path) else f'-XX:ArchiveClassesAtExit={path}'

    def run(self, name, *words, stdin=None, timeout=240, status=0):
        done = subprocess.run(self.command(name, *words, flags=(self.archive(), '-Xlog:cds=off', '-Xlog:cds+dynamic=off')), input=stdin, capture_output=True, text=True, timeout=timeout)
        if done.returncode != status or 'Exception' in done.stdout:
            raise Failure(f'{name.rsplit(".", 1)[-1]} {" ".join(words[2:])}: exit {done.returncode}: '
                          f'{" ".join((done.stdout + done.stderr).split())[-500:]}')
        return done.stdout

    def ask(self, name, *words, **options):
        return self.run('org.apache.kafka.tools.' + name, '--bootstrap-server', self.brokers, *words, **options)

    def topic(self, name, partitions=3):
        self.ask('TopicCommand', '--create', '--topic', name, '--partitions', str(partitions), '--replication-factor', '3')

    def fill(self, topic, lines):
        self.ask('ConsoleProducer', '--topic', topic, stdin=''.join(f'{line}\n' for line in lines))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w') as f:
            f.write(text)
        return path

    @contextlib.contextmanager
    def background(self, what, *words, heap='256m', classes=''):
        """A program that ends with its stdin, or is ended."""
        output = open(os.path.join(self.folder, what + '.out'), 'w')
        process = subprocess.Popen(self.command(*words, heap=heap, classes=classes), stdin=subprocess.PIPE, stdout=output, stderr=output)
        process.tail = lambda: ' '.join(open(output.name, errors='replace').read().split())[-400:]
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            output.close()


@contextlib.contextmanager
def real_kafka(a, heap='512m'):
    """One node of Apache Kafka (KRaft), made for a while: its address."""
    base = free_base()
    kafka = f'127.0.0.1:{base}'
    server = a.write('server.properties', f'''process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{base + 1}
listeners=PLAINTEXT://127.0.0.1:{base},CONTROLLER://127.0.0.1:{base + 1}
advertised.listeners=PLAINTEXT://127.0.0.1:{base}
controller.listener.names=CONTROLLER
log.dirs={a.folder}/kafka
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=3
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
''')
    a.run('kafka.tools.StorageTool', 'format', '-t', 'TernInteropKafkaNode01w', '-c', server)
    with a.background('kafka', 'kafka.Kafka', server, heap=heap) as broker:
        until(f'Apache Kafka answers: {broker.tail()}', lambda: subprocess.run(
            ['kcat', '-L', '-b', kafka, '-m', '2'], capture_output=True, timeout=30).returncode == 0, 240)
        yield kafka


def until(what, question, seconds=180):
    if not failover.wait(question, seconds):
        raise Failure(f'{what}: not within {seconds} s')


def has(what, text, *patterns):
    for pattern in patterns:
        if not re.search(pattern, text):
            raise Failure(f'{what}: no {pattern!r} in {" ".join(text.split())[-400:]!r}')


def values(cluster, topic):
    return [v for _, _, v in failover.final_read(cluster, topic)]


# ---- tools ---------------------------------------------------------------------------------------


@tool
def kafka_topics(a):
    a.topic('io-t', 3)
    has('--list', a.ask('TopicCommand', '--list'), r'(?m)^io-t$')
    has('--describe', a.ask('TopicCommand', '--describe', '--topic', 'io-t'), r'PartitionCount: 3', r'ReplicationFactor: 3', r'Partition: 2')
    a.ask('TopicCommand', '--alter', '--topic', 'io-t', '--partitions', '5')
    has('--alter', a.ask('TopicCommand', '--describe', '--topic', 'io-t'), r'PartitionCount: 5')
    a.ask('TopicCommand', '--create', '--topic', 'io-placed', '--replica-assignment', '3:1:2,2:3:1')
    has('--replica-assignment', a.ask('TopicCommand', '--describe', '--topic', 'io-placed'), r'Replicas: 3,1,2\b', r'Replicas: 2,3,1\b')
    a.ask('TopicCommand', '--delete', '--topic', 'io-t')
    if re.search(r'(?m)^io-t$', a.ask('TopicCommand', '--list')):
        raise Failure('a deleted topic is listed')


@tool
def kafka_configs(a):
    a.topic('io-configs', 1)
    entity = ('--entity-type', 'topics', '--entity-name', 'io-configs')

    def configs(*words):
        return a.run('kafka.admin.ConfigCommand', '--bootstrap-server', a.brokers, *words)
    configs('--alter', *entity, '--add-config', 'retention.ms=3600000,max.message.bytes=100000')
    has('--describe', configs('--describe', *entity), 'retention.ms=3600000', 'max.message.bytes=100000')
    configs('--alter', *entity, '--delete-config', 'retention.ms')
    if 'retention.ms=3600000' in configs('--describe', *entity):
        raise Failure('a deleted config is still described')
    has('brokers', configs('--describe', '--entity-type', 'brokers', '--entity-name', '1', '--all'), 'node.id|broker.id|broker.rack')


@tool
def kafka_console_producer_and_consumer(a):
    a.topic('io-console')
    a.fill('io-console', range(200))
    out = a.ask('consumer.ConsoleConsumer', '--topic', 'io-console', '--from-beginning', '--max-messages', '200', '--timeout-ms', '60000')
    expect('read', sorted(map(int, out.split())), list(range(200)))


@tool
def kafka_get_offsets(a):
    a.topic('io-offsets')
    a.fill('io-offsets', range(100))

    def total(when):
        out = a.ask('GetOffsetShell', '--topic', 'io-offsets', '--time', when)
        return sum(int(line.rsplit(':', 1)[1]) for line in out.split() if line.rsplit(':', 1)[1])
    expect('earliest', total('earliest'), 0)
    expect('latest', total('latest'), 100)


@tool
def kafka_consumer_groups(a):
    a.topic('io-groups')
    a.fill('io-groups', range(100))
    a.ask('consumer.ConsoleConsumer', '--topic', 'io-groups', '--group', 'io-tool', '--from-beginning', '--max-messages', '100', '--timeout-ms', '60000')

    def groups(*words, **options):
        return a.ask('consumer.group.ConsumerGroupCommand', *words, **options)
    has('--list', groups('--list'), 'io-tool')

    def lag():
        return sum(int(line.split()[5]) for line in groups('--describe', '--group', 'io-tool').splitlines() if line.startswith('io-tool '))
    expect('lag', lag(), 0)
    groups('--reset-offsets', '--group', 'io-tool', '--topic', 'io-groups', '--to-earliest', '--execute')
    expect('lag after the reset', lag(), 100)
    groups('--delete-offsets', '--group', 'io-tool', '--topic', 'io-groups')
    groups('--delete', '--group', 'io-tool')
    if 'io-tool' in groups('--list'):
        raise Failure('a deleted group is listed')


@tool
def kafka_metadata_quorum(a):
    def quorum(*words):
        return a.run('org.apache.kafka.tools.MetadataQuorumCommand', '--bootstrap-server', a.brokers, 'describe', *words)
    has('--status', quorum('--status'), r'LeaderId:\s+[123]', r'CurrentVoters:')
    expect('leaders', len(re.findall('Leader', quorum('--replication').split('Status', 1)[-1])), 1)


@tool
def kafka_leader_election(a):
    a.topic('io-election')

    def elect(*words):
        return a.run('org.apache.kafka.tools.LeaderElectionCommand', '--bootstrap-server', a.brokers, '--election-type', 'preferred', *words)
    has('one partition', elect('--topic', 'io-election', '--partition', '1'),
        r'(already elected|completed leader election \(PREFERRED\)) for partitions io-election-1')
    elect('--all-topic-partitions')


@tool
def kafka_reassign_partitions(a):
    a.topic('io-reassign', 1)
    def reassign(*words):
        return a.run('org.apache.kafka.tools.reassign.ReassignPartitionsCommand', '--bootstrap-server', a.brokers, *words)
    # Three nodes, one in each region: there is no other set of replicas, and their order means nothing in tern.
    move = a.write('move.json', json.dumps({'version': 1, 'topics': [{'topic': 'io-reassign'}]}))
    told = reassign('--topics-to-move-json-file', move, '--broker-list', '1,2,3', '--generate')
    now = json.loads(next(line for line in told.splitlines() if line.startswith('{')))
    dirs = json.loads(a.ask('LogDirsCommand', '--describe', '--topic-list', 'io-reassign').splitlines()[-1])
    of = {b['broker']: b['logDirs'][0]['logDir'] for b in dirs['brokers']}
    for partition in now['partitions']:
        partition['log_dirs'] = [of[n] for n in partition['replicas']]
    plan = a.write('reassign.json', json.dumps(now))
    reassign('--reassignment-json-file', plan, '--execute')

    told = []

    def verified():
        told[:] = [reassign('--reassignment-json-file', plan, '--verify')]
        return 'Reassignment of partition io-reassign-0 is completed' in told[0] and \
            len(re.findall(r'Reassignment of replica io-reassign-0-[123] completed successfully', told[0])) == 3
    try:
        until('--verify says complete', verified, 120)
    except Failure as f:
        raise Failure(f'{f}: {told}') from f
    reassign('--list')


@tool
def kafka_delete_records(a):
    a.topic('io-delete', 1)
    a.fill('io-delete', range(100))
    plan = a.write('delete.json', json.dumps({'version': 1, 'partitions': [{'topic': 'io-delete', 'partition': 0, 'offset': 40}]}))
    has('answer', a.ask('DeleteRecordsCommand', '--offset-json-file', plan), 'low_watermark: 40')
    has('earliest', a.ask('GetOffsetShell', '--topic', 'io-delete', '--time', 'earliest'), 'io-delete:0:40')
    expect('left', [int(v) for v in values(a.cluster, 'io-delete')], list(range(40, 100)))


@tool
def kafka_transactions(a):
    a.topic('io-tool-tx', 1)
    done = subprocess.run(['kcat', '-P', '-b', a.brokers, '-t', 'io-tool-tx', '-X', 'transactional.id=io-tool-tx'], input='1\n2\n',
                          capture_output=True, text=True, timeout=90)
    expect('a transaction', done.returncode, 0)

    def transactions(*words):
        return a.run('org.apache.kafka.tools.TransactionsCommand', '--bootstrap-server', a.brokers, *words)
    has('list', transactions('list'), 'io-tool-tx')
    has('describe', transactions('describe', '--transactional-id', 'io-tool-tx'), 'CompleteCommit|Empty')
    has('describe-producers', transactions('describe-producers', '--topic', 'io-tool-tx', '--partition', '0'), r'ProducerId')
    transactions('find-hanging', '--topic', 'io-tool-tx')


@tool
def kafka_transactions_find_hanging_by_broker(a):
    a.topic('io-hanging')
    a.fill('io-hanging', range(10))
    a.run('org.apache.kafka.tools.TransactionsCommand', '--bootstrap-server', a.brokers, 'find-hanging', '--broker-id', '1')


@tool
def kafka_verifiable_producer_and_consumer(a):
    a.topic('io-verifiable')
    events = []
    for line in a.ask('VerifiableProducer', '--topic', 'io-verifiable', '--max-messages', '500', '--acks', '-1').splitlines():
        told = json.loads(line)
        if told['name'] == 'producer_send_success':
            for kind, fields in (('send', [told['value']]), ('ack', [told['topic'], told['partition'], told['offset'], told['value']])):
                events.append(checker.Event(told['timestamp'] * 1000, kind, [str(f) for f in fields]))
    for line in a.ask('VerifiableConsumer', '--topic', 'io-verifiable', '--group-id', 'io-verifiable', '--max-messages', '500', '--verbose',
                      '--reset-policy', 'earliest').splitlines():
        told = json.loads(line)
        at = told['timestamp'] * 1000
        if told['name'] == 'record_data':
            events.append(checker.Event(at, 'read', [told['topic'], str(told['partition']), str(told['offset']), told['value']]))
        if told['name'] == 'offsets_committed' and told.get('success'):
            for o in told['offsets']:
                events.append(checker.Event(at, 'commit', ['io-verifiable', o['topic'], str(o['partition']), str(o['offset'])]))
    finals = [checker.Event(2**62, 'final', ['io-verifiable', *r]) for r in failover.final_read(a.cluster, 'io-verifiable')]
    # It tells milliseconds, so what it read and committed in one is in the order in which it told.
    story = checker.Story([events, finals])
    expect('acks', len(story.acks), 500)
    expect('wrong', checker.produce(story) + checker.group(story), [])


@tool
def kafka_producer_perf_test(a):
    a.topic('io-perf')
    has('its sum', a.run('org.apache.kafka.tools.ProducerPerformance', '--topic', 'io-perf', '--num-records', '5000', '--record-size', '200',
                         '--throughput', '-1', '--producer-props', f'bootstrap.servers={a.brokers}', 'acks=all'),
        r'5000 records sent')
    expect('records', sum(int(x) for x in re.findall(r'io-perf:\d+:(\d+)', a.ask('GetOffsetShell', '--topic', 'io-perf'))), 5000)


@tool
def kafka_broker_api_versions(a):
    out = a.run('org.apache.kafka.tools.BrokerApiVersionsCommand', '--bootstrap-server', a.brokers)
    expect('brokers', len(re.findall(r'\(id: \d+ rack: ', out)), 3)


@tool
def kafka_log_dirs(a):
    a.topic('io-dirs', 1)
    a.fill('io-dirs', range(100))
    told = json.loads(a.ask('LogDirsCommand', '--describe', '--topic-list', 'io-dirs').splitlines()[-1])
    places = {b['broker']: [(p['partition'], p['size'] > 0) for d in b['logDirs'] for p in d['partitions']] for b in told['brokers']}
    expect('its replicas, and that they hold something', places, {n: [('io-dirs-0', True)] for n in (1, 2, 3)})


@tool
def kafka_features(a):
    def level():
        return re.search(r'Feature: transaction.version.*FinalizedVersionLevel: (\d+)', a.ask('FeatureCommand', 'describe')).group(1)
    has('describe', a.ask('FeatureCommand', 'describe'), r'Feature: group.version', r'Feature: transaction.version')
    expect('before', level(), '1')
    a.ask('FeatureCommand', 'upgrade', '--feature', 'transaction.version=2')
    until('it is upgraded', lambda: level() == '2', 20)
    a.ask('FeatureCommand', 'downgrade', '--feature', 'transaction.version=1')
    until('it is downgraded', lambda: level() == '1', 20)


# ---- programs ------------------------------------------------------------------------------------


@app
def connect_file_source_and_sink(a):
    """Standalone: a file into a topic, the topic into another file; the leader region dies on the way."""
    a.topic('io-connect', 3)
    source, sink = a.write('source.txt', ''), os.path.join(a.folder, 'sink.txt')
    port = free_base()
    worker = a.write('worker.properties', f'''bootstrap.servers={a.brokers}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename={a.folder}/connect.offsets
offset.flush.interval.ms=1000
listeners=http://127.0.0.1:{port}
plugin.discovery=hybrid_warn
consumer.auto.offset.reset=earliest
''')
    into = a.write('into.properties', f'name=into\nconnector.class=FileStreamSource\ntasks.max=1\nfile={source}\ntopic=io-connect\n')
    out = a.write('out.properties', f'name=out\nconnector.class=FileStreamSink\ntasks.max=1\nfile={sink}\ntopics=io-connect\n')

    def sunk():
        return sorted(set(open(sink).read().split())) if os.path.exists(sink) else []

    def append(numbers):
        with open(source, 'a') as f:
            f.write(''.join(f'{n:05}\n' for n in numbers))
    append(range(200))
    with a.background('connect', 'org.apache.kafka.connect.cli.ConnectStandalone', worker, into, out, heap='384m') as process:
        try:
            until('the first lines are in the sink', lambda: len(sunk()) >= 200, 240)
            leaders = a.cluster.leaders('io-connect')
            region = max(leaders, key=leaders.get)
            a.cluster.regions('kill', region)
            append(range(200, 400))
            until('the lines after the kill are in the sink', lambda: len(sunk()) >= 400, 180)
        except Failure as f:
            raise Failure(f'{f}: {process.tail()}') from f
        finally:
            for r in REGIONS:
                if a.cluster.pid(r) is None:
                    a.cluster.regions('start', r)
    expect('lines', sunk(), [f'{n:05}' for n in range(400)])
    expect('lines of the topic', sorted(values(a.cluster, 'io-connect')), [f'{n:05}' for n in range(400)])


@app
def streams_word_count_exactly_once_v2(a):
    """The sum of each word is exact although the leader region dies while it counts."""
    a.topic('io-lines', 3)
    a.topic('io-counts', 3)
    classes = toolchain.java_classes('classes-streams', [os.path.join(toolchain.HERE, 'apps', 'WordCount.java')], a.jars)

    def counts():
        done = subprocess.run(['kcat', '-C', '-q', '-e', '-b', a.brokers, '-t', 'io-counts', '-o', 'beginning', '-f', '%k %s\n',
                               '-X', 'isolation.level=read_committed'], capture_output=True, text=True, timeout=120)
        return dict(line.split() for line in done.stdout.splitlines()) if done.returncode == 0 else {}
    lines = [f'word{n % 7} word{n % 11} tern' for n in range(300)]
    wanted = {}
    for line in lines + lines:
        for word in line.split():
            wanted[word] = wanted.get(word, 0) + 1
    a.fill('io-lines', lines)
    with a.background('streams', 'WordCount', a.brokers, 'io-lines', 'io-counts', os.path.join(a.folder, 'streams'), heap='384m',
                      classes=classes) as process:
        try:
            until('the first half is counted', lambda: int(counts().get('tern', 0)) >= 300, 300)
            leaders = a.cluster.leaders('io-counts')
            region = max(leaders, key=leaders.get)
            a.fill('io-lines', lines[:150])
            a.cluster.regions('kill', region)
            a.fill('io-lines', lines[150:])
            until('all is counted', lambda: int(counts().get('tern', 0)) >= 600, 240)
            time.sleep(3)
        except Failure as f:
            raise Failure(f'{f}: {counts()} {process.tail()}') from f
        finally:
            for r in REGIONS:
                if a.cluster.pid(r) is None:
                    a.cluster.regions('start', r)
    expect('counts', {w: int(n) for w, n in counts().items()}, wanted)


def mirror_both_ways(a, kafka):
    mirror = a.write('mirror.properties', f'''clusters=kafka,tern
kafka.bootstrap.servers={kafka}
tern.bootstrap.servers={a.brokers}
kafka->tern.enabled=true
kafka->tern.topics=io-from-kafka
tern->kafka.enabled=true
tern->kafka.topics=io-from-tern
tern->kafka.config.properties.exclude=follower\\\\.replication\\\\.throttled\\\\.replicas,leader\\\\.replication\\\\.throttled\\\\.replicas,tern\\\\..*
kafka->tern.replication.factor=3
tern->kafka.replication.factor=1
kafka->tern.checkpoints.topic.replication.factor=3
kafka->tern.heartbeats.topic.replication.factor=3
kafka->tern.offset-syncs.topic.replication.factor=1
tern->kafka.checkpoints.topic.replication.factor=1
tern->kafka.heartbeats.topic.replication.factor=1
tern->kafka.offset-syncs.topic.replication.factor=3
tern.offset.storage.replication.factor=3
tern.status.storage.replication.factor=3
tern.config.storage.replication.factor=3
kafka.offset.storage.replication.factor=1
kafka.status.storage.replication.factor=1
kafka.config.storage.replication.factor=1
refresh.topics.interval.seconds=5
refresh.groups.interval.seconds=5
emit.checkpoints.interval.seconds=5
sync.group.offsets.enabled=true
sync.group.offsets.interval.seconds=5
sync.topic.acls.enabled=false
consumer.auto.offset.reset=earliest
tasks.max=1
''')

    def read(brokers, topic):
        done = subprocess.run(['kcat', '-C', '-q', '-e', '-b', brokers, '-t', topic, '-o', 'beginning'], capture_output=True, text=True,
                              timeout=60)
        return [int(x) for x in done.stdout.split()] if done.returncode == 0 else []

    def write(brokers, topic, numbers):
        subprocess.run(['kcat', '-P', '-b', brokers, '-t', topic], input=''.join(f'{n}\n' for n in numbers), text=True, check=True, timeout=60)
    a.run('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', kafka, '--create', '--topic', 'io-from-kafka', '--partitions', '1')
    a.topic('io-from-tern', 1)
    write(kafka, 'io-from-kafka', range(300))
    write(a.brokers, 'io-from-tern', range(300))
    with a.background('mirror', 'org.apache.kafka.connect.mirror.MirrorMaker', mirror, heap='512m') as process:
        try:
            until('tern has what Kafka has', lambda: len(read(a.brokers, 'kafka.io-from-kafka')) >= 300, 300)
            until('Kafka has what tern has', lambda: len(read(kafka, 'tern.io-from-tern')) >= 300, 300)
        except Failure as f:
            raise Failure(f'{f}: {process.tail()}') from f
    expect('in tern', read(a.brokers, 'kafka.io-from-kafka'), list(range(300)))
    expect('in Kafka', read(kafka, 'tern.io-from-tern'), list(range(300)))


@app
def mirror_maker_2_both_ways(a):
    """Between a real Apache Kafka (KRaft, one node) and tern: topics arrive on the other side, whole and in order."""
    with real_kafka(a) as kafka:
        mirror_both_ways(a, kafka)
