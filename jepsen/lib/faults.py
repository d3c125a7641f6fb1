# SPDX-License-Identifier: Apache-2.0
"""The faults, one function for each kind: fault(world) injects, holds, heals, and returns what it did as {name: value}.

`seen` in what it returns is the fault's own evidence that it acted (pieces lost, packets dropped, damage named); whether leaders changed
or acknowledgements stalled is measured afterwards, from what clients wrote down. `needs` says which part of the rig a kind needs:
wan, disks that forget (disk), an ext4 on a device that fails (block), a second build (build), a moved clock (shim), a tern that mends damaged
records from other regions (repair). A kind that takes a disk's memory away is `destructive`: it runs
only when every copy is there, and the next fault waits until that is so again."""
import os
import random
import shutil
import signal
import threading
import time

from rig import REGIONS, copy_durably, empty, rigs

KINDS = {}


def fault(needs='', destructive=False, weight=1.0):
    def add(function):
        name = function.__name__.replace('_', '-')
        KINDS[name] = {'run': function, 'needs': set(needs.split()), 'destructive': destructive, 'weight': weight}
        return function
    return add


class World:
    """What a fault may touch. dice: its own chance. hold(a, b): wait between a and b seconds, less when the run is ending."""

    def __init__(self, cluster, dice, deadline, builds, say):
        self.c, self.dice, self.deadline, self.builds, self.say = cluster, dice, deadline, builds, say
        self.restarts = 0

    def hold(self, low, high=None):
        time.sleep(max(0, min(self.dice.uniform(low, high or low), self.deadline - time.monotonic())))

    def region(self, of=None):
        return self.dice.choice(of or REGIONS)

    def leader_region(self):
        """Where most leaders of the sync topic are; half of the time a fault goes there."""
        listed = self.c.json('topic', 'list', wait='1s') or {'topics': []}
        for topic in listed['topics']:
            if topic['name'] == 'payments' and topic['leaders']:
                return max(topic['leaders'], key=topic['leaders'].get)
        return self.region()

    def target(self, of=None):
        region = self.leader_region() if self.dice.random() < 0.5 else self.region()
        return region if of is None or region in of else self.region(of)

    def forgetful(self):
        return [r for r, d in self.c.disks.items() if isinstance(d, rigs.Forgetful)]

    def block(self):
        return [r for r, d in self.c.disks.items() if isinstance(d, rigs.Badblock)]

    def dropped(self):
        return sum(link['lost'] + link['cut_off'] + link['queue_full'] for link in self.c.counters().values())


# ---- network -------------------------------------------------------------------------------------

def cut(w, cuts, low=2, high=14):
    before = w.dropped()
    for words in cuts:
        w.c.net('cut', *words)
    w.hold(low, high)
    w.c.net('heal')
    return {'cuts': ', '.join(' '.join(words) for words in cuts), 'seen': w.dropped() - before}


@fault('wan', weight=2)
def isolate(w):
    return cut(w, [[w.target()]])


@fault('wan', weight=1.5)
def one_way(w):
    """One direction of one link, or everything into or out of a region."""
    region = w.target()
    others = [r for r in REGIONS if r != region]
    how = w.dice.randrange(3)
    if how == 0:
        return cut(w, [[region, w.region(others), '--one-way']])
    return cut(w, [[*((region, o) if how == 1 else (o, region)), '--one-way'] for o in others])


@fault('wan', weight=1.5)
def ring(w):
    """One link of three: everybody sees a majority, and not the same one."""
    a, b = w.dice.sample(REGIONS, 2)
    return cut(w, [[a, b]])


@fault('wan')
def full_partition(w):
    return cut(w, [['all']], 2, 8)


@fault('wan')
def flapping(w):
    region, before, times = w.target(), w.dropped(), 0
    until = time.monotonic() + w.dice.uniform(4, 10)
    while time.monotonic() < min(until, w.deadline):
        w.c.net('cut', region)
        time.sleep(w.dice.uniform(.05, .8))
        w.c.net('heal')
        time.sleep(w.dice.uniform(.05, .6))
        times += 1
    return {'region': region, 'times': times, 'seen': w.dropped() - before}


