# SPDX-License-Identifier: Apache-2.0
"""The systems that are compared: each three nodes, one in each region of tests/wan, one system at a time."""
import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, 'build/bench/peers')
REGIONS = ['eu-west', 'eu-central', 'eu-north']
NAMESPACES = os.path.join(ROOT, 'tests/wan/namespaces')
BIN = os.path.abspath(os.environ.get('TERN_BIN', os.path.join(ROOT, 'build/release')))
sys.path[:0] = [HERE, os.path.join(ROOT, 'tests/interop'), os.path.join(ROOT, 'tests/live')]
import kafka_wire  # noqa: E402
import openssl  # noqa: E402
import toolchain  # noqa: E402
from cluster import free_base  # noqa: E402


class Failed(Exception):
    """This could not be measured; says why."""


def run(words, timeout=120, good=(0,), env=None, stdin=None):
    try:
        done = subprocess.run(words, env=env, cwd=ROOT, text=True, timeout=timeout, capture_output=True, stdin=stdin)
    except subprocess.TimeoutExpired:
        raise Failed(f'{" ".join(words)[-200:]}: not within {timeout} s') from None
    if good is not None and done.returncode not in good:
        raise Failed(f'{" ".join(words)[-200:]}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}')
    return done


def until(what, seconds, question):
    end = time.monotonic() + seconds
    while True:
        try:
            answer = question()
        except (OSError, kafka_wire.Refused, Failed) as e:
            answer, what = None, f'{what} ({e})'[:300]
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds} s')
        time.sleep(0.1)


PLACES = os.path.join(OUT, 'places')


