"""`sseclient-py` on requests, as in its documentation."""

import sys

import requests
import sseclient

from again import Finished, again


def listen(headers):
    headers = {"Accept": "text/event-stream", **headers}
    # A RequestException is an OSError.
    with requests.get(sys.argv[1], stream=True, headers=headers) as response:
        if response.status_code == 204:
            raise Finished
        yield from sseclient.SSEClient(response).events()


again(listen)
