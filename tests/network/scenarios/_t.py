import socket
import subprocess
import sys
import time

from tests.network.scenarios.switch import *
from tests.network.scenarios.worlds import *

a, b = Place(1), Place(2)
sw = subprocess.Popen(
    [sys.executable, "-m", "tests.network.scenarios.switch", "1", f"1:{a.tap}", f"2:{b.tap}"],
    pass_fds=(a.tap, b.tap),
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
)


def say(st):
    sw.stdin.write(st.encode() + "\n")
    sw.stdin.flush()
    return sw.stdout.readline()


print(say(State()))
with b:
    s = socket.create_server(("10.77.0.2", 9000))
with a:
    c = socket.create_connection(("10.77.0.2", 9000), timeout=3)
d, _ = s.accept()


def rtt():
    t = time.time()
    c.sendall(b"x")
    d.recv(1)
    d.sendall(b"y")
    c.recv(1)
    return time.time() - t


print(rtt(), rtt(), rtt())
print(say(State({(1, 2): Line(0.1), (2, 1): Line(0.1)})))
print(rtt())
print(say(State()))
import threading


def pump():
    for _ in range(200):
        c.sendall(b"z" * 100000)


t = time.time()
threading.Thread(target=pump).start()
n = 0
while n < 20_000_000:
    n += len(d.recv(1 << 20))
print("MB/s", 20 / (time.time() - t))
print(say(State({}, (frozenset({1}), frozenset({2})))))
c.settimeout(1)
try:
    rtt()
except Exception as e:
    print("partition", type(e), e)
