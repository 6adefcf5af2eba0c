"""A RabbitMQ of three nodes on this machine, which are killed and started again one by one."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from tests.services.process import Unavailable, find_port, wait_until
from tests.services.rabbitmq import Company, Node, start_mapper

NODES = 3


class Nodes:
    """A private cluster: `nodes`, of which any may be away. Ready when each knows the others; 15 to 30 seconds."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="relay-rabbitmq-cluster-"))
        ports, mapper, cookie = tuple(find_port() for _ in range(NODES)), find_port(), uuid4().hex
        self._epmd = start_mapper(mapper, self._folder)
        self.nodes = [Node(company=Company(ports, place, mapper, cookie)) for place in range(NODES)]
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.await_ready()
            wait_until(self._is_whole, seconds=60, alive=self._epmd.alive, describe=self._epmd.describe)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """A fresh virtual host: its URLs, one per node, separated by spaces."""
        name = f"test-{uuid4().hex[:12]}"
        self.call("PUT", f"/vhosts/{name}")
        try:
            yield " ".join(f"{node.url}/{name}" for node in self.nodes)
        finally:
            self.call("DELETE", f"/vhosts/{name}")

    def leader(self, vhost: str, queue: str) -> Node | None:
        """The node that leads a quorum queue; None unless all nodes hold it and are there."""
        try:
            found = json.loads(self.call("GET", f"/queues/{quote(vhost, safe='')}/{quote(queue, safe='')}"))
        except Unavailable:
            return None
        if len(found.get("online", ())) < NODES:
            return None
        return next((node for node in self.nodes if node.name == found["leader"]), None)

    def call(self, method: str, path: str) -> bytes:
        """One call of the management API of a node that answers. Raises Unavailable when none does."""
        for node in self.nodes[:-1]:
            try:
                return node.call(method, path)
            except Unavailable:
                continue
        return self.nodes[-1].call(method, path)

    def close(self) -> None:
        """End all and forget everything."""
        for node in self.nodes:
            node.close()
        self._epmd.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_whole(self) -> bool:
        return all(
            sum(each["running"] for each in json.loads(node.call("GET", "/nodes"))) == NODES for node in self.nodes
        )


@contextmanager
def run_nodes() -> Iterator[Nodes]:
    nodes = Nodes()
    try:
        yield nodes
    finally:
        nodes.close()