def make_fresh(path):
    """An empty directory at path, which is a link to another place each time. ext4 looks through the inodes that were deleted within the last minutes before it gives one of
    their group to a new file: where a system of 10,000 partitions had just been wiped, making as many took both cores for ten seconds (`find_inode_bit`), whoever made them.
    Below a directory with the attribute T each name begins in a group of its own; other file systems have no such attribute and do not look."""
    shutil.rmtree(os.path.realpath(path), ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.makedirs(PLACES, exist_ok=True)
    run(['chattr', '+T', PLACES], good=None)
    place = os.path.join(PLACES, f'{os.path.basename(path)}-{time.time_ns()}')
    os.mkdir(place)
    os.symlink(place, path)


def in_bytes(text):
    """As tern writes sizes: 1024B, 64KiB, 32MiB."""
    for unit, factor in (('KiB', 1 << 10), ('MiB', 1 << 20), ('B', 1)):
        if text.endswith(unit):
            return int(text[:-len(unit)]) * factor
    raise ValueError(f'not a size: {text}')


def alive(pid):
    """A killed process whose threads still wait for the disk is a zombie, and has its locks."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX' or len(os.listdir(f'/proc/{pid}/task')) > 1
    except OSError:
        return False


def prefer(pids):
    """Before other work of the machine: their sessions get the priority that this process has, for the kernel shares time among sessions first."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    for pid in [os.getpid(), *pids]:
        try:
            with open(f'/proc/{pid}/autogroup', 'w') as f:
                f.write(str(nice))
        except OSError:
            pass  # this kernel does not group by sessions, or it is gone


class System:
    """What all have in common. `name` is in the results; `title` is for people."""
    kafka = True  # it speaks Kafka, so `tern bench` drives it
    best_in_flight = 1

    def __init__(self):
        self.dir = os.path.join(OUT, self.name)
        self.topics = {}  # name -> partitions
        self.network = None

    # ---- the network ---------------------------------------------------------------------------------

    def net(self, verb, *words, **options):
        return run([NAMESPACES, verb, self.state, *words], env={**os.environ, 'WAN_BIN': os.path.join(BIN, 'wan')}, **options)

    def shape(self, profile, loss=0.0):
        """Another distance between the regions, while it runs."""
        if self.network != (profile, loss):
            self.net('ctl', 'reset') if self.network and self.network[1] and not loss else None
            self.net('ctl', 'profile', profile, *([f'loss={loss}'] if loss else []))
            self.network = (profile, loss)
            time.sleep(3)  # time-outs and windows get used to it

    def address(self, n):
        return self.net('address', str(n)).stdout.strip()

    def emulator(self):
        with open(os.path.join(self.state, 'emulator.pid')) as f:
            return int(f.read())

    def cut(self, n):
        self.net('ctl', 'cut', REGIONS[n - 1])

    def heal(self):
        self.net('ctl', 'heal')

    # ---- processes -----------------------------------------------------------------------------------

    def pid_file(self, n):
        return os.path.join(self.dir, f'n{n}.pid')

    def pid(self, n):
        try:
            with open(self.pid_file(n)) as f:
                pid = int(f.read())
        except (OSError, ValueError):
            return None
        return pid if alive(pid) else None

    def pids(self):
        return [p for p in map(self.pid, (1, 2, 3)) if p]

    def launch(self, n, words):
        with open(os.path.join(self.dir, f'n{n}.log'), 'ab') as log:
            process = subprocess.Popen([NAMESPACES, 'exec', self.state, str(n), '--', *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       cwd=ROOT, start_new_session=True)
        with open(self.pid_file(n), 'w') as f:
            f.write(str(process.pid))
        prefer([process.pid])
        return process

    def kill(self, n, number=signal.SIGKILL, wait=True):
        pid = self.pid(n)
        if pid:
            os.kill(pid, number)
            end = time.monotonic() + 20
            while wait and alive(pid):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                    end += 20
                time.sleep(0.02)
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass

    def pause(self, n):
        self.kill(n, signal.SIGSTOP, wait=False)

    def resume(self, n):
        self.kill(n, signal.SIGCONT, wait=False)

    def tail(self, n):
        try:
            with open(os.path.join(self.dir, f'n{n}.log'), errors='replace') as f:
                return ' '.join(f.read()[-600:].split())
        except OSError:
            return ''

    def up(self, profile):
        make_fresh(self.dir)
        base = free_base()
        self.ports = [[base + 3 * i + k for k in range(3)] for i in range(3)]
        self.net('up', '--profile', profile, *[f'{r}={",".join(map(str, p))}' for r, p in zip(REGIONS, self.ports)])
        self.network = (profile, 0.0)
        self.hosts = [self.address(n) for n in (1, 2, 3)]
        self.save()
        self.prepare()
        for n in (1, 2, 3):
            self.start(n, wait=False)
        self.wait_up()

    def warm_up(self, load):
        """For who is slower until it has run for a while; without distance, before the first row of full load."""

    def wipe_others(self):
        """What systems that are down have stored, and what is left of calls that were killed: tens of GB. Of this one `up` does it, which ends its processes first."""
        for place in glob.glob(os.path.join(PLACES, '*')):
            if os.path.realpath(place) != os.path.realpath(self.dir):
                shutil.rmtree(place, ignore_errors=True)

    def wipe(self):
        shutil.rmtree(os.path.realpath(self.dir), ignore_errors=True)

    def beside(self, n):
        """Another cluster of the same kind."""
        other = type(self)()
        other.dir = f'{self.dir}-{n}'
        return other

    def save(self):
        """For `peers do`, which acts on it from a shell command of a fault."""
        with open(os.path.join(self.dir, 'system.json'), 'w') as f:
            json.dump({'name': self.name, 'ports': self.ports, 'hosts': self.hosts}, f)

    def load(self):
        with open(os.path.join(self.dir, 'system.json')) as f:
            kept = json.load(f)
        self.ports, self.hosts = kept['ports'], kept['hosts']

    def down(self):
        for n in (1, 2, 3):
            self.resume(n)
            self.kill(n, signal.SIGTERM, wait=False)
        for n in (1, 2, 3):
            self.kill(n)
        self.net('down', good=None)

    @property
    def state(self):
        return os.path.join(self.dir, 'wan')

    def addresses(self):
        return [f'{h}:{p[0]}' for h, p in zip(self.hosts, self.ports)]

    # ---- load ----------------------------------------------------------------------------------------

    def load_words(self, verb, topic, **options):
        words = [os.path.join(BIN, 'tern'), 'bench', verb, topic, '-o', 'json']
        for a in self.addresses():
            words += ['--bootstrap', a]
        for key, value in options.items():
            words += [f'--{key.replace("_", "-")}'] + ([] if value is True else [str(value)])
        return words

    def bench(self, verb, topic, timeout=180, **options):
        done = run(self.load_words(verb, topic, **options), timeout=timeout, good=None, env=os.environ)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failed(f'{verb} {topic}: {done.stderr.strip()[-300:]}') from None

    def place_controller(self, n, there):
        """Until node n is the controller, or is not; whoever is it and should not be stands still for a while."""
        for _ in range(20):
            now = until('somebody is the controller', 60, self.controller)
            if (now == n) == there:
                return
            self.pause(now)
            time.sleep(3)
            self.resume(now)
            time.sleep(1)
        raise Failed(f'node {n} is {"not" if there else "always"} the controller')

    def fault_command(self, verb, n):
        return f'{os.path.join(HERE, "peers")} do {self.name} {verb} {n}'

    def remove_all(self):
        for name in list(self.topics):
            self.remove(name)


class Tern(System):
    title = 'tern'
    best_in_flight = 100
    extra = ''

    POLICIES = '''policy: bench-lead
topics: []
mode: sync
ack: 2
leaders: [eu-west, eu-central, eu-north]
---
policy: bench-spread
topics: []
mode: sync
ack: 2
---
policy: bench-async
topics: []
mode: async
home: eu-west
'''

    def env(self):
        return dict(os.environ, REGIONS_DIR=self.dir, REGIONS_BIN=BIN, REGIONS_PORT_BASE=str(self.ports[0][0]), REGIONS_EXTRA=self.extra,
                    TERN_PROFILE=os.path.join(self.dir, 'profile.yaml'))

    def regions(self, *words, timeout=150, **options):
        return run([os.path.join(ROOT, 'deploy/local/regions'), *words], env=self.env(), timeout=timeout, stdin=subprocess.DEVNULL, **options)

    def tern(self, *words, **options):
        return run([os.path.join(BIN, 'tern'), *words], env=self.env(), **options)

    def ask(self, *words):
        return json.loads(self.tern(*words, '-o', 'json', good=(0, 10, 11, 12)).stdout)

    def pid_file(self, n):
        return os.path.join(self.dir, REGIONS[n - 1], 'pid')

    def up(self, profile):
        base = free_base()
        self.ports = [[base + 3 * i + k for k in range(3)] for i in range(3)]
        self.regions('down', good=None)
        make_fresh(self.dir)
        self.regions('up', '--wan', profile)
        self.network = (profile, 0.0)
        self.hosts = [self.address(n) for n in (1, 2, 3)]
        self.save()
        path = os.path.join(self.dir, 'policies.yaml')
        with open(path, 'w') as f:
            f.write(self.POLICIES.replace('topics: []\n', ''))
        self.tern('policy', 'apply', path)
        for name in ('payments', 'clicks'):
            self.tern('topic', 'delete', name, '--yes', good=None)

    def start(self, n):
        self.regions('start', REGIONS[n - 1])
        prefer([self.pid(n)])

    def down(self):
        self.regions('down', good=None)

    def make(self, name, partitions, leader=None, mode='sync'):
        policy = 'bench-async' if mode == 'async' else 'bench-lead' if leader else 'bench-spread'
        self.topics[name] = partitions

        def made():
            done = self.tern('topic', 'create', name, '--partitions', str(partitions), '--policy', policy, '--timeout', '30s', good=(0, 13))
            if done.returncode == 13 and 'exists already' not in done.stderr + done.stdout:  # it does if an answer was late
                raise Failed((done.stderr or done.stdout).strip()[-300:])
            return True
        until(f'topic {name}', 90, made)

        def led():
            found = next((t for t in self.ask('topic', 'list')['topics'] if t['name'] == name), None)
            where = found['leaders'] if found else {}
            return sum(where.values()) == partitions and (not leader or where.get(REGIONS[leader - 1]) == partitions)
        until(f'{name} is led', 90, led)

    def remove(self, name):
        until(f'{name} is gone', 60, lambda: self.tern('topic', 'delete', name, '--yes', '--timeout', '30s', good=(0, 13)))
        time.sleep(self.topics.pop(name) / 90)  # a node removes the files of five partitions each 50 ms

    def whole(self, name):
        """Does every replica have all that its leader has?"""
        for partition in self.ask('topic', 'describe', name)['partition_list']:
            if partition['log_end'] is None or any(r['durable_end'] is None or r['durable_end'] < partition['log_end'] - 100 for r in partition['replicas']):
                return False
        return True

    def controller(self):
        quorum = self.ask('quorum')
        return next((REGIONS.index(n['region']) + 1 for n in quorum['nodes'] if n['id'] == quorum['leader']), None)

    def settings(self):
        with open(os.path.join(self.dir, REGIONS[0], 'ternd.yaml')) as f:
            return {'ternd.yaml': f.read().replace(self.dir, 'DIR'), 'policies': self.POLICIES.replace('topics: []\n', '')}

    def version(self):
        return run([os.path.join(BIN, 'tern'), 'version']).stdout.split()[-1]


class TernDefault(Tern):
    name = 'tern'
    title = 'tern, defaults'


class TernBest(Tern):
    name = 'tern-best'
    title = f'tern, larger journal and cache, OpenSSL {openssl.VERSION}'
    extra = 'store: {journal_file: 128MiB, journal_files: 8, cache: 64MiB}'

    def env(self):
        try:
            return {**super().env(), 'LD_LIBRARY_PATH': openssl.libraries()}
        except toolchain.Missing as e:
            raise Failed(f'OpenSSL {openssl.VERSION} cannot be had: {e}') from None

    def start(self, n):
        super().start(n)
        self.check(n)

    def up(self, profile):
        super().up(profile)
        for n in (1, 2, 3):
            self.check(n)

    def check(self, n):
        if not openssl.is_used_by(self.pid(n)):
            raise Failed(f'node {n} runs with another OpenSSL than {openssl.VERSION}')


class Kafka(System):
    """Heap and collector as bin/kafka-server-start.sh of the distribution has them."""
    JVM = ['-Xmx1G', '-Xms1G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35',
           '-XX:+ExplicitGCInvokesConcurrent', '-XX:MaxInlineLevel=15', '-Djava.awt.headless=true', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
    CLUSTER = 'TernBenchKafkaPeers01w'

    def version(self):
        import apache
        return apache.VERSION

    def jars(self):
        import apache
        try:
            return apache.jars()
        except toolchain.Missing as e:
            raise Failed(f'Apache Kafka cannot be had: {e}') from None

    def properties(self, n):
        voters = ','.join(f'{i}@10.90.0.{i}:{self.ports[i - 1][1]}' for i in (1, 2, 3))
        listeners = f'PLAINTEXT://0.0.0.0:{self.ports[n - 1][0]},CONTROLLER://0.0.0.0:{self.ports[n - 1][1]}'
        return {'process.roles': 'broker,controller', 'node.id': str(n), 'broker.rack': REGIONS[n - 1], 'controller.quorum.voters': voters,
                'listeners': listeners, 'advertised.listeners': f'PLAINTEXT://{self.hosts[n - 1]}:{self.ports[n - 1][0]}',
                'controller.listener.names': 'CONTROLLER', 'log.dirs': os.path.join(self.dir, f'n{n}'),
                'default.replication.factor': '3', 'offsets.topic.replication.factor': '3', 'transaction.state.log.replication.factor': '3',
                'share.coordinator.state.topic.replication.factor': '3', 'auto.create.topics.enable': 'false', **self.extra}

    def config_path(self, n):
        return os.path.join(self.dir, f'n{n}.properties')

    def prepare(self):
        jars = self.jars()
        for n in (1, 2, 3):
            with open(self.config_path(n), 'w') as f:
                f.write(''.join(f'{k}={v}\n' for k, v in self.properties(n).items()))
            run(['java', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', f'{jars}/*', 'kafka.tools.StorageTool', 'format', '-t', self.CLUSTER,
                 '-c', self.config_path(n)], timeout=180)

    def start(self, n, wait=True):
        self.launch(n, ['java', *self.JVM, '-cp', f'{self.jars()}/*', 'kafka.Kafka', self.config_path(n)])
        if wait:
            until(f'node {n} serves: {self.tail(n)}', 90, lambda: kafka_wire.metadata(self.addresses()[n - 1]))
            until('all are in sync', 90, lambda: all(len(isr) == 3 for t in self.known() for isr in kafka_wire.metadata(self.addresses()[0], t)['isr']))

    def known(self):
        """Topics, also from another process."""
        path = os.path.join(self.dir, 'topics')
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return f.read().split()

    def wait_up(self):
        until(f'Kafka answers ({self.tail(1)})', 180, lambda: len(kafka_wire.metadata(self.addresses()[0])['brokers']) == 3)
        for a in self.addresses():
            until(f'{a} answers', 60, lambda at=a: len(kafka_wire.metadata(at)['brokers']) == 3)

    def make(self, name, partitions, leader=None, mode='sync'):
        first = [leader or 1 + p % 3 for p in range(partitions)]
        nodes = [[(f - 1 + k) % 3 + 1 for k in range(3)] for f in first]
        self.topics[name] = partitions
        until(f'topic {name}', 60, lambda: kafka_wire.create_topic(self.addresses()[0], name, nodes) or True)
        with open(os.path.join(self.dir, 'topics'), 'w') as f:
            f.write('\n'.join(self.topics))

        def led():
            told = [kafka_wire.metadata(a, name) for a in self.addresses()]
            if any(t['error'] != 0 or len(t['leaders']) != partitions or any(len(i) != 3 for i in t['isr']) for t in told):
                return False
            if any(t['leaders'] != first for t in told):  # with so many to make, a broker may have been taken for dead meanwhile
                kafka_wire.elect_preferred(self.addresses()[0])
                return False
            return True
        until(f'{name} is led', 120 + partitions / 50, led)

    def warm_up(self, load, seconds=15, times=8):
        """Until it gets no faster: then the compiler of the JVM has seen what is measured."""
        self.make('bench-warm', 100)
        acked = []
        while len(acked) < times and (len(acked) < 2 or acked[-1] > 1.05 * max(acked[:-1])):
            acked.append(self.bench('produce', 'bench-warm', rate='max', warmup='1s', duration=f'{seconds}s', **load)['records']['acked'])
        self.remove('bench-warm')

    def controller(self):
        return kafka_wire.quorum_leader(self.addresses()[0])

    def whole(self, name):
        return all(len(isr) == 3 for isr in kafka_wire.metadata(self.addresses()[0], name)['isr'])

    def remove(self, name):
        kafka_wire.delete_topic(self.addresses()[0], name)
        del self.topics[name]
        time.sleep(1)

    def settings(self):
        with open(self.config_path(1)) as f:
            return {'server.properties': f.read().replace(self.dir, 'DIR'), 'java': ' '.join(self.JVM)}


class KafkaDefault(Kafka):
    name = 'kafka'
    title = 'Apache Kafka, defaults (page cache)'
    extra = {}


class KafkaBest(Kafka):
    name = 'kafka-best'
    title = 'Apache Kafka, each message flushed, for a WAN'
    extra = {'log.flush.interval.messages': '1', 'min.insync.replicas': '2', 'socket.send.buffer.bytes': '-1', 'socket.receive.buffer.bytes': '-1',
             'replica.socket.receive.buffer.bytes': '-1', 'num.replica.fetchers': '4', 'replica.fetch.max.bytes': '8388608',
             'replica.fetch.response.max.bytes': '67108864', 'broker.session.timeout.ms': '3000', 'broker.heartbeat.interval.ms': '500',
             'controller.quorum.fetch.timeout.ms': '1000', 'controller.quorum.election.timeout.ms': '500',
             'controller.quorum.election.backoff.max.ms': '500', 'replica.lag.time.max.ms': '3000'}


class KafkaSsl(KafkaBest):
    """Brokers speak TLS to each other, with certificates of the kind that tern has. Clients do not."""
    name = 'kafka-ssl'
    title = 'the same, SSL between brokers'

    def properties(self, n):
        listeners = f'PLAINTEXT://0.0.0.0:{self.ports[n - 1][0]},INTERNAL://0.0.0.0:{self.ports[n - 1][2]}'
        return {**super().properties(n), 'listeners': f'{listeners},CONTROLLER://0.0.0.0:{self.ports[n - 1][1]}',
                'advertised.listeners': f'PLAINTEXT://{self.hosts[n - 1]}:{self.ports[n - 1][0]},INTERNAL://{self.hosts[n - 1]}:{self.ports[n - 1][2]}',
                'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,INTERNAL:SSL,CONTROLLER:PLAINTEXT', 'inter.broker.listener.name': 'INTERNAL',
                'ssl.keystore.type': 'PEM', 'ssl.keystore.location': os.path.join(self.dir, f'n{n}.pem'), 'ssl.truststore.type': 'PEM',
                'ssl.truststore.location': os.path.join(self.dir, 'certs/ca.crt'), 'ssl.endpoint.identification.algorithm': '', 'ssl.client.auth': 'required'}

    def prepare(self):
        certs = os.path.join(self.dir, 'certs')
        run([os.path.join(BIN, 'tern'), 'certs', 'create-ca', '--cluster', 'bench', '--certs-dir', certs])
        for n in (1, 2, 3):
            run([os.path.join(BIN, 'tern'), 'certs', 'create-node', '--node-id', str(n), '--region', REGIONS[n - 1], '--host', self.hosts[n - 1], '--certs-dir', certs])
            with open(os.path.join(self.dir, f'n{n}.pem'), 'w') as out:
                for kind in ('key', 'crt'):
                    with open(os.path.join(certs, f'node-{n}.{kind}')) as f:
                        out.write(f.read())
        super().prepare()


class Nats(System):
    kafka = False
    sync = ''

    def version(self):
        with open(os.path.join(HERE, 'nats/go.mod')) as f:
            return next(line.split()[-1] for line in f if 'nats-io/nats-server' in line and not line.startswith('module')).lstrip('v')

    def programs(self):
        source = os.path.join(HERE, 'nats')

        def make(folder):
            toolchain.sh('go', 'build', '-o', folder + '/', './...', cwd=source)
        try:
            toolchain.need('go')
            return toolchain.once('bench-nats', toolchain.tree(source, ('.go', 'go.mod', 'go.sum')), [toolchain.version_of('go', 'version')], make)
        except toolchain.Missing as e:
            raise Failed(f'NATS cannot be had: {e}') from None

    def config(self, n):
        routes = ', '.join(f'"nats://{h}:{p[1]}"' for h, p in zip(self.hosts, self.ports))
        return (f'server_name: n{n}\nlisten: "0.0.0.0:{self.ports[n - 1][0]}"\nclient_advertise: "{self.hosts[n - 1]}:{self.ports[n - 1][0]}"\n'
                f'cluster {{ name: bench, listen: "0.0.0.0:{self.ports[n - 1][1]}", cluster_advertise: "{self.hosts[n - 1]}:{self.ports[n - 1][1]}", '
                f'routes: [{routes}] }}\njetstream {{ store_dir: "{self.dir}/n{n}"{self.sync} }}\n')

    def prepare(self):
        self.made = self.programs()
        for n in (1, 2, 3):
            with open(os.path.join(self.dir, f'n{n}.conf'), 'w') as f:
                f.write(self.config(n))

    def start(self, n, wait=True):
        self.launch(n, [os.path.join(self.programs(), 'server'), os.path.join(self.dir, f'n{n}.conf')])
        if wait:
            time.sleep(3)

    def load_run(self, verb, timeout=180, good=(0,), **options):
        words = [os.path.join(self.programs(), 'load'), '-servers', ','.join(f'nats://{a}' for a in self.addresses())]
        for key, value in options.items():
            words += [f'-{key}', str(value)]
        return run([*words, verb], timeout=timeout, good=good)

    def wait_up(self):
        def works():
            self.load_run('setup', name='probe', streams=1, timeout=30)
            self.load_run('delete', name='probe', streams=1, timeout=30)
            return True
        until(f'JetStream answers ({self.tail(1)})', 90, works)

    def make(self, name, partitions, leader=None, mode='sync'):
        self.topics[name] = partitions
        self.load_run('setup', name=name, streams=partitions, leader=f'n{leader}' if leader else '', timeout=300)

    def remove(self, name):
        self.load_run('delete', name=name, streams=self.topics[name])
        del self.topics[name]

    def bench(self, verb, topic, timeout=180, **options):
        kept = {k: v for k, v in options.items() if k in ('rate', 'size', 'window', 'warmup', 'duration', 'out', 'drain', 'fault', 'heal', 'repeats', 'steady', 'settle')}
        kept['rate'] = 0 if kept.get('rate') == 'max' else kept.get('rate', 1000)
        for k in {'size', 'window'} & set(kept):
            kept[k] = in_bytes(kept[k])
        done = self.load_run(verb, name=topic, streams=self.topics[topic], timeout=timeout, good=None, **kept)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failed(f'{verb} {topic}: {done.stderr.strip()[-300:]}') from None

    def settings(self):
        with open(os.path.join(self.dir, 'n1.conf')) as f:
            return {'nats-server.conf': f.read().replace(self.dir, 'DIR'), 'streams': 'file storage, 3 replicas, duplicates 1m'}


class NatsDefault(Nats):
    name = 'nats'
    title = 'NATS JetStream R3, defaults (synced every 2 minutes)'


class NatsSync(Nats):
    name = 'nats-sync'
    title = 'NATS JetStream R3, sync_interval: always'
    sync = ', sync_interval: always'


SYSTEMS = {s.name: s for s in (TernDefault, KafkaDefault, KafkaBest, NatsSync, NatsDefault, TernBest, KafkaSsl)}