def shaped(w, what, seen):
    """Settings of all links of a region, or of one link, for a while."""
    link = [w.target()] if w.dice.random() < .5 else w.dice.sample(REGIONS, 2)
    w.c.net('set', *link, *what)
    w.hold(4, 15)
    now = w.c.counters().values()
    w.c.net('profile', w.c.wan)
    return {'link': ' '.join(link), 'settings': ' '.join(what), 'seen': seen(now)}


@fault('wan')
def grey_loss(w):
    return shaped(w, [f'loss={w.dice.choice([1, 3, 10, 30])}'], lambda links: sum(link['lost'] for link in links))


@fault('wan')
def latency(w):
    delay = w.dice.choice([60, 150, 400, 800])
    return shaped(w, [f'delay={delay}', f'jitter={delay // 4}'], lambda links: delay)


@fault('wan')
def bandwidth(w):
    return shaped(w, [f'rate={w.dice.choice([0.1, 0.3, 1])}', 'queue=32'], lambda links: sum(link['queue_full'] for link in links))


@fault('wan')
def reordering(w):
    return shaped(w, [f'reorder={w.dice.choice([5, 25])}', 'reorder-by=20'], lambda links: sum(link['reordered'] for link in links))


@fault('wan')
def duplication(w):
    return shaped(w, [f'duplicate={w.dice.choice([5, 30])}'], lambda links: sum(link['duplicated'] for link in links))


@fault('wan', weight=0)
def lose_home(w):
    """The home of the async topic is cut off until another region has taken over, under full load: what was acknowledged and not
    shipped is exposed. Only when it is asked for."""
    result = cut(w, [['eu-west']], 11, 14)
    w.hold(4, 6)
    return result


# ---- processes -----------------------------------------------------------------------------------

@fault(weight=2)
def kill(w):
    region = w.target()
    w.c.kill(region)
    w.hold(0, 8)
    w.c.start(region)
    return {'region': region, 'seen': 1}


@fault()
def kill_all(w):
    for region in REGIONS:
        w.c.down_on_purpose.add(region)
        w.c.signal(region, signal.SIGKILL)
    for region in REGIONS:
        w.c.gone(region)
    w.hold(0, 3)
    for region in w.dice.sample(REGIONS, 3):
        w.c.start(region)
    return {'seen': 3}


@fault(weight=2)
def pause(w):
    region = w.target()
    w.c.signal(region, signal.SIGSTOP)
    w.hold(*w.dice.choice([(.1, .6), (1, 4), (6, 15)]))
    w.c.signal(region, signal.SIGCONT)
    return {'region': region, 'seen': 1}


@fault()
def pause_strobe(w):
    """As if it got a tenth of a processor."""
    region, times = w.target(), 0
    until = min(time.monotonic() + w.dice.uniform(4, 10), w.deadline)
    while time.monotonic() < until:
        w.c.signal(region, signal.SIGSTOP)
        time.sleep(.09)
        w.c.signal(region, signal.SIGCONT)
        time.sleep(.01)
        times += 1
    return {'region': region, 'times': times, 'seen': times}


@fault()
def restart(w):
    region = w.target()
    w.c.down_on_purpose.add(region)
    w.c.signal(region, signal.SIGTERM)
    w.c.gone(region)
    w.hold(0, 3)
    w.c.start(region)
    return {'region': region, 'seen': 1}


@fault('wan', weight=1.5)
def pause_and_cut(w):
    """A leader stops, is cut off, wakes up alone, and then meets the others again."""
    region, before = w.leader_region(), w.dropped()
    w.c.signal(region, signal.SIGSTOP)
    w.hold(.2, 3)
    w.c.net('cut', region)
    w.hold(.5, 4)
    w.c.signal(region, signal.SIGCONT)
    w.hold(1, 5)
    w.c.net('heal')
    return {'region': region, 'seen': w.dropped() - before}


@fault('build')
def rolling_upgrade(w):
    """Every node in turn is stopped and started from the other build, and later back."""
    build = w.builds[w.restarts % len(w.builds)]
    w.restarts += 1
    for region in w.dice.sample(REGIONS, 3):
        w.c.down_on_purpose.add(region)
        w.c.signal(region, signal.SIGTERM)
        w.c.gone(region)
        w.c.start(region, binaries=build)
        w.hold(0, 2)
    return {'build': os.path.basename(build), 'seen': 3}


# ---- clocks --------------------------------------------------------------------------------------

