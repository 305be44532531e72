"""What a start leaves for later: it is not run until somebody asks, and whole for whoever does."""

import email.utils
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.web.bare_uvicorn import http_date
from tests.parts.handlers.azure.servers import certified
from tests.parts.handlers.processes import ROOT

BEGUN = "from handlers.server.__main__ import _leave_for_later as begin, _without_tls as plain; begin(); plain(); "
LEFT = {"ipaddress", "pickle", "textwrap", "tokenize", "platform", "subprocess", "ssl", "asyncio.sslproto", "logging.config", "random"}
# Asks by a plain socket, since a client of the library would import what is looked for.
SERVED = """
import json, os, socket, sys, threading, time
from handlers.server.__main__ import main

def ask():
    body = json.dumps({"inputs": "cold"}).encode()
    head = b"POST /predict HTTP/1.1\\r\\nhost: here\\r\\ncontent-type: application/json\\r\\nconnection: close\\r\\n"
    answer = b""
    while not answer.startswith(b"HTTP/1.1 200"):
        time.sleep(0.01)
        try:
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=20) as connection:
                connection.sendall(head + b"content-length: %d\\r\\n\\r\\n" % len(body) + body)
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            pass
    modules = list(sys.modules.items())
    waits = [name for name, module in modules if type(module).__module__ == "handlers.functions.later"]
    print("TOLD" + json.dumps([list(sys.modules), waits, answer.partition(b"\\r\\n\\r\\n")[0].decode()]), flush=True)
    os._exit(0)

threading.Thread(target=ask).start()
main()
"""


def run(code: str, **variables: str) -> str:
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_server_that_has_answered_has_run_none_of_it(tiny: Path, free_tcp_port: int) -> None:
    said = run(SERVED, PORT=str(free_tcp_port), BIND_HOST="127.0.0.1", MODEL_DIR=str(tiny))
    loaded, waits, head = json.loads(next(line for line in said.splitlines() if line.startswith("TOLD"))[4:])
    assert set(waits) >= LEFT
    assert not {"_ssl", "locale", "email.utils", "configparser", "uvicorn._types", "base64"} & set(loaded)
    date = head.lower().partition("\r\ndate: ")[2].partition("\r\n")[0]
    assert abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 60


