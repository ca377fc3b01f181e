"""How the connections of leaving nginx workers are counted in a container."""

from __future__ import annotations

from swiftdeploy_tasks.engines.docker.proxy_container import _count_established

SAID = """socket:[501]
/dev/null
socket:[502]
socket:[503]
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 500 1
   1: 020011AC:1F90 010011AC:D5A2 01 00000000:00000000 00:00000000 00000000   101        0 501 1
   2: 020011AC:C350 030011AC:0BB8 01 00000000:00000000 00:00000000 00000000   101        0 502 1
   3: 020011AC:1F90 010011AC:D5A4 08 00000000:00000000 00:00000000 00000000   101        0 503 1
   4: 020011AC:1F90 010011AC:D5A6 01 00000000:00000000 00:00000000 00000000   101        0 504 1
"""


def test_only_established_connections_of_leaving_workers_to_the_slot_count() -> None:
    assert _count_established(SAID, "172.17.0.3", 3000) == 1
    assert _count_established(SAID, "172.17.0.4", 3000) == 0
    assert _count_established(SAID, "172.17.0.3", 8080) == 0