@fault('shim')
def clock_shift(w):
    region = w.target()
    jumps = [w.dice.choice([-1200, -60, -5, -.5, .5, 5, 60, 1200, 86400 * 3]) for _ in range(w.dice.choice([1, 1, 8]))]
    for jump in jumps:
        w.c.set_clock(region, jump)
        w.hold(.3, 6 if len(jumps) == 1 else 1)
    shifted = clock_seen(w.c, region)
    w.c.set_clock(region, 0)
    return {'region': region, 'jumps': jumps, 'seen': shifted}


def clock_seen(cluster, region):
    """Difference between the process's clock and ours, as its own log tells: it is asked for something that it logs."""
    done = cluster.tern('metrics', str(REGIONS.index(region) + 1))
    for line in done.stdout.splitlines():
        if line.startswith('tern_wall_clock') or line.startswith('tern_time_seconds'):
            return round(abs(float(line.split()[-1]) - time.time()), 1)
    maps = f'/proc/{cluster.quick_pid(region)}/maps'
    try:
        with open(maps) as f:
            return int(f'/{region}/clock' in f.read())
    except OSError:
        return 0


# ---- disks ---------------------------------------------------------------------------------------

@fault('disk', weight=2)
def power_loss(w):
    region = w.target(w.forgetful())
    w.c.kill(region)
    lost = w.c.disks[region].forget(seed=w.dice.randrange(1, 10**6))
    w.hold(0, 6)
    w.c.start(region)
    return {'region': region, **lost, 'seen': lost.get('pieces_lost', 0) + lost.get('names_lost', 0) + 1}


@fault('disk', weight=2)
def power_loss_of_all(w):
    if len(w.forgetful()) < 3:
        return None
    # Half of the time the worst: nothing that was not synced survives, and syncs took long.
    worst, slow, lost = w.dice.random() < .5, 0, []
    seed = w.dice.randrange(1, 10**6)
    if worst:
        slow = w.dice.choice([30, 100, 300])
        for region in REGIONS:
            w.c.disks[region].fault('fsync', 'delay', ms=slow)
        w.hold(.6, 2)

    def cut_one(region):
        answer = w.c.disks[region].cut(**({} if worst else {'seed': seed}))
        lost.append(answer.get('pieces_lost', 0) + answer.get('names_lost', 0))
    w.c.down_on_purpose.update(REGIONS)
    cuts = [threading.Thread(target=cut_one, args=(region,)) for region in REGIONS]
    for each in cuts:
        each.start()
    for each in cuts:
        each.join()
    for region in REGIONS:
        w.c.signal(region, signal.SIGKILL)
    for region in REGIONS:
        w.c.disks[region].fault('all', 'ok')
        w.c.disks[region].on()
    for region in REGIONS:
        w.c.gone(region)
    w.hold(0, 3)
    for region in w.dice.sample(REGIONS, 3):
        w.c.start(region)
    return {'lost_pieces': sum(lost), 'fsync_ms': slow, 'seen': 3}


def failing(w, op, mode, low, high, **options):
    region = w.target(w.forgetful())
    disk = w.c.disks[region]
    w.c.down_on_purpose.add(region)
    disk.fault(op, mode, **options)
    w.hold(low, high)
    stats = disk.stats()
    ended = w.c.quick_pid(region) is None
    disk.fault('all', 'ok')
    w.hold(.2, .6)
    if w.c.quick_pid(region) is None:
        ended = True
        w.c.start(region)
    w.c.down_on_purpose.discard(region)
    hits = sum(v for k, v in stats.items() if isinstance(v, int) and ('fail' in k or 'hit' in k or 'fault' in k or 'delay' in k or 'hang' in k))
    return {'region': region, 'op': op, 'mode': mode, **{k: str(v) for k, v in options.items()}, 'ended': ended, 'seen': hits + ended}


@fault('disk')
def write_error(w):
    return failing(w, 'write', 'eio', 1, 5, after=w.dice.randrange(20))


@fault('disk')
def fsync_error(w):
    return failing(w, 'fsync', 'eio', 1, 5, after=w.dice.randrange(20), count=1)


@fault('disk')
def slow_disk(w):
    return failing(w, w.dice.choice(['fsync', 'all']), 'delay', 4, 12, ms=w.dice.choice([20, 100, 400, 1500]))


@fault('disk')
def hanging_disk(w):
    return failing(w, w.dice.choice(['fsync', 'write']), 'hang', 2, 10)


