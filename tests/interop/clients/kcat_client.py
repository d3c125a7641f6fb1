# SPDX-License-Identifier: Apache-2.0
"""kcat, driven through its stdin and stdout. What it prints has no values in it, so it writes to one partition in order."""
import re
import signal
import subprocess
import threading

from common import PER_TRANSACTION, Run

run = Run()
common = ['kcat', '-b', run.brokers]


def produce():
    p = subprocess.Popen([*common, '-P', '-t', run.topic, '-p', '0', '-vvv', '-X', 'enable.idempotence=true', '-X', 'acks=all',
                          '-X', 'linger.ms=5'], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    acked = []

    def reports():
        for line in p.stderr:
            m = re.search(r'Message delivered to partition (\d+) \(offset (\d+)\)', line)
            if m:
                run.log('ack', run.topic, m.group(1), m.group(2), len(acked))
                acked.append(m.group(2))
            elif 'Delivery failed' in line:
                run.fail(len(acked), line)
                acked.append(None)
            else:
                run.note('kcat', line)
    t = threading.Thread(target=reports)
    t.start()
    for n in run.numbers():
        run.log('send', n)
        p.stdin.write(f'{n}\n')
        p.stdin.flush()
    p.stdin.close()
    p.wait(60)
    t.join(10)


def consume():
    p = subprocess.Popen([*common, '-G', run.group, '-u', '-f', '%t %p %o %s\n', '-X', 'auto.offset.reset=earliest',
                          '-X', 'session.timeout.ms=10000', '-X', 'heartbeat.interval.ms=1000', '-X', 'auto.commit.interval.ms=300',
                          '-X', 'isolation.level=read_committed', run.topic], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def notes():
        for line in p.stderr:
            run.note('kcat', line)
    threading.Thread(target=notes, daemon=True).start()

    def reads():
        for line in p.stdout:
            run.log('read', *line.split())
    t = threading.Thread(target=reads)
    t.start()
    run.stop.wait()
    p.send_signal(signal.SIGINT)  # it commits and leaves
    p.wait(30)
    t.join(10)


def transact():
    """What stdin has is one transaction."""
    k = 0
    while not run.stop.is_set():
        run.log('begin', k)
        values = range(k * PER_TRANSACTION, (k + 1) * PER_TRANSACTION)
        for n in values:
            run.log('send', n)
        done = subprocess.run([*common, '-P', '-t', run.topic, '-X', f'transactional.id={run.id}', '-X', 'transaction.timeout.ms=20000'],
                              input=''.join(f'{n}\n' for n in values), capture_output=True, text=True, timeout=120)
        if done.returncode == 0:
            run.log('committed', k)
        else:
            run.note('kcat', done.stderr)
            run.log('unknown', k)
        k += 1
        run.stop.wait(max(0, run.due(k * PER_TRANSACTION)))


{'produce': produce, 'consume': consume, 'transact': transact}[run.role]()
run.log('end')
