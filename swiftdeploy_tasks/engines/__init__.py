"""Where slots run: one protocol, two engines, and the choice between them.

    protocol.py      what every engine can do
    choice.py        which engine a project runs on
    docker.py        containers through compose       docker_*.py: its parts
    local.py         processes on 127.0.0.1           local_*.py: its parts

Nothing outside this folder and the templates branches on an engine's name.
"""
