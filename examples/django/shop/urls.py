"""The pages and their paths."""

import os

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from shop.models import Upload


@require_safe
def index(request: HttpRequest) -> JsonResponse:
    """Answer with the version that runs and the uploads that there are."""
    uploads = [{"name": one.file.name, "size": one.file.size} for one in Upload.objects.order_by("id")]
    return JsonResponse({"version": os.environ["APP_VERSION"], "uploads": uploads})


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 as soon as a worker takes requests."""
    return JsonResponse({"status": "ok"})


@csrf_exempt  # for curl; a form of your own pages sends its token
@require_POST
def upload(request: HttpRequest) -> JsonResponse:
    """Keep a file."""
    kept = Upload.objects.create(file=request.FILES["file"])
    return JsonResponse({"name": kept.file.name, "size": kept.file.size}, status=201)


urlpatterns = [path("", index), path("healthz", healthz), path("upload", upload)]
