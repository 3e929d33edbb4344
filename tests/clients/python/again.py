"""The loop that an HTTP client needs around a stream. It reconnects with the last id, after the last `retry`."""

import json
import time


def tell(**seen):
    print(json.dumps(seen), flush=True)


def again(listen):
    """`listen(headers)` yields the events of one connection, and raises `Finished` at a 204."""
    last_id, retry = "", 1.0
    while True:
        try:
            for event in listen({"Last-Event-ID": last_id} if last_id else {}):
                # An event without an id keeps the previous id.
                last_id = event.id or last_id
                if event.retry is not None:
                    retry = int(event.retry) / 1000
                tell(event=event.event, id=last_id, data=event.data)
            tell(error="the stream is over")
        except Finished:
            return tell(closed="204")
        except OSError as error:
            tell(error=repr(error))
        time.sleep(retry)


class Finished(Exception):
    """The server has responded with 204, so do not reconnect."""
