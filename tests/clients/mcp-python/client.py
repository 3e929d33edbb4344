"""`mcp`, as in its README. Each line of output reports an observation."""

import json
import sys

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

# The word for an error after which there is no client.
broken = "refused"
url, token, scenario, mode = sys.argv[1:]


def tell(event, data=""):
    print(json.dumps({"event": event, "data": str(data)}), flush=True)


def kind(error):
    """Returns the exception within the groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {getattr(error, 'code', '')}".strip()


async def asks(request):
    if request.method == "GET":
        tell("asks")


async def answered(response):
    if response.request.method == "GET" and response.is_success:
        tell("listens")


async def progress(done, total, _message):
    tell("progress", f"{done:g} of {total:g}")


async def call(client, name, **args):
    result = await client.call_tool(name, args, progress_callback=progress)
    return result.content[0].text


async def works(client):
    tell("tools", " ".join(tool.name for tool in (await client.list_tools()).tools))
    tell("rolled", len((await call(client, "roll", dice=3)).split()))
    tell("result", await call(client, "count", to=3))
    try:
        await call(client, "roll", dice=0)
    except MCPError as error:
        tell("failed", kind(error))
    with anyio.CancelScope() as scope:

        async def enough(done, _total, _message):
            if done == 2:
                scope.cancel()

        await client.call_tool("count", {"to": 99}, progress_callback=enough)
    tell("cancelled")


async def counts(client):
    # Otherwise it lists the tools after the result, to check the result by the tool's schema.
    await client.list_tools()
    try:
        tell("result", await call(client, "count", to=20))
    except MCPError as error:
        tell("failed", kind(error))
    tell("lost", await outcome(client))


async def stays(client):
    tell("outcome", await outcome(client))
    await until(False)
    tell("away")
    await until(True)
    tell("outcome", await outcome(client))


async def outcome(client):
    try:
        await call(client, "roll", dice=1)
        return "answered"
    except MCPError as error:
        return kind(error)


async def until(there):
    """Waits until the server is up, or down."""
    async with httpx2.AsyncClient() as http:
        while True:
            try:
                is_there = await http.get(url) is not None
            except httpx2.TransportError:
                is_there = False
            if is_there == there:
                return
            await anyio.sleep(0.05)


async def main():
    headers = {} if token == "none" else {"authorization": f"Bearer {token}"}
    hooks = {"request": [asks], "response": [answered]}
    timeout = httpx2.Timeout(30, read=300)
    async with httpx2.AsyncClient(headers=headers, event_hooks=hooks, timeout=timeout) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            global broken
            broken = "lost"
            tell("connected")
            await globals()[scenario](client)
            await anyio.sleep_forever()


try:
    anyio.run(main)
except Exception as error:
    tell(broken, kind(error))
