"""A provider that repeats what it was asked, after a while: python -m
benchmarks.provider_server 0.05.
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
    """Answer until the process is ended; the address is printed first."""

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        await asyncio.sleep(wait_s)
        message = {"role": "assistant", "content": asked["messages"][-1]["content"]}
        return web.json_response(
            {
                **_REPLY,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
