"""A proxy between client and server that counts, and answers, loses answers, resets or falls silent itself."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from haulier.testing.http_faults import Fault, FaultyProxy


def is_chunk(request):
    return request.method == "PUT" and "bytes */" not in request.headers.get("Content-Range", "")


def first_byte(request):
    return int(request.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])


class Line(FaultyProxy):
    """The proxy with what these tests ask of it."""

    def __init__(self, upstream):
        super().__init__(upstream)
        self.changed = threading.Condition()
        self.released = threading.Event()
        self.silenced = []

    def strike(self, rule):
        """``rule`` says of a request what happens instead: a fault, "silence", or None."""

        def struck(request):
            told = rule(request)
            if told != "silence":
                return told
            with self.changed:
                self.silenced.append(request)
                self.changed.notify_all()
            self.released.wait(60)
            return Fault(reset=True)

        self.rule = struck

    def wait_for_silence(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.silenced, 60), "it did not come to that"

    def chunks(self):
        """Chunks that the server got, by their first byte."""
        silenced = {id(each) for each in self.silenced}
        return [first_byte(each) for each in self.seen if is_chunk(each) and id(each) not in silenced]


@contextmanager
def line_to(server):
    with Line(server.url) as made:
        yield made
        made.released.set()


@pytest.fixture
def line(emulator):
    with line_to(emulator) as made:
        yield made
