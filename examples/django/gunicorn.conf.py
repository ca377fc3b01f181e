"""Read by gunicorn from its folder; the same in the container and without it."""

import os
import subprocess
import sys

bind = f"{os.environ['APP_HOST']}:{os.environ['APP_PORT']}"
workers = 2
# Shorter than services.stop.timeout, within which requests are finished and the workers ended.
graceful_timeout = 10
# Its socket would be one file in HOME for both releases.
control_socket_disable = True


def on_starting(server: object) -> None:
    """Migrate before the first worker starts: a slot whose migration fails never becomes healthy."""
    subprocess.run([sys.executable, "manage.py", "migrate", "--no-input"], check=True)
