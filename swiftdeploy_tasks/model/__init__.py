"""The values that move between the rooms: releases, states, findings, verdicts."""
