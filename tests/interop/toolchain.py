# SPDX-License-Identifier: Apache-2.0
"""What clients are made of: fetched by the registries' own clients into build/interop, made once."""
import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLIENTS = os.path.join(HERE, 'clients')
WORK = os.path.join(ROOT, 'build', 'interop')


class Missing(Exception):
    """A toolchain or a registry is not there; says which."""


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f'no {program} on PATH')


def fingerprint(paths, *words):
    h = hashlib.sha256('\0'.join(words).encode())
    for path in sorted(paths):
        with open(path, 'rb') as f:
            h.update(f.read())
    return h.hexdigest()


def once(name, sources, words, make):
    """build/interop/NAME as make(folder) leaves it; made anew when its sources or words have changed."""
    folder = os.path.join(WORK, name)
    stamp, mark = os.path.join(folder, '.made'), fingerprint(sources, *words)
    if os.path.exists(stamp) and open(stamp).read() == mark:
        return folder
    os.makedirs(folder, exist_ok=True)
    print(f'     making {name}', flush=True)
    if os.path.exists(stamp):
        os.unlink(stamp)  # it may be interrupted
    make(folder)
    with open(stamp, 'w') as f:
        f.write(mark)
    return folder


def sh(*words, cwd=None, env=None, timeout=3000):
    """Two tries: registries have bad moments."""
    for attempt in (1, 2):
        done = subprocess.run(words, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=timeout)
        if done.returncode == 0:
            return done.stdout
        if attempt == 1:
            print(f'     again: {" ".join(words)[:100]}', flush=True)
    raise Missing(f'{" ".join(words)[:100]}: {(done.stderr or done.stdout).strip()[-400:]}')


def venv():
    requirements = os.path.join(CLIENTS, 'requirements.txt')

    def make(folder):
        sh(sys.executable, '-m', 'venv', '--clear', folder)
        sh(os.path.join(folder, 'bin/pip'), 'install', '-q', '-r', requirements)
    return os.path.join(once('venv', [requirements], [sys.version], make), 'bin/python')


def jars(name, artifacts):
    """A folder of jars: those of `artifacts` (GROUP:NAME:VERSION) and all that they need, by Maven."""
    need('java', 'javac', 'mvn')

    def make(folder):
        deps = ''.join(f'<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></dependency>'
                       for g, a, v in (x.split(':') for x in artifacts))
        with open(os.path.join(folder, 'pom.xml'), 'w') as f:
            f.write('<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>tern</groupId>'
                    f'<artifactId>interop</artifactId><version>1</version><dependencies>{deps}</dependencies></project>')
        shutil.rmtree(os.path.join(folder, 'jars'), ignore_errors=True)
        sh('mvn', '-q', '-B', 'dependency:copy-dependencies', f'-DoutputDirectory={folder}/jars', cwd=folder)
    return os.path.join(once(name, [], artifacts, make), 'jars')


def java(heap='256m'):
    """Small and quick to start: many of them share two cores."""
    return ['java', f'-Xmx{heap}', '-Xss512k', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto',
            '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dorg.slf4j.simpleLogger.showDateTime=true']


def java_classes(name, sources, classpath):
    """Compiled against those jars; the folder of classes."""
    def make(folder):
        sh('javac', '-nowarn', '-d', folder, '-cp', f'{classpath}/*', *sources)
    return once(name, sources, [classpath], make)


def tree(folder, endings):
    return [os.path.join(at, f) for at, _, files in os.walk(folder) for f in files if f.endswith(endings)]


def version_of(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True).stdout.strip()


def go(command):
    need('go')
    source = os.path.join(CLIENTS, 'go')

    def make(folder):
        sh('go', 'build', '-o', folder + '/', './...', cwd=source)
    return os.path.join(once('go', tree(source, ('.go', 'go.mod', 'go.sum')), [version_of('go', 'version')], make), command)


def rust():
    need('cargo')
    source = os.path.join(CLIENTS, 'rust')

    def make(folder):
        sh('cargo', 'build', '-q', '--locked', '--release', '--target-dir', folder, cwd=source)
    folder = once('rust', tree(source, ('.rs', '.toml', '.lock')), [version_of('rustc', '--version')], make)
    return os.path.join(folder, 'release', 'interop')


def kafkajs():
    need('node', 'npm')
    source = os.path.join(CLIENTS, 'kafkajs')
    files = [os.path.join(source, f) for f in ('package.json', 'package-lock.json', 'client.js')]

    def make(folder):
        for path in files:
            shutil.copy(path, folder)
        sh('npm', 'ci', '--no-audit', '--no-fund', '--silent', cwd=folder)
    return os.path.join(once('kafkajs', files, [], make), 'client.js')
