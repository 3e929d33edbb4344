"""`httpx-sse`, as in its documentation."""

import sys

import httpx
from httpx_sse import connect_sse

from again import Finished, again

client = httpx.Client(timeout=httpx.Timeout(5, read=None))


def listen(headers):
    try:
        with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
            if source.response.status_code == 204:
                raise Finished
            yield from source.iter_sse()
    except httpx.TransportError as error:
        raise OSError(repr(error)) from error


again(listen)
