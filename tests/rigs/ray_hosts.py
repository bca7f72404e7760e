"""A program that is a Ray cluster on the loopback address: hosts come and go as stdin says.

`add NAME DEVICE...` starts a host with these devices, `kill NAME` ends it as a power cut would. It
answers each line with one of its own; the first is the cluster's address. It ends with its stdin.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

HOST = {"node_ip_address": "127.0.0.1", "num_cpus": 0, "include_dashboard": False}


def main() -> None:
    # Ray says things on stdout too.
    answers, sys.stdout = sys.stdout, sys.stderr
    cluster = Cluster(initialize_head=True, head_node_args=HOST)
    print(cluster.address, file=answers, flush=True)
    hosts: dict[str, Any] = {}
    try:
        for line in sys.stdin:
            do, name, *devices = line.split()
            if do == "add":
                resources = {f"device:{device}": 1 for device in devices}
                hosts[name] = cluster.add_node(resources=resources, **HOST)
            else:
                cluster.remove_node(hosts.pop(name), allow_graceful=False)
            print("done", file=answers, flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