USES = {
    "ipaddress": "import ipaddress; assert ipaddress.ip_address('::1').is_loopback",
    "urls": "from urllib.parse import urlsplit; assert urlsplit('http://[::1]:80/').port == 80",
    "pickle": "import pickle, numpy; assert pickle.loads(pickle.dumps(numpy.arange(3)))[2] == 2 and numpy.arange(1).dumps()",
    "traces": "import traceback, linecache; assert traceback.format_stack() and linecache.getline(traceback.__file__, 1)",
    "tokenize": "import inspect, tokenize; assert inspect.getsource(tokenize.open).startswith('def open')",
    "textwrap": "from textwrap import dedent; assert dedent(' a') == 'a'",
    "platform": "import os, platform; assert platform.system() == os.uname().sysname and platform.python_version().startswith('3.')",
    "system": "from platform import system, machine; import platform; assert machine() and platform.system() == system()",
    "subprocess": "from subprocess import PIPE, STDOUT, run; assert run(['echo', 'x'], stdout=PIPE, stderr=STDOUT).stdout == b'x\\n'",
    "constants": "import subprocess as s; early = s.PIPE, s.STDOUT, s.DEVNULL; s.run; assert early == (s.PIPE, s.STDOUT, s.DEVNULL)",
    "processes": """
import asyncio
async def echo():
    process = await asyncio.create_subprocess_exec("echo", "x", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0]
assert asyncio.run(echo()) == b"x\\n"
""",
    "numbers": "import ssl as s; had = s.PROTOCOL_TLS_SERVER, s.CERT_NONE; s.SSLError; assert had == (s.PROTOCOL_TLS_SERVER, s.CERT_NONE)",
    "tls": "from ssl import CERT_NONE, SSLContext, create_default_context; assert isinstance(create_default_context(), SSLContext)",
    "sslproto": "import asyncio; assert asyncio.sslproto.SSLProtocol is __import__('asyncio.sslproto').sslproto.SSLProtocol",
    "uuid": "import uuid; assert uuid.uuid1() != uuid.uuid4()",
    "random": "import handlers.web.bare_uvicorn, random; assert 0 <= random.random() < 1 and random.Random(1).random() < 0.1344",
    "configparser": "import handlers.web.bare_uvicorn; from configparser import RawConfigParser; RawConfigParser().read_string('[a]')",
    "dates": "import handlers.web.bare_uvicorn, email.utils; assert email.utils.formatdate(0) == 'Thu, 01 Jan 1970 00:00:00 -0000'",
    "types": "import handlers.web.bare_uvicorn, uvicorn._types; assert uvicorn._types.HTTPScope.__total__",
    "uvicorn": "import handlers.web.bare_uvicorn as ours, uvicorn.config; assert uvicorn.config.Config is ours.Config is uvicorn.Config",
    "clients": "import boto3, urllib3, httpx; assert httpx.Client()",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_who_asks_for_it_has_the_whole_of_it(use: str) -> None:
    run(BEGUN + "\n" + use)


TLS = """
import asyncio, socket, sys

async def talk():
    import ssl
    serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=sys.argv[1])
    serving.load_cert_chain(sys.argv[2], sys.argv[3])

    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=asking, server_hostname="127.0.0.1")
    writer.write(b"said\\n")
    told = await reader.readline()
    writer.close()
    wrapped = asking.wrap_socket(socket.socket(), server_hostname="localhost", do_handshake_on_connect=False)
    try:
        await asyncio.get_running_loop().sock_recv(wrapped, 1)
    except TypeError as error:
        print(told, error)

asyncio.run(talk())
"""


def test_asyncio_speaks_tls_once_somebody_does(tmp_path: Path) -> None:
    authority = certified(tmp_path).ca_file
    files = [str(authority.with_name(name)) for name in (authority.name, "chain.pem", "key.pem")]
    command = [sys.executable, "-c", BEGUN + "\n" + TLS, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "b'SAID\\n' Socket cannot be of type SSLSocket\n", done.stderr


def test_others_wait_for_the_whole_of_it(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ndef early():\n    return late\ntime.sleep(0.5)\nlate = 7\n")
    code = """
import sys, threading, time
sys.path.insert(0, {folder!r})
from handlers.functions.later import later
later("slow")
import slow
threading.Thread(target=lambda: slow.late).start()
time.sleep(0.2)
print(slow.early())
"""
    assert run(code.format(folder=str(tmp_path))) == "7\n"


def test_what_is_set_before_it_is_run_stays(tmp_path: Path) -> None:
    run(
        BEGUN
        + """
import platform, ssl, subprocess, pickle
from unittest import mock
subprocess._USE_VFORK = False
subprocess.run
assert subprocess._USE_VFORK is False
ssl._create_default_https_context = None
assert ssl.SSLContext and ssl._create_default_https_context is None
with mock.patch("platform.system", lambda: "Other"):
    assert platform.machine() and platform.system() == "Other"
assert platform.system() != "Other"
del pickle.dumps
assert not hasattr(pickle, "dumps") and pickle.loads
"""
    )


def test_all_names_of_it_are_seen() -> None:
    run(
        BEGUN
        + "\nfrom subprocess import *\nimport textwrap, tokenize\nassert Popen and 'dedent' in dir(textwrap) and 'open' in vars(tokenize)"
    )


def test_a_module_that_fails_when_it_is_run_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "shaky.py").write_text("import os\nif 'READY' not in os.environ:\n    raise ImportError('not yet')\nvalue = 7\n")
    code = """
import os, sys
sys.path.insert(0, {folder!r})
from handlers.functions.later import later
later("shaky", known=1)
import shaky
assert shaky.known == 1
for _ in range(2):
    try:
        shaky.value
    except ImportError as error:
        assert str(error) == "not yet"
    else:
        raise AssertionError
os.environ["READY"] = "1"
assert shaky.value == 7
assert not hasattr(shaky, "other")
"""
    run(code.format(folder=str(tmp_path)))


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_the_date_is_the_library_s(milliseconds: int) -> None:
    at = milliseconds / 1000
    assert http_date(at, usegmt=True) == email.utils.formatdate(at, usegmt=True)
