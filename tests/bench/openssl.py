# SPDX-License-Identifier: Apache-2.0
"""A newer OpenSSL than Debian 12 has, as libssl.so.3 and libcrypto.so.3: the same interface, so a node takes it by LD_LIBRARY_PATH. From 3.1 on AES-GCM uses AVX-512 where the
processor has it. The source is that of Debian 13's package."""
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import urllib.request

import toolchain

VERSION = '3.5.7'
SOURCE = f'openssl-{VERSION}'
SHA256 = 'a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8'
URL = f'http://deb.debian.org/debian/pool/main/o/openssl/openssl_{VERSION}.orig.tar.gz'
OPTIONS = ('shared', 'no-tests', 'no-docs', 'no-apps')


def fetch():
    try:
        with urllib.request.urlopen(URL, timeout=300) as answer:
            found = answer.read(64 << 20)
    except OSError as e:
        raise toolchain.Missing(f'{URL}: {e}') from None
    if hashlib.sha256(found).hexdigest() != SHA256:
        raise toolchain.Missing(f'{URL} is not what it was: its SHA-256 is {hashlib.sha256(found).hexdigest()}')
    return found


def libraries():
    """The folder that has both, built once (some three minutes of two cores); toolchain.Missing where that cannot be."""
    toolchain.need('perl', 'make', 'cc')

    def make(folder):
        with tarfile.open(fileobj=io.BytesIO(fetch())) as packed:
            packed.extractall(folder, filter='data')
        source = os.path.join(folder, SOURCE)
        toolchain.sh('perl', 'Configure', 'linux-x86_64', *OPTIONS, cwd=source)
        toolchain.sh('make', f'-j{os.cpu_count()}', 'build_libs', cwd=source)
        for name in ('libcrypto.so.3', 'libssl.so.3'):
            subprocess.run(['install', '-s', os.path.join(source, name), folder], check=True)
        shutil.rmtree(source)
    return toolchain.once(f'openssl-{VERSION}', [], [SHA256, *OPTIONS], make)


def is_used_by(pid):
    """Did that process load it?"""
    with open(f'/proc/{pid}/maps') as f:
        mapped = f.read()
    return all(f'openssl-{VERSION}/{name}' in mapped for name in ('libcrypto.so.3', 'libssl.so.3'))
