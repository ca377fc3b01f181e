"""Settings behind SwiftDeploy's nginx: what differs from release to release comes from the environment."""

import os
from pathlib import Path

DATA = Path(os.environ["APP_VOLUME_DATA"])  # the folder of the volume `data`
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
# nginx sets this header itself and removes what a client sends, so it is true.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = ["shop"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
ROOT_URLCONF = "shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# During an upgrade the workers of both releases have the file open. A write waits up to 20 s for another one.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}

# Beside MEDIA_ROOT, so that a finished upload is renamed and not copied; /tmp has 64 MiB of memory.
MEDIA_ROOT = DATA / "uploads"
FILE_UPLOAD_TEMP_DIR = DATA
