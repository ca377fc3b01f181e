"""A FastAPI app with a WebSocket, server-sent events and a page of metrics."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

app = FastAPI()
VERSION = os.environ["APP_VERSION"]
LATENCY = Histogram("http_request_duration_seconds", "Seconds to the first byte", ["route", "status"])


@app.middleware("http")
async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Measure the time to the first byte: an event stream that stays open for an hour is not slow."""
    began, status = time.perf_counter(), 500
    try:
        response = await call_next(request)
        status = response.status_code
        return response
    finally:
        # The route and not the path: its values are few, and SwiftDeploy leaves out /healthz and /metrics.
        route = request.scope.get("route")
        LATENCY.labels(getattr(route, "path", "none"), status).observe(time.perf_counter() - began)


@app.get("/")
async def index() -> dict[str, str]:
    """Answer with the version that runs."""
    return {"version": VERSION}


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer 200 as soon as the app takes requests."""
    return {"status": "ok"}


@app.get("/metrics")
async def metrics() -> Response:
    """Return the page that SwiftDeploy judges a release by; nginx keeps it private."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.websocket("/ws")
async def echo(socket: WebSocket) -> None:
    """Send each message back with the version that has the connection."""
    await socket.accept()
    try:
        while True:
            await socket.send_text(f"{VERSION}: {await socket.receive_text()}")
    except WebSocketDisconnect:
        pass


@app.get("/events")
async def events() -> StreamingResponse:
    """Stream an event each second until the client leaves."""

    async def ticks() -> AsyncIterator[str]:
        number = 0
        while True:
            number += 1
            yield f"data: {VERSION} {number}\n\n"
            await asyncio.sleep(1)

    return StreamingResponse(ticks(), media_type="text/event-stream")
