"""Heartbeats: heard by the innermost listener, and by nobody where nobody listens."""

import pytest

from simulator.heartbeat import beat, listening


def test_a_beat_that_nobody_hears_is_silent():
    assert beat() is None


def test_the_innermost_listener_hears():
    heard = []
    with listening(lambda: heard.append("outer")):
        beat()
        with listening(lambda: heard.append("inner")):
            beat()
        beat()
    beat()
    assert heard == ["outer", "inner", "outer"]


def test_a_listener_may_stop_the_computation_and_is_gone_after():
    def stop():
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        with listening(stop):
            beat()
    beat()