@fault('block')
def block_device_error(w):
    """A device under ext4 fails: an error in fsync, or a journal of ext4 that gives up. Then a new start on the mended device."""
    region = w.dice.choice(w.block())
    disk = w.c.disks[region]
    w.c.down_on_purpose.add(region)
    disk.fault('write', 'eio', after=w.dice.randrange(30))
    w.hold(2, 8)
    ended = w.c.quick_pid(region) is None
    w.c.signal(region, signal.SIGKILL)
    disk.fault('all', 'ok')
    w.c.gone(region)
    rigs.run('umount', disk.mount)
    rigs.run('mount', '-t', 'ext4', disk.device, disk.mount)
    w.c.start(region)
    return {'region': region, 'ended': ended, 'seen': int(ended)}


@fault('block')
def full_disk(w):
    region = w.dice.choice(w.block())
    filler = os.path.join(w.c.disks[region].mount, 'filler')
    at = w.c.log_size(region)
    try:
        stat = os.statvfs(w.c.disks[region].mount)
        with open(filler, 'wb') as f:
            os.posix_fallocate(f.fileno(), 0, max(4096, stat.f_bavail * stat.f_frsize - (w.dice.randrange(1, 24) << 20)))
        w.hold(3, 10)
        full = any(n.get('region') == region and n.get('state') == 'full' for n in (w.c.json('quorum') or {'nodes': []})['nodes'])
    finally:
        os.unlink(filler)
    return {'region': region, 'state_full': full, 'seen': int(full or 'full' in w.c.log(region, at))}


# ---- disks that lose their memory ----------------------------------------------------------------

@fault(destructive=True)
def wipe(w):
    region = w.target()
    w.c.kill(region)
    empty(w.c.data(region))
    w.hold(0, 3)
    at = w.c.log_size(region)
    w.c.start(region)
    return {'region': region, 'at': at, 'seen': 1}


@fault(destructive=True)
def old_disk(w):
    region = w.target()
    old = os.path.join(w.c.dir, f'old-{region}')
    w.c.kill(region)
    shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(w.c.data(region), old, ignore=shutil.ignore_patterns('lost+found'))
    w.c.start(region)
    w.hold(3, 12)
    w.c.kill(region)
    empty(w.c.data(region))
    copy_durably(old, w.c.data(region))
    shutil.rmtree(old, ignore_errors=True)
    at = w.c.log_size(region)
    w.c.start(region)
    w.hold(1)
    return {'region': region, 'seen': int('rolled_back' in w.c.log(region, at))}


def live_places(path, dice, count, piece=512):
    """Positions in a file that hold something, chance ones among them."""
    size, found = os.path.getsize(path), []
    with open(path, 'rb') as f:
        for _ in range(400):
            if len(found) == count or size <= piece:
                break
            at = dice.randrange(size // piece) * piece
            f.seek(at)
            block = f.read(piece)
            filled = [n for n, byte in enumerate(block) if byte]
            if filled:
                found.append(at + dice.choice(filled))
    return found


def flip(path, places, dice):
    with open(path, 'r+b') as f:
        for at in places:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1 << dice.randrange(8)]))
        f.flush()
        os.fsync(f.fileno())


def files_of(data, where, ending):
    found = []
    for path, _names, files in os.walk(os.path.join(data, where) if where else data):
        found += [os.path.join(path, name) for name in files if name.endswith(ending)]
    return sorted(found)


def start_or_replace(w, region):
    """A node that refuses its damaged disk is given an empty one, as its operator would. Says what it said."""
    at = w.c.log_size(region)
    done = w.c.start(region, check=False)
    time.sleep(.3)
    if done.returncode == 0 and w.c.quick_pid(region) is not None:
        return 'started', w.c.log(region, at)
    told = w.c.log(region, at)
    empty(w.c.data(region))
    w.c.start(region)
    return 'refused', told


def named(told):
    return int(any(word in told for word in ('damage', 'DAMAGE', 'mended')))


