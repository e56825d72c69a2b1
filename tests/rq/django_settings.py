"""The settings of the Django program in `django_shop`, which its environment completes."""

from __future__ import annotations

import os
from typing import Any, Final

DATABASES: Final = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_DATABASE"]}}
INSTALLED_APPS: Final = ["django_rq"]
RQ: Final[dict[str, Any]] = {"QUEUE_CLASS": f"django_shop.{os.environ['SHOP_QUEUE_CLASS']}"}
RQ_QUEUES: Final = {"default": {"URL": os.environ["SHOP_REDIS"]}}
if mode := os.environ["SHOP_COMMIT_MODE"]:
    RQ["COMMIT_MODE"] = mode
