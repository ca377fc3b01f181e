"""What of a Dockerfile needs BuildKit, and that it gets it."""

from __future__ import annotations

import pytest

from swiftdeploy_tasks.engines.docker.buildkit import need


@pytest.mark.parametrize(
    ("instructions", "named"),
    [
        ("RUN --mount=type=cache,target=/c make", "RUN --mount in line 2"),
        ("# first\nrun \\\n  # between\n  --network=none make", "RUN --network in line 3"),
        ("COPY --from=a --chmod=755 a /a", "COPY --chmod in line 2"),
        ("ADD --checksum=sha256:1 https://example.org/a /a", "ADD --checksum in line 2"),
        ("COPY --link a /a", "COPY --link in line 2"),
        ("RUN <<EOF\nmake\nEOF", "RUN <<EOF in line 2"),
        ("COPY <<-'END' /a\nx\nEND", "COPY <<END in line 2"),
        ("ARG TARGETARCH\nRUN make $TARGETARCH", "TARGETARCH in line 2"),
        ("FROM --platform=$BUILDPLATFORM base", "BUILDPLATFORM in line 2"),
    ],
)
def test_what_only_buildkit_reads_is_named_with_its_line(instructions: str, named: str) -> None:
    assert need(f"FROM base\n{instructions}\n") == named


@pytest.mark.parametrize(
    "instructions",
    [
        "RUN make --mount=x",
        "# RUN --mount=type=cache make",
        "COPY --from=a --chown=1:1 a /a",
        "RUN echo $((1 << 2))",
        "RUN cat << EOF",
        "ARG TARGETARCH=amd64",
        "ENV MOUNT=--mount",
        "",
    ],
)
def test_what_the_classic_builder_reads_needs_no_buildkit(instructions: str) -> None:
    assert need(f"# syntax=docker/dockerfile:1\nFROM base\n{instructions}\n") == ""