@fault('repair', destructive=True)
def bit_flips_in_journal(w):
    """Of a stopped node: it must refuse, or not need what was flipped."""
    region = w.target()
    w.c.kill(region)
    files = sorted(files_of(w.c.data(region), 'journal', ''), key=os.path.getmtime)[-2:]  # where live frames are
    places = 0
    for path in files:
        chosen = live_places(path, w.dice, w.dice.choice([1, 2, 8]))
        flip(path, chosen, w.dice)
        places += len(chosen)
    what, told = start_or_replace(w, region)
    return {'region': region, 'flips': places, 'outcome': what, 'seen': named(told) + (what == 'refused')}


@fault('repair', destructive=True)
def bit_flips_in_segments(w):
    """Of a running node."""
    region = w.target()
    at, places = w.c.log_size(region), 0
    files = files_of(w.c.data(region), 'topics', '.log')
    for path in w.dice.sample(files, min(4, len(files))):
        chosen = live_places(path, w.dice, w.dice.choice([1, 2]))
        flip(path, chosen, w.dice)
        places += len(chosen)
    w.c.kill(region)  # so that nothing is served from memory
    what, told = start_or_replace(w, region)
    w.hold(2, 8)
    return {'region': region, 'flips': places, 'outcome': what, 'seen': named(told + w.c.log(region, at)) + (what == 'refused')}


@fault('repair', destructive=True)
def truncated_files(w):
    region = w.target()
    w.c.kill(region)
    data = w.c.data(region)
    files = files_of(data, 'topics', '.log') + files_of(data, 'journal', '')
    cut_off = 0
    for path in w.dice.sample(files, min(2, len(files))):
        size = os.path.getsize(path)
        keep = w.dice.randrange(size) if size else 0
        with open(path, 'r+b') as f:
            f.truncate(keep)
            os.fsync(f.fileno())
        cut_off += size - keep
    what, told = start_or_replace(w, region)
    return {'region': region, 'cut_off_bytes': cut_off, 'outcome': what, 'seen': named(told) + (what == 'refused')}


# ---- operators -----------------------------------------------------------------------------------

ORDERS = ('policy: orders\ntopics: [orders]\nmode: sync\nack: 3\non_region_loss: {then: degrade, after: 2s}\npartitions: 3\n',
          'policy: orders\ntopics: [orders]\nmode: sync\nack: 2\npartitions: 3\n',
          'policy: orders\ntopics: [orders]\nmode: sync\nack: 3\npartitions: 3\n')


TRANSFERS = 'policy: transfers\ntopics: [transfers]\nmode: sync\nack: 2\npartitions: 3\n'


def payments(leaders):
    return ('policy: payments\ntopics: [payments]\ncritical: true\nmode: sync\nack: 2\n'
            f'leaders: [{", ".join(leaders)}]\npartitions: 6\n')


def clicks(home, seconds=5, kib=65536):
    return (f'policy: clicks\ntopics: [clicks]\nmode: async\nhome: {home}\nrpo: {{time: {seconds}s, bytes: {kib}KiB, on_breach: throttle}}\n'
            'failover: {mode: auto, after: 5s, wait: 2s}\npartitions: 3\n')


@fault(weight=1.5)
def leader_move(w):
    """By another order of `leaders` in the policy."""
    order = w.dice.sample(REGIONS, 3)
    done = w.c.apply(payments(order))
    w.hold(1, 5)
    return {'leaders': ' '.join(order), 'applied': done.returncode == 0, 'seen': int(done.returncode == 0)}


@fault()
def policy_change(w):
    if w.dice.random() < .5:
        what, text = 'orders', w.dice.choice(ORDERS)
    else:
        what, text = 'clicks', clicks(w.region())
    done = w.c.apply(text)
    w.hold(1, 5)
    return {'policy': what, 'applied': done.returncode == 0, 'seen': int(done.returncode == 0)}


def possible(kind, have):
    return KINDS[kind]['needs'] <= have


def choose(seed, wanted, have):
    """Kinds of a run: all that were asked for, or a chance half of what is possible."""
    dice = random.Random(f'kinds {seed}')
    all_ = [k for k in KINDS if possible(k, have) and (KINDS[k]['weight'] > 0 or k in wanted)]
    if wanted:
        unknown = [k for k in wanted if k not in KINDS]
        if unknown:
            raise SystemExit(f'jepsen: no fault is called {" ".join(unknown)}; there are: {" ".join(KINDS)}')
        return [k for k in wanted if k in all_], [k for k in wanted if k not in all_]
    return sorted(dice.sample(all_, max(1, len(all_) * 3 // 5))), []
