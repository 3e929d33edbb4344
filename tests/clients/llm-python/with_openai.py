"""PyPI `openai`: reads an answer, or stops at its first token."""

import json
import signal
import sys

from openai import OpenAI


def tell(**seen):
    print(json.dumps(seen), flush=True)


url, how = sys.argv[1:]
client = OpenAI(base_url=f"{url}/v1", api_key="sk-sun")
try:
    answer = client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "who is it"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in answer:
        if chunk.choices and chunk.choices[0].delta.content:
            tell(event="token", data=chunk.choices[0].delta.content)
        if chunk.usage:
            tell(event="usage", data=str(chunk.usage.completion_tokens))
        if how == "leave":
            break
        if how == "stop":
            answer.close()
            break
except Exception as error:
    tell(event="error", data=f"{type(error).__name__}: {error}")
tell(closed="over")
# Keeps the process alive, since its end would close the connection.
signal.pause()
