"""The table of uploads, as `manage.py makemigrations` made it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the table."""

    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Upload",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.FileField(upload_to="")),
            ],
        ),
    ]
