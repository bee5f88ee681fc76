"""Provider that repeats each message after a wait: `python -m
benchmarks.provider_server 0.05`.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

_REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "waiting",
    "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
}


async def serve(wait_s: float) -> None:
    """Print the address, then answer until the process is ended."""

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        await asyncio.sleep(wait_s)
        last = asked["messages"][-1]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": last["content"]},
            "finish_reason": "stop",
        }
        return web.json_response({**_REPLY, "choices": [choice]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # Port 0 lets the system choose a free one.
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    # Flushed: the process that started this one waits for the line.
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    _wait_s = float(sys.argv[1])
    asyncio.run(serve(_wait_s))
