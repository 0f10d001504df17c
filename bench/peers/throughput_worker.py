"""A peer of `throughput.py` in a process of its own; see `worker.py` for the protocol."""

import time

from throughput_peers import PEERS
from worker import serve


class Worker:
    def __init__(self):
        self.peer = None

    def prepare(self, who, job):
        self.peer = None
        self.peer = PEERS[who](job)
        return {}

    def time(self):
        start = time.perf_counter()
        told = self.peer.run()
        return {"seconds": time.perf_counter() - start, **told}


if __name__ == "__main__":
    serve(Worker())
