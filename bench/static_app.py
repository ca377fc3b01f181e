"""An app for measurements of nginx: an nginx too, with one worker and a static answer."""

from __future__ import annotations

from bench.stack import Stack
from swiftdeploy_tasks.engines.local.proxy_process import find_nginx
from tests.lab import IMAGES

_CONF = """
daemon off; worker_processes 1; pid app.pid; error_log stderr crit;
events { worker_connections 20000; }
http {
    access_log off; keepalive_requests 1000000;
    server { listen %s backlog=4096; location / { return 200 "well\\n"; } }
}
"""
_START = f"""
import os, pathlib
pathlib.Path("app.conf").write_text({_CONF!r} % ("127.0.0.1:" + os.environ["APP_PORT"]))
os.execv({find_nginx()!r}, ["nginx", "-p", os.getcwd() + "/", "-e", "stderr", "-c", "app.conf"])
"""
# Its only writable folder is /tmp.
_DOCKERFILE = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY app/app.conf /srv/
ENTRYPOINT ["sh", "-c", "cd /tmp && exec nginx -p ./ -e stderr -c /srv/app.conf"]
CMD []
"""


def deploy(made: Stack) -> None:
    """Deploy it in the place of the app that runs."""
    root = made.place.root
    if made.engine == "docker":
        (root / "app" / "app.conf").write_text(_CONF % "3000", encoding="utf-8")
        (root / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
        made.set(services__build={"context": ".", "args": {"BASE_IMAGE": IMAGES["nginx"]}})
    else:
        (root / "app" / "start.py").write_text(_START, encoding="utf-8")
        made.set(services__process=["python", "app/start.py"])
    made.set(services__health={"path": "/", "interval": 0.2}, services__metrics=None)
    made.run("deploy").ok()
