"""The table of uploads."""

from django.db import models


class Upload(models.Model):
    """One file that a client has sent."""

    file = models.FileField()
